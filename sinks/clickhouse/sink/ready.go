package sink

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// failure is why a partition's rows are not being stored, and since when.
type failure struct {
	since time.Time
	said  time.Time // in the log, last
	err   error
}

// saidEvery is how often an outage is said in the log, which every attempt of it would fill.
const saidEvery = time.Minute

// fails remembers the latest error and the time of the first one in a row. It reports whether the log
// should have it: the first, and then one a minute.
func (w *worker) fails(err error) (say bool) {
	now := w.sink.deps.Now()
	f := failure{since: now, said: now, err: err}
	before := w.failing.Load()
	if say = before == nil || now.Sub(before.said) >= saidEvery; before != nil {
		f.since = before.since
		if !say {
			f.said = before.said
		}
	}
	w.failing.Store(&f)
	return say
}

// Unready says why rows are not being stored now, for /readyz; empty when they are, or when there
// are none to store.
func (s *Sink) Unready(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var reasons []string
	for partition, w := range s.workers {
		if err := w.stopped.Load(); err != nil {
			reasons = append(reasons, fmt.Sprintf("partition %d has stopped: %v", partition, *err))
		} else if f := w.failing.Load(); f != nil {
			reasons = append(reasons, fmt.Sprintf("partition %d has not been stored for %s: %v", partition,
				now.Sub(f.since).Round(time.Second), f.err))
		}
	}
	sort.Strings(reasons)
	return strings.Join(reasons, "; ")
}

// Leads reports whether this sink stores the first partition of the rows topic: at most one sink of
// the group does, so it is the one for work that needs doing once.
func (s *Sink) Leads() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workers[0] != nil
}
