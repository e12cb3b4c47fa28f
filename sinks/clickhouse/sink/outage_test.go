package sink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/sink"
)

// gauge reads one metric without labels.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// until waits for something that must come.
func until(t *testing.T, what string, there func() bool) {
	t.Helper()
	for range 15000 {
		if there() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("no %s within five minutes", what)
}

// count is the number of rows of one partition of the input.
func (b *bed) count(table string, partition int) string {
	b.t.Helper()
	return enginetest.Query(b.t, b.conn, fmt.Sprintf("SELECT count() FROM %s WHERE _src_partition = %d",
		table, partition))
}

// TestAPoisonBlockStopsItsPartitionOnly: a block that ClickHouse refuses for ever is offered a few
// times; then its partition stops with an alarm that says what it was, and the other goes on.
func TestAPoisonBlockStopsItsPartitionOnly(t *testing.T) {
	b := newBed(t)
	reg := prometheus.NewRegistry()
	b.reg = reg
	enginetest.Exec(t, b.conn, "ALTER TABLE turns ADD CONSTRAINT no_poison CHECK "+
		"NOT (_src_partition = 0 AND _src_offset = 43)")
	s := b.run(sink.NewClickHouse(b.conn), nil)
	for range 4 {
		b.produce(40, startDay, true)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := s.Drained(ctx, map[int32]int64{0: b.ends()[0]})
	if !errors.Is(err, deliver.ErrAlarm) || !errors.Is(err, sink.ErrRefused) ||
		!strings.Contains(err.Error(), "for turns was refused 10 times") ||
		strings.Contains(err.Error(), "_src_offset") { // a value of the block
		t.Errorf("drained with %v", err)
	}
	if why := s.Unready(time.Now()); !strings.Contains(why, "partition 0 has stopped") ||
		strings.Contains(why, "partition 1") {
		t.Errorf("unready: %q", why)
	}
	if n := gauge(t, reg, "usher_sink_alarms_total"); n != 1 {
		t.Errorf("%v alarms", n)
	}
	b.produce(40, startDay, true) // after the alarm
	if err := s.Drained(ctx, map[int32]int64{1: b.ends()[1]}); err != nil {
		t.Fatal(err)
	}
	if n := b.count("events", 1); n != "200" {
		t.Errorf("%s events of the healthy partition, want 200", n)
	}
	s.stop()

	// Whoever mends the table and starts the sink again gets the rest, once.
	enginetest.Exec(t, b.conn, "ALTER TABLE turns DROP CONSTRAINT no_poison")
	b.drain(b.run(sink.NewClickHouse(b.conn), nil))
	b.whole()
}

// slow is a store whose inserts take their time.
type slow struct {
	sink.Store
	by time.Duration
}

func (s *slow) Insert(ctx context.Context, in *sink.Insert) error {
	time.Sleep(s.by)
	return s.Store.Insert(ctx, in)
}

// Limits of the test below; a fetch brings at least one batch, whatever its size.
const (
	slowBuffer = 40_000
	slowFetch  = 8_000
	slowBatch  = 16_000
)

// TestASlowStoreFillsABoundedBuffer: rows that come faster than they are stored wait in Kafka, not
// in memory, and all of them are stored in the end.
func TestASlowStoreFillsABoundedBuffer(t *testing.T) {
	b := newBed(t)
	reg := prometheus.NewRegistry()
	b.reg = reg
	b.opts = []kgo.Opt{kgo.FetchMaxPartitionBytes(slowFetch), kgo.FetchMaxBytes(2 * slowFetch)}
	for range 20 {
		b.produce(60, startDay, true)
	}
	s := b.run(&slow{sink.NewClickHouse(b.conn), 20 * time.Millisecond}, func(c *sink.Config) {
		c.RangeRows, c.RangeBytes, c.BufferBytes = 10_000, slowBuffer/2, slowBuffer
	})
	most := 0.0
	drained := make(chan error, 1)
	ends := b.ends()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		drained <- s.Drained(ctx, ends)
	}()
	for done := false; !done; {
		select {
		case err := <-drained:
			if done = true; err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Millisecond):
			most = max(most, gauge(t, reg, "usher_sink_buffered_bytes"))
		}
	}
	b.whole()
	bound := float64(partitions * (slowBuffer + slowFetch + slowBatch))
	if most > bound || most < slowBuffer {
		t.Errorf("%.0f bytes were held at once, at most %.0f may be, and %d should", most, bound, slowBuffer)
	}
	if gauge(t, reg, "usher_sink_pauses_total") == 0 {
		t.Error("the buffer was never full: nothing was tried")
	}
}

// TestANoRoomAnswerIsWaitedOut: an engine without room refuses inserts and says so; the sink waits,
// names the reason, and goes on by itself when there is room.
func TestANoRoomAnswerIsWaitedOut(t *testing.T) {
	b := newBed(t)
	room := func(bytes int64) {
		enginetest.Exec(t, b.conn, fmt.Sprintf(
			"ALTER TABLE turns MODIFY SETTING min_free_disk_bytes_to_perform_insert = %d", bytes))
	}
	room(1 << 60)
	s := b.run(sink.NewClickHouse(b.conn), nil)
	b.produce(40, startDay, true)
	until(t, "reason in /readyz", func() bool {
		return strings.Contains(s.Unready(time.Now()), "NOT_ENOUGH_SPACE")
	})
	for range 3 {
		b.produce(40, startDay, true)
	}
	room(0)
	b.drain(s)
	b.whole()
	until(t, "ready sink", func() bool { return s.Unready(time.Now()) == "" })
}
