package views

// final expressions that several KPIs share.
const (
	always = "1"
	closed = "closed_at IS NOT NULL"
)

// firstReply is a KPI over one of the three first replies of a cycle.
func firstReply(name, prefix, started string) KPI {
	return KPI{
		Name: name, Version: 1, Form: Value, source: fromCycles,
		where:   prefix + "_ms IS NOT NULL AND " + started + " IS NOT NULL",
		counted: "assumeNotNull(" + prefix + "_at)", day: "assumeNotNull(" + prefix + "_day)",
		started: "assumeNotNull(" + started + ")", final: always, value: prefix + "_ms",
		agent:   prefix + "_agent",
		Formula: prefix + "_at - " + started, Unit: "ms",
		Source:    "Zendesk first reply time; Intercom time_to_admin_reply",
		EdgeCases: "a reply dated before its question counts 0 and is flagged clock_skew",
	}
}

func replyKPIs() []KPI {
	replyAny := firstReply("first_reply_any", "first_reply_any", "first_customer_at")
	replyAny.Definition = "First customer message of a cycle to the first reply by a bot or a person."
	replyAny.Example = "question 12:00, bot answers 12:01: 60000"
	human := firstReply("first_reply_human", "first_reply_human", "first_customer_at")
	human.Definition = "First customer message of a cycle to the first reply by a person."
	human.Example = "question 12:00, bot 12:01, agent 12:08: 480000"
	handoff := firstReply("first_reply_after_handoff", "first_reply_after_handoff", "first_handoff_at")
	handoff.Definition = "First handoff of a cycle to the first reply by a person after it."
	handoff.Example = "escalate 12:03, agent 12:08: 300000"
	return []KPI{
		{
			Name: "volume", Version: 1, Form: Value, source: fromCycles,
			counted: "opened_at", day: "opened_day", started: "opened_at", final: always,
			value: "1",
			extra: []string{"messages_customer", "messages_agent", "messages_bot"},
			Definition: "Cycles opened; with the public, not automated messages by customer, agent " +
				"and bot.",
			Formula: "count of cycles", Unit: "cycles", Source: "usher",
			EdgeCases: "a reopened conversation is a new cycle", Example: "two questions with a close " +
				"between: 2",
		},
		replyAny, human, handoff,
		nextReply("next_reply", fromTurns, "a reply", "that any reply clears"),
		nextReply("next_reply_human", fromTurnsHuman, "a person's reply", "that only a person clears"),
		{
			Name: "requester_wait", Version: 1, Form: Value, source: fromCycles,
			where:   "requester_wait_ms IS NOT NULL AND first_customer_at IS NOT NULL",
			counted: "assumeNotNull(ifNull(last_wait_ended_at, first_customer_at))",
			day:     "assumeNotNull(ifNull(last_wait_ended_day, first_customer_day))",
			started: "assumeNotNull(first_customer_at)", final: closed, value: "requester_wait_ms",
			Definition: "Sum of a cycle's ended waits, less the time it was pending or snoozed.",
			Formula:    "sum(wait - pauses)", Unit: "ms",
			Source:    "Zendesk requester wait time, without the agent's pending",
			EdgeCases: "no row before the first wait has ended; hold does not pause",
			Example:   "wait 10 min with 5 min pending: 300000",
		},
	}
}

func nextReply(name string, from source, by, stamp string) KPI {
	return KPI{
		Name: name, Version: 1, Form: Value, source: from,
		where:   "is_first = 0 AND ended_by IN ('agent', 'bot')",
		counted: "ended_at", day: "day", started: "waiting_since", final: "final",
		value: "wait_ms",
		Definition: "Oldest unanswered customer message to " + by + ", for every wait but the first " +
			"of its cycle by the stamp " + stamp + ".",
		Formula: "ended_at - waiting_since", Unit: "ms", Source: "Zendesk next reply time",
		EdgeCases: "several messages in a row are one wait, from the oldest",
		Example:   "messages 12:05 and 12:06, reply 12:09: 240000",
	}
}

func waitingKPIs() []KPI {
	return []KPI{
		{
			Name: "unanswered", Version: 1, Form: Rate, source: fromCycles,
			where: "first_customer_at IS NOT NULL",
			num:   "human_replies + bot_replies = 0",
			counted: "assumeNotNull(multiIf(human_replies + bot_replies > 0, " +
				"coalesce(first_reply_any_at, first_customer_at), " +
				"closed_at IS NOT NULL, closed_at, opened_at))",
			day: "assumeNotNull(multiIf(human_replies + bot_replies > 0, " +
				"coalesce(first_reply_any_day, first_customer_day), " +
				"closed_at IS NOT NULL, closed_day, opened_day))",
			started: "opened_at", final: "human_replies + bot_replies > 0 OR closed_at IS NOT NULL",
			Definition: "Cycles with a customer message that no bot or person has answered so far.",
			Formula:    "num / den", Numerator: "cycles without any reply",
			Denominator: "cycles with a customer message", Unit: "share",
			Source:    "usher; inactivity ends nothing",
			EdgeCases: "provisional while the cycle is open; automated messages are no answers",
			Example:   "a question nobody answered: 1 / 1",
		},
		{
			Name: "missed_messages", Version: 1, Form: Rate, source: fromTurns,
			num: "ended_by IN ('close', 'none')", counted: "ended_at", day: "day",
			started: "waiting_since", final: "final",
			Definition: "Waits that ended by a close instead of a reply, or that a session_end judged.",
			Formula:    "num / den", Numerator: "waits without a reply", Denominator: "ended waits",
			Unit: "share", Source: "usher",
			EdgeCases: "provisional when only a session_end judged it",
			Example:   "two waits, one answered, one closed: 1 / 2",
		},
		judged("missed", "waiting and without any reply"),
		judged("dropped", "waiting after a reply"),
		{
			Name: "abandoned", Version: 2, Form: Rate, source: fromCycles,
			where: "offered", needs: []string{"session_end"},
			num: abandonedNum,
			counted: "assumeNotNull(multiIf(" + abandonedNum + ", " +
				"coalesce(abandoned_at, judged_at, opened_at), " +
				"first_reply_any_at IS NOT NULL, first_reply_any_at, closed_at IS NOT NULL, closed_at, " +
				"opened_at))",
			day: "assumeNotNull(multiIf(" + abandonedNum + ", " +
				"coalesce(abandoned_day, judged_day, opened_day), " +
				"first_reply_any_at IS NOT NULL, first_reply_any_day, closed_at IS NOT NULL, closed_day, " +
				"opened_day))",
			started: "opened_at", final: "closed_at IS NOT NULL OR first_reply_any_at IS NOT NULL",
			Definition: "Offered cycles whose visitor left or timed out while waiting for the first " +
				"reply, later than short_abandon after opening.",
			Formula: "num / den", Numerator: "cycles left before the first reply",
			Denominator: "cycles offered: assign, transfer, escalate or inbox", Unit: "share",
			Source: "Amazon Connect, Genesys",
			EdgeCases: "a reply or a customer message afterwards takes it back; short_abandon is " +
				"service_level.short_abandon of the configuration, 10 s unless set",
			Example: "question 12:00, left 12:05: 1 / 1",
		},
	}
}

// shortAbandonMS is service_level.short_abandon, by default 10 s: who leaves sooner has not waited.
const shortAbandonMS = "(SELECT if(count() = 0, 10000, toInt64(argMax(values, (valid_from, updated_at))[1])) " +
	"FROM kpi_settings WHERE name = 'short_abandon_ms')"

const abandonedNum = "(abandoned AND dateDiff('millisecond', opened_at, " +
	"assumeNotNull(coalesce(abandoned_at, judged_at, opened_at))) > " + shortAbandonMS + ")"

// judged is missed or dropped.
func judged(name, how string) KPI {
	return KPI{
		Name: name, Version: 1, Form: Rate, source: fromCycles,
		where: "judged AND first_customer_at IS NOT NULL",
		num:   name, counted: "assumeNotNull(coalesce(judged_at, closed_at, opened_at))",
		day:     "assumeNotNull(coalesce(judged_day, closed_day, opened_day))",
		started: "opened_at", final: closed,
		Definition: "Judged cycles with a customer message that end " + how + ".",
		Formula:    "num / den", Numerator: "cycles that end " + how,
		Denominator: "closed cycles, and those that a session_end judged provisionally",
		Unit:        "share", Source: "Zendesk Chat: missed, dropped",
		EdgeCases: "a reply, a close or a customer message takes a session_end's judgement back",
		Example:   "question, then close: missed 1 / 1",
		Notes:     "Needs close or session_end: without them no cycle is judged.",
	}
}
