package route

import (
	"math"
	"slices"
)

// DefaultQueue is where a conversation goes that no rule sends elsewhere.
const DefaultQueue = "default"

// DefaultPriority is that of a decision whose rule names none.
const DefaultPriority = "normal"

// priorities are those of a decision, lowest first.
var priorities = [...]string{"low", DefaultPriority, "high", "urgent"}

// OtherLabel is the label of messages that belong to no other label. It is never acted on alone,
// however sure the model is: there is nothing to do about it.
const OtherLabel = "other"

// scoreSteps: scores have 4 decimals (CONTRACT section 3).
const scoreSteps = 10000

// Inputs are what Decide needs beside the fields of the Decision that the caller filled.
type Inputs struct {
	HasText bool // false: media, or nothing but blanks
	Timeout bool // the scorer did not answer in time

	Cutoffs *Cutoffs  // of the deciding head and tenant; nil: no model
	Scores  []float64 // one per label of Cutoffs, rounded by Round4
	Scope   float64   // 0 foreign … 1 like the training text

	Unproven []bool // per label: not accepted for this tenant; nil: as d.Model.Mode says for all
	AutoOff  bool   // the hot switch, global or of the tenant

	// Negative and Urgent: the message sounds so, surely enough. Each raises the priority, the rule's
	// too, by one step.
	Negative, Urgent bool

	// Articles are the knowledge base's, each scored on its own; nil: none.
	Articles *Articles

	Channel, Inbox []byte
	Event          string // type of the triggering event; empty means message
}

// Articles are the scores of a knowledge base, one per label, and the least that is suggested.
type Articles struct {
	Labels []string
	Scores []float64 // rounded by Round4
	Least  float64
}

// Round4 rounds a probability to the 4 decimals that are compared, printed and stored. The result
// is the number nearest to k/10000, so 0.9 from here equals the 0.9 of a configuration.
func Round4(p float64) float64 { return math.Round(p*scoreSteps) / scoreSteps }

// Decide fills label, score, margin, scope, band, reason, thresholds, suggestions, rule, route,
// priority, escalate and the actions of d. Before, the caller has filled what rules may ask about:
// Tenant, Lang, Sentiment, Urgency, Features and Model. It returns false when d is no decision: no rule
// spoke and the event is no message.
func Decide(in *Inputs, rules *Rules, d *Decision) bool {
	d.Priority = DefaultPriority
	d.Route = Target{Queue: DefaultQueue}
	band(in, d)
	d.Rule = RuleRef{Set: rules.set}
	rule := rules.match(in, d)
	if rule == nil {
		d.Action = recommend(d)
		raise(in, d)
		return in.Event == "" || in.Event == EventMessage
	}
	apply(rule, d)
	raise(in, d)
	return true
}

// raise moves the priority up, one step for each reason, to urgent at most.
func raise(in *Inputs, d *Decision) {
	for _, reason := range [...]bool{in.Negative, in.Urgent} {
		if at := slices.Index(priorities[:], d.Priority); reason && at+1 < len(priorities) {
			d.Priority = priorities[at+1]
		}
	}
}

// band follows CONTRACT section 3 to the letter: the cut-off is tested on the best label only.
func band(in *Inputs, d *Decision) {
	d.Label, d.Score, d.Margin, d.Scope = "", 0, 0, 0
	d.Band, d.BandReason = BandNone, ReasonNone
	d.Thresholds = Thresholds{Suggest: DefaultSuggestAt, Auto: DefaultAutoAt}
	d.Suggestions = d.Suggestions[:0]
	if in.Cutoffs != nil {
		d.Thresholds = Thresholds{Suggest: in.Cutoffs.head.suggestAt, Auto: in.Cutoffs.head.autoAt}
	}
	switch {
	case !in.HasText:
		d.BandReason = ReasonNoText
		return
	case in.Cutoffs == nil:
		d.BandReason = ReasonNoModel
		return
	case in.Timeout:
		d.BandReason = ReasonTimeout
		return
	}
	if len(in.Scores) != len(in.Cutoffs.labels) {
		panic("BUG: scores and labels differ in number")
	}
	best, second := topTwo(in.Scores)
	cut := in.Cutoffs.of(best, d.Lang)
	d.Label, d.Score, d.Scope = in.Cutoffs.labels[best], in.Scores[best], Round4(in.Scope)
	d.Margin = Round4(d.Score - second)
	d.Thresholds = Thresholds{Suggest: cut.suggestAt, Auto: cut.autoAt}
	d.Band, d.BandReason = bandOf(in, d, cut, best)
	if d.Band != BandNone {
		d.Suggestions = AppendSuggestions(d.Suggestions, "label", in.Cutoffs, in.Scores)
		if a := in.Articles; a != nil {
			d.Suggestions = appendBest(d.Suggestions, "kb", a, in.Cutoffs.limits.MaxSuggestions)
		}
	}
}

// bandOf: an operator's switch is named before a missing proof, because it is the nearer cause.
func bandOf(in *Inputs, d *Decision, cut *resolved, best int) (Band, Reason) {
	if d.Score >= cut.autoAt {
		switch {
		case d.Label == OtherLabel:
			return suggestOrNone(d, cut), ReasonOutOfScope
		case d.Margin < cut.minMargin:
			return suggestOrNone(d, cut), ReasonMargin
		case d.Scope < cut.minScope:
			return suggestOrNone(d, cut), ReasonOutOfScope
		case in.AutoOff || cut.off:
			return BandSuggest, ReasonDisabled
		case unproven(in, d, best):
			return BandSuggest, ReasonUnproven
		}
		return BandAuto, ReasonNone
	}
	return suggestOrNone(d, cut), ReasonNone
}

func unproven(in *Inputs, d *Decision, best int) bool {
	if in.Unproven != nil {
		return in.Unproven[best]
	}
	return d.Model.Mode == Unproven
}

func suggestOrNone(d *Decision, cut *resolved) Band {
	if d.Score >= cut.suggestAt {
		return BandSuggest
	}
	return BandNone
}

// topTwo gives the index of the best score (the first of equals) and the second-best score.
func topTwo(scores []float64) (best int, second float64) {
	second = 0
	for i := 1; i < len(scores); i++ {
		switch {
		case scores[i] > scores[best]:
			best, second = i, scores[best]
		case scores[i] > second:
			second = scores[i]
		}
	}
	return best, second
}

// AppendSuggestions appends the candidates of one head in falling order, equal ones in label
// order, down to the floor and up to the limit of c.
func AppendSuggestions(to []Suggestion, kind string, c *Cutoffs, scores []float64) []Suggestion {
	a := Articles{Labels: c.labels, Scores: scores, Least: c.limits.SuggestFloor}
	return appendBest(to, kind, &a, c.limits.MaxSuggestions)
}

// appendBest appends at most so many, in falling order.
func appendBest(to []Suggestion, kind string, a *Articles, most int) []Suggestion {
	start := len(to)
	for i, s := range a.Scores {
		if s < a.Least || math.IsNaN(s) {
			continue
		}
		at := len(to)
		for at > start && to[at-1].Score < s {
			at--
		}
		if at-start >= most {
			continue
		}
		if len(to)-start < most {
			to = append(to, Suggestion{})
		}
		copy(to[at+1:], to[at:])
		to[at] = Suggestion{Kind: kind, ID: a.Labels[i], Score: s}
	}
	return to
}

// apply copies the rule into d. An escalation that a rule forces sends the conversation to a
// person whatever the score was: the reason says so and the band stays what the score made it.
func apply(rule *compiled, d *Decision) {
	t := &rule.Then
	d.Rule.ID = rule.ID
	d.Route = Target{Queue: t.Queue, Role: t.Role, Agent: t.Agent, Service: t.Service, Script: t.Script}
	if t.Queue == "" {
		d.Route.Queue = DefaultQueue
	}
	if t.Priority != "" {
		d.Priority = t.Priority
	}
	if t.Escalate {
		d.Escalate = true
		d.BandReason = ReasonForced
	}
	d.Actions = append(d.Actions[:0], t.Actions...)
	d.Action = recommend(d)
	if t.Action != "" {
		d.Action = rule.action
	}
}

// recommend says what to do next. A person is needed (escalate): redirect. The score suffices to
// act alone, be it allowed or not (unproven, disabled: the hint is the same, the band says who may
// follow it): template_reply where the rule names a script, else redirect to its queue. Several
// labels are possible (suggest): clarify. Nothing is known (none): none.
func recommend(d *Decision) RecommendedAction {
	switch {
	case d.Escalate:
		return ActionRedirect
	case d.Band == BandAuto, d.BandReason == ReasonUnproven, d.BandReason == ReasonDisabled:
		if d.Route.Script != "" {
			return ActionTemplateReply
		}
		return ActionRedirect
	case d.Band == BandSuggest:
		return ActionClarify
	}
	return ActionNone
}
