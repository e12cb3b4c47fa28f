package main

import (
	"slices"
	"time"

	"usher/cmd/usher/internal/config"
	"usher/features/conversation"
)

// slaConditions are the keys of sla[].when.
var slaConditions = []string{"tenant", "queue", "channel", "priority"}

// policiesOf makes the SLA policies.
func policiesOf(c *config.Config) ([]conversation.Policy, error) {
	var out []conversation.Policy
	for i, s := range c.SLA {
		for key := range s.When {
			if !slices.Contains(slaConditions, key) {
				return nil, usagef("cannot use sla[%d].when.%s: a policy asks for %v", i, key, slaConditions)
			}
		}
		p := conversation.Policy{
			Name: s.Name, Tenants: s.When["tenant"], Queues: s.When["queue"],
			Channels: s.When["channel"], Priorities: s.When["priority"],
			DueSoon: s.DueSoon, Business: s.Clock == "business",
		}
		for metric, d := range map[conversation.Metric]config.Duration{
			conversation.MetricFirstReply:    s.FirstReply,
			conversation.MetricNextReply:     s.NextReply,
			conversation.MetricRequesterWait: s.RequesterWait,
			conversation.MetricTimeToClose:   s.TimeToClose,
		} {
			p.TargetMS[metric] = time.Duration(d).Milliseconds()
		}
		out = append(out, p)
	}
	return out, nil
}
