package conversation

import (
	"reflect"
	"testing"
)

// TestTouchChangesNothing: with it and without, the same facts.
func TestTouchChangesNothing(t *testing.T) {
	play := func(touch bool) *Facts {
		m, table := newMix(300), NewTable(Config{})
		for range 100 {
			if touch {
				table.Touch(m.keys)
			}
			m.run(t, table, 101, 3000)
		}
		return table.Facts()
	}
	with, without := play(true), play(false)
	if len(with.Cycles) == 0 || !reflect.DeepEqual(with, without) {
		t.Errorf("%d and %d cycles differ", len(with.Cycles), len(without.Cycles))
	}
}
