package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

type logger = *slog.Logger

// drainedPoll is how often Drained looks.
const drainedPoll = 10 * time.Millisecond

// Sink is one member of the group usher.sink.
type Sink struct {
	cfg     Config
	deps    Deps
	metrics *metrics
	clock   *clock

	flush atomic.Int64 // nanoseconds; see setFlush

	mu      sync.Mutex
	workers map[int32]*worker
	life    context.Context // of the workers: outlives the context of Run by the graceful stop
}

// New makes a sink that does nothing until Run.
func New(cfg Config, deps Deps) (*Sink, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if deps, err = deps.withDefaults(); err != nil {
		return nil, err
	}
	s := &Sink{
		cfg: cfg, deps: deps, workers: map[int32]*worker{},
		clock: newClock(deps.Store, deps.Now),
	}
	s.metrics = newMetrics(deps.Reg, s.buffered)
	return s, nil
}

// buffered are the bytes of all row blocks in memory: at most BufferBytes and one fetch a partition.
func (s *Sink) buffered() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := 0
	for _, w := range s.workers {
		w.mu.Lock()
		held += w.held
		w.mu.Unlock()
	}
	return float64(held)
}

// Run drains the topic until ctx ends; then it stores what it has consumed, within StopTimeout, and
// returns. What could not be stored waits in Kafka. A sink runs once.
func (s *Sink) Run(ctx context.Context) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.life = life
	k := &kafka{cfg: &s.cfg, ready: make(chan struct{})}
	k.node.Store(noNode)
	cl, err := kgo.NewClient(s.options(k)...)
	if err != nil {
		return fmt.Errorf("cannot start the sink: %w", err)
	}
	k.cl, k.adm = cl, kadm.NewClient(cl)
	close(k.ready)
	// Closing leaves the group, which calls back for every partition that is still assigned.
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		s.poll(ctx, cl)
	}
	s.endAll(endDry)
	return nil
}

func (s *Sink) options(k *kafka) []kgo.Opt {
	opts := append([]kgo.Opt{}, s.deps.Kafka...)
	if s.cfg.InstanceID != "" {
		// A static member that comes back gets what it was last assigned, without a rebalance. A
		// partition that its former self was giving to another member when it died would be
		// nobody's until the next one: so it asks for one.
		var joined sync.Once
		opts = append(opts, kgo.InstanceID(s.cfg.InstanceID), kgo.OnPartitionsAssigned(
			func(_ context.Context, cl *kgo.Client, _ map[string][]int32) { joined.Do(cl.ForceRebalance) }))
	}
	return append(opts,
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.ConsumeTopics(s.cfg.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The last offset of a transaction is a control record: offsets must pass it, or the sink
		// would never seem to be at the end.
		kgo.KeepControlRecords(),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(SessionTimeout),
		// As long: a member that is lost while the group rebalances holds up all others.
		kgo.RebalanceTimeout(SessionTimeout),
		kgo.HeartbeatInterval(SessionTimeout/5),
		kgo.AdjustFetchOffsetsFn(func(
			ctx context.Context, at map[string]map[int32]kgo.Offset,
		) (map[string]map[int32]kgo.Offset, error) {
			return at, s.assigned(ctx, k, at[s.cfg.Topic])
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			s.remove(p[s.cfg.Topic], func(w *worker) { w.end(endNext) })
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			s.remove(p[s.cfg.Topic], (*worker).abandon)
		}),
	)
}

// assigned starts a worker for every partition that is new here, from where it begins to consume.
func (s *Sink) assigned(ctx context.Context, k *kafka, at map[int32]kgo.Offset) error {
	if len(at) == 0 {
		return nil
	}
	<-k.ready // the group may assign partitions before NewClient has returned
	topics, err := k.adm.ListTopics(ctx, s.cfg.Topic)
	if err == nil {
		err = topics[s.cfg.Topic].Err
	}
	if err != nil {
		return fmt.Errorf("cannot take up %s: %w", s.cfg.Topic, err)
	}
	s.setFlush(len(topics[s.cfg.Topic].Partitions))
	for partition, offset := range at {
		s.remove([]int32{partition}, (*worker).abandon)
		base := max(0, offset.EpochOffset().Offset) // negative: from the start
		s.start(k, schema.UUID(topics[s.cfg.Topic].ID), partition, base)
	}
	return nil
}

// setFlush stretches the flush interval with the number of partitions, so that a table gets at most
// two parts a second from all of them: the deduplication window is counted in parts.
func (s *Sink) setFlush(partitions int) {
	pairs := max(1, (partitions+1)/2)
	s.flush.Store(int64(s.cfg.FlushInterval) * int64(pairs))
}

func (s *Sink) start(b broker, topicID schema.UUID, partition int32, base int64) {
	ctx, cancel := context.WithCancel(s.life)
	w := &worker{
		partition: partition, sink: s, broker: b, log: s.deps.Log,
		machine: deliver.NewMachine(topicID, partition, base, s.cfg.limits()),
		wake:    make(chan struct{}, 1), done: make(chan struct{}), cancel: cancel,
		merges: map[string]*rows.Merge{}, retries: backoff.NewExponentialBackOff(),
		blocks: rows.NewBlock[schema.ManifestRow](schema.Lookup(schema.TableManifest)),
	}
	w.retries.InitialInterval, w.retries.MaxInterval = retryFirst, retryMax
	w.committed.Store(-1)
	s.mu.Lock()
	s.workers[partition] = w
	s.mu.Unlock()
	go w.run(ctx)
}

// remove ends workers and forgets them; it returns when they have ended, so that no attempt of
// theirs outlives the assignment.
func (s *Sink) remove(partitions []int32, end func(*worker)) {
	for _, p := range partitions {
		s.mu.Lock()
		w := s.workers[p]
		s.mu.Unlock()
		if w == nil {
			continue
		}
		end(w)
		w.cancel()
		s.mu.Lock()
		if s.workers[p] == w {
			delete(s.workers, p)
		}
		s.mu.Unlock()
	}
}

// endAll ends every worker, together, within the stop timeout.
func (s *Sink) endAll(how ending) {
	s.mu.Lock()
	var all []*worker
	for _, w := range s.workers {
		all = append(all, w)
	}
	s.mu.Unlock()
	late := time.AfterFunc(s.cfg.StopTimeout, func() {
		for _, w := range all {
			w.cancel()
		}
	})
	defer late.Stop()
	var wg sync.WaitGroup
	for _, w := range all {
		wg.Go(func() { w.end(how) })
	}
	wg.Wait()
}

// poll consumes once and hands the records to their workers.
func (s *Sink) poll(ctx context.Context, cl *kgo.Client) {
	fetches := cl.PollFetches(ctx)
	defer cl.AllowRebalance()
	fetches.EachError(func(topic string, partition int32, err error) {
		if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			s.deps.Log.Warn("sink: cannot fetch", "topic", topic, "partition", partition, "error", err)
		}
	})
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		s.mu.Lock()
		w := s.workers[p.Partition]
		s.mu.Unlock()
		if w == nil {
			return // given up between fetch and here; its next owner consumes them
		}
		if w.add(s.records(p.Records)) {
			cl.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
		}
	})
}

// records turns consumed records into those of the protocol. One that is no row block keeps its
// place and an impossible table, so that its partition stops instead of passing it by.
func (s *Sink) records(in []*kgo.Record) []deliver.Record {
	out := make([]deliver.Record, 0, len(in))
	for _, r := range in {
		d := deliver.Record{Offset: r.Offset, Epoch: r.LeaderEpoch, Control: r.Attrs.IsControl()}
		if !d.Control {
			header, err := rows.ParseHeader(r.Headers)
			n, blockErr := rows.RowsOf(r.Value)
			if err = errors.Join(err, blockErr); err != nil {
				s.metrics.bad.Inc()
				s.deps.Log.Error("sink: a record is no row block", "partition", r.Partition,
					"offset", r.Offset, "error", err)
				header.Table, n = "a record that is no row block", 1
			}
			d.Header, d.Rows, d.Value = header, n, r.Value
		}
		out = append(out, d)
	}
	return out
}

// Drained returns when every partition of upTo is stored up to its offset (exclusive), or when one
// of them has stopped for good. The partitions must be assigned to this sink.
func (s *Sink) Drained(ctx context.Context, upTo map[int32]int64) error {
	tick := time.NewTicker(drainedPoll)
	defer tick.Stop()
	for {
		left := 0
		for partition, offset := range upTo {
			s.mu.Lock()
			w := s.workers[partition]
			s.mu.Unlock()
			switch {
			case offset == 0:
			case w == nil || w.committed.Load() < offset:
				left++
			}
			if w != nil {
				if err := w.stopped.Load(); err != nil {
					return *err
				}
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for the rows to be stored: %d partitions are behind: %w",
				left, ctx.Err())
		case <-tick.C:
		}
	}
}
