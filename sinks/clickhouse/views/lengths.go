package views

const (
	closedAt  = "assumeNotNull(closed_at)"
	closedDay = "assumeNotNull(closed_day)"
)

// onClose is a value that a cycle has when it is closed.
func onClose(k KPI) KPI {
	k.Version, k.Form, k.final = 1, Value, always
	if k.source.from == "" {
		k.source = fromCycles
	}
	if k.where != "" {
		k.where = closed + " AND " + k.where
	} else {
		k.where = closed
	}
	k.counted, k.day = closedAt, closedDay
	if k.started == "" {
		k.started = "opened_at"
	}
	return k
}

// perConversation gathers the cycles of each conversation; its dimensions are the first cycle's.
func perConversation(pick string) string {
	first := ""
	for _, d := range dimensions[1 : len(dimensions)-2] {
		first += "        argMin(" + d + ", opened_at) AS " + d + ",\n"
	}
	return `(
    SELECT tenant, conversation_id,
` + first + `        ` + pick + `(cycle_id, closed_at) AS cycle_id,
        min(opened_at) AS first_opened_at,
        ` + pick + `(assumeNotNull(closed_at), closed_at) AS picked_at,
        ` + pick + `(assumeNotNull(closed_day), closed_at) AS picked_day,
        countIf(closed_at IS NULL) AS still_open,
        count(closed_at) AS closes
    FROM conversations_latest
    WHERE voided = ''
    GROUP BY tenant, conversation_id, _src_topic_id, _src_partition
)`
}

// toClose is the time from a conversation's first opening to its first or latest close.
func toClose(name, pick, which, final string) KPI {
	return KPI{
		Name: name, Version: 1, Form: Value, source: source{from: perConversation(pick)},
		where: "closes > 0", counted: "picked_at", day: "picked_day", started: "first_opened_at",
		final: final, value: "dateDiff('millisecond', first_opened_at, picked_at)",
		Definition: "Opening of a conversation's first cycle to its " + which + " close.",
		Formula:    which + " closed_at - first opened_at", Unit: "ms",
		Source:    "Zendesk first and full resolution time",
		EdgeCases: "one row per conversation, not per cycle",
		Example:   "opened 12:00, closed 12:05, reopened, closed 12:45: 300000 and 2700000",
	}
}

func lengthKPIs() []KPI {
	return []KPI{
		toClose("time_to_first_close", "argMin", "first", always),
		toClose("time_to_last_close", "argMax", "latest", "still_open = 0"),
		onClose(KPI{
			Name: "cycle_time", value: "dateDiff('millisecond', opened_at, " + closedAt + ")",
			Definition: "Opening of a cycle to its close.", Formula: "closed_at - opened_at",
			Unit: "ms", Source: "Zendesk, Chatwoot resolution time",
			EdgeCases: "a reopened conversation starts anew", Example: "12:00 to 12:15: 900000",
		}),
		onClose(KPI{
			Name: "human_time", where: "first_handoff_at IS NOT NULL",
			started:    "assumeNotNull(first_handoff_at)",
			value:      "dateDiff('millisecond', assumeNotNull(first_handoff_at), " + closedAt + ")",
			Definition: "First handoff of a cycle to its close.",
			Formula:    "closed_at - first_handoff_at", Unit: "ms", Source: "Chatwoot #7679",
			EdgeCases: "no row without a handoff", Example: "escalate 12:03, close 12:20: 1020000",
		}),
		onClose(KPI{
			Name: "handle_time", where: "handle_ms IS NOT NULL", needs: []string{"assign"},
			value:      "handle_ms",
			Definition: "Time a closed cycle was assigned to an agent with status open.",
			Formula:    "sum(assigned and open)", Unit: "ms", Source: "Intercom handling time",
			EdgeCases: "pending, hold, snoozed and bot time do not count",
			Example:   "assigned 12:02, closed 12:12: 600000",
		}),
		onClose(KPI{
			Name: "active_handle_time", where: "active_handle_ms IS NOT NULL",
			needs: []string{"assign"}, value: "active_handle_ms",
			Definition: "Sum of the gaps between an agent's successive actions in a closed cycle, each " +
				"at most idle_cap.",
			Formula: "sum(min(gap, idle_cap))", Unit: "ms", Source: "Intercom adjusted handling time",
			EdgeCases: "idle_cap is 5 min", Example: "actions 12:00, 12:02, 12:30: 420000",
		}),
		onClose(KPI{
			Name: "messages_to_close", where: "messages_to_close IS NOT NULL",
			value:      "messages_to_close",
			Definition: "Public, not automated messages of all sides in a closed cycle.",
			Formula:    "count of messages", Unit: "messages", Source: "usher",
			EdgeCases: "automated messages and private notes do not count",
			Example:   "question, answer, thanks, close: 3",
		}),
		{
			Name: "handoff_wait", Version: 1, Form: Value, source: fromHandoffs,
			where:   "human_reply_at IS NOT NULL AND pending = 0",
			counted: "assumeNotNull(human_reply_at)",
			day:     "assumeNotNull(ifNull(human_reply_day, toDate(human_reply_at, 'UTC')))",
			started: "time", final: always,
			value: "greatest(dateDiff('millisecond', time, assumeNotNull(human_reply_at)), " +
				"toInt64(0))",
			extra:      []string{"reason", "from_queue", "to_queue"},
			Definition: "Handoff to the next reply by a person.",
			Formula:    "human_reply_at - time", Unit: "ms", Source: "usher",
			EdgeCases: "a handoff while one is pending starts no other",
			Example:   "escalate 12:03, agent 12:08: 300000",
		},
	}
}
