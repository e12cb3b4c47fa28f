package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// askReady asks /readyz and returns its code and reason.
func askReady(t *testing.T, r *readiness) (code int, reason string) {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	var body map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("no JSON: %v", err)
	}
	return w.Code, body["reason"]
}

func TestReadyzNamesEveryReason(t *testing.T) {
	r := &readiness{}
	r.expect("route", "its topics")
	if code, why := askReady(t, r); code != 503 || why != "start: route has not found its topics yet" {
		t.Errorf("before the start: %d %q", code, why)
	}
	states := map[string]string{"route": "", "sink": ""}
	for part := range states {
		r.add(part, func(context.Context, time.Time) string { return states[part] })
	}
	if code, why := askReady(t, r); code != 200 || why != "" {
		t.Errorf("all well: %d %q", code, why)
	}
	states["sink"] = "ClickHouse is away"
	if code, why := askReady(t, r); code != 503 || why != "sink: ClickHouse is away" {
		t.Errorf("one ill: %d %q", code, why)
	}
}

// TestPulse: silence is counted from the last answer of a broker, and a failed request is none.
func TestPulse(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	p := newPulse()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.WithHooks(p))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	silent := func() bool { return p.unready(t.Context(), time.Now()) != "" }
	p.last.Store(0)
	if !silent() {
		t.Fatal("a broker that never answered counts as one that did")
	}
	if err := cl.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if silent() {
		t.Error("an answer is not noticed")
	}
	c.Close()
	p.last.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := cl.Ping(ctx); err == nil {
		t.Fatal("a closed broker answers")
	}
	if !silent() {
		t.Error("a request that failed counts as an answer")
	}
}
