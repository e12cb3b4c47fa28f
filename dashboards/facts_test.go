package dashboards

import (
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// storeMore adds what the boards beside that of the service show: a customer who waits, a rated and
// sold conversation, a handoff with its waits, labelled decisions, audits, samples and the rest.
func storeMore(t *testing.T, conn driver.Conn) {
	t.Helper()
	bank := fact{tenant: "bank", channel: "web", queue: "cards", lang: "en"}
	waits := cycle(t, "c7", "20 11:50:00", bank)
	waits.WaitingSince, waits.Revision = schema.Some(waits.OpenedAt), 1
	sold := closed(replied(cycle(t, "c8", "20 09:00:00", bank), 60_000), 1_200_000)
	sold.Offered, sold.Revision, sold.AgentID = true, 1, "a7"
	sold.HandleMS, sold.MessagesToClose = schema.Some(int64(900_000)), schema.Some(uint32(4))
	sold.Outcome, sold.OutcomeAt, sold.OutcomeDay = "sale", sold.ClosedAt, sold.ClosedDay
	sold.CSATScore, sold.CSATScale = schema.Some(2.0), schema.Some(5.0)
	sold.CSATAt, sold.CSATDay = sold.ClosedAt, sold.ClosedDay
	sold.RequesterWaitMS, sold.Waits = schema.Some(int64(60_000)), 1
	for i, c := range []schema.Conversation{waits, sold} {
		enginetest.Put(t, conn, schema.TableConversations, int64(100+i), c)
	}
	storeHandoff(t, conn, bank)
	storeDecisions(t, conn, bank)
	storePipeline(t, conn)
}

// storeHandoff: the bot answers c2 after 2 s, gives up a minute later, and a person replies at 10:40.
func storeHandoff(t *testing.T, conn driver.Conn, where fact) {
	t.Helper()
	turn := func(n uint32, since, ended, by string, waitMS int64) schema.Turn {
		var w schema.Turn
		w.Tenant, w.Channel, w.Queue, w.Lang = where.tenant, where.channel, where.queue, where.lang
		w.ConversationID, w.CycleID, w.Turn, w.IsFirst = "c2", "cycle-c2", n, n == 1
		w.WaitingSince, w.EndedAt = at(t, since), at(t, ended)
		w.EndedBy, w.WaitMS, w.SinceOffset = by, waitMS, int64(n)
		w.EndedDay, w.WaitingSinceDay = dayOf(w.EndedAt), dayOf(w.WaitingSince)
		w.Final, w.Revision, w.Sign = true, 1, 1
		return w
	}
	turns := []schema.Turn{turn(1, "20 10:30:00", "20 10:30:02", "bot", 2_000),
		turn(2, "20 10:31:00", "20 10:40:00", "agent", 540_000)}
	enginetest.Put(t, conn, schema.TableTurns, 110, turns...)
	enginetest.Put(t, conn, schema.TableTurnsHuman, 111, turns[1])
	var e schema.Escalation
	e.Tenant, e.Channel, e.Queue, e.Lang = where.tenant, where.channel, where.queue, where.lang
	e.ConversationID, e.CycleID, e.Time = "c2", "cycle-c2", at(t, "20 10:31:00")
	e.EscalatedDay, e.By, e.FromBot, e.Reason = dayOf(e.Time), "bot", true, "no_knowledge"
	e.Intent, e.ToQueue, e.HumanReplyAt = "limits", "cards", schema.Some(at(t, "20 10:40:00"))
	e.HumanReplyDay, e.Revision, e.Sign = schema.Some(e.EscalatedDay), 1, 1
	enginetest.Put(t, conn, schema.TableEscalations, 112, e)
	var s schema.SLAEvent
	s.Tenant, s.ConversationID, s.CycleID = where.tenant, "c2", "cycle-c2"
	s.Policy, s.Metric, s.Status, s.TargetMS = "chat", "next_reply", "breached", 180_000
	s.StartedAt, s.DueAt, s.At = at(t, "20 10:31:00"), at(t, "20 10:34:00"), at(t, "20 10:34:00")
	s.AtDay, s.Revision, s.Sign = dayOf(s.At), 1, 1
	enginetest.Put(t, conn, schema.TableSLA, 113, s)
}

// storeDecisions: four decisions of c2, 18 October, so that a day has passed: three alone, of which
// one was wrong, and one unsure. Three are labelled.
func storeDecisions(t *testing.T, conn driver.Conn, where fact) {
	t.Helper()
	for i, d := range []struct {
		id, label, band, rule, given string
		score                        float64
	}{{"d1", "limits", "auto", "r-limits", "limits", 0.95}, {"d2", "limits", "auto", "r-limits", "fees", 0.92},
		{"d3", "fees", "auto", "", "", 0.97}, {"d4", "fees", "suggest", "", "fees", 0.55}} {
		var row schema.Decision
		row.Tenant, row.Channel, row.Queue, row.Lang = where.tenant, where.channel, where.queue, where.lang
		row.ConversationID, row.CycleID, row.ID = "c2", "cycle-c2", d.id
		row.Time, row.Label, row.Band, row.RuleID = at(t, "18 10:00:00"), d.label, d.band, d.rule
		row.DecidedDay, row.Score = dayOf(row.Time), schema.Some(d.score)
		row.ModelName, row.ModelVersion, row.LatencyUS = "intent", "v3", int64(30+i)
		row.Acted, row.SuggestionsID = d.band == "auto", []string{"fees"}
		row.RuleSet, row.TriggerOffset = "set-1", int64(i)
		enginetest.Put(t, conn, schema.TableDecisions, int64(120+i), row)
		if d.given == "" {
			continue
		}
		var l schema.LabelRow
		l.Tenant, l.ConversationID, l.CycleID = where.tenant, "c2", "cycle-c2"
		l.Type, l.DecisionID, l.Given, l.Head = "label", d.id, d.given, "intent"
		l.Time = at(t, "18 12:00:00")
		l.LabeledDay = dayOf(l.Time)
		enginetest.Put(t, conn, schema.TableLabels, int64(130+i), l)
	}
}

// storePipeline: two events of c2, one record rejected, two audits of which one lacks a row, and
// samples of one process that grew by 10 inserts of 2 s and 500 rows within an hour.
func storePipeline(t *testing.T, conn driver.Conn) {
	t.Helper()
	for i, kind := range []string{"message", "outcome"} {
		var e schema.Event
		e.Tenant, e.ConversationID, e.CycleID = "bank", "c2", "cycle-c2"
		e.Type, e.ID, e.ActorKind, e.TextLen = kind, kind, "customer", 12
		e.Time, e.ReceivedAt = at(t, "20 10:30:00"), at(t, "20 10:30:01")
		e.EventDay, e.Flags = dayOf(e.Time), []string{"late", "misplaced"}[:i]
		enginetest.Put(t, conn, schema.TableEvents, int64(140+i), e)
	}
	var dead schema.DeadLetter
	dead.Code, dead.ReceivedAt = "json_syntax", at(t, "20 10:30:02")
	dead.ReceivedDay = dayOf(dead.ReceivedAt)
	enginetest.Put(t, conn, schema.TableDeadLetters, 150, dead)
	var c schema.Correction
	c.Tenant, c.ConversationID, c.CycleID, c.KPI = "bank", "c2", "cycle-c2", "turn"
	c.Reason, c.At, c.AtDay, c.Revision = "message", at(t, "20 11:00:00"), dayOf(at(t, "20 11:00:00")), 2
	enginetest.Put(t, conn, schema.TableCorrections, 151, c)
	var j schema.OpsEntry
	j.Instance, j.Kind, j.Detail = "a", "model_load", `{"model":"intent"}`
	j.At, j.AtDay = at(t, "20 08:00:00"), dayOf(at(t, "20 08:00:00"))
	enginetest.Put(t, conn, schema.TableJournal, 152, j)
	enginetest.Exec(t, conn,
		"INSERT INTO delivery_audit (at, scope, topic, partition, from_offset, to_offset, stored, dead, "+
			"gaps, missing, duplicated) VALUES ('2026-10-20 10:00:00', 'input', 'chat.events.v1', 0, 0, 10, 8, "+
			"1, 1, 0, 0), ('2026-10-20 11:00:00', 'rows', 'usher.rows.v1', 0, 0, 10, 0, 0, 0, 1, 0)",
		"INSERT INTO process_metrics (instance, name, labels, value, at) VALUES "+
			"('a', 'usher_lag_seconds', 'group=usher.sink', 5, '2026-10-20 10:00:00'), "+
			"('a', 'usher_lag_seconds', 'group=usher.sink', 70, '2026-10-20 10:30:00'), "+
			"('a', 'usher_lag_records', 'group=usher.sink', 9, '2026-10-20 10:30:00'), "+
			"('a', 'go_memstats_heap_alloc_bytes', '', 1e8, '2026-10-20 10:00:00'), "+
			"('a', 'usher_sink_insert_seconds_sum', '', 1, '2026-10-20 10:00:00'), "+
			"('a', 'usher_sink_insert_seconds_sum', '', 3, '2026-10-20 10:50:00'), "+
			"('a', 'usher_sink_insert_seconds_count', '', 10, '2026-10-20 10:00:00'), "+
			"('a', 'usher_sink_insert_seconds_count', '', 20, '2026-10-20 10:50:00'), "+
			"('a', 'usher_sink_rows_total', 'table=events', 100, '2026-10-20 10:00:00'), "+
			"('a', 'usher_sink_rows_total', 'table=events', 600, '2026-10-20 10:50:00'), "+
			"('a', 'usher_sink_inserts_total', 'table=events', 10, '2026-10-20 10:00:00'), "+
			"('a', 'usher_sink_inserts_total', 'table=events', 20, '2026-10-20 10:50:00')")
}

// TestOnlyMessages: over a tenant that sends only messages, each number that needs more says what it
// needs, for its query has no row, and each that needs nothing more has its value.
func TestOnlyMessages(t *testing.T) {
	conn := enginetest.Open(t)
	where := fact{tenant: "new", channel: "web", lang: "en"}
	answered := replied(cycle(t, "c1", "20 10:00:00", where), 60_000)
	waiting := cycle(t, "c2", "20 11:50:00", where)
	waiting.WaitingSince = schema.Some(waiting.OpenedAt)
	for i, c := range []schema.Conversation{answered, waiting} {
		c.Revision = 1
		enginetest.Put(t, conn, schema.TableConversations, int64(i), c)
	}
	var e schema.Event
	e.Tenant, e.ConversationID, e.Type, e.ActorKind = "new", "c1", "message", "customer"
	e.Time, e.ReceivedAt = at(t, "20 10:00:00"), at(t, "20 10:00:00")
	enginetest.Put(t, conn, schema.TableEvents, 10, e)
	var d schema.Decision
	d.Tenant, d.Channel, d.Lang, d.ConversationID, d.Band = "new", "web", "en", "c1", "none"
	d.Time = at(t, "20 10:00:00")
	enginetest.Put(t, conn, schema.TableDecisions, 11, d)
	var w schema.Turn
	w.Tenant, w.Channel, w.Lang, w.ConversationID = "new", "web", "en", "c1"
	w.WaitingSince, w.EndedAt, w.EndedBy = at(t, "20 10:05:00"), at(t, "20 10:06:00"), "agent"
	w.WaitMS, w.Turn, w.SinceOffset, w.Final, w.Revision, w.Sign = 60_000, 2, 2, true, 1, 1
	enginetest.Put(t, conn, schema.TableTurns, 12, w)
	enginetest.Put(t, conn, schema.TableTurnsHuman, 13, w)
	for _, build := range []func() (dashboard.Dashboard, error){Service, Routing, Quality} {
		board, err := build()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range board.Panels {
			if p.Panel.Type != "stat" {
				continue
			}
			answer := enginetest.Query(t, conn, expanded(t, p.Panel.Targets[0].(Query).RawSQL, everything()))
			enough := *p.Panel.FieldConfig.Defaults.NoValue == "needs "+always
			if enough != (answer != "") {
				t.Errorf("%q, which %s, shows %q", *p.Panel.Title, *p.Panel.FieldConfig.Defaults.NoValue, answer)
			}
		}
	}
}
