package main

import "fmt"

func fillings() []filling {
	return []filling{
		conversations("1", "i % 20 != 7"),        // most cycles: merged to their last revision
		conversations("0", percent(revised, 30)), // an earlier one that waits for its merge,
		conversations("1", "i % 20 = 7"),         // and cycles in parts of their own
		turns("turns", "1"), turns("turns_human", "k > 0 OR has_human"),
		escalations(), promises(), decisions(), events(), labels(), corrections(), voids(),
	}
}

// percent holds for so many rows of a hundred.
func percent(of, salt int) string { return fmt.Sprintf("cityHash64(i, k, %d) %% 100 < %d", salt, of) }

const isVoided = "cityHash64(i, 31) % 1000 < 5"

func conversations(revision, where string) filling {
	const (
		closed  = "is_closed"
		outcome = "cityHash64(i, 32) % 100 < 18"
		rated   = "is_closed AND cityHash64(i, 33) % 100 < 25"
		handoff = "opened_ms + bot_ms + 60000"
	)
	c := append(common("opened_ms"),
		column{"_opened_month", "toStartOfMonth(opened)"}, column{"opened_at", "opened"},
		column{"opened_day", "opened_on"},
		column{"first_reply_any_ms", when("is_answered", "to_any_ms")},
		column{"first_reply_human_ms", when("has_human", "to_human_ms")},
		column{"first_reply_after_handoff_ms", when("hands_off", "greatest(to_human_ms - bot_ms, 1000)")},
		column{"first_reply_any_agent", "if(has_bot, 'bot', agent_id)"},
		column{"first_reply_human_agent", "agent_id"},
		column{"first_reply_after_handoff_agent", "agent_id"},
		column{"business_first_reply_any_ms", when("is_answered", "intDiv(to_any_ms, 2)")},
		column{"business_first_reply_human_ms", when("has_human", "intDiv(to_human_ms, 2)")},
		column{"business_first_reply_after_handoff_ms", when("hands_off", "intDiv(to_human_ms, 2)")},
		column{"business_requester_wait_ms", when("is_answered", "intDiv(to_any_ms + human_ms, 2)")},
		column{"out_of_hours", "toHour(opened) < 8"},
		column{"requester_wait_ms", when("is_answered", "to_any_ms + human_ms")},
		column{"waits", "4"}, column{"messages_customer", "3"}, column{"messages_agent", "has_human * 3"},
		column{"messages_bot", "has_bot * 2"}, column{"bot_replies", "toUInt32(has_bot)"},
		column{"human_replies", "has_human * 2"},
		column{"human_runs", "has_human * (1 + cityHash64(i, 34) % 3)"}, column{"bot_cycle", "has_bot"},
		column{"escalations", "toUInt32(hands_off)"}, column{"handoffs", "toUInt32(hands_off)"},
		column{"escalated_by_bot", "hands_off"}, column{"escalated_any", "hands_off"},
		column{"reassigned", "has_human AND cityHash64(i, 35) % 10 = 0"},
		column{"reopened", "again"}, column{"resolution", "if(is_closed, 'assumed', '')"},
		column{"judged", closed}, column{"missed", "is_closed AND NOT is_answered"},
		column{"dropped", "is_closed AND is_answered AND cityHash64(i, 36) % 20 = 0"},
		column{"abandoned", "is_closed AND NOT is_answered"}, column{"offered", "1"},
		column{"ai_disclosed", "has_bot"}, column{"outcome", "if(" + outcome + ", 'sale', '')"},
		column{"messages_to_outcome", when(outcome, "5")}, column{"messages_to_close", when(closed, "8")},
		column{"csat_score", when(rated, "1 + cityHash64(i, 37) % 5")}, column{"csat_scale", when(rated, "5")},
		column{"handle_ms", when("is_closed AND has_human", "intDiv(closed_ms - opened_ms, 2)")},
		column{"active_handle_ms", when("is_closed AND has_human", "300000")},
		column{"containment_ms", "86400000"}, column{"voided", "if(" + isVoided + ", 'spam', '')"},
		column{"final", closed}, column{"revision", revision},
	)
	for _, at := range []struct{ prefix, holds, ms string }{
		{"closed", closed, "closed_ms"}, {"first_customer", "1", "opened_ms"},
		{"first_reply_any", "is_answered", "opened_ms + to_any_ms"},
		{"first_reply_human", "has_human", "opened_ms + to_human_ms"},
		{"first_reply_after_handoff", "hands_off", "opened_ms + to_human_ms"},
		{"last_wait_ended", "is_answered", "opened_ms + to_any_ms + human_ms"},
		{"bot_cycle", "has_bot", "opened_ms + bot_ms"}, {"escalated_by_bot", "hands_off", handoff},
		{"escalated", "hands_off", handoff}, {"first_handoff", "hands_off", handoff},
		{"reassigned", "has_human AND cityHash64(i, 35) % 10 = 0", "opened_ms + to_human_ms + 60000"},
		{"abandoned", "is_closed AND NOT is_answered", "closed_ms"}, {"judged", closed, "closed_ms"},
		{"outcome", outcome, "closed_ms"}, {"csat", rated, "closed_ms"},
	} {
		c = append(c, atAndDay(at.prefix, at.holds, at.ms)...)
	}
	return filling{table: "conversations", per: 1, where: where, columns: c}
}

func turns(table, where string) filling {
	const (
		since = "opened_ms + k * 900000"
		waits = "if(k = 0, to_any_ms, toInt64(1000 * exp(4.8 + 1.2 * "
		ends  = "if(k = 3 AND NOT is_answered, 'close', if(has_bot AND k = 0, 'bot', 'agent'))"
	)
	wait := waits + normal(uk, 40) + ")))"
	// A wait that was corrected has its old row, that row taken back, and the present one: j.
	const j = "arrayJoin(if(cityHash64(i, k, 44) % 100 < 1, [0, 1, 2], [2])) AS j"
	return filling{table: table, per: turnsPer, where: where, columns: append(common(since),
		column{"turn", "k + 1 + 0 * (" + j + ")"},
		column{"waiting_since", instant(since)}, column{"ended_at", instant(since + " + " + wait)},
		column{"ended_by", ends}, column{"wait_ms", wait}, column{"business_wait_ms", "intDiv(" + wait + ", 2)"},
		column{"is_first", "k = 0"}, column{"since_offset", "i * 14 + k"},
		column{"waiting_since_day", date(since)}, column{"day", date(since + " + " + wait)},
		column{"final", "1"}, column{"revision", "if(j = 0, 1, 2)"}, column{"sign", "if(j = 1, -1, 1)"})}
}

func escalations() filling {
	return filling{table: "escalations", per: 1, where: "hands_off", columns: append(common("opened_ms"),
		column{"time", instant("opened_ms + bot_ms + 60000")},
		column{"day", date("opened_ms + bot_ms + 60000")}, column{"since_offset", "i * 14 + 2"},
		column{"by", "'bot'"}, column{"from_bot", "1"}, column{"reason", "'asked_human'"},
		column{"from_queue", "'bot'"}, column{"to_queue", "queue"},
		column{"human_reply_at", instant("opened_ms + to_human_ms")},
		column{"human_reply_day", date("opened_ms + to_human_ms")},
		column{"business_wait_ms", "intDiv(to_human_ms, 2)"}, column{"revision", "1"}, column{"sign", "1"})}
}

func promises() filling {
	const due = "opened_ms + 180000 * (1 + 4 * k)"
	const met = "(to_any_ms <= 180000 * (1 + 4 * k))"
	const at = "if(" + met + ", opened_ms + to_any_ms, " + due + ")"
	return filling{table: "sla_events", per: promisesPer, columns: append(common("opened_ms"),
		column{"turn", "k"}, column{"policy", "'chat'"},
		column{"metric", "if(k = 0, 'first_reply', 'next_reply')"},
		column{"status", "if(" + met + ", 'met', 'breached')"}, column{"clock", "'wall'"},
		column{"target_ms", "180000 * (1 + 4 * k)"}, column{"started_at", "opened"},
		column{"due_at", instant(due)}, column{"at", instant(at)}, column{"day", date(at)},
		column{"since_offset", "i * 14 + k"}, column{"revision", "1"}, column{"sign", "1"})}
}

func decisions() filling {
	const at = "opened_ms + k * 900000"
	score := "(0.2 + 0.8 * pow(" + uk(50) + ", 0.4))"
	return filling{table: "decisions", per: decisionsPer, columns: append(common(at),
		column{"id", "lower(hex(sipHash128(i, k)))"}, column{"time", instant(at)}, column{"day", date(at)},
		column{"trigger_event_id", "concat('e-', toString(i), '-', toString(k))"},
		column{"model_name", "'intent'"}, column{"model_version", "'1'"}, column{"score", score},
		column{"band", "multiIf(" + score + " >= 0.9, 'auto', " + score + " >= 0.5, 'suggest', 'none')"},
		column{"suggestions_id", "if(" + score + " >= 0.5, ['deal', 'request'], [])"},
		column{"route_queue", "queue"}, column{"acted", score + " >= 0.9"})}
}

func events() filling {
	const at = "opened_ms + k * 450000"
	return filling{table: "events", per: eventsPer, columns: append(common(at),
		column{"id", "concat('e-', toString(i), '-', toString(k))"},
		column{"type", "multiIf(k = 0, 'message', i % 5 = 0, 'assign', hands_off, 'escalate', i % 5 = 1, 'outcome', " +
			"i % 5 = 2, 'session_end', 'close')"},
		column{"time", instant(at)}, column{"day", date(at)},
		column{"actor_kind", "if(k % 2 = 0, 'customer', 'agent')"},
		column{"to_agent", "if(k = 1, agent_id, '')"}, column{"public", "1"},
		column{"flags", "if(" + percent(1, 51) + ", ['duplicate'], [])"},
		column{"outcome_kind", "if(k = 1, 'sale', '')"},
		column{"outcome_value", when("k = 1", "toFloat64(10 + cityHash64(i, 52) % 300)")},
		column{"outcome_currency", "if(k = 1, 'EUR', '')"})}
}

func labels() filling {
	return filling{table: "labels", per: decisionsPer, where: percent(1, 53),
		columns: append(common("opened_ms"),
			column{"time", instant("opened_ms + 3600000")}, column{"day", date("opened_ms + 3600000")},
			column{"type", "'label'"}, column{"decision_id", "lower(hex(sipHash128(i, k)))"},
			column{"given_label", "if(cityHash64(i, 54) % 10 = 0, 'claim', label)"})}
}

func corrections() filling {
	return filling{table: "corrections", per: 1, where: percent(corrected, 44),
		columns: append(common("opened_ms"), column{"kpi", "'turns'"}, column{"reason", "'message'"},
			column{"at", "opened"}, column{"day", "opened_on"}, column{"revision", "1"})}
}

func voids() filling {
	return filling{table: "voids", per: 1, where: isVoided, columns: append(common("opened_ms"),
		column{"time", "opened"}, column{"day", "opened_on"}, column{"reason", "'spam'"},
		column{"revision", "1"}, column{"sign", "1"})}
}

// once are the statements that do not go by conversations: agents' days and estimates.
func once(startMS, spanMS int64) []string {
	const day = 86_400_000
	return []string{
		fmt.Sprintf(`INSERT INTO events (tenant, actor_id, type, agent_status, time, day, id, _day, _lease_until)
SELECT concat('tenant-', toString(a %% 20)), concat('agent-', toString(a %% 20), '-',
    ['deal', 'request', 'claim'][1 + intDiv(a, 20) %% 3], '-', toString(intDiv(a, 60))), 'agent_status',
    if(half = 0, 'online', 'offline'), toDateTime64((%d + d * %d + (9 + 8 * half) * 3600000) / 1000, 3, 'UTC') AS at,
    toDate(at), concat('s-', toString(number)), toDate(at), toDateTime64('2100-01-01 00:00:00', 3, 'UTC')
FROM (SELECT number, number %% 2 AS half, intDiv(number, 2) %% 360 AS a, intDiv(number, 720) AS d FROM numbers(%d))
SETTINGS max_partitions_per_insert_block = 0, insert_deduplicate = 0, async_insert = 0`,
			startMS/day*day, day, 720*(spanMS/day)),
		"INSERT INTO estimates (name, value, currency, valid_from, updated_at) VALUES " +
			"('triage_minutes', 2, '', now(), now()), ('cost_per_contact', 3.5, 'EUR', now(), now())",
	}
}
