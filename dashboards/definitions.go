package dashboards

import (
	"fmt"
	"strings"

	"usher/sinks/clickhouse/views"
)

// KPIs of the boards, by the name that follows kpi_.
const (
	volume          = "volume"
	firstReplyHuman = "first_reply_human"
	firstReplyAny   = "first_reply_any"
	unanswered      = "unanswered"
	missed          = "missed"
	escalation      = "escalation"
	decisionBands   = "decision_bands"
)

// always is what every KPI needs; the views name only what comes on top.
const always = "message"

// define is a KPI's definition, version and needs in the views' own words, so that a panel and the
// number that it shows cannot disagree. A name without a view gives version 0, which tests refuse.
func define(name string) string {
	for _, k := range views.KPIs() {
		if k.Name == name {
			return fmt.Sprintf("**kpi_%s, version %d.** %s Needs %s.", name, k.Version, k.Definition,
				needs(name))
		}
	}
	return fmt.Sprintf("**kpi_%s, version 0.**", name)
}

// needs is what must have been sent for the KPI to have rows: what its view waits for, or what its
// notes say where a view without such rows is empty by itself.
func needs(name string) string {
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
