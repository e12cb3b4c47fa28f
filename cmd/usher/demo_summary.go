package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/schema"
)

// demoResult is what `demo --exit --json` prints (CONTRACT section 5).
type demoResult struct {
	Events      int64            `json:"events"`
	Decisions   int64            `json:"decisions"`
	DeadLetters int64            `json:"dead_letters"`
	Gaps        int64            `json:"gaps"` // control records left out
	Rows        map[string]int64 `json:"rows"`
	KPIs        demoKPIs         `json:"kpis"`
	Skewed      int64            `json:"skewed"`
	Late        int64            `json:"late"`
	Duplicates  int64            `json:"duplicates"`
	Audit       demoAudit        `json:"audit"`
	Seconds     float64          `json:"seconds"`

	bands map[string]int64
}

// demoAudit is the sum over all partitions of the audit that ends the run.
type demoAudit struct {
	Missing    int64 `json:"missing"`
	Duplicated int64 `json:"duplicated"`
}

// demoKPIs are the figures of `analyze`, from the views. Null: the events never came.
type demoKPIs struct {
	Conversations      int64    `json:"conversations"`
	Unanswered         *int64   `json:"unanswered"`
	UnansweredRate     *float64 `json:"unanswered_rate"`
	FirstReplyMedianMS *int64   `json:"first_reply_median_ms"`
	FirstReplyP90MS    *int64   `json:"first_reply_p90_ms"`
	NextReplyMedianMS  *int64   `json:"next_reply_median_ms"`
	NextReplyP90MS     *int64   `json:"next_reply_p90_ms"`
	MissedRate         *float64 `json:"missed_rate"`
	EscalationRate     *float64 `json:"escalation_rate"`
	ConversionRate     *float64 `json:"conversion_rate"`
}

// The questions of the summary: each answers one row.
const (
	sqlCounts = `SELECT count(), countIf(has(flags, 'clock_skew')), countIf(has(flags, 'late')),
 countIf(has(flags, 'duplicate')) FROM events`
	sqlGaps  = `SELECT sum(to_offset - from_offset) FROM delivery_gaps WHERE cause != 'control'`
	sqlBands = `SELECT countIf(band = 'auto'), countIf(band = 'suggest'), countIf(band = 'none') FROM decisions`

	sqlConversations = `SELECT uniqExact(tenant, conversation_id) FROM conversations_latest`
	sqlUnanswered    = `SELECT sum(num), sum(num) / sum(den) FROM kpi_unanswered`
	sqlFirstReply    = `SELECT quantileExact(0.5)(value), quantileExact(0.9)(value)
 FROM kpi_first_reply_human HAVING count() > 0`
	sqlNextReply = `SELECT quantileExact(0.5)(value), quantileExact(0.9)(value)
 FROM kpi_next_reply HAVING count() > 0`
	sqlRate = `SELECT sum(num) / sum(den) FROM %s HAVING count() > 0`
)

// ask runs a question of one row; dst are pointers to numbers or to pointers of numbers, which
// become nil when there is no row or the value is NULL.
func (s *store) ask(ctx context.Context, sql string, dst ...any) error {
	rows, err := s.rows(ctx, sql, nil)
	if err != nil || len(rows) == 0 {
		return err
	}
	for i, v := range rows[0] {
		text := "null"
		switch v := v.(type) {
		case json.Number:
			text = v.String()
		case string: // 64-bit integers may come quoted
			text = v
		}
		if err := json.Unmarshal([]byte(text), dst[i]); err != nil {
			return fmt.Errorf("cannot read column %d of %q: %w", i+1, sql, err)
		}
	}
	return nil
}

func (s *station) store() *store {
	return &store{
		base: "http://" + s.engine.Addr() + "/", database: s.cfg.ClickHouse.Database,
		client: &http.Client{}, where: "the store in " + s.dir,
	}
}

// measure reads the result of the run from the store.
func (s *station) measure(ctx context.Context) (*demoResult, error) {
	st := s.store()
	r := &demoResult{Rows: make(map[string]int64), bands: make(map[string]int64)}
	for _, t := range schema.Tables() {
		if t.Name == schema.TableProcess {
			continue // samples tell of the time that the run took, not of what it did
		}
		var n int64
		if err := st.ask(ctx, "SELECT count() FROM "+t.Name, &n); err != nil {
			return nil, err
		}
		r.Rows[t.Name] = n
	}
	r.Decisions, r.DeadLetters = r.Rows[schema.TableDecisions], r.Rows[schema.TableDeadLetters]
	var auto, suggest, none int64
	k := &r.KPIs
	for _, q := range []struct {
		sql string
		dst []any
	}{
		{sqlCounts, []any{&r.Events, &r.Skewed, &r.Late, &r.Duplicates}},
		{sqlGaps, []any{&r.Gaps}},
		{sqlBands, []any{&auto, &suggest, &none}},
		{sqlConversations, []any{&k.Conversations}},
		{sqlUnanswered, []any{&k.Unanswered, &k.UnansweredRate}},
		{sqlFirstReply, []any{&k.FirstReplyMedianMS, &k.FirstReplyP90MS}},
		{sqlNextReply, []any{&k.NextReplyMedianMS, &k.NextReplyP90MS}},
		{fmt.Sprintf(sqlRate, "kpi_missed"), []any{&k.MissedRate}},
		{fmt.Sprintf(sqlRate, "kpi_escalation_all"), []any{&k.EscalationRate}},
		{fmt.Sprintf(sqlRate, "kpi_conversion"), []any{&k.ConversionRate}},
	} {
		if err := st.ask(ctx, q.sql, q.dst...); err != nil {
			return nil, err
		}
	}
	r.bands["auto"], r.bands["suggest"], r.bands["none"] = auto, suggest, none
	return r, nil
}

// summary audits what was delivered and prints what came out. It fails when anything is missing.
func (s *station) summary(ctx context.Context) error {
	audit, err := await(ctx, s.patience(), whatEngine, func() (demoAudit, error) { return s.audit(ctx) })
	if err != nil {
		return err
	}
	r, err := await(ctx, s.patience(), whatEngine, func() (*demoResult, error) { return s.measure(ctx) })
	if err != nil {
		return err
	}
	r.Audit = audit
	r.Seconds = time.Since(s.began).Seconds()
	if s.o.JSON {
		enc := json.NewEncoder(s.o.Streams.out)
		enc.SetEscapeHTML(false)
		err = enc.Encode(r)
	} else {
		printSummary(s.o.Streams.out, r, s.dir)
	}
	if err == nil && (audit.Missing != 0 || audit.Duplicated != 0) {
		return notHeldf("the audit found %d missing and %d doubled; see SELECT * FROM delivery_audit",
			audit.Missing, audit.Duplicated)
	}
	return err
}

func printSummary(w io.Writer, r *demoResult, dir string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	k := &r.KPIs
	fmt.Fprintln(t, "What came out")
	line("events", "%d of %d conversations (%d late, %d duplicate)",
		r.Events, k.Conversations, r.Late, r.Duplicates)
	line("decisions", "%d: %s auto, %s suggest, %s none", r.Decisions, share(r, "auto"),
		share(r, "suggest"), share(r, "none"))
	line("first reply by a person", "p50 %s, p90 %s", duration(k.FirstReplyMedianMS), duration(k.FirstReplyP90MS))
	line("next reply", "p50 %s, p90 %s", duration(k.NextReplyMedianMS), duration(k.NextReplyP90MS))
	line("unanswered", "%s", percent(k.UnansweredRate))
	line("missed", "%s", percent(k.MissedRate))
	line("escalation rate", "%s", percent(k.EscalationRate))
	line("dead letters", "%d", r.DeadLetters)
	line("balance", "missing %d, duplicated %d, other gaps %d (usher audit --data %s)",
		r.Audit.Missing, r.Audit.Duplicated, r.Gaps, dir)
	line("time", "%.1f s", r.Seconds)
	_ = t.Flush()
	fmt.Fprintf(w, `
The demo model acts alone without proof; usher run would only suggest until a model is accepted.
Look further:
  usher sql --data %[1]s                                        the views and what they mean
  usher sql --data %[1]s --kpi first_reply_human --by channel   one KPI: query and answer
  usher sql --data %[1]s "SELECT band, count() FROM decisions GROUP BY band"
`, dir)
}

func share(r *demoResult, band string) string {
	if r.Decisions == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(r.bands[band])/float64(r.Decisions))
}

func percent(v *float64) string {
	if v == nil {
		return "not known: its events never came"
	}
	return fmt.Sprintf("%.2f %%", 100**v)
}

func duration(ms *int64) string {
	if ms == nil {
		return "not known"
	}
	return (time.Duration(*ms) * time.Millisecond).Round(time.Second).String()
}

// audit ends a demo: everything that came is counted.
func (s *station) audit(ctx context.Context) (demoAudit, error) {
	report, err := auditAt(ctx, s.cfg, auditPlace{
		kafka: []kgo.Opt{kgo.SeedBrokers(s.broker.Addr())}, at: s.clickhouse(),
	}, true)
	if err != nil {
		return demoAudit{}, err
	}
	return demoAudit{Missing: int64(report.Missing()), Duplicated: int64(report.Duplicated())}, nil
}
