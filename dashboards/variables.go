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

// options lists a dimension's values: first column the value, second the text. The plugin puts
// values between quotes as they are, and producers choose the names, so the value is escaped here:
// backslash and quote for ClickHouse, $ against macros, - and / against comments.
func (d dimension) options() string {
	value := d.shown()
	for _, pair := range [][2]string{{`\\`, `\\\\`}, {`\'`, `\\\'`}, {`$`, `\\x24`},
		{`--`, `\\x2d\\x2d`}, {`/*`, `\\x2f*`}} {
		value = "replaceAll(" + value + ", '" + pair[0] + "', '" + pair[1] + "')"
	}
	where := "$__timeFilter(counted_at)"
	if d.name != "tenant" {
		where += "\n  AND " + dimensions()[0].filter()
	}
	return "SELECT DISTINCT " + value + " AS value, " + d.shown() + " AS text\n" +
		"FROM kpi_volume\nWHERE " + where + "\nORDER BY text\nLIMIT 1000"
}

// source is the data source that the reader has chosen.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr(PluginID), Uid: cog.ToPtr("${datasource}")}
}

// variables are the controls above every board.
func variables() []cog.Builder[dashboard.VariableModel] {
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
	for _, d := range dimensions() {
		list = append(list, dashboard.NewQueryVariableBuilder(d.name).
			Label(d.label).
			Description(d.description).
			Datasource(source()).
			Query(dashboard.StringOrMap{String: cog.ToPtr(d.options())}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Sort(dashboard.VariableSortDisabled).
			Multi(true).
			IncludeAll(true).
			AllValue(allValues).
			AllowCustomValue(false).
			Current(all))
	}
	return list
}
