package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// Source gives the records of usher.rows.v1 again while they are retained.
type Source interface {
	// Bounds are the topic's id and the first offset that is still retained in a partition.
	Bounds(ctx context.Context, partition int32) (id schema.UUID, start int64, err error)
	// Read calls each with every committed record in [from, to), control records included, in order.
	// Records are the callee's to keep.
	Read(ctx context.Context, partition int32, from, to int64, each func(deliver.Record) error) error
}

// Rows is the Source on Kafka.
type Rows struct {
	Opts  []kgo.Opt // with seed brokers
	Topic string
}

// Bounds implements Source.
func (r *Rows) Bounds(ctx context.Context, partition int32) (id schema.UUID, start int64, err error) {
	cl, err := kgo.NewClient(r.Opts...)
	if err != nil {
		return id, 0, fmt.Errorf("cannot read %s: %w", r.Topic, err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx, r.Topic)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return id, 0, fmt.Errorf("cannot describe %s: %w", r.Topic, err)
	}
	starts, err := adm.ListStartOffsets(ctx, r.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return id, 0, fmt.Errorf("cannot read the start of %s: %w", r.Topic, err)
	}
	at, ok := starts.Lookup(r.Topic, partition)
	if !ok {
		return id, 0, fmt.Errorf("cannot read the start of %s/%d: there is no such partition", r.Topic,
			partition)
	}
	return schema.UUID(topics[r.Topic].ID), at.Offset, nil
}

// Read implements Source.
func (r *Rows) Read(
	ctx context.Context, partition int32, from, to int64, each func(deliver.Record) error,
) error {
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, r.Opts...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The end of a range may be a control record.
		kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			r.Topic: {partition: kgo.NewOffset().At(from)},
		}))...)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", r.Topic, err)
	}
	defer cl.Close()
	for next := from; next < to; {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return fmt.Errorf("cannot read %s/%d from offset %d: %w", r.Topic, partition, next, err)
		}
		for _, rec := range fetches.Records() {
			if rec.Offset >= to {
				return nil
			}
			next = rec.Offset + 1
			d, err := record(rec)
			if err == nil {
				err = each(d)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func record(rec *kgo.Record) (deliver.Record, error) {
	d := deliver.Record{
		Offset: rec.Offset, Epoch: rec.LeaderEpoch, Control: rec.Attrs.IsControl(), Value: rec.Value,
	}
	if d.Control {
		return d, nil
	}
	var err error
	if d.Header, err = rows.ParseHeader(rec.Headers); err == nil {
		d.Rows, err = rows.RowsOf(rec.Value)
	}
	if err != nil {
		return d, fmt.Errorf("cannot read offset %d of partition %d: %w", rec.Offset, rec.Partition, err)
	}
	return d, nil
}
