package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"usher/cmd/usher/internal/config"
	"usher/pipeline"
)

// awaitTopics is inspectTopics for a process that may start while Kafka is away: it waits for it, as
// it does later, and says so. What the broker answers and what is configured wrongly ends it.
func awaitTopics(ctx context.Context, c *config.Config, s routerSettings, topics pipeline.Topics) (
	src pipeline.Source, rowsPartitions int32, err error,
) {
	for {
		src, rowsPartitions, err = inspectTopics(ctx, c, s, topics)
		var refusal *kerr.Error
		var usage *usageError
		if err == nil || s.Ready == nil || errors.As(err, &usage) || !errors.Is(err, errUnlisted) ||
			errors.As(err, &refusal) && !refusal.Retriable {
			return src, rowsPartitions, err
		}
		s.Log.Warn("Kafka is away; trying again", "error", err)
		select {
		case <-ctx.Done():
			return src, 0, ctx.Err()
		case <-time.After(awayPoll):
		}
	}
}

// errUnlisted marks topics that could not be asked for.
var errUnlisted = errors.New("no list of topics")

// awayPoll is how long to leave a broker alone that did not answer.
const awayPoll = time.Second

// topicsWait is how long a topic may be unknown to a broker that has just started, or has just
// created it, before it counts as missing.
const (
	topicsWait = 10 * time.Second
	topicsPoll = 200 * time.Millisecond
)

// listTopics describes the topics, all of which must be there.
func listTopics(ctx context.Context, adm *kadm.Client, names ...string) (kadm.TopicDetails, error) {
	deadline := time.Now().Add(topicsWait)
	for {
		details, err := adm.ListTopics(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnlisted, err)
		}
		var missing []string
		for _, t := range names {
			if !details.Has(t) || details[t].Err != nil {
				missing = append(missing, t)
			}
		}
		if len(missing) == 0 {
			return details, nil
		}
		if time.Now().After(deadline) {
			return nil, usagef("topics are missing: %s; create them with usher topics --apply, or switch "+
				"topics.create on", strings.Join(missing, ", "))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(topicsPoll):
		}
	}
}
