package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"usher/sinks/clickhouse/schema"
)

// samplesEvery is how often a process writes its figures for the pipeline board.
const samplesEvery = 10 * time.Second

// sample is one row of process_metrics.
type sample struct {
	Name, Labels string
	Value        float64
}

// sampler writes a process's own metrics, and how far the groups are behind, into ClickHouse:
// Grafana needs no second store for the pipeline board. What cannot be written is lost: samples are
// for watching, and the audit counts without them.
type sampler struct {
	gather   prometheus.Gatherer
	store    *store
	instance string
	lag      *lagProbe // nil where another process looks
	log      *slog.Logger
}

// run samples until ctx ends.
func (s *sampler) run(ctx context.Context) error {
	tick := time.NewTicker(samplesEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			err := s.once(ctx, now)
			if err != nil && !failing && ctx.Err() == nil {
				s.log.Warn("samples are not written; the pipeline board stands still", "error", err)
			}
			failing = err != nil
		}
	}
}

func (s *sampler) once(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, samplesEvery)
	defer cancel()
	families, err := s.gather.Gather()
	if err != nil {
		return fmt.Errorf("cannot gather the metrics: %w", err)
	}
	samples := samplesOf(families)
	if s.lag != nil {
		behind, err := s.lag.measure(ctx, now)
		if err != nil {
			return err
		}
		samples = append(samples, behind...)
	}
	return s.write(ctx, samples, now)
}

func (s *sampler) write(ctx context.Context, samples []sample, now time.Time) error {
	var b strings.Builder
	b.WriteString("INSERT INTO " + schema.TableProcess + " (day, instance, name, labels, value, at) " +
		"FORMAT JSONEachRow\n")
	enc := json.NewEncoder(&b)
	for _, m := range samples {
		err := enc.Encode(map[string]any{"day": now.UTC().Format(time.DateOnly),
			"instance": s.instance, "name": m.Name, "labels": m.Labels, "value": m.Value,
			"at": now.UTC().Format(timeOfClickHouse)})
		if err != nil {
			return fmt.Errorf("cannot write the sample %s: %w", m.Name, err)
		}
	}
	if err := s.store.exec(ctx, b.String()); err != nil {
		return fmt.Errorf("cannot write samples: %w", explain(err))
	}
	return nil
}

// sampled are the figures that are kept beside usher's own.
var sampled = map[string]bool{"go_memstats_heap_alloc_bytes": true,
	"process_resident_memory_bytes": true}

// samplesOf flattens metrics: a histogram becomes its sum and its count.
func samplesOf(families []*dto.MetricFamily) []sample {
	var out []sample
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "usher_") && !sampled[name] {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			add := func(suffix string, value float64) {
				out = append(out, sample{name + suffix, strings.Join(labels, ","), value})
			}
			switch {
			case m.GetHistogram() != nil:
				add("_sum", m.GetHistogram().GetSampleSum())
				add("_count", float64(m.GetHistogram().GetSampleCount()))
			case m.GetCounter() != nil:
				add("", m.GetCounter().GetValue())
			case m.GetGauge() != nil:
				add("", m.GetGauge().GetValue())
			}
		}
	}
	return out
}
