package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
)

// Conversation builds the board behind the tables of the others: one conversation, from its events
// over its waits to the decisions.
func Conversation() (dashboard.Dashboard, error) {
	b := page("usher-conversation", "usher: one conversation", "One conversation: what came, who "+
		"waited for how long, what the router decided and why. Messages' words are not shown.").
		Variables([]cog.Builder[dashboard.VariableModel]{variables()[0], tenantOf(), conversationOf()})
	return arrange(b, []line{
		even(4, stateNumber(), messagesNumber(), waitsNumber(), longestNumber()),
		even(5, waitsTimeline()),
		even(6, cycles()),
		even(12, eventsOf()),
		even(8, turnsOf(), promises()),
		even(9, decisionsOf()),
	})
}

// tenantOf is the tenant of the conversation: the same id may occur in two.
func tenantOf() cog.Builder[dashboard.VariableModel] {
	return listVariable("tenant", "Tenant", "The business that the conversation belongs to.",
		dimensions()[0].options()).IncludeAll(false)
}

func conversationOf() cog.Builder[dashboard.VariableModel] {
	return listVariable("conversation", "Conversation", "The newest of the range; tables of the other "+
		"boards lead to any.", conversationsSQL()).IncludeAll(false)
}

func oneNumber(w words, sql string) *stat.PanelBuilder {
	return number(w, target{}, 0, sql).GraphMode(common.BigValueGraphModeNone)
}

func stateNumber() *stat.PanelBuilder {
	return oneNumber(words{"Opened", "How often the conversation was opened, and how it stands now.",
		[]string{oneCycles}, unitCount}, summarySQL("count()",
		"multiIf(countIf(waiting_since IS NOT NULL AND closed_at IS NULL) > 0, 'the customer waits', "+
			"countIf(closed_at IS NULL) > 0, 'open', 'closed')"))
}

func messagesNumber() *stat.PanelBuilder {
	return oneNumber(words{"Messages", "Public messages of all sides.", []string{oneCycles}, unitCount},
		summarySQL("sum(messages_customer + messages_agent + messages_bot)",
			"concat(toString(sum(messages_customer)), ' customer, ', toString(sum(messages_agent)), "+
				"' agents, ', toString(sum(messages_bot)), ' bots')"))
}

func waitsNumber() *stat.PanelBuilder {
	return oneNumber(words{"First reply", "How long the first reply took in the first cycle.",
		[]string{oneCycles}, unitMS}, summarySQL("argMin(first_reply_any_ms, cycle)",
		"if(sum(handoffs) > 0, 'handed over to people', if(sum(bot_replies) > 0, 'by a bot or a person', "+
			"'by a person'))")).Decimals(1)
}

func longestNumber() *stat.PanelBuilder {
	return oneNumber(words{"Waited in all", "The sum of the customer's waits, less pauses.",
		[]string{oneCycles}, unitMS}, summarySQL("sum(requester_wait_ms)",
		"concat('in ', toString(sum(waits)), ' waits')")).Decimals(1)
}

func waitsTimeline() *statetimeline.PanelBuilder {
	return say(statetimeline.NewPanelBuilder(), words{"Who waited when", "The customer waits, or has " +
		"been answered; each piece is labelled.", []string{oneTurns}, unitText}).
		ShowValue(common.VisibilityModeAuto).
		RowHeight(0.8).
		FillOpacity(70).
		WithTarget(query("A", FormatTable, waitsTimelineSQL()))
}

func cycles() *table.PanelBuilder {
	b := listing(words{"Cycles", "Each opening of the conversation until its close.",
		[]string{oneCycles}, unitText}, cyclesSQL())
	units(b, unitTime, 0, "opened", "closed")
	units(b, unitMS, 1, "first reply", "first by a person")
	units(b, unitCount, 0, "cycle", "by customer", "by agents", "by bots", "rating")
	return b
}

func eventsOf() *table.PanelBuilder {
	b := listing(words{"Events", "What came, in time; length is the text's, in bytes.",
		[]string{oneEvents}, unitText}, eventsOfSQL())
	units(b, unitTime, 0, "when")
	units(b, unitCount, 0, "length")
	return b
}

func turnsOf() *table.PanelBuilder {
	b := listing(words{"Waits", "Each time the customer waited, and who ended it.", []string{oneTurns},
		unitText}, turnsOfSQL())
	units(b, unitTime, 0, "asked", "ended")
	units(b, unitMS, 1, "waited")
	units(b, unitCount, 0, "cycle", "turn")
	return b
}

func promises() *table.PanelBuilder {
	b := listing(words{"Promises", "What the SLA promised, and whether it was kept.",
		[]string{onePromises}, unitText}, promisesSQL())
	units(b, unitTime, 0, "due", "when")
	units(b, unitMS, 1, "target")
	return b
}

func decisionsOf() *table.PanelBuilder {
	b := listing(words{"Decisions", "What the router decided on each message and why; the last column " +
		"is what usher explain takes.", []string{oneDecisions}, unitText}, decisionsOfSQL())
	units(b, unitTime, 0, "when")
	units(b, unitShare, 1, "score")
	units(b, unitMicros, 0, "took")
	return b
}
