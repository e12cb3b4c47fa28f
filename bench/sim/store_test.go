package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cespare/xxhash/v2"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
	chsink "usher/sinks/clickhouse/sink"
)

// storeSubject is a store under test: the model or the real engine.
type storeSubject interface {
	// insert stores n event rows at an offset of the rows topic; leftMS is how much of the lease is
	// left.
	insert(offset int64, n int, token string, leftMS int64) string
	// have is what a read-back of one offset sees.
	have(offset int64) deliver.Stored
	// lose takes the rows of an offset away and leaves their token, as a kill in the middle of an
	// insert can.
	lose(offset int64)
	// forget evicts every token, as many inserts would.
	forget()
}

const hourMS = 3_600_000

// storeBehaviours lists what the protocol relies on.
var storeBehaviours = []struct {
	name   string
	script func(s storeSubject) []string
	want   []string
}{
	{"a token is stored once", func(s storeSubject) []string {
		out := []string{s.insert(10, 3, "a", hourMS), s.insert(10, 3, "a", hourMS)}
		return append(out, fmt.Sprint(s.have(10)))
	}, []string{"ok", "ok", "{3 3}"}},

	{"another token is stored again, and the read-back shows it", func(s storeSubject) []string {
		out := []string{s.insert(20, 3, "b", hourMS), s.insert(20, 3, "c", hourMS)}
		return append(out, fmt.Sprint(s.have(20)))
	}, []string{"ok", "ok", "{6 3}"}},

	{"other rows under a token are dropped", func(s storeSubject) []string {
		out := []string{s.insert(30, 2, "d", hourMS), s.insert(31, 5, "d", hourMS)}
		return append(out, fmt.Sprint(s.have(30)), fmt.Sprint(s.have(31)))
	}, []string{"ok", "ok", "{2 2}", "{0 0}"}},

	{"an insert after its lease is refused and leaves neither rows nor token", func(s storeSubject) []string {
		out := []string{s.insert(40, 2, "e", -1_000), fmt.Sprint(s.have(40))}
		return append(out, s.insert(40, 2, "e", hourMS), fmt.Sprint(s.have(40)))
	}, []string{"refused", "{0 0}", "ok", "{2 2}"}},

	{"a repeated insert after its lease is refused too", func(s storeSubject) []string {
		out := []string{s.insert(45, 2, "f", hourMS), s.insert(45, 2, "f", -1_000)}
		return append(out, fmt.Sprint(s.have(45)))
	}, []string{"ok", "refused", "{2 2}"}},

	{"a token without its rows swallows them; another one does not", func(s storeSubject) []string {
		out := []string{s.insert(48, 2, "h", hourMS)}
		s.lose(48)
		out = append(out, fmt.Sprint(s.have(48)), s.insert(48, 2, "h", hourMS), fmt.Sprint(s.have(48)))
		return append(out, s.insert(48, 2, "h-1", hourMS), fmt.Sprint(s.have(48)))
	}, []string{"ok", "{0 0}", "ok", "{0 0}", "ok", "{2 2}"}},

	{"a token that was evicted protects no more", func(s storeSubject) []string {
		out := []string{s.insert(50, 2, "g", hourMS)}
		s.forget()
		return append(out, s.insert(50, 2, "g", hourMS), fmt.Sprint(s.have(50)))
	}, []string{"ok", "ok", "{4 2}"}},
}

// TestModelBehavesAsClickHouse plays every behaviour on the model and on the real engine.
func TestModelBehavesAsClickHouse(t *testing.T) {
	conn := enginetest.Open(t)
	// A window of its own, so that forget needs few inserts. Production's is ten leases long.
	enginetest.Exec(t, conn, "ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 5")
	for _, x := range storeBehaviours {
		for name, s := range map[string]storeSubject{
			"model": newModelStore(), "engine": &engineStore{t: t, conn: conn},
		} {
			if got := x.script(s); fmt.Sprint(got) != fmt.Sprint(x.want) {
				t.Errorf("%s, %s:\n got %q\nwant %q", name, x.name, got, x.want)
			}
		}
	}
}

type modelStore struct{ s *store }

func newModelStore() modelStore {
	w := &World{r: rand.New(rand.NewPCG(1, 1)), nowMS: startMS, hash: xxhash.New()}
	return modelStore{newStore(w)}
}

func (m modelStore) insert(offset int64, n int, token string, leftMS int64) string {
	in := insertion{
		table: schema.Lookup(schema.TableEvents), token: token, leaseUntil: m.s.now() + leftMS,
		days: [][]rowID{nil},
	}
	for sub := range int32(n) {
		in.days[0] = append(in.days[0], rowID{0, offset, sub})
	}
	return storeWord(m.s.insert(in))
}

func storeWord(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errLease), strings.Contains(err.Error(), "VIOLATED_CONSTRAINT"),
		strings.Contains(err.Error(), "not_expired"):
		return "refused"
	}
	return err.Error()
}

func (m modelStore) have(offset int64) deliver.Stored {
	return m.s.readBack(0, storeIntent(offset))[schema.TableEvents]
}

func (m modelStore) lose(offset int64) {
	for id := range m.s.tables[schema.TableEvents].rows {
		if id.offset == offset {
			delete(m.s.tables[schema.TableEvents].rows, id)
		}
	}
}

func (m modelStore) forget() { m.s.w.nowMS += windowMS }

func storeIntent(offset int64) *deliver.Intent {
	return &deliver.Intent{
		TopicID: rowsID, From: offset, To: offset + 1, Version: schema.Version, Day: 20_766,
		Shares: []deliver.Share{{Table: schema.TableEvents, Rows: 1}},
	}
}

type engineStore struct {
	t    *testing.T
	conn driver.Conn
	next int64 // offsets of what forget inserts
}

func (e *engineStore) insert(offset int64, n int, token string, leftMS int64) string {
	e.t.Helper()
	b := rows.NewBlock[schema.Event](schema.Lookup(schema.TableEvents))
	for i := range n {
		b.Append(&schema.Event{
			Source: schema.Source{SrcOffset: offset, Day: 20_766}, ID: fmt.Sprint(i),
		})
	}
	var m rows.Merge
	if err := m.Add(b.EncodeNative(nil), offset); err != nil {
		e.t.Fatal(err)
	}
	until := time.Now().UnixMilli() + leftMS
	body := m.Encode(nil, rows.Position{TopicID: rowsID, LeaseUntil: schema.Instant(until)})
	return storeWord(chsink.NewClickHouse(e.conn).Insert(e.t.Context(), &chsink.Insert{
		Table: schema.Lookup(schema.TableEvents), Columns: m.Names(), Rows: n, Body: body, Token: token,
	}))
}

func (e *engineStore) have(offset int64) deliver.Stored {
	e.t.Helper()
	got, err := chsink.NewClickHouse(e.conn).ReadBack(e.t.Context(), 0, storeIntent(offset))
	if err != nil {
		e.t.Fatal(err)
	}
	return got[schema.TableEvents]
}

func (e *engineStore) lose(offset int64) {
	e.t.Helper()
	enginetest.Exec(e.t, e.conn, fmt.Sprintf("ALTER TABLE events DELETE WHERE _offset = %d "+
		"SETTINGS mutations_sync = 2", offset))
}

func (e *engineStore) forget() {
	for range 8 {
		e.next++
		if got := e.insert(10_000+e.next, 1, fmt.Sprint("other", e.next), hourMS); got != "ok" {
			e.t.Fatal(got)
		}
	}
}
