// Package sim plays usher's two delivery protocols, pipeline.Router and deliver.Machine as they run
// in production, on a model of Kafka and ClickHouse: one thread, virtual time, every order of events
// drawn from a seed. So a failing seed fails again, bit by bit.
//
//	make sim SEEDS=300        plays 300 seeds and prints the first that fails
//	make sim SEED=17          plays one, and shows the end of its trace
//
// Faults stop after a while; then everything must come to rest with every input offset stored
// exactly once (check.go). What the models promise is held to the real broker and the real engine by
// conformance_test.go.
package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"
)

// startMS is the virtual time at which every world begins: a minute before midnight, so that rows get
// two days, and after every event of the input, so that
// no event is dated ahead of a router's clock.
const startMS int64 = 20_766*86_400_000 - 60_000

// errTimeout is what a client sees of a request whose answer did not come: it may have been carried
// out, and may yet be.
var errTimeout = errors.New("timed out")

// Faults say how rough a world is; chances are per ten thousand.
type Faults struct {
	LostRequest, LostAnswer  int // of each call
	SlowMessage, LateMessage int
	Crash, Freeze, Rebalance int // per second and process
	ClockJump                int // per second
	DiskFails, DiskSlow      int // per append or insert
	StoreKill                int // per insert
	EndMS                    int64
}

// event is something that happens at an instant.
type event struct {
	atMS  int64
	order int
	do    func()
}

type events []event

func (q events) Len() int           { return len(q) }
func (q events) Less(i, j int) bool { return q[i].before(&q[j]) }
func (q events) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *events) Push(x any) { *q = append(*q, x.(event)) }

// Pop implements heap.Interface.
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = event{}
	*q = (*q)[:len(*q)-1]
	return last
}

func (e *event) before(o *event) bool {
	return e.atMS < o.atMS || e.atMS == o.atMS && e.order < o.order
}

// World is one simulated installation.
type World struct {
	seed   uint64
	r      *rand.Rand
	nowMS  int64
	queue  events
	order  int
	faults Faults
	weak   Weak
	quiet  bool // faults have ceased
	late   int  // messages that are still on their way though their sender has given up
	hash   *xxhash.Digest
	lines  []string // the latest of the trace
	wrong  string   // what was found before the end
	counts Counts
	broker *broker
	store  *store
	input  *input
	// promises are there in a world whose router keeps SLA policies instead of plain timers.
	promises *promises
	decoder  *decoder
	routers  []*router
	sinks    []*sink
}

// Counts say what a world went through.
type Counts struct {
	Events, Crashes, Freezes, Rebalances, Moves, Lost, Late, Jumps, DiskFaults int
	Commits, Aborts, TimerCommits, Inserts, Repeated, Refusals, FencedCommits  int
	TokensAlone                                                                int
}

const traceLines = 4000

// trace writes down what happens; its hash is the world's identity.
func (w *World) trace(format string, args ...any) {
	line := fmt.Sprintf("%8d ", w.nowMS-startMS) + fmt.Sprintf(format, args...)
	_, _ = w.hash.WriteString(line) // never fails
	if len(w.lines) == traceLines {
		w.lines = append(w.lines[:0], w.lines[traceLines/2:]...)
	}
	w.lines = append(w.lines, line)
}

// after lets do happen later.
func (w *World) after(ms int64, do func()) {
	w.order++
	heap.Push(&w.queue, event{w.nowMS + max(ms, 0), w.order, do})
}

// chance is true in n of ten thousand cases, and never once faults have ceased.
func (w *World) chance(n int) bool { return w.r.IntN(10_000) < n && !w.quiet }

func (w *World) between(low, high int64) int64 { return low + w.r.Int64N(high-low+1) }

// fail ends the world.
func (w *World) fail(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf(format, args...)
	}
}

// proc is a process: it can die, be born again, and stand still without knowing.
type proc struct {
	w           *World
	name        string
	life        int // answers to an earlier life are nobody's
	alive       bool
	frozenUntil int64
	skewMS      int64 // of its clock
}

func (p *proc) now() int64 { return p.w.nowMS + p.skewMS }

// on lets do happen in the process later, unless it has died by then; while it stands still nothing
// happens in it.
func (p *proc) on(ms int64, do func()) { p.inLife(p.life, ms, do) }

func (p *proc) inLife(life int, ms int64, do func()) {
	var run func()
	run = func() {
		switch {
		case !p.alive || p.life != life:
		case p.w.nowMS < p.frozenUntil:
			p.w.after(p.frozenUntil-p.w.nowMS, run)
		default:
			do()
		}
	}
	p.w.after(ms, run)
}

// latency is how long a message takes, and whether it gets lost.
func (w *World) latency(lost int) (ms int64, arrives bool) {
	switch {
	case w.chance(lost):
		w.counts.Lost++
		return 0, false
	case w.chance(w.faults.LateMessage):
		w.counts.Late++
		return w.between(5_000, 300_000), true
	case w.chance(w.faults.SlowMessage):
		return w.between(50, 3_000), true
	}
	return w.between(1, 4), true
}

// call carries a request to a server and the answer back. What was sent arrives even when the
// sender has died or given up.
func call[T any](p *proc, timeoutMS int64, do func() (T, error), answer func(T, error)) {
	callSlow(p, timeoutMS, 0, do, answer)
}

// callSlow is call to a server that takes a while.
func callSlow[T any](
	p *proc, timeoutMS, takesMS int64, do func() (T, error), answer func(T, error),
) {
	w, life, done := p.w, p.life, false
	finish := func(v T, err error) {
		if !done {
			done = true
			answer(v, err)
		}
	}
	p.on(timeoutMS, func() {
		var none T
		finish(none, errTimeout)
	})
	there, arrives := w.latency(w.faults.LostRequest)
	if !arrives {
		return
	}
	w.late++
	w.after(there+takesMS, func() {
		w.late--
		v, err := do()
		back, arrives := w.latency(w.faults.LostAnswer)
		if arrives {
			p.inLife(life, back, func() { finish(v, err) })
		}
	})
}

// sorted appends the keys of m that are below n, in order: maps have none.
func sorted[V any](m map[int32]V, n int32) []int32 {
	var out []int32
	for i := range n {
		if _, ok := m[i]; ok {
			out = append(out, i)
		}
	}
	return out
}
