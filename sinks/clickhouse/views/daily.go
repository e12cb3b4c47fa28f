package views

import (
	"slices"
	"strings"

	"usher/sinks/clickhouse/schema"
)

// Quantile is the SQL function that reads a quantile from a histogram: usherQuantile(p, sumMap(hist)),
// the value at place floor(p·n) as quantileExact takes it, within 1 %. NULL without facts. The lists
// of one element stand for names: an alias would clash when a query calls it twice.
const Quantile = `CREATE OR REPLACE FUNCTION usherQuantile AS (p, hist) ->
arrayMap(s -> if(empty(s), NULL, arrayMap(k -> if(k < 0, 0., pow(1.02, k - 0.5)), [
    s[arrayFirstIndex(c -> c > least(toInt64(floor(p * arraySum(arrayMap(x -> x.2, s)))),
        arraySum(arrayMap(x -> x.2, s)) - 1), arrayCumSum(arrayMap(x -> x.2, s)))].1])[1]),
[arraySort(arrayFilter(x -> x.2 > 0, arrayZip(mapKeys(hist), mapValues(hist))))])[1]`

// bucket is the histogram's key of a value: i holds (1.02^(i−1), 1.02^i], −1 what is not above zero.
func bucket(value string) string {
	return "toInt16(if(" + value + " < 1, -1, ceil(log(greatest(" + value + ", 1)) / log(1.02))))"
}

// histType is what a roll-up keeps: a plain Map in a SummingMergeTree silently loses keys.
const histType = "SimpleAggregateFunction(sumMap, Map(Int16, Int64))"

// dailyDimensions are the dimensions without ids.
func dailyDimensions() []string {
	return slices.DeleteFunc(slices.Clone(dimensions), func(d string) bool {
		return d == "customer_key" || d == "conversation_id" || d == "cycle_id"
	})
}

// rollup is a signed roll-up of a table of waits.
type rollup struct{ table, facts string }

func rollups() []rollup {
	return []rollup{
		{schema.TableTurns + "_rollup", schema.TableTurns},
		{schema.TableTurnsHuman + "_rollup", schema.TableTurnsHuman},
	}
}

// RollupNames are the tables of Rollups, whose windows a check may want to see.
func RollupNames() []string {
	var out []string
	for _, r := range rollups() {
		out = append(out, r.table)
	}
	return out
}

func (r rollup) keys() string {
	return "day, " + strings.Join(dailyDimensions(), ", ") + ", ended_by, is_first, final"
}

func (r rollup) create() string {
	columns := "    day Date,\n"
	for _, d := range dailyDimensions() {
		columns += "    " + d + " LowCardinality(String),\n"
	}
	return "CREATE TABLE IF NOT EXISTS " + r.table + "\n(\n" + columns +
		"    ended_by LowCardinality(String),\n    is_first Bool,\n    final Bool,\n" +
		"    n SimpleAggregateFunction(sum, Int64),\n" +
		"    sum SimpleAggregateFunction(sum, Int64),\n    hist " + histType + "\n)\n" +
		"ENGINE = AggregatingMergeTree\nPARTITION BY toStartOfYear(day)\nORDER BY (" + r.keys() + ")\n" +
		"SETTINGS allow_nullable_key = 1, non_replicated_deduplication_window = " +
		"10000\nCOMMENT 'signed sums of " + r.facts + " by day and dimensions'"
}

// sums is what the roll-up adds for rows, sign being their weight.
func (r rollup) sums(from, sign string) string {
	return "SELECT " + r.keys() + ", toInt64(sum(" + sign + ")) AS n, " +
		"toInt64(sum(" + sign + " * wait_ms)) AS sum, " +
		"sumMap(map(" + bucket("wait_ms") + ", toInt64(" + sign + "))) AS hist\nFROM " + from +
		"\nGROUP BY " + r.keys()
}

// add takes what the router writes, but of cycles that are void: those count for nothing until they
// are given back.
func (r rollup) add() string {
	return "CREATE MATERIALIZED VIEW IF NOT EXISTS " + r.table + "_add TO " + r.table + " AS\n" +
		r.sums(r.held(), "sign")
}

// held are the waits of cycles that are not void.
func (r rollup) held() string {
	return r.facts + " AS t\nLEFT ANTI JOIN (SELECT cycle_id FROM voids_latest) AS v USING (cycle_id)"
}

// void takes a cycle's waits out when it is voided, and puts them back when it is not any more. The
// table holds all that was written before, as voids is the last table of its range. A join and not IN:
// with a set in a view, inserts into the embedded engine were now and then cancelled.
func (r rollup) void() string {
	return "CREATE MATERIALIZED VIEW IF NOT EXISTS " + r.table + "_void TO " + r.table + " AS\n" +
		r.sums(`(
    SELECT tenant, conversation_id, cycle_id, -sum(sign) AS weight
    FROM voids
    GROUP BY tenant, conversation_id, cycle_id
    HAVING weight != 0
) AS v
INNER JOIN `+r.facts+` AS t USING (tenant, conversation_id, cycle_id)`, "sign * weight") +
		"\nSETTINGS query_plan_join_swap_table = 'true'" // the few voids are hashed, the waits streamed
}

// Rollups returns the statements that make the roll-ups and fill them from what is there. They begin
// anew, so nothing may be inserted while they run: apply a schema while no sink is running.
func Rollups() []string {
	out := []string{Quantile}
	for _, r := range rollups() {
		out = append(out, "DROP VIEW IF EXISTS "+r.table+"_add", "DROP VIEW IF EXISTS "+r.table+"_void",
			"DROP TABLE IF EXISTS "+r.table, r.create(), r.add(), r.void(),
			"INSERT INTO "+r.table+"\n"+r.sums(r.held(), "sign")+"\nSETTINGS insert_deduplicate = 0")
	}
	for _, d := range daily() {
		out = append(out, create(d.name, d.sql, d.about))
	}
	return out
}

// dailyPlain are the KPIs over cycles, handoffs and decisions that boards sum up by day.
var dailyPlain = []string{
	"volume", "first_reply_any", "first_reply_human", "first_reply_after_handoff", "requester_wait",
	"handoff_wait", "unanswered", "missed", "dropped", "escalation", "decision_bands",
}

func daily() []latestView {
	group := "day, " + strings.Join(dailyDimensions(), ", ") + ", final"
	of := func(name, columns, from string) latestView {
		return latestView{
			"kpi_" + name + "_daily", "SELECT " + columns + "\nFROM " + from,
			"kpi_" + name + " by day: n facts, sums, and a histogram for usherQuantile(p, sumMap(hist))",
		}
	}
	const noRate = ", CAST(NULL AS Nullable(Int64)) AS num, CAST(NULL AS Nullable(Int64)) AS den"
	waits := func(name, table string) latestView {
		return of(name, group+", sum(r.n) AS n"+noRate+", sum(r.sum) AS sum, sumMap(r.hist) AS hist",
			table+" AS r\nWHERE NOT is_first AND ended_by IN ('agent', 'bot')\nGROUP BY "+group+
				"\nHAVING n != 0")
	}
	const noSum = ", CAST(NULL AS Nullable(Int64)) AS sum, CAST(map() AS Map(Int16, Int64)) AS hist"
	out := []latestView{
		waits("next_reply", schema.TableTurns+"_rollup"),
		waits("next_reply_human", schema.TableTurnsHuman+"_rollup"),
		of("missed_messages", group+", sum(r.n) AS n, "+
			"toNullable(sumIf(r.n, ended_by IN ('close', 'none'))) AS num, toNullable(sum(r.n)) AS den"+noSum,
			schema.TableTurns+"_rollup AS r\nGROUP BY "+group+"\nHAVING n != 0"),
	}
	for _, k := range KPIs() {
		if !slices.Contains(dailyPlain, k.Name) {
			continue
		}
		columns, by := group, group
		if k.Name == "decision_bands" {
			columns, by = columns+", band", by+", band"
		}
		columns += ", toInt64(count()) AS n"
		if k.Form == Rate {
			columns += ", sum(f.num) AS num, sum(f.den) AS den" + noSum
		} else {
			columns += noRate + ", sum(f.value) AS sum, sumMap(map(" + bucket("assumeNotNull(f.value)") +
				", toInt64(1))) AS hist"
		}
		out = append(out, of(k.Name, columns, k.View()+" AS f\nGROUP BY "+by))
	}
	return out
}
