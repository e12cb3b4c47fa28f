package views_test

import (
	"testing"
	"time"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// event is an event of conversation c, so many minutes after noon.
func event(typ, c, id string, minutes int) schema.Event {
	return schema.Event{
		Dims: dims("t", c), ID: id, Type: typ, Time: at(minutes), EventDay: day(minutes),
	}
}

func TestServiceLevel(t *testing.T) {
	conn := enginetest.Open(t)
	offered := func(c schema.Conversation) schema.Conversation {
		c.Offered = true
		return c
	}
	soon := offered(closedAt(answered(cycle("a", 1, 0), 2, "ag1"), 5))
	later := offered(closedAt(answered(cycle("b", 1, 0), 8, "ag1"), 20))
	never := offered(cycle("c", 1, 0))
	left := offered(closedAt(cycle("d", 1, 0), 6))
	left.Abandoned, left.AbandonedAt = true, some(5)
	short := left
	short.ConversationID, short.CycleID = "e", "e-1"
	short.AbandonedAt = schema.Some(at(0) + 10_000)
	out := offered(answered(cycle("f", 1, 0), 2, "ag1"))
	out.FlowedOut = true
	bot := offered(closedAt(botAnswered(cycle("g", 1, 0), 1), 30))
	handed := offered(answered(handedOff(botAnswered(cycle("h", 1, 0), 1), 2), 12, "ag1"))
	enginetest.Put(t, conn, schema.TableConversations, 1, soon, later, never, left, short, out, bot,
		handed, answered(cycle("i", 1, 0), 1, "ag1"))
	ask(t, conn, "SELECT within_ms, sum(num), sum(den), min(final) FROM kpi_service_level GROUP BY 1 ORDER BY 1",
		"180000\t2\t6\t1", "900000\t4\t6\t1")
	ask(t, conn, "SELECT cycle_id, toString(counted_at) FROM kpi_service_level WHERE within_ms = 180000 "+
		"ORDER BY 1", "a-1\t2026-03-02 12:02:00.000", "b-1\t2026-03-02 12:03:00.000",
		"c-1\t2026-03-02 12:03:00.000", "d-1\t2026-03-02 12:03:00.000", "g-1\t2026-03-02 12:01:00.000",
		"h-1\t2026-03-02 12:03:00.000")

	now := cycle("n", 1, 0) // opened a minute ago: nothing is decided yet
	now.Offered, now.Tenant = true, "now"
	now.OpenedAt = schema.Instant(time.Now().Add(-time.Minute).UnixMilli())
	now.FirstCustomerAt = schema.Some(now.OpenedAt)
	enginetest.Put(t, conn, schema.TableConversations, 2, now)
	ask(t, conn, "SELECT within_ms, num, final, counted_at = started_at FROM kpi_service_level "+
		"WHERE tenant = 'now' ORDER BY 1", "180000\t0\t0\t1", "900000\t0\t0\t1")
}

func TestOccupancy(t *testing.T) {
	conn := enginetest.Open(t)
	status := func(agent, status, id string, minutes int) schema.Event {
		e := event("agent_status", "", id, minutes)
		e.ActorID, e.AgentStatus, e.ActorKind = agent, status, "agent"
		return e
	}
	move := func(c, id, agent string, minutes int) schema.Event {
		e := event("assign", c, id, minutes)
		e.ToAgent = agent
		return e
	}
	says := func(c, id string, minutes int) schema.Event {
		e := event("message", c, id, minutes)
		e.ActorKind, e.Public = "customer", schema.Some(true)
		return e
	}
	to := func(c, id, status string, minutes int) schema.Event {
		e := event("status", c, id, minutes)
		e.Status = status
		return e
	}
	work := []schema.Event{
		says("a", "1", 0), move("a", "2", "ag1", 10), to("a", "3", "pending", 20), says("a", "4", 30),
		move("a", "5", "ag2", 40), event("close", "a", "6", 50), says("a", "7", 60),
		// over midnight, from 23:50 to 00:20; the assignment after the close touches nothing
		says("b", "1", 700), move("b", "2", "ag1", 710), event("close", "b", "3", 740),
		move("b", "4", "ag1", 745), says("b", "5", 750), event("close", "b", "6", 760),
	}
	enginetest.Put(t, conn, schema.TableEvents, 1, work...)
	ask(t, conn, "SELECT count() FROM kpi_occupancy", "0") // nobody has sent agent_status
	enginetest.Put(t, conn, schema.TableEvents, 2,
		status("ag1", "online", "s1", -60), status("ag1", "away", "s2", 60), status("ag1", "online", "s3", 660),
		status("ag1", "offline", "s4", 780), status("ag2", "online", "s5", 0),
		status("ag2", "offline", "s6", 100))
	ask(t, conn, "SELECT agent_id, toString(day), num / 60000, den / 60000, final FROM kpi_occupancy "+
		"ORDER BY 1, 2", "ag1\t2026-03-02\t30\t180\t1", "ag1\t2026-03-03\t20\t60\t1",
		"ag2\t2026-03-02\t10\t100\t1")
	ask(t, conn, "SELECT toString(started_at), toString(counted_at) FROM kpi_occupancy WHERE agent_id = 'ag2'",
		"2026-03-02 00:00:00.000\t2026-03-03 00:00:00.000")
}

func TestAutomaticKPIs(t *testing.T) {
	conn := enginetest.Open(t)
	decided := func(id, label, band string) schema.Decision {
		d := schema.Decision{
			Dims: dims("t", id), ID: id, Time: at(0), DecidedDay: day(0), Band: band, Acted: band == "auto",
			TriggerEventID: "m", ModelName: "intent", RouteQueue: "front", RouteRole: "consultant",
		}
		d.Label = label
		return d
	}
	suggested := decided("s", "deal", "suggest")
	suggested.SuggestionsID = []string{"deal", "request"}
	shadow := decided("x", "deal", "auto")
	shadow.Acted = false
	fresh := decided("y", "deal", "auto")
	fresh.Time = schema.Instant(time.Now().Add(-23 * time.Hour).UnixMilli())
	nothing := decided("z", "", "none")
	enginetest.Put(t, conn, schema.TableDecisions, 1, decided("a", "deal", "auto"),
		decided("b", "deal", "auto"), decided("c", "deal", "auto"), decided("d", "deal", "auto"),
		decided("e", "deal", "auto"), decided("f", "deal", "auto"), suggested, shadow, fresh, nothing)
	said := func(c, typ, decision, target, verdict, given, head string, minutes int) schema.LabelRow {
		return schema.LabelRow{
			Dims: dims("t", c), Time: at(minutes), LabeledDay: day(minutes), Type: typ, Target: target,
			DecisionID: decision, Head: head, Given: given, Verdict: verdict,
		}
	}
	enginetest.Put(t, conn, schema.TableLabels, 2,
		said("b", "feedback", "b", "", "rejected", "", "", 5),
		said("c", "label", "", "m", "", "request", "intent", 2000),
		said("d", "label", "", "m", "", "deal", "intent", 6),
		said("d", "label", "", "m", "", "angry", "sentiment", 7), // another head
		said("s", "label", "", "m", "", "request", "intent", 8),
		said("z", "label", "", "m", "", "deal", "intent", 8))
	moved := func(c, queue string, minutes int) schema.Event {
		e := event("transfer", c, c+queue, minutes)
		e.ToQueue = queue
		return e
	}
	enginetest.Put(t, conn, schema.TableEvents, 3, moved("e", "back", 9), moved("f", "front", 9),
		moved("f", "back", 10), // only the first move counts
		moved("a", "back", 1441))
	rate(t, conn, "auto_precision", "3\t6")
	ask(t, conn, "SELECT conversation_id, num, toString(counted_at), toString(day) FROM kpi_auto_precision "+
		"ORDER BY 1", "a\t1\t2026-03-03 12:00:00.000\t2026-03-03",
		"b\t0\t2026-03-02 12:05:00.000\t2026-03-02", "c\t0\t2026-03-03 21:20:00.000\t2026-03-03",
		"d\t1\t2026-03-03 12:00:00.000\t2026-03-03", "e\t0\t2026-03-02 12:09:00.000\t2026-03-02",
		"f\t1\t2026-03-03 12:00:00.000\t2026-03-03")
	ask(t, conn, "SELECT conversation_id, num FROM kpi_top3_hit ORDER BY 1", "c\t0", "d\t1", "s\t1")

	enginetest.Put(t, conn, schema.TableConversations, 4,
		closedAt(botAnswered(cycle("a", 1, 0), 1), 30), closedAt(answered(cycle("b", 1, 0), 2, "ag1"), 5))
	ask(t, conn, "SELECT count() FROM kpi_triage_minutes", "0") // not configured
	ask(t, conn, "SELECT count() FROM kpi_savings", "0")
	enginetest.Exec(t, conn, "INSERT INTO estimates (name, value, currency, valid_from, updated_at) VALUES "+
		"('triage_minutes', 2, '', '2026-01-01', now64(3)), "+
		"('cost_per_contact', 3, 'EUR', '2026-01-01', now64(3)), "+
		"('cost_per_contact', 3.5, 'EUR', '2026-02-01', now64(3))")
	ask(t, conn, "SELECT sum(value) FROM kpi_triage_minutes", "14")
	ask(t, conn, "SELECT cycle_id, value, currency, final FROM kpi_savings", "a-1\t3.5\tEUR\t1")
	enginetest.Exec(t, conn, "INSERT INTO estimates (name, value, valid_from, updated_at) VALUES "+
		"('triage_minutes', NULL, '2026-02-01', now64(3))") // taken back
	ask(t, conn, "SELECT count() FROM kpi_triage_minutes", "0")
}

func TestCustomersOverConversations(t *testing.T) {
	conn := enginetest.Open(t)
	of := func(customer string, c schema.Conversation) schema.Conversation {
		c.CustomerKey = customer
		return c
	}
	sold := func(c schema.Conversation, minutes int) schema.Conversation {
		c.Outcome, c.OutcomeAt, c.OutcomeDay = "sale", some(minutes), someDay(minutes)
		return c
	}
	const days = 24 * 60
	refund := sold(closedAt(of("k", cycle("c", 1, 5*days)), 5*days+10), 5*days)
	refund.Outcome = "refund"
	whatsapp := of("k", cycle("b", 1, 20))
	whatsapp.Channel = "whatsapp"
	enginetest.Put(t, conn, schema.TableConversations, 1,
		sold(closedAt(of("k", cycle("a", 1, 0)), 10), 5),
		sold(closedAt(answered(whatsapp, 25, "ag1"), 2*days), 40*days), refund,
		sold(of("", cycle("d", 1, 0)), 5), sold(of("l", cycle("e", 1, 0)), 6))
	ask(t, conn, "SELECT cycle_id, num, num_30d, round(value, 3), final, toString(day) FROM kpi_returning "+
		"ORDER BY 1", "a-1\t1\t0\t39.997\t1\t2026-04-11", `b-1	0	0	\N	1	2026-07-10`,
		`e-1	0	0	\N	1	2026-05-31`)
	ask(t, conn, "SELECT cycle_id, num, num_24h, next_channel, final FROM kpi_repeat_contact ORDER BY 1",
		"a-1\t1\t1\twhatsapp\t1", "b-1\t1\t0\tweb\t1", "c-1\t0\t0\t\t1")

	link := func(from, to string, minutes int) schema.Event {
		e := event("link", from, from+to, minutes)
		e.ToConversation = to
		return e
	}
	enginetest.Put(t, conn, schema.TableEvents, 2, link("c", "b", 6*days), link("b", "a", 30))
	ask(t, conn, "SELECT journey, conversations, conversation_ids, channels, first_reply_human_ms, still_open "+
		"FROM journeys ORDER BY 1", "a\t3\t['a','b','c']\t['web','whatsapp']\t1500000\t0",
		`d	1	['d']	['web']	\N	1`, `e	1	['e']	['web']	\N	1`)
}
