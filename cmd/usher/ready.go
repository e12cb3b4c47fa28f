package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// pulseMax is how long Kafka may be silent: members of a group are answered at least every two
	// seconds.
	pulseMax = 6 * time.Second
	// readyPing bounds the question whether ClickHouse is there.
	readyPing = time.Second
)

// readiness is what /readyz asks: every check says why its part is not ready, or nothing.
type readiness struct {
	mu     sync.Mutex
	checks []readyCheck
}

type readyCheck struct {
	part   string // route, sink, kafka, clickhouse
	reason func(ctx context.Context, now time.Time) string
}

func (r *readiness) add(part string, reason func(ctx context.Context, now time.Time) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, readyCheck{part, reason})
}

// expect makes the process unready until the part has found what it needs and has a check of its own.
func (r *readiness) expect(part, needs string) {
	r.add("start", func(context.Context, time.Time) string {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, c := range r.checks {
			if c.part == part {
				return ""
			}
		}
		return part + " has not found " + needs + " yet"
	})
}

// reasons are why this process is not ready, none when it is.
func (r *readiness) reasons(ctx context.Context, now time.Time) []string {
	r.mu.Lock()
	checks := append([]readyCheck{}, r.checks...)
	r.mu.Unlock()
	reasons := []string{}
	for _, c := range checks {
		if why := c.reason(ctx, now); why != "" {
			reasons = append(reasons, c.part+": "+why)
		}
	}
	return reasons
}

// ServeHTTP answers 200 or 503, each with the reasons as JSON.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	reasons := r.reasons(req.Context(), time.Now())
	w.Header().Set("Content-Type", "application/json")
	if len(reasons) == 0 {
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "ok"})
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"status": "not ready", "reason": strings.Join(reasons, "; "),
	})
}

// pulse notes when a broker answered last. It is a hook of the clients of one stage.
type pulse struct{ last atomic.Int64 }

// newPulse counts the silence from now on.
func newPulse() *pulse {
	p := &pulse{}
	p.last.Store(time.Now().UnixNano())
	return p
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (p *pulse) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if e2e.Err() == nil {
		p.last.Store(time.Now().UnixNano())
	}
}

func (p *pulse) unready(_ context.Context, now time.Time) string {
	silent := now.Sub(time.Unix(0, p.last.Load()))
	if silent <= pulseMax {
		return ""
	}
	return fmt.Sprintf("no broker has answered for %s", silent.Round(time.Second))
}

// storeUnready asks ClickHouse whether it is there.
func storeUnready(conn driver.Conn) func(context.Context, time.Time) string {
	return func(ctx context.Context, _ time.Time) string {
		ctx, cancel := context.WithTimeout(ctx, readyPing)
		defer cancel()
		if err := conn.Ping(ctx); err != nil {
			return "does not answer: " + err.Error()
		}
		return ""
	}
}
