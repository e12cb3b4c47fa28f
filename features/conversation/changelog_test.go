package conversation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"usher/pipeline/event"
)

// someValues are changelog values of random conversations.
func someValues(t testing.TB, n int) (values [][]byte) {
	r := rand.New(rand.NewPCG(3, 4))
	table := NewTable(Config{Roles: map[string][]string{"default": refRoles}})
	for i := range n {
		c := newRandomConversation(r, i)
		for k, e := range c.arrivals(r, 8, true) {
			in := Input{Key: c.key, Event: &e.ev, ConversationID: []byte(c.id),
				CustomerKey: []byte(e.cust), Offset: int64(i*100 + k), NowMS: e.at}
			var out Arrival
			if err := table.Arrive(&in, &out); err != nil {
				t.Fatal(err)
			}
			table.Settle(decisionOn(e.ev.ID))
		}
	}
	table.Changelog(func(_ Key, v []byte) { values = append(values, bytes.Clone(v)) })
	return values
}

// TestRestoreElsewhere: a table that numbers names differently writes the same bytes again.
func TestRestoreElsewhere(t *testing.T) {
	for i, v := range someValues(t, 500) {
		table := NewTable(Config{})
		for _, w := range []string{"x", "salon", "spam", "whatsapp", "ag2"} {
			table.words.numberString(w)
		}
		k := Key{byte(i)}
		if err := table.Restore(k, v); err != nil {
			t.Fatal(err)
		}
		if again := table.encode(table.slots.at(table.find(&k))); !bytes.Equal(again, v) {
			t.Errorf("value %d of %d bytes came back as %d bytes", i, len(v), len(again))
		}
		if err := table.Restore(k, v); err != nil || table.Len() != 1 {
			t.Errorf("the same again: %v, %d conversations", err, table.Len())
		}
	}
}

// TestTuplesOfDifferentMeaning: equal numbers mean a name in one tuple and a rank in another.
func TestTuplesOfDifferentMeaning(t *testing.T) {
	table := NewTable(Config{Roles: map[string][]string{"default": {"merge"}}})
	ev := event.Event{Type: event.TypeAssign, ID: []byte("1"), Tenant: []byte("t"),
		Channel: []byte("x"), Lang: []byte("y"), Region: []byte("merge"), // word 1
	}
	ev.Actor = event.Actor{Kind: event.ActorAgent,
		ID: []byte("x"), Team: []byte("y"), Role: []byte("merge")}
	var out Arrival
	if err := table.Arrive(&Input{Key: Key{1}, Event: &ev, NowMS: 1}, &out); err != nil {
		t.Fatal(err)
	}
	table.Settle(nil)
	var value []byte
	table.Changelog(func(_ Key, v []byte) { value = bytes.Clone(v) })
	e := table.store.entries(0, table.slots.at(1).entries)[0]
	if e.dims() != e.actor {
		t.Fatalf("the tuples are %d and %d, the test needs them equal", e.dims(), e.actor)
	}
	other := NewTable(Config{})
	other.words.numberString("before")
	if err := other.Restore(Key{1}, value); err != nil {
		t.Fatal(err)
	}
	got := other.store.entries(0, other.slots.at(1).entries)[0]
	if rank := other.tuples.get(got.actor)[actorRank]; rank != 1 {
		t.Errorf("the actor's rank is %d, want 1", rank)
	}
	if r := other.words.str(other.tuples.get(got.dims())[dimRegion]); r != "merge" {
		t.Errorf("the region is %q", r)
	}
}

func TestRestoreRefuses(t *testing.T) {
	values := someValues(t, 50)
	table := NewTable(Config{})
	refused := func(what string, v []byte) {
		t.Helper()
		if err := table.Restore(Key{1}, v); !errors.Is(err, ErrChangelog) {
			t.Errorf("%s: %v", what, err)
		}
		if table.Len() != 0 {
			t.Fatalf("%s: something was kept", what)
		}
	}
	for _, v := range values {
		refused("cut", v[:len(v)-1])
		refused("cut and sealed", sealed(v[:len(v)-checksumBytes-1]))
		refused("longer", sealed(append(bytes.Clone(v[:len(v)-checksumBytes]), 0)))
		for i := range v {
			broken := bytes.Clone(v)
			broken[i] ^= 1 << (i % 8)
			refused("a bit flipped", broken)
		}
	}
	other := bytes.Clone(values[0][:len(values[0])-checksumBytes])
	other[0] = changelogVersion + 1
	refused("another version", sealed(other))
}

// sealed gives a value a valid checksum, so that what lies behind it is tried too.
func sealed(v []byte) []byte {
	return binary.LittleEndian.AppendUint32(bytes.Clone(v), crc32.Checksum(v, castagnoli))
}

// FuzzRestore: no bytes make Restore panic, and what it takes can be played on and written again.
func FuzzRestore(f *testing.F) {
	for _, v := range someValues(f, 40) {
		f.Add(v[:len(v)-checksumBytes])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		table := NewTable(Config{})
		k := Key{1}
		if len(body) == 0 || table.Restore(k, sealed(body)) != nil {
			return
		}
		table.Changelog(func(Key, []byte) { t.Error("restoring touches nothing") })
		r := rand.New(rand.NewPCG(uint64(len(body)), 1))
		c := newRandomConversation(r, 1)
		for i, e := range c.log {
			in := Input{Key: k, Event: &e.ev, Offset: int64(1000 + i), NowMS: e.at}
			var out Arrival
			if err := table.Arrive(&in, &out); err != nil {
				t.Fatal(err)
			}
			table.Settle(decisionOn(e.ev.ID))
		}
		table.Facts()
		table.Changelog(func(_ Key, v []byte) {
			if err := NewTable(Config{}).Restore(k, v); err != nil {
				t.Errorf("cannot read back what it wrote: %v", err)
			}
		})
	})
}
