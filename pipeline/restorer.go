package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// restored is the answer to a RestoreJob.
type restored struct {
	state *Restore
	err   error
}

// restorer reads changelogs from Kafka. One reader serves one job at a time; it shares nothing with
// the worker but the channel over which it hands over finished states.
type restorer struct {
	brokers []string
	opts    []kgo.Opt // TLS, SASL
	topic   string
	timeout time.Duration
	out     chan restored
}

func (r *restorer) start(ctx context.Context, state *Restore) {
	go func() {
		begun := time.Now()
		err := r.run(ctx, state)
		state.took = time.Since(begun)
		select {
		case r.out <- restored{state, err}:
		case <-ctx.Done():
		}
	}()
}

func (r *restorer) run(ctx context.Context, state *Restore) error {
	partition := state.job.Partition
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(r.brokers...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			r.topic: {partition: kgo.NewOffset().AtStart()},
		}),
		// The end of a partition is a control record: without it the reader cannot tell that it
		// has seen everything.
		kgo.KeepControlRecords(),
	}, r.opts...)...)
	if err != nil {
		return fmt.Errorf("cannot make the changelog reader: %w", err)
	}
	defer cl.Close()
	next, end, err := r.bounds(ctx, cl, partition)
	if err != nil {
		return err
	}
	for waited := time.Duration(0); waited < r.timeout; waited += restoreStep {
		done, err := state.Complete(next >= end)
		if done || err != nil {
			return err
		}
		before := next
		if next, err = r.read(ctx, cl, state, next, end); err != nil {
			return err
		}
		if next > before {
			waited = 0 // a long changelog is no reason to refuse
		}
	}
	if !r.answers(cl) {
		return fmt.Errorf("%w: %w", ErrAway, state.TimedOut(r.timeout))
	}
	return state.TimedOut(r.timeout)
}

// restoreStep is the longest wait for the next records of a changelog. Waits are counted in steps
// and not by a clock: a process that stood still for a minute has not waited for a minute, and may
// not even own the partition any more.
const restoreStep = 500 * time.Millisecond

// probeTimeout is how long a broker may take to show that it is there.
const probeTimeout = 3 * time.Second

// answers tells a broker that is away from a changelog that does not become complete.
func (r *restorer) answers(cl *kgo.Client) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	_, err := kadm.NewClient(cl).ListEndOffsets(ctx, r.topic)
	return err == nil
}

// away marks an error that says nothing but that the broker cannot answer now. What the broker
// refuses for good, such as a missing right, is left as it is.
func away(err error) error {
	var refusal *kerr.Error
	if errors.As(err, &refusal) && !refusal.Retriable {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// bounds are the first offset of the changelog and the end of what is stable in it.
func (r *restorer) bounds(ctx context.Context, cl *kgo.Client, partition int32) (
	start, end int64, err error,
) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListCommittedOffsets(ctx, r.topic)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot list the end of %s/%d: %w", r.topic, partition, away(err))
	}
	starts, err := adm.ListStartOffsets(ctx, r.topic)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot list the start of %s/%d: %w", r.topic, partition, away(err))
	}
	last, ok := ends.Lookup(r.topic, partition)
	if ok && last.Err != nil {
		return 0, 0, fmt.Errorf("cannot list the end of %s/%d: %w", r.topic, partition, away(last.Err))
	}
	if !ok {
		return 0, 0, fmt.Errorf("cannot list the end of %s/%d: it has no such partition; create it "+
			"with as many partitions as the events topic (usher topics --apply)", r.topic, partition)
	}
	first, _ := starts.Lookup(r.topic, partition)
	return first.Offset, last.Offset, nil
}

// read waits a step and applies what came, up to the record that completes the state.
func (r *restorer) read(ctx context.Context, cl *kgo.Client, state *Restore, next, end int64) (
	int64, error,
) {
	step, cancel := context.WithTimeout(ctx, restoreStep)
	defer cancel()
	fetches := cl.PollFetches(step)
	switch {
	case ctx.Err() != nil:
		return next, ctx.Err()
	case step.Err() != nil && fetches.NumRecords() == 0:
		return next, nil
	}
	for _, fe := range fetches.Errors() {
		return next, fmt.Errorf("cannot read changelog %s/%d: %w", r.topic, fe.Partition, away(fe.Err))
	}
	var err error
	done := false
	fetches.EachRecord(func(rec *kgo.Record) {
		if done || err != nil {
			return
		}
		next = rec.Offset + 1
		if err = state.Apply(rec); err == nil {
			done, err = state.Complete(next >= end)
		}
	})
	return next, err
}
