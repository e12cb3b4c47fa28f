package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// calmMS bounds the time between two faults; every so many kills, usher is given the time to
// recover wholly before the next, so that faults come both alone and upon each other.
const (
	calmMinMS, calmMaxMS = 300, 2500
	restEvery            = 2
	longStopEvery        = 4 // of the stops of a process, one in so many outlives its session
)

// killShares is how often each of kills comes after the first round. A broker takes the longest to
// start again, and most of that time is Java's.
var killShares = []int{4, 4, 3, 1}

// action is one way to hurt.
type action struct {
	kind string
	do   func(ctx context.Context, b *bed, r *rand.Rand) error
}

// kills are counted by KILLS: the process is gone without a word, and is started again.
var kills = []action{
	{"kill -9 router", killMember("route")},
	{"kill -9 sink", killMember("sink")},
	{"kill -9 engine", func(_ context.Context, b *bed, _ *rand.Rand) error {
		return b.engine.signal(syscall.SIGKILL)
	}},
	{"kill -9 broker", func(_ context.Context, b *bed, r *rand.Rand) error {
		if err := b.broker.signal(syscall.SIGKILL); err != nil {
			return err
		}
		time.Sleep(between(r, 0, 2000))
		return b.broker.start()
	}},
}

// disturbances come between the kills.
var disturbances = []action{
	{"network to Kafka cut", cut("kafka")},
	{"network to engine cut", cut("engine")},
	// Requests arrive and are acted on; the answers are lost.
	{"answers of Kafka lost", toxic("kafka", "timeout", "downstream", "timeout", [2]int{200, 2000})},
	{"answers of engine lost", toxic("engine", "timeout", "downstream", "timeout", [2]int{200, 2000})},
	// The stream ends in the middle of what was being sent.
	{"stream to Kafka broken", toxic("kafka", "limit_data", "upstream", "bytes", [2]int{200, 60_000})},
	{"stream from Kafka broken", toxic("kafka", "limit_data", "downstream", "bytes", [2]int{200, 60_000})},
	{"stream to engine broken", toxic("engine", "limit_data", "upstream", "bytes", [2]int{200, 60_000})},
	{"Kafka slow", toxic("kafka", "latency", "downstream", "latency", [2]int{100, 700})},
	{"engine slow", toxic("engine", "latency", "downstream", "latency", [2]int{100, 2000})},
	{"router stopped", stopMember("route")},
	{"sink stopped", stopMember("sink")},
	{"broker stopped", func(_ context.Context, b *bed, r *rand.Rand) error {
		if err := b.broker.signal(sigStop); err != nil {
			return err
		}
		time.Sleep(between(r, 500, 4000))
		return b.broker.signal(sigContinue)
	}},
	{"engine stopped", func(_ context.Context, b *bed, r *rand.Rand) error {
		if err := b.engine.signal(sigStop); err != nil {
			return err
		}
		time.Sleep(between(r, 500, 4000))
		return b.engine.signal(sigContinue)
	}},
	{"router joins or leaves", joinOrLeave("route")},
	{"sink joins or leaves", joinOrLeave("sink")},
	{"router restarted", restart("route-a")},
	{"sink restarted", restart("sink-a")},
}

func between(r *rand.Rand, minMS, maxMS int) time.Duration {
	return time.Duration(minMS+r.IntN(maxMS-minMS+1)) * time.Millisecond
}

// pick draws an index, each as often as its share says.
func pick(r *rand.Rand, shares []int) int {
	sum := 0
	for _, s := range shares {
		sum += s
	}
	n := r.IntN(sum)
	for i, s := range shares {
		if n < s {
			return i
		}
		n -= s
	}
	panic("BUG: shares do not add up")
}

// some is one of the running members of a stage.
func some(b *bed, stage string, r *rand.Rand) *process {
	first, second := b.members[stage+"-a"], b.members[stage+"-b"]
	if second.running() && r.IntN(2) == 0 {
		return second
	}
	return first
}

func killMember(stage string) func(context.Context, *bed, *rand.Rand) error {
	return func(_ context.Context, b *bed, r *rand.Rand) error {
		return some(b, stage, r).signal(syscall.SIGKILL)
	}
}

// stopMember lets a member stand still: briefly, or for longer than its session with the group, so
// that it wakes as a zombie.
func stopMember(stage string) func(context.Context, *bed, *rand.Rand) error {
	return func(_ context.Context, b *bed, r *rand.Rand) error {
		p := some(b, stage, r)
		pause := between(r, 500, 4000)
		if r.IntN(longStopEvery) == 0 {
			pause = between(r, 11_000, 14_000)
		}
		if err := p.signal(sigStop); err != nil {
			return err
		}
		time.Sleep(pause)
		return p.signal(sigContinue)
	}
}

func cut(where string) func(context.Context, *bed, *rand.Rand) error {
	return func(_ context.Context, b *bed, r *rand.Rand) error {
		b.wires[where].cut()
		time.Sleep(between(r, 200, 5000))
		return b.wires[where].heal()
	}
}

func toxic(where, kind, direction, attribute string, value [2]int,
) func(context.Context, *bed, *rand.Rand) error {
	return func(_ context.Context, b *bed, r *rand.Rand) error {
		w := b.wires[where]
		v := value[0] + r.IntN(value[1]-value[0])
		if err := w.poison(kind, direction, attribute, v); err != nil {
			return err
		}
		time.Sleep(between(r, 300, 4000))
		return w.heal()
	}
}

// joinOrLeave starts the second process of a stage, or ends it: in order, or at once.
func joinOrLeave(stage string) func(context.Context, *bed, *rand.Rand) error {
	return func(_ context.Context, b *bed, r *rand.Rand) error {
		p := b.members[stage+"-b"]
		switch {
		case !p.running():
			return p.start()
		case r.IntN(3) == 0:
			p.killForGood()
			return nil
		}
		return b.endInOrder(p)
	}
}

func restart(name string) func(context.Context, *bed, *rand.Rand) error {
	return func(_ context.Context, b *bed, r *rand.Rand) error {
		p := b.members[name]
		if err := b.endInOrder(p); err != nil {
			return err
		}
		time.Sleep(between(r, 0, 2000))
		return p.start()
	}
}

// hurtAll does the kills, in a random order that begins with one of each kind, and disturbances
// between them.
func (b *bed) hurtAll(ctx context.Context, w *watcher, r *rand.Rand) error {
	order := r.Perm(len(kills))
	for i := range b.cfg.Kills {
		if i >= len(kills) {
			order = append(order, pick(r, killShares))
		}
		d := disturbances[r.IntN(len(disturbances))]
		if err := b.hurt(ctx, w, r, d, false); err != nil {
			return err
		}
		if err := b.hurt(ctx, w, r, kills[order[i]], true); err != nil {
			return err
		}
		if i%restEvery == restEvery-1 && !w.settled(ctx, stuckAfter) {
			return fmt.Errorf("stuck: not recovered within %v from: %v", stuckAfter, w.open())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (b *bed) hurt(ctx context.Context, w *watcher, r *rand.Rand, a action, kill bool) error {
	time.Sleep(between(r, calmMinMS, calmMaxMS))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.note(a.kind, kill)
	fmt.Fprintf(b.cfg.Out, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), a.kind)
	if err := a.do(ctx, b, r); err != nil && !errors.Is(err, errNotRunning) {
		return fmt.Errorf("%s: %w", a.kind, err)
	}
	return nil
}
