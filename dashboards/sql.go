package dashboards

import (
	"fmt"
	"strconv"
	"strings"
)

// inRange and weekBefore select the time range of the board and the same range a week earlier.
const (
	inRange    = "$__timeFilter(counted_at)"
	weekBefore = "$__timeFilter(counted_at + INTERVAL 7 DAY)"
)

// comparison is the query of a number: its course over the range, at the end the whole range's
// value, and a note of the verdict in words and the week before, so that nothing is said by colour
// alone.
type comparison struct {
	view      string
	where     string // a condition beside time and variables
	aggregate string // over the columns of the view
	unit      string
	target    target
	words     string // the target in words
	sum       bool   // the whole is the sum of the course, and Grafana adds it up
	count     string // how many facts a share stands on; gives the note their number and a bound
}

func (c comparison) sql() string {
	where, whole := "", "\n  WHERE current"
	if c.where != "" {
		where = "\n      AND " + c.where
	}
	if c.sum {
		whole += " AND NOT whole"
	}
	before := "before"
	if c.sum {
		before = "ifNull(before, 0)"
	}
	note := "concat('week before ', " + worded(before, c.unit) + ")"
	if c.target.set() {
		note = "concat(" + verdict(c.target, c.words) + ", ' · ', " + note + ")"
	}
	facts := "count()"
	if c.count != "" {
		facts = c.count
		note = "concat(" + note + ", ' · n ', toString(n), ', surely ≥ ', " +
			worded(lowerBound("now", "n"), unitShare) + ")"
	}
	return `SELECT time, ` + note + ` AS note, value
FROM (
  SELECT
    if(whole, $__toTime + INTERVAL 1 SECOND, bucket) AS time, current, whole, value,
    anyIf(value, whole AND current) OVER () AS now,
    anyIf(facts, whole AND current) OVER () AS n,
    anyIf(value, whole AND NOT current) OVER () AS before
  FROM (
    SELECT
      $__timeInterval(counted_at) AS bucket, ` + inRange + ` AS current,
      grouping(bucket) = 1 AS whole, toNullable(toFloat64(` + c.aggregate + `)) AS value,
      ` + facts + ` AS facts
    FROM kpi_` + c.view + `
    WHERE (` + inRange + ` OR ` + weekBefore + `)` + where + `
      AND ` + indented(filters(), "      ") + `
    GROUP BY GROUPING SETS ((bucket, current), (current))
  )
)` + whole + `
ORDER BY time`
}

func indented(sql, by string) string {
	return strings.ReplaceAll(sql, "\n  ", "\n"+by)
}

// verdict says in words on which side of its target the number now stands.
func verdict(t target, in string) string {
	if t.rising() {
		return fmt.Sprintf("if(now >= %v, '✓ at least %s', '▼ below %s')", t.good, in, in)
	}
	return fmt.Sprintf("if(now <= %v, '✓ within %s', '▲ over %s')", t.good, in, in)
}

// lowerBound is the lower end of Wilson's score interval for a share p of n facts: 95 % sure, one
// side (Wilson 1927; z = 1.645).
func lowerBound(p, n string) string {
	return fmt.Sprintf("greatest(0, (%[1]s + 1.353 / %[2]s - 1.645 * sqrt(%[1]s * (1 - %[1]s) / %[2]s + "+
		"0.6765 / (%[2]s * %[2]s))) / (1 + 2.706 / %[2]s))", p, n)
}

// worded writes a number as Grafana would.
func worded(value, unit string) string {
	text := "toString(round(" + value + ", 1))"
	switch unit {
	case unitShare:
		text = "concat(toString(round(100 * " + value + ", 1)), ' %')"
	case unitMS:
		text = "multiIf(" + value + " < 60000, concat(toString(round(" + value + " / 1000)), ' s'), " +
			value + " < 3600000, concat(toString(round(" + value + " / 60000, 1)), ' min'), " +
			value + " < 86400000, concat(toString(round(" + value + " / 3600000, 1)), ' h'), " +
			"concat(toString(round(" + value + " / 86400000, 1)), ' d'))"
	case unitMicros:
		text = "if(" + value + " < 1000, concat(toString(round(" + value + ")), ' µs'), " +
			"concat(toString(round(" + value + " / 1000, 1)), ' ms'))"
	}
	return "ifNull(" + text + ", '–')"
}

// rate and quantile are how every KPI view of the two forms is summed up.
const rate = "sum(num) / sum(den)"

func quantile(p float64) string {
	return "quantileExact(" + strconv.FormatFloat(p, 'g', -1, 64) + ")(value)"
}

// overTime groups by the buckets of a trend; more are conditions beside time and variables.
func overTime(columns, view string, more ...string) string {
	return "SELECT\n  $__timeInterval(counted_at) AS time,\n  " + columns + "\nFROM kpi_" + view +
		"\nWHERE " + inRange + and(more) + "\n  AND " + filters() + "\nGROUP BY time\nORDER BY time"
}

// overTimeBy is overTime with one series per value of a column.
func overTimeBy(column, as, aggregate, view string, more ...string) string {
	return "SELECT\n  $__timeInterval(counted_at) AS time,\n  " + orUnset(column) + " AS " + as +
		",\n  " + aggregate + "\nFROM kpi_" + view + "\nWHERE " + inRange + and(more) + "\n  AND " +
		filters() + "\nGROUP BY time, " + as + "\nORDER BY time, " + as
}

func and(conditions []string) string {
	text := ""
	for _, c := range conditions {
		text += "\n  AND " + c
	}
	return text
}

// orUnset is a column, or "(none)" where no event named it.
func orUnset(column string) string {
	return "if(" + column + " = '', '" + unset + "', toString(" + column + "))"
}

// pseudonym stands for an agent: boards name nobody unless they are changed to.
const pseudonym = "if(agent_id = '', '" + unset + "', " +
	"concat('agent ', substring(lower(hex(sipHash64(agent_id))), 1, 5)))"

// escaped is a text as a variable's value: the plugin puts values between quotes as they are, and
// producers choose the names. Backslash and quote for ClickHouse, $ against macros, - and / against
// comments.
func escaped(value string) string {
	for _, pair := range [][2]string{{`\\`, `\\\\`}, {`\'`, `\\\'`}, {`$`, `\\x24`},
		{`--`, `\\x2d\\x2d`}, {`/*`, `\\x2f*`}} {
		value = "replaceAll(" + value + ", '" + pair[0] + "', '" + pair[1] + "')"
	}
	return value
}

// drill are the columns that lead from a row to its conversation.
const drill = "conversation_id AS conversation"

func drillKey() string { return drill + ",\n  " + escaped("conversation_id") + " AS key" }

// changesSQL lists what the journal says of models, and when decisions first named another set of
// rules.
func changesSQL() string {
	return `SELECT time, text, tags
FROM (
  SELECT at AS time, concat(kind, ' ', detail) AS text, kind AS tags
  FROM ops_journal
  WHERE $__timeFilter(at) 
    AND kind IN ('model_load', 'model_refused', 'acceptance', 'take_back')
  UNION ALL
  SELECT min(time) AS time, concat('rules ', set) AS text, 'rules' AS tags
  FROM (
    SELECT time, assumeNotNull(rule_set) AS set
    FROM decisions
    WHERE $__timeFilter(time) AND rule_set IS NOT NULL
  )
  GROUP BY set
  ORDER BY time
  LIMIT 100 OFFSET 1
)
ORDER BY time
LIMIT 200`
}
