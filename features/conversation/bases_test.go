package conversation

import "testing"

// TestTouchOfAFullBase: the largest base is no whole number of cache lines.
func TestTouchOfAFullBase(t *testing.T) {
	table := NewTable(Config{})
	var k Key
	s := table.slots.at(table.newSlot(k))
	full := state{}
	for i := range stateWords {
		raw(&full)[i] = uint64(i) + 1
	}
	table.bases.put(s, &full)
	s.entries = table.store.windows[0].alloc()
	table.Touch([]Key{k})
	var back state
	unpack(&back, table.bases.words(s.base))
	if back != full {
		t.Error("a base without zeros comes back differently")
	}
}
