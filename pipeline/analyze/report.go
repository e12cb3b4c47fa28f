package analyze

import (
	"cmp"

	"usher/pipeline/route"
)

// Report is the object of `usher analyze --json` (CONTRACT section 5). Null stands for a figure
// whose events never came. Durations are milliseconds; quantiles are exact.
type Report struct {
	Conversations int64 `json:"conversations"` // with at least one cycle
	Cycles        int64 `json:"cycles"`
	Events        int64 `json:"events"` // accepted
	DeadLetters   int64 `json:"dead_letters"`
	Skewed        int64 `json:"skewed"` // replies dated before their question
	Late          int64 `json:"late"`
	Duplicates    int64 `json:"duplicates"`

	Unanswered             int64    `json:"unanswered"`
	UnansweredRate         *float64 `json:"unanswered_rate"`
	FirstReplyMedianMS     *int64   `json:"first_reply_median_ms"` // human
	FirstReplyP90MS        *int64   `json:"first_reply_p90_ms"`
	FirstReplyAnyMedianMS  *int64   `json:"first_reply_any_median_ms"`
	FirstReplyAnyP90MS     *int64   `json:"first_reply_any_p90_ms"`
	NextReplyMedianMS      *int64   `json:"next_reply_median_ms"`
	NextReplyP90MS         *int64   `json:"next_reply_p90_ms"`
	NextReplyHumanMedianMS *int64   `json:"next_reply_human_median_ms"`
	NextReplyHumanP90MS    *int64   `json:"next_reply_human_p90_ms"`
	MissedRate             *float64 `json:"missed_rate"`
	DroppedRate            *float64 `json:"dropped_rate"`
	EscalationRate         *float64 `json:"escalation_rate"` // escalation_all
	ConversionRate         *float64 `json:"conversion_rate"`
	SatisfactionRate       *float64 `json:"satisfaction_rate"`

	Decisions Decisions `json:"decisions"`
	PerAgent  []Agent   `json:"per_agent"`
	Lossy     []string  `json:"lossy"`   // what the source does not say as exactly as it should
	Guessed   []string  `json:"guessed"` // what had to be assumed
}

// Decisions counts decisions by band.
type Decisions struct {
	Auto    int64 `json:"auto"`
	Suggest int64 `json:"suggest"`
	None    int64 `json:"none"`
}

func (d *Decisions) add(band route.Band) {
	switch band {
	case route.BandAuto:
		d.Auto++
	case route.BandSuggest:
		d.Suggest++
	default:
		d.None++
	}
}

// Agent is one agent's replies: first ones of a cycle, and all later ones.
type Agent struct {
	AgentID            string `json:"agent_id"`
	FirstReplies       int    `json:"first_replies"`
	FirstReplyMedianMS *int64 `json:"first_reply_median_ms"`
	FirstReplyP90MS    *int64 `json:"first_reply_p90_ms"`
	NextReplies        int    `json:"next_replies"`
	NextReplyMedianMS  *int64 `json:"next_reply_median_ms"`
	NextReplyP90MS     *int64 `json:"next_reply_p90_ms"`
}

// byReplies orders agents by how much they replied, then by id.
func byReplies(a, b Agent) int {
	return cmp.Or(cmp.Compare(b.FirstReplies+b.NextReplies, a.FirstReplies+a.NextReplies),
		cmp.Compare(a.AgentID, b.AgentID))
}
