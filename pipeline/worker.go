package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// transactionTimeout is how long a transaction of a lost worker may hold up its successor;
// endTimeout bounds the end of one that still has a worker.
const (
	transactionTimeout = 8 * time.Second
	endTimeout         = 10 * time.Second
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
	ClientOpts     []kgo.Opt // TLS, SASL
}

// Worker owns one Kafka client, one transactional id, the partitions assigned to it and their state.
// Run is one synchronous loop; only the group callbacks of the client run beside it, and they leave
// nothing but notes in assignments.
type Worker struct {
	cfg     WorkerConfig
	line    *Line
	log     *slog.Logger
	metrics *Metrics
	now     func() time.Time

	sess     *kgo.GroupTransactSession
	parts    map[int32]*partition
	waiting  map[int32]uint64 // partitions in restore, by the epoch that asked
	notes    assignments
	restorer *restorer
	out      *output
	begun    time.Time // of the open transaction; zero when none is open
	records  int       // in the open transaction
}

// assignments collects what the group callbacks report until the loop takes it.
type assignments struct {
	sync.Mutex
	epoch   uint64
	revoked []int32
	offsets map[int32]int64 // committed, −1 for none
	wake    context.CancelFunc
}

// NewWorker makes a worker; it connects in Run.
func NewWorker(cfg WorkerConfig, line *Line, m *Metrics, log *slog.Logger) *Worker {
	return &Worker{
		cfg: cfg, line: line, log: log.With("worker", cfg.Instance), metrics: m, now: time.Now,
		parts: make(map[int32]*partition), waiting: make(map[int32]uint64),
	}
}

// Run processes until ctx ends or the worker must refuse to go on. A clean end finishes the open
// transaction first, so nothing is in doubt.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.connect(); err != nil {
		return err
	}
	defer w.sess.Close()
	w.restorer = &restorer{
		brokers: w.cfg.Brokers, topic: w.cfg.Topics.State, timeout: w.cfg.RestoreTimeout,
		state: w.line.cfg.State, check: w.checkProgress, out: make(chan restored),
	}
	w.out = newOutput(w.cfg, w.line, w.sess)
	for ctx.Err() == nil {
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return w.commit(ctx, kgo.TryCommit)
}

func (w *Worker) connect() error {
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
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RecordPartitioner(newPartitioner(w.cfg.Topics.Rows, w.cfg.Topics.State)),
		kgo.ProducerBatchMaxBytes(2 << 20),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
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
		w.notes.revoked = append(w.notes.revoked, p)
		delete(w.notes.offsets, p)
	}
	w.notes.ring()
}

// onOffsets runs after every assignment, when the group's stable offsets are known and nothing has
// been fetched yet. Partitions are paused before their first record: a record may only meet the
// state that belongs to its offset.
func (w *Worker) onOffsets(_ context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	w.notes.Lock()
	defer w.notes.Unlock()
	if w.notes.offsets == nil {
		w.notes.offsets = make(map[int32]int64)
	}
	note := func(topic string, partition int32, offset int64) {
		if topic == w.cfg.Source.Topic {
			w.notes.offsets[partition] = offset
			cl.PauseFetchPartitions(map[string][]int32{topic: {partition}})
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			note(t.Topic, p.Partition, p.Offset)
		}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				name := t.Topic
				if name == "" && t.TopicID == w.cfg.Source.TopicID {
					name = w.cfg.Source.Topic
				}
				note(name, p.Partition, p.Offset)
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

// step is one round: take over what the group and the restorer report, poll, process, and end the
// transaction when it is due.
func (w *Worker) step(ctx context.Context) error {
	w.takeNotes(ctx)
	if err := w.adopt(); err != nil {
		return err
	}
	if len(w.parts) > 0 || len(w.waiting) == 0 {
		fetches := w.poll(ctx)
		if err := w.process(ctx, fetches); err != nil {
			return err
		}
	} else if err := w.awaitState(ctx); err != nil {
		return err
	}
	if !w.begun.IsZero() && w.due() {
		return w.commit(ctx, kgo.TryCommit)
	}
	return nil
}

func (w *Worker) due() bool {
	return w.records >= w.cfg.CommitRecords || w.now().Sub(w.begun) >= w.cfg.CommitInterval
}

// poll waits for records at most until the open transaction is due, and is woken by an assignment.
func (w *Worker) poll(ctx context.Context) kgo.Fetches {
	wait := time.Second
	if len(w.waiting) > 0 {
		wait = 20 * time.Millisecond // a table may be handed over at any moment
	}
	if !w.begun.IsZero() {
		wait = min(wait, max(w.cfg.CommitInterval-w.now().Sub(w.begun), time.Millisecond))
	}
	pollCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	w.notes.Lock()
	w.notes.wake = cancel
	pending := len(w.notes.offsets)+len(w.notes.revoked) > 0
	w.notes.Unlock()
	if pending {
		return nil
	}
	return w.sess.PollRecords(pollCtx, max(1, w.cfg.CommitRecords-w.records))
}

// takeNotes applies revocations and asks for the state of newly assigned partitions.
func (w *Worker) takeNotes(ctx context.Context) {
	w.notes.Lock()
	revoked, offsets := w.notes.revoked, w.notes.offsets
	w.notes.revoked, w.notes.offsets = nil, nil
	w.notes.Unlock()
	for _, p := range revoked {
		delete(w.parts, p)
		delete(w.waiting, p)
		w.log.Info("partition given up", "topic", w.cfg.Source.Topic, "partition", p)
	}
	for p, committed := range offsets {
		delete(w.parts, p)
		w.askRestore(ctx, p, committed)
	}
}

func (w *Worker) askRestore(ctx context.Context, p int32, committed int64) {
	w.notes.epoch++
	w.waiting[p] = w.notes.epoch
	w.restorer.start(ctx, restoreJob{partition: p, committed: committed, epoch: w.notes.epoch})
}

// adopt takes over every table that is ready.
func (w *Worker) adopt() error {
	for {
		select {
		case res := <-w.restorer.out:
			if err := w.adoptOne(res); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (w *Worker) awaitState(ctx context.Context) error {
	select {
	case res := <-w.restorer.out:
		return w.adoptOne(res)
	case <-time.After(100 * time.Millisecond): // notes may have come
	case <-ctx.Done():
	}
	return nil
}

func (w *Worker) adoptOne(res restored) error {
	id := res.job.partition
	if w.waiting[id] != res.job.epoch {
		return nil // given up or asked again since
	}
	delete(w.waiting, id)
	if res.err != nil {
		return fmt.Errorf("cannot restore partition %d of %s: %w", id, w.cfg.Source.Topic, res.err)
	}
	w.parts[id] = newPartition(w.cfg.Source, id, &res)
	w.sess.Client().ResumeFetchPartitions(map[string][]int32{w.cfg.Source.Topic: {id}})
	w.log.Info("partition taken over", "topic", w.cfg.Source.Topic, "partition", id,
		"conversations", res.table.Len(), "records", res.records, "took", res.took)
	return nil
}

func (w *Worker) checkProgress(partition int32, p *Progress) error {
	if p.TopicID != w.cfg.Source.TopicID {
		return fmt.Errorf("cannot go on with partition %d: topic %s was deleted and created again "+
			"since its state was written; use another topic name, or delete the state topic and the "+
			"group %s to begin anew", partition, w.cfg.Source.Topic, w.cfg.Group)
	}
	if p.Fingerprint != w.line.fingerprint {
		return fmt.Errorf("cannot go on with partition %d: privacy.key is not the one that its state "+
			"was written with; configure the earlier key, or begin anew with another prefix", partition)
	}
	return nil
}

// process takes the records of one poll into the open transaction, beginning one if need be.
func (w *Worker) process(ctx context.Context, fetches kgo.Fetches) error {
	for _, fe := range fetches.Errors() {
		if errors.Is(fe.Err, context.DeadlineExceeded) || errors.Is(fe.Err, context.Canceled) {
			continue
		}
		if errors.Is(fe.Err, kgo.ErrClientClosed) {
			return fe.Err
		}
		w.log.Warn("cannot fetch; trying again", "topic", fe.Topic, "partition", fe.Partition,
			"error", fe.Err)
	}
	if fetches.NumRecords() == 0 {
		return nil
	}
	if w.begun.IsZero() {
		if err := w.sess.Begin(); err != nil {
			return fmt.Errorf("cannot begin a transaction: %w", err)
		}
		w.begun = w.now()
		w.out.begin(w.begun)
	}
	var err error
	fetches.EachPartition(func(ftp kgo.FetchTopicPartition) {
		part := w.parts[ftp.Partition]
		if part == nil || err != nil {
			return // revoked while polled: the transaction will abort
		}
		for _, rec := range ftp.Records {
			w.records++
			if err = w.out.record(context.WithoutCancel(ctx), part, rec); err != nil {
				return
			}
		}
	})
	var p *poisonError
	if errors.As(err, &p) {
		w.log.Error("record processing panicked", "topic", w.cfg.Source.Topic,
			"partition", p.partition, "offset", p.offset, "tries", p.tries, "panic", p.kind)
		return w.abort(ctx)
	}
	return err
}

func (w *Worker) abort(ctx context.Context) error { return w.commit(ctx, kgo.TryAbort) }

// commit ends the open transaction. After an abort the partitions' tables hold effects that never
// happened, so they are thrown away and come back from the changelog.
func (w *Worker) commit(ctx context.Context, try kgo.TransactionEndTry) error {
	if w.begun.IsZero() {
		return nil
	}
	// Once begun, the end is seen through: a cancelled EndTxn would leave it in doubt.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	began := w.begun
	w.begun = time.Time{}
	w.records = 0
	if try == kgo.TryCommit {
		w.out.finish(end, w.parts)
		if err := w.out.produceError(); err != nil {
			w.log.Warn("cannot produce; the transaction is aborted", "error", err)
			try = kgo.TryAbort
		}
	}
	committed, err := w.sess.End(end, try)
	if err != nil {
		return fmt.Errorf("cannot end the transaction: %w", err)
	}
	if committed {
		w.out.committed(w.parts)
		w.metrics.transaction(w.now().Sub(began), true)
		return nil
	}
	w.metrics.transaction(w.now().Sub(began), false)
	w.log.Info("transaction aborted; state comes back from the changelog")
	w.rewind(ctx)
	return nil
}

// rewind throws away every table and asks for it again as of the committed offsets.
func (w *Worker) rewind(ctx context.Context) {
	for id, part := range w.parts {
		w.sess.Client().PauseFetchPartitions(map[string][]int32{w.cfg.Source.Topic: {id}})
		delete(w.parts, id)
		w.askRestore(ctx, id, part.committed)
	}
}
