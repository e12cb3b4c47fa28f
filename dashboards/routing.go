package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/barchart"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Routing builds the board of whoever trusts the router with work: what bots hand over and why, how
// sure decisions are, and whether acting alone is right often enough.
func Routing() (dashboard.Dashboard, error) {
	b := page("usher-routing", "usher: routing and escalations", "What bots hand over to people and "+
		"why, how sure the router is, and whether what it did alone was right.").
		Variables(variables(dimensions()...))
	return arrange(b, []line{
		even(6, escalationNumber(), handoffWaitNumber(), precisionNumber(), aloneNumber(),
			topThreeNumber(), decisionTimeNumber()),
		even(9, escalationsByReason(), decisionMix()),
		even(9, escalationTrend(), decisionTimeTrend()),
		even(9, calibration(), confusion()),
		even(9, rules(), labelShare()),
		{7, []cell{{14, modelTimeline()}, {10, knowledgeGaps()}}},
		even(10, latestHandoffs()),
	})
}

func escalationNumber() *stat.PanelBuilder {
	return number(words{"Escalated by bots", "Share of bot conversations that were routed to a team " +
		"of people. Target: 30 %; a rise says that the bot's knowledge has gaps.",
		[]string{escalation}, unitShare}, escalationTarget, 1,
		rateSQL(escalation, escalationTarget, "30 %"))
}

func handoffWaitNumber() *stat.PanelBuilder {
	return number(words{"Handoff wait, half within", "Half of those who were handed over got a " +
		"person's reply within this time. Target: 3 minutes.", []string{handoffWait}, unitMS},
		firstReplyTarget, 1, lengthSQL(handoffWait, 0.5, firstReplyTarget, "3 min"))
}

func precisionNumber() *stat.PanelBuilder {
	return number(words{"Right when alone", "Share of decisions that usher acted on alone and nobody " +
		"overrode within 24 hours; the note gives their number and what the share surely reaches " +
		"(lower 95 % bound, Wilson). Target: 95 %.", []string{autoPrecision}, unitShare},
		precisionTarget, 1, precisionSQL())
}

func aloneNumber() *stat.PanelBuilder {
	return number(words{"Decided alone", "Share of routing decisions sure enough to act without a " +
		"person. No target: acting alone is earned by being right.", []string{decisionBands},
		unitShare}, target{}, 1, rateSQL(decisionBands, target{}, ""))
}

func topThreeNumber() *stat.PanelBuilder {
	return number(words{"Among the first three", "Share of labelled messages whose true label was " +
		"among the suggestions.", []string{topThreeHit}, unitShare}, target{}, 1, topThreeSQL())
}

func decisionTimeNumber() *stat.PanelBuilder {
	return number(words{"Decision time, 99 % within", "How long usher computed, from reading a " +
		"message to its decision. It must stay far below 3 seconds.", []string{decisionBands},
		unitMicros}, target{}, 0, decisionTimeSQL())
}

func escalationsByReason() *timeseries.PanelBuilder {
	return stacked(words{"Escalations by reason", "Stacked bars, one colour per reason; the legend " +
		"names them. no_knowledge and low_confidence are gaps of the bot, asked_human is the " +
		"customer's wish, policy a rule's.", []string{handedOver}, unitCount},
		common.StackingModeNormal).
		DisplayName("${__field.labels.name}").
		WithTarget(query("A", FormatTimeSeries, escalationsByReasonSQL()))
}

func decisionMix() *timeseries.PanelBuilder {
	return stacked(words{"Decision mix", "Decisions by band as shares of all. From the bottom: auto, " +
		"suggest, none. A growing none says that customers ask about what the model has not learnt.",
		[]string{decisionBands}, unitCount}, common.StackingModePercent).
		WithTarget(query("A", FormatTimeSeries, decisionMixSQL()))
}

func escalationTrend() *timeseries.PanelBuilder {
	return dashed(trend(words{"Escalated and passed on over time", "Escalated by bots: the dashed " +
		"line is the target of 30 %. By anyone: also by rules and people. Passed on: a conversation " +
		"changed hands after a person had replied (ping-pong).",
		[]string{escalation, escalationAll, reassigned}, unitShare}), escalationTarget).
		Decimals(1).
		MaxDataPoints(28).
		WithTarget(query("A", FormatTimeSeries, rateOverTimeSQL(escalation, "escalated by bots"))).
		WithTarget(query("B", FormatTimeSeries, rateOverTimeSQL(escalationAll, "escalated by anyone"))).
		WithTarget(query("C", FormatTimeSeries, rateOverTimeSQL(reassigned, "passed on")))
}

func decisionTimeTrend() *timeseries.PanelBuilder {
	return trend(words{"Decision time", "From reading a message to its decision; the dotted axis on " +
		"the right is the share that took over 3 seconds and should stay at 0 %.",
		[]string{decisionBands}, unitMicros}).
		WithTarget(query("A", FormatTimeSeries, decisionTimeTrendSQL())).
		WithTarget(query("B", FormatTimeSeries, slowDecisionsSQL())).
		OverrideByName("over 3 s", []dashboard.DynamicConfigValue{property("unit", unitShare),
			property("custom.axisPlacement", "right"), property("max", 1),
			property("custom.lineStyle", map[string]any{"fill": "dash", "dash": []int{4, 6}})})
}

func calibration() *barchart.PanelBuilder {
	return say(barchart.NewPanelBuilder(), words{"Said and right, by score", "For labelled messages, " +
		"by the score's tenth and with their number: what the model said and how often it was right. Bars of equal height " +
		"mean that a score can be believed.", []string{topThreeHit}, unitShare}).
		Decimals(0).
		Min(0).
		Max(1).
		XField("score").
		XTickLabelMaxLength(20).
		ShowValue(common.VisibilityModeAuto).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).
			Sort(common.SortOrderNone)).
		WithTarget(query("A", FormatTable, calibrationSQL()))
}

func confusion() *table.PanelBuilder {
	b := listing(words{"What usher said and what it was", "Labelled messages by predicted and true " +
		"label, the most frequent first. Rows with two different names are mistakes.",
		[]string{topThreeHit}, unitText}, confusionSQL())
	units(b, unitCount, 0, "messages")
	return b
}

func rules() *table.PanelBuilder {
	b := listing(words{"Rules", "How often each rule decided, and the share of what usher then did " +
		"alone that somebody overrode within 24 hours.", []string{ruled, decisionBands, autoPrecision},
		unitText}, rulesSQL())
	units(b, unitCount, 0, "fired", "acted on, 24 h ago")
	units(b, unitShare, 1, "overridden")
	return b
}

func labelShare() *table.PanelBuilder {
	b := listing(words{"What customers write about", "The share of each label, beside the same days " +
		"of the week before.", []string{decisionBands}, unitText}, labelShareSQL())
	units(b, unitShare, 1, "share", "week before", "change")
	units(b, unitCount, 0, "messages")
	return b
}

func modelTimeline() *statetimeline.PanelBuilder {
	return timeline(words{"Model in use", "The version of the model that decided; a new piece of the " +
		"bar is another version.", []string{decisionBands}, unitText}, "", modelTimelineSQL()).
		DisplayName("").
		MaxDataPoints(200)
}

func knowledgeGaps() *table.PanelBuilder {
	b := listing(words{"Gaps in the bot's knowledge", "Why bots gave up: no knowledge, too unsure, or " +
		"an error, by what the customer wanted.", []string{handedOver}, unitText}, knowledgeGapsSQL())
	units(b, unitCount, 0, "handoffs")
	return b
}

func latestHandoffs() *table.PanelBuilder {
	b := listing(words{"The latest twenty handoffs", "The conversation opens with a click. An empty " +
		"wait: no person has replied yet.", []string{handedOver}, unitText}, latestHandoffsSQL())
	units(b, unitTime, 0, "handed over")
	units(b, unitMS, 1, "waited")
	return opens(b)
}
