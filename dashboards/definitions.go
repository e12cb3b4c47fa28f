package dashboards

import (
	"fmt"
	"strings"

	"usher/sinks/clickhouse/views"
)

// KPIs of the boards, by the name that follows kpi_.
const (
	volume                 = "volume"
	firstReplyHuman        = "first_reply_human"
	firstReplyAny          = "first_reply_any"
	firstReplyAfterHandoff = "first_reply_after_handoff"
	nextReplyHuman         = "next_reply_human"
	serviceLevel           = "service_level"
	unanswered             = "unanswered"
	missed                 = "missed"
	dropped                = "dropped"
	timeToClose            = "time_to_first_close"
	messagesToClose        = "messages_to_close"
	conversion             = "conversion"
	containment            = "containment"
	escalation             = "escalation"
	escalationAll          = "escalation_all"
	handoffWait            = "handoff_wait"
	reassigned             = "reassigned"
	decisionBands          = "decision_bands"
	autoPrecision          = "auto_precision"
	topThreeHit            = "top3_hit"
	missedMessages         = "missed_messages"
	satisfaction           = "satisfaction"
	oneTouch               = "one_touch"
	reopened               = "reopened"
	askedHuman             = "asked_human"
	handleTime             = "handle_time"
)

// What boards show beside KPIs.
const (
	waitingNow = "waiting"
	handedOver = "handoffs"
	ruled      = "rules"
	balance    = "balance"
	lag        = "lag"
	queryable  = "queryable"
	eventsIn   = "events"
	rejected   = "rejected"
	openCycles = "open_cycles"
	inserts    = "inserts"
	memory     = "memory"
	flagged    = "flagged"
	journalled = "journal"
	partsOf    = "parts"

	oneCycles    = "cycles"
	oneTurns     = "turns"
	oneEvents    = "events_of"
	oneDecisions = "decisions_of"
	onePromises  = "promises"
)

// always is what every KPI needs; the views name only what comes on top.
const always = "message"

// measure is a figure of the boards that is no KPI: it is read from the tables.
type measure struct {
	name       string
	version    int
	definition string
	needs      string
}

func measures() []measure {
	return []measure{
		{waitingNow, 1, "Open cycles with a customer message that nobody has answered, whose wait " +
			"began at most 30 days before the range.", always},
		{handedOver, 1, "Escalations by anyone, transfers by a bot and rules that force one, as known " +
			"now; a handoff while one is pending is none.", "escalate, or a bot's transfer"},
		{ruled, 1, "Decisions on which a rule had a say, by rule.", "rules (rules.file)"},
		{balance, 1, "Per audit and partition: offsets − stored − dead − gaps, and what is missing or " +
			"doubled.", "an audit, which usher run makes every minute"},
		{lag, 1, "Records that a consumer group has not processed yet, and since when the oldest of " +
			"them is there.", "samples of usher run, every 10 s"},
		{queryable, 1, "From reading an event to the insert that stored it.", "any event"},
		{eventsIn, 1, "Records that are events, by when the router read them.", "any event"},
		{rejected, 1, "Records that are no events ÷ all records.", "any event"},
		{openCycles, 1, "Cycles opened in the last 90 days that no event has closed.", "any event"},
		{inserts, 1, "Growth of the sink's counters, one divided by the other.",
			"samples of usher run, every 10 s"},
		{memory, 1, "go_memstats_heap_alloc_bytes and process_resident_memory_bytes.",
			"samples of usher run, every 10 s"},
		{flagged, 1, "Events with a flag: late, duplicate, misplaced, truncated, clock_skew, " +
			"clock_ahead, unknown_type, retired.", "any event"},
		{journalled, 1, "Rows of ops_journal.", "a model, or an acceptance"},
		{partsOf, 1, "Active parts in system.parts.", "the right to read system.parts"},
		{oneCycles, 1, "The conversation's cycles as known now: each from its opening to its close.",
			always},
		{oneTurns, 1, "The conversation's waits as known now: from the oldest unanswered message to the " +
			"reply, or the close.", "message, and a reply or a close"},
		{oneEvents, 1, "The conversation's events, duplicates among them.", "any event"},
		{oneDecisions, 1, "The router's decisions on the conversation's messages.", "message"},
		{onePromises, 1, "What the SLA promised in the conversation.", "an SLA policy in the configuration"},
	}
}

// seldom says what a KPI needs whose view has no such condition: it is empty by itself.
func seldom(name string) string {
	return map[string]string{
		firstReplyAfterHandoff: "escalate, or a bot's transfer",
		serviceLevel:           "inbox, assign, transfer or escalate",
		timeToClose:            "close",
		messagesToClose:        "close",
		containment:            "bot_answer, or message by a bot",
		handoffWait:            "escalate, or a bot's transfer",
		autoPrecision:          "decisions that usher executed, 24 h ago",
		topThreeHit:            "label or feedback",
		missedMessages:         "close or session_end",
		satisfaction:           "csat",
		oneTouch:               "close",
		reopened:               "close",
		askedHuman:             "escalate with reason asked_human",
	}[name]
}

// define is a KPI's definition, version and needs in the views' own words, so that a panel and the
// number that it shows cannot disagree. A name without a view gives version 0, which tests refuse.
func define(name string) string {
	for _, k := range views.KPIs() {
		if k.Name == name {
			return fmt.Sprintf("**kpi_%s, version %d.** %s Needs %s.", name, k.Version, k.Definition,
				needs(name))
		}
	}
	for _, m := range measures() {
		if m.name == name {
			return fmt.Sprintf("**%s, version %d.** %s Needs %s.", name, m.version, m.definition, m.needs)
		}
	}
	return fmt.Sprintf("**%s, version 0.**", name)
}

// needs is what must have been sent for the KPI to have rows: what its view waits for, or what its
// notes say where a view without such rows is empty by itself.
func needs(name string) string {
	if events := seldom(name); events != "" {
		return events
	}
	for _, m := range measures() {
		if m.name == name {
			return m.needs
		}
	}
	for _, k := range views.KPIs() {
		row := k.DefinitionRow()
		switch notes, ok := strings.CutPrefix(row.Notes, "Needs "); {
		case k.Name != name:
		case row.Needs != "":
			return row.Needs
		case ok:
			events, _, _ := strings.Cut(notes, ":")
			return events
		}
	}
	return always
}

// describe is a panel's description: how to read it, then the definitions that it shows.
func describe(howToRead string, names ...string) string {
	text := howToRead
	for _, name := range names {
		text += "\n\n" + define(name)
	}
	return text
}

// noValue is what a panel shows when the events it needs never came: never 0.
func noValue(name string) string { return "needs " + needs(name) }
