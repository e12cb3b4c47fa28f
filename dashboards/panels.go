package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Grafana's names of units. Durations are milliseconds in every view, and Grafana scales them.
const (
	unitMS      = "ms"
	unitSeconds = "s"
	unitMicros  = "µs"
	unitShare   = "percentunit"
	unitCount   = "short"
	unitText    = "string"
	unitTime    = "dateTimeAsIso"
)

// intervalMin is the smallest bucket of a trend: below it percentiles would be of a handful.
const intervalMin = "10m"

// words are what a reader finds on a panel: its title, how to read it, the definitions that it
// shows (the first one decides what an empty panel says) and the unit.
type words struct {
	title, read string
	shows       []string
	unit        string
}

// panel is what every kind of panel can be told.
type panel[B any] interface {
	Title(string) B
	Description(string) B
	Datasource(common.DataSourceRef) B
	Unit(string) B
	NoValue(string) B
	Thresholds(cog.Builder[dashboard.ThresholdsConfig]) B
	WithTarget(cog.Builder[variants.Dataquery]) B
}

// say puts the words on a panel, with one neutral colour until thresholds are set.
func say[B panel[B]](b B, w words) B {
	return b.Title(w.title).Description(describe(w.read, w.shows...)).Datasource(source()).
		Unit(w.unit).NoValue(noValue(w.shows[0])).Thresholds(plain())
}

// target is what a number should reach, and from where on it is bad. A number that should be high
// has its bad value below the target.
type target struct{ good, bad float64 }

func (t target) set() bool    { return t != target{} }
func (t target) rising() bool { return t.bad < t.good }

// steps are the colours of a target; the words of the verdict say the same.
func (t target) steps() cog.Builder[dashboard.ThresholdsConfig] {
	list := []dashboard.Threshold{{Color: "green"}, {Value: cog.ToPtr(t.good), Color: "orange"},
		{Value: cog.ToPtr(t.bad), Color: "red"}}
	if t.rising() {
		list = []dashboard.Threshold{{Color: "red"}, {Value: cog.ToPtr(t.bad), Color: "orange"},
			{Value: cog.ToPtr(t.good), Color: "green"}}
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(list)
}

// plain is one neutral colour, for numbers that are neither good nor bad.
func plain() cog.Builder[dashboard.ThresholdsConfig] {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: "blue"}})
}

// number is a big number with its course behind it and a note below: the verdict and the week
// before. The note is the name of the query's one series.
func number(w words, t target, decimals float64, sql string) *stat.PanelBuilder {
	b := say(stat.NewPanelBuilder(), w).
		DisplayName("${__field.labels.note}").
		Decimals(decimals).
		Interval(intervalMin).
		Orientation(common.VizOrientationVertical).
		TextMode(common.BigValueTextModeValueAndName).
		ColorMode(common.BigValueColorModeValue).
		GraphMode(common.BigValueGraphModeArea).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Values(false).
			Calcs([]string{"lastNotNull"}).Fields("")).
		WithTarget(query("A", FormatTimeSeries, sql))
	if t.set() {
		b.Thresholds(t.steps())
	}
	return b
}

// trend is a time series with a legend below and gaps where there is no data.
func trend(w words) *timeseries.PanelBuilder {
	return say(timeseries.NewPanelBuilder(), w).
		Interval(intervalMin).
		Min(0).
		LineWidth(2).
		ShowPoints(common.VisibilityModeAuto).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).
			ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().
			Mode(common.TooltipDisplayModeMulti).
			Sort(common.SortOrderDescending))
}

// stacked is a trend of stacked bars, absolute or as shares of all.
func stacked(w words, mode common.StackingMode) *timeseries.PanelBuilder {
	return trend(w).
		DrawStyle(common.GraphDrawStyleBars).
		LineWidth(1).
		FillOpacity(80).
		MaxDataPoints(100).
		Stacking(common.NewStackingConfigBuilder().Mode(mode))
}

// dashed draws the targets into a trend.
func dashed(b *timeseries.PanelBuilder, t target) *timeseries.PanelBuilder {
	return b.Thresholds(t.steps()).ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().
		Mode(common.GraphThresholdsStyleModeDashed))
}

// heat is a heat map whose query counts in columns that are named by the bucket's upper end.
func heat(w words, sql string) *heatmap.PanelBuilder {
	return say(heatmap.NewPanelBuilder(), w).
		Interval(intervalMin).
		MaxDataPoints(60).
		Calculate(false).
		Color(heatmap.NewHeatmapColorOptionsBuilder().
			Mode(heatmap.HeatmapColorModeScheme).Scheme("Blues").Steps(16)).
		YAxis(heatmap.NewYAxisConfigBuilder().Unit(w.unit)).
		RowsFrame(heatmap.NewRowsHeatmapOptionsBuilder().Layout(common.HeatmapCellLayoutLe).
			Value("conversations")).
		CellGap(1).
		ShowLegend().
		Tooltip(heatmap.NewHeatmapTooltipBuilder().Mode(common.TooltipDisplayModeSingle)).
		WithTarget(query("A", FormatTimeSeries, sql))
}

// timeline is one bar per name, cut where the value's step changes, with the value written on it.
func timeline(w words, label string, sql string) *statetimeline.PanelBuilder {
	return say(statetimeline.NewPanelBuilder(), w).
		DisplayName("${__field.labels." + label + "}").
		Interval(intervalMin).
		MaxDataPoints(28).
		ShowValue(common.VisibilityModeAuto).
		RowHeight(0.85).
		FillOpacity(70).
		WithTarget(query("A", FormatTimeSeries, sql))
}

// property is one setting of a column.
func property(id string, value any) dashboard.DynamicConfigValue {
	return dashboard.DynamicConfigValue{Id: id, Value: value}
}

// listing is a table; columns without a unit of their own are text.
func listing(w words, sql string) *table.PanelBuilder {
	return say(table.NewPanelBuilder(), w).WithTarget(query("A", FormatTable, sql))
}

// units gives columns of a table their units.
func units(b *table.PanelBuilder, unit string, decimals float64, names ...string) {
	for _, name := range names {
		b.OverrideByName(name, []dashboard.DynamicConfigValue{
			property("unit", unit), property("decimals", decimals)})
	}
}

// opens makes the column "conversation" of a table open that conversation's board. The value to
// choose there lies in the hidden column "key", escaped as the board's own options are.
func opens(b *table.PanelBuilder) *table.PanelBuilder {
	url := "/d/usher-conversation?${datasource:queryparam}&${__url_time_range}" +
		"&var-tenant=${__data.fields.tenant:percentencode}" +
		"&var-conversation=${__data.fields.key:percentencode}"
	return b.
		OverrideByName("key", []dashboard.DynamicConfigValue{property("custom.hideFrom",
			map[string]bool{"viz": true, "legend": true, "tooltip": true}),
			property("custom.hidden", true)}).
		OverrideByName("conversation", []dashboard.DynamicConfigValue{property("links",
			[]map[string]any{{"title": "Open this conversation", "url": url, "targetBlank": false}})})
}

// cell is a panel with its width in the 24 columns of a board.
type cell struct {
	width uint32
	panel cog.Builder[dashboard.Panel]
}

// line is a row of panels of one height.
type line struct {
	height uint32
	cells  []cell
}

// even is a row of panels of one width.
func even(height uint32, panels ...cog.Builder[dashboard.Panel]) line {
	l := line{height: height}
	for _, p := range panels {
		l.cells = append(l.cells, cell{24 / uint32(len(panels)), p})
	}
	return l
}

// placed is a finished panel where SDK builders are wanted.
type placed struct{ panel dashboard.Panel }

// Build returns the panel.
func (p placed) Build() (dashboard.Panel, error) { return p.panel, nil }

// arrange puts the lines onto a board from the top down and numbers their panels.
func arrange(b *dashboard.DashboardBuilder, lines []line) (dashboard.Dashboard, error) {
	id, y := uint32(0), uint32(0)
	for _, l := range lines {
		x := uint32(0)
		for _, c := range l.cells {
			built, err := c.panel.Build()
			if err != nil {
				return dashboard.Dashboard{}, fmt.Errorf("cannot build panel %d of a board: %w", id+1, err)
			}
			id++
			built.Id = cog.ToPtr(id)
			built.GridPos = &dashboard.GridPos{X: x, Y: y, W: c.width, H: l.height}
			b.WithPanel(placed{built})
			x += c.width
		}
		y += l.height
	}
	return b.Build()
}
