package views_test

import (
	"testing"
	"time"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// TestTargets: two weeks ago first replies took 2 and 4 minutes and one of four cycles converted; in the
// two weeks before, 30 minutes and one of five.
func TestTargets(t *testing.T) {
	conn := enginetest.Open(t)
	today := schema.Day(time.Now().UTC().Unix() / 86_400)
	var list []schema.Conversation
	add := func(name, channel string, daysAgo, minutes int, outcome string) {
		c := answered(cycle(name, 1, 0), minutes, "ag1")
		c.Channel, c.OpenedDay = channel, today-schema.Day(daysAgo)
		c.FirstReplyHumanDay = schema.Some(c.OpenedDay)
		if outcome != "" {
			c.Outcome, c.OutcomeAt, c.OutcomeDay = outcome, some(minutes), schema.Some(c.OpenedDay)
		}
		list = append(list, c)
	}
	add("a", "web", 14, 2, "sale")
	add("b", "web", 14, 2, "refund")
	add("c", "whatsapp", 1, 4, "")
	add("d", "whatsapp", 1, 4, "")
	add("e", "web", 15, 30, "lead")
	add("f", "web", 15, 30, "")
	add("g", "web", 28, 30, "")
	add("h", "web", 28, 30, "")
	add("i", "web", 28, 30, "")
	add("j", "web", 29, 90, "sale") // before both
	add("k", "web", 0, 90, "sale")  // today is not over
	enginetest.Put(t, conn, schema.TableConversations, 1, list...)
	enginetest.Put(t, conn, schema.TableEvents, 2, schema.Event{Dims: dims("t", "a"), Type: "outcome"})
	ask(t, conn, "SELECT count() FROM target_results", "0")
	enginetest.Exec(t, conn, `INSERT INTO targets (kpi, segment, stat, baseline, target, change, days,
		valid_from, updated_at) VALUES
		('first_reply_human', '', 'p50', NULL, 60000, NULL, 14, '2026-01-01', now64(3)),
		('first_reply_human', '', 'p50', NULL, 180000, NULL, 14, '2026-02-01', now64(3)),
		('first_reply_human', '', 'mean', NULL, 180000, NULL, 14, '2026-01-01', now64(3)),
		('first_reply_human', 'channel=web', 'p90', 2100000, 180000, NULL, 14, '2026-01-01', now64(3)),
		('first_reply_human', 'channel=phone', 'p50', NULL, 180000, NULL, 14, '2026-01-01', now64(3)),
		('conversion', '', 'rate', NULL, NULL, 0.15, 14, '2026-01-01', now64(3)),
		('conversion', 'tenant=t', 'rate', NULL, NULL, 0.4, 14, '2026-01-01', now64(3)),
		('missed_messages', '', 'rate', 0.12, 0.03, NULL, 14, '2026-01-01', now64(3)),
		('unanswered', '', 'rate', NULL, 0.05, NULL, 14, '2026-01-01', now64(3)),
		('unanswered', '', 'rate', NULL, NULL, NULL, 0, '2026-02-01', now64(3))`)
	// quantileExact takes the upper of two: of 2, 2, 4, 4 minutes it is 4.
	ask(t, conn, "SELECT kpi, segment, stat, n, round(actual, 3), round(baseline, 3), round(target, 3), verdict "+
		"FROM target_results ORDER BY 1, 2, 3",
		`conversion		rate	4	0.25	0.2	0.23	met`,
		`conversion	tenant=t	rate	4	0.25	0.2	0.28	missed`,
		`first_reply_human		mean	4	180000	1800000	180000	met`,
		`first_reply_human		p50	4	240000	1800000	180000	missed`,
		`first_reply_human	channel=phone	p50	0	\N	\N	180000	no data`,
		`first_reply_human	channel=web	p90	2	120000	2100000	180000	met`,
		`missed_messages		rate	0	\N	0.12	0.03	no data`)
}
