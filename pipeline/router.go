package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/conversation"
)

// RouterConfig is what the protocol of a router needs to know.
type RouterConfig struct {
	Group            string // for messages
	Source           Source
	Topics           Topics
	RowsPartitions   int32
	CommitIntervalMS int64
	CommitRecords    int
	State            conversation.Config
	Timers           Timers           // nil: nothing is ever due
	Now              func() time.Time // stamps decisions; the protocol itself runs on Next's clock
}

// Timers are the due dates of the conversations of a partition. They fire by the partition's
// watermark, in transactions that may hold nothing else.
type Timers interface {
	// NextMS is the first due date after firedMS, 0 for none.
	NextMS(partition int32, table *conversation.Table, firedMS int64) int64
	// Fire produces what is due after firedMS and up to untilMS.
	Fire(partition int32, table *conversation.Table, firedMS, untilMS int64, to Producer)
}

// timerGraceMS is how long after its due date a timer fires by the clock, in a partition that has
// nothing to read: a record that is on its way may still be older (DELIVERY, stage 1).
const timerGraceMS = 5000

// StepKind says what the driver must do next.
type StepKind uint8

// The steps, each answered by the method in brackets before Next is called again.
const (
	// StepPoll: fetch at most Records records within WaitMS [Fetched].
	StepPoll StepKind = iota
	// StepPause: fetch nothing of Partition until StepResume.
	StepPause
	// StepRestore: read the changelog into State, at leisure [Restored].
	StepRestore
	// StepResume: fetch Partition from its committed offset on.
	StepResume
	// StepBegin: begin a transaction [Begun].
	StepBegin
	// StepFlush: wait until every record of the transaction is acknowledged [Flushed].
	StepFlush
	// StepEnd: commit Offsets as part of the transaction and end it, or abort it; both only as the
	// member that the partitions were assigned to [Ended].
	StepEnd
	// StepWait: an answer is outstanding.
	StepWait
	// StepRefuse: Err says why the router must not go on.
	StepRefuse
)

// Step is one thing for the driver to do.
type Step struct {
	Kind      StepKind
	Partition int32
	Records   int
	WaitMS    int64
	State     *Restore
	Commit    bool
	// Offsets holds every partition that the transaction touched, moved or not: a transaction that
	// commits none would not be held to the membership of the group, and a router that was thought
	// dead could fire timers a second time.
	Offsets map[int32]Committed
	Err     error
}

// ErrUnknownEnd says that a transaction may or may not hold: only a new producer can find out.
var ErrUnknownEnd = errors.New("the end of the transaction is unknown")

// ErrAway says that Kafka could not be asked: nothing is wrong with what is there, so a later session
// may go on.
var ErrAway = errors.New("no broker answers")

type routerPhase uint8

const (
	routerIdle  routerPhase = iota // no transaction
	routerBegin                    // its beginning is on its way
	routerOpen
	routerFlush // its records are on their way
	routerFlushed
	routerEnd // its end is on its way
)

// pollWaitMS is how long a router without open transaction waits for records; restoreWaitMS while a
// state may be handed over at any moment.
const (
	pollWaitMS    = 1000
	restoreWaitMS = 20
)

// Router is stage 1 of the delivery protocol for one member of the group, as a step machine: it
// decides, and whoever drives it talks to Kafka. It knows no clock, no network and no goroutine, so
// every order of events can be played to it. Next says what to do; the other methods take what
// broker, restorer and group report.
//
// One transaction goes: begin, process records, produce what came of them, flush, commit offsets
// inside the transaction, end. A record only ever meets the state that belongs to its offset: a
// partition is read only after its state was restored as of the stable committed offset, and after
// an abort every state is thrown away and restored.
type Router struct {
	cfg     RouterConfig
	line    *Line
	out     *output
	weak    Weakness
	parts   map[int32]*partition
	waiting map[int32]uint64 // partitions in restore, by the epoch that asked
	epoch   uint64
	steps   []Step // to hand out before anything else
	fetched [][]*kgo.Record

	phase   routerPhase
	nowMS   int64
	begunMS int64
	records int   // in the open transaction
	cause   error // why the open transaction must abort
	err     error // why the router refuses to go on
}

// NewRouter makes a router without partitions.
func NewRouter(cfg RouterConfig, line *Line, to Producer) *Router {
	return &Router{
		cfg: cfg, line: line, out: newOutput(cfg, line, to),
		parts: make(map[int32]*partition), waiting: make(map[int32]uint64),
	}
}

// Assigned reports that the partition is this member's, and what the group has committed for it:
// stable, that is after every transaction that could still change it. The driver has paused it.
func (r *Router) Assigned(partition int32, at Committed) {
	r.Revoked(partition)
	r.restore(partition, at)
}

// Revoked reports that the partition is no longer this member's.
func (r *Router) Revoked(partition int32) {
	if part := r.parts[partition]; part != nil && part.touched && r.cause == nil {
		r.cause = fmt.Errorf("partition %d was taken away", partition)
	}
	delete(r.parts, partition)
	delete(r.waiting, partition)
}

func (r *Router) restore(partition int32, at Committed) {
	r.epoch++
	r.waiting[partition] = r.epoch
	r.steps = append(r.steps, Step{Kind: StepRestore, Partition: partition, State: &Restore{
		job:   RestoreJob{Partition: partition, Committed: at, Epoch: r.epoch},
		topic: r.cfg.Topics.State, source: r.cfg.Source, group: r.cfg.Group,
		key: r.line.fingerprint, table: conversation.NewTable(r.cfg.State), weak: r.weak,
	}})
}

// Restored hands over a complete state, or why there is none.
func (r *Router) Restored(state *Restore, err error) {
	id := state.job.Partition
	if r.waiting[id] != state.job.Epoch {
		return // given up or asked again since
	}
	delete(r.waiting, id)
	if err != nil {
		r.refuse(fmt.Errorf("cannot restore partition %d of %s: %w", id, r.cfg.Source.Topic, err))
		return
	}
	r.parts[id] = newPartition(r.cfg.Source, id, state)
	r.steps = append(r.steps, Step{Kind: StepResume, Partition: id, State: state})
}

// Fetched hands over records of one partition, in order. They belong to the router until it has
// asked for the next poll.
func (r *Router) Fetched(records []*kgo.Record) {
	if len(records) > 0 {
		r.fetched = append(r.fetched, records)
	}
}

// CaughtUp reports that a fetch of the partition succeeded and found nothing after its position.
func (r *Router) CaughtUp(partition int32) {
	if part := r.parts[partition]; part != nil {
		part.watermark = max(part.watermark, r.nowMS-timerGraceMS)
	}
}

// Next says what to do now.
func (r *Router) Next(nowMS int64) Step {
	r.nowMS = max(r.nowMS, nowMS) // a clock that is set back must not undo a frozen _day
	switch {
	case r.err != nil:
		return Step{Kind: StepRefuse, Err: r.err}
	case len(r.steps) > 0:
		s := r.steps[0]
		r.steps = r.steps[1:]
		return s
	}
	switch r.phase {
	case routerIdle:
		if len(r.fetched) > 0 || r.timersDue() {
			r.phase = routerBegin
			return Step{Kind: StepBegin}
		}
		return r.poll(pollWaitMS)
	case routerOpen:
		r.process()
		switch {
		case r.err != nil:
			return Step{Kind: StepRefuse, Err: r.err}
		case r.cause != nil:
			return r.end()
		case r.due():
			r.finish()
			r.phase = routerFlush
			return Step{Kind: StepFlush}
		}
		return r.poll(max(1, r.begunMS+r.cfg.CommitIntervalMS-r.nowMS))
	case routerFlushed:
		return r.end()
	}
	return Step{Kind: StepWait}
}

func (r *Router) poll(waitMS int64) Step {
	if len(r.waiting) > 0 {
		waitMS = min(waitMS, restoreWaitMS)
	}
	return Step{Kind: StepPoll, WaitMS: waitMS, Records: max(1, r.cfg.CommitRecords-r.records)}
}

func (r *Router) due() bool {
	return r.records >= r.cfg.CommitRecords || r.nowMS-r.begunMS >= r.cfg.CommitIntervalMS
}

// Close asks for the end of the open transaction, so that nothing is in doubt when the router ends.
func (r *Router) Close() { r.begunMS = r.nowMS - r.cfg.CommitIntervalMS }

// Idle reports that no transaction is open.
func (r *Router) Idle() bool { return r.phase == routerIdle }

// Cause is why the open transaction will abort; nil when it will not.
func (r *Router) Cause() error { return r.cause }

// Begun reports that a transaction has begun, or why none could.
func (r *Router) Begun(err error) {
	if err != nil {
		// The producer has failed for good, and what it did last is for the next one to find out.
		r.refuse(fmt.Errorf("cannot begin a transaction: %w: %w", ErrUnknownEnd, err))
		return
	}
	r.phase, r.begunMS, r.records, r.cause = routerOpen, r.nowMS, 0, nil
	r.out.begin(r.nowMS)
}

// process takes what was fetched into the open transaction.
func (r *Router) process() {
	for _, batch := range r.fetched {
		for _, rec := range batch {
			if r.cause != nil || r.err != nil {
				break
			}
			r.records++
			r.record(rec)
		}
	}
	clear(r.fetched)
	r.fetched = r.fetched[:0]
}

func (r *Router) record(rec *kgo.Record) {
	part := r.parts[rec.Partition]
	if part == nil || rec.Offset < part.next {
		// Revoked while it was fetched, or not read from where its state stands. The abort puts
		// the reading back to the committed offsets.
		r.cause = fmt.Errorf("partition %d offset %d does not follow the state", rec.Partition, rec.Offset)
		return
	}
	err := r.out.record(part, rec)
	var p *poisonError
	switch {
	case errors.As(err, &p):
		r.cause = err
	case err != nil:
		r.refuse(err)
	}
	part.watermark = max(part.watermark, min(rec.Timestamp.UnixMilli(), r.nowMS))
}

// timersDue reports whether the watermark of a partition has passed a due date.
func (r *Router) timersDue() bool {
	for _, part := range r.parts {
		if r.timerDue(part) {
			return true
		}
	}
	return false
}

func (r *Router) timerDue(part *partition) bool {
	if r.cfg.Timers == nil || part.next < 0 {
		return false // without a record there is neither a conversation nor an offset to commit
	}
	due := r.cfg.Timers.NextMS(part.id, part.table, part.fired)
	return due > 0 && due <= part.watermark
}

// finish produces what the transaction owes beside its records, in the order of partitions so that
// the same input makes the same output.
func (r *Router) finish() {
	for _, id := range r.sorted() {
		part := r.parts[id]
		part.firing = part.watermark
		if r.timerDue(part) {
			r.out.of(part)
			r.cfg.Timers.Fire(id, part.table, part.fired, part.firing, r.out.to)
		}
		if part.touched {
			r.out.finish(part)
		}
	}
}

func (r *Router) sorted() []int32 {
	ids := make([]int32, 0, len(r.parts))
	for id := range r.parts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Flushed reports that every record of the transaction was acknowledged, or that one was not.
func (r *Router) Flushed(err error) {
	r.phase = routerFlushed
	if err != nil && r.cause == nil {
		r.cause = fmt.Errorf("cannot produce: %w", err)
	}
}

func (r *Router) end() Step {
	r.phase = routerEnd
	if r.cause != nil {
		return Step{Kind: StepEnd}
	}
	offsets := make(map[int32]Committed)
	for id, part := range r.parts {
		if part.touched && (part.next > part.committed.Offset || r.weak&WeakTimersUnfenced == 0) {
			offsets[id] = part.commit()
		}
	}
	return Step{Kind: StepEnd, Commit: true, Offsets: offsets}
}

// Ended reports how the transaction ended. An error says that it is not known.
func (r *Router) Ended(committed bool, err error) {
	r.phase, r.records = routerIdle, 0
	if err != nil {
		r.refuse(fmt.Errorf("cannot end the transaction: %w: %w", ErrUnknownEnd, err))
		return
	}
	r.cause = nil
	if !committed {
		r.rewind()
		return
	}
	for _, part := range r.parts {
		if part.touched {
			part.touched = false
			part.committed = part.commit()
			part.fired = part.firing
			part.table.BeginTransaction()
		}
	}
	clear(r.out.panics)
}

// rewind throws away every state that the aborted transaction may have changed and asks for all of
// them again as of the committed offsets: the client, too, goes back to those.
func (r *Router) rewind() {
	for _, id := range r.sorted() {
		at := r.parts[id].committed
		if at.Offset < 0 {
			at.Seq = -1
		}
		if r.weak&WeakStateKeptOnAbort != 0 {
			r.parts[id].touched, r.parts[id].next = false, at.Offset
			continue
		}
		delete(r.parts, id)
		r.steps = append(r.steps, Step{Kind: StepPause, Partition: id})
		r.restore(id, at)
	}
}

func (r *Router) refuse(err error) {
	if r.err == nil {
		r.err = err
	}
}
