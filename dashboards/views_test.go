package dashboards

import (
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/dashboards/macros"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// at is an instant of November 2026 as the tables hold it.
func at(t *testing.T, clock string) schema.Instant {
	t.Helper()
	parsed, err := time.Parse("2006-01-02 15:04:05", "2026-11-"+clock)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Instant(parsed.UnixMilli())
}

func dayOf(i schema.Instant) schema.Day { return schema.Day(int64(i) / (24 * 3600 * 1000)) }

// cycle makes the row of a cycle that opened at the given time with a customer's message.
func cycle(t *testing.T, id, opened string, where fact) schema.Conversation {
	t.Helper()
	var c schema.Conversation
	c.Tenant, c.Channel, c.Queue, c.Lang = where.tenant, where.channel, where.queue, where.lang
	c.ConversationID, c.CycleID = id, "cycle-"+id
	c.OpenedAt = at(t, opened)
	c.OpenedDay = dayOf(c.OpenedAt)
	c.OpenedMonth = dayOf(at(t, "01 00:00:00"))
	c.FirstCustomerAt, c.FirstCustomerDay = schema.Some(c.OpenedAt), schema.Some(c.OpenedDay)
	c.MessagesCustomer = 1
	return c
}

// replied adds a person's first reply after the given wait.
func replied(c schema.Conversation, waitMS int64) schema.Conversation {
	when := c.OpenedAt + schema.Instant(waitMS)
	c.FirstReplyHumanAt, c.FirstReplyHumanDay = schema.Some(when), schema.Some(dayOf(when))
	c.FirstReplyHumanMS, c.HumanReplies = schema.Some(waitMS), 1
	c.FirstReplyHumanAgent = "a7"
	if !c.FirstReplyAnyMS.OK {
		c.FirstReplyAnyAt, c.FirstReplyAnyDay, c.FirstReplyAnyMS = c.FirstReplyHumanAt,
			c.FirstReplyHumanDay, c.FirstReplyHumanMS
	}
	return c
}

// botReplied makes c a bot cycle that the bot answered after the given wait.
func botReplied(c schema.Conversation, waitMS int64) schema.Conversation {
	when := schema.Some(c.OpenedAt + schema.Instant(waitMS))
	c.BotCycle, c.BotReplies, c.BotCycleAt, c.BotCycleDay = true, 1, when, schema.Some(dayOf(when.V))
	c.FirstReplyAnyAt, c.FirstReplyAnyDay = when, c.BotCycleDay
	c.FirstReplyAnyMS = schema.Some(waitMS)
	return c
}

// closed ends c after the given span.
func closed(c schema.Conversation, spanMS int64) schema.Conversation {
	when := schema.Some(c.OpenedAt + schema.Instant(spanMS))
	c.ClosedAt, c.ClosedDay = when, schema.Some(dayOf(when.V))
	c.Judged, c.JudgedAt, c.JudgedDay, c.Final = true, when, c.ClosedDay, true
	return c
}

// store puts six cycles, three decisions and the events that the views wait for into the tables.
func store(t *testing.T, conn driver.Conn) {
	t.Helper()
	salon := fact{tenant: "salon", channel: "whatsapp", queue: "front", lang: "lv"}
	bank := fact{tenant: "bank", channel: "web", queue: "cards", lang: "en"}
	shop := fact{tenant: "shop", channel: "web", queue: "orders", lang: "pl"}

	first := cycle(t, "c1", "20 10:00:00", salon)
	first.Revision = 1
	quick := closed(replied(first, 60_000), 600_000)
	quick.Revision = 2
	handed := replied(botReplied(cycle(t, "c2", "20 10:30:00", bank), 2_000), 600_000)
	handed.EscalatedByBot, handed.EscalatedAny, handed.Escalations = true, true, 1
	handed.EscalatedByBotAt = schema.Some(at(t, "20 10:31:00"))
	handed.EscalatedByBotDay = schema.Some(dayOf(at(t, "20 10:31:00")))
	silent := closed(cycle(t, "c3", "19 09:00:00", fact{tenant: "bank", channel: "app"}), 3*3600_000)
	silent.Missed = true
	contained := closed(botReplied(cycle(t, "c4", "20 11:30:00", shop), 3_000), 300_000)
	before := closed(replied(cycle(t, "c5", "12 10:00:00", salon), 30_000), 300_000)
	spam := closed(cycle(t, "c6", "20 09:00:00", shop), 1000)
	spam.Voided = "spam"
	for i, c := range []schema.Conversation{first, quick, handed, silent, contained, before, spam} {
		c.Revision = max(c.Revision, 1)
		enginetest.Put(t, conn, schema.TableConversations, int64(i), c)
	}
	enginetest.Put(t, conn, schema.TableVoids, 10, func() schema.Void {
		var v schema.Void
		v.Tenant, v.ConversationID, v.CycleID, v.Reason = "shop", "c6", "cycle-c6", "spam"
		v.Time, v.Sign, v.Revision = at(t, "20 09:00:01"), 1, 1
		return v
	}())
	for i, band := range []string{"auto", "suggest", "none"} {
		var d schema.Decision
		d.Tenant, d.Channel, d.Queue, d.Lang = salon.tenant, salon.channel, salon.queue, salon.lang
		d.ConversationID, d.CycleID, d.Band = "c1", "cycle-c1", band
		d.Time = at(t, "20 10:00:00")
		enginetest.Put(t, conn, schema.TableDecisions, int64(20+i), d)
	}
	for i, kind := range []string{"close", "escalate", "assign"} {
		for k, tenant := range []string{"salon", "bank", "shop"} {
			var e schema.Event
			e.Tenant, e.Type, e.Time = tenant, kind, at(t, "20 10:00:00")
			enginetest.Put(t, conn, schema.TableEvents, int64(30+3*i+k), e)
		}
	}
}

// TestOnViews runs every query of the board on usher's own views over its own tables.
func TestOnViews(t *testing.T) {
	conn := enginetest.Open(t)
	store(t, conn)
	d, err := Service()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Conversations opened/A":     "4\t1",
		"First reply, half within/A": "600000\t30000\t▲ over 3 min",
		"First reply, 90 % within/A": "600000\t30000\t✓ within 15 min",
		"Unanswered/A":               "0.25\t0\t▲ over 5 %",
		"Escalated by bots/A":        `0.5	\N	▲ over 30 %`,
		"Decided alone/A":            `0.3333333333333333	\N`,
		"First reply over time/A":    "2026-11-20 10:00:00\t600000\t600000",
		"First reply over time/B": "2026-11-20 10:00:00\t60000" +
			"|2026-11-20 11:00:00\t3000",
		"Conversations opened by channel/A": "2026-11-19 09:00:00\tapp\t1" +
			"|2026-11-20 10:00:00\tweb\t1" +
			"|2026-11-20 10:00:00\twhatsapp\t1" +
			"|2026-11-20 11:00:00\tweb\t1",
		"Decision mix/A": "2026-11-20 10:00:00\t1\t1\t1",
		"Unanswered, missed and escalated over time/A": "2026-11-19 12:00:00\t1" +
			"|2026-11-20 10:00:00\t0" +
			"|2026-11-20 11:00:00\t0",
		"Unanswered, missed and escalated over time/B": "2026-11-19 12:00:00\t1" +
			"|2026-11-20 10:00:00\t0" +
			"|2026-11-20 11:00:00\t0",
		"Unanswered, missed and escalated over time/C": "2026-11-20 10:00:00\t1" +
			"|2026-11-20 11:00:00\t0",
		"The slowest twenty first replies/A": "2026-11-20 10:40:00.000\t600000\tbank\tweb\tcards\ten\ta7\tc2\tfinal" +
			"|" +
			"2026-11-20 10:01:00.000\t60000\tsalon\twhatsapp\tfront\tlv\ta7\tc1\tfinal",
	}
	for _, p := range d.Panels {
		for _, target := range p.Panel.Targets {
			q := target.(Query)
			key := *p.Panel.Title + "/" + q.RefID
			answer := enginetest.Query(t, conn, expanded(t, q.RawSQL, everything()))
			if got := strings.ReplaceAll(strings.TrimSuffix(answer, "\n"), "\n", "|"); got != want[key] {
				t.Errorf("%s:\n%s\nwant\n%s", key, got, want[key])
			}
		}
	}
	for _, v := range dimensions() {
		list := enginetest.Query(t, conn, expanded(t, v.options(), everything()))
		options := map[string]string{"tenant": "bank,salon,shop", "channel": "app,web,whatsapp",
			"queue": "(none),cards,front,orders", "language": "(none),en,lv,pl"}[v.name]
		var values []string
		for line := range strings.SplitSeq(strings.TrimSuffix(list, "\n"), "\n") {
			value, _, _ := strings.Cut(line, "\t")
			values = append(values, value)
		}
		if got := strings.Join(values, ","); got != options {
			t.Errorf("options of %s are %s, want %s", v.name, got, options)
		}
	}
}

// TestNothingYet: on a new database every query answers, and no share is 0 %.
func TestNothingYet(t *testing.T) {
	conn := enginetest.Open(t)
	d, err := Service()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Panel.Targets {
			answer := enginetest.Query(t, conn, expanded(t, target.(Query).RawSQL,
				map[string]macros.Value{"tenant": {List: []string{"a", "b"}}, "channel": {Raw: allValues},
					"queue": {List: []string{"(none)"}}, "language": {Raw: allValues}}))
			switch answer = strings.TrimSpace(answer); {
			case p.Panel.Type != "stat":
				if answer != "" {
					t.Errorf("%q shows %s", *p.Panel.Title, answer)
				}
			case *p.Panel.Title == "Conversations opened":
				if answer != "0\t0" {
					t.Errorf("%q shows %s", *p.Panel.Title, answer)
				}
			case strings.Trim(answer, "\\N\t") != "":
				t.Errorf("%q shows %s where no event ever came", *p.Panel.Title, answer)
			}
		}
	}
}
