package views_test

import (
	"testing"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// TestBusinessTwins: each twin has the facts of its KPI where business time is known, and its value.
func TestBusinessTwins(t *testing.T) {
	conn := enginetest.Open(t)
	open := answered(handedOff(botAnswered(cycle("a", 1, 0), 1), 3), 8, "ag1")
	open.FirstReplyAfterHandoffAt, open.FirstReplyAfterHandoffDay = some(8), someDay(8)
	open.FirstReplyAfterHandoffMS = ms(5)
	open.BusinessFirstReplyAnyMS, open.BusinessFirstReplyHumanMS = ms(0), ms(2)
	open.BusinessFirstReplyAfterHandoffMS, open.BusinessRequesterWaitMS = ms(3), ms(4)
	open.CalendarVersion, open.OutOfHours = "v1", schema.Some(true)
	unknown := answered(cycle("b", 1, 0), 8, "ag1") // written before there was business time
	day := answered(cycle("c", 1, 0), 8, "ag1")
	day.OutOfHours = schema.Some(false)
	enginetest.Put(t, conn, schema.TableConversations, 1, open, unknown, day)
	first, next := turn("a", 1, 0, 8, "agent", 1, 1), turn("a", 2, 9, 20, "bot", 1, 2)
	first.BusinessWaitMS, next.BusinessWaitMS, next.CalendarVersion = ms(1), ms(6), "v2"
	enginetest.Put(t, conn, schema.TableTurns, 2, first, next)
	next.BusinessWaitMS = ms(7)
	enginetest.Put(t, conn, schema.TableTurnsHuman, 3, next, turn("b", 2, 9, 20, "agent", 1, 1))
	handoff := schema.Escalation{
		Dims: dims("t", "a"), Cycle: schema.Cycle{CycleID: "a-1"}, Time: at(3), SinceOffset: 3,
		HumanReplyAt: some(8), HumanReplyDay: someDay(8), BusinessWaitMS: ms(3), Sign: 1, Revision: 1,
	}
	enginetest.Put(t, conn, schema.TableEscalations, 4, handoff)
	for kpi, want := range map[string]string{
		"first_reply_any": "0\tv1", "first_reply_human": "120000\tv1",
		"first_reply_after_handoff": "180000\tv1", "requester_wait": "240000\tv1",
		"next_reply": "360000\tv2", "next_reply_human": "420000\tv2", "handoff_wait": "180000\t",
	} {
		ask(t, conn, "SELECT value, calendar_version FROM kpi_"+kpi+"_business", want)
	}
	rate(t, conn, "out_of_hours", "1\t2")
}
