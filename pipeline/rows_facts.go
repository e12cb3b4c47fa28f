package pipeline

import (
	"usher/features/conversation"
	"usher/pipeline/event"
	"usher/sinks/clickhouse/schema"
)

// facts appends what the partition's conversations have become in the open transaction, and returns
// it.
func (b *blocks) facts(part *partition, l *Line) *conversation.Facts {
	f := part.table.Facts()
	for i := range f.Turns {
		b.turns.Append(b.turn(l, &f.Turns[i]))
	}
	for i := range f.TurnsHuman {
		b.turnsHuman.Append(b.turn(l, &f.TurnsHuman[i]))
	}
	for i := range f.Escalations {
		b.escalation(l, &f.Escalations[i])
	}
	for i := range f.SLA {
		b.sla(l, &f.SLA[i])
	}
	for i := range f.Corrections {
		b.correction(l, &f.Corrections[i])
	}
	for i := range f.Cycles {
		b.conversation(l, &f.Cycles[i])
	}
	for i := range f.Voids {
		b.void(l, &f.Voids[i])
	}
	return f
}

func factDims(d *conversation.Dims) schema.Dims { return schema.Dims(*d) }

func (b *blocks) turn(l *Line, t *conversation.Turn) *schema.Turn {
	z := l.zone(t.Tenant)
	l.rows.turn = schema.Turn{
		Source: b.at(t.SrcOffset), Dims: factDims(&t.Dims), Cycle: b.cycle(t.CycleOffset, t.Cycle),
		Turn: t.Turn, WaitingSince: schema.Instant(t.WaitingSinceMS),
		EndedAt: schema.Instant(t.EndedAtMS), EndedBy: t.EndedBy.String(),
		WaitMS: t.WaitMS, PausedMS: t.PausedMS, IsFirst: t.IsFirst, SinceOffset: t.SinceOffset,
		Skewed: t.Skewed, WaitingSinceDay: schema.Day(z.day(t.WaitingSinceMS)),
		EndedDay: schema.Day(z.day(t.EndedAtMS)), Final: t.Final, Revision: t.Revision, Sign: t.Sign,
	}
	businessTurn(&l.rows.turn, t)
	return &l.rows.turn
}

func (b *blocks) escalation(l *Line, e *conversation.Escalation) {
	z := l.zone(e.Tenant)
	b.escalations.Append(&schema.Escalation{
		Source: b.at(e.SrcOffset), Dims: factDims(&e.Dims), Cycle: b.cycle(e.CycleOffset, e.Cycle),
		Time: schema.Instant(e.AtMS), EscalatedDay: schema.Day(z.day(e.AtMS)),
		SinceOffset: e.SinceOffset, By: e.By.String(),
		FromBot: e.By == conversation.By(event.ActorBot), Reason: e.Reason, Intent: e.Intent,
		FromQueue: e.FromQueue, ToQueue: e.ToQueue, ToTeam: e.ToTeam, ToAgent: e.ToAgent,
		OfferedAt: schema.InstantOf(e.OfferedAtMS), AcceptedAt: schema.InstantOf(e.AcceptedAtMS),
		DeclinedAt: schema.InstantOf(e.DeclinedAtMS), HumanReplyAt: schema.InstantOf(e.HumanReplyAtMS),
		HumanReplyDay: z.dayOf(e.HumanReplyAtMS), Pending: e.PendingAlready,
		BusinessWaitMS: schema.DurationOf(e.BusinessWaitMS), CalendarVersion: e.CalendarVersion,
		Revision: e.Revision, Sign: e.Sign,
	})
}

func (b *blocks) correction(l *Line, c *conversation.Correction) {
	b.corrections.Append(&schema.Correction{
		Source: b.at(c.SrcOffset), Dims: factDims(&c.Dims), Cycle: b.cycle(c.CycleOffset, c.Cycle),
		KPI: c.KPI, Reason: c.Cause.String(), At: schema.Instant(c.AtMS),
		AtDay: schema.Day(l.zone(c.Tenant).day(c.AtMS)), Revision: c.Revision,
	})
}

func (b *blocks) void(l *Line, v *conversation.Void) {
	b.voids.Append(&schema.Void{
		Source: b.at(v.SrcOffset), Dims: factDims(&v.Dims), Cycle: b.cycle(v.CycleOffset, v.Cycle),
		Time: schema.Instant(v.AtMS), VoidDay: schema.Day(l.zone(v.Tenant).day(v.AtMS)),
		Reason: v.Reason, Revision: v.Revision, Sign: v.Sign,
	})
}

// conversation appends the newest row of a cycle.
func (b *blocks) conversation(l *Line, c *conversation.Cycle) {
	z := l.zone(c.Tenant)
	row := &l.rows.cycle
	*row = schema.Conversation{
		Source: b.at(c.SrcOffset), Dims: factDims(&c.Dims), Cycle: b.cycle(c.CycleOffset, c.Cycle),
		OpenedMonth: schema.Day(monthStart(c.OpenedAtMS)),
		PrevCycleID: b.cycleID(c.PrevCycleOffset), ReplacedBy: b.replacedBy(c),
		OpenedAt: schema.Instant(c.OpenedAtMS), OpenedDay: schema.Day(z.day(c.OpenedAtMS)),
		ClosedAt: schema.InstantOf(c.ClosedAtMS), ClosedDay: z.dayOf(c.ClosedAtMS),
		WaitingSince:      schema.InstantOf(c.WaitingSinceMS),
		WaitingHumanSince: schema.InstantOf(c.WaitingHumanSinceMS),
		FirstCustomerAt:   schema.InstantOf(c.FirstCustomerAtMS),
		FirstCustomerDay:  z.dayOf(c.FirstCustomerAtMS),
		MessagesCustomer:  c.MessagesCustomer, MessagesAgent: c.MessagesAgent,
		MessagesBot: c.MessagesBot, BotReplies: c.BotReplies, BotFallbacks: c.BotFallbacks,
		HumanReplies: c.HumanReplies, HumanRuns: c.HumanRuns,
		ContainmentMS: l.containmentMS(c.Tenant, c.Channel),
		Reopened:      c.PrevCycleOffset >= 0, Resolution: c.Resolution.String(),
		Judged: c.Judged, JudgedAt: schema.InstantOf(c.JudgedAtMS), JudgedDay: z.dayOf(c.JudgedAtMS),
		Missed: c.Missed, Dropped: c.Dropped, Abandoned: c.Abandoned, Offered: c.Offered,
		AbandonedAt: schema.InstantOf(c.AbandonedAtMS), AbandonedDay: z.dayOf(c.AbandonedAtMS),
		ContactGiven: c.ContactGiven, ContactAt: schema.InstantOf(c.ContactAtMS),
		AIDisclosed: c.AIDisclosed, Gone: c.Gone, Final: c.Final, Revision: c.Revision,
	}
	if c.Voided {
		row.Voided = c.VoidReason
		if row.Voided == "" {
			row.Voided = "void"
		}
	}
	businessCycle(row, c)
	fillReplies(row, c, z)
	fillWaits(row, c, z)
	fillHandoffs(row, c, z)
	fillEnds(row, c, z)
	b.conversations.Append(row)
}

func (b *blocks) replacedBy(c *conversation.Cycle) string {
	if !c.Gone {
		return ""
	}
	return b.cycleID(c.ReplacedByOffset)
}

func fillReplies(row *schema.Conversation, c *conversation.Cycle, z *dayZone) {
	row.FirstReplyAnyMS = schema.DurationOf(c.FirstReplyAnyMS)
	row.FirstReplyAnyAt = schema.InstantOf(c.FirstReplyAnyAtMS)
	row.FirstReplyAnyDay = z.dayOf(c.FirstReplyAnyAtMS)
	row.FirstReplyAnyAgent = c.FirstReplyAnyAgent
	row.FirstReplyHumanMS = schema.DurationOf(c.FirstReplyHumanMS)
	row.FirstReplyHumanAt = schema.InstantOf(c.FirstReplyHumanAtMS)
	row.FirstReplyHumanDay = z.dayOf(c.FirstReplyHumanAtMS)
	row.FirstReplyHumanAgent = c.FirstReplyHumanAgent
	row.FirstReplyAfterHandoffMS = schema.DurationOf(c.FirstReplyAfterHandoffMS)
	row.FirstReplyAfterHandoffAt = schema.InstantOf(c.FirstReplyAfterHandoffAtMS)
	row.FirstReplyAfterHandoffDay = z.dayOf(c.FirstReplyAfterHandoffAtMS)
	row.FirstReplyAfterHandoffAgent = c.FirstReplyAfterHandoffAgent
}

func fillWaits(row *schema.Conversation, c *conversation.Cycle, z *dayZone) {
	row.Waits, row.PausedMS = c.EndedWaits, c.PausedMS
	row.RequesterWaitMS = schema.Opt[int64]{V: c.RequesterWaitMS, OK: c.EndedWaits > 0}
	row.LastWaitEndedAt = schema.InstantOf(c.RequesterWaitAtMS)
	row.LastWaitEndedDay = z.dayOf(c.RequesterWaitAtMS)
	row.HandleMS = schema.DurationOf(c.HandleMS)
	if c.HandleMS >= 0 {
		row.ActiveHandleMS = schema.DurationOf(c.ActiveHandleMS)
	}
}

func fillHandoffs(row *schema.Conversation, c *conversation.Cycle, z *dayZone) {
	row.BotCycle = c.BotCycle
	row.BotCycleAt, row.BotCycleDay = schema.InstantOf(c.BotCycleAtMS), z.dayOf(c.BotCycleAtMS)
	row.Escalations, row.EscalatedByBot = c.Escalations, c.EscalatedByBot
	row.EscalatedByBotAt = schema.InstantOf(c.EscalatedByBotAtMS)
	row.EscalatedByBotDay = z.dayOf(c.EscalatedByBotAtMS)
	row.EscalatedAny, row.TransferredUp = c.EscalatedAny || c.TransferredUp, c.TransferredUp
	row.EscalatedAt = schema.InstantOf(c.FirstEscalatedAtMS)
	row.EscalatedDay = z.dayOf(c.FirstEscalatedAtMS)
	row.Handoffs = c.Escalations
	row.FirstHandoffAt = schema.InstantOf(c.FirstHandoffAtMS)
	row.FirstHandoffDay = z.dayOf(c.FirstHandoffAtMS)
	row.HandoffsOffered, row.HandoffsAccepted = c.HandoffsOffered, c.HandoffsAccepted
	row.HandoffsDeclined, row.Reassigned = c.HandoffsDeclined, c.Reassigned
	row.ReassignedAt, row.ReassignedDay = schema.InstantOf(c.ReassignedAtMS), z.dayOf(c.ReassignedAtMS)
	row.FlowedOut, row.FlowedOutAt = c.FlowedOut, schema.InstantOf(c.FlowedOutAtMS)
	row.AskedHumanAt = schema.InstantOf(c.AskedHumanAtMS)
	row.AskedHumanReplyAt = schema.InstantOf(c.AskedHumanReplyAtMS)
	row.AskedHumanDay = z.dayOf(c.AskedHumanAtMS)
	if c.AskedHumanReplyAtMS != 0 {
		row.AskedHumanDay = z.dayOf(c.AskedHumanReplyAtMS)
	}
}

func fillEnds(row *schema.Conversation, c *conversation.Cycle, z *dayZone) {
	row.Outcome = c.Outcome.String()
	row.OutcomeAt, row.OutcomeDay = schema.InstantOf(c.OutcomeAtMS), z.dayOf(c.OutcomeAtMS)
	row.MessagesToOutcome = countOf(c.MessagesToOutcome)
	row.MessagesToClose = countOf(c.MessagesToClose)
	row.SentimentFirst, row.SentimentLowest = c.SentimentFirst.String(), c.SentimentLowest.String()
	row.SentimentLast = c.SentimentLast.String()
	row.SentimentChange = schema.Opt[int8]{
		V:  int8(c.SentimentLast) - int8(c.SentimentFirst),
		OK: c.SentimentFirst != conversation.SentimentUnknown,
	}
	row.CSATAsked = c.CSATAsked
	if c.CSATAtMS == 0 {
		return
	}
	row.CSATScore, row.CSATScale = schema.Some(c.CSATScore), schema.Some(c.CSATScale)
	row.CSATAt, row.CSATDay = schema.InstantOf(c.CSATAtMS), z.dayOf(c.CSATAtMS)
	row.CSATFirstScore = schema.Some(c.CSATFirstScore)
	row.CSATFirstScale = schema.Some(c.CSATFirstScale)
}

// countOf is n, NULL when it is negative.
func countOf(n int64) schema.Opt[uint32] {
	return schema.Opt[uint32]{V: uint32(max(n, 0)), OK: n >= 0}
}

// dayOf is the day of ms, NULL when ms is 0.
func (z *dayZone) dayOf(ms int64) schema.Opt[schema.Day] {
	if ms == 0 {
		return schema.Opt[schema.Day]{}
	}
	return schema.Some(schema.Day(z.day(ms)))
}
