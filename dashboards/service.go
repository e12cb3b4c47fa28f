package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Service builds the board of whoever answers for the service: how fast, how many, what is left.
func Service() (dashboard.Dashboard, error) {
	b := page("usher-service", "usher: service", "How fast customers are answered, what stays "+
		"unanswered and who waits now. Every panel names the definition that it shows.").
		Variables(variables(dimensions()...))
	return arrange(b, []line{
		even(6, openedNumber(), firstReplyNumber(), serviceLevelNumber(), missedNumber(),
			waitingNumber(), oldestNumber()),
		{9, []cell{{14, firstReplyTrend()}, {10, serviceLevelTimeline()}}},
		{9, []cell{{10, firstReplyHeat()}, {6, firstReplyBuckets()}, {8, volumeTrend()}}},
		even(6, slowReplyNumber(), handoffReplyNumber(), nextReplyNumber(), closeNumber(),
			conversionNumber(), containmentNumber()),
		even(11, channelsTable()),
		{10, []cell{{16, loadTable()}, {8, leftTrend()}}},
		even(10, slowest()),
		{8, []cell{{14, firstReplyLong()}, {10, volumeLong()}}},
	})
}

func openedNumber() *stat.PanelBuilder {
	return number(words{"Conversations opened", "How many conversations began, beside the same " +
		"days of the week before.", []string{volume}, unitCount}, target{}, 0, openedSQL()).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"sum"}).Fields(""))
}

func firstReplyNumber() *stat.PanelBuilder {
	return number(words{"First reply, half within", "Half of the customers got a person's first " +
		"reply within this time. Target: 3 minutes.", []string{firstReplyHuman}, unitMS},
		firstReplyTarget, 1, lengthSQL(firstReplyHuman, 0.5, firstReplyTarget, "3 min"))
}

func slowReplyNumber() *stat.PanelBuilder {
	return number(words{"First reply, 90 % within", "Nine of ten customers got a person's first " +
		"reply within this time. Target: 15 minutes.", []string{firstReplyHuman}, unitMS},
		slowReplyTarget, 1, lengthSQL(firstReplyHuman, 0.9, slowReplyTarget, "15 min"))
}

func serviceLevelNumber() *stat.PanelBuilder {
	return number(words{"Answered within 3 min", "Service level: the share of conversations offered " +
		"to a queue that were answered within 3 minutes. Target: 80 %; below 60 % the promise burns " +
		"twice as fast as agreed.", []string{serviceLevel}, unitShare}, serviceLevelTarget, 1,
		serviceLevelSQL())
}

func missedNumber() *stat.PanelBuilder {
	return number(words{"Missed", "Share of ended conversations in which the customer never got an " +
		"answer. Target: 5 %.", []string{missed}, unitShare}, missedTarget, 1,
		rateSQL(missed, missedTarget, "5 %"))
}

func waitingNumber() *stat.PanelBuilder {
	return number(words{"Waiting now", "Conversations in which a customer waits for an answer at the " +
		"end of the time range, as known now.", []string{waitingNow}, unitCount}, target{}, 0,
		waitingNowSQL())
}

func oldestNumber() *stat.PanelBuilder {
	return number(words{"Oldest wait", "How long the customer has waited who has waited longest. " +
		"Over 12 minutes an alert pages.", []string{waitingNow}, unitMS}, oldestWaitTarget, 1,
		oldestWaitSQL())
}

func handoffReplyNumber() *stat.PanelBuilder {
	return number(words{"First reply after handoff", "Half of the customers whom a bot handed over " +
		"got a person's reply within this time. Target: 3 minutes.",
		[]string{firstReplyAfterHandoff}, unitMS}, firstReplyTarget, 1,
		lengthSQL(firstReplyAfterHandoff, 0.5, firstReplyTarget, "3 min"))
}

func nextReplyNumber() *stat.PanelBuilder {
	return number(words{"Next reply, half within", "After the first reply: half of the customers' " +
		"further questions were answered by a person within this time. Target: 3 minutes.",
		[]string{nextReplyHuman}, unitMS}, firstReplyTarget, 1,
		lengthSQL(nextReplyHuman, 0.5, firstReplyTarget, "3 min"))
}

func closeNumber() *stat.PanelBuilder {
	return number(words{"Time to close, half within", "Half of the conversations were closed within " +
		"this time of their opening.", []string{timeToClose}, unitMS}, target{}, 1,
		lengthSQL(timeToClose, 0.5, target{}, ""))
}

func conversionNumber() *stat.PanelBuilder {
	return number(words{"Conversion", "Share of conversations that led to a booking, a sale or a " +
		"lead.", []string{conversion}, unitShare}, target{}, 1, rateSQL(conversion, target{}, ""))
}

func containmentNumber() *stat.PanelBuilder {
	return number(words{"Resolved by the bot alone", "Share of conversations answered by a bot in " +
		"which nobody else had to answer and the customer did not come back.",
		[]string{containment}, unitShare}, target{}, 1, rateSQL(containment, target{}, ""))
}

func firstReplyTrend() *timeseries.PanelBuilder {
	return dashed(trend(words{"First reply over time", "When replies came and how long they had " +
		"taken; each counts in the bucket in which it was given. The dashed lines are the targets: 3 " +
		"minutes for half, 15 minutes for nine of ten.", []string{firstReplyHuman, firstReplyAny},
		unitMS}), firstReplyTarget).
		Decimals(1).
		WithTarget(query("A", FormatTimeSeries, firstReplyOverTimeSQL())).
		WithTarget(query("B", FormatTimeSeries, firstReplyAnyOverTimeSQL()))
}

func serviceLevelTimeline() *statetimeline.PanelBuilder {
	return timeline(words{"Answered within 3 min, by channel", "Each bar is a channel, each piece its " +
		"share answered within 3 minutes at that time. Target: 80 %.", []string{serviceLevel},
		unitShare}, "name", serviceLevelByChannelSQL()).
		Decimals(0).
		Thresholds(serviceLevelTarget.steps())
}

func firstReplyHeat() *heatmap.PanelBuilder {
	return heat(words{"First replies by time and length", "The darker a field, the more replies came " +
		"then after a wait of that length; from 10 seconds at the bottom to a day at the top.",
		[]string{firstReplyHuman}, unitSeconds}, firstReplyHeatSQL())
}

func firstReplyBuckets() *timeseries.PanelBuilder {
	return stacked(words{"First replies by length", "Shares of all first replies. From the bottom: " +
		"within 3 minutes, 3 to 15, 15 to 60, longer.", []string{firstReplyHuman}, unitCount},
		common.StackingModePercent).
		MaxDataPoints(30).
		WithTarget(query("A", FormatTimeSeries, firstReplyBucketsSQL()))
}

func volumeTrend() *timeseries.PanelBuilder {
	return stacked(words{"Conversations opened by channel", "Stacked bars, one colour per channel; " +
		"the legend names them.", []string{volume}, unitCount}, common.StackingModeNormal).
		DisplayName("${__field.labels.name}").
		WithTarget(query("A", FormatTimeSeries, volumeOverTimeSQL()))
}

func leftTrend() *timeseries.PanelBuilder {
	return trend(words{"Unanswered, missed and dropped", "Three shares, each of its own whole. " +
		"Unanswered is provisional for conversations that are still open.",
		[]string{unanswered, missed, dropped}, unitShare}).
		Decimals(1).
		MaxDataPoints(28).
		WithTarget(query("A", FormatTimeSeries, rateOverTimeSQL(unanswered, "unanswered"))).
		WithTarget(query("B", FormatTimeSeries, rateOverTimeSQL(missed, "missed"))).
		WithTarget(query("C", FormatTimeSeries, rateOverTimeSQL(dropped, "dropped")))
}

func channelsTable() *table.PanelBuilder {
	b := listing(words{"Channels side by side", "One row per channel. An empty field: that channel " +
		"never sent what the figure needs.", []string{volume, firstReplyHuman, serviceLevel, missed,
		timeToClose, messagesToClose}, unitText}, channelsSQL())
	units(b, unitCount, 0, "conversations")
	units(b, unitMS, 1, "first reply, half", "first reply, 90 %", "time to close, half")
	units(b, unitShare, 1, "within 3 min", "missed")
	units(b, unitCount, 1, "messages to close")
	return b
}

func loadTable() *table.PanelBuilder {
	b := listing(words{"Conversations by weekday and hour (UTC)", "How many conversations began on " +
		"each weekday in each hour: when people are needed.", []string{volume}, unitText}, loadSQL()).
		OverrideByName("weekday", []dashboard.DynamicConfigValue{property("custom.width", 70)})
	return b.OverrideByRegexp("/^\\d\\d$/", []dashboard.DynamicConfigValue{
		property("unit", unitCount), property("decimals", 0), property("custom.minWidth", 28),
		property("custom.align", "center"),
		property("color", map[string]any{"mode": "continuous-blues"}),
		property("custom.cellOptions", map[string]any{"type": "color-background", "mode": "basic"}),
	})
}

func slowest() *table.PanelBuilder {
	b := listing(words{"The slowest twenty first replies", "Where to look first; the conversation " +
		"opens with a click. Provisional rows may still change: their conversation is open.",
		[]string{firstReplyHuman}, unitText}, slowestSQL())
	units(b, unitMS, 1, "waited")
	units(b, unitTime, 0, "answered at")
	return opens(b)
}

// longRange is the time range of panels that look back further than the board, by day.
const longRange = "90d"

func firstReplyLong() *timeseries.PanelBuilder {
	return dashed(trend(words{"First reply by day, 90 days", "The long view, whatever the time " +
		"picker says. Within 1 % of the exact value.", []string{firstReplyHuman}, unitMS}),
		firstReplyTarget).
		Decimals(1).
		TimeFrom(longRange).
		Interval("1d").
		WithTarget(query("A", FormatTimeSeries, firstReplyDailySQL()))
}

func volumeLong() *timeseries.PanelBuilder {
	return stacked(words{"Conversations opened by day, 90 days", "The long view, whatever the time " +
		"picker says.", []string{volume}, unitCount}, common.StackingModeNormal).
		TimeFrom(longRange).
		Interval("1d").
		WithTarget(query("A", FormatTimeSeries, volumeDailySQL()))
}

// page is a board without panels: what all boards have in common.
func page(uid, title, description string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder(title).
		Uid(uid).
		Description(description).
		Tags([]string{"usher"}).
		Readonly().
		Timezone("browser").
		Time("now-7d", "now").
		Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Annotations([]cog.Builder[dashboard.AnnotationQuery]{changes()}).
		Link(dashboard.NewDashboardLinkBuilder("usher's boards").
			Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{"usher"}).
			AsDropdown(true).
			IncludeVars(true).
			KeepTime(true))
}

// changes marks when another model or other rules took over.
func changes() cog.Builder[dashboard.AnnotationQuery] {
	return dashboard.NewAnnotationQueryBuilder().
		Name("Model and rule changes").
		Datasource(source()).
		Enable(true).
		IconColor("purple").
		Target(query("Anno", FormatTable, changesSQL()))
}
