package torture

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The watcher's rhythm, and after how long a fault that is over counts as never recovered from.
const (
	watchEvery   = 250 * time.Millisecond
	watchRequest = 5 * time.Second
	stuckAfter   = 400 * time.Second // a crowded machine is slow, not stuck
)

// offsets are by partition.
type offsets map[int32]int64

// reached reports whether every partition of want is at its offset.
func (have offsets) reached(want offsets) bool {
	for p, o := range want {
		if have[p] < o {
			return false
		}
	}
	return true
}

// fault is something that was done, and how long usher needed until all that the log held at that
// moment was routed and stored.
type fault struct {
	kind  string
	kill  bool
	at    time.Time
	input offsets // the end of the log then
	rows  offsets // the end of the rows when that was routed; nil before
	took  time.Duration
	over  bool
}

// watcher follows the offsets of both groups beside the proxy.
type watcher struct {
	adm *kadm.Client

	mu     sync.Mutex
	faults []*fault
	input  offsets // latest known end of the log
}

// run polls until ctx ends. While the broker is away there is nothing to see.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look(ctx)
		}
	}
}

// look reads the offsets in the order in which they are made: what was routed first, the ends of
// the rows after it, what was stored last.
func (w *watcher) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchRequest)
	defer cancel()
	input, err := w.ends(ctx, eventsTopic)
	if err != nil {
		return
	}
	routed, err := w.committed(ctx, hurt.prefix+"usher.router", eventsTopic)
	if err != nil {
		return
	}
	// Not the stable end: the markers of the rows may come after those of the offsets.
	rows, err := w.last(ctx, hurt.prefix+"usher.rows.v1")
	if err != nil {
		return
	}
	stored, err := w.committed(ctx, hurt.prefix+"usher.sink", hurt.prefix+"usher.rows.v1")
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.input = input
	for _, f := range w.faults {
		switch {
		case f.over:
		case f.input.sum() == 0:
			f.input = input // the broker was away when it was done, or the log was empty
		case f.rows == nil && routed.reached(f.input):
			f.rows = rows
		case f.rows != nil && stored.reached(f.rows):
			f.over, f.took = true, time.Since(f.at)
		}
	}
}

// ends are the stable ends of a topic: before the first open transaction.
func (w *watcher) ends(ctx context.Context, topic string) (offsets, error) {
	return listed(w.adm.ListCommittedOffsets(ctx, topic))
}

// last are the ends of a topic, open transactions included.
func (w *watcher) last(ctx context.Context, topic string) (offsets, error) {
	return listed(w.adm.ListEndOffsets(ctx, topic))
}

func listed(all kadm.ListedOffsets, err error) (offsets, error) {
	if err == nil {
		err = all.Error()
	}
	if err == nil && len(all) == 0 {
		err = errors.New("the broker does not know the topic")
	}
	if err != nil {
		return nil, err
	}
	out := offsets{}
	all.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out, nil
}

func (w *watcher) committed(ctx context.Context, group, topic string) (offsets, error) {
	fetched, err := w.adm.FetchOffsetsForTopics(ctx, group, topic)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil {
		return nil, err
	}
	out := offsets{}
	fetched.Each(func(o kadm.OffsetResponse) { out[o.Partition] = max(0, o.At) })
	return out, nil
}

// note begins to watch the recovery from a fault.
func (w *watcher) note(kind string, kill bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &fault{kind: kind, kill: kill, at: time.Now(), input: w.input})
}

// settled waits until every fault so far is recovered from, or until the time is over.
func (w *watcher) settled(ctx context.Context, within time.Duration) bool {
	deadline := time.Now().Add(within)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if len(w.open()) == 0 {
			return true
		}
		time.Sleep(watchEvery)
	}
	return false
}

// open are the kinds of faults that usher has not recovered from.
func (w *watcher) open() (kinds []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		if !f.over {
			kinds = append(kinds, f.kind)
		}
	}
	return kinds
}

// tally is what happened with one kind of fault.
type tally struct {
	kind            string
	kill            bool
	times, never    int
	median, longest time.Duration
}

// tallies sums the faults up, kills first.
func (w *watcher) tallies() []tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := make(map[string][]time.Duration)
	var out []tally
	for _, f := range w.faults {
		i := slices.IndexFunc(out, func(t tally) bool { return t.kind == f.kind })
		if i < 0 {
			i = len(out)
			out = append(out, tally{kind: f.kind, kill: f.kill})
		}
		out[i].times++
		if !f.over {
			out[i].never++
			continue
		}
		took[f.kind] = append(took[f.kind], f.took)
	}
	for i := range out {
		if all := took[out[i].kind]; len(all) > 0 {
			slices.Sort(all)
			out[i].median, out[i].longest = all[len(all)/2], all[len(all)-1]
		}
	}
	slices.SortStableFunc(out, func(a, b tally) int {
		if a.kill != b.kill {
			if a.kill {
				return -1
			}
			return 1
		}
		return 0
	})
	return out
}
