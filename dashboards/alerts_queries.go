package dashboards

import (
	"fmt"
	"strings"
)

// Minimum counts: below them an alert is silent, because chance would speak.
const (
	repliesMin    = 20  // first replies of a channel in an hour
	offeredMin    = 20  // offered in an hour
	offeredNowMin = 5   // of them in 15 minutes
	offeredDayMin = 50  // offered in six hours
	comparedMin   = 50  // in the hour and in the hour of the week before
	judgedMin     = 200 // decisions that usher made alone, in a week
	recordsMin    = 1000
	usualMin      = 20 // events in the same quarter-hour of each of three earlier weeks
)

// serviceBudget is the share that the service level lets pass unanswered; pipelineBudget that of
// the objective that 99.9 % of events are queryable within 5 s.
const (
	serviceBudget  = 0.2
	pipelineBudget = 0.001
)

// perTenant groups an alert's query.
func perTenant(value, from, where, having string) string {
	return "SELECT\n  tenant,\n  " + value + " AS value\nFROM " + from + "\nWHERE " + where +
		"\nGROUP BY tenant\nHAVING " + having + "\nORDER BY tenant"
}

func slowChannelSQL() string {
	return "SELECT\n  tenant,\n  channel,\n  toFloat64(" + quantile(0.9) + ") AS value\nFROM kpi_" +
		firstReplyHuman + "\nWHERE " + inRange + "\nGROUP BY tenant, channel\n" +
		fmt.Sprintf("HAVING count() >= %d\nORDER BY tenant, channel", repliesMin)
}

// last is the condition that an instant lies in the last minutes of the range.
func last(at string, minutes int) string {
	return fmt.Sprintf("%s >= $__toTime - INTERVAL %d MINUTE", at, minutes)
}

// burns is how many times faster than agreed the service level's budget is used up, in the range
// and in its last minutes, whichever is less: so that it stops soon after its cause.
func burns(minutes, inRangeMin, inLastMin int) string {
	short := last("counted_at", minutes)
	return perTenant(fmt.Sprintf("least(1 - %s, 1 - sumIf(num, %s) / sumIf(den, %s)) / %v", rate, short,
		short, serviceBudget), "kpi_"+serviceLevel, inRange+" AND "+headline,
		fmt.Sprintf("sum(den) >= %d AND sumIf(den, %s) >= %d", inRangeMin, short, inLastMin))
}

func fastBurnSQL() string { return burns(15, offeredMin, offeredNowMin) }
func slowBurnSQL() string { return burns(60, offeredDayMin, offeredNowMin) }

// oldestWaitAlertSQL leaves out what was opened out of hours, and what has waited for over a day:
// that is forgotten, and no page of the night brings it back.
func oldestWaitAlertSQL() string {
	return perTenant("toFloat64(max("+waitedMS+"))", "conversations_latest",
		"voided = '' AND closed_at IS NULL AND $__timeFilter(waiting_since)\n"+
			"  AND _opened_month >= toStartOfMonth($__fromTime - INTERVAL 90 DAY)\n"+
			"  AND ifNull(out_of_hours, 0) = 0", "value > 0")
}

// escalationJumpSQL divides the escalation rate by that of the same hour a week earlier.
func escalationJumpSQL() string {
	return perTenant("(sumIf(num, "+inRange+") / sumIf(den, "+inRange+")) / (sumIf(num, "+weekBefore+
		") / sumIf(den, "+weekBefore+"))", "kpi_"+escalation, "("+inRange+" OR "+weekBefore+")",
		fmt.Sprintf("sumIf(den, %s) >= %d AND sumIf(den, %s) >= %d AND sumIf(num, %s) > 0", inRange,
			comparedMin, weekBefore, comparedMin, weekBefore))
}

func precisionAlertSQL() string {
	return perTenant("toFloat64("+rate+")", "kpi_"+autoPrecision, inRange,
		fmt.Sprintf("sum(den) >= %d", judgedMin))
}

func lagAlertSQL() string {
	return "SELECT\n  replaceAll(labels, 'group=', '') AS group,\n  argMax(value, at) AS value\n" +
		"FROM process_metrics\nWHERE $__timeFilter(at) AND name = 'usher_lag_seconds'\n" +
		"GROUP BY labels\nORDER BY labels"
}

func rejectedAlertSQL() string {
	return "SELECT\n  sum(bad) / count() AS value\nFROM (\n  SELECT 0 AS bad\n  FROM events\n" +
		"  WHERE $__timeFilter(received_at)\n  UNION ALL\n  SELECT 1 AS bad\n  FROM dead_letters\n" +
		"  WHERE $__timeFilter(received_at)\n)\n" + fmt.Sprintf("HAVING count() >= %d", recordsMin)
}

func balanceAlertSQL() string {
	return read("toFloat64("+unbalanced+") AS value", "delivery_audit", "at", "\nHAVING count() > 0")
}

// auditAlertSQL is the age of the newest audit in seconds. Where none was made in a day there is
// nothing to watch.
func auditAlertSQL() string {
	return read("dateDiff('second', max(at), toDateTime64($__toTime, 3, 'UTC')) AS value",
		"delivery_audit", "at", "\nHAVING count() > 0")
}

// queryableBurnSQL is how many times faster than agreed the pipeline's budget is used up.
func queryableBurnSQL(minutes int) string {
	late, short := storedMS+" > 5000", last("received_at", minutes)
	return read(fmt.Sprintf("least(countIf(%s) / count(), countIf(%s AND %s) / countIf(%s)) / %v AS value",
		late, late, short, short, pipelineBudget), "events", "received_at",
		fmt.Sprintf("\nHAVING count() >= %d AND countIf(%s) > 0", recordsMin, short))
}

// silentSQL names tenants from whom nothing came in the range, a quarter of an hour, though at least
// usualMin events came in the same quarter of each of three earlier weeks, and none of what was
// opened then lay out of hours.
func silentSQL() string {
	var weeks, counts []string
	for week := 1; week <= 3; week++ {
		weeks = append(weeks, fmt.Sprintf("$__timeFilter(time + INTERVAL %d DAY)", 7*week))
		counts = append(counts, fmt.Sprintf("countIf(%s) >= %d", weeks[week-1], usualMin))
	}
	closed := strings.ReplaceAll(strings.Join(weeks, " OR "), "(time", "(counted_at")
	return "SELECT\n  tenant,\n  toFloat64(countIf($__timeFilter(time)) = 0) AS value\nFROM events\n" +
		"WHERE ($__timeFilter(time) OR " + strings.Join(weeks, " OR ") + ")\n  AND tenant NOT IN (\n" +
		"    SELECT tenant\n    FROM kpi_out_of_hours\n    WHERE num = 1 AND (" + closed + ")\n  )\n" +
		"GROUP BY tenant\nHAVING " + strings.Join(counts, " AND ") + "\nORDER BY tenant"
}
