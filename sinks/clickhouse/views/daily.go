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

// dailyKPIs are the KPIs that boards sum up by day, with the columns beside the dimensions that a
// row of theirs must be read by.
var dailyKPIs = map[string][]string{
	"volume": nil, "first_reply_any": nil, "first_reply_human": nil, "first_reply_after_handoff": nil,
	"requester_wait": nil, "handoff_wait": nil, "unanswered": nil, "missed": nil, "dropped": nil,
	"escalation": nil, "next_reply": nil, "next_reply_human": nil, "missed_messages": nil,
	"decision_bands": {"band"}, "sla": {"policy", "metric", "clock"},
}

// HasDaily reports whether the KPI has a daily twin.
func (k *KPI) HasDaily() bool {
	_, ok := dailyKPIs[k.Name]
	return ok
}

// dailyColumns are what daily rows are added up by. Two rows of a view may have all of them equal.
func (k *KPI) dailyColumns() []string {
	return append(append([]string{"day"}, dailyDimensions()...), append([]string{"final"},
		dailyKPIs[k.Name]...)...)
}

// Daily returns the statements that make the quantile function, the roll-up and the daily twins.
func Daily() []string {
	out := []string{Quantile, createRollup}
	for _, k := range KPIs() {
		if k.HasDaily() {
			out = append(out, create(k.View()+"_daily", k.dailySQL(), k.View()+" by day: n facts, sums, "+
				"and a histogram for usherQuantile(p, sumMap(hist))"))
		}
	}
	return out
}

// dailySQL adds up what the roll-up holds of partitions that have not changed since, the facts of
// the others, and, taken off, the facts of voided cycles: a cycle may be voided long after its facts
// have been written. There, groups that come to nothing have no row, as if they had never been.
func (k *KPI) dailySQL() string {
	f := k.family()
	group := strings.Join(k.dailyColumns(), ", ")
	columns := group + ", n, num, den, sum, hist"
	parts := []string{
		"SELECT " + k.storedColumns() + "\nFROM " + RollupTable + "\nWHERE kpi = '" + k.Name +
			"' AND generation IN (SELECT generation FROM (" + f.proven() + "))",
		"SELECT " + columns + "\nFROM (" + k.aggregate(f, "_partition_id NOT IN (SELECT unit FROM ("+
			f.proven()+"))", "") + ")",
	}
	if f.voids {
		parts = append(parts, "SELECT "+columns+"\nFROM ("+k.aggregate(f,
			"cycle_id IN (SELECT cycle_id FROM voids_latest)", "-")+")")
	}
	all := "\nFROM (\n" + strings.Join(parts, "\nUNION ALL\n") + "\n) AS f"
	if need := k.need(); need != "" {
		all += "\nWHERE " + need
	}
	const settings = "\nSETTINGS prefer_column_name_to_alias = 1"
	if !f.voids { // nothing is taken off, and adding up by every dimension would cost most of the time
		return "SELECT " + columns + all + settings
	}
	return "SELECT " + group + ", sum(f.n) AS n, sum(f.num) AS num, sum(f.den) AS den, sum(f.sum) AS sum,\n" +
		"    mapFilter((k, v) -> v != 0, sumMap(f.hist)) AS hist" + all +
		"\nGROUP BY " + group + "\nHAVING sum(f.n) != 0" + settings
}

// aggregate is the query of daily rows over those facts of the family that the condition holds for.
// sign is "" or "-".
func (k *KPI) aggregate(f *family, condition, sign string) string {
	of := *k
	of.source, of.needs = f.facts(condition), nil
	of.extra = slices.Clone(dailyKPIs[k.Name])
	weight := sign + "toInt64(1)"
	if f.signed {
		of.extra = append(of.extra, "sign")
		weight = sign + "toInt64(f.sign)"
	}
	group := strings.Join(k.dailyColumns(), ", ")
	if k.Form == Rate {
		return "SELECT " + group + ", sum(" + weight + ") AS n, sum(" + weight + " * f.num) AS num, sum(" +
			weight + " * f.den) AS den,\n    CAST(NULL AS Nullable(Int64)) AS sum, " +
			"CAST(map() AS Map(Int16, Int64)) AS hist\nFROM (" + of.SQL() + ") AS f\nGROUP BY " + group
	}
	// By bucket first: adding up a map for every fact would cost five times as much.
	const value = "assumeNotNull(f.value)"
	return "SELECT " + group + ", sum(f.facts) AS n, CAST(NULL AS Nullable(Int64)) AS num, " +
		"CAST(NULL AS Nullable(Int64)) AS den,\n    sum(f.total) AS sum, CAST((groupArrayIf(f.bucket, f.facts != 0), " +
		"groupArrayIf(f.facts, f.facts != 0)) AS Map(Int16, Int64)) AS hist\nFROM (\nSELECT " + group + ", " +
		bucket(value) + " AS bucket,\n    sum(" + weight + ") AS facts, sum(" + weight + " * toNullable(" +
		value + ")) AS total\nFROM (" + of.SQL() + ") AS f\nGROUP BY " + group + ", bucket\n) AS f\n" +
		"GROUP BY " + group
}
