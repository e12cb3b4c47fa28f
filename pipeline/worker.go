package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// transactionTimeout is how long a transaction of a lost worker may hold up its successor;
// endTimeout bounds the end of one that still has a worker.
const (
	transactionTimeout = 8 * time.Second
	endTimeout         = 10 * time.Second
	stopTimeout        = 4 * time.Second // each for flush and end, when the worker is to end
	sessionRetryMax    = 10 * time.Second
)

// WorkerConfig is what one worker of the router needs. The zero value of a limit is no limit: New
// fills in the defaults of CONTRACT section 5.
type WorkerConfig struct {
	Brokers        []string
	Group          string // usher.router, with the configured prefix
	Instance       string // prefix + instance + worker number: transactional and group instance id
	Source         Source
	Topics         Topics
	RowsPartitions int32
	CommitInterval time.Duration
	CommitRecords  int
	RestoreTimeout time.Duration
	Timers         Timers    // nil: nothing is ever due
	ClientOpts     []kgo.Opt // TLS, SASL
}

// Worker drives a Router with one Kafka client, one transactional id and the partitions that the
// group assigns to it. Run is one synchronous loop; only the group callbacks of the client run
// beside it, and they leave nothing but notes in assignments.
type Worker struct {
	cfg     WorkerConfig
	line    *Line
	log     *slog.Logger
	metrics *Metrics
	now     func() time.Time

	sess     *kgo.GroupTransactSession
	router   *Router
	restorer *restorer
	notes    assignments
	first    *kgo.FirstErrPromise // of the open transaction
	begun    time.Time            // the open transaction
	looked   time.Time            // at idle partitions, last
	health   health
	after    func(*Router) // a test's, after every poll
}

// assignments collects what the group callbacks report until the loop takes it.
type assignments struct {
	sync.Mutex
	owned   map[int32]bool // of the latest assignment; nil: of none
	revoked []int32
	offsets map[int32]Committed
	wake    context.CancelFunc
}

// NewWorker makes a worker; it connects in Run.
func NewWorker(cfg WorkerConfig, line *Line, m *Metrics, log *slog.Logger) *Worker {
	return &Worker{
		cfg: cfg, line: line, log: log.With("worker", cfg.Instance), metrics: m, now: time.Now,
	}
}

// Run processes until ctx ends or the worker must refuse to go on. A clean end finishes the open
// transaction first, so nothing is in doubt. When the end of a transaction is unknown (a broker that
// is away, another member lost in the middle of a rebalance) a new session finds it out: its
// producer fences the old one and the group tells the stable offsets.
func (w *Worker) Run(ctx context.Context) error {
	again := backoff.NewExponentialBackOff()
	again.MaxInterval = sessionRetryMax
	var before error
	for {
		began := w.now()
		err := w.session(ctx)
		if !Renews(before, err) || errors.Is(err, kerr.FencedInstanceID) ||
			ctx.Err() != nil && errors.Is(err, ErrStateMismatch) {
			return err
		}
		before = err
		if ctx.Err() != nil {
			w.log.Warn("ended with a transaction in doubt; the next start finds out what became of it",
				"cause", err)
			return nil
		}
		if w.now().Sub(began) > sessionRetryMax {
			again.Reset()
		}
		wait := again.NextBackOff()
		w.health.fail(err)
		w.log.Warn("the worker begins a new session", "cause", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// Renews reports whether a session that ended with err is followed by another, before being how the
// session before it ended. State that does not match is asked for once more: a worker that stood still
// for longer than its session may have an offset of its last assignment, which others have carried on
// from. Who finds the like again at once must refuse.
func Renews(before, err error) bool {
	if errors.Is(err, ErrUnknownEnd) || errors.Is(err, ErrAway) {
		return true
	}
	return errors.Is(err, ErrStateMismatch) && !errors.Is(before, ErrStateMismatch)
}

// session runs one client and one router.
func (w *Worker) session(ctx context.Context) error {
	w.notes.Lock()
	w.notes.revoked, w.notes.offsets, w.notes.owned = nil, nil, nil
	w.notes.Unlock()
	if err := w.connect(); err != nil {
		return err
	}
	defer w.sess.Close()
	w.restorer = &restorer{
		brokers: w.cfg.Brokers, opts: w.cfg.ClientOpts, topic: w.cfg.Topics.State,
		timeout: w.cfg.RestoreTimeout, out: make(chan restored),
	}
	w.router = NewRouter(RouterConfig{
		Group: w.cfg.Group, Source: w.cfg.Source, Topics: w.cfg.Topics,
		RowsPartitions:   w.cfg.RowsPartitions,
		CommitIntervalMS: w.cfg.CommitInterval.Milliseconds(), CommitRecords: w.cfg.CommitRecords,
		State: w.line.cfg.State, Timers: w.cfg.Timers, Now: w.now,
	}, w.line, w)
	for ctx.Err() == nil {
		w.takeNotes()
		w.adopt()
		w.health.session(w.joined(), len(w.router.waiting))
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	for w.router.Close(); !w.router.Idle(); {
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) connect() error {
	var joined sync.Once
	opts := []kgo.Opt{
		kgo.SeedBrokers(w.cfg.Brokers...),
		kgo.ClientID("usher"),
		kgo.TransactionalID(w.cfg.Instance),
		// Fixed ids fence a predecessor at once; short time-outs bound what a lost one can hold.
		kgo.TransactionTimeout(transactionTimeout),
		kgo.InstanceID(w.cfg.Instance),
		kgo.SessionTimeout(10 * time.Second),
		// A member that is lost while the group rebalances holds up all others for so long.
		kgo.RebalanceTimeout(10 * time.Second),
		kgo.HeartbeatInterval(time.Second),
		kgo.ConsumerGroup(w.cfg.Group),
		kgo.ConsumeTopics(w.cfg.Source.Topic),
		kgo.Balancers(&noting{kgo.CooperativeStickyBalancer(), w.onAssignment}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RecordPartitioner(newPartitioner(w.cfg.Topics.Rows, w.cfg.Topics.State)),
		kgo.ProducerBatchMaxBytes(2 << 20),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		// A member with an instance id that comes back gets what it was last assigned, without a
		// rebalance. A partition that its former self was giving to another member when it died
		// would be nobody's until the next one: so it asks for one.
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, _ map[string][]int32) {
			joined.Do(cl.ForceRebalance)
		}),
		kgo.OnPartitionsRevoked(w.onRevoked),
		kgo.OnPartitionsLost(w.onRevoked),
		kgo.OnOffsetsFetched(w.onOffsets),
	}
	sess, err := kgo.NewGroupTransactSession(append(opts, w.cfg.ClientOpts...)...)
	if err != nil {
		return fmt.Errorf("cannot make the router's Kafka client: %w", err)
	}
	w.sess = sess
	return nil
}

func (w *Worker) onRevoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	w.notes.Lock()
	defer w.notes.Unlock()
	for _, p := range lost[w.cfg.Source.Topic] {
		w.notes.giveUp(p)
	}
	w.notes.ring()
}

func (a *assignments) giveUp(p int32) {
	a.revoked = append(a.revoked, p)
	delete(a.offsets, p)
	delete(a.owned, p)
}

// onOffsets runs after every assignment, when the group's stable offsets are known and nothing has
// been fetched yet. Partitions are paused before their first record: a record may only meet the
// state that belongs to its offset.
func (w *Worker) onOffsets(_ context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	w.notes.Lock()
	defer w.notes.Unlock()
	if w.notes.offsets == nil {
		w.notes.offsets = make(map[int32]Committed)
	}
	note := func(topic string, partition int32, offset int64, meta *string) {
		if topic != w.cfg.Source.Topic {
			return
		}
		if meta == nil {
			meta = new(string)
		}
		w.notes.offsets[partition] = ParseCommitted(offset, *meta)
		cl.PauseFetchPartitions(map[string][]int32{topic: {partition}})
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			note(t.Topic, p.Partition, p.Offset, p.Metadata)
		}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				name := t.Topic
				if name == "" && t.TopicID == w.cfg.Source.TopicID {
					name = w.cfg.Source.Topic
				}
				note(name, p.Partition, p.Offset, p.Metadata)
			}
		}
	}
	w.notes.ring()
	return nil
}

func (a *assignments) ring() {
	if a.wake != nil {
		a.wake()
	}
}

// joined reports whether the group has told this session's partitions.
func (w *Worker) joined() bool {
	w.notes.Lock()
	defer w.notes.Unlock()
	return w.notes.owned != nil
}

// takeNotes tells the router of revocations and assignments.
func (w *Worker) takeNotes() {
	w.notes.Lock()
	revoked, offsets := w.notes.revoked, w.notes.offsets
	w.notes.revoked, w.notes.offsets = nil, nil
	w.notes.Unlock()
	for _, p := range revoked {
		w.router.Revoked(p)
		w.log.Info("partition given up", "topic", w.cfg.Source.Topic, "partition", p)
	}
	for p, committed := range offsets {
		w.router.Assigned(p, committed)
	}
}

// adopt hands over every state that is ready.
func (w *Worker) adopt() {
	for {
		select {
		case res := <-w.restorer.out:
			w.router.Restored(res.state, res.err)
		default:
			return
		}
	}
}

// step does the router's next step.
func (w *Worker) step(ctx context.Context) error {
	s := w.router.Next(w.now().UnixMilli())
	own := map[string][]int32{w.cfg.Source.Topic: {s.Partition}}
	switch s.Kind {
	case StepPoll:
		w.poll(ctx, s)
	case StepPause:
		w.sess.Client().PauseFetchPartitions(own)
	case StepRestore:
		w.restorer.start(ctx, s.State)
	case StepResume:
		w.sess.Client().ResumeFetchPartitions(own)
		w.log.Info("partition taken over", "topic", w.cfg.Source.Topic, "partition", s.Partition,
			"conversations", s.State.table.Len(), "records", s.State.records, "took", s.State.took)
	case StepBegin:
		w.begun = w.now()
		w.health.open(w.begun)
		w.router.Begun(w.sess.Begin())
		w.first = kgo.AbortingFirstErrPromise(w.sess.Client())
	case StepFlush:
		w.router.Flushed(w.flush(ctx))
	case StepEnd:
		w.end(ctx, s)
	case StepRefuse:
		return s.Err
	}
	return nil
}

// Produce implements Producer.
func (w *Worker) Produce(rec *kgo.Record) {
	// Never cancelled: what was begun is seen through, or aborted.
	w.sess.Produce(context.Background(), rec, w.first.Promise())
}

// poll waits for records, and is woken by an assignment.
func (w *Worker) poll(ctx context.Context, s Step) {
	pollCtx, cancel := context.WithTimeout(ctx, time.Duration(s.WaitMS)*time.Millisecond)
	defer cancel()
	w.notes.Lock()
	w.notes.wake = cancel
	pending := len(w.notes.offsets)+len(w.notes.revoked) > 0
	w.notes.Unlock()
	if pending {
		return
	}
	fetches := w.sess.PollRecords(pollCtx, s.Records)
	for _, fe := range fetches.Errors() {
		if errors.Is(fe.Err, context.DeadlineExceeded) || errors.Is(fe.Err, context.Canceled) {
			continue
		}
		w.log.Warn("cannot fetch; trying again", "topic", fe.Topic, "partition", fe.Partition,
			"error", fe.Err)
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		w.router.LogStart(p.Partition, p.LogStartOffset)
		w.router.Fetched(p.Records)
	})
	if fetches.NumRecords() == 0 && ctx.Err() == nil {
		w.lookIdle(ctx)
	}
	if w.after != nil {
		w.after(w.router)
	}
}

func (w *Worker) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin(ctx))
	defer cancel()
	if err := w.sess.Client().Flush(ctx); err != nil {
		return err
	}
	return w.first.Err()
}

// endWithin bounds a flush, and the end of a transaction. A worker that was told to end does both
// within the ten seconds that an end in order may take.
func endWithin(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return stopTimeout
	}
	return endTimeout
}

// end ends the open transaction. Once begun, the end is seen through: a cancelled EndTxn would leave
// it in doubt.
func (w *Worker) end(ctx context.Context, s Step) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin(ctx))
	defer cancel()
	try := kgo.TryAbort
	if s.Commit {
		try = kgo.TryCommit
		ctx = kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
			return w.fence(req, s.Offsets)
		})
	} else {
		w.log.Warn("the transaction is aborted", "cause", w.router.Cause())
	}
	committed, err := w.sess.End(ctx, try)
	w.health.open(time.Time{})
	w.router.Ended(committed, err)
	w.metrics.transaction(w.now().Sub(w.begun), committed)
	if err == nil && !committed {
		w.log.Info("transaction aborted; state comes back from the changelog")
	}
}

// fence makes the offset commit of a transaction: every partition that the transaction touched, also
// where the offset did not move, which the client would leave out. The broker compares member and
// generation, not ownership, and the client stamps the generation of the moment: so a partition that
// moved to another member since must not be in it.
//
//  1. this router fires timers of a partition, which is then taken away in a cooperative rebalance
//  2. the client joins the next generation; the new owner reads the stable offset
//  3. the commit is stamped with the next generation and accepted: both have fired
func (w *Worker) fence(req *kmsg.TxnOffsetCommitRequest, offsets map[int32]Committed) error {
	w.notes.Lock()
	defer w.notes.Unlock()
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = w.cfg.Source.Topic, w.cfg.Source.TopicID
	for p, at := range offsets {
		if !w.notes.owned[p] {
			return fmt.Errorf("partition %d was taken away: %w", p, kerr.IllegalGeneration)
		}
		part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		meta := at.Meta()
		part.Partition, part.Offset, part.Metadata = p, at.Offset, &meta
		topic.Partitions = append(topic.Partitions, part)
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			at, ok := offsets[p.Partition]
			if !ok || at.Offset != p.Offset {
				return fmt.Errorf("BUG: the client is at offset %d of partition %d, the router at %d: %w",
					p.Offset, p.Partition, at.Offset, kerr.IllegalGeneration)
			}
			for i := range topic.Partitions {
				if topic.Partitions[i].Partition == p.Partition {
					topic.Partitions[i].LeaderEpoch = p.LeaderEpoch
				}
			}
		}
	}
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{topic}
	return nil
}

// noting is the cooperative balancer, which tells of every assignment as a whole. The session's
// callbacks do not: after a revocation it calls back no more until the next transaction ends.
type noting struct {
	kgo.GroupBalancer
	note func(map[string][]int32)
}

// ParseSyncAssignment implements kgo.GroupBalancer.
func (b *noting) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	all, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err == nil {
		b.note(all)
	}
	return all, err
}

func (w *Worker) onAssignment(all map[string][]int32) {
	w.notes.Lock()
	defer w.notes.Unlock()
	before := w.notes.owned
	w.notes.owned = make(map[int32]bool)
	for _, p := range all[w.cfg.Source.Topic] {
		w.notes.owned[p] = true
		delete(before, p)
	}
	for p := range before {
		w.notes.giveUp(p)
	}
	w.notes.ring()
}
