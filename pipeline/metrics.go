package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher/features/conversation"
	"usher/pipeline/event"
	"usher/pipeline/route"
)

// Metrics counts what a router does. One set serves all workers of a process; label sets are closed.
type Metrics struct {
	events       prometheus.Counter
	deadLetters  *prometheus.CounterVec
	bands        [3]prometheus.Counter // by route.Band
	flags        *prometheus.CounterVec
	misplaced    prometheus.Counter
	transactions *prometheus.CounterVec
	txnSeconds   prometheus.Histogram
}

// NewMetrics makes the router's metrics and registers them with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	m := &Metrics{
		events: counter("usher_events_total", "Input records that parsed.").WithLabelValues(),
		deadLetters: counter("usher_dead_letters_total",
			"Input records that were rejected, by code.", "code"),
		flags: counter("usher_flagged_events_total",
			"Events that were late, duplicate or out of clock, by flag.", "flag"),
		misplaced: counter("usher_misplaced_events_total",
			"Events that lie in another partition than their key's.").WithLabelValues(),
		transactions: counter("usher_transactions_total",
			"Transactions of the router, by how they ended.", "end"),
		txnSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "usher_transaction_seconds",
			Help:    "From the first record of a transaction to its end.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 10),
		}),
	}
	reg.MustRegister(m.txnSeconds)
	decisions := counter("usher_decisions_total", "Routing decisions, by band.", "band")
	for b := range m.bands {
		m.bands[b] = decisions.WithLabelValues(route.Band(b).String())
	}
	return m
}

func (m *Metrics) transaction(took time.Duration, committed bool) {
	end := "abort"
	if committed {
		end = "commit"
	}
	m.transactions.WithLabelValues(end).Inc()
	m.txnSeconds.Observe(took.Seconds())
}

func (m *Metrics) rejected(code event.Code) {
	m.deadLetters.WithLabelValues(string(code)).Inc()
}

func (m *Metrics) flagged(f conversation.Flags) {
	for _, k := range [...]struct {
		flag conversation.Flags
		name string
	}{
		{conversation.FlagLate, "late"}, {conversation.FlagDuplicate, "duplicate"},
		{conversation.FlagClockSkew, "clock_skew"}, {conversation.FlagClockAhead, "clock_ahead"},
		{conversation.FlagRetired, "retired"},
	} {
		if f&k.flag != 0 {
			m.flags.WithLabelValues(k.name).Inc()
		}
	}
}
