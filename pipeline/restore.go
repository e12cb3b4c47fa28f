package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/conversation"
)

// restored is a partition's state as its changelog has it, ready to be adopted by a worker.
type restored struct {
	job      restoreJob
	table    *conversation.Table
	progress Progress
	records  int64
	took     time.Duration
	err      error
}

// restoreJob asks for the state of one input partition as of its committed offset (−1: none yet).
type restoreJob struct {
	partition int32
	committed int64
	epoch     uint64 // the assignment that asked; a later one makes the answer stale
}

// ErrStateMismatch says that changelog and committed offset do not belong together.
var ErrStateMismatch = errors.New("state and committed offset do not match")

// restorer reads changelogs. One reader serves one job at a time; it shares nothing with the worker
// but the channel over which it hands over finished tables.
type restorer struct {
	brokers []string
	topic   string
	timeout time.Duration
	state   conversation.Config
	check   func(partition int32, p *Progress) error
	out     chan restored
}

func (r *restorer) start(ctx context.Context, job restoreJob) {
	go func() {
		begun := time.Now()
		res := r.run(ctx, job)
		res.took = time.Since(begun)
		select {
		case r.out <- res:
		case <-ctx.Done():
		}
	}()
}

func (r *restorer) run(ctx context.Context, job restoreJob) restored {
	res := restored{job: job, table: conversation.NewTable(r.state)}
	res.progress.Next = -1
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(r.brokers...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			r.topic: {job.partition: kgo.NewOffset().AtStart()},
		}),
		// The end of a partition is a control record: without it the reader cannot tell that it
		// has seen everything.
		kgo.KeepControlRecords(),
	)
	if err != nil {
		res.err = fmt.Errorf("cannot make the changelog reader: %w", err)
		return res
	}
	defer cl.Close()

	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if job.committed < 0 {
		res.err = r.wantEmpty(ctx, cl, job)
		return res
	}
	res.err = r.read(ctx, cl, &res)
	return res
}

// wantEmpty refuses a partition without committed offset whose changelog holds state: its offsets
// were reset or belong to another group, and processing from the start would count everything twice.
func (r *restorer) wantEmpty(ctx context.Context, cl *kgo.Client, job restoreJob) error {
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, r.topic)
	if err != nil {
		return fmt.Errorf("cannot list the end of %s/%d: %w", r.topic, job.partition, err)
	}
	starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, r.topic)
	if err != nil {
		return fmt.Errorf("cannot list the start of %s/%d: %w", r.topic, job.partition, err)
	}
	end, ok := ends.Lookup(r.topic, job.partition)
	if !ok || end.Err != nil {
		return fmt.Errorf("cannot list the end of %s/%d: it has no such partition; create it with "+
			"as many partitions as the events topic (usher topics --apply)", r.topic, job.partition)
	}
	start, _ := starts.Lookup(r.topic, job.partition)
	if end.Offset <= start.Offset {
		return nil
	}
	var res restored
	res.table = conversation.NewTable(r.state)
	res.job = job
	if err := r.readUntil(ctx, cl, &res, end.Offset); err != nil {
		return err
	}
	if res.progress.TopicID == ([16]byte{}) {
		return nil // only control records of aborted transactions
	}
	return fmt.Errorf("%w: %s/%d holds state up to input offset %d but the group has no committed "+
		"offset; restore the group's offsets, or delete the state topic to begin anew",
		ErrStateMismatch, r.topic, job.partition, res.progress.Next)
}

func (r *restorer) readUntil(ctx context.Context, cl *kgo.Client, res *restored, end int64) error {
	next := int64(-1)
	for next < end {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cannot read %s/%d to its end: %w", r.topic, res.job.partition, err)
		}
		var err error
		fetches.EachRecord(func(rec *kgo.Record) {
			next = rec.Offset + 1
			if err == nil {
				err = r.apply(res, rec)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read applies the changelog until its progress record equals the committed offset. Markers of two
// topics are written independently, so the last transaction may be visible in one and not yet in the
// other: waiting is right, and running out of time is a refusal, never a guess.
func (r *restorer) read(ctx context.Context, cl *kgo.Client, res *restored) error {
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: after %s the changelog %s/%d stands at input offset %d, the group "+
				"has committed %d; if the changelog was cut or the offsets were moved by hand, set the "+
				"offsets back, or delete state topic and group to begin anew; if the broker was slow, "+
				"raise restore_timeout", ErrStateMismatch, r.timeout, r.topic, res.job.partition,
				res.progress.Next, res.job.committed)
		}
		for _, fe := range fetches.Errors() {
			return fmt.Errorf("cannot read changelog %s/%d: %w", r.topic, res.job.partition, fe.Err)
		}
		done, err := false, error(nil)
		fetches.EachRecord(func(rec *kgo.Record) {
			if done || err != nil {
				return
			}
			err = r.apply(res, rec)
			done = res.progress.Next == res.job.committed
		})
		if done || err != nil {
			return err
		}
	}
}

func (r *restorer) apply(res *restored, rec *kgo.Record) error {
	if rec.Attrs.IsControl() {
		return nil
	}
	res.records++
	if string(rec.Key) == ProgressKey {
		p, err := ParseProgress(rec.Value)
		if err != nil {
			return fmt.Errorf("changelog %s/%d offset %d: %w", r.topic, rec.Partition, rec.Offset, err)
		}
		res.progress = p
		return r.check(rec.Partition, &p)
	}
	if len(rec.Key) != len(conversation.Key{}) {
		return fmt.Errorf("cannot restore %s/%d offset %d: key of %d bytes, want %d",
			r.topic, rec.Partition, rec.Offset, len(rec.Key), len(conversation.Key{}))
	}
	if err := res.table.Restore(conversation.Key(rec.Key), rec.Value); err != nil {
		return fmt.Errorf("cannot restore %s/%d offset %d: %w", r.topic, rec.Partition, rec.Offset, err)
	}
	return nil
}
