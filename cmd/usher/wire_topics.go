package main

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

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
			return nil, err
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
