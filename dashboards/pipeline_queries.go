package dashboards

import (
	"fmt"
	"strings"

	"usher/sinks/clickhouse/deliver"
)

// Targets of the pipeline board.
var (
	rejectedTarget  = target{good: 0.001, bad: 0.01}
	lagTarget       = target{good: 60, bad: 300} // seconds
	queryableTarget = target{good: 5_000, bad: 60_000}
	balanceTarget   = target{good: 0.5, bad: 1} // whole numbers: anything but 0
)

// read is a query of a table in the range, over the table's own instant.
func read(columns, table, at, tail string, conditions ...string) string {
	return "SELECT\n  " + columns + "\nFROM " + table + "\nWHERE $__timeFilter(" + at + ")" +
		and(conditions) + tail
}

// course is read by the buckets of a trend.
func course(columns, table, at string, conditions ...string) string {
	return read("$__timeInterval("+at+") AS bucket,\n  "+columns, table, at,
		"\nGROUP BY bucket\nORDER BY bucket", conditions...)
}

// single is a number at the end of the range with its note, from a query of the columns value and
// note.
func single(columns, table, at string, conditions ...string) string {
	return read("$__toTime AS time,\n  "+columns, table, at, "\nHAVING count() > 0", conditions...)
}

// unbalanced are offsets and rows that an audit could not account for, whichever way.
const unbalanced = "sum(if(scope = 'input', abs(to_offset - from_offset - toInt64(stored + dead + gaps)), 0)" +
	" + missing + duplicated)"

func balanceSQL() string {
	return single("toFloat64("+unbalanced+") AS value,\n  concat(if(value < 1, '✓ nothing missing or "+
		"doubled', '▲ run usher audit'), ' · audits ', toString(uniqExact(at)), ', last ', "+
		"formatDateTime(max(at), '%H:%i', 'UTC'), ' UTC') AS note", "delivery_audit", "at")
}

func eventsNumberSQL() string {
	return read("$__timeInterval(received_at) AS bucket,\n  'in the range' AS note,\n"+
		"  count() AS events", "events", "received_at", "\nGROUP BY bucket\nORDER BY bucket")
}

func rejectedNumberSQL() string {
	note := strings.ReplaceAll(verdict(rejectedTarget, "0.1 %"), "now", "value")
	return "SELECT\n  $__toTime AS time,\n  sum(bad) / count() AS value,\n  " + note + " AS note\nFROM (\n" +
		"  SELECT 0 AS bad\n  FROM events\n  WHERE $__timeFilter(received_at)\n  UNION ALL\n" +
		"  SELECT 1 AS bad\n  FROM dead_letters\n  WHERE $__timeFilter(received_at)\n)\nHAVING count() > 0"
}

// storedMS is when the insert that stored a row began, less when the router read its event. The
// lease of an insert says when it began.
var storedMS = fmt.Sprintf("greatest(dateDiff('millisecond', received_at, _lease_until) - %d, 0)",
	deliver.LeaseMS)

func queryableNumberSQL() string {
	note := strings.ReplaceAll(verdict(queryableTarget, "5 s"), "now", "value")
	return single("toFloat64(quantileExact(0.99)("+storedMS+")) AS value,\n  concat("+note+
		", ' · half in ', "+worded("quantileExact(0.5)("+storedMS+")", unitMS)+") AS note", "events",
		"received_at")
}

func queryableSQL() string {
	return course("quantileExact(0.5)("+storedMS+") AS \"half\",\n  quantileExact(0.99)("+storedMS+
		") AS \"99 %\"", "events", "received_at")
}

func eventsByTypeSQL() string {
	return read("$__timeInterval(received_at) AS bucket,\n  type AS name,\n  count() AS events",
		"events", "received_at", "\nGROUP BY bucket, name\nORDER BY bucket, name")
}

func rejectedByCodeSQL() string {
	return read("$__timeInterval(received_at) AS bucket,\n  code AS name,\n  count() AS rejected",
		"dead_letters", "received_at", "\nGROUP BY bucket, name\nORDER BY bucket, name")
}

func flagsSQL() string {
	return read("$__timeInterval(received_at) AS bucket,\n  arrayJoin(flags) AS name,\n"+
		"  count() AS events", "events", "received_at", "\nGROUP BY bucket, name\nORDER BY bucket, name",
		"notEmpty(flags)")
}

func openNumberSQL() string {
	return "SELECT\n  $__toTime AS time,\n  concat('of ', toString(count()), ' in 90 days') AS note,\n" +
		"  countIf(closed_at IS NULL) AS value\nFROM conversations_latest\nWHERE voided = ''\n" +
		"  AND opened_at <= $__toTime AND opened_at >= $__toTime - INTERVAL 90 DAY\n" +
		"  AND _opened_month >= toStartOfMonth($__toTime - INTERVAL 90 DAY)\nHAVING count() > 0"
}

func correctionsSQL() string {
	return "SELECT\n  $__timeInterval(counted_at) AS bucket,\n  kpi AS name,\n  sum(value) AS corrected" +
		"\nFROM kpi_corrections\nWHERE " + inRange + "\nGROUP BY bucket, name\nORDER BY bucket, name"
}

// sampled reads samples of the processes.
func sampled(columns, tail string, names ...string) string {
	return read(columns, "process_metrics", "at", tail,
		"name IN ('"+strings.Join(names, "', '")+"')")
}

func lagNumberSQL() string {
	note := strings.ReplaceAll(verdict(lagTarget, "1 min"), "now", "value")
	return "SELECT\n  $__toTime AS time,\n  max(newest) AS value,\n  " + note + " AS note\nFROM (\n  " +
		indented(sampled("labels,\n  argMax(value, at) AS newest", "\n  GROUP BY labels",
			"usher_lag_seconds"), "    ") + "\n)\nHAVING count() > 0"
}

func lagSQL(name string) string {
	return sampled("$__timeInterval(at) AS bucket,\n  replaceAll(labels, 'group=', '') AS series,\n"+
		"  max(value) AS lag", "\nGROUP BY bucket, series\nORDER BY bucket, series", name)
}

func memorySQL() string {
	return sampled("$__timeInterval(at) AS bucket,\n  concat(instance, if(name LIKE 'go%', ' heap', "+
		"' in all')) AS series,\n  max(value) AS bytes", "\nGROUP BY bucket, series\nORDER BY bucket, series",
		"go_memstats_heap_alloc_bytes", "process_resident_memory_bytes")
}

// perInsert divides what one counter grew by what another grew, within each bucket.
func perInsert(of, per, as string) string {
	return "SELECT\n  bucket AS time,\n  sumIf(grew, name = '" + of + "') / sumIf(grew, name = '" + per +
		"') AS \"" + as + "\"\nFROM (\n  " + indented(sampled("$__timeInterval(at) AS bucket,\n  name,\n"+
		"  instance,\n  labels,\n  max(value) - min(value) AS grew",
		"\n  GROUP BY bucket, name, instance, labels", of, per), "    ") + "\n)\nGROUP BY bucket\n" +
		"HAVING sumIf(grew, name = '" + per + "') > 0\nORDER BY bucket"
}

func insertTimeSQL() string {
	return perInsert("usher_sink_insert_seconds_sum", "usher_sink_insert_seconds_count", "one insert")
}

func rowsPerInsertSQL() string {
	return perInsert("usher_sink_rows_total", "usher_sink_inserts_total", "rows")
}

func auditsSQL() string {
	return read("at AS \"audited at\",\n  scope AS \"what\",\n  topic,\n  partition,\n  from_offset AS "+
		"\"from\",\n  to_offset AS \"to\",\n  stored,\n  dead,\n  gaps,\n  missing,\n  duplicated",
		"delivery_audit", "at", "\nORDER BY missing + duplicated > 0 DESC, at DESC, scope, topic, "+
			"partition\nLIMIT 50")
}

func journalSQL() string {
	return read("at AS \"when\",\n  kind AS \"what\",\n  instance,\n  tenant,\n  substring(detail, 1, "+
		"200) AS detail", "ops_journal", "at", "\nORDER BY at DESC, kind\nLIMIT 20")
}

func partsSQL() string {
	return "SELECT\n  table,\n  count() AS \"parts\",\n  uniqExact(partition) AS \"partitions\",\n" +
		"  sum(rows) AS \"rows\",\n  sum(bytes_on_disk) AS \"on disk\"\nFROM system.parts\n" +
		"WHERE active AND database = currentDatabase() AND modification_time <= $__toTime\n" +
		"GROUP BY table\nORDER BY \"parts\" DESC, table\nLIMIT 30"
}
