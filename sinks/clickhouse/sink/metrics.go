package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the sink's counters; names are listed in docs/metrics.md.
type metrics struct {
	rows    *prometheus.CounterVec
	inserts *prometheus.CounterVec
	seconds prometheus.Histogram
	retries prometheus.Counter
	alarms  prometheus.Counter
	bad     prometheus.Counter
	pauses  prometheus.Counter
}

// newMetrics registers them; buffered is asked for the bytes that are held now.
func newMetrics(reg prometheus.Registerer, buffered func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help},
			[]string{"table"})
	}
	m := &metrics{
		rows:    vec("usher_sink_rows_total", "Rows stored in ClickHouse."),
		inserts: vec("usher_sink_inserts_total", "Inserts acknowledged by ClickHouse."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "usher_sink_insert_seconds", Help: "Time of one insert.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}),
		retries: counter("usher_sink_retries_total", "Attempts that had to start again."),
		alarms:  counter("usher_sink_alarms_total", "Partitions stopped until a person looks."),
		bad:     counter("usher_sink_bad_records_total", "Records that are no row blocks."),
		pauses:  counter("usher_sink_pauses_total", "Times that a partition's buffer was full."),
	}
	if reg != nil {
		for _, c := range []prometheus.Collector{
			m.rows, m.inserts, m.seconds, m.retries, m.alarms, m.bad, m.pauses,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "usher_sink_buffered_bytes", Help: "Row blocks that are held in memory.",
			}, buffered),
		} {
			// A second sink in one process shares nothing; the first registration wins.
			_ = reg.Register(c)
		}
	}
	return m
}

func (m *metrics) stored(table string, rows int, took time.Duration) {
	m.rows.WithLabelValues(table).Add(float64(rows))
	m.inserts.WithLabelValues(table).Inc()
	m.seconds.Observe(took.Seconds())
}
