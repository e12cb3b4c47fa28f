// Package route turns the scores of a classifier, the cut-offs and the rules into one Decision, and
// a Decision into the JSON of chat.decisions.v1 (CONTRACT section 3). It is pure: no clock, no
// input or output, and the same inputs give the same bytes.
package route

// Decision is one routing decision. Slices and strings may point into buffers of the caller: they
// are read by AppendJSON and by the row writer, never kept. Reuse one Decision per worker: Reset
// empties it and keeps the memory of its lists.
type Decision struct {
	ID             [16]byte // see ID
	TimeMS         int64    // event time, milliseconds since 1970, UTC
	Tenant         []byte
	ConversationID []byte // already pseudonymous where privacy asks for it
	Cycle          int64  // ordinal of the cycle in its conversation; 0 prints null
	Trigger        Trigger
	Model          ModelInfo // no Name prints null

	Label       string  // best label; empty prints null
	Score       float64 // calibrated probability, 4 decimals; printed when Label is set
	Margin      float64 // best − second, 4 decimals; printed when Label is set
	Scope       float64 // 0 foreign … 1 like the training text; printed when Label is set
	Band        Band
	BandReason  Reason
	Thresholds  Thresholds
	Suggestions []Suggestion

	Sentiment Suggestion // only ID and Score; an empty ID prints null
	Urgency   Suggestion // only ID and Score; not printed, its effect is the priority
	Lang      []byte     // empty prints null
	Escalate  bool
	Priority  string // low, normal, high, urgent
	Rule      RuleRef
	Route     Target
	Action    RecommendedAction
	Actions   []Action
	SLA       SLA // no Policy prints null
	Features  Features

	EmittedAtMS int64 // wall clock of the worker; with LatencyUS the only fields that may differ
	LatencyUS   int64 // microseconds from the fetched record to this decision
}

// Trigger is the record that caused the decision.
type Trigger struct {
	EventID   []byte
	Topic     string
	Partition int32
	Offset    int64
}

// ModelInfo names the model that scored; Checksum is the model file's SHA-256 in hex.
type ModelInfo struct {
	Name, Version, Checksum, Variant string
	Mode                             Mode
}

// Thresholds are the cut-offs that were in force for the best label (without a label: for the head).
type Thresholds struct{ Suggest, Auto float64 }

// Suggestion is one candidate. Kind is "label" or "kb".
type Suggestion struct {
	Kind, ID string
	Score    float64
}

// RuleRef says which rule decided and which set it came from; an empty ID prints null.
type RuleRef struct{ ID, Set string }

// Target is where the conversation should go; empty members print null.
type Target struct{ Queue, Role, Agent, Service, Script string }

// Action is one thing for usher.act to do, copied from the rule.
type Action struct {
	Do     string `json:"do" yaml:"do" koanf:"do"`
	Object string `json:"object,omitempty" yaml:"object" koanf:"object"`
}

// SLA is the policy in force; FirstReplyDueMS 0 prints null.
type SLA struct {
	Policy          string
	FirstReplyDueMS int64
}

// Features are the conversation's own features at the moment of the decision.
type Features struct {
	Turn          int64
	WaitingMS     int64
	BusinessHours Tri
	PrevLabel     string // empty prints null
	BotFailed     bool
	Repeats       int64
	KnownShare    float64 // share of the text's features that the model knows; see HasKnownShare
	HasKnownShare bool
}

// Reset makes d the zero Decision but keeps the capacity of its lists.
func (d *Decision) Reset() {
	s, a := d.Suggestions[:0], d.Actions[:0]
	*d = Decision{Suggestions: s, Actions: a}
}

// Tri is a boolean that may be unknown.
type Tri uint8

// The values of Tri; Unknown prints null.
const (
	Unknown Tri = iota
	No
	Yes
)

// TriOf is Yes or No.
func TriOf(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// Mode says whether the model may act.
type Mode uint8

// The modes of CONTRACT section 3.
const (
	Live Mode = iota
	Shadow
	Unproven
)

// String is the mode's name in JSON and configuration.
func (m Mode) String() string { return [...]string{"live", "shadow", "unproven"}[m] }

// ParseMode reads a mode; an empty name is live, ok is false for an unknown one.
func ParseMode(name string) (m Mode, ok bool) {
	switch name {
	case "", "live":
		return Live, true
	case "shadow":
		return Shadow, true
	case "unproven":
		return Unproven, true
	}
	return Live, false
}

// Band is how far the score carries.
type Band uint8

// The bands of CONTRACT section 3.
const (
	BandNone Band = iota
	BandSuggest
	BandAuto
)

// String is the band's name in JSON and rules.
func (b Band) String() string { return [...]string{"none", "suggest", "auto"}[b] }

// ParseBand reads a band's name.
func ParseBand(name string) (b Band, ok bool) {
	switch name {
	case "none":
		return BandNone, true
	case "suggest":
		return BandSuggest, true
	case "auto":
		return BandAuto, true
	}
	return BandNone, false
}

// Reason says why the band is lower than the score alone would make it, or why there is no score.
type Reason uint8

// The band reasons of CONTRACT section 3.
const (
	ReasonNone       Reason = iota // prints null
	ReasonMargin                   // the second label is too near
	ReasonOutOfScope               // the text is unlike what the model was trained on
	ReasonUnproven                 // usher accept has not shown the precision for this tenant
	ReasonDisabled                 // auto is switched off
	ReasonTimeout                  // the scorer did not answer in time
	ReasonNoModel                  // no model is configured
	ReasonNoText                   // media or a blank text
	ReasonForced                   // a rule forced an escalation
)

// String is the reason's name in JSON, empty for ReasonNone.
func (r Reason) String() string {
	return [...]string{"", "margin", "out_of_scope", "unproven", "disabled", "timeout", "no_model",
		"no_text", "forced"}[r]
}

// RecommendedAction is what a person, or usher.act, should do next.
type RecommendedAction uint8

// The recommended actions of CONTRACT section 3; recommend says when each is given.
const (
	ActionNone RecommendedAction = iota
	ActionTemplateReply
	ActionClarify
	ActionRedirect
)

// String is the action's name in JSON and rules.
func (a RecommendedAction) String() string {
	return [...]string{"none", "template_reply", "clarify", "redirect"}[a]
}

// ParseAction reads a recommended action's name.
func ParseAction(name string) (a RecommendedAction, ok bool) {
	switch name {
	case "none":
		return ActionNone, true
	case "template_reply":
		return ActionTemplateReply, true
	case "clarify":
		return ActionClarify, true
	case "redirect":
		return ActionRedirect, true
	}
	return ActionNone, false
}
