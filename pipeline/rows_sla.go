package pipeline

import (
	"usher/features/conversation"
	"usher/sinks/clickhouse/schema"
)

// instantMaxMS is the last instant that a DateTime64 holds: a promise under a calendar that is never
// open again is due then.
const instantMaxMS = 10413791999999

func (b *blocks) sla(l *Line, e *conversation.SLAEvent) {
	clock := "wall"
	if e.Business {
		clock = "business"
	}
	b.slas.Append(&schema.SLAEvent{
		Source: b.at(e.SrcOffset), Dims: factDims(&e.Dims), Cycle: b.cycle(e.CycleOffset, e.Cycle),
		Turn: e.Turn, Policy: e.Policy, Metric: e.Metric.String(), Status: e.Status.String(),
		Clock: clock, TargetMS: e.TargetMS, StartedAt: schema.Instant(e.BegunAtMS),
		DueAt: schema.Instant(min(e.DueAtMS, instantMaxMS)), At: schema.Instant(e.AtMS),
		AtDay: schema.Day(l.zone(e.Tenant).day(e.AtMS)), SinceOffset: e.SinceOffset,
		CalendarVersion: e.CalendarVersion, Revision: e.Revision, Sign: e.Sign,
	})
}
