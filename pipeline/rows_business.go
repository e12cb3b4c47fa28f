package pipeline

import (
	"usher/features/calendar"
	"usher/features/conversation"
	"usher/sinks/clickhouse/schema"
)

// businessTurn adds what a wait took of the business time of the calendar it began under.
func businessTurn(row *schema.Turn, t *conversation.Turn) {
	row.BusinessWaitMS = schema.DurationOf(t.BusinessWaitMS)
	row.BusinessPausedMS = schema.DurationOf(t.BusinessPausedMS)
	row.CalendarVersion = t.CalendarVersion
}

// businessCycle adds the business twins of a cycle's durations.
func businessCycle(row *schema.Conversation, c *conversation.Cycle) {
	row.BusinessFirstReplyAnyMS = schema.DurationOf(c.BusinessFirstReplyAnyMS)
	row.BusinessFirstReplyHumanMS = schema.DurationOf(c.BusinessFirstReplyHumanMS)
	row.BusinessFirstReplyAfterHandoffMS = schema.DurationOf(c.BusinessFirstReplyAfterHandoffMS)
	row.BusinessRequesterWaitMS = schema.Opt[int64]{V: c.BusinessRequesterWaitMS, OK: c.EndedWaits > 0}
	row.OutOfHours = schema.Opt[bool]{V: c.OutOfHours, OK: c.CalendarVersion != ""}
	row.CalendarVersion = c.CalendarVersion
}

// calendar is the one in force for a tenant, nil around the clock.
func (l *Line) calendar(tenant []byte) *calendar.Calendar {
	if c, ok := l.cfg.State.Calendars[string(tenant)]; ok {
		return c
	}
	return l.cfg.State.Calendars["default"]
}
