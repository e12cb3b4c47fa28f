package conversation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Metric is what a policy promises.
type Metric uint8

// The metrics of CONTRACT section 5, sla.
const (
	MetricFirstReply    Metric = iota // a cycle's first wait
	MetricNextReply                   // each wait after it
	MetricRequesterWait               // the sum of a cycle's waits
	MetricTimeToClose                 // opening of a cycle to its close
	metrics
)

// String is the value of sla_events.metric.
func (m Metric) String() string {
	return [...]string{"first_reply", "next_reply", "requester_wait", "time_to_close"}[m&3]
}

// SLAStatus is what has become of a promise.
type SLAStatus uint8

// The values of sla_events.status; all but due_soon are terminal.
const (
	SLADueSoon SLAStatus = iota
	SLABreached
	SLAMet
	SLACancelled // it ended without an answer, before it was due
)

// String is the value of sla_events.status.
func (s SLAStatus) String() string {
	return [...]string{"due_soon", "breached", "met", "cancelled"}[s&3]
}

// Policy promises times to conversations that fit; an empty list fits all. Which policy applies is
// settled when a promise begins: a later transfer, or other policies, change no promise that runs.
type Policy struct {
	Name       string         `json:"name"`
	Tenants    []string       `json:"tenants,omitempty"`
	Queues     []string       `json:"queues,omitempty"`
	Channels   []string       `json:"channels,omitempty"`
	Priorities []string       `json:"priorities,omitempty"`
	TargetMS   [metrics]int64 `json:"target_ms"` // by Metric; 0 promises nothing
	DueSoon    float64        `json:"due_soon"`  // share of the target; 0 or 1: no due_soon
	Business   bool           `json:"business"`  // the clock stands still out of hours
}

// policySet is a list of policies in this table's words. Its version names its text.
type policySet struct {
	text     []byte
	version  string
	policies []compiledPolicy
}

type compiledPolicy struct {
	name                                  uint32
	tenants, queues, channels, priorities []uint32
	target                                [metrics]int64
	soon                                  [metrics]int64
	business                              bool
}

const (
	policiesPrefix     = "policies" // of changelog keys, as calendarPrefix
	policyVersionBytes = 8
	defaultPriority    = "normal"
)

// compile puts policies into words.
func (w *words) compile(list []Policy) (*policySet, error) {
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("cannot name the version of the policies: %w", err)
	}
	sum := sha256.Sum256(text)
	set := &policySet{text: text, version: hex.EncodeToString(sum[:policyVersionBytes])}
	for _, p := range list {
		c := compiledPolicy{
			name: w.numberString(p.Name), tenants: w.numbers(p.Tenants), queues: w.numbers(p.Queues),
			channels: w.numbers(p.Channels), priorities: w.numbers(p.Priorities),
			target: p.TargetMS, business: p.Business,
		}
		for i, target := range p.TargetMS {
			if p.DueSoon > 0 && p.DueSoon < 1 {
				c.soon[i] = int64(float64(target) * p.DueSoon)
			}
		}
		set.policies = append(set.policies, c)
	}
	return set, nil
}

func (w *words) numbers(list []string) []uint32 {
	var out []uint32
	for _, s := range list {
		out = append(out, w.numberString(s))
	}
	return out
}

// match is the first policy that fits, nil when none does.
func (p *policySet) match(tenant, queue, channel, priority uint32) *compiledPolicy {
	fits := func(list []uint32, id uint32) bool { return len(list) == 0 || slices.Contains(list, id) }
	for i := range p.policies {
		c := &p.policies[i]
		if fits(c.tenants, tenant) && fits(c.queues, queue) && fits(c.channels, channel) &&
			fits(c.priorities, priority) {
			return c
		}
	}
	return nil
}

// usePolicies makes the configured policies those in force.
func (t *Table) usePolicies() {
	if len(t.cfg.Policies) == 0 {
		return
	}
	set, err := t.words.compile(t.cfg.Policies)
	if err != nil {
		panic("BUG: " + err.Error()) // strings and numbers always marshal
	}
	t.policiesNow = t.learn(set)
	t.policiesFresh = true
}

// learn makes a set known under the word of its version.
func (t *Table) learn(set *policySet) uint32 {
	m, w := &t.machine, &t.words
	m.normal, m.defaultQ = w.numberString(defaultPriority), w.numberString(defaultQueue)
	id := w.numberString(set.version)
	m.policies[id] = set
	return id
}

func (t *Table) emitPolicies(emit func(key Key, value []byte)) {
	if !t.policiesFresh || len(t.touched) == 0 {
		return
	}
	set := t.machine.policies[t.policiesNow]
	version, err := hex.DecodeString(set.version)
	if err != nil {
		panic("BUG: a version of policies is no hex")
	}
	emit(Key(append([]byte(policiesPrefix), version...)), set.text)
}

func isPoliciesKey(k Key) bool { return string(k[:len(policiesPrefix)]) == policiesPrefix }

func (t *Table) restorePolicies(value []byte) error {
	if len(value) == 0 {
		return nil
	}
	var list []Policy
	if err := json.Unmarshal(value, &list); err != nil {
		return fmt.Errorf("cannot restore policies from %d bytes: %w", len(value), err)
	}
	set, err := t.words.compile(list)
	if err != nil {
		return err
	}
	if id := t.learn(set); id == t.policiesNow {
		t.policiesFresh = false
	}
	return nil
}
