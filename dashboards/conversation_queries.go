package dashboards

// ofOne is the condition that picks the conversation.
const ofOne = "tenant IN ($tenant)\n  AND conversation_id IN ($conversation)"

// ofConversation reads what a table knows of the conversation, in the range and the 30 days before
// it: what a table of another board shows may have begun before that board's range.
func ofConversation(columns, table, at, tail string) string {
	return "SELECT\n  " + columns + "\nFROM " + table + "\nWHERE " + at +
		" >= $__fromTime - INTERVAL 30 DAY AND " + at + " <= $__toTime\n  AND " + ofOne + tail
}

func summarySQL(value, note string) string {
	return ofConversation("$__toTime AS time,\n  "+value+" AS value,\n  "+note+" AS note",
		"conversations_latest", "opened_at", "\nHAVING count() > 0")
}

func cyclesSQL() string {
	return ofConversation("cycle,\n  opened_at AS \"opened\",\n  closed_at AS \"closed\",\n"+
		"  if(closed_at IS NULL, if(waiting_since IS NULL, 'open', 'open, customer waits'), "+
		"if(resolution = '', 'closed', concat('closed, ', resolution))) AS \"state\",\n  channel,\n"+
		"  queue,\n  "+pseudonym+" AS agent,\n  first_reply_any_ms AS \"first reply\",\n"+
		"  first_reply_human_ms AS \"first by a person\",\n  messages_customer AS \"by customer\",\n"+
		"  messages_agent AS \"by agents\",\n  messages_bot AS \"by bots\",\n  outcome,\n"+
		"  csat_score AS \"rating\",\n  if(final = 1, 'final', 'provisional') AS facts",
		"conversations_latest", "opened_at", "\nORDER BY cycle")
}

func eventsOfSQL() string {
	return ofConversation("time AS \"when\",\n  type AS \"event\",\n  if(actor_kind = 'agent', "+
		"concat('agent ', substring(lower(hex(sipHash64(actor_id))), 1, 5)), actor_kind) AS \"by\",\n"+
		"  text_len AS \"length\",\n  arrayStringConcat(arrayFilter(x -> x != '', "+
		"[toString(reason), toString(resolution), toString(status), toString(to_queue), "+
		"toString(to_team), toString(outcome_kind), if(fallback, 'fallback', ''), "+
		"if(automated, 'automated', ''), if(public = 0, 'private', '')]), ', ') AS \"detail\",\n"+
		"  arrayStringConcat(flags, ', ') AS \"flags\",\n  id AS \"event id\"", "events", "time",
		"\nORDER BY time, _src_offset\nLIMIT 500")
}

func turnsOfSQL() string {
	return ofConversation("cycle,\n  turn,\n  waiting_since AS \"asked\",\n  ended_at AS \"ended\",\n"+
		"  ended_by AS \"by\",\n  wait_ms AS \"waited\",\n  if(final = 1, 'final', 'provisional') AS facts",
		"turns_latest", "waiting_since", "\nORDER BY cycle, turn\nLIMIT 200")
}

func decisionsOfSQL() string {
	return ofConversation("time AS \"when\",\n  ifNull(label, '') AS \"label\",\n  score,\n  band,\n"+
		"  ifNull(band_reason, '') AS \"because\",\n  ifNull(route_queue, '') AS \"queue\",\n"+
		"  ifNull(rule_id, '') AS \"rule\",\n  if(acted, 'yes', 'no') AS \"acted\",\n"+
		"  arrayStringConcat(suggestions_id, ', ') AS \"suggestions\",\n  latency_us AS \"took\",\n"+
		"  id AS \"usher explain\"", "decisions", "time", "\nORDER BY time, trigger_offset\nLIMIT 200")
}

// waitsTimelineSQL says at every change whether the customer waits; it draws the turns as bars.
func waitsTimelineSQL() string {
	turns := ofConversation("waiting_since, ended_at, ended_by, wait_ms", "turns_latest",
		"waiting_since", "")
	return "SELECT time, state\nFROM (\n  SELECT waiting_since AS time, 'customer waits' AS state\n  FROM (" +
		turns + ")\n  UNION ALL\n  SELECT greatest(ended_at, waiting_since) AS time, multiIf(ended_by = " +
		"'agent', 'answered by a person', ended_by = 'bot', 'answered by a bot', 'ended unanswered') AS " +
		"state\n  FROM (" + turns + ")\n)\nORDER BY time, state = 'customer waits'"
}

func promisesSQL() string {
	return ofConversation("metric AS \"promise\",\n  policy,\n  status,\n  target_ms AS \"target\",\n"+
		"  due_at AS \"due\",\n  at AS \"when\"", "sla_events_latest", "at", "\nORDER BY at, metric\nLIMIT 200")
}

// conversationsSQL lists the newest conversations of the range to choose from.
func conversationsSQL() string {
	return "SELECT " + escaped("conversation_id") + " AS value, conversation_id AS text\nFROM kpi_" +
		volume + "\nWHERE " + inRange + "\n  AND " + dimensions()[0].filter() +
		"\nGROUP BY conversation_id\nORDER BY max(counted_at) DESC\nLIMIT 200"
}
