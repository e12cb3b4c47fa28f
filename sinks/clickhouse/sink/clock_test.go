package sink

import (
	"context"
	"testing"
	"time"
)

// clocks are three clocks that a test moves.
type clocks struct {
	Store
	server, local time.Time
	elapsed       time.Duration
	asked         int
}

func (c *clocks) Now(context.Context) (time.Time, error) {
	c.asked++
	return c.server, nil
}

// pass lets time pass on all of them.
func (c *clocks) pass(d time.Duration) {
	c.server, c.local, c.elapsed = c.server.Add(d), c.local.Add(d), c.elapsed+d
}

// TestClockFollowsTheServer: whatever happens to the local clock, leases go by ClickHouse's.
func TestClockFollowsTheServer(t *testing.T) {
	began := time.UnixMilli(1_800_000_000_000)
	at := &clocks{server: began.Add(2 * time.Second), local: began}
	c := &clock{store: at, now: func() time.Time { return at.local },
		elapsed: func() time.Duration { return at.elapsed }}
	want := func(what string, asked int) {
		t.Helper()
		got, err := c.ms(t.Context())
		if err != nil || got != at.server.UnixMilli() || at.asked != asked {
			t.Fatalf("%s: %d (%v) after asking %d times, want %d after %d", what, got, err, at.asked,
				at.server.UnixMilli(), asked)
		}
	}
	want("at start", 1)
	at.pass(59 * time.Second)
	want("not yet", 1)
	at.pass(time.Second)
	want("a minute later", 2)
	at.pass(time.Second)
	at.local = at.local.Add(4 * time.Second)
	want("the local clock jumps ahead", 3)
	at.local = at.local.Add(-5 * time.Second)
	want("and back", 4)
	at.server, at.local = at.server.Add(time.Hour), at.local.Add(time.Hour)
	want("the machine slept: its steady clock stood still", 5)
	at.local = at.local.Add(time.Hour)
	if _, err := c.ms(t.Context()); err == nil {
		t.Error("the clocks are an hour apart, and it is used")
	}
	at.local = at.local.Add(-time.Hour)
	want("set right again", 6)
}
