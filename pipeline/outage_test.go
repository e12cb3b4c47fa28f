package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gate is the network of a worker: it can be shut, which ends what is open.
type gate struct {
	sync.Mutex
	shut  bool
	after int // shuts itself at so many connections; 0: never
	conns []net.Conn
	fell  chan struct{} // closed when it has shut itself
}

func newGate(after int) *gate { return &gate{after: after, fell: make(chan struct{})} }

func (g *gate) dial(ctx context.Context, network, host string) (net.Conn, error) {
	g.Lock()
	defer g.Unlock()
	if g.after > 0 && len(g.conns) >= g.after && !g.shut {
		g.close()
		g.after = 0
		close(g.fell)
	}
	if g.shut {
		return nil, errors.New("the test's network is away")
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err == nil {
		g.conns = append(g.conns, c)
	}
	return c, err
}

func (g *gate) close() {
	g.shut = true
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

func (g *gate) set(shut bool) {
	g.Lock()
	defer g.Unlock()
	if g.shut = shut; shut {
		g.close()
	}
}

// gated starts a worker behind a gate, with a client that gives up early: an outage of a second is
// to it what one of a minute is to a patient one.
func (b *bed) gated(g *gate) (stop func()) {
	b.t.Helper()
	m := NewMetrics(prometheus.NewRegistry())
	line, err := NewLine(LineConfig{Key: testKey}, m)
	if err != nil {
		b.t.Fatal(err)
	}
	details, err := b.adm.ListTopics(b.t.Context(), b.events)
	if err != nil {
		b.t.Fatal(err)
	}
	w := NewWorker(WorkerConfig{
		Brokers: b.brokers, Group: b.group, Instance: b.topics.Rows + "gated",
		Source: Source{Topic: b.events, TopicID: details[b.events].ID, Partitions: testPartitions},
		Topics: b.topics, RowsPartitions: 2, CommitInterval: 20 * time.Millisecond,
		CommitRecords: 500, RestoreTimeout: 20 * time.Second,
		ClientOpts: []kgo.Opt{
			kgo.Dialer(g.dial), kgo.RequestRetries(1), kgo.RetryTimeout(200 * time.Millisecond),
		},
	}, line, m, slog.New(slog.NewTextHandler(b.logs, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() {
		b.t.Helper()
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("the worker ended with %v", err)
		}
	}
}

// TestBrokerAway: whatever moment the broker goes away at, the worker goes on by itself when it is
// back, and decides every message once.
func TestBrokerAway(t *testing.T) {
	whole := newBed(t)
	whole.publish(newGenerator(t, 200), 1<<30)
	stop := whole.worker("w0")
	whole.caughtUp()
	stop()

	b := newBed(t)
	g := newGenerator(t, 200)
	b.publish(g, 300)
	stop = b.worker("gated") // a state to restore
	b.caughtUp()
	stop()
	// The gate falls at the n-th connection: on joining, on restoring one of the partitions, on the
	// first transaction.
	for _, after := range []int{1, 2, 4, 7, 10} {
		t.Run("connection "+strconv.Itoa(after), func(t *testing.T) {
			gate := newGate(after)
			stop := b.gated(gate)
			b.publish(g, 150)
			select {
			case <-gate.fell:
			case <-time.After(2 * time.Second): // so many connections were not needed: fall while it runs
				gate.set(true)
			}
			time.Sleep(time.Second)
			gate.set(false)
			b.caughtUp()
			stop()
		})
	}
	t.Run("ends while it is away", func(t *testing.T) {
		gate := newGate(0)
		stop := b.gated(gate)
		b.publish(g, 100)
		b.caughtUp()
		b.publish(g, 100) // a transaction is open, or about to be
		gate.set(true)
		stop() // its successor finds out what became of it
	})
	stop = b.worker("gated")
	b.publish(g, 1<<30)
	b.caughtUp()
	stop()
	if d := cmp.Diff(decisionsOf(whole), decisionsOf(b)); d != "" {
		t.Errorf("decisions of a run without and with outages (-without +with):\n%s", d)
	}
}
