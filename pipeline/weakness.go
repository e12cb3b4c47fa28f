package pipeline

import "testing"

// Weakness takes protections away, so that the simulation can show that it notices (bench/sim).
type Weakness uint32

// The weaknesses of stage 1.
const (
	// WeakTimersUnfenced commits only offsets that moved.
	WeakTimersUnfenced Weakness = 1 << iota
	// WeakStateKeptOnAbort goes on with state that never happened.
	WeakStateKeptOnAbort
	// WeakRestoreByOffset takes a state as complete when the offset is right.
	WeakRestoreByOffset
)

// Weaken is for the tests of the simulation only; it panics in any other program.
func (r *Router) Weaken(w Weakness) {
	if !testing.Testing() {
		panic("BUG: only a test may weaken the protocol")
	}
	r.weak = w
}
