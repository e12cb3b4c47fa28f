package dashboards

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// unset is what boards call a dimension that no event named.
const unset = "(none)"

// allValues stands for "All": it is compared with itself, so that no row is left out because its
// value is missing among the options, and the server folds the whole condition away.
const allValues = "'(all)'"

// dimension is a variable that filters by a column of the KPI views.
type dimension struct{ name, label, column, description string }

func dimensions() []dimension {
	return []dimension{
		{"tenant", "Tenant", "tenant", "The business that the conversations belong to."},
		{"channel", "Channel", "channel", "Where the customer writes."},
		{"queue", "Queue", "queue", "The queue that the conversation was last routed to."},
		{"language", "Language", "lang", "The language of the conversation, as its source says."},
		{"agent", "Agent", "agent_id", "Whose event ended the fact, else whom the conversation was " +
			"assigned to; under a pseudonym."},
	}
}

// shown is the column as boards show it.
func (d dimension) shown() string {
	return "if(" + d.column + " = '', '" + unset + "', " + d.column + ")"
}

// filter is the dimension's part of a WHERE clause.
func (d dimension) filter() string {
	return "('(all)' IN ($" + d.name + ") OR " + d.shown() + " IN ($" + d.name + "))"
}

// filters is the WHERE clause of every variable.
func filters() string {
	var parts []string
	for _, d := range dimensions() {
		parts = append(parts, d.filter())
	}
	return strings.Join(parts, "\n  AND ")
}

// options lists a dimension's values: first column the value, second the text.
func (d dimension) options() string {
	where := "$__timeFilter(counted_at)"
	if d.name != "tenant" {
		where += "\n  AND " + dimensions()[0].filter()
	}
	text, view := d.shown(), volume
	if d.name == "agent" {
		text, view = pseudonym, firstReplyHuman
	}
	return "SELECT DISTINCT " + escaped(d.shown()) + " AS value, " + text + " AS text\n" +
		"FROM kpi_" + view + "\nWHERE " + where + "\nORDER BY text\nLIMIT 1000"
}

// source is the data source that the reader has chosen.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr(PluginID), Uid: cog.ToPtr("${datasource}")}
}

// variables are the controls above a board: the data source and these dimensions.
func variables(of ...dimension) []cog.Builder[dashboard.VariableModel] {
	all := dashboard.VariableOption{
		Selected: cog.ToPtr(true),
		Text:     dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
		Value:    dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
	}
	list := []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").
			Label("Data source").
			Description("The ClickHouse that usher writes to.").
			Type(PluginID).
			AllowCustomValue(false),
	}
	for _, d := range of {
		list = append(list, listVariable(d.name, d.label, d.description, d.options()).
			IncludeAll(true).
			AllValue(allValues).
			Current(all))
	}
	return list
}

// listVariable is a variable whose values a query lists. It is a list even where one is meant, as
// Grafana puts quotes around lists only.
func listVariable(name, label, description, sql string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).
		Label(label).
		Description(description).
		Datasource(source()).
		Query(dashboard.StringOrMap{String: cog.ToPtr(sql)}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortDisabled).
		Multi(true).
		AllowCustomValue(false)
}
