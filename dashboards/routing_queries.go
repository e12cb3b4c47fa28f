package dashboards

import "fmt"

// Targets of the routing board.
var (
	escalationTarget = target{good: 0.30, bad: 0.50}
	precisionTarget  = target{good: 0.95, bad: 0.90}
)

// slowDecisionUS is what a decision must not take longer than: 3 seconds.
const slowDecisionUS = 3_000_000

func precisionSQL() string {
	return comparison{view: autoPrecision, aggregate: rate, unit: unitShare, target: precisionTarget,
		words: "95 %", count: "sum(den)"}.sql()
}

func topThreeSQL() string {
	return comparison{view: topThreeHit, aggregate: rate, unit: unitShare, count: "sum(den)"}.sql()
}

func decisionTimeSQL() string {
	return comparison{view: decisionBands, aggregate: "quantileExact(0.99)(latency_us)",
		unit: unitMicros}.sql()
}

// handoffs are escalations as known now, without those of cycles taken out.
func handoffs(columns, tail string) string {
	return "SELECT\n  " + columns + "\nFROM escalations_latest\nWHERE $__timeFilter(time) AND " +
		"pending = 0\n  AND cycle_id NOT IN (SELECT cycle_id FROM voids_latest)\n  AND " +
		filters() + tail
}

func escalationsByReasonSQL() string {
	return handoffs("$__timeInterval(time) AS at,\n  "+orUnset("reason")+" AS name,\n  "+
		"count() AS escalations", "\nGROUP BY at, name\nORDER BY at, name")
}

// decisionMixSQL counts by band in fixed columns, so that a band without decisions is 0 and not a
// gap in the stack.
func decisionMixSQL() string {
	return overTime("countIf(band = 'auto') AS auto,\n  countIf(band = 'suggest') AS suggest,\n  "+
		"countIf(band = 'none') AS none", decisionBands)
}

func decisionTimeTrendSQL() string {
	return overTime("quantileExact(0.5)(latency_us) AS \"half\",\n  "+
		"quantileExact(0.99)(latency_us) AS \"99 %\"", decisionBands)
}

func slowDecisionsSQL() string {
	return overTime(fmt.Sprintf("countIf(latency_us > %d) / count() AS \"over 3 s\"", slowDecisionUS),
		decisionBands)
}

func calibrationSQL() string {
	return "SELECT\n  concat(toString(decile * 10), '–', toString(decile * 10 + 10), ' %, n ', " +
		"toString(count())) AS \"score\",\n  avg(said_score) AS \"said\",\n  countIf(label = true_label) / count() AS \"was right\"" +
		"\nFROM (\n  SELECT least(toInt32(floor(assumeNotNull(score) * 10))" +
		", 9) AS decile, assumeNotNull(f.score) AS said_score, label, true_label\n  FROM kpi_top3_hit AS f" +
		"\n  WHERE " + inRange + " AND f.score IS NOT NULL\n    AND " + indented(filters(), "    ") +
		"\n)\nGROUP BY decile\nORDER BY decile"
}

func confusionSQL() string {
	return "SELECT\n  " + orUnset("label") + " AS \"usher said\",\n  true_label AS \"it was\",\n" +
		"  count() AS messages\nFROM kpi_top3_hit\nWHERE " + inRange + "\n  AND " + filters() +
		"\nGROUP BY 1, 2\nORDER BY messages DESC, 1, 2\nLIMIT 50"
}

func rulesSQL() string {
	return "SELECT\n  rule,\n  sum(fired) AS \"fired\",\n  sum(judged) AS \"acted on, 24 h ago\",\n" +
		"  if(sum(judged) = 0, NULL, sum(wrong) / sum(judged)) AS \"overridden\"\nFROM (\n" +
		"  SELECT ifNull(rule_id, '') AS rule, 1 AS fired, 0 AS judged, 0 AS wrong\n" +
		"  FROM kpi_decision_bands\n  WHERE " + inRange + " AND rule_id IS NOT NULL\n    AND " +
		indented(filters(), "    ") + "\n  UNION ALL\n" +
		"  SELECT ifNull(rule_id, '') AS rule, 0 AS fired, den AS judged, den - num AS wrong\n" +
		"  FROM kpi_auto_precision\n  WHERE " + inRange + " AND rule_id IS NOT NULL\n    AND " +
		indented(filters(), "    ") + "\n)\nGROUP BY rule\nORDER BY \"fired\" DESC, rule\nLIMIT 50"
}

func labelShareSQL() string {
	return "SELECT\n  label,\n  now / nullIf(sum(now) OVER (), 0) AS \"share\",\n" +
		"  before / nullIf(sum(before) OVER (), 0) AS \"week before\",\n  \"share\" - \"week before\" AS \"change\",\n" +
		"  now AS messages\nFROM (\n  SELECT " + orUnset("ifNull(label, '')") + " AS label,\n" +
		"    countIf(" + inRange + ") AS now, countIf(" + weekBefore + ") AS before\n" +
		"  FROM kpi_decision_bands AS f\n  WHERE (" + inRange + " OR " + weekBefore + ")\n    AND " +
		indented(filters(), "    ") + "\n  GROUP BY label\n)\nORDER BY messages DESC, label\nLIMIT 30"
}

func modelTimelineSQL() string {
	return overTime("argMax(ifNull(model_version, 'no model'), counted_at) AS model", decisionBands)
}

func knowledgeGapsSQL() string {
	return handoffs(orUnset("if(intent = '', label, intent)")+" AS \"about\",\n  "+orUnset("reason")+
		" AS \"reason\",\n  lang AS language,\n  count() AS handoffs", "\n  AND reason IN "+
		"('no_knowledge', 'low_confidence', 'error')\nGROUP BY 1, 2, 3\nORDER BY handoffs DESC, 1, 2, 3"+
		"\nLIMIT 20")
}

func latestHandoffsSQL() string {
	return handoffs("time AS \"handed over\",\n  "+orUnset("reason")+" AS \"reason\",\n  by AS "+
		"\"by\",\n  to_queue AS \"to queue\",\n  if(human_reply_at IS NULL, NULL, "+
		"dateDiff('millisecond', time, assumeNotNull(human_reply_at))) AS \"waited\",\n  tenant,\n"+
		"  channel,\n  "+drillKey(), "\nORDER BY time DESC, conversation_id\nLIMIT 20")
}
