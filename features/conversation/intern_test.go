package conversation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"usher/pipeline/event"
)

// TestWords holds the numbering to a map, over several growths of its index.
func TestWords(t *testing.T) {
	w, want := newWords(), map[string]uint32{"": 0}
	r := rand.New(rand.NewPCG(5, 6))
	for range 50_000 {
		s := strings.Repeat("ж", r.IntN(3)) + fmt.Sprint(r.IntN(20_000))
		id := w.number([]byte(s))
		if old, ok := want[s]; ok && old != id || w.str(id) != s {
			t.Fatalf("%q is %d, was %d, and reads %q", s, id, old, w.str(id))
		}
		want[s] = id
	}
	if len(w.places) != len(want) || w.number(nil) != 0 {
		t.Errorf("%d strings, want %d", len(w.places), len(want))
	}
}

func TestCut(t *testing.T) {
	for _, x := range []struct{ in, want string }{
		{strings.Repeat("a", 128), strings.Repeat("a", 128)},
		{strings.Repeat("a", 129), strings.Repeat("a", 128)},
		{strings.Repeat("a", 127) + "ж", strings.Repeat("a", 127)},
		{strings.Repeat("界", 50), strings.Repeat("界", 42)},
	} {
		if got := string(cut([]byte(x.in))); got != x.want {
			t.Errorf("%d bytes are cut to %d, want %d", len(x.in), len(got), len(x.want))
		}
	}
}

// TestFullInterner: what does not fit is counted and left empty; nothing else suffers.
func TestFullInterner(t *testing.T) {
	table := NewTable(Config{})
	table.words.max = 7 // the empty one, three of the table, the tenant, two languages
	var out Arrival
	for i := range 6 {
		ev := event.Event{Type: event.TypeMessage, ID: fmt.Append(nil, i), Tenant: []byte("t"),
			Lang: fmt.Appendf(nil, "l%d", i), Actor: event.Actor{Kind: event.ActorCustomer},
			Message: event.Message{Public: true}, TimeMS: int64(1000 + i)}
		in := Input{Key: Key{byte(i)}, Event: &ev, Offset: int64(i), NowMS: 5000}
		if err := table.Arrive(&in, &out); err != nil {
			t.Fatal(err)
		}
		table.Settle(nil)
	}
	var langs []string
	for _, c := range table.Facts().Cycles {
		langs = append(langs, c.Lang)
	}
	if got := strings.Join(langs, ","); got != "l0,l1,,,," || table.Overflows() != 4 {
		t.Errorf("languages %s, %d overflows; want l0,l1,,,, and 4", got, table.Overflows())
	}
	table.tuples.max = table.tuples.slab.used
	if id := table.tuples.number(tuple{1, 2, 3, 4, 5, 6}); id != 0 || table.Overflows() != 5 {
		t.Errorf("a tuple beyond the limit is %d, %d overflows", id, table.Overflows())
	}
}
