package dashboards

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"usher/dashboards/macros"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// at is an instant of October 2026 as the tables hold it.
func at(t *testing.T, clock string) schema.Instant {
	t.Helper()
	parsed, err := time.Parse("2006-01-02 15:04:05", "2026-10-"+clock)
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

// answers are what every query of every board, annotation and variable says on the stored facts.
func answers(t *testing.T, conn driver.Conn) string {
	t.Helper()
	var out strings.Builder
	ask := func(title, sql string) {
		values := everything()
		values["conversation"] = macros.Value{List: []string{"c2"}}
		if strings.Contains(sql, "$conversation") {
			values["tenant"] = macros.Value{List: []string{"bank"}}
		}
		answer, err := enginetest.Ask(t.Context(), conn, expanded(t, sql, values))
		if err != nil {
			text, _, _ := strings.Cut(err.Error(), "In scope")
			t.Errorf("%s: %s", title, text)
		}
		fmt.Fprintf(&out, "%s\n", title)
		if strings.Contains(sql, "_lease_until") && answer != "" {
			answer = "(depends on when the test ran; TestAlerts checks the sum)"
		}
		for line := range strings.SplitSeq(answer, "\n") {
			if line != "" {
				fmt.Fprintf(&out, "    %s\n", line)
			}
		}
	}
	for _, b := range boards() {
		d, err := b.build()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "# %s\n", *d.Uid)
		for _, v := range d.Templating.List {
			if v.Type == dashboard.VariableTypeQuery {
				ask("variable "+v.Name, *v.Query.String)
			}
		}
		for _, a := range d.Annotations.List {
			if a.Target != nil {
				ask("annotation "+a.Name, a.Target.(Query).RawSQL)
			}
		}
		for _, p := range d.Panels {
			for _, target := range p.Panel.Targets {
				ask(*p.Panel.Title+" / "+target.(Query).RefID, target.(Query).RawSQL)
			}
		}
	}
	fmt.Fprintln(&out, "# alerts")
	for _, a := range alerts() {
		ask(a.title, a.sql)
	}
	return out.String()
}

// TestOnViews runs every query of every board, variable and annotation on usher's own views over its
// own tables. Read a change of the file before you keep it: the facts are few enough to count by hand.
func TestOnViews(t *testing.T) {
	conn := enginetest.Open(t)
	store(t, conn)
	storeMore(t, conn)
	got := answers(t, conn)
	file := filepath.Join("testdata", "answers.txt")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	a, b = append(a, "(end)"), append(b, "(end)")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d of %s: got\n%s\nwant\n%s", i+1, file, a[i], b[i])
		}
	}
}

// TestNothingYet: on a new database every query answers, and none says 0.
func TestNothingYet(t *testing.T) {
	conn := enginetest.Open(t)
	for line := range strings.SplitSeq(strings.TrimSpace(answers(t, conn)), "\n") {
		if strings.HasPrefix(line, "    ") && !strings.Contains(line, "schema_migrations") &&
			!strings.Contains(line, "kpi_definitions") {
			t.Errorf("where nothing ever came a query says %q", line)
		}
	}
}
