package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/audit"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/sink"
)

const rowsTopic = "usher.rows.v1"

// damaged is a store that a sink has filled from a topic, for tests to damage.
type damaged struct {
	t     *testing.T
	conn  driver.Conn
	adm   *kadm.Client
	cl    *kgo.Client
	src   *audit.Rows
	topic schema.UUID
	scope audit.Scope
	// window of tokens: tests damage the same rows again and again
	window time.Duration
}

// txnRows is how many input offsets one transaction of a test moves over.
const txnRows = 60

// newDamaged produces transactions as the router does, over two days, and has the sink store them.
func newDamaged(t *testing.T, transactions int) *damaged {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, rowsTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	cl, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("test"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	d := &damaged{
		t: t, conn: enginetest.Open(t), cl: cl, adm: kadm.NewClient(cl),
		src: &audit.Rows{Opts: opts, Topic: rowsTopic}, window: time.Millisecond,
	}
	// A materialized view as a user may make one: a repair must not feed it a second time.
	enginetest.Exec(t, d.conn, "CREATE TABLE own (n Int64) ENGINE = MergeTree ORDER BY tuple() "+
		"SETTINGS non_replicated_deduplication_window = 10000",
		"CREATE MATERIALIZED VIEW own_view TO own AS SELECT sum(toInt64(sign)) AS n FROM turns")
	for i := range transactions {
		d.transaction(int64(i)*txnRows, schema.Day(20_770+i*2/transactions))
	}
	d.store(opts)
	return d
}

// transaction writes the rows of txnRows input offsets.
func (d *damaged) transaction(from int64, day schema.Day) {
	d.t.Helper()
	events := rows.NewBlock[schema.Event](schema.Lookup(schema.TableEvents))
	turns := rows.NewBlock[schema.Turn](schema.Lookup(schema.TableTurns))
	cycles := rows.NewBlock[schema.Conversation](schema.Lookup(schema.TableConversations))
	dead := rows.NewBlock[schema.DeadLetter](schema.Lookup(schema.TableDeadLetters))
	gaps := rows.NewBlock[schema.DeliveryGap](schema.Lookup(schema.TableGaps))
	for i := range int64(txnRows) {
		src := schema.Source{SrcOffset: from + i, Day: day}
		dims := schema.Dims{Tenant: "t", ConversationID: fmt.Sprintf("c-%d", (from+i)%40)}
		switch {
		case i == txnRows-1:
			gaps.Append(&schema.DeliveryGap{
				Source: src, FromOffset: from + i, ToOffset: from + i + 1, Cause: schema.GapControl,
			})
		case i%11 == 3:
			dead.Append(&schema.DeadLetter{Source: src, Code: "json_syntax", Reason: "at byte 3"})
		default:
			events.Append(&schema.Event{
				Source: src, Dims: dims, ID: fmt.Sprint(from + i), Flags: []string{"late"}[:i%2],
				Attrs: []schema.Pair{{Key: "k", Value: fmt.Sprint(i)}, {Key: "ž", Value: ""}}[:i%3],
			})
			cycle := schema.Cycle{CycleID: dims.ConversationID, Cycle: 1}
			turns.Append(&schema.Turn{
				Source: src, Dims: dims, Cycle: cycle, SinceOffset: src.SrcOffset, Sign: 1,
			})
			cycles.Append(&schema.Conversation{
				Source: src, Dims: dims, Cycle: cycle, OpenedMonth: 20_758, Revision: uint32(from + i),
			})
		}
	}
	if err := d.cl.BeginTransaction(); err != nil {
		d.t.Fatal(err)
	}
	for _, block := range []interface {
		Table() *schema.Table
		EncodeNative([]byte) []byte
	}{events, turns, cycles, dead, gaps} {
		h := rows.Header{
			Table: block.Table().Name, Version: schema.Version, Day: day, SrcFrom: from,
			SrcTo: from + txnRows,
		}
		d.cl.Produce(context.Background(), &kgo.Record{
			Topic: rowsTopic, Value: block.EncodeNative(nil), Headers: h.Append(nil),
		}, nil)
	}
	if err := d.cl.Flush(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cl.EndTransaction(d.t.Context(), kgo.TryCommit); err != nil {
		d.t.Fatal(err)
	}
	d.scope.Inputs = []audit.Partition{{Topic: "chat.events.v1", End: from + txnRows}}
}

// store runs a sink, with small ranges, until everything is stored.
func (d *damaged) store(opts []kgo.Opt) {
	d.t.Helper()
	s, err := sink.New(sink.Config{RangeRows: 200, FlushInterval: 20 * time.Millisecond},
		sink.Deps{Kafka: opts, Store: sink.NewClickHouse(d.conn)})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ends, err := d.adm.ListEndOffsets(d.t.Context(), rowsTopic)
	if err != nil {
		d.t.Fatal(err)
	}
	end, _ := ends.Lookup(rowsTopic, 0)
	wait, stop := context.WithTimeout(d.t.Context(), time.Minute)
	defer stop()
	if err := s.Drained(wait, map[int32]int64{0: end.Offset}); err != nil {
		d.t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		d.t.Fatal(err)
	}
	id, _, err := d.src.Bounds(d.t.Context(), 0)
	if err != nil {
		d.t.Fatal(err)
	}
	d.topic = id
	d.scope.Rows = []audit.Partition{{TopicID: id, Topic: rowsTopic, End: end.Offset}}
}

// content is every row of every table, but for the lease, which says when a row was inserted.
func (d *damaged) content() map[string]string {
	d.t.Helper()
	out := map[string]string{}
	for _, t := range schema.Tables() {
		final := ""
		if t.Writer == schema.Direct {
			continue
		}
		if t.Replacing {
			final = " FINAL"
		}
		out[t.Name] = enginetest.Query(d.t, d.conn, "SELECT * EXCEPT (_lease_until) FROM "+t.Name+final+
			" ORDER BY ALL")
	}
	// What materialized views have made of a row stays when it is deleted, and must not be made again.
	out["own"] = enginetest.Query(d.t, d.conn, "SELECT sum(n) FROM own")
	return out
}

func (d *damaged) audit() audit.Report {
	d.t.Helper()
	r, err := audit.Run(d.t.Context(), d.conn, d.scope, audit.Options{Whole: true})
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// holds fails unless so much is missing and doubled.
func (d *damaged) holds(what string, missing, doubled bool) {
	d.t.Helper()
	if r := d.audit(); (r.Missing() > 0) != missing || (r.Duplicated() > 0) != doubled {
		d.t.Errorf("%s: missing %d, doubled %d\n%+v", what, r.Missing(), r.Duplicated(), r)
	}
}

func (d *damaged) repair() *audit.Repaired {
	d.t.Helper()
	out, err := audit.Repair(d.t.Context(), d.conn, d.src, d.scope,
		audit.RepairOptions{TokenWindow: d.window})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// same fails unless the tables hold the same rows as before.
func (d *damaged) same(what string, before map[string]string) {
	d.t.Helper()
	for table, now := range d.content() {
		if now != before[table] {
			d.t.Errorf("%s: %s holds other rows than before: %d lines instead of %d", what, table,
				strings.Count(now, "\n")+1, strings.Count(before[table], "\n")+1)
		}
	}
}

func remove(table, where string) string {
	return "ALTER TABLE " + table + " DELETE WHERE " + where + " SETTINGS mutations_sync = 1"
}

func TestRepairPutsBackWhatWasDeletedByHand(t *testing.T) {
	d := newDamaged(t, 12)
	before := d.content()
	d.holds("untouched", false, false)
	if out := d.repair(); len(out.Rows) != 0 || len(out.Left) != 0 {
		t.Errorf("a repair of nothing did %+v", out)
	}
	damage := func(what string, statements ...string) {
		t.Helper()
		enginetest.Exec(t, d.conn, statements...)
		d.holds(what, true, false)
		if out := d.repair(); len(out.Rows) == 0 || len(out.Left) != 0 {
			t.Errorf("%s: the repair did %+v", what, out)
		}
		d.holds(what+", repaired", false, false)
		d.same(what, before)
	}
	damage("single rows of several tables",
		remove("events", "_src_offset % 7 = 1"), remove("turns", "_src_offset % 5 = 2"),
		remove("dead_letters", "_src_offset < 100"), remove("delivery_gaps", "_src_offset > 300"))
	damage("a day of a table", "ALTER TABLE events DROP PARTITION '2026-11-13'")
	damage("a manifest row of every range", remove("delivery_manifest", "`table` = 'turns'"))
	damage("every turn", "TRUNCATE TABLE turns")
	damage("conversations", remove("conversations", "conversation_id < 'c-2'"))
	damage("rows and their manifest rows together", remove("turns", "_src_offset > 500"),
		remove("delivery_manifest", "`table` = 'turns' AND `from` > 20"))
}

// TestRepairTwice: the same rows deleted once more. ClickHouse keeps the tokens of deleted rows.
func TestRepairTwice(t *testing.T) {
	d := newDamaged(t, 2)
	before := d.content()
	d.window = time.Hour
	for range 2 {
		enginetest.Exec(t, d.conn, remove("events", "_src_offset < 50"))
		d.repair()
	}
	d.holds("deleted and repaired twice within a window", true, false)
	d.window = time.Millisecond
	d.repair()
	d.same("repaired in the next", before)
}

func TestRepairOfAStoreWithoutAnyRow(t *testing.T) {
	d := newDamaged(t, 6)
	before := d.content()
	for _, table := range schema.Tables() {
		if table.Writer != schema.Direct {
			enginetest.Exec(t, d.conn, "TRUNCATE TABLE "+table.Name)
		}
	}
	d.holds("everything gone", true, false)
	d.repair()
	d.holds("repaired", false, false)
	after := d.content()
	for _, table := range []string{"events", "turns", "dead_letters", "delivery_gaps"} {
		if after[table] != before[table] {
			t.Errorf("%s holds other rows than before", table)
		}
	}
}

func TestRepairSaysWhatRetentionHasTaken(t *testing.T) {
	d := newDamaged(t, 8)
	var cut kadm.Offsets
	cut.AddOffset(rowsTopic, 0, 20, -1)
	if _, err := d.adm.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	enginetest.Exec(t, d.conn, remove("events", "_src_offset % 10 = 4"))
	out := d.repair()
	if len(out.Left) == 0 || out.Left[0].From != 0 || !strings.Contains(out.Left[0].Why, "begins at offset 20") {
		t.Errorf("left: %+v", out.Left)
	}
	got := enginetest.Query(t, d.conn, "SELECT countIf(_offset < 20) > 0, countIf(_offset >= 20 AND "+
		"_src_offset % 10 = 4) > 0, countIf(_offset < 20 AND _src_offset % 10 = 4) FROM events")
	if got != "1\t1\t0" {
		t.Errorf("rows before and after the cut: %s", got)
	}
	d.holds("half of it", true, false)
}

func TestARepairIsAlone(t *testing.T) {
	d := newDamaged(t, 2)
	enginetest.Exec(t, d.conn, remove("turns", "_src_offset < 9"), "CREATE TABLE turns_repair AS turns")
	_, err := audit.Repair(t.Context(), d.conn, d.src, d.scope, audit.RepairOptions{})
	if err == nil || !strings.Contains(err.Error(), "DROP TABLE turns_repair") {
		t.Errorf("a repair beside another: %v", err)
	}
	enginetest.Exec(t, d.conn, "DROP TABLE turns_repair")
	d.repair()
	d.holds("when the other has ended", false, false)
}

func TestDoubledRowsAreFoundAndTheWayOutWorks(t *testing.T) {
	d := newDamaged(t, 6)
	before := d.content()
	enginetest.Exec(t, d.conn,
		double("events", "_src_offset < 90", 9), double("turns", "_src_offset > 100", 4),
		double("dead_letters", "1", 2),
		"INSERT INTO delivery_manifest SELECT * FROM delivery_manifest LIMIT 1 "+
			"SETTINGS insert_deduplicate = 0")
	d.holds("doubled by hand", false, true)
	if out := d.repair(); len(out.Rows) != 0 {
		t.Errorf("a repair of doubled rows inserted %v", out.Rows)
	}
	statements, err := audit.Undouble(t.Context(), d.conn, d.scope)
	if err != nil {
		t.Fatal(err)
	}
	if len(statements) < 4 {
		t.Errorf("only %q", statements)
	}
	enginetest.Exec(t, d.conn, statements...)
	d.holds("the statements run", false, false)
	before["own"] = d.content()["own"] // docs/delivery: it counts what was inserted
	d.same("the statements run", before)
}

func TestATopicMadeAnewRepairsNothing(t *testing.T) {
	d := newDamaged(t, 2)
	if _, err := d.adm.DeleteTopic(t.Context(), rowsTopic); err != nil {
		t.Fatal(err)
	}
	if _, err := d.adm.CreateTopic(t.Context(), 1, 1, nil, rowsTopic); err != nil {
		t.Fatal(err)
	}
	enginetest.Exec(t, d.conn, remove("events", "1"))
	_, err := audit.Repair(t.Context(), d.conn, d.src, d.scope, audit.RepairOptions{})
	if err == nil || !strings.Contains(err.Error(), "made anew") {
		t.Errorf("a repair from another topic: %v", err)
	}
}
