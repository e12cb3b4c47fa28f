package audit_test

import (
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"usher/sinks/clickhouse/audit"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

const perRange = 40 // input offsets, on each of two partitions

// put stores one range as the sink would: records at offset, offset+1, …, and its manifest.
func put(t *testing.T, conn driver.Conn, offset int64) {
	t.Helper()
	var events []schema.Event
	var turns []schema.Turn
	var dead []schema.DeadLetter
	var gaps []schema.DeliveryGap
	var voids []schema.Void
	base := offset / 10 * perRange
	for p := range int32(2) {
		for i := range int64(perRange) {
			src := schema.Source{SrcPartition: p, SrcOffset: base + i}
			switch {
			case i%13 == 5:
				dead = append(dead, schema.DeadLetter{Source: src, Code: "json_syntax"})
			case i%17 == 9:
				gaps = append(gaps, schema.DeliveryGap{
					Source: src, FromOffset: base + i, ToOffset: base + i + 1, Cause: schema.GapControl,
				})
			default:
				e := schema.Event{Source: src, ID: fmt.Sprint(i)}
				if i%10 == 1 {
					e.Flags = []string{schema.FlagDuplicate}
				}
				events = append(events, e)
				turns = append(turns, schema.Turn{Source: src, Sign: 1})
				if i%4 == 0 {
					voids = append(voids, schema.Void{Source: src, Sign: 1})
				}
			}
		}
	}
	enginetest.Put(t, conn, schema.TableEvents, offset, events...)
	enginetest.Put(t, conn, schema.TableTurns, offset+1, turns...)
	enginetest.Put(t, conn, schema.TableDeadLetters, offset+2, dead...)
	enginetest.Put(t, conn, schema.TableGaps, offset+3, gaps...)
	enginetest.Put(t, conn, schema.TableVoids, offset+4, voids...)
	var manifest []schema.ManifestRow
	for table, n := range map[string]int{
		schema.TableEvents: len(events), schema.TableTurns: len(turns),
		schema.TableDeadLetters: len(dead), schema.TableGaps: len(gaps), schema.TableVoids: len(voids),
	} {
		manifest = append(manifest, schema.ManifestRow{
			FromOffset: uint64(offset), ToOffset: uint64(offset + 9), Table: table, Tables: 5,
			Rows: uint64(n),
		})
	}
	enginetest.Put(t, conn, schema.TableManifest, offset, manifest...)
}

func scope(ranges int64) audit.Scope {
	s := audit.Scope{Rows: []audit.Partition{{Topic: "usher.rows.v1", End: ranges * 10}}}
	for p := range int32(2) {
		s.Inputs = append(s.Inputs, audit.Partition{
			Topic: "chat.events.v1", Partition: p, End: ranges * perRange,
		})
	}
	return s
}

// expect audits everything and fails unless exactly so much is missing and doubled.
func expect(t *testing.T, conn driver.Conn, what string, missing, doubled uint64) audit.Report {
	t.Helper()
	r, err := audit.Run(t.Context(), conn, scope(3), audit.Options{Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Missing() != missing || r.Duplicated() != doubled {
		t.Errorf("%s: missing %d, duplicated %d; want %d and %d\n%+v", what, r.Missing(), r.Duplicated(),
			missing, doubled, r)
	}
	return r
}

// alike fails unless an audit in chunks, whose edges lie inside ranges, gives what r says.
func alike(t *testing.T, conn driver.Conn, r audit.Report) {
	t.Helper()
	small, err := audit.Run(t.Context(), conn, scope(3), audit.Options{Whole: true, ChunkOffsets: 7})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r {
		small[i].RunAt = r[i].RunAt
	}
	if diff := cmp.Diff(r, small); diff != "" {
		t.Errorf("chunks of 7 differ (-whole +chunks):\n%s", diff)
	}
}

// double stores the newest n rows that match once more, byte for byte.
func double(table, where string, n int) string {
	return fmt.Sprintf("INSERT INTO %s SELECT * FROM %s WHERE %s ORDER BY _src_offset DESC LIMIT %d "+
		"SETTINGS insert_deduplicate = 0", table, table, where, n)
}

func TestTheAuditCountsExactlyWhatIsMissingAndDoubled(t *testing.T) {
	conn := enginetest.Open(t)
	for i := range int64(3) {
		put(t, conn, i*10)
	}
	r := expect(t, conn, "untouched", 0, 0)
	in, blocks := r[0], r[2]
	if in.Stored != 105 || in.Dead != 9 || in.Gaps != 6 || in.GapsControl != 6 || in.DuplicatesSeen != 9 {
		t.Errorf("an input partition counts %+v", in)
	}
	if blocks.RowsExpected != blocks.RowsStored || blocks.RowsExpected < 500 {
		t.Errorf("the rows partition counts %+v", blocks)
	}
	remove := func(table, where string) {
		enginetest.Exec(t, conn, "ALTER TABLE "+table+" DELETE WHERE "+where+" SETTINGS mutations_sync = 1")
	}
	remove("turns", "_src_partition = 0 AND _src_offset < 8 AND _src_offset NOT IN (5)")
	expect(t, conn, "7 turns deleted", 7, 0)
	remove("events", "_src_partition = 1 AND _src_offset IN (41, 42)")
	expect(t, conn, "and 2 events", 9, 0)
	remove("dead_letters", "_src_partition = 1 AND _src_offset IN (5, 18, 31)")
	expect(t, conn, "and 3 dead letters", 12, 0)
	remove("delivery_gaps", "_src_partition = 0 AND _src_offset IN (9)")
	expect(t, conn, "and a gap", 13, 0)
	remove("voids", "_src_offset >= 80 AND _src_offset < 90")
	voids := expect(t, conn, "and the voids of 10 offsets", 13+6, 0)
	if voids[2].RowsExpected-voids[2].RowsStored != 19 {
		t.Errorf("rows expected and stored: %+v", voids[2])
	}
	enginetest.Exec(t, conn, double("events", "_src_partition = 0", 3))
	expect(t, conn, "3 events doubled", 19, 3)
	enginetest.Exec(t, conn, double("turns", "_src_partition = 1", 4))
	expect(t, conn, "and 4 turns", 19, 7)
	enginetest.Exec(t, conn, double("delivery_gaps", "_src_partition = 1", 2),
		double("dead_letters", "_src_partition = 1", 1))
	alike(t, conn, expect(t, conn, "and 2 gaps and a dead letter", 19, 10))
	remove("delivery_manifest", "`from` = 10 AND `table` IN ('turns', 'events')")
	expect(t, conn, "and 2 manifest rows deleted", 21, 10)
	remove("delivery_manifest", "`from` = 20")
	// Its missing voids go with it.
	alike(t, conn, expect(t, conn, "and the manifest of a whole range", 21+5-6, 10))
	// What no range covers must not stand in for what the range before it lacks.
	remove("voids", "_src_offset >= 40 AND _src_offset < 50 AND _src_partition = 0")
	expect(t, conn, "and 3 voids before it", 20+3, 10)
}

func TestTheAuditGoesOnWhereTheLastOneEnded(t *testing.T) {
	conn := enginetest.Open(t)
	run := func(ranges int64, o audit.Options) audit.Report {
		t.Helper()
		r, err := audit.Run(t.Context(), conn, scope(ranges), o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	put(t, conn, 0)
	if r := run(1, audit.Options{}); r.Missing() != 0 || r[0].ToOffset != perRange || r[2].ToOffset != 10 {
		t.Errorf("first audit: %+v", r)
	}
	put(t, conn, 10)
	enginetest.Exec(t, conn, "ALTER TABLE turns DELETE WHERE _src_offset = 0 SETTINGS mutations_sync = 1")
	r := run(2, audit.Options{})
	if r.Missing() != 0 || r[0].FromOffset != perRange || r[0].ToOffset != 2*perRange || r[2].FromOffset != 10 {
		t.Errorf("second audit: %+v", r)
	}
	if r := run(2, audit.Options{Whole: true}); r.Missing() != 2 {
		t.Errorf("whole audit: %+v", r)
	}
	got := enginetest.Query(t, conn, "SELECT sum(missing), sum(duplicated), count() FROM delivery_audit")
	if got != "2\t0\t15" { // three audits of two inputs, their cycles, and one rows partition
		t.Errorf("delivery_audit holds %q", got)
	}
}

func TestAnOffsetThatNobodyAccountsForIsMissing(t *testing.T) {
	conn := enginetest.Open(t)
	put(t, conn, 0)
	r, err := audit.Run(t.Context(), conn, audit.Scope{Inputs: []audit.Partition{{End: perRange + 3}}},
		audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Missing() != 3 || r.Duplicated() != 0 {
		t.Errorf("%+v", r)
	}
}
