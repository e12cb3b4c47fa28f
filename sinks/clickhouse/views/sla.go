package views

var fromPromises = source{"sla_events_latest", notVoided}

func slaKPIs() []KPI {
	return []KPI{{
		Name: "sla", Version: 1, Form: Rate, source: fromPromises,
		where: "status IN ('met', 'breached')", num: "status = 'met'",
		counted: "at", day: "day", started: "started_at", final: always,
		extra:      []string{"policy", "metric", "clock", "target_ms", "turn", "due_at"},
		Definition: "Promises of SLA policies that were kept, of those that were met or breached.",
		Formula:    "num / den", Numerator: "promises met",
		Denominator: "promises met or breached", Unit: "share",
		Source: "Zendesk, Intercom, Chatwoot; breached when due, not at the next reply",
		EdgeCases: "cancelled ones are not counted; pending and snoozed move the due time; a late event " +
			"corrects a breach",
		Example: "target 3 min, reply after 2: 1 / 1; after 4: 0 / 1, counted at the due time",
	}}
}
