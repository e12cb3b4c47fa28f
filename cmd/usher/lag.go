package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
)

// lagLook is how long a measure looks for the oldest record of a partition: what is still silent
// then holds nothing but the marks of transactions.
const lagLook = 2 * time.Second

// lagGroup is a consumer group with the topics that it must process.
type lagGroup struct {
	name   string
	topics []string
}

// lagProbe measures how far the groups are behind, in records and in the time that the oldest of
// them has waited. The offset at a topic's end says neither: after every transaction lies a mark
// that no group ever processes, so the records themselves are looked at.
type lagProbe struct {
	opts   []kgo.Opt
	groups []lagGroup
}

func newLagProbe(c *config.Config, opts []kgo.Opt) *lagProbe {
	router := lagGroup{name: c.Topics.Prefix + "usher.router"}
	for i := range c.Sources {
		router.topics = append(router.topics, c.SourceTopic(&c.Sources[i]))
	}
	sink := lagGroup{c.Topics.Prefix + "usher.sink", []string{c.Topic(config.RowsTopic)}}
	return &lagProbe{opts: opts, groups: []lagGroup{router, sink}}
}

// lagPlace is a partition of a topic.
type lagPlace struct {
	topic     string
	partition int32
}

// measure returns usher_lag_records and usher_lag_seconds of every group.
func (p *lagProbe) measure(ctx context.Context, now time.Time) ([]sample, error) {
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, p.opts...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	var out []sample
	for _, g := range p.groups {
		open, records, err := unprocessed(ctx, kadm.NewClient(cl), g)
		if err != nil {
			return nil, err
		}
		oldest, err := oldestOf(ctx, cl, open)
		if err != nil {
			return nil, err
		}
		waited := 0.0
		total := int64(0)
		for at, stamp := range oldest {
			total += records[at]
			waited = max(waited, now.Sub(stamp).Seconds())
		}
		out = append(out, sample{"usher_lag_records", "group=" + g.name, float64(total)},
			sample{"usher_lag_seconds", "group=" + g.name, waited})
	}
	return out, nil
}

// unprocessed are the partitions whose committed end lies beyond the group's offset, with the
// offset to look from, and how many offsets lie between.
func unprocessed(ctx context.Context, adm *kadm.Client, g lagGroup) (
	map[string]map[int32]kgo.Offset, map[lagPlace]int64, error,
) {
	ends, err := adm.ListCommittedOffsets(ctx, g.topics...)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the ends of %v: %w", g.topics, err)
	}
	have, err := adm.FetchOffsets(ctx, g.name)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot fetch the offsets of %s: %w", g.name, err)
	}
	open, records := map[string]map[int32]kgo.Offset{}, map[lagPlace]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		committed, ok := have.Lookup(end.Topic, end.Partition)
		if !ok || committed.At < 0 || committed.At >= end.Offset {
			return
		}
		if open[end.Topic] == nil {
			open[end.Topic] = map[int32]kgo.Offset{}
		}
		open[end.Topic][end.Partition] = kgo.NewOffset().At(committed.At)
		records[lagPlace{end.Topic, end.Partition}] = end.Offset - committed.At
	})
	return open, records, nil
}

// oldestOf reads one record of each partition and returns its time; partitions without one have
// none in it.
func oldestOf(ctx context.Context, cl *kgo.Client, open map[string]map[int32]kgo.Offset) (
	map[lagPlace]time.Time, error,
) {
	oldest, left := map[lagPlace]time.Time{}, 0
	for _, partitions := range open {
		left += len(partitions)
	}
	if left == 0 {
		return oldest, nil
	}
	cl.AddConsumePartitions(open)
	defer func() {
		for topic := range open {
			cl.PurgeTopicsFromConsuming(topic)
		}
	}()
	look, cancel := context.WithTimeout(ctx, lagLook)
	defer cancel()
	for left > 0 {
		fetches := cl.PollFetches(look)
		fetches.EachRecord(func(r *kgo.Record) {
			at := lagPlace{r.Topic, r.Partition}
			if _, seen := oldest[at]; !seen {
				oldest[at] = r.Timestamp
				left--
			}
		})
		if errors.Is(look.Err(), context.DeadlineExceeded) {
			break
		}
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("cannot look for unprocessed records: %w", err)
		}
	}
	return oldest, ctx.Err()
}
