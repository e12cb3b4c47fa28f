package route

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// EventMessage is the event that a rule without an event condition is for.
const EventMessage = "message"

// Rule is one line of the rule table; the first one whose every condition holds decides.
type Rule struct {
	ID   string `json:"id" yaml:"id" koanf:"id"`
	When When   `json:"when" yaml:"when" koanf:"when"`
	Then Then   `json:"then" yaml:"then" koanf:"then"`
}

// When are a rule's conditions. An empty one always holds; a list holds when one of its words does.
type When struct {
	Label     Words `json:"label,omitempty" yaml:"label" koanf:"label"`
	Band      Words `json:"band,omitempty" yaml:"band" koanf:"band"`
	Channel   Words `json:"channel,omitempty" yaml:"channel" koanf:"channel"`
	Lang      Words `json:"lang,omitempty" yaml:"lang" koanf:"lang"`
	Tenant    Words `json:"tenant,omitempty" yaml:"tenant" koanf:"tenant"`
	Inbox     Words `json:"inbox,omitempty" yaml:"inbox" koanf:"inbox"`
	Sentiment Words `json:"sentiment,omitempty" yaml:"sentiment" koanf:"sentiment"`
	PrevLabel Words `json:"prev_label,omitempty" yaml:"prev_label" koanf:"prev_label"`
	Event     Words `json:"event,omitempty" yaml:"event" koanf:"event"` // empty: message

	BusinessHours *bool `json:"business_hours,omitempty" yaml:"business_hours" koanf:"business_hours"`
	BotFailed     *bool `json:"bot_failed,omitempty" yaml:"bot_failed" koanf:"bot_failed"`
	Urgent        *bool `json:"urgent,omitempty" yaml:"urgent" koanf:"urgent"`

	MinScore   float64 `json:"min_score,omitempty" yaml:"min_score" koanf:"min_score"`
	MinTurn    int64   `json:"min_turn,omitempty" yaml:"min_turn" koanf:"min_turn"`
	MinRepeats int64   `json:"min_repeats,omitempty" yaml:"min_repeats" koanf:"min_repeats"`
}

// Then is what a rule decides; what it leaves empty keeps its default.
type Then struct {
	Queue    string   `json:"queue,omitempty" yaml:"queue" koanf:"queue"`
	Role     string   `json:"role,omitempty" yaml:"role" koanf:"role"`
	Agent    string   `json:"agent,omitempty" yaml:"agent" koanf:"agent"`
	Service  string   `json:"service,omitempty" yaml:"service" koanf:"service"`
	Script   string   `json:"script,omitempty" yaml:"script" koanf:"script"`
	Priority string   `json:"priority,omitempty" yaml:"priority" koanf:"priority"`
	Escalate bool     `json:"escalate,omitempty" yaml:"escalate" koanf:"escalate"`
	Action   string   `json:"action,omitempty" yaml:"action" koanf:"action"` // a recommended_action
	Actions  []Action `json:"actions,omitempty" yaml:"actions" koanf:"actions"`
}

// Words is a list that may also be written as a single word.
type Words []string

// UnmarshalJSON reads "a" or ["a", "b"].
func (w *Words) UnmarshalJSON(b []byte) error {
	return w.read(func(to any) error { return json.Unmarshal(b, to) })
}

// UnmarshalYAML reads a scalar or a sequence; the form needs no YAML package.
func (w *Words) UnmarshalYAML(read func(any) error) error { return w.read(read) }

func (w *Words) read(read func(any) error) error {
	var one string
	if err := read(&one); err == nil {
		*w = Words{one}
		return nil
	}
	var many []string
	if err := read(&many); err != nil {
		return err
	}
	*w = many
	return nil
}

func (w Words) has(b []byte) bool {
	for _, s := range w {
		if s == string(b) { // compared in place, no copy is made
			return true
		}
	}
	return len(w) == 0
}

func (w Words) hasString(s string) bool { return len(w) == 0 || slices.Contains(w, s) }

// Rules is a compiled rule table: immutable, safe to share between workers.
type Rules struct {
	set   string
	rules []compiled
}

type compiled struct {
	Rule
	bands  uint8 // bit per Band
	action RecommendedAction
}

// setBytes is how much of the hash names a rule set.
const setBytes = 8

// NewRules compiles a rule table. The set's name is a hash of the table's meaning, so two files
// that differ in spelling alone name the same set. No rules are a table too.
func NewRules(rules []Rule) (*Rules, error) {
	canon, err := json.Marshal(append([]Rule{}, rules...))
	if err != nil {
		return nil, fmt.Errorf("cannot hash the rules: %w", err)
	}
	sum := sha256.Sum256(canon)
	t := &Rules{set: hex.EncodeToString(sum[:setBytes])}
	seen := map[string]bool{}
	for i, r := range rules {
		if r.ID == "" || seen[r.ID] {
			return nil, fmt.Errorf("cannot compile rule %d: its id is %q; give every rule an id of its own",
				i+1, r.ID)
		}
		seen[r.ID] = true
		c, err := compile(r)
		if err != nil {
			return nil, fmt.Errorf("cannot compile rule %d (%s): %w", i+1, r.ID, err)
		}
		t.rules = append(t.rules, c)
	}
	return t, nil
}

func compile(r Rule) (compiled, error) {
	c := compiled{Rule: r}
	for _, name := range r.When.Band {
		b, ok := ParseBand(name)
		if !ok {
			return c, fmt.Errorf("when.band is %q; use auto, suggest or none", name)
		}
		c.bands |= 1 << b
	}
	if len(r.When.Band) == 0 {
		c.bands = 0xff
	}
	if r.Then.Action != "" {
		var ok bool
		if c.action, ok = ParseAction(r.Then.Action); !ok {
			return c, fmt.Errorf("then.action is %q; use template_reply, clarify, redirect or none",
				r.Then.Action)
		}
	}
	if r.Then.Priority != "" && !slices.Contains(priorities[:], r.Then.Priority) {
		return c, fmt.Errorf("then.priority is %q; use low, normal, high or urgent", r.Then.Priority)
	}
	if !unit(r.When.MinScore) {
		return c, fmt.Errorf("when.min_score is %v; give a number from 0 to 1", r.When.MinScore)
	}
	for _, a := range r.Then.Actions {
		if a.Do == "" {
			return c, fmt.Errorf("then.actions has an entry without do; name what to do")
		}
	}
	return c, nil
}

// Set is the rule set's name: the first 64 bits of SHA-256 over its canonical JSON, in hex.
func (t *Rules) Set() string { return t.set }

// match finds the first rule that holds for what d and in say so far, or nil.
func (t *Rules) match(in *Inputs, d *Decision) *compiled {
	event := in.Event
	if event == "" {
		event = EventMessage
	}
	for i := range t.rules {
		if t.rules[i].holds(event, in, d) {
			return &t.rules[i]
		}
	}
	return nil
}

func (c *compiled) holds(event string, in *Inputs, d *Decision) bool {
	w := &c.When
	if len(w.Event) == 0 && event != EventMessage || !w.Event.hasString(event) {
		return false
	}
	f := &d.Features
	return c.bands&(1<<d.Band) != 0 &&
		w.Label.hasString(d.Label) &&
		w.Channel.has(in.Channel) &&
		(len(w.Lang) == 0 || w.hasLang(d.Lang)) &&
		w.Tenant.has(d.Tenant) &&
		w.Inbox.has(in.Inbox) &&
		w.Sentiment.hasString(d.Sentiment.ID) &&
		w.PrevLabel.hasString(f.PrevLabel) &&
		(w.BusinessHours == nil || f.BusinessHours == TriOf(*w.BusinessHours)) &&
		(w.Urgent == nil || in.Urgent == *w.Urgent) &&
		(w.BotFailed == nil || f.BotFailed == *w.BotFailed) &&
		(w.MinScore == 0 || d.Label != "" && d.Score >= w.MinScore) &&
		f.Turn >= w.MinTurn && f.Repeats >= w.MinRepeats
}

// hasLang lets "pt" in a rule stand for "pt-BR" too.
func (w *When) hasLang(lang []byte) bool {
	for _, s := range w.Lang {
		if len(lang) >= len(s) && bytes.EqualFold(lang[:len(s)], []byte(s)) &&
			(len(lang) == len(s) || lang[len(s)] == '-' || lang[len(s)] == '_') {
			return true
		}
	}
	return false
}
