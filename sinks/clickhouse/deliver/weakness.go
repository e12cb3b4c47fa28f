package deliver

import "testing"

// Weakness takes protections away, so that the simulation can show that it notices (bench/sim).
type Weakness uint32

// The weaknesses of stage 2.
const (
	// WeakNoIntent inserts what an attempt happens to cut, announced to nobody.
	WeakNoIntent Weakness = 1 << iota
	// WeakIntentNotAwaited takes an intent as committed whatever the broker says.
	WeakIntentNotAwaited
	// WeakOffsetFirst commits the end of a range before its rows are inserted.
	WeakOffsetFirst
	// WeakNoReadBack takes the tables as empty.
	WeakNoReadBack
	// WeakBlindResend sends a block again after doubt, with a fresh lease and nothing else.
	WeakBlindResend
	// WeakPartialUnseen takes a table that holds some rows of a range as complete.
	WeakPartialUnseen
	// WeakSubset sends a block that is sent again in two halves, under its one token.
	WeakSubset
	// WeakManyDays cuts ranges across days.
	WeakManyDays
	// WeakNoSecondLook takes the repeat of an insert as stored because it was acknowledged.
	WeakNoSecondLook
)

// Weaken is for the tests of the simulation only; it panics in any other program.
func (m *Machine) Weaken(w Weakness) {
	if !testing.Testing() {
		panic("BUG: only a test may weaken the protocol")
	}
	m.weak = w
	m.limits.anyDay = w&WeakManyDays != 0
}
