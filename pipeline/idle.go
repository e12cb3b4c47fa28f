package pipeline

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The clock of idle partitions is looked at this often, and a broker that is away gets this long.
const (
	idleLookEvery   = time.Second
	idleLookTimeout = 2 * time.Second
)

// lookIdle tells the router of partitions that have overdue timers and nothing left to read. Only an
// answer of the broker says so: a broker that is away is not idle.
func (w *Worker) lookIdle(ctx context.Context) {
	if w.now().Sub(w.looked) < idleLookEvery {
		return
	}
	overdue := w.router.Overdue()
	if len(overdue) == 0 {
		return
	}
	w.looked = w.now()
	ctx, cancel := context.WithTimeout(ctx, idleLookTimeout)
	defer cancel()
	ends, err := kadm.NewClient(w.sess.Client()).ListEndOffsets(ctx, w.cfg.Source.Topic)
	if err != nil {
		return
	}
	for id, next := range overdue {
		if end, ok := ends.Lookup(w.cfg.Source.Topic, id); ok && end.Err == nil && end.Offset == next {
			w.router.CaughtUp(id)
		}
	}
}
