package views

// sevenDays after the close decides reopened and one_touch.
const sevenDays = "INTERVAL 7 DAY"

const (
	reopenedIn7 = "ifNull(next_opened_at <= closed_at + " + sevenDays + ", 0)"
	weekOver    = "now64(3, 'UTC') > " + closedAt + " + " + sevenDays
)

// settled gives counted_at or day of a rate over cycles: deciding when num holds, the close when
// there is one, else the opening.
func settled(num, deciding, close, opening string) string {
	return "assumeNotNull(multiIf(" + num + ", coalesce(" + deciding + ", " + opening + "), " +
		"closed_at IS NOT NULL, " + close + ", " + opening + "))"
}

var movers = []string{"escalate", "assign", "transfer"}

// escalated is a rate over cycles that an escalation decides.
func escalated(k KPI, flag, at, day string) KPI {
	k.Version, k.Form, k.source, k.needs = 1, Rate, fromCycles, movers
	k.counted = settled(flag, at, "closed_at", "opened_at")
	k.day = settled(flag, day, "closed_day", "opened_day")
	k.started, k.final = "opened_at", flag+" OR "+closed
	k.Formula, k.Unit = "num / den", "share"
	return k
}

func escalationKPIs() []KPI {
	const byBot, byBotAt, byBotDay = "escalated_by_bot", "escalated_by_bot_at", "escalated_by_bot_day"
	escalation := KPI{
		where: "bot_cycle", num: byBot,
		Definition: "Bot cycles in which the bot escalated or transferred, or a rule did before the " +
			"first human reply.",
		Numerator: "cycles escalated from a bot", Denominator: "cycles with a bot message",
		Source: "Rasa, Chatwoot handoffs", EdgeCases: "counted once per cycle; a greeting makes no bot cycle",
		Example: "bot falls back and escalates: 1 / 1",
	}
	team := escalation
	escalation.Name, team.Name = "escalation", "routed_to_team"
	team.Notes = "The same as escalation, under the name that boards use."
	return []KPI{
		escalated(escalation, byBot, byBotAt, byBotDay),
		escalated(team, byBot, byBotAt, byBotDay),
		escalated(KPI{
			Name: "escalation_all", num: "escalated_any",
			Definition: "Cycles with any escalate, forced rule, or transfer to a higher role.",
			Numerator:  "cycles escalated by anyone", Denominator: "cycles",
			Source: "usher", EdgeCases: "the headline where bots handle under 5 % of cycles",
			Example: "an agent escalates: 1 / 1",
		}, "escalated_any", "coalesce(escalated_at, first_handoff_at)",
			"coalesce(escalated_day, first_handoff_day)"),
		escalated(KPI{
			Name: "resolution_rate", where: "bot_cycle", num: "NOT escalated_by_bot",
			Definition: "Bot cycles without an escalation by the bot or a rule.",
			Numerator:  "bot cycles not escalated", Denominator: "bot cycles",
			Source: "Klaviyo", EdgeCases: "always at least containment",
			Example: "bot answers, nobody escalates: 1 / 1",
		}, byBot, byBotAt, byBotDay),
		botShare(), containment(), disclosure(), oneTouch(), reopened(), reassigned(), askedHuman(),
	}
}

func botShare() KPI {
	return KPI{
		Name: "bot_share", Version: 1, Form: Rate, source: fromCycles,
		where: "first_customer_at IS NOT NULL", num: "bot_cycle",
		counted: settled("bot_cycle", "bot_cycle_at", "closed_at", "opened_at"),
		day:     settled("bot_cycle", "bot_cycle_day", "closed_day", "opened_day"),
		started: "opened_at", final: "bot_cycle OR " + closed,
		Definition: "Cycles with a customer message in which a bot said more than a greeting.",
		Formula:    "num / den", Numerator: "bot cycles",
		Denominator: "cycles with a customer message", Unit: "share", Source: "usher",
		EdgeCases: "a fallback makes a bot cycle; automated messages do not",
		Example:   "bot answers one of two cycles: 1 / 2",
	}
}

func containment() KPI {
	const (
		returned = "ifNull(next_opened_at <= closed_at + toIntervalMillisecond(containment_ms), 0)"
		lost     = "(human_replies > 0 OR escalated_any OR escalations > 0 OR " + returned + ")"
		over     = "ifNull(now64(3, 'UTC') > closed_at + toIntervalMillisecond(containment_ms), 0)"
		atLost   = "multiIf(human_replies > 0, first_reply_human_at, escalations > 0 OR " +
			"escalated_any, coalesce(escalated_at, first_handoff_at), next_opened_at)"
		dayLost = "multiIf(human_replies > 0, first_reply_human_day, escalations > 0 OR " +
			"escalated_any, coalesce(escalated_day, first_handoff_day), next_opened_day)"
	)
	return KPI{
		Name: "containment", Version: 1, Form: Rate, source: fromCyclesNext,
		where: "bot_cycle AND bot_replies > 0", num: "NOT " + lost,
		counted: "assumeNotNull(multiIf(" + lost + ", coalesce(" + atLost + ", opened_at), " + over +
			", closed_at, opened_at))",
		day: "assumeNotNull(multiIf(" + lost + ", coalesce(" + dayLost + ", opened_day), " + over +
			", closed_day, opened_day))",
		started: "opened_at", final: over,
		extra: []string{"containment_ms"},
		Definition: "Bot cycles with a bot reply: no person replied, nothing was escalated, and no new " +
			"cycle followed within W (24 h, e-mail 72 h).",
		Formula: "num / den", Numerator: "cycles that stayed with the bot",
		Denominator: "cycles with a bot reply", Unit: "share", Source: "Fin, Zendesk, Klaviyo",
		EdgeCases: "provisional until W after the close; a return takes it back",
		Example:   "bot answers, closed, customer back after 2 h: 0 / 1",
	}
}

func disclosure() KPI {
	return KPI{
		Name: "disclosure", Version: 1, Form: Rate, source: fromCycles,
		where: "bot_replies > 0", num: "ai_disclosed",
		counted: "assumeNotNull(if(closed_at IS NOT NULL, closed_at, opened_at))",
		day:     "assumeNotNull(if(closed_at IS NOT NULL, closed_day, opened_day))",
		started: "opened_at", final: "ai_disclosed OR " + closed,
		Definition: "Cycles with a bot reply in which one of them said that it comes from an AI.",
		Formula:    "num / den", Numerator: "cycles with ai_disclosed",
		Denominator: "cycles with a bot reply", Unit: "share", Source: "EU AI Act, article 50",
		EdgeCases: "fallbacks and greetings are no replies", Example: "bot reply with ai_disclosed: 1 / 1",
	}
}

func oneTouch() KPI {
	return KPI{
		Name: "one_touch", Version: 1, Form: Rate, source: fromCyclesNext,
		where: closed + " AND human_replies > 0",
		num:   "human_runs = 1 AND NOT " + reopenedIn7,
		counted: "assumeNotNull(multiIf(human_runs > 1, closed_at, " + reopenedIn7 +
			", next_opened_at, " + weekOver + ", closed_at, opened_at))",
		day: "assumeNotNull(multiIf(human_runs > 1, closed_day, " + reopenedIn7 +
			", next_opened_day, " + weekOver + ", closed_day, opened_day))",
		started: "opened_at", final: weekOver,
		Definition: "Closed cycles with a human reply: all human replies in one run, and not reopened " +
			"within 7 days.",
		Formula: "num / den", Numerator: "cycles settled by one run of replies",
		Denominator: "closed cycles with a human reply", Unit: "share",
		Source:    "Zendesk one-touch; a split answer is still one touch",
		EdgeCases: "provisional for 7 days after the close",
		Example:   "question, two replies in a row, close: 1 / 1",
	}
}

func reopened() KPI {
	return KPI{
		Name: "reopened", Version: 1, Form: Rate, source: fromCyclesNext, where: closed,
		num: reopenedIn7,
		counted: "assumeNotNull(multiIf(" + reopenedIn7 + ", next_opened_at, " + weekOver +
			", closed_at, opened_at))",
		day: "assumeNotNull(multiIf(" + reopenedIn7 + ", next_opened_day, " + weekOver +
			", closed_day, opened_day))",
		started: "opened_at", final: weekOver,
		Definition: "Closed cycles that another cycle followed within 7 days.",
		Formula:    "num / den", Numerator: "cycles followed by another within 7 days",
		Denominator: "closed cycles", Unit: "share", Source: "Intercom, Zendesk",
		EdgeCases: "provisional for 7 days after the close; a voided or spam cycle does not count",
		Example:   "closed, customer writes again next day: 1 / 1 for the first cycle",
	}
}

func reassigned() KPI {
	return KPI{
		Name: "reassigned", Version: 1, Form: Rate, source: fromCycles,
		where: "human_replies > 0", needs: []string{"assign"}, num: "reassigned > 0",
		counted: settled("reassigned > 0", "reassigned_at", "closed_at", "opened_at"),
		day:     settled("reassigned > 0", "reassigned_day", "closed_day", "opened_day"),
		started: "opened_at", final: "reassigned > 0 OR " + closed, value: "reassigned",
		Definition: "Cycles with a human reply that were then assigned or transferred to another " +
			"agent; value says how often.",
		Formula: "num / den", Numerator: "cycles reassigned after a human reply",
		Denominator: "cycles with a human reply", Unit: "share", Source: "Intercom",
		EdgeCases: "moves before the first human reply do not count",
		Example:   "agent A replies, transfer to B: 1 / 1",
	}
}

func askedHuman() KPI {
	const reached = "asked_human_reply_at IS NOT NULL"
	return KPI{
		Name: "asked_human", Version: 1, Form: Rate, source: fromCycles,
		where: "asked_human_at IS NOT NULL", num: reached,
		counted: "assumeNotNull(multiIf(" + reached + ", asked_human_reply_at, closed_at IS NOT NULL, " +
			"closed_at, opened_at))",
		day: "assumeNotNull(multiIf(" + reached + ", coalesce(asked_human_day, opened_day), " +
			"closed_at IS NOT NULL, closed_day, opened_day))",
		started: "assumeNotNull(asked_human_at)", final: reached + " OR " + closed,
		value: "if(" + reached + ", greatest(dateDiff('millisecond', assumeNotNull(asked_human_at), " +
			"assumeNotNull(asked_human_reply_at)), toInt64(0)), NULL)",
		Definition: "Cycles in which the customer asked for a person and a person replied; value is " +
			"the time from the request to that reply.",
		Formula: "num / den", Numerator: "cycles that reached a person",
		Denominator: "cycles that asked for one", Unit: "share", Source: "usher",
		EdgeCases: "a request is an escalate with reason asked_human",
		Example:   "asked 12:03, agent 12:08: 1 / 1, value 300000",
	}
}
