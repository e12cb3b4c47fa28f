package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Grafana's names of units. Durations are milliseconds in every view, and Grafana scales them.
const (
	unitMS    = "ms"
	unitShare = "percentunit"
	unitCount = "short"
)

// intervalMin is the smallest bucket of a trend: below it percentiles would be of a handful.
const intervalMin = "10m"

// Service builds the board of whoever answers for the service: how fast, how many, what is left.
func Service() (dashboard.Dashboard, error) {
	return dashboard.NewDashboardBuilder("usher: service").
		Uid("usher-service").
		Description("How fast customers are answered, what stays unanswered, what bots hand over "+
			"and how sure the router is. Every panel names the definition that it shows.").
		Tags([]string{"usher"}).
		Readonly().
		Timezone("browser").
		Time("now-7d", "now").
		Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Variables(variables()).
		WithPanel(conversationsStat()).
		WithPanel(firstReplyStat(2, 4, "0.5")).
		WithPanel(firstReplyStat(3, 8, "0.9")).
		WithPanel(unansweredStat()).
		WithPanel(escalationStat()).
		WithPanel(autoStat()).
		WithPanel(firstReplyTrend()).
		WithPanel(volumeTrend()).
		WithPanel(decisionMix()).
		WithPanel(rateTrend()).
		WithPanel(slowest()).
		Build()
}

func place(x, y, w, h uint32) dashboard.GridPos {
	return dashboard.GridPos{X: x, Y: y, W: w, H: h}
}

// steps colours from base upward; the words of the verdict say the same.
func steps(target, late float64) cog.Builder[dashboard.ThresholdsConfig] {
	list := []dashboard.Threshold{{Color: "green"}}
	if late > 0 {
		list = append(list, dashboard.Threshold{Value: cog.ToPtr(target), Color: "orange"},
			dashboard.Threshold{Value: cog.ToPtr(late), Color: "red"})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(list)
}

// plain is one neutral colour, for numbers that are neither good nor bad.
func plain() cog.Builder[dashboard.ThresholdsConfig] {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: "blue"}})
}

// number is a stat of the first row: the number, that of the week before, the verdict.
func number(id, x uint32, title, unit string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Id(id).
		Title(title).
		Datasource(source()).
		GridPos(place(x, 0, 4, 6)).
		Unit(unit).
		Orientation(common.VizOrientationHorizontal).
		TextMode(common.BigValueTextModeValueAndName).
		ColorMode(common.BigValueColorModeValue).
		GraphMode(common.BigValueGraphModeNone).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Values(false).
			Calcs([]string{"lastNotNull"}).Fields("/.*/"))
}

func conversationsStat() *stat.PanelBuilder {
	return number(1, 0, "Conversations opened", unitCount).
		Description(describe("How many conversations began, beside the same days of the week "+
			"before.", volume)).
		Thresholds(plain()).
		NoValue(noValue(volume)).
		WithTarget(query("A", FormatTable, conversationsSQL()))
}

func firstReplyStat(id, x uint32, quantile string) *stat.PanelBuilder {
	title, read := "First reply, half within", "Half of the customers got a person's first reply "+
		"within this time. Target: 3 minutes."
	thresholds := steps(firstReplyTargetMS, firstReplyLateMS)
	if quantile == "0.9" {
		title, read = "First reply, 90 % within", "Nine of ten customers got a person's first "+
			"reply within this time. Target: 15 minutes."
		thresholds = steps(firstReplyLateMS, 4*firstReplyLateMS)
	}
	return number(id, x, title, unitMS).
		Description(describe(read, firstReplyHuman)).
		Decimals(1).
		Thresholds(thresholds).
		NoValue(noValue(firstReplyHuman)).
		WithTarget(query("A", FormatTable, firstReplySQL(quantile)))
}

func unansweredStat() *stat.PanelBuilder {
	return number(4, 12, "Unanswered", unitShare).
		Description(describe("Share of conversations that nobody and nothing has answered yet. "+
			"Target: 5 %.", unanswered)).
		Decimals(1).
		Thresholds(steps(unansweredTarget, unansweredLate)).
		NoValue(noValue(unanswered)).
		WithTarget(query("A", FormatTable, rateSQL(unanswered, unansweredTarget)))
}

func escalationStat() *stat.PanelBuilder {
	return number(5, 16, "Escalated by bots", unitShare).
		Description(describe("Share of bot conversations that were handed to people. Target: "+
			"30 %; a rise says that the bot's knowledge has gaps.", escalation)).
		Decimals(1).
		Thresholds(steps(escalationTarget, escalationLate)).
		NoValue(noValue(escalation)).
		WithTarget(query("A", FormatTable, rateSQL(escalation, escalationTarget)))
}

func autoStat() *stat.PanelBuilder {
	return number(6, 20, "Decided alone", unitShare).
		Description(describe("Share of routing decisions sure enough to act without a person.",
			decisionBands)).
		Decimals(1).
		Thresholds(plain()).
		NoValue(noValue(decisionBands)).
		WithTarget(query("A", FormatTable, autoSQL()))
}

// trend is a time series with a legend below and gaps where there is no data.
func trend(id uint32, title, unit string, at dashboard.GridPos) *timeseries.PanelBuilder {
	return timeseries.NewPanelBuilder().
		Id(id).
		Title(title).
		Datasource(source()).
		GridPos(at).
		Unit(unit).
		Interval(intervalMin).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).
			ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().
			Mode(common.TooltipDisplayModeMulti).
			Sort(common.SortOrderDescending))
}

func firstReplyTrend() *timeseries.PanelBuilder {
	return trend(7, "First reply over time", unitMS, place(0, 6, 16, 9)).
		Description(describe("When replies came and how long they had taken; each reply counts in "+
			"the bucket in which it was given. The dashed lines are the targets: 3 minutes for "+
			"half, 15 minutes for nine of ten.", firstReplyHuman, firstReplyAny)).
		Decimals(1).
		Min(0).
		LineWidth(2).
		ShowPoints(common.VisibilityModeAuto).
		Thresholds(steps(firstReplyTargetMS, firstReplyLateMS)).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().
			Mode(common.GraphThresholdsStyleModeDashed)).
		NoValue(noValue(firstReplyHuman)).
		WithTarget(query("A", FormatTimeSeries, firstReplyOverTimeSQL())).
		WithTarget(query("B", FormatTimeSeries, firstReplyAnyOverTimeSQL()))
}

func volumeTrend() *timeseries.PanelBuilder {
	return trend(8, "Conversations opened by channel", unitCount, place(16, 6, 8, 9)).
		Description(describe("Stacked bars, one colour per channel; the legend names them.",
			volume)).
		DisplayName("${__field.labels.channel}").
		DrawStyle(common.GraphDrawStyleBars).
		FillOpacity(80).
		Min(0).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).
		Thresholds(plain()).
		NoValue(noValue(volume)).
		WithTarget(query("A", FormatTimeSeries, volumeOverTimeSQL()))
}

func decisionMix() *timeseries.PanelBuilder {
	return trend(9, "Decision mix", unitCount, place(0, 15, 12, 9)).
		Description(describe("Decisions by band as shares of all. From the bottom: auto, suggest, "+
			"none. A growing none says that customers ask about what the model has not learnt.",
			decisionBands)).
		DrawStyle(common.GraphDrawStyleBars).
		FillOpacity(80).
		Min(0).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModePercent)).
		Thresholds(plain()).
		NoValue(noValue(decisionBands)).
		WithTarget(query("A", FormatTimeSeries, decisionMixSQL()))
}

func rateTrend() *timeseries.PanelBuilder {
	return trend(10, "Unanswered, missed and escalated over time", unitShare, place(12, 15, 12, 9)).
		Description(describe("Three shares, each of its own whole. Unanswered is provisional for "+
			"conversations that are still open.", unanswered, missed, escalation)).
		Decimals(1).
		Min(0).
		Max(1).
		LineWidth(2).
		ShowPoints(common.VisibilityModeAuto).
		Thresholds(plain()).
		NoValue(noValue(unanswered)).
		WithTarget(query("A", FormatTimeSeries, rateOverTimeSQL(unanswered, "unanswered"))).
		WithTarget(query("B", FormatTimeSeries, rateOverTimeSQL(missed, "missed"))).
		WithTarget(query("C", FormatTimeSeries, rateOverTimeSQL(escalation, "escalated by bots")))
}

func slowest() *table.PanelBuilder {
	property := func(id string, value any) dashboard.DynamicConfigValue {
		return dashboard.DynamicConfigValue{Id: id, Value: value}
	}
	return table.NewPanelBuilder().
		Id(11).
		Title("The slowest twenty first replies").
		Description(describe("Where to look first. Provisional rows may still change: their "+
			"conversation is open.", firstReplyHuman)).
		Datasource(source()).
		GridPos(place(0, 24, 24, 10)).
		Unit("string").
		Thresholds(plain()).
		OverrideByName("waited", []dashboard.DynamicConfigValue{
			property("unit", unitMS), property("decimals", 1)}).
		OverrideByName("answered at", []dashboard.DynamicConfigValue{
			property("unit", "dateTimeAsIso")}).
		NoValue(noValue(firstReplyHuman)).
		WithTarget(query("A", FormatTable, slowestSQL()))
}
