package views

import (
	"slices"
	"strings"
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

// dailyDimensions are the dimensions without ids.
func dailyDimensions() []string {
	return slices.DeleteFunc(slices.Clone(dimensions), func(d string) bool {
		return d == "customer_key" || d == "conversation_id" || d == "cycle_id"
	})
}

// Daily returns the statements that make the quantile function and the daily twins. They are views
// over the KPI views, so a correction counts at once. A roll-up filled by materialized views would be
// faster and was tried: a kill of the engine between a fact and its view left the roll-up behind, and
// nothing that reads the facts back can see it.
func Daily() []string {
	out := []string{Quantile}
	for _, d := range daily() {
		out = append(out, create(d.name, d.sql, d.about))
	}
	return out
}

// dailyKPIs are the KPIs that boards sum up by day.
var dailyKPIs = []string{
	"volume", "first_reply_any", "first_reply_human", "first_reply_after_handoff", "requester_wait",
	"handoff_wait", "unanswered", "missed", "dropped", "escalation", "decision_bands", "next_reply",
	"next_reply_human", "missed_messages",
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
	const noSum = ", CAST(NULL AS Nullable(Int64)) AS sum, CAST(map() AS Map(Int16, Int64)) AS hist"
	var out []latestView
	for _, k := range KPIs() {
		if !slices.Contains(dailyKPIs, k.Name) {
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
