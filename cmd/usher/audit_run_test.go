package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/enginetest"
)

// value is what a registry says of one metric without labels.
func value(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if m := f.GetMetric(); f.GetName() == name && len(m) == 1 {
			return m[0].GetCounter().GetValue() + m[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestTheMinuteAuditAlarmsOnce: offsets that the router has committed and nobody stored are counted by
// the audit that meets them, and by no later one.
func TestTheMinuteAuditAlarmsOnce(t *testing.T) {
	conn := enginetest.Open(t)
	_, cl := startFake(t)
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopics(t.Context(), 1, 1, nil, "chat.events.v1", "usher.rows.v1"); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	a := newMinuteAudit(minuteAudit{
		cfg: cfg, conn: conn, log: slog.New(slog.NewTextHandler(&log, nil)),
	}, reg)
	expect := func(what string, missing, failed float64) {
		t.Helper()
		a.once(t.Context(), adm)
		m, f := value(t, reg, "usher_audit_missing_total"), value(t, reg, "usher_audit_failures_total")
		if m != missing || f != failed {
			t.Errorf("%s: missing %v, failed %v; want %v and %v\n%s", what, m, f, missing, failed, log.String())
		}
	}
	expect("nothing committed", 0, 0)
	commit := func(offset int64) {
		t.Helper()
		var o kadm.Offsets
		o.AddOffset("chat.events.v1", 0, offset, -1)
		if _, err := adm.CommitOffsets(t.Context(), "usher.router", o); err != nil {
			t.Fatal(err)
		}
	}
	commit(5)
	expect("five offsets that nobody stored", 5, 0)
	if value(t, reg, "usher_audit_last_seconds") == 0 || !strings.Contains(log.String(), "usher audit --repair") {
		t.Errorf("no alarm:\n%s", log.String())
	}
	expect("the same", 5, 0)
	commit(7)
	expect("two more", 7, 0)
	if _, err := adm.DeleteTopic(t.Context(), "usher.rows.v1"); err != nil {
		t.Fatal(err)
	}
	expect("without a topic", 7, 1)
}
