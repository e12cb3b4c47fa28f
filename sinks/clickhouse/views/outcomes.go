package views

import "strings"

const converts = "outcome IN ('booking', 'sale', 'lead')"

// outcomeWindow is how long after its opening a cycle may still get an outcome.
const outcomeWindow = "opened_at + INTERVAL 30 DAY"

func outcomeKPIs() []KPI {
	return []KPI{
		{
			Name: "satisfaction", Version: 1, Form: Rate, source: fromCycles,
			where:   "csat_score IS NOT NULL AND csat_at IS NOT NULL AND ifNull(csat_scale, 5) > 0",
			num:     "assumeNotNull(csat_score) / assumeNotNull(ifNull(csat_scale, 5)) >= 0.8",
			counted: "assumeNotNull(csat_at)", day: "assumeNotNull(csat_day)", started: "opened_at",
			final: always, value: "csat_score", float: true,
			Definition: "Rated cycles whose last score is at least 0.8 of its scale.",
			Formula:    "num / den", Numerator: "positive ratings", Denominator: "rated cycles",
			Unit: "share", Source: "Intercom: 4 and 5 of 5",
			EdgeCases: "unrated cycles are left out; the last rating counts",
			Example:   "4 of 5: 1 / 1; 3 of 5: 0 / 1",
		},
		{
			Name: "conversion", Version: 1, Form: Rate, source: fromCycles,
			where: "first_customer_at IS NOT NULL", needs: []string{"outcome"}, num: converts,
			counted: "assumeNotNull(multiIf(" + converts + ", coalesce(outcome_at, opened_at), " +
				"closed_at IS NOT NULL AND now64(3, 'UTC') > " + outcomeWindow + ", closed_at, opened_at))",
			day: "assumeNotNull(multiIf(" + converts + ", coalesce(outcome_day, opened_day), " +
				"closed_at IS NOT NULL AND now64(3, 'UTC') > " + outcomeWindow + ", closed_day, opened_day))",
			started: "opened_at", final: converts + " OR now64(3, 'UTC') > " + outcomeWindow,
			Definition: "Cycles with a customer message that led to a booking, sale or lead.",
			Formula:    "num / den", Numerator: "cycles with booking, sale or lead",
			Denominator: "cycles with a customer message", Unit: "share", Source: "usher",
			EdgeCases: "an outcome belongs to the last cycle opened at most 30 days before it; a refund " +
				"takes no conversion back",
			Example: "question, sale next day: 1 / 1",
		},
		{
			Name: "messages_to_outcome", Version: 1, Form: Value, source: fromCycles,
			where:   "messages_to_outcome IS NOT NULL AND outcome_at IS NOT NULL",
			counted: "assumeNotNull(outcome_at)", day: "assumeNotNull(outcome_day)",
			started: "opened_at", final: always, value: "messages_to_outcome",
			Definition: "Public, not automated messages of all sides from a cycle's opening to its " +
				"outcome.",
			Formula: "count of messages", Unit: "messages", Source: "usher",
			EdgeCases: "the first outcome that converts, else the first; none for an outcome older than the " +
				"conversation's window, whose place among the messages is no longer known",
			Example: "question, offer, yes, sale: 3",
		},
		outcomeValue(),
		closedAs("resolved_confirmed", "confirmed"), closedAs("resolved_assumed", "assumed"),
		{
			Name: "out_of_hours", Version: 1, Form: Rate, source: fromCycles,
			where: "out_of_hours IS NOT NULL", num: "assumeNotNull(out_of_hours)",
			counted: "opened_at", day: "opened_day", started: "opened_at", final: always,
			Definition: "Cycles opened outside the tenant's calendar.",
			Formula:    "num / den", Numerator: "cycles opened out of hours", Denominator: "cycles",
			Unit: "share", Source: "usher", EdgeCases: "no rows without a calendar",
			Example: "opened on a Sunday: 1 / 1",
		},
	}
}

func outcomeValue() KPI {
	return KPI{
		Name: "outcome_value", Version: 1, Form: Value,
		// Not every column: who may not read texts may read this.
		source: source{from: `(
    SELECT ` + strings.Join(dimensions, ", ") + `, time, day, outcome_kind, outcome_value,
        outcome_currency
    FROM events
    WHERE type = 'outcome' AND outcome_value IS NOT NULL AND NOT has(flags, 'duplicate')
    LIMIT 1 BY tenant, conversation_id, id
)`, where: notVoided},
		counted: "time", day: "day", started: "time", final: always,
		value: "if(outcome_kind = 'refund', -abs(assumeNotNull(outcome_value)), " +
			"assumeNotNull(outcome_value))", float: true,
		extra:      []string{"outcome_kind AS kind", "outcome_currency AS currency"},
		Definition: "Value of each outcome, negative for a refund.",
		Formula:    "value", Unit: "currency", Source: "usher",
		EdgeCases: "each event id once; currencies are never summed together",
		Example:   "sale 100 EUR, refund 40 EUR: 100 and -40",
	}
}

func closedAs(name, resolution string) KPI {
	return KPI{
		Name: name, Version: 1, Form: Rate, source: fromCycles,
		where: "bot_cycle AND " + closed, num: "resolution = '" + resolution + "'",
		counted: closedAt, day: closedDay, started: "opened_at", final: always,
		Definition: "Closed bot cycles whose resolution is " + resolution + ".",
		Formula:    "num / den", Numerator: "cycles closed as " + resolution,
		Denominator: "closed bot cycles", Unit: "share", Source: "Fin",
		EdgeCases: "absent, the resolution is assumed when the last customer message was answered " +
			"and nobody waits, else unresolved",
		Example: "bot answers, close without resolution: assumed 1 / 1",
	}
}

func decisionKPIs() []KPI {
	return []KPI{
		{
			Name: "decision_bands", Version: 1, Form: Rate, source: fromDecisions,
			num: "band = 'auto'", counted: "time", day: "day", started: "time", final: always,
			value: "score", float: true,
			extra:      []string{"band", "band_reason", "model_version", "rule_id", "latency_us"},
			Definition: "Decisions by band; num counts auto, value is the score.",
			Formula:    "num / den", Numerator: "decisions in band auto", Denominator: "decisions",
			Unit: "share", Source: "usher",
			EdgeCases: "one decision per public, not automated customer message that is no duplicate",
			Example:   "scores 0.93 and 0.61: auto 1 / 2",
		},
		{
			Name: "duplicates", Version: 1, Form: Rate, source: fromEvents,
			num: "has(flags, 'duplicate')", counted: "time", day: "day", started: "time",
			final:      always,
			Definition: "Events that repeat one of the conversation's last 16.",
			Formula:    "num / den", Numerator: "events flagged duplicate", Denominator: "events",
			Unit: "share", Source: "usher", EdgeCases: "by id or seq, exact inside the window",
			Example: "one event sent twice: 1 / 2",
		},
		{
			Name: "corrections", Version: 1, Form: Value, source: source{`(
    SELECT *, count() OVER (PARTITION BY tenant, conversation_id, cycle_id, kpi) AS times
    FROM corrections
    ORDER BY revision DESC
    LIMIT 1 BY tenant, conversation_id, cycle_id, kpi
)`, notVoided},
			counted: "at", day: "day", started: "at", final: always, value: "times",
			extra:      []string{"kpi", "reason"},
			Definition: "Facts that were corrected after they had been written; value says how often.",
			Formula:    "count of corrections", Unit: "corrections", Source: "usher",
			EdgeCases: "a correction changes the fact's own row, whatever day it comes",
			Example:   "a late reply shortens a wait: 1",
		},
		splitConversations(),
	}
}

// splitConversations are ids that lie in several places, whose waits therefore cannot be trusted.
// Its dimensions are those of the first event.
func splitConversations() KPI {
	first := ""
	for _, d := range dimensions {
		if d != "tenant" && d != "conversation_id" {
			first += "        argMin(" + d + ", time) AS " + d + ",\n"
		}
	}
	return KPI{
		Name: "split_conversations", Version: 1, Form: Value, source: source{from: `(
    SELECT tenant, conversation_id,
` + first + `        min(time) AS first_at,
        max(time) AS last_at,
        argMax(day, time) AS last_day,
        uniqExact(_src_topic_id, _src_partition) AS places
    FROM events
    WHERE conversation_id != ''
    GROUP BY tenant, conversation_id
    HAVING places > 1
)`},
		counted: "last_at", day: "last_day", started: "first_at", final: always, value: "places",
		Definition: "Conversation ids found in more than one partition or source; value is the number " +
			"of places.",
		Formula: "number of (topic, partition)", Unit: "places", Source: "usher",
		EdgeCases: "the same id in two topics is two conversations to usher",
		Example:   "a producer with another partitioner: 2",
		Notes:     "Mend the producer's partitioner: usher check names the setting.",
	}
}
