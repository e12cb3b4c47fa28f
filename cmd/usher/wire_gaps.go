package main

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// compacted reports whether a topic loses records to compaction. It decides nothing but the cause of
// a declared gap, so a client that may not look at the settings takes the topic for an ordinary one.
func compacted(ctx context.Context, cl *kgo.Client, topic string) bool {
	described, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return false
	}
	for _, rc := range described {
		for _, kv := range rc.Configs {
			if kv.Key == "cleanup.policy" && strings.Contains(kv.MaybeValue(), "compact") {
				return true
			}
		}
	}
	return false
}
