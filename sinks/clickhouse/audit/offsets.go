package audit

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"usher/sinks/clickhouse/schema"
)

// Kafka says where to read the settled offsets.
type Kafka struct {
	InputTopics []string
	RouterGroup string
	RowsTopic   string
	SinkGroup   string
	// Wait is how long the sink may take to store what the router has committed: 0 means 30 s.
	Wait time.Duration
}

// ErrNoTopic says that a topic is not there, so nothing can have been processed.
var ErrNoTopic = errors.New("the topic is not there")

const (
	defaultWait = 30 * time.Second
	waitPoll    = 50 * time.Millisecond
)

// Offsets reads what is settled. The router's offsets are read first and the ends of the rows topic
// after them: a transaction writes its rows before it commits its offsets, so all rows of those
// offsets lie before those ends, and once the sink has passed them, every one must be stored.
func Offsets(ctx context.Context, adm *kadm.Client, k Kafka) (Scope, error) {
	if k.Wait == 0 {
		k.Wait = defaultWait
	}
	var s Scope
	inputs, err := committed(ctx, adm, k.RouterGroup, k.InputTopics...)
	if err != nil {
		return s, err
	}
	ends, err := adm.ListEndOffsets(ctx, k.RowsTopic)
	if err == nil {
		err = ends.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return s, fmt.Errorf("cannot audit topic %s: %w", k.RowsTopic, ErrNoTopic)
	}
	if err != nil {
		return s, fmt.Errorf("cannot read the end of %s: %w", k.RowsTopic, err)
	}
	s.Inputs = inputs
	deadline := time.Now().Add(k.Wait)
	for {
		s.Rows, err = committed(ctx, adm, k.SinkGroup, k.RowsTopic)
		if err != nil {
			return s, err
		}
		behind := lag(ends, s.Rows)
		if behind == 0 {
			return s, nil
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("cannot audit yet: the sink is %d records of %s behind and did not catch "+
				"up within %v; is it running (`usher run --only sink`), and does ClickHouse answer?",
				behind, k.RowsTopic, k.Wait)
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("cannot wait for the sink: %w", ctx.Err())
		case <-time.After(waitPoll):
		}
	}
}

// lag is how far the sink is from the ends.
func lag(ends kadm.ListedOffsets, stored []Partition) int64 {
	at := map[int32]int64{}
	for _, p := range stored {
		at[p.Partition] = p.End
	}
	var behind int64
	ends.Each(func(o kadm.ListedOffset) { behind += max(0, o.Offset-at[o.Partition]) })
	return behind
}

// committed are the offsets that group has committed, by partition.
func committed(
	ctx context.Context, adm *kadm.Client, group string, topics ...string,
) ([]Partition, error) {
	details, err := adm.ListTopics(ctx, topics...)
	if err == nil {
		err = details.Error()
	}
	for _, topic := range topics {
		if err != nil && errors.Is(details[topic].Err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("cannot audit topic %s: %w", topic, ErrNoTopic)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot describe the topics of group %s: %w", group, err)
	}
	offsets, err := adm.FetchOffsetsForTopics(kadm.RequireStable(ctx), group, topics...)
	if err == nil {
		err = offsets.Error()
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // it has not committed anything yet
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the offsets of group %s: %w", group, err)
	}
	var out []Partition
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.At < 0 {
			return // nothing was done there yet
		}
		out = append(out, Partition{
			TopicID: schema.UUID(details[o.Topic].ID), Topic: o.Topic, Partition: o.Partition, End: o.At,
		})
	})
	sort.Slice(out, func(i, j int) bool {
		return out[i].Topic < out[j].Topic ||
			out[i].Topic == out[j].Topic && out[i].Partition < out[j].Partition
	})
	return out, nil
}
