package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/cmd/usher/internal/config"
	"usher/features/conversation"
)

func TestPoliciesOf(t *testing.T) {
	c := &config.Config{SLA: []config.SLA{{
		Name: "chat", When: map[string][]string{"channel": {"web"}, "priority": {"high"}},
		FirstReply: config.Duration(3 * time.Minute), TimeToClose: config.Duration(time.Hour),
		DueSoon: 0.8, Clock: "business",
	}}}
	got, err := policiesOf(c)
	want := []conversation.Policy{{
		Name: "chat", Channels: []string{"web"}, Priorities: []string{"high"}, DueSoon: 0.8,
		Business: true, TargetMS: [4]int64{180_000, 0, 0, 3_600_000},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s %v", diff, err)
	}
	c.SLA[0].When["chanel"] = []string{"web"}
	if _, err := policiesOf(c); err == nil || !strings.Contains(err.Error(), "sla[0].when.chanel") {
		t.Errorf("a condition that is none: %v", err)
	}
}
