package dashboards

import (
	"fmt"
	"strings"
)

// Targets of the service board. Panels colour by them and say them in words; alerts use the same.
var (
	firstReplyTarget   = target{good: 3 * 60_000, bad: 15 * 60_000}
	slowReplyTarget    = target{good: 15 * 60_000, bad: 60 * 60_000}
	serviceLevelTarget = target{good: 0.8, bad: 0.6} // bad: the promise burns twice as fast as agreed
	missedTarget       = target{good: 0.05, bad: 0.15}
	oldestWaitTarget   = target{good: 3 * 60_000, bad: 12 * 60_000} // bad: 4 × what half should get
)

// servedWithinMS is the Y of service_level that boards and alerts show.
const servedWithinMS = 180_000

// headline picks that Y. Who is not answered yet and whose time is not over counts neither way.
var headline = fmt.Sprintf("within_ms = %d AND (final = 1 OR num = 1)", servedWithinMS)

func openedSQL() string {
	return comparison{view: volume, aggregate: "count()", unit: unitCount, sum: true}.sql()
}

// lengthSQL compares a quantile of a duration.
func lengthSQL(view string, p float64, t target, in string) string {
	return comparison{view: view, aggregate: quantile(p), unit: unitMS, target: t, words: in}.sql()
}

// rateSQL compares a share.
func rateSQL(view string, t target, in string) string {
	return comparison{view: view, aggregate: rate, unit: unitShare, target: t, words: in}.sql()
}

func serviceLevelSQL() string {
	return comparison{view: serviceLevel, where: headline, aggregate: rate, unit: unitShare,
		target: serviceLevelTarget, words: "80 %"}.sql()
}

// waiting are the cycles in which somebody waits, as known now, whose wait began in the range or in
// the 30 days before it. The month prunes partitions.
func waiting(columns, tail string) string {
	return "SELECT\n  " + columns + `
FROM conversations_latest
WHERE voided = '' AND closed_at IS NULL AND waiting_since <= $__toTime
  AND waiting_since >= $__fromTime - INTERVAL 30 DAY
  AND _opened_month >= toStartOfMonth($__fromTime - INTERVAL 90 DAY)
  AND ` + filters() + tail
}

const waitedMS = "dateDiff('millisecond', assumeNotNull(waiting_since), " +
	"toDateTime64($__toTime, 3, 'UTC'))"

func waitingNowSQL() string {
	return waiting("$__toTime AS time,\n  concat('of them over 3 min: ', toString(countIf("+waitedMS+
		" > 180000))) AS note,\n  count() AS value", "\nHAVING value > 0")
}

func oldestWaitSQL() string {
	note := strings.ReplaceAll(verdict(oldestWaitTarget, "3 min"), "now", "value")
	return waiting("$__toTime AS time,\n  max("+waitedMS+") AS value,\n  "+note+" AS note",
		"\nHAVING count() > 0")
}

func firstReplyOverTimeSQL() string {
	return overTime("quantileExact(0.5)(value) AS \"half, people\",\n"+
		"  quantileExact(0.9)(value) AS \"90 %, people\"", firstReplyHuman)
}

func firstReplyAnyOverTimeSQL() string {
	return overTime("quantileExact(0.5)(value) AS \"half, people or bot\"", firstReplyAny)
}

func serviceLevelByChannelSQL() string {
	return overTimeBy("channel", "name", rate+" AS met", serviceLevel, headline)
}

// heatEdges are the upper ends of the heat map's rows, in seconds.
var heatEdges = []int{10, 30, 60, 180, 600, 1800, 3600, 3 * 3600, 8 * 3600, 24 * 3600}

func firstReplyHeatSQL() string {
	var columns []string
	for i, edge := range heatEdges {
		condition := fmt.Sprintf("value <= %d", edge*1000)
		if i > 0 {
			condition = fmt.Sprintf("value > %d AND %s", heatEdges[i-1]*1000, condition)
		}
		columns = append(columns, fmt.Sprintf("countIf(%s) AS \"%d\"", condition, edge))
	}
	return overTime(strings.Join(columns, ",\n  "), firstReplyHuman)
}

func firstReplyBucketsSQL() string {
	return overTime("countIf(value <= 180000) AS \"0–3 min\",\n"+
		"  countIf(value > 180000 AND value <= 900000) AS \"3–15 min\",\n"+
		"  countIf(value > 900000 AND value <= 3600000) AS \"15–60 min\",\n"+
		"  countIf(value > 3600000) AS \"over 60 min\"", firstReplyHuman)
}

func volumeOverTimeSQL() string {
	return overTimeBy("channel", "name", "count() AS conversations", volume)
}

func rateOverTimeSQL(name string, legend string) string {
	return overTime(rate+" AS \""+legend+"\"", name)
}

// loadSQL has a row per weekday and a column per hour, both of UTC: ClickHouse takes no zone from a
// variable.
func loadSQL() string {
	var hours []string
	for h := range 24 {
		hours = append(hours, fmt.Sprintf("countIf(toHour(counted_at) = %d) AS \"%02d\"", h, h))
	}
	return "SELECT\n  ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']" +
		"[toDayOfWeek(counted_at)] AS weekday,\n  " + strings.Join(hours, ",\n  ") +
		"\nFROM kpi_" + volume + "\nWHERE " + inRange + "\n  AND " + filters() +
		"\nGROUP BY toDayOfWeek(counted_at), weekday\nORDER BY toDayOfWeek(counted_at)"
}

// figure is a column of the breakdown: a KPI summed up under a name.
type figure struct{ name, view, aggregate, where string }

func channelFigures() []figure {
	return []figure{
		{"conversations", volume, "toFloat64(count())", ""},
		{"first reply, half", firstReplyHuman, quantile(0.5), ""},
		{"first reply, 90 %", firstReplyHuman, quantile(0.9), ""},
		{"within 3 min", serviceLevel, rate, headline},
		{"missed", missed, rate, ""},
		{"time to close, half", timeToClose, quantile(0.5), ""},
		{"messages to close", messagesToClose, "avg(value)", ""},
	}
}

// channelsSQL puts the figures of each channel side by side; what a channel lacks is NULL, not 0.
// Figures of one view are summed up in one reading of it.
func channelsSQL() string {
	var columns, parts []string
	figures := channelFigures()
	for i := 0; i < len(figures); {
		f := figures[i]
		var pairs []string
		for ; i < len(figures) && figures[i].view == f.view; i++ {
			columns = append(columns, fmt.Sprintf("anyIf(fv.2, fv.1 = %d) AS \"%s\"", i, figures[i].name))
			pairs = append(pairs, fmt.Sprintf("(%d, toNullable(toFloat64(%s)))", i, figures[i].aggregate))
		}
		where := inRange
		if f.where != "" {
			where += " AND " + f.where
		}
		parts = append(parts, fmt.Sprintf("SELECT %s AS name, [%s] AS found\n  FROM kpi_%s\n  WHERE %s\n"+
			"    AND %s\n  GROUP BY name", orUnset("channel"), strings.Join(pairs, ", "), f.view, where,
			indented(filters(), "    ")))
	}
	return "SELECT\n  name AS channel,\n  " + strings.Join(columns, ",\n  ") +
		"\nFROM (\n  SELECT name, arrayJoin(found) AS fv\n  FROM (\n  " +
		strings.Join(parts, "\n  UNION ALL\n  ") + "\n  )\n)\nGROUP BY name\n" +
		"ORDER BY conversations DESC, name"
}

func slowestSQL() string {
	return "SELECT\n  counted_at AS \"answered at\",\n  value AS \"waited\",\n" +
		"  tenant,\n  channel,\n  queue,\n  lang AS language,\n" +
		"  " + pseudonym + " AS agent,\n  " + drillKey() + ",\n" +
		"  if(final = 1, 'final', 'provisional') AS state\nFROM kpi_" + firstReplyHuman +
		"\nWHERE " + inRange + "\n  AND " + filters() +
		"\nORDER BY value DESC, counted_at, conversation_id\nLIMIT 20"
}

// daily sums a view by day for long ranges: its histogram is right within 1 %.
func daily(columns, view string, more ...string) string {
	return "SELECT\n  toDateTime(day, 'UTC') AS time,\n  " + columns + "\nFROM kpi_" + view +
		"_daily\nWHERE day >= toDate($__fromTime) AND day <= toDate($__toTime)" + and(more) +
		"\n  AND " + filters() + "\nGROUP BY day\nORDER BY day"
}

func firstReplyDailySQL() string {
	return daily("usherQuantile(0.5, sumMap(hist)) AS \"half, people\",\n"+
		"  usherQuantile(0.9, sumMap(hist)) AS \"90 %, people\"", firstReplyHuman)
}

func volumeDailySQL() string { return daily("sum(n) AS conversations", volume) }
