package dashboards

import (
	"fmt"
	"strings"
)

// Targets of the service board. Panels colour by them and say them in words.
const (
	firstReplyTargetMS = 3 * 60_000
	firstReplyLateMS   = 15 * 60_000
	unansweredTarget   = 0.05
	unansweredLate     = 0.15
	escalationTarget   = 0.30
	escalationLate     = 0.50
)

// inRange and weekBefore select the time range of the board and the same range a week earlier.
const (
	inRange    = "$__timeFilter(counted_at)"
	weekBefore = "$__timeFilter(counted_at + INTERVAL 7 DAY)"
)

// comparison is the query of a stat: the number of the range, that of the week before, and a
// verdict in words, so that nothing is said by colour alone. aggregate holds %s where the condition
// stands.
type comparison struct {
	view      string
	aggregate string
	target    float64 // the number should not be above it; 0 for numbers without a target
	words     string  // the target in words
}

func (c comparison) sql() string {
	now := strings.ReplaceAll(c.aggregate, "%s", inRange)
	before := strings.ReplaceAll(c.aggregate, "%s", weekBefore)
	verdict := ""
	if c.target > 0 {
		verdict = fmt.Sprintf(",\n  multiIf(isNull(now), NULL, now <= %v, "+
			"'✓ within %s', '▲ over %s') AS \"verdict\"", c.target, c.words, c.words)
	}
	return "SELECT\n  " + now + " AS now,\n  " + before + " AS \"week before\"" + verdict +
		"\nFROM kpi_" + c.view + "\nWHERE (" + inRange + " OR " + weekBefore + ")\n  AND " + filters()
}

func conversationsSQL() string {
	return comparison{view: volume, aggregate: "countIf(%s)"}.sql()
}

func firstReplySQL(quantile string) string {
	return comparison{view: firstReplyHuman,
		aggregate: "quantileExactIf(" + quantile + ")(value, %s)",
		target:    firstReplyTarget(quantile), words: firstReplyWords(quantile)}.sql()
}

func firstReplyTarget(quantile string) float64 {
	if quantile == "0.9" {
		return firstReplyLateMS
	}
	return firstReplyTargetMS
}

func firstReplyWords(quantile string) string {
	return fmt.Sprintf("%v min", firstReplyTarget(quantile)/60_000)
}

func rateSQL(name string, target float64) string {
	return comparison{view: name, aggregate: "sumIf(num, %s) / sumIf(den, %s)", target: target,
		words: fmt.Sprintf("%v %%", target*100)}.sql()
}

// autoSQL is the share of decisions that usher acts on alone; there is no target for it, because
// acting alone is earned by precision and not by volume.
func autoSQL() string {
	return comparison{view: decisionBands, aggregate: "sumIf(num, %s) / sumIf(den, %s)"}.sql()
}

func overTime(columns, view string) string {
	return "SELECT\n  $__timeInterval(counted_at) AS time,\n  " + columns + "\nFROM kpi_" + view +
		"\nWHERE " + inRange + "\n  AND " + filters() + "\nGROUP BY time\nORDER BY time"
}

func firstReplyOverTimeSQL() string {
	return overTime("quantileExact(0.5)(value) AS \"p50, people\",\n"+
		"  quantileExact(0.9)(value) AS \"p90, people\"", firstReplyHuman)
}

func firstReplyAnyOverTimeSQL() string {
	return overTime("quantileExact(0.5)(value) AS \"p50, people or bot\"", firstReplyAny)
}

func rateOverTimeSQL(name string, legend string) string {
	return overTime("sum(num) / sum(den) AS \""+legend+"\"", name)
}

func volumeOverTimeSQL() string {
	return "SELECT\n  $__timeInterval(counted_at) AS time,\n  " +
		"if(channel = '', '" + unset + "', channel) AS channel,\n  count() AS conversations\n" +
		"FROM kpi_" + volume + "\nWHERE " + inRange + "\n  AND " + filters() +
		"\nGROUP BY time, channel\nORDER BY time, channel"
}

// decisionMixSQL counts by band in fixed columns, so that a band without decisions is 0 and not a
// gap in the stack.
func decisionMixSQL() string {
	return overTime("countIf(band = 'auto') AS auto,\n  countIf(band = 'suggest') AS suggest,\n  "+
		"countIf(band = 'none') AS none", decisionBands)
}

func slowestSQL() string {
	return "SELECT\n  counted_at AS \"answered at\",\n  value AS \"waited\",\n" +
		"  tenant,\n  channel,\n  queue,\n  lang AS language,\n" +
		"  agent_id AS agent,\n  conversation_id AS conversation,\n" +
		"  if(final = 1, 'final', 'provisional') AS state\nFROM kpi_" + firstReplyHuman +
		"\nWHERE " + inRange + "\n  AND " + filters() +
		"\nORDER BY value DESC, counted_at, conversation_id\nLIMIT 20"
}
