package views_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// Noon of 2 March 2026: every window of 7 and 30 days is over.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// at is so many minutes after noon.
func at(minutes int) schema.Instant {
	return schema.Instant(noon.Add(time.Duration(minutes) * time.Minute).UnixMilli())
}

func day(minutes int) schema.Day { return schema.Day(at(minutes) / 86_400_000) }

func some(minutes int) schema.Opt[schema.Instant] { return schema.Some(at(minutes)) }

func someDay(minutes int) schema.Opt[schema.Day] { return schema.Some(day(minutes)) }

func ms(minutes int) schema.Opt[int64] { return schema.Some(int64(minutes) * 60_000) }

func dims(tenant, conversation string) schema.Dims {
	return schema.Dims{Tenant: tenant, ConversationID: conversation, Channel: "web", AgentID: "assignee"}
}

// cycle is cycle n of a conversation, opened by a customer message.
func cycle(conversation string, n uint32, opened int) schema.Conversation {
	id := conversation + "-" + string('0'+rune(n))
	return schema.Conversation{
		OpenedMonth: day(0), Dims: dims("t", conversation), Cycle: schema.Cycle{CycleID: id, Cycle: n},
		OpenedAt: at(opened), OpenedDay: day(opened), FirstCustomerAt: some(opened),
		FirstCustomerDay: someDay(opened), MessagesCustomer: 1, Revision: 1,
		ContainmentMS: 24 * 3_600_000,
	}
}

// closedAt closes c.
func closedAt(c schema.Conversation, minutes int) schema.Conversation {
	c.ClosedAt, c.ClosedDay, c.Final = some(minutes), someDay(minutes), true
	c.Judged, c.JudgedAt, c.JudgedDay = true, some(minutes), someDay(minutes)
	c.Resolution, c.MessagesToClose = "assumed", schema.Some(uint32(3))
	return c
}

// answered lets a person reply to c.
func answered(c schema.Conversation, minutes int, agent string) schema.Conversation {
	wait := schema.Some(int64(at(minutes) - c.FirstCustomerAt.V))
	c.HumanReplies, c.HumanRuns, c.MessagesAgent = 1, 1, 1
	c.FirstReplyHumanAt, c.FirstReplyHumanDay = some(minutes), someDay(minutes)
	c.FirstReplyHumanMS, c.FirstReplyHumanAgent = wait, agent
	if !c.FirstReplyAnyAt.OK {
		c.FirstReplyAnyAt, c.FirstReplyAnyDay = some(minutes), someDay(minutes)
		c.FirstReplyAnyMS, c.FirstReplyAnyAgent = wait, agent
	}
	c.RequesterWaitMS, c.LastWaitEndedAt, c.LastWaitEndedDay = wait, some(minutes), someDay(minutes)
	return c
}

// botAnswered lets a bot reply to c.
func botAnswered(c schema.Conversation, minutes int) schema.Conversation {
	c.BotCycle, c.BotCycleAt, c.BotCycleDay, c.BotReplies = true, some(minutes), someDay(minutes), 1
	c.FirstReplyAnyAt, c.FirstReplyAnyDay = some(minutes), someDay(minutes)
	c.FirstReplyAnyMS = schema.Some(int64(at(minutes) - c.FirstCustomerAt.V))
	c.FirstReplyAnyAgent, c.MessagesBot = "bot1", 1
	return c
}

// handedOff lets the bot escalate c.
func handedOff(c schema.Conversation, minutes int) schema.Conversation {
	c.Escalations, c.EscalatedByBot, c.EscalatedAny, c.Handoffs = 1, true, true, 1
	c.EscalatedAt, c.EscalatedDay = some(minutes), someDay(minutes)
	c.EscalatedByBotAt, c.EscalatedByBotDay = some(minutes), someDay(minutes)
	c.FirstHandoffAt, c.FirstHandoffDay = some(minutes), someDay(minutes)
	return c
}

// cycles are the fixture of the views over cycles:
//
//	a-1  12:00 question, 12:02 ag1, 12:05 closed; reopened an hour later
//	a-2  13:05 question, 13:10 ag2, ag3 too (two runs), 13:20 closed, then 4 of 5
//	b-1  12:00 question, 12:01 bot, 12:30 closed, AI disclosed: contained
//	c-1  12:00 question, 12:01 bot, 12:03 handoff, 12:08 ag1; still open; a sale on the next day
//	d-1  12:00 question in an inbox, left at 12:05, closed 12:06: missed and abandoned
//	e-1  the same, but gone after 5 seconds: missed, a short abandon
//	f-1  12:00 question, bot 12:01, closed waiting at 12:09: dropped
//	g-1  12:00 question, open, unanswered
//	h-1  answered and closed, then voided; i-1 ceased to exist
func cycles() []schema.Conversation {
	a1 := closedAt(answered(cycle("a", 1, 0), 2, "ag1"), 5)
	a2 := closedAt(answered(cycle("a", 2, 65), 70, "ag2"), 80)
	a2.HumanReplies, a2.HumanRuns, a2.Reopened, a2.PrevCycleID = 2, 2, true, "a-1"
	a2.Reassigned, a2.ReassignedAt, a2.ReassignedDay = 1, some(72), someDay(72)
	a2.CSATScore, a2.CSATScale = schema.Some(4.0), schema.Some(5.0)
	a2.CSATAt, a2.CSATDay = some(90), someDay(90)
	a2.HandleMS, a2.ActiveHandleMS = ms(10), ms(7)
	b1 := closedAt(botAnswered(cycle("b", 1, 0), 1), 30)
	b1.AIDisclosed = true
	c1 := answered(handedOff(botAnswered(cycle("c", 1, 0), 1), 3), 8, "ag1")
	c1.FirstReplyAfterHandoffAt, c1.FirstReplyAfterHandoffDay = some(8), someDay(8)
	c1.FirstReplyAfterHandoffMS, c1.FirstReplyAfterHandoffAgent = ms(5), "ag1"
	c1.Outcome, c1.OutcomeAt, c1.OutcomeDay = "sale", some(1440), someDay(1440)
	c1.MessagesToOutcome = schema.Some(uint32(6))
	d1 := closedAt(cycle("d", 1, 0), 6)
	d1.Missed, d1.Offered, d1.Abandoned, d1.Inbox = true, true, true, "front"
	d1.AbandonedAt, d1.AbandonedDay = some(5), someDay(5)
	e1 := d1
	e1.Dims.ConversationID, e1.CycleID = "e", "e-1"
	e1.AbandonedAt = schema.Some(at(0) + 5000)
	f1 := closedAt(botAnswered(cycle("f", 1, 0), 1), 9)
	f1.Dropped = true
	h1 := closedAt(answered(cycle("h", 1, 0), 1, "ag1"), 3)
	h1.Voided = "test"
	i1 := cycle("i", 1, 0)
	i1.Gone, i1.ReplacedBy, i1.Revision = true, "i-2", 2
	old := cycle("i", 1, 0)
	stale := cycle("a", 1, 0) // an earlier revision of a-1, unanswered
	stale.Revision = 0
	g1 := cycle("g", 1, 0)
	c1.AskedHumanAt, c1.AskedHumanReplyAt, c1.AskedHumanDay = some(3), some(8), someDay(8)
	g1.AskedHumanAt, g1.AskedHumanDay = some(4), someDay(4)
	return []schema.Conversation{a1, a2, b1, c1, d1, e1, f1, g1, h1, old, i1, stale}
}

// ask compares what a query gives with what was computed by hand.
func ask(t *testing.T, conn driver.Conn, query string, want ...string) {
	t.Helper()
	if got := enginetest.Query(t, conn, query); got != strings.Join(want, "\n") {
		t.Errorf("%s\n got %q\nwant %q", query, got, want)
	}
}

// rate asks for the sums of a rate KPI.
func rate(t *testing.T, conn driver.Conn, kpi, want string) {
	t.Helper()
	ask(t, conn, "SELECT sum(num), sum(den) FROM kpi_"+kpi+" WHERE tenant = 't'", want)
}

func TestViewsOverCycles(t *testing.T) {
	conn := enginetest.Open(t)
	const null = `\N` + "\t" + `\N`
	enginetest.Put(t, conn, schema.TableConversations, 1, cycles()[:6]...)
	enginetest.Put(t, conn, schema.TableConversations, 2, cycles()[6:]...)
	ask(t, conn, "SELECT count(), uniqExact(cycle_id), sum(revision) FROM conversations_latest", "9\t9\t9")

	for _, k := range []string{
		"escalation", "routed_to_team", "escalation_all", "resolution_rate", "conversion", "abandoned",
		"reassigned",
	} {
		rate(t, conn, k, null) // nobody has sent what it needs
	}
	ask(t, conn, "SELECT count() FROM kpi_handle_time", "0")
	for i, typ := range []string{"escalate", "outcome", "session_end", "assign"} {
		enginetest.Put(t, conn, schema.TableEvents, int64(10+i), schema.Event{Dims: dims("t", "a"), Type: typ})
	}

	ask(t, conn, "SELECT sum(value), sum(messages_customer), sum(messages_agent), sum(messages_bot), "+
		"min(final) FROM kpi_volume", "8\t8\t3\t3\t1")
	ask(t, conn, "SELECT conversation_id, value, agent_id, toString(counted_at) FROM kpi_first_reply_any "+
		"ORDER BY cycle_id", "a\t120000\tag1\t2026-03-02 12:02:00.000",
		"a\t300000\tag2\t2026-03-02 13:10:00.000", "b\t60000\tbot1\t2026-03-02 12:01:00.000",
		"c\t60000\tbot1\t2026-03-02 12:01:00.000", "f\t60000\tbot1\t2026-03-02 12:01:00.000")
	ask(t, conn, "SELECT cycle_id, value FROM kpi_first_reply_human ORDER BY cycle_id", "a-1\t120000",
		"a-2\t300000", "c-1\t480000")
	ask(t, conn, "SELECT value, toString(started_at), agent_id FROM kpi_first_reply_after_handoff",
		"300000\t2026-03-02 12:03:00.000\tag1")
	ask(t, conn, "SELECT sum(value), countIf(final = 0) FROM kpi_requester_wait", "900000\t1")

	rate(t, conn, "unanswered", "3\t8")
	ask(t, conn, "SELECT cycle_id, toString(counted_at), final FROM kpi_unanswered WHERE num = 1 "+
		"ORDER BY cycle_id", "d-1\t2026-03-02 12:06:00.000\t1", "e-1\t2026-03-02 12:06:00.000\t1",
		"g-1\t2026-03-02 12:00:00.000\t0")
	rate(t, conn, "missed", "2\t6")
	rate(t, conn, "dropped", "1\t6")
	rate(t, conn, "abandoned", "1\t2")
	ask(t, conn, "SELECT toString(counted_at) FROM kpi_abandoned WHERE num = 1", "2026-03-02 12:05:00.000")

	rate(t, conn, "escalation", "1\t3")
	rate(t, conn, "routed_to_team", "1\t3")
	rate(t, conn, "resolution_rate", "2\t3")
	rate(t, conn, "escalation_all", "1\t8")
	ask(t, conn, "SELECT cycle_id, toString(counted_at), final FROM kpi_escalation WHERE num = 1",
		"c-1\t2026-03-02 12:03:00.000\t1")
	rate(t, conn, "bot_share", "3\t8")
	rate(t, conn, "containment", "2\t3")
	ask(t, conn, "SELECT cycle_id, num, final FROM kpi_containment ORDER BY cycle_id", "b-1\t1\t1",
		"c-1\t0\t0", "f-1\t1\t1")
	rate(t, conn, "disclosure", "1\t3")
	rate(t, conn, "reopened", "1\t6")
	ask(t, conn, "SELECT cycle_id, toString(counted_at), final FROM kpi_reopened WHERE num = 1",
		"a-1\t2026-03-02 13:05:00.000\t1")
	rate(t, conn, "one_touch", "0\t2") // a-1 was reopened, a-2 has two runs
	rate(t, conn, "asked_human", "1\t2")
	ask(t, conn, "SELECT cycle_id, value, final FROM kpi_asked_human ORDER BY 1", "c-1\t300000\t1",
		"g-1\t\\N\t0")
	rate(t, conn, "reassigned", "1\t3")
	ask(t, conn, "SELECT value FROM kpi_reassigned WHERE num = 1", "1")

	ask(t, conn, "SELECT cycle_id, value FROM kpi_cycle_time ORDER BY cycle_id", "a-1\t300000",
		"a-2\t900000", "b-1\t1800000", "d-1\t360000", "e-1\t360000", "f-1\t540000")
	ask(t, conn, "SELECT value, cycle_id FROM kpi_time_to_first_close WHERE conversation_id = 'a'",
		"300000\ta-1")
	ask(t, conn, "SELECT value, cycle_id, final FROM kpi_time_to_last_close WHERE conversation_id = 'a'",
		"4800000\ta-2\t1")
	ask(t, conn, "SELECT count() FROM kpi_time_to_last_close", "5")
	ask(t, conn, "SELECT sum(value) FROM kpi_messages_to_close", "18")
	ask(t, conn, "SELECT value FROM kpi_handle_time", "600000")
	ask(t, conn, "SELECT value FROM kpi_active_handle_time", "420000")
	ask(t, conn, "SELECT count() FROM kpi_human_time", "0")

	rate(t, conn, "satisfaction", "1\t1")
	rate(t, conn, "conversion", "1\t8")
	ask(t, conn, "SELECT value, toString(day) FROM kpi_messages_to_outcome", "6\t2026-03-03")
	rate(t, conn, "resolved_assumed", "2\t2")
	rate(t, conn, "resolved_confirmed", "0\t2")
	rate(t, conn, "out_of_hours", null)
}

// turn is a wait of conversation c, begun at the event at offset since.
func turn(c string, since int64, from, to int, by string, sign int8, revision uint32) schema.Turn {
	return schema.Turn{
		Dims: dims("t", c), Cycle: schema.Cycle{CycleID: c + "-1", Cycle: 1}, SinceOffset: since,
		WaitingSince: at(from), EndedAt: at(to), EndedDay: day(to), EndedBy: by,
		WaitMS: int64(to-from) * 60_000, IsFirst: from == 0, Final: by != "none", Sign: sign,
		Revision: revision,
	}
}

func TestViewsOverTurns(t *testing.T) {
	conn := enginetest.Open(t)
	late := turn("b", 1, 0, 9, "agent", 1, 1)
	undo := late
	undo.Sign, undo.Revision = -1, 2
	gone := turn("b", 7, 20, 25, "agent", 1, 3)
	goneUndo := gone
	goneUndo.Sign, goneUndo.Revision = -1, 4
	again := turn("b", 7, 20, 28, "agent", 1, 5) // the identity comes back
	other := turn("b", 1, 0, 4, "bot", 1, 1)     // the same conversation id in another topic
	other.SrcTopicID = schema.UUID{1}
	waits := []schema.Turn{
		turn("a", 1, 0, 2, "bot", 1, 1), turn("a", 4, 5, 9, "agent", 1, 2),
		turn("a", 9, 12, 20, "close", 1, 3), late, undo, turn("b", 1, 0, 3, "agent", 1, 2),
		gone, goneUndo, again, other, turn("v", 1, 5, 6, "agent", 1, 1),
		turn("p", 1, 0, 5, "none", 1, 1),
	}
	enginetest.Put(t, conn, schema.TableTurns, 1, waits[:6]...)
	enginetest.Put(t, conn, schema.TableTurns, 2, waits[6:]...)
	enginetest.Put(t, conn, schema.TableTurnsHuman, 1, turn("a", 1, 0, 9, "agent", 1, 1),
		turn("a", 30, 40, 41, "agent", 1, 2))
	voided := schema.Void{
		Dims: dims("t", "v"), Cycle: schema.Cycle{CycleID: "v-1"}, Reason: "spam", Revision: 1, Sign: 1,
	}
	back := voided
	back.Revision, back.Sign = 2, -1
	ended := "SELECT conversation_id, since_offset, ended_by, wait_ms FROM turns_latest ORDER BY 1, 2, 3"
	now := []string{
		"a\t1\tbot\t120000", "a\t4\tagent\t240000", "a\t9\tclose\t480000", "b\t1\tagent\t180000",
		"b\t1\tbot\t240000", "b\t7\tagent\t480000", "p\t1\tnone\t300000", "v\t1\tagent\t60000",
	}
	ask(t, conn, ended, now...)
	ask(t, conn, ended+" SETTINGS join_use_nulls = 1", now...)
	ask(t, conn, "SELECT sum(sign * wait_ms) = (SELECT sum(wait_ms) FROM turns_latest) FROM turns", "1")

	ask(t, conn, "SELECT conversation_id, value FROM kpi_next_reply ORDER BY 1, 2", "a\t240000",
		"b\t480000", "v\t60000")
	ask(t, conn, "SELECT conversation_id, value, toString(started_at) FROM kpi_next_reply_human",
		"a\t60000\t2026-03-02 12:40:00.000")
	rate(t, conn, "missed_messages", "2\t8")
	ask(t, conn, "SELECT final FROM kpi_missed_messages WHERE conversation_id = 'p'", "0")

	enginetest.Put(t, conn, schema.TableVoids, 3, voided)
	ask(t, conn, "SELECT count() FROM kpi_next_reply WHERE conversation_id = 'v'", "0")
	rate(t, conn, "missed_messages", "2\t7")
	enginetest.Put(t, conn, schema.TableVoids, 4, back) // a late event takes it back
	ask(t, conn, "SELECT count() FROM voids_latest", "0")
	rate(t, conn, "missed_messages", "2\t8")
}

func TestViewsOverOtherFacts(t *testing.T) {
	conn := enginetest.Open(t)
	escalation := func(c string, since int64, from int, reply schema.Opt[schema.Instant]) schema.Escalation {
		return schema.Escalation{
			Dims: dims("t", c), Cycle: schema.Cycle{CycleID: c + "-1"}, Time: at(from), SinceOffset: since,
			Reason: "policy", HumanReplyAt: reply, HumanReplyDay: someDay(8), Sign: 1, Revision: 1,
		}
	}
	pending := escalation("a", 5, 4, some(8))
	pending.Pending = true
	enginetest.Put(t, conn, schema.TableEscalations, 1, escalation("a", 3, 3, some(8)), pending,
		escalation("b", 3, 3, schema.Opt[schema.Instant]{}))
	ask(t, conn, "SELECT value, reason FROM kpi_handoff_wait", "300000\tpolicy")
	ask(t, conn, "SELECT reason, count() FROM escalations_latest GROUP BY reason", "policy\t3")

	decision := func(score float64, band string) schema.Decision {
		return schema.Decision{
			Dims: dims("t", "a"), Time: at(0), Band: band, Score: schema.Some(score), DecidedDay: day(0),
		}
	}
	none := decision(0, "none")
	none.Score = schema.Opt[float64]{}
	enginetest.Put(t, conn, schema.TableDecisions, 2, decision(0.93, "auto"), decision(0.61, "suggest"), none)
	rate(t, conn, "decision_bands", "1\t3")
	ask(t, conn, "SELECT band, sum(den), max(value), min(toString(day)) FROM kpi_decision_bands GROUP BY "+
		"band ORDER BY band", "auto\t1\t0.93\t2026-03-02", `none	1	\N	2026-03-02`,
		"suggest\t1\t0.61\t2026-03-02")

	outcome := func(id, kind string, value float64, currency string, flags ...string) schema.Event {
		return schema.Event{
			Dims: dims("t", "a"), ID: id, Type: "outcome", Time: at(0), EventDay: day(0), OutcomeKind: kind,
			OutcomeValue: schema.Some(value), OutcomeCurrency: currency, Flags: flags,
		}
	}
	enginetest.Put(t, conn, schema.TableEvents, 3, outcome("1", "sale", 100, "EUR"),
		outcome("2", "refund", 40, "EUR"), outcome("3", "sale", 7, "USD"),
		outcome("3", "sale", 7, "USD", "duplicate"))
	ask(t, conn, "SELECT kind, currency, value, toString(day) FROM kpi_outcome_value ORDER BY value DESC",
		"sale\tEUR\t100\t2026-03-02", "sale\tUSD\t7\t2026-03-02", "refund\tEUR\t-40\t2026-03-02")
	rate(t, conn, "duplicates", "1\t4")

	place := func(conversation string, partition int32) schema.Event {
		e := schema.Event{Dims: dims("t", conversation), Type: "message", Time: at(0), EventDay: day(0)}
		e.SrcPartition = partition
		return e
	}
	enginetest.Put(t, conn, schema.TableEvents, 5, place("s", 0), place("s", 1), place("s", 1), place("o", 1))
	ask(t, conn, "SELECT conversation_id, value, channel FROM kpi_split_conversations", "s\t2\tweb")

	correction := schema.Correction{
		Dims: dims("t", "a"), Cycle: schema.Cycle{CycleID: "a-1"}, KPI: "next_reply", Reason: "message",
		At: at(0), AtDay: day(0), Revision: 2,
	}
	second := correction
	second.Revision = 3
	enginetest.Put(t, conn, schema.TableCorrections, 4, correction, second)
	ask(t, conn, "SELECT kpi, reason, value FROM kpi_corrections", "next_reply\tmessage\t2")
}
