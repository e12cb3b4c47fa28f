package rollup_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/embedded/embeddedtest"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/migrate"
	"usher/sinks/clickhouse/rollup"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/views"
)

// compared are the KPIs that the histories have facts of, with what a daily row is read by beside day
// and dimensions.
var compared = map[string]string{
	"volume": "", "first_reply_human": "", "unanswered": "", "missed": "",
	"next_reply": "", "missed_messages": "", "sla": ", policy, metric, clock",
}

const group = "day, tenant, channel, agent_id, final"

// differences counts the daily rows that the facts do not give, and the other way round. The facts'
// views share nothing with the daily ones but the definitions: they join corrections and exclude voids.
func differences(t *testing.T, conn driver.Conn, kpi string) string {
	t.Helper()
	by := group + compared[kpi]
	facts := "count(), sum(num), sum(den)"
	daily := "sum(n), sum(num), sum(den)"
	if kpi == "volume" || strings.Contains(kpi, "reply") {
		facts = "count(), sum(value), toInt64(count())"
		daily = "sum(n), sum(sum), toInt64(arraySum(mapValues(sumMap(hist))))"
	}
	return enginetest.Query(t, conn, fmt.Sprintf(`WITH
    a AS (SELECT toString((%[1]s, %[2]s)) AS row FROM kpi_%[4]s GROUP BY %[1]s),
    b AS (SELECT toString((%[1]s, %[3]s)) AS row FROM kpi_%[4]s_daily GROUP BY %[1]s)
SELECT countIf(row NOT IN (SELECT row FROM a)) + (SELECT countIf(row NOT IN (SELECT row FROM b)) FROM a)
FROM b`, by, facts, daily, kpi))
}

func equal(t *testing.T, conn driver.Conn, when string) {
	t.Helper()
	for kpi := range compared {
		if got := differences(t, conn, kpi); got != "0" {
			t.Fatalf("%s: %s rows of kpi_%s_daily differ from the facts", when, got, kpi)
		}
	}
}

func pass(t *testing.T, k *rollup.Keeper) {
	t.Helper()
	if err := k.Pass(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

// unproven makes daily views that believe every roll-up, as if there were no proof.
func unproven(t *testing.T, conn driver.Conn) {
	t.Helper()
	for _, q := range views.Daily() {
		if strings.Contains(q, "_daily AS") {
			weak := strings.ReplaceAll(q, " AND made.newest_from = facts.made_from", "")
			if weak == q {
				t.Fatal("the proof is no longer where this test takes it away")
			}
			enginetest.Exec(t, conn, weak)
		}
	}
}

// TestExactUnderCorrection: 10,000 random corrections and voids, with passes between, and daily rows
// equal to the facts' at every step. Without the proof they are not.
func TestExactUnderCorrection(t *testing.T) {
	conn := enginetest.Open(t)
	h, k := newHistory(conn, 1), rollup.New(rollup.Config{}, rollup.Deps{Conn: conn})
	for step := 1; h.changes < 10_000; step++ {
		for range 1 + h.r.IntN(2000) {
			h.change()
		}
		h.store(t)
		switch step % 4 {
		case 0:
			pass(t, k)
			equal(t, conn, "after a pass")
		case 1:
			equal(t, conn, "after changes") // of which no pass knows
		}
	}
	pass(t, k)
	if left := enginetest.Query(t, conn, views.Rollups()[0].Stale()); left != "" {
		t.Errorf("stale after a pass: %s", left)
	}
	equal(t, conn, "at the end")
	if err := k.Clear(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	equal(t, conn, "after old generations were cleared away")
	for _, p := range []float64{0.1, 0.5, 0.9, 0.99} {
		q := fmt.Sprintf("SELECT abs((SELECT usherQuantile(%[1]v, sumMap(hist)) FROM kpi_next_reply_daily) / "+
			"(SELECT quantileExact(%[1]v)(value) FROM kpi_next_reply) - 1) <= 0.02", p)
		if enginetest.Query(t, conn, q) != "1" {
			t.Errorf("quantile %v is more than 2 %% from the exact one", p)
		}
	}

	unproven(t, conn)
	for range 200 {
		h.change()
	}
	h.store(t)
	if differences(t, conn, "next_reply") == "0" || differences(t, conn, "volume") == "0" {
		t.Error("nothing differs though the proof was taken away: this test proves nothing")
	}
}

// TestKilledDuringPass kills the engine in the middle of passes, with changes between.
func TestKilledDuringPass(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(nil, 2)
	for kill := range 3 {
		e := embeddedtest.StartIn(t, dir)
		if kill == 0 {
			if err := migrate.CreateDatabase(t.Context(), enginetest.Connect(t, e.Addr(), "default"),
				migrate.DefaultDatabase); err != nil {
				t.Fatal(err)
			}
		}
		conn := enginetest.Connect(t, e.Addr(), migrate.DefaultDatabase)
		if err := migrate.Apply(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		if kill > 0 {
			equal(t, conn, "after a kill")
		}
		h.conn = conn
		for range 800 {
			h.change()
		}
		h.store(t)
		marks := enginetest.Query(t, conn, "SELECT count() FROM kpi_rollup WHERE kpi = ''")
		k := rollup.New(rollup.Config{}, rollup.Deps{Conn: conn})
		ended := make(chan error, 1)
		go func() { ended <- k.Pass(t.Context(), 0) }()
		for enginetest.Query(t, conn, "SELECT uniqExact(generation) < "+marks+" + 1 + "+
			fmt.Sprint(h.r.IntN(10))+" FROM kpi_rollup") == "1" {
			time.Sleep(time.Millisecond)
		}
		if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-e.Gone()
		if <-ended == nil {
			t.Log("the pass was over before the kill")
		}
	}
	e := embeddedtest.StartIn(t, dir)
	conn := enginetest.Connect(t, e.Addr(), migrate.DefaultDatabase)
	equal(t, conn, "after the last kill")
	pass(t, rollup.New(rollup.Config{}, rollup.Deps{Conn: conn}))
	equal(t, conn, "after a pass")
}

// TestExactWhileChanging: while waits are exchanged for others, in inserts that leave their number as
// it is, and passes go on, no query ever counts another number.
func TestExactWhileChanging(t *testing.T) {
	conn := enginetest.Open(t)
	h, k := newHistory(conn, 3), rollup.New(rollup.Config{}, rollup.Deps{Conn: conn})
	day := dayOf(instant(3, 0))
	var all []schema.Turn
	for since := range 300 {
		h.wait(since)
	}
	for _, w := range h.waits {
		w.Source.Day, w.EndedBy = day, "close"
		all = append(all, w)
	}
	enginetest.Put(t, conn, schema.TableTurns, 1, all...)

	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	var busy sync.WaitGroup
	busy.Go(func() {
		for ctx.Err() == nil {
			_ = k.Pass(ctx, 0)
		}
	})
	busy.Go(func() {
		for i := range 40 {
			old := all[i]
			now := old
			old.Sign, old.Revision, now.Revision = -1, 1_000_000, 1_000_000
			now.WaitMS++
			enginetest.Put(t, conn, schema.TableTurns, int64(i)+2, old, now)
		}
		stop()
	})
	asked := 0
	for ; ctx.Err() == nil; asked++ {
		got := enginetest.Query(t, conn, "SELECT sum(n), sum(num) FROM kpi_missed_messages_daily")
		if got != "300\t300" {
			t.Fatalf("query %d counted %q instead of 300", asked, got)
		}
	}
	busy.Wait()
	if asked == 0 {
		t.Error("nothing was asked")
	}
}

// TestSmallFamilies: decisions, of which some have no label, handoffs and waits for a person say the
// same from the cache as from the facts.
func TestSmallFamilies(t *testing.T) {
	conn := enginetest.Open(t)
	h := newHistory(conn, 4)
	dims, cycle := h.dims(1)
	at, day := instant(1, 0), dayOf(instant(1, 0))
	decision := schema.Decision{Dims: dims, Cycle: cycle, ID: "d1", Time: at, DecidedDay: day, Band: "auto"}
	labelled := decision
	labelled.ID, labelled.Band, labelled.Label = "d2", "none", "deal"
	enginetest.Put(t, conn, schema.TableDecisions, 1, decision, labelled)
	enginetest.Put(t, conn, schema.TableEscalations, 1, schema.Escalation{
		Dims: dims, Cycle: cycle, Time: at, EscalatedDay: day, HumanReplyAt: schema.Some(at + 60_000),
		HumanReplyDay: schema.Some(day), Revision: 1, Sign: 1,
	})
	enginetest.Put(t, conn, schema.TableTurnsHuman, 1, schema.Turn{
		Dims: dims, Cycle: cycle, WaitingSince: at, EndedAt: at + 5000, EndedDay: day, EndedBy: "agent",
		WaitMS: 5000, Revision: 1, Sign: 1,
	})
	const ask = "SELECT band, label, n, num, den FROM kpi_decision_bands_daily ORDER BY band " +
		"UNION ALL SELECT 'h', label, n, sum, toInt64(length(hist)) FROM kpi_handoff_wait_daily " +
		"UNION ALL SELECT 'w', label, n, sum, toInt64(length(hist)) FROM kpi_next_reply_human_daily"
	const question = "SELECT * FROM (" + ask + ") ORDER BY band"
	want := "auto\t\\N\t1\t1\t1\nh\t\t1\t60000\t1\nnone\tdeal\t1\t0\t1\nw\t\t1\t5000\t1"
	if got := enginetest.Query(t, conn, question); got != want {
		t.Errorf("from the facts: %q", got)
	}
	pass(t, rollup.New(rollup.Config{}, rollup.Deps{Conn: conn}))
	if got := enginetest.Query(t, conn, question); got != want {
		t.Errorf("from the cache: %q", got)
	}
	if got := enginetest.Query(t, conn, "SELECT count() FROM kpi_rollup WHERE kpi != ''"); got != "4" {
		t.Errorf("%s rows in the cache", got)
	}
}
