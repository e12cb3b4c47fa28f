package views_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// histogram is a roll-up of the test's own: signed waits of cycles that may be voided.
type histogram struct {
	r     *rand.Rand
	facts map[int]schema.Turn // wait by its identity
	voids map[string]bool
	rev   uint32
}

// change writes one wait anew, corrects or withdraws one, or voids a cycle or gives it back.
func (h *histogram) change(turns *[]schema.Turn, voids *[]schema.Void) {
	h.rev++
	since := h.r.IntN(3000)
	conversation := fmt.Sprintf("c%d", since%300)
	if h.r.IntN(20) == 0 {
		v := schema.Void{
			Dims: dims("t", conversation), Cycle: schema.Cycle{CycleID: conversation + "-1"}, Reason: "test",
			Revision: h.rev, Sign: 1,
		}
		if h.voids[conversation] {
			v.Sign = -1
		}
		h.voids[conversation] = !h.voids[conversation]
		*voids = append(*voids, v)
		return
	}
	if old, ok := h.facts[since]; ok {
		old.Sign, old.Revision = -1, h.rev
		*turns = append(*turns, old)
		delete(h.facts, since)
		if h.r.IntN(4) == 0 {
			return
		}
	}
	minutes := h.r.IntN(5 * 1440)
	now := turn(conversation, int64(since), minutes+1, minutes+1, []string{"agent", "bot", "close"}[h.r.IntN(3)],
		1, h.rev)
	now.WaitMS = int64(h.r.ExpFloat64() * 300_000)
	now.IsFirst = h.r.IntN(4) == 0
	now.Channel = []string{"web", "whatsapp"}[h.r.IntN(2)]
	h.facts[since] = now
	*turns = append(*turns, now)
}

// TestDailyIsExactUnderCorrection: 10,000 random corrections and voids, in inserts of random size.
func TestDailyIsExactUnderCorrection(t *testing.T) {
	conn := enginetest.Open(t)
	h := &histogram{r: rand.New(rand.NewPCG(1, 2)), facts: map[int]schema.Turn{}, voids: map[string]bool{}}
	offset := int64(0)
	for h.rev < 10_000 {
		var turns []schema.Turn
		var voids []schema.Void
		for range 1 + h.r.IntN(600) {
			h.change(&turns, &voids)
		}
		offset++
		if len(turns) > 0 {
			enginetest.Put(t, conn, schema.TableTurns, offset, turns...)
		}
		if len(voids) > 0 { // the last table of its range
			enginetest.Put(t, conn, schema.TableVoids, offset, voids...)
		}
	}
	var waits []int64
	var total, n, missed int64
	for _, f := range h.facts {
		if h.voids[f.ConversationID] {
			continue
		}
		n++
		if f.EndedBy == "close" {
			missed++
		} else if !f.IsFirst {
			waits, total = append(waits, f.WaitMS), total+f.WaitMS
		}
	}
	slices.Sort(waits)
	ask(t, conn, "SELECT count(), sum(value) FROM kpi_next_reply", fmt.Sprintf("%d\t%d", len(waits), total))
	ask(t, conn, "SELECT sum(n), sum(sum) FROM kpi_next_reply_daily", fmt.Sprintf("%d\t%d", len(waits), total))
	ask(t, conn, "SELECT sum(num), sum(den) FROM kpi_missed_messages_daily", fmt.Sprintf("%d\t%d", missed, n))
	ask(t, conn, "SELECT count() FROM (SELECT day, channel, sum(n) AS n, sum(sum) AS s FROM "+
		"kpi_next_reply_daily GROUP BY day, channel) AS a FULL JOIN (SELECT day, channel, count() AS n, "+
		"sum(value) AS s FROM kpi_next_reply GROUP BY day, channel) AS b USING (day, channel) "+
		"WHERE a.n != b.n OR a.s != b.s", "0")
	for _, p := range []float64{0, 0.1, 0.5, 0.9, 0.99, 1} {
		exact := waits[min(int(p*float64(len(waits))), len(waits)-1)]
		ask(t, conn, fmt.Sprintf("SELECT abs(usherQuantile(%v, sumMap(hist)) - %d) <= greatest(0.02 * %d, 1) "+
			"FROM kpi_next_reply_daily", p, exact, exact), "1")
	}
	ask(t, conn, "SELECT usherQuantile(0.5, sumMap(hist)) FROM kpi_next_reply_human_daily", `\N`)
}

// TestDailyTwins: every daily twin says by day what its KPI says.
func TestDailyTwins(t *testing.T) {
	conn := enginetest.Open(t)
	enginetest.Put(t, conn, schema.TableConversations, 1, cycles()...)
	enginetest.Put(t, conn, schema.TableTurns, 1, turn("a", 1, 0, 2, "bot", 1, 1),
		turn("a", 4, 5, 9, "agent", 1, 2), turn("a", 9, 12, 20, "close", 1, 3))
	enginetest.Put(t, conn, schema.TableTurnsHuman, 1, turn("a", 5, 5, 9, "agent", 1, 1))
	enginetest.Put(t, conn, schema.TableEvents, 1, event("escalate", "a", "1", 0))
	for _, name := range []string{
		"volume", "first_reply_any", "first_reply_human", "first_reply_after_handoff", "requester_wait",
		"handoff_wait", "next_reply", "next_reply_human",
	} {
		ask(t, conn, "SELECT (SELECT (count(), ifNull(sum(value), 0)) FROM kpi_"+name+") = (SELECT (sum(n), "+
			"ifNull(sum(sum), 0)) FROM kpi_"+name+"_daily)", "1")
	}
	for _, name := range []string{"unanswered", "missed", "dropped", "escalation", "missed_messages",
		"decision_bands"} {
		ask(t, conn, "SELECT (SELECT (count(), ifNull(sum(num), -1), ifNull(sum(den), -1)) FROM kpi_"+name+
			") = (SELECT (sum(n), ifNull(sum(num), -1), ifNull(sum(den), -1)) FROM kpi_"+name+"_daily)", "1")
	}
}
