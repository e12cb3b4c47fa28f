package views

import (
	"fmt"
	"slices"
	"strings"

	"usher/sinks/clickhouse/schema"
)

// lowerIsBetter are the KPIs of which less is better.
var lowerIsBetter = []string{
	"first_reply_any", "first_reply_human", "first_reply_after_handoff", "next_reply", "next_reply_human",
	"requester_wait", "handoff_wait", "time_to_first_close", "time_to_last_close", "cycle_time",
	"unanswered", "missed_messages", "missed", "dropped", "abandoned", "reopened", "escalation_all",
	"messages_to_close",
}

// higherIsBetter are those of which more is.
var higherIsBetter = []string{
	"one_touch", "containment", "resolution_rate", "sla", "satisfaction", "conversion", "auto_precision",
	"disclosure",
}

// Targetable are the KPIs that a target may be set for.
func Targetable() []string { return slices.Concat(lowerIsBetter, higherIsBetter) }

// LowerIsBetter says in which direction a KPI should go.
func LowerIsBetter(kpi string) bool { return slices.Contains(lowerIsBetter, kpi) }

// StatsOf are the ways to measure a KPI against a target, the usual one first.
func StatsOf(kpi string) []string {
	for _, k := range KPIs() {
		if k.Name == kpi && k.Form == Rate {
			return []string{"rate"}
		}
	}
	return []string{"p50", "p90", "mean"}
}

// Segments are the dimensions by which a target may be narrowed.
var Segments = []string{"tenant", "channel", "lang", "region", "inbox", "source", "team", "queue"}

// targetsLatest are the targets in force.
const targetsLatest = `SELECT toString(t.kpi) AS kpi, toString(t.stat) AS stat, t.segment AS segment,
    newest.1 AS baseline, newest.2 AS target, newest.3 AS change, newest.4 AS days
FROM (
    SELECT kpi, stat, segment, argMax((baseline, target, change, days), (valid_from, updated_at)) AS newest
    FROM ` + schema.TableTargets + `
    GROUP BY kpi, stat, segment
) AS t
WHERE newest.2 IS NOT NULL OR newest.3 IS NOT NULL`

// targetResults measures every target in force: the days up to yesterday against as many before. A
// baseline that is not configured is what was measured before; change is a share of the baseline.
func targetResults() string {
	var all []string
	for _, k := range KPIs() {
		if slices.Contains(Targetable(), k.Name) {
			all = append(all, measured(&k))
		}
	}
	return `SELECT kpi, segment, stat, unit, days, n, actual, before,
    coalesce(configured, before) AS baseline,
    coalesce(wanted, baseline * (1 + change)) AS target,
    multiIf(actual IS NULL OR target IS NULL, 'no data',
        if(lower, actual <= target, actual >= target), 'met', 'missed') AS verdict
FROM (
` + strings.Join(all, "\nUNION ALL\n") + `
)`
}

// measured is one KPI's part of targetResults. The condition on the number of its targets keeps a KPI
// without any from being read.
func measured(k *KPI) string {
	stat := func(when string) string {
		if k.Form == Rate {
			return "sumIf(f.num, " + when + ") / sumIf(f.den, " + when + ")"
		}
		return "multiIf(t.stat = 'p50', toFloat64(quantileExactIf(0.5)(f.value, " + when + ")), " +
			"t.stat = 'p90', toFloat64(quantileExactIf(0.9)(f.value, " + when + ")), " +
			"avgIf(f.value, " + when + "))"
	}
	columns, nothing := "num, den", "NULL AS num, NULL AS den"
	if k.Form == Value {
		columns, nothing = "value", "NULL AS value"
	}
	segment := "t.segment = ''"
	for _, s := range Segments {
		segment += " OR t.segment = concat('" + s + "=', f." + s + ")"
	}
	const now, earlier = "f.known AND f.day >= today() - t.days", "f.known AND f.day < today() - t.days"
	return fmt.Sprintf(`SELECT t.kpi AS kpi, t.segment AS segment, t.stat AS stat, %s AS unit, t.days AS days,
    %d AS lower, countIf(`+now+`) AS n,
    CAST(%s AS Nullable(Float64)) AS actual, CAST(%s AS Nullable(Float64)) AS before,
    any(t.baseline) AS configured, any(t.target) AS wanted, any(t.change) AS change
FROM targets_latest AS t
CROSS JOIN (
    SELECT 0 AS known, toDate(0) AS day, %s, %s
    UNION ALL
    SELECT 1, day, %s, %s
    FROM %s
    WHERE day < today() AND day >= today() - (SELECT 2 * max(days) FROM targets_latest WHERE kpi = '%s')
        AND (SELECT count() FROM targets_latest WHERE kpi = '%s') > 0
) AS f
WHERE t.kpi = '%s' AND (NOT f.known OR (f.day >= today() - 2 * t.days AND (%s)))
GROUP BY kpi, segment, stat, days`,
		schema.Quote(k.Unit), lowerFlag(k.Name), stat(now), stat(earlier), nothing,
		"'' AS "+strings.Join(Segments, ", '' AS "), columns, strings.Join(Segments, ", "), k.View(), k.Name, k.Name, k.Name, segment)
}

func lowerFlag(kpi string) int {
	if LowerIsBetter(kpi) {
		return 1
	}
	return 0
}

// targetViews are made after the KPI views, which they read.
func targetViews() []string {
	return []string{
		create("targets_latest", targetsLatest, "targets in force, as the configuration sets them"),
		create("target_results", targetResults(), "each target with the actual value of its last days, "+
			"the baseline, and met, missed or no data"),
	}
}
