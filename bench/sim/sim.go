package sim

import (
	"container/heap"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"

	"github.com/cespare/xxhash/v2"

	"usher/pipeline"
)

// Bounds of a world in virtual time.
const (
	inputMS = 100_000         // the input is published during this time
	restMS  = 30 * 60 * 1_000 // and everything must be at rest this long after faults ceased
	// kinds of input: few, so that the facts of a run without faults are known for each.
	kinds = 4
)

// Result is what became of a world.
type Result struct {
	Seed      uint64
	Wrong     string // "" when the promise was kept
	Hash      uint64 // of the trace
	VirtualMS int64
	Counts    Counts
	Trace     []string // its end
	facts     facts
}

// Runner plays worlds. It keeps what every world needs and none changes. It is not safe for
// concurrent use.
type Runner struct {
	line   *pipeline.Line
	inputs [kinds]*input
	calm   [kinds]facts
	decode *decoder
}

// NewRunner makes a runner around the line of production.
func NewRunner(line *pipeline.Line) *Runner {
	r := &Runner{line: line, decode: newDecoder()}
	for i := range r.inputs {
		r.inputs[i] = newInput(uint64(i))
	}
	return r
}

// Run plays the world of a seed, and holds its facts to those of a world without faults.
func (r *Runner) Run(seed uint64, weak Weak) Result {
	kind := seed % kinds
	if r.calm[kind] == nil {
		calm := r.play(kind, Faults{EndMS: startMS}, Weak{}, 1, nil)
		if calm.Wrong != "" {
			return calm
		}
		r.calm[kind] = calm.facts
	}
	rough := rand.New(rand.NewPCG(seed, 77))
	out := r.play(seed, faultsOf(rough), weak, 2+rough.IntN(2), nil)
	if out.Wrong == "" {
		out.Wrong = differ(r.calm[kind], out.facts)
	}
	return out
}

// RunPromises plays the world of a seed with SLA policies, calendars and conversations of its own, and
// holds each promise to a plain computation of when it was due.
func (r *Runner) RunPromises(seed uint64, weak Weak) Result {
	rough := rand.New(rand.NewPCG(seed, 78))
	return r.play(seed, faultsOf(rough), weak, 2+rough.IntN(2), newPromises(seed))
}

// faultsOf draws how rough a world is: not every world has every fault, or the frequent ones would
// hide what the rare ones do.
func faultsOf(r *rand.Rand) Faults {
	some := func(most int) int {
		if r.IntN(3) == 0 {
			return 0
		}
		return r.IntN(most + 1)
	}
	return Faults{
		LostRequest: some(300), LostAnswer: some(300), SlowMessage: some(600), LateMessage: some(60),
		Crash: some(150), Freeze: some(300), Rebalance: some(500), ClockJump: some(100),
		DiskFails: some(400), DiskSlow: some(1000),
		EndMS: startMS + 60_000 + r.Int64N(240_000), StoreKill: some(200),
	}
}

// play runs one world to its end.
func (r *Runner) play(seed uint64, f Faults, weak Weak, processes int, p *promises) Result {
	w := &World{
		seed: seed, r: rand.New(rand.NewPCG(seed, 1)), nowMS: startMS, faults: f, weak: weak,
		hash: xxhash.New(), input: r.inputs[seed%kinds], decoder: r.decode, promises: p,
	}
	inputEnd := startMS + inputMS
	if p != nil {
		w.input, inputEnd = &input{source: w.input.source}, p.lastSentMS()+1
	}
	w.broker, w.store = newBroker(w), newStore(w)
	w.broker.newGroup(routerGroup, inputPartitions)
	w.broker.newGroup(sinkGroup, rowsPartitions)
	for i := range processes {
		rt := &router{proc: proc{w: w, name: fmt.Sprintf("router%d", i)}, b: w.broker, line: r.line}
		sk := &sink{proc: proc{w: w, name: fmt.Sprintf("sink%d", i)}, b: w.broker}
		w.routers, w.sinks = append(w.routers, rt), append(w.sinks, sk)
		w.after(w.between(0, 500), rt.boot)
		w.after(w.between(0, 500), sk.boot)
	}
	if p != nil {
		p.play(w)
	} else {
		w.input.play(w, inputMS)
	}
	w.after(1_000, w.disturb)
	out := Result{Seed: seed}
	out.facts = w.run(inputEnd)
	out.Wrong, out.Hash, out.Counts = w.wrong, w.hash.Sum64(), w.counts
	out.VirtualMS, out.Trace = w.nowMS-startMS, w.lines
	out.Counts.Events = w.input.total
	return out
}

// run lets things happen until everything is at rest, and looks at what is there then. What the
// protocol itself cannot bear ends the world too. The input is published until inputEndMS.
func (w *World) run(inputEndMS int64) (f facts) {
	defer func() {
		if p := recover(); p != nil {
			w.fail("panic: %v", p)
		}
	}()
	look := w.nowMS
	for w.wrong == "" {
		e := heap.Pop(&w.queue).(event)
		w.nowMS = e.atMS
		e.do()
		if w.nowMS < max(look, inputEndMS) {
			continue
		}
		look = w.nowMS + 1_000
		if !w.quiet && w.nowMS >= w.faults.EndMS {
			w.calmDown()
		}
		if !w.quiet {
			continue
		}
		why := w.settled()
		if why == "" {
			return w.check()
		}
		if w.nowMS > max(w.faults.EndMS, inputEndMS)+restMS {
			w.fail("stuck: %s", why)
		}
	}
	return nil
}

// calmDown ends the faults: what has died is born again by itself, what stands still goes on.
func (w *World) calmDown() {
	w.quiet = true
	w.trace("faults cease")
	for _, p := range w.processes() {
		p.frozenUntil = min(p.frozenUntil, w.nowMS)
		p.skewMS = 0
	}
	w.store.skewMS = 0
}

func (w *World) processes() []*proc {
	var out []*proc
	for _, r := range w.routers {
		out = append(out, &r.proc)
	}
	for _, s := range w.sinks {
		out = append(out, &s.proc)
	}
	return out
}

// disturb is what happens to processes, once a second.
func (w *World) disturb() {
	for i, p := range w.processes() {
		if !p.alive {
			continue
		}
		switch {
		case w.chance(w.faults.Crash):
			w.counts.Crashes++
			if i < len(w.routers) {
				w.routers[i].die("crash", w.downMS())
			} else {
				w.sinks[i-len(w.routers)].die("crash", w.downMS())
			}
		case w.chance(w.faults.Freeze):
			w.counts.Freezes++
			p.frozenUntil = w.nowMS + w.between(200, 30_000)
			if w.r.IntN(6) == 0 {
				p.frozenUntil += w.between(10_000, 150_000)
			}
			w.trace("%s: stands still until %d", p.name, p.frozenUntil-startMS)
		case w.chance(w.faults.ClockJump):
			w.counts.Jumps++
			p.skewMS = w.between(-4_000, 4_000)
			w.trace("%s: clock jumps to %+d", p.name, p.skewMS)
		}
	}
	if w.chance(w.faults.ClockJump) {
		w.store.skewMS = w.between(-4_000, 4_000)
	}
	for _, name := range []string{routerGroup, sinkGroup} {
		if g := w.broker.groups[name]; w.chance(w.faults.Rebalance) {
			g.shuffle = true
			g.prepare()
		}
	}
	w.after(1_000, w.disturb)
}

// downMS is how long a process stays away after a crash.
func (w *World) downMS() int64 {
	if w.r.IntN(6) == 0 {
		return w.between(15_000, 200_000)
	}
	return w.between(500, 15_000)
}

// differ tells two worlds' facts apart.
func differ(want, got facts) string {
	var lines []string
	for k, n := range want {
		if got[k] != n {
			lines = append(lines, fmt.Sprintf("%d instead of %d: %.300s", got[k], n, k))
		}
	}
	for k, n := range got {
		if want[k] == 0 {
			lines = append(lines, fmt.Sprintf("%d instead of 0: %.300s", n, k))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	shown := lines[:min(len(lines), 5)]
	return fmt.Sprintf("%d facts differ from a run without faults:\n\t%s", len(lines),
		strings.Join(shown, "\n\t"))
}

// Name is the hash as text.
func (r *Result) Name() string {
	var b [8]byte
	for i := range b {
		b[i] = byte(r.Hash >> (56 - 8*i))
	}
	return hex.EncodeToString(b[:])
}

func (c *Counts) add(o *Counts) {
	to, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(o).Elem()
	for i := range to.NumField() {
		to.Field(i).SetInt(to.Field(i).Int() + from.Field(i).Int())
	}
}

// String lists what a world went through.
func (c *Counts) String() string {
	var out []string
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		out = append(out, fmt.Sprintf("%s %d", v.Type().Field(i).Name, v.Field(i).Int()))
	}
	return strings.Join(out, ", ")
}
