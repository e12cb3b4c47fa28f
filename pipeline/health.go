package pipeline

import (
	"fmt"
	"sync"
	"time"
)

// openMax is how long a transaction may be open before its worker counts as unready: it ends every
// commit_interval, and its end takes at most endTimeout.
const openMax = endTimeout

// health is what a worker's loop tells, and others ask.
type health struct {
	sync.Mutex
	joined    bool
	restoring int
	begun     time.Time // of the open transaction; zero for none
	trouble   error     // why there is no session
}

func (h *health) session(joined bool, restoring int) {
	h.Lock()
	defer h.Unlock()
	h.joined, h.restoring = joined, restoring
	if joined {
		h.trouble = nil
	}
}

func (h *health) open(begun time.Time) {
	h.Lock()
	defer h.Unlock()
	h.begun = begun
}

func (h *health) fail(cause error) {
	h.Lock()
	defer h.Unlock()
	h.joined, h.restoring, h.begun, h.trouble = false, 0, time.Time{}, cause
}

// Unready says why the worker cannot process now, for /readyz; empty when it can. A worker without
// partitions is ready: the others of its group have them all.
func (w *Worker) Unready(now time.Time) string {
	h := &w.health
	h.Lock()
	defer h.Unlock()
	switch {
	case h.trouble != nil:
		return "a new session begins: " + h.trouble.Error()
	case !h.joined:
		return "the group " + w.cfg.Group + " has not told its partitions yet"
	case h.restoring > 0:
		return fmt.Sprintf("the state of %d partitions is being restored", h.restoring)
	case !h.begun.IsZero() && now.Sub(h.begun) > openMax:
		return fmt.Sprintf("a transaction has been open for %s", now.Sub(h.begun).Round(time.Second))
	}
	return ""
}
