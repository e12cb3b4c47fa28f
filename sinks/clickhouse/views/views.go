// Package views holds the definitions of usher's KPIs, each as SQL over the tables and in words.
// The words become the comment of the view and its row in kpi_definitions.
package views

import (
	"fmt"
	"slices"
	"strings"

	"usher/sinks/clickhouse/schema"
)

// Forms of a KPI view (KPIS.md section 0).
const (
	Value = "value" // one row per fact, with value
	Rate  = "rate"  // one row per fact, with num (0 or 1) and den (1)
)

// KPI is one KPI: where its facts lie and what it means. The SQL fields are expressions over the
// columns of the source.
type KPI struct {
	Name    string
	Version uint32
	Form    string

	source source
	where  string
	// counted is when the fact settled and day that day in the tenant's zone; started is when the
	// wait, else the cycle, began.
	counted, day, started string
	final                 string
	value                 string // Value, and the few Rates that carry one
	float                 bool   // value is a Float64, else an Int64
	num, den              string // Rate; den is 1 when empty
	extra                 []string
	// agent replaces agent_id: whose event ended the fact. Empty keeps the row's.
	agent string
	// needs are event types: no rows until the tenant has sent one of them.
	needs []string

	Definition, Formula, Numerator, Denominator, Unit, Source, EdgeCases, Example, Notes string
}

// source is a place where facts lie, without what void, merge or spam took out.
type source struct {
	from  string
	where string
}

const notVoided = "cycle_id NOT IN (SELECT cycle_id FROM voids_latest)"

// cyclesNext adds to each cycle when the next one of its conversation opened. A cycle that was
// voided, merged away or spam is no next one.
const cyclesNext = `(
    SELECT *,
        leadInFrame(toNullable(opened_at)) OVER w AS next_opened_at,
        leadInFrame(toNullable(opened_day)) OVER w AS next_opened_day
    FROM conversations_latest
    WHERE voided = ''
    WINDOW w AS (
        PARTITION BY tenant, conversation_id, _src_topic_id, _src_partition ORDER BY cycle
        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    )
)`

var (
	fromCycles     = source{"conversations_latest", "voided = ''"}
	fromCyclesNext = source{cyclesNext, ""}
	fromTurns      = source{"turns_latest", notVoided}
	fromTurnsHuman = source{"turns_human_latest", notVoided}
	fromHandoffs   = source{"escalations_latest", notVoided}
	fromDecisions  = source{"decisions", notVoided}
	fromEvents     = source{"events", notVoided}
)

// dimensions are in every view, under these names.
var dimensions = []string{
	"tenant", "channel", "lang", "region", "inbox", "source", "team", "queue", "agent_id", "label",
	"variant", "customer_key", "conversation_id", "cycle_id",
}

// View is the name of the KPI's view.
func (k *KPI) View() string { return "kpi_" + k.Name }

// SQL is the query of the view.
func (k *KPI) SQL() string {
	columns := []string{
		k.counted + " AS counted_at",
		k.started + " AS started_at",
		k.day + " AS day",
	}
	for _, d := range dimensions {
		if d == "agent_id" && k.agent != "" {
			d = "if(" + k.agent + " != '', " + k.agent + ", agent_id) AS agent_id"
		}
		columns = append(columns, d)
	}
	// CAST and not a function: a condition on a LowCardinality column would stay one.
	columns = append(columns, "CAST("+k.final+" AS UInt8) AS final")
	if k.Form == Rate {
		den := k.den
		if den == "" {
			den = "1"
		}
		columns = append(columns, "CAST("+k.num+" AS Nullable(Int64)) AS num",
			"CAST("+den+" AS Nullable(Int64)) AS den")
	}
	if k.value != "" {
		typ := "Int64"
		if k.float {
			typ = "Float64"
		}
		columns = append(columns, "CAST("+k.value+" AS Nullable("+typ+")) AS value")
	}
	columns = append(columns, k.extra...)
	for i, c := range columns {
		// A column under its own name must not be an alias of itself.
		if name, alias, ok := strings.Cut(c, " AS "); ok && name == alias {
			columns[i] = name
		}
	}
	where := slices.DeleteFunc([]string{k.source.where, k.where, k.need()},
		func(s string) bool { return s == "" })
	// The source's columns are qualified, so that an alias of this query never shadows one of them.
	q := "SELECT\n    " + strings.Join(columns, ",\n    ") + "\nFROM " + k.source.from + " AS f"
	if len(where) > 0 {
		q += "\nWHERE " + strings.Join(where, "\n    AND ")
	}
	return q + "\nSETTINGS prefer_column_name_to_alias = 1"
}

// need is the condition that the tenant has sent what the KPI needs.
func (k *KPI) need() string {
	if len(k.needs) == 0 {
		return ""
	}
	var types []string
	for _, n := range k.needs {
		types = append(types, schema.Quote(n))
	}
	return "tenant IN (SELECT tenant FROM events WHERE type IN (" + strings.Join(types, ", ") + "))"
}

// Comment is what the view says of itself.
func (k *KPI) Comment() string {
	c := fmt.Sprintf("%s v%d (%s): %s", k.Name, k.Version, k.Form, k.Definition)
	if len(k.needs) > 0 {
		c += " Needs " + strings.Join(k.needs, " or ") + "."
	}
	return c
}

// DefinitionRow is the KPI's row of kpi_definitions; UpdatedAt is left to the writer.
func (k *KPI) DefinitionRow() schema.KPIDefinition {
	return schema.KPIDefinition{
		Name: k.Name, Version: k.Version, Form: k.Form, Definition: k.Definition,
		Formula: k.Formula, Numerator: k.Numerator, Denominator: k.Denominator, Unit: k.Unit,
		Needs: strings.Join(k.needs, " or "), Source: k.Source, EdgeCases: k.EdgeCases,
		Example: k.Example, Notes: k.Notes,
	}
}

// KPIs returns every KPI that has a view, in the order of KPIS.md.
func KPIs() []KPI {
	var out []KPI
	for _, group := range [][]KPI{
		replyKPIs(), waitingKPIs(), lengthKPIs(), escalationKPIs(), serviceKPIs(), outcomeKPIs(),
		decisionKPIs(), automaticKPIs(), customerKPIs(),
		businessKPIs(), slaKPIs(),
	} {
		out = append(out, group...)
	}
	return out
}

// Create returns the statements that make every view, those that others build on first.
func Create() []string {
	var out []string
	for _, l := range latest() {
		out = append(out, create(l.name, l.sql, l.about))
	}
	for _, k := range KPIs() {
		out = append(out, create(k.View(), k.SQL(), k.Comment()))
	}
	out = append(out, create("journeys", journeys, "conversations joined by link and merge: the "+
		"customer's waits across them"))
	return append(out, targetViews()...)
}

func create(name, sql, comment string) string {
	return "CREATE OR REPLACE VIEW " + name + " AS\n" + sql + "\nCOMMENT " + schema.Quote(comment)
}
