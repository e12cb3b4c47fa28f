package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// Backoff between attempts that failed: Kafka keeps the rows meanwhile.
const (
	retryFirst = 100 * time.Millisecond
	retryMax   = 5 * time.Second
)

// refusedMax is how often a block is offered that ClickHouse refuses, about 10 s in all: long enough
// for a table that is just being changed.
const refusedMax = 10

// ending says how a worker is to end.
type ending int32

const (
	keepOn  ending = iota
	endNext        // give the partition up as soon as no range is under way
	endDry         // store everything that was consumed first
)

// broker is Kafka as a worker needs it.
type broker interface {
	// membership is the group's present member id and generation; an attempt keeps what it began
	// with, so that its commits fail once the group has moved on.
	membership() membership
	fetch(ctx context.Context, partition int32) (deliver.Fetched, error)
	commit(ctx context.Context, m membership, partition int32, a *deliver.Action) error
	// renew makes the group begin a new generation, which fences commits that are still on their
	// way. It returns when it has begun.
	renew(ctx context.Context, old membership) error
	resume(partition int32)
}

type membership struct {
	member     string
	generation int32
}

// worker stores one partition while it is assigned to this sink.
type worker struct {
	partition int32
	sink      *Sink
	broker    broker
	machine   *deliver.Machine
	log       logger

	mu     sync.Mutex
	inbox  []deliver.Record
	held   int // bytes of inbox and machine
	paused bool
	starve bool      // the machine needs more, whatever is held
	oldest time.Time // when the oldest record that waits was consumed

	wake   chan struct{} // has room for one
	ending atomic.Int32
	cancel context.CancelFunc
	done   chan struct{}

	committed atomic.Int64
	stopped   atomic.Pointer[error]
	failing   atomic.Pointer[failure] // nil: the last attempt was none that failed

	as      membership
	doubt   membership // of the last commit whose outcome is unknown, while doubted
	doubted bool
	merges  map[string]*rows.Merge
	body    []byte
	blocks  *rows.Block[schema.ManifestRow]
	retries *backoff.ExponentialBackOff
	refused int // how often the present block was, in a row
}

// add hands over consumed records and reports whether fetching should pause.
func (w *worker) add(records []deliver.Record) (pause bool) {
	w.mu.Lock()
	for i := range records {
		w.held += len(records[i].Value)
	}
	w.inbox = append(w.inbox, records...)
	pause = w.held >= w.sink.cfg.BufferBytes && !w.paused && !w.starve
	w.paused = w.paused || pause
	w.mu.Unlock()
	if pause {
		w.sink.metrics.pauses.Inc()
	}
	w.nudge()
	return pause
}

// nudge wakes the worker; it may be awake.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// end asks the worker to end, and waits until it has.
func (w *worker) end(how ending) {
	if w.ending.Load() < int32(how) {
		w.ending.Store(int32(how))
	}
	w.nudge()
	<-w.done
}

// abandon ends the worker at once: the partition is somebody else's by now.
func (w *worker) abandon() {
	w.cancel()
	<-w.done
}

// run steps the machine until the worker is told to end.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	for ctx.Err() == nil {
		w.take()
		how := ending(w.ending.Load())
		if how == endNext && w.machine.Between() || how == endDry && w.machine.Idle() {
			return
		}
		err := w.step(ctx, how)
		w.committed.Store(w.machine.CommittedOffset())
		switch {
		case errors.Is(err, deliver.ErrAlarm):
			w.stopped.Store(&err)
			w.sink.metrics.alarms.Inc()
			w.log.Error("sink: partition stopped", "partition", w.partition, "error", err)
			w.untilEnd(ctx)
			return
		case err != nil && ctx.Err() == nil:
			w.sink.metrics.retries.Inc()
			if w.fails(err) {
				w.log.Warn("sink: trying again", "partition", w.partition, "error", err)
			}
			if how != keepOn {
				return // whoever comes next resolves it: that is what the intent is for
			}
			w.sleep(ctx, w.retries.NextBackOff())
		}
	}
}

// untilEnd keeps the partition assigned and untouched, so that nobody takes it up and runs into the
// same wall, until the worker is told to end.
func (w *worker) untilEnd(ctx context.Context) {
	for ctx.Err() == nil && ending(w.ending.Load()) == keepOn {
		w.sleep(ctx, time.Minute)
	}
}

// take moves consumed records into the machine.
func (w *worker) take() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.inbox {
		w.machine.Add(r)
	}
	if w.oldest.IsZero() && w.machine.Waiting() {
		w.oldest = w.sink.deps.Now()
	}
	clear(w.inbox)
	w.inbox = w.inbox[:0]
}

// step does the machine's next action.
func (w *worker) step(ctx context.Context, how ending) error {
	now, err := w.sink.clock.ms(ctx)
	if err != nil {
		return err
	}
	a := w.machine.Next(now, how == endDry || w.due())
	switch a.Kind {
	case deliver.ActFetch:
		if how == endNext {
			// Not again: an attempt keeps the generation that it begins in, and the next one may
			// have given the partition to somebody else.
			return nil
		}
		return w.fetch(ctx)
	case deliver.ActCommit:
		return w.commit(ctx, &a)
	case deliver.ActReadBack:
		have, err := w.sink.deps.Store.ReadBack(ctx, w.partition, a.Intent)
		w.machine.ReadBack(have, err)
		return err
	case deliver.ActInsert:
		err := w.insert(ctx, now, &a)
		if !errors.Is(err, deliver.ErrAlarm) {
			w.machine.Inserted(err)
		}
		return err
	case deliver.ActStop:
		return a.Err
	}
	if w.machine.Swallowed() {
		if w.fails(errSwallowed) {
			w.log.Warn("sink: waiting", "partition", w.partition, "cause", errSwallowed)
		}
		w.sleep(ctx, swallowedStep)
		return nil
	}
	w.failing.Store(nil) // nothing is left to do
	w.feed()
	w.sleep(ctx, w.patience())
	return nil
}

// errSwallowed is why a partition waits though nothing fails.
var errSwallowed = errors.New("ClickHouse acknowledged rows that it does not hold; they are sent again " +
	"under another token as soon as no earlier insert of them can arrive any more (65 s)")

// swallowedStep is how often that wait is looked at.
const swallowedStep = time.Second

// feed takes the pause back while the machine repeats a range that is larger than the buffer: the
// range may have been cut under another configuration.
func (w *worker) feed() {
	w.mu.Lock()
	w.starve = w.machine.Starving()
	resume := w.starve && w.paused
	w.paused = w.paused && !resume
	w.mu.Unlock()
	if resume {
		w.broker.resume(w.partition)
	}
}

// due reports whether the oldest record that waits has waited for the flush interval.
func (w *worker) due() bool {
	return !w.oldest.IsZero() && w.sink.deps.Now().Sub(w.oldest) >= w.flushInterval()
}

func (w *worker) flushInterval() time.Duration { return time.Duration(w.sink.flush.Load()) }

// patience is how long to wait for more records.
func (w *worker) patience() time.Duration {
	if w.oldest.IsZero() {
		return time.Minute
	}
	left := w.flushInterval() - w.sink.deps.Now().Sub(w.oldest)
	return max(left, time.Millisecond)
}

// sleep waits for d, a nudge, or the end.
func (w *worker) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-t.C:
	}
}

// fetch begins an attempt: it keeps the generation that the group has now. After a commit in doubt
// that must be a new one: what is still on its way must not overwrite a later commit.
func (w *worker) fetch(ctx context.Context) error {
	w.as = w.broker.membership()
	if w.doubted && w.as == w.doubt {
		if err := w.broker.renew(ctx, w.as); err != nil {
			return err
		}
		w.as = w.broker.membership()
	}
	w.doubted = false
	f, err := w.broker.fetch(ctx, w.partition)
	w.machine.Fetched(f, err)
	return err
}

// commit commits, and remembers the generation when the outcome is unknown.
func (w *worker) commit(ctx context.Context, a *deliver.Action) error {
	before := w.machine.CommittedOffset()
	err := w.broker.commit(ctx, w.as, w.partition, a)
	w.machine.Committed(err)
	if err != nil {
		if errors.Is(err, errDoubt) {
			w.doubted, w.doubt = true, w.as
		}
		return err
	}
	if w.machine.CommittedOffset() > before {
		w.retries.Reset()
		w.release()
	}
	return nil
}

// release accounts for the records of a range that is stored.
func (w *worker) release() {
	w.mu.Lock()
	w.oldest = time.Time{}
	if w.machine.Waiting() {
		w.oldest = w.sink.deps.Now()
	}
	w.held = w.machine.WaitingBytes()
	for i := range w.inbox {
		w.held += len(w.inbox[i].Value)
	}
	resume := w.paused && w.held < w.sink.cfg.BufferBytes/2
	w.paused = w.paused && !resume
	w.mu.Unlock()
	if resume {
		w.broker.resume(w.partition)
	}
}

// insert sends the block of one table. A block that cannot be built stops the partition.
func (w *worker) insert(ctx context.Context, nowMS int64, a *deliver.Action) error {
	in, err := w.block(a)
	if err != nil {
		return err
	}
	// The server refuses the block after the lease; the sink gives up at half of it.
	ctx, cancel := context.WithTimeout(ctx, time.Duration(a.DeadlineMS-nowMS)*time.Millisecond)
	defer cancel()
	begin := w.sink.deps.Now()
	if err := w.sink.deps.Store.Insert(ctx, in); err != nil {
		w.body = nil // a request that was given up may still be reading it
		return w.poisoned(in, a.Intent, err)
	}
	w.refused = 0
	w.retries.Reset() // ClickHouse is there
	w.failing.Store(nil)
	w.sink.metrics.stored(a.Table.Name, in.Rows, w.sink.deps.Now().Sub(begin))
	return nil
}

// poisoned turns the error of a block that is refused again and again into an alarm: its partition
// stops, so that somebody looks, and the others go on.
func (w *worker) poisoned(in *Insert, span *deliver.Intent, err error) error {
	if !errors.Is(err, ErrRefused) {
		return err
	}
	if w.refused++; w.refused < refusedMax {
		return err
	}
	return fmt.Errorf("%w: partition %d: the block of the range %d-%d for %s was refused %d times: %w",
		deliver.ErrAlarm, w.partition, span.From, span.To, in.Table.Name, w.refused, err)
}

// block joins the records of a range for one table.
func (w *worker) block(a *deliver.Action) (*Insert, error) {
	m := w.merges[a.Table.Name]
	if m == nil {
		m = &rows.Merge{}
		w.merges[a.Table.Name] = m
	}
	m.Reset()
	if err := w.fill(m, a); err != nil {
		m.Reset()
		return nil, fmt.Errorf("%w: partition %d: %w", deliver.ErrAlarm, w.partition, err)
	}
	w.body = m.Encode(w.body[:0], rows.Position{
		TopicID: a.Intent.TopicID, Partition: w.partition,
		LeaseUntil: schema.Instant(a.LeaseUntilMS),
	})
	return &Insert{
		Table: a.Table, Columns: m.Names(), Rows: m.Rows(), Body: w.body,
		Token: a.Token(w.partition),
	}, nil
}

func (w *worker) fill(m *rows.Merge, a *deliver.Action) error {
	if a.Table.Writer == schema.ByRange {
		w.blocks.Reset()
		for _, row := range a.Intent.Manifest() {
			w.blocks.Append(&row)
		}
		return m.Add(w.blocks.EncodeNative(nil), a.Intent.From)
	}
	for i := range a.Records {
		if r := &a.Records[i]; !r.Control && r.Rows > 0 && r.Header.Table == a.Table.Name {
			if err := m.Add(r.Value, r.Offset); err != nil {
				return err
			}
		}
	}
	if want := a.Intent.RowsOf(a.Table); uint64(m.Rows()) != want {
		return fmt.Errorf("cannot store the range %d-%d: %d rows for %s instead of %d",
			a.Intent.From, a.Intent.To, m.Rows(), a.Table.Name, want)
	}
	return nil
}
