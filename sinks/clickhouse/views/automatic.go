package views

// labelled are decisions with what a label or feedback said of each: by decision_id, else by the
// message that triggered it. Labels of another head say nothing of a decision.
const labelled = `SELECT d.*, l.time AS said_at, l.day AS said_day, l.verdict AS verdict,
            l.given_label AS given_label
        FROM decisions AS d
        INNER JOIN (
            SELECT tenant, decision_id AS about, '' AS heard_in, time, day, head, verdict, given_label
            FROM labels
            WHERE decision_id != ''
        ) AS l ON l.tenant = d.tenant AND l.about = d.id
        WHERE l.head IN ('', ifNull(d.model_name, ''))
        UNION ALL
        SELECT d.*, l.time, l.day, l.verdict, l.given_label
        FROM decisions AS d
        INNER JOIN (
            SELECT tenant, conversation_id, target AS about, time, day, head, verdict, given_label
            FROM labels
            WHERE decision_id = '' AND target != ''
        ) AS l ON l.tenant = d.tenant AND l.conversation_id = d.conversation_id
            AND l.about = d.trigger_event_id
        WHERE l.head IN ('', ifNull(d.model_name, ''))`

// alone are executed auto decisions.
const alone = "acted AND band = 'auto'"

// overridden are executed auto decisions at least 24 hours old, with what spoke against them: the
// first rejection or other label, and the conversation's first move within those 24 hours.
const overridden = `(
    SELECT d.*, said.wrong_at AS wrong_at, said.wrong_day AS wrong_day,
        if(move.away, move.at, NULL) AS moved_at, if(move.away, move.on_day, NULL) AS moved_day,
        d.time + INTERVAL 24 HOUR AS judged_at
    FROM decisions AS d
    LEFT JOIN (
        SELECT id, min(toNullable(said_at)) AS wrong_at, argMin(toNullable(said_day), said_at) AS wrong_day
        FROM (` + labelled + `)
        WHERE verdict = 'rejected' OR given_label != '' AND given_label != ifNull(label, '')
        GROUP BY id
    ) AS said ON said.id = d.id
    LEFT JOIN (
        SELECT id, toNullable(min(e.time)) AS at, argMin(toNullable(e.day), (e.time, e.id)) AS on_day,
            argMin(e.to_queue != '' AND e.to_queue != ifNull(d.route_queue, e.to_queue) OR
                e.to_role != '' AND e.to_role != ifNull(d.route_role, e.to_role),
                (e.time, e.id)) AS away
        FROM decisions AS d
        INNER JOIN (
            SELECT tenant, conversation_id, _src_topic_id, _src_partition, time, id, day, to_role,
                if(to_queue != '', to_queue, to_team) AS to_queue
            FROM events
            WHERE type IN ('assign', 'transfer') AND NOT has(flags, 'duplicate')
        ) AS e ON e.tenant = d.tenant AND e.conversation_id = d.conversation_id
            AND e._src_topic_id = d._src_topic_id AND e._src_partition = d._src_partition
        WHERE e.time >= d.time AND e.time <= d.time + INTERVAL 24 HOUR
        GROUP BY d.id AS id
    ) AS move ON move.id = d.id
    WHERE d.acted AND d.band = 'auto' AND d.time + INTERVAL 24 HOUR <= now64(3, 'UTC')
)`

func autoPrecision() KPI {
	const (
		wrong   = "(wrong_at IS NOT NULL OR moved_at IS NOT NULL)"
		byLabel = "wrong_at IS NOT NULL AND (moved_at IS NULL OR wrong_at <= moved_at)"
	)
	return KPI{
		Name: "auto_precision", Version: 1, Form: Rate,
		source: source{overridden, notVoided}, num: "NOT " + wrong,
		counted: "assumeNotNull(multiIf(" + byLabel + ", wrong_at, moved_at IS NOT NULL, moved_at, " +
			"judged_at))",
		day: "assumeNotNull(multiIf(" + byLabel + ", wrong_day, moved_at IS NOT NULL, moved_day, " +
			"addDays(day, 1)))",
		started: "time", final: always, extra: []string{"score", "model_version", "rule_id"},
		Definition: "Executed auto decisions at least 24 hours old that nobody overrode.",
		Formula:    "num / den", Numerator: "decisions not overridden",
		Denominator: "executed auto decisions at least 24 hours old", Unit: "share", Source: "usher",
		EdgeCases: "overridden: feedback rejected, a label other than the predicted, or the first " +
			"assign or transfer within 24 h to another role or queue",
		Example: "100 auto decisions, 3 rejected, 2 transferred elsewhere: 95 / 100",
		Notes:   "That nobody corrected it does not make it right: read precision on labelled ones too.",
	}
}

func topThreeHit() KPI {
	return KPI{
		Name: "top3_hit", Version: 1, Form: Rate,
		source: source{`(
    SELECT *
    FROM (` + labelled + `)
    WHERE given_label != '' AND label IS NOT NULL
    ORDER BY said_at DESC, given_label
    LIMIT 1 BY id
)`, notVoided},
		num: "has(suggestions_id, given_label) OR " + alone + " AND label = given_label OR " +
			"band = 'auto' AND label = given_label",
		counted: "said_at", day: "said_day", started: "time", final: always,
		extra:      []string{"band", "CAST(given_label AS String) AS true_label", "score"},
		Definition: "Labelled decisions whose true label was among the suggestions.",
		Formula:    "num / den", Numerator: "decisions with the true label among the suggestions",
		Denominator: "labelled decisions", Unit: "share", Source: "Bitrix24, Zendesk suggestions",
		EdgeCases: "the label of an auto decision counts as suggested; the latest label is the true " +
			"one; a decision without a computed label is left out; in band none nothing is suggested",
		Example: "suggested deal, request; labelled request: 1 / 1",
	}
}

// estimated joins the latest estimate of a name: none, no rows. In a tuple, because argMax skips a
// NULL, which is how an estimate is taken back.
func estimated(from, name string) string {
	return `(
    SELECT f.*, e.value AS estimate, e.currency AS currency
    FROM ` + from + ` AS f
    CROSS JOIN (
        SELECT argMax((value, toString(currency)), (valid_from, updated_at)) AS newest,
            newest.1 AS value, newest.2 AS currency
        FROM estimates
        WHERE name = '` + name + `'
        HAVING count() > 0
    ) AS e
    WHERE e.value IS NOT NULL
)`
}

func triageMinutes() KPI {
	return KPI{
		Name: "triage_minutes", Version: 1, Form: Value,
		source: source{estimated("(SELECT * FROM decisions WHERE "+alone+")", "triage_minutes"),
			notVoided},
		counted: "time", day: "day", started: "time", final: always, value: "estimate", float: true,
		Definition: "Minutes of triage that each executed auto decision saved, as configured.",
		Formula:    "estimates.triage_minutes per decision", Unit: "min", Source: "usher",
		EdgeCases: "no rows while estimates.triage_minutes is not configured",
		Example:   "300 auto decisions at 2 min: 600",
	}
}

func savings() KPI {
	contained := containment()
	return KPI{
		Name: "savings", Version: 1, Form: Value,
		source: source{from: estimated(cyclesNext, "cost_per_contact")},
		where:  contained.where + " AND " + contained.num, counted: contained.counted,
		day: contained.day, started: contained.started, final: contained.final,
		value: "estimate", float: true, extra: []string{"currency"},
		Definition: "Cost of a contact, as configured, for each contained cycle.",
		Formula:    "estimates.cost_per_contact per contained cycle", Unit: "currency",
		Source: "usher",
		EdgeCases: "no rows while estimates.cost_per_contact is not configured; provisional until W " +
			"after the close",
		Example: "200 contained cycles at 3.50 EUR: 700",
	}
}

func automaticKPIs() []KPI {
	return []KPI{autoPrecision(), topThreeHit(), triageMinutes(), savings()}
}
