package sink

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// clockEvery is how often ClickHouse's clock is measured again.
const clockEvery = time.Minute

// clock is ClickHouse's time: the local clock plus an offset measured at start and every minute.
type clock struct {
	store Store
	now   func() time.Time

	mu       sync.Mutex
	offset   time.Duration
	measured time.Time // zero: never
}

// ms is ClickHouse's time in milliseconds since 1970. It fails when the two clocks are further
// apart than a lease can bear.
func (c *clock) ms(ctx context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	local := c.now()
	if c.measured.IsZero() || local.Sub(c.measured) >= clockEvery || local.Before(c.measured) {
		server, err := c.store.Now(ctx)
		if err != nil {
			return 0, err
		}
		// Half the round trip is the best guess for when the server looked at its clock.
		after := c.now()
		offset := server.Sub(local.Add(after.Sub(local) / 2))
		if offset.Abs() > ClockSkewMax {
			return 0, fmt.Errorf("cannot trust leases: ClickHouse's clock is %v from this machine's, "+
				"at most %v is allowed; synchronise both (chrony, NTP)", offset, ClockSkewMax)
		}
		c.offset, c.measured, local = offset, after, after
	}
	return local.Add(c.offset).UnixMilli(), nil
}
