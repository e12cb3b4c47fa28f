package views_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/views"
)

var rewrite = flag.Bool("rewrite", false, "write docs/kpis.md anew")

const kpisDoc = "../../../docs/kpis.md"

const kpisHead = `# KPIs

Generated from the definitions that the views carry
(` + "`go test ./sinks/clickhouse/views -run KPIsDoc -rewrite`" + `); ` + "`kpi_definitions`" + ` holds the same
words, and ` + "`usher sql`" + ` lists them.

Every KPI is a view ` + "`kpi_<name>`" + ` with one row per counted fact: ` + "`counted_at`" + ` (event time of what
settled it), ` + "`started_at`" + `, ` + "`day`" + ` (of ` + "`counted_at`" + ` in the tenant's zone), the dimensions,
` + "`conversation_id`, `cycle_id`, `final`" + ` (0 while it may still change), and

| form | columns | ask |
|---|---|---|
| value | ` + "`value`" + `; durations in ms | quantiles and averages of ` + "`value`" + ` |
| rate | ` + "`num`, `den`" + ` | ` + "`sum(num) / sum(den)`" + `, right for any grouping |

A KPI whose events never came has no rows: NULL, never 0 %. What ` + "`void`, `merge`" + ` or spam took out is in
none.

`

const kpisDaily = `
## Daily rows

For boards, ` + "`kpi_<name>_daily`" + ` adds a KPI up by ` + "`day`" + `, the dimensions without ids and ` + "`final`" + `:
` + "`n`" + ` facts, ` + "`num`, `den`, `sum`" + `, and of values ` + "`hist`" + `, a histogram whose buckets grow by 2 %%.
Rows add up: always sum them. A quantile is within 2 %% of the exact one, everything else is exact.

` + "```" + `sql
SELECT channel, usherQuantile(0.9, sumMap(hist)) AS p90
FROM kpi_first_reply_human_daily WHERE day >= today() - 30 GROUP BY channel
` + "```" + `

There is one of %s.

They say at every moment what the facts say, corrections and voids included. What makes them fast is a
cache, ` + "`kpi_rollup`" + `, and never a second source: the leading sink computes the daily rows of a partition
of facts once nothing has been written into it for 20 seconds, and notes the number that ClickHouse gave
the partition's newest insert. A view takes those rows only while that number is still the newest, and
computes the other partitions (today's, and those that a correction has just reached) from the facts.
Voided cycles are taken off when the view is read. So a sink that stands still or an engine that is
killed in between makes boards slower and changes no number; ` + "`TRUNCATE TABLE kpi_rollup`" + ` is safe at any
time. Rows of other definitions, before or after an upgrade, do not count. The cache needs plain MergeTree
tables, whose inserts become visible in the order of those numbers; over replicated or shared ones it stays
empty, and the views read the facts.
`

// kpisText is docs/kpis.md.
func kpisText() string {
	var b strings.Builder
	b.WriteString(kpisHead)
	b.WriteString("| KPI | form | unit | needs |\n|---|---|---|---|\n")
	kpis := views.KPIs()
	for _, k := range kpis {
		d := k.DefinitionRow()
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", d.Name, d.Name, d.Form, d.Unit,
			orMessage(d.Needs))
	}
	var daily []string
	for _, k := range kpis {
		writeKPI(&b, k.DefinitionRow())
		if k.HasDaily() {
			daily = append(daily, k.Name)
		}
	}
	fmt.Fprintf(&b, kpisDaily, strings.Join(daily, ", "))
	return b.String()
}

func orMessage(needs string) string {
	if needs == "" {
		return "message"
	}
	return needs
}

func writeKPI(b *strings.Builder, d schema.KPIDefinition) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", d.Name, d.Definition)
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(b, "- **%s**: %s\n", what, text)
		}
	}
	line("version", fmt.Sprint(d.Version))
	line("formula", "`"+d.Formula+"`")
	line("numerator", d.Numerator)
	line("denominator", d.Denominator)
	line("needs", orMessage(d.Needs))
	line("source", d.Source)
	line("edge cases", d.EdgeCases)
	line("example", d.Example)
	line("note", d.Notes)
	fmt.Fprintf(b, "\n```sql\n%s\n```\n", exampleQuery(d))
}

// exampleQuery is a question that the form answers for any grouping.
func exampleQuery(d schema.KPIDefinition) string {
	group, what := "channel", "quantileExact(0.9)(value) AS p90"
	switch {
	case d.Form == views.Rate && d.Name == "service_level":
		group, what = "within_ms", "sum(num) / sum(den) AS rate"
	case d.Form == views.Rate:
		what = "sum(num) / sum(den) AS rate"
	case d.Name == "outcome_value", d.Name == "savings":
		group, what = "currency", "sum(value) AS total"
	case d.Unit != "ms":
		what = "sum(value) AS total"
	}
	return fmt.Sprintf("SELECT %s, %s\nFROM kpi_%s WHERE day >= today() - 7 GROUP BY %s", group, what,
		d.Name, group)
}

func TestKPIsDoc(t *testing.T) {
	want := kpisText()
	if *rewrite {
		if err := os.WriteFile(kpisDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(kpisDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/kpis.md is not what the definitions say: " +
			"go test ./sinks/clickhouse/views -run KPIsDoc -rewrite")
	}
}

// TestKPIsDocQueries: every example query runs, and the definitions stored are those of the page.
func TestKPIsDocQueries(t *testing.T) {
	conn := enginetest.Open(t)
	page, err := os.ReadFile(kpisDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range views.KPIs() {
		d := k.DefinitionRow()
		enginetest.Query(t, conn, exampleQuery(d))
		stored := enginetest.Query(t, conn, fmt.Sprintf("SELECT count() FROM kpi_definitions FINAL WHERE "+
			"name = %s AND definition = %s", schema.Quote(d.Name), schema.Quote(d.Definition)))
		if stored != "1" || !strings.Contains(string(page), d.Definition) {
			t.Errorf("%s: stored %s times; on the page: %t", d.Name, stored,
				strings.Contains(string(page), d.Definition))
		}
	}
}
