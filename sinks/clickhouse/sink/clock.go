package sink

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// clockEvery is how often ClickHouse's clock is measured again, and clockJumpMax how far the local
// one may move against the time that has passed before it is.
const (
	clockEvery   = time.Minute
	clockJumpMax = 500 * time.Millisecond
)

// clock is ClickHouse's time: what it was when it was measured, at start and every minute, and what
// has passed since by a clock that nobody sets. The local clock decides nothing, because a jump of it
// would make leases longer or let them end before they begin; but a jump, or a machine that slept, is a
// reason to measure again.
type clock struct {
	store   Store
	now     func() time.Time     // the local clock
	elapsed func() time.Duration // since some moment, never set

	mu         sync.Mutex
	measured   bool
	server     time.Time     // ClickHouse's clock
	measuredAt time.Duration // at this moment
	local      time.Time     // and the local clock then
}

func newClock(store Store, now func() time.Time) *clock {
	began := time.Now()
	// time.Since goes by the monotonic clock that began carries.
	return &clock{store: store, now: now, elapsed: func() time.Duration { return time.Since(began) }}
}

// ms is ClickHouse's time in milliseconds since 1970. It fails when the two clocks are further
// apart than a lease can bear.
func (c *clock) ms(ctx context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := c.elapsed() - c.measuredAt
	// Round takes the monotonic reading out: it is the setting of the clock that is asked for.
	moved := c.now().Round(0).Sub(c.local)
	if !c.measured || passed >= clockEvery || (moved-passed).Abs() > clockJumpMax {
		if err := c.measure(ctx); err != nil {
			return 0, err
		}
		passed = c.elapsed() - c.measuredAt
	}
	return c.server.Add(passed).UnixMilli(), nil
}

func (c *clock) measure(ctx context.Context) error {
	before := c.elapsed()
	server, err := c.store.Now(ctx)
	if err != nil {
		return err
	}
	after, local := c.elapsed(), c.now().Round(0)
	// Half the round trip is the best guess for when the server looked at its clock.
	server = server.Add((after - before) / 2)
	if offset := server.Sub(local); offset.Abs() > ClockSkewMax {
		return fmt.Errorf("cannot trust leases: ClickHouse's clock is %v from this machine's, "+
			"at most %v is allowed; synchronise both (chrony, NTP)", offset, ClockSkewMax)
	}
	c.server, c.measuredAt, c.local, c.measured = server, after, local, true
	return nil
}
