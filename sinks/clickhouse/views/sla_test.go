package views_test

import (
	"testing"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// TestSLA: of every promise what holds now; a repaired breach counts once, as met.
func TestSLA(t *testing.T) {
	conn := enginetest.Open(t)
	event := func(c, status string, sign int8, revision uint32) schema.SLAEvent {
		return schema.SLAEvent{
			Dims: dims("t", c), Cycle: schema.Cycle{CycleID: c + "-1", Cycle: 1}, Turn: 1, Policy: "chat",
			Metric: "first_reply", Status: status, Clock: "business", TargetMS: 60_000, StartedAt: at(0),
			DueAt: at(1), At: at(1), AtDay: day(1), SinceOffset: 1, Revision: revision, Sign: sign,
		}
	}
	voided := schema.Void{
		Dims: dims("t", "v"), Cycle: schema.Cycle{CycleID: "v-1"}, Reason: "spam", Revision: 1, Sign: 1,
	}
	enginetest.Put(t, conn, schema.TableSLA, 1, event("a", "due_soon", 1, 1), event("a", "breached", 1, 2),
		event("b", "breached", 1, 1), event("c", "cancelled", 1, 1), event("v", "breached", 1, 1))
	enginetest.Put(t, conn, schema.TableVoids, 1, voided)
	rate(t, conn, "sla", "0\t2")
	enginetest.Put(t, conn, schema.TableSLA, 2, event("b", "breached", -1, 2), event("b", "met", 1, 2))
	rate(t, conn, "sla", "1\t2")
	ask(t, conn, "SELECT conversation_id, policy, metric, clock, toString(counted_at), toString(started_at) "+
		"FROM kpi_sla WHERE num = 0", "a\tchat\tfirst_reply\tbusiness\t2026-03-02 12:01:00.000\t"+
		"2026-03-02 12:00:00.000")
	ask(t, conn, "SELECT conversation_id, status FROM sla_events_latest ORDER BY 1, 2", "a\tbreached",
		"a\tdue_soon", "b\tmet", "c\tcancelled", "v\tbreached")
}
