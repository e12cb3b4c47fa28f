package torture

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// The rhythm of a soak, and how long its traffic runs before memory is judged: by then every
// conversation has been seen, as each visit to all of them takes a minute.
const (
	soakKillEvery = 2 * time.Minute
	soakLetUp     = 2 * time.Minute
)

// soakKills are done in turn, each round in another order. The second members are never killed: they
// live through every failure of their peers, and whatever those leave behind would show in them.
var soakKills = []action{
	{"kill -9 router", killOnly("route-a")},
	{"kill -9 sink", killOnly("sink-a")},
	kills[2],
	kills[3],
}

func killOnly(name string) func(context.Context, *bed, *rand.Rand) error {
	return func(_ context.Context, b *bed, _ *rand.Rand) error {
		return b.members[name].signal(syscall.SIGKILL)
	}
}

// soak lets traffic flow for as long as asked, with a kill every two minutes, and watches what the
// processes and the tables make of it.
func (b *bed) soak(ctx context.Context, w *watcher, report *Report) error {
	for _, name := range []string{"route-b", "sink-b"} {
		if err := b.members[name].start(); err != nil {
			return err
		}
	}
	began := time.Now()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := make(chan *samples, 1)
	go func() { seen <- b.watch(watching) }()
	r := rand.New(rand.NewPCG(b.cfg.Seed, 2))
	var order []int
	for next := began.Add(soakKillEvery); next.Before(began.Add(b.cfg.Soak)); next = next.Add(soakKillEvery) {
		if !sleepUntil(ctx, next) {
			return ctx.Err()
		}
		if len(order) == 0 {
			order = r.Perm(len(soakKills))
		}
		a := soakKills[order[0]]
		order = order[1:]
		if err := b.hurt(ctx, w, r, a, true); err != nil {
			return err
		}
	}
	if !sleepUntil(ctx, began.Add(b.cfg.Soak)) {
		return ctx.Err()
	}
	stop()
	report.Soak = (<-seen).judge(began.Add(soakLetUp))
	return nil
}

func sleepUntil(ctx context.Context, t time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(t)):
		return true
	}
}

// Soak is what a soak showed beside the verdict on every row.
type Soak struct {
	trends   []trend
	rates    []partRate
	Findings []string // what was not flat, or could not be judged
}

func (s *samples) judge(from time.Time) *Soak {
	out := &Soak{}
	var err error
	if out.trends, err = s.trends(from); err != nil {
		out.Findings = append(out.Findings, strings.Split(err.Error(), "\n")...)
	}
	for _, t := range out.trends {
		if t.rises() {
			out.Findings = append(out.Findings, fmt.Sprintf("%s: rises from %.0f to %.0f, at most %.0f is flat",
				t.what, t.first, t.last, t.most))
		}
	}
	if out.rates, err = s.partRates(); err != nil {
		out.Findings = append(out.Findings, err.Error())
	}
	for _, r := range out.rates {
		if r.mean > partsPerSecondMax || r.busiest > partsPerSecondMax {
			out.Findings = append(out.Findings, fmt.Sprintf("%s: %.2f parts a second, %.2f in its busiest "+
				"minute, at most %d are promised", r.table, r.mean, r.busiest, partsPerSecondMax))
		}
	}
	return out
}

func (s *Soak) print(out io.Writer) {
	fmt.Fprintf(out, "\n%-28s %8s %14s %14s %14s\n", "medians of thirds", "samples", "first", "last", "flat up to")
	for _, t := range s.trends {
		fmt.Fprintf(out, "%-28s %8d %14.0f %14.0f %14.0f\n", t.what, t.samples, t.first, t.last, t.most)
	}
	fmt.Fprintf(out, "\n%-28s %14s %14s\n", "parts a second", "mean", "busiest minute")
	for _, r := range s.rates {
		if r.busiest > 0 {
			fmt.Fprintf(out, "%-28s %14.2f %14.2f\n", r.table, r.mean, r.busiest)
		}
	}
}
