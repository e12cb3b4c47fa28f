package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/audit"
)

// auditEvery is how often a sink process counts what came since the last count; auditTimeout bounds
// one count.
const (
	auditEvery   = time.Minute
	auditTimeout = 5 * time.Minute
)

// minuteAudit is the incremental audit of a running sink process.
type minuteAudit struct {
	cfg   *config.Config
	kafka []kgo.Opt // with seed brokers
	conn  driver.Conn
	log   *slog.Logger
	every time.Duration // 0: auditEvery

	missing, doubled, failed prometheus.Counter
	last                     prometheus.Gauge
}

// newMinuteAudit registers its metrics; run does the work.
func newMinuteAudit(a minuteAudit, reg prometheus.Registerer) *minuteAudit {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		_ = reg.Register(c)
		return c
	}
	a.missing = counter("usher_audit_missing_total", "Offsets and rows that an audit found missing.")
	a.doubled = counter("usher_audit_duplicated_total", "Rows that an audit found there too often.")
	a.failed = counter("usher_audit_failures_total", "Audits that could not count.")
	a.last = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "usher_audit_last_seconds", Help: "When the last audit was done, in seconds since 1970.",
	})
	_ = reg.Register(a.last)
	if a.every == 0 {
		a.every = auditEvery
	}
	return &a
}

// run audits until ctx ends. An audit that cannot count, because a system is away or the sink is
// behind, is tried again a minute later: it goes on where the last one ended.
func (a *minuteAudit) run(ctx context.Context) error {
	cl, err := kgo.NewClient(a.kafka...)
	if err != nil {
		return usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			a.once(ctx, kadm.NewClient(cl))
		}
	}
}

func (a *minuteAudit) once(ctx context.Context, adm *kadm.Client) {
	bounded, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	var report audit.Report
	scope, err := audit.Offsets(bounded, adm, auditKafka(a.cfg, 0))
	if err == nil {
		report, err = audit.Run(bounded, a.conn, scope, audit.Options{})
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.failed.Inc()
		a.log.Warn("audit: cannot count; trying again", "in", a.every, "error", err)
		return
	}
	a.last.SetToCurrentTime()
	missing, doubled := report.Missing(), report.Duplicated()
	a.missing.Add(float64(missing))
	a.doubled.Add(float64(doubled))
	if missing > 0 || doubled > 0 {
		a.log.Error("audit: the balance does not hold; run usher audit, then usher audit --repair",
			"missing", missing, "duplicated", doubled)
	}
}
