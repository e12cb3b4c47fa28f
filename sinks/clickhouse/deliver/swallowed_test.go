package deliver

import (
	"errors"
	"testing"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// drill leads one machine along a path that the test names.
type drill struct {
	t   *testing.T
	m   *Machine
	now int64
}

func newDrill(t *testing.T, now int64) *drill {
	m := NewMachine(simTopic, 0, 0, Limits{Rows: 12, Bytes: 1 << 20})
	m.Add(Record{Offset: 0, Rows: 2, Value: []byte("block"),
		Header: rows.Header{Table: schema.TableTurns, Version: schema.Version, Day: 20_000}})
	return &drill{t: t, m: m, now: now}
}

func (d *drill) want(kind ActionKind) Action {
	d.t.Helper()
	a := d.m.Next(d.now, true)
	if a.Kind != kind {
		d.t.Fatalf("at %d the machine wants %d (%v), not %d", d.now, a.Kind, a.Err, kind)
	}
	return a
}

// begin answers fetch and commit of the range, and returns the metadata committed.
func (d *drill) begin(meta string) string {
	d.t.Helper()
	offset := int64(-1)
	if meta != "" {
		offset = 0
	}
	d.want(ActFetch)
	d.m.Fetched(Fetched{TopicID: simTopic, Offset: offset, Meta: meta}, nil)
	return d.commit()
}

func (d *drill) commit() string {
	d.t.Helper()
	a := d.want(ActCommit)
	d.m.Committed(nil)
	return a.Meta
}

// none answers a read-back: the range's rows are absent, its manifest is there if so said.
func (d *drill) none(manifest bool) {
	d.t.Helper()
	a := d.want(ActReadBack)
	have := map[string]Stored{}
	if manifest {
		have[schema.TableManifest] = Stored{Rows: 1, Distinct: 1}
	}
	if len(a.Intent.Tables()) != 2 {
		d.t.Fatalf("the range fills %d tables", len(a.Intent.Tables()))
	}
	d.m.ReadBack(have, nil)
}

// token is that of the insert of the rows.
func (d *drill) token() string {
	d.t.Helper()
	a := d.want(ActInsert)
	if a.Table.Name != schema.TableTurns {
		d.t.Fatalf("an insert into %s", a.Table.Name)
	}
	return a.Token(0)
}

// TestSwallowedRowsWait: rows that the engine has acknowledged without keeping them go in under
// another token, but only when every insert under the first is dead, and announced: else both may be
// stored (seed 2541 of make sim found it).
func TestSwallowedRowsWait(t *testing.T) {
	d := newDrill(t, 1_800_000_000_000)
	meta := d.begin("")
	first := d.token()
	d.m.Inserted(errors.New("killed in the middle"))
	d.now += 1000
	meta = d.begin(meta)
	d.none(false)
	if again := d.token(); again != first {
		t.Fatal("the repeat has another token")
	}
	d.m.Inserted(nil) // the manifest follows
	d.want(ActInsert)
	d.m.Inserted(nil)
	d.none(true)
	attempt := d.now
	for _, d.now = range []int64{attempt + 1, attempt + LeaseMS, attempt + LeaseMS + clockErrorMS - 1} {
		d.want(ActWait)
		if !d.m.Swallowed() || !d.m.Between() {
			t.Error("a wait that does not say what it is for, or holds up a revocation")
		}
	}
	d.now = attempt + LeaseMS + clockErrorMS
	renewed := d.commit()
	if renewed == meta {
		t.Error("the other token is not announced")
	}
	d.none(true)
	second := d.token()
	if second == first {
		t.Error("the other token is the first")
	}
	// Whoever comes next takes up the other token, whatever became of this insert.
	next := newDrill(t, d.now+1000)
	next.begin(renewed)
	next.none(true)
	if next.token() != second {
		t.Error("the next sink goes back to the first token")
	}
	// What has arrived meanwhile is not sent at all.
	next = newDrill(t, d.now+1000)
	next.begin(renewed)
	next.want(ActReadBack)
	next.m.ReadBack(map[string]Stored{schema.TableTurns: {Rows: 2, Distinct: 2},
		schema.TableManifest: {Rows: 1, Distinct: 1}}, nil)
	if a := next.want(ActCommit); a.Offset != 1 {
		t.Errorf("the end of the range is committed at %d", a.Offset)
	}
}
