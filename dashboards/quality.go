package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Quality builds the board of whoever leads the people who answer: are customers content, is it
// settled at once, and where to look.
func Quality() (dashboard.Dashboard, error) {
	b := page("usher-quality", "usher: quality", "Whether customers are content and their matters "+
		"settled at once. Agents stand under pseudonyms, and no figure rests on fewer than 20 facts.").
		Variables(variables(dimensions()...))
	return arrange(b, []line{
		even(6, satisfactionNumber(), oneTouchNumber(), reopenedNumber(), missedTurnsNumber(),
			askedHumanNumber(), handleNumber()),
		even(9, contentTrend(), settledTrend()),
		even(12, agentsTable()),
		even(10, lowest(), missedList()),
	})
}

func satisfactionNumber() *stat.PanelBuilder {
	return number(words{"Satisfied", "Share of rated conversations with at least 4 of 5. The note " +
		"gives their number and what the share surely reaches (lower 95 % bound, Wilson). Target: " +
		"80 %.", []string{satisfaction}, unitShare}, satisfactionTarget, 1, satisfactionSQL())
}

func oneTouchNumber() *stat.PanelBuilder {
	return number(words{"Settled at once", "Share of closed conversations that one run of replies " +
		"settled and that were not reopened. Provisional for 7 days.", []string{oneTouch}, unitShare},
		target{}, 1, rateSQL(oneTouch, target{}, ""))
}

func reopenedNumber() *stat.PanelBuilder {
	return number(words{"Reopened", "Share of closed conversations whose customer came back within 7 " +
		"days. Provisional for as long.", []string{reopened}, unitShare}, target{}, 1,
		rateSQL(reopened, target{}, ""))
}

func missedTurnsNumber() *stat.PanelBuilder {
	return number(words{"Missed messages", "Share of waits that ended without an answer. Target: 3 %; " +
		"above 12 % is bad.", []string{missedMessages, missed}, unitShare}, missedTurnsTarget, 1,
		missedTurnsSQL())
}

func askedHumanNumber() *stat.PanelBuilder {
	return number(words{"Got the person they asked for", "Share of the customers who asked for a person " +
		"and were answered by one.", []string{askedHuman}, unitShare}, target{}, 1,
		rateSQL(askedHuman, target{}, ""))
}

func handleNumber() *stat.PanelBuilder {
	return number(words{"Handle time, half within", "How long a conversation was in an agent's hands.",
		[]string{handleTime}, unitMS}, target{}, 1, lengthSQL(handleTime, 0.5, target{}, ""))
}

func contentTrend() *timeseries.PanelBuilder {
	return dashed(trend(words{"Satisfied customers", "By when they rated. The dashed line is the " +
		"target of 80 %.", []string{satisfaction}, unitShare}), satisfactionTarget).
		Decimals(1).
		Max(1).
		MaxDataPoints(28).
		WithTarget(query("A", FormatTimeSeries, rateOverTimeSQL(satisfaction, "satisfied")))
}

func settledTrend() *timeseries.PanelBuilder {
	return trend(words{"Settled at once, reopened, missed", "Shares of closed conversations and, for " +
		"missed messages, of waits.", []string{oneTouch, reopened, missedMessages, missed}, unitShare}).
		Decimals(1).
		Max(1).
		MaxDataPoints(28).
		WithTarget(query("A", FormatTimeSeries, rateOverTimeSQL(oneTouch, "settled at once"))).
		WithTarget(query("B", FormatTimeSeries, rateOverTimeSQL(reopened, "reopened"))).
		WithTarget(query("C", FormatTimeSeries, overTime(
			rate+" AS \"missed messages\"", missedMessages, judgedTenants)))
}

func agentsTable() *table.PanelBuilder {
	b := listing(words{"Agents", "One row per agent, under a pseudonym. A figure that rests on fewer " +
		"than 20 facts is left empty.", []string{firstReplyHuman, nextReplyHuman, handleTime, oneTouch,
		reopened, reassigned, satisfaction}, unitText}, agentsSQL())
	units(b, unitCount, 0, "replies")
	units(b, unitMS, 1, "first reply, half", "next reply, half", "handle time, half")
	units(b, unitShare, 1, "one touch", "reopened", "passed on", "satisfied")
	return b
}

func lowest() *table.PanelBuilder {
	b := listing(words{"The twenty lowest ratings", "Where to look first; the conversation opens with " +
		"a click.", []string{satisfaction}, unitText}, lowestSQL())
	units(b, unitTime, 0, "rated at")
	units(b, unitCount, 1, "score")
	return opens(b)
}

func missedList() *table.PanelBuilder {
	b := listing(words{"The latest twenty missed conversations", "They ended and nobody had answered; " +
		"the conversation opens with a click.", []string{missed}, unitText}, unansweredListSQL())
	units(b, unitTime, 0, "opened at")
	return opens(b)
}
