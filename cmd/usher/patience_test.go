package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/pipeline"
)

// TestWhatWaitingCannotMend: a refusal ends at once, whatever wraps it; anything else is waited for.
func TestWhatWaitingCannotMend(t *testing.T) {
	away := errors.New("connection refused")
	for _, c := range []struct {
		err error
		end bool
	}{
		{away, false},
		{kerr.CoordinatorNotAvailable, false},
		{kerr.TopicAuthorizationFailed, true},
		{kerr.SaslAuthenticationFailed, true},
		{usagef("topics are missing"), true},
		{notHeldf("missing 3"), true},
		{&clickhouse.Exception{Code: 516}, true},
		{&clickhouse.Exception{Code: 81}, true},
		{&clickhouse.Exception{Code: 243}, false}, // no room on the disk
		{&clickhouse.Exception{Code: 241}, false}, // no memory
	} {
		tries := 0
		_, err := await(t.Context(), patience{log: slog.New(slog.DiscardHandler), tries: 2}, "it",
			func() (int, error) { tries++; return 0, fmt.Errorf("cannot look: %w", c.err) })
		if !errors.Is(err, c.err) {
			t.Errorf("%v: it ended with %v", c.err, err)
		}
		if want := map[bool]int{true: 1, false: 2}[c.end]; tries != want {
			t.Errorf("%v was tried %d times, want %d", c.err, tries, want)
		}
	}
}

// TestAwaitSaysSoOnce: one line when it begins to wait, one when it is over.
func TestAwaitSaysSoOnce(t *testing.T) {
	var log bytes.Buffer
	left := 4
	got, err := await(t.Context(), patience{log: slog.New(slog.NewTextHandler(&log, nil))}, "ClickHouse",
		func() (string, error) {
			if left--; left > 0 {
				return "", errors.New("connection refused")
			}
			return "there", nil
		})
	if got != "there" || err != nil {
		t.Fatalf("it ended with %q, %v", got, err)
	}
	if n := strings.Count(log.String(), "waiting for ClickHouse"); n != 1 {
		t.Errorf("it said %d times that it waits:\n%s", n, &log)
	}
	if !strings.Contains(log.String(), "found ClickHouse") {
		t.Errorf("it does not say that it waits no more:\n%s", &log)
	}
}

// TestStartWithoutKafka: a router that starts while Kafka is away waits for it and ends in order;
// one with little patience, as in a demo, gives up.
func TestStartWithoutKafka(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	c := &config.Config{Sources: []config.Source{{Topic: config.EventsTopic}}}
	quiet := slog.New(slog.DiscardHandler)
	s := routerSettings{
		Brokers: []string{"127.0.0.1:1"}, Log: quiet, Patience: patience{log: quiet},
		Opts: []kgo.Opt{kgo.RequestRetries(0), kgo.RetryTimeout(100 * time.Millisecond)},
	}
	if err := runRouter(ctx, c, s); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
		t.Errorf("it ended with %v", err)
	}
	s.Patience.tries = 2
	if err := runRouter(t.Context(), c, s); err == nil {
		t.Error("it never gives up")
	}
}

// TestChangedPartitionsEndTheStart: what waiting cannot mend is said at once, with the way out.
func TestChangedPartitionsEndTheStart(t *testing.T) {
	_, cl := startFake(t)
	adm := kadm.NewClient(cl)
	topics := pipeline.DefaultTopics("")
	for name, n := range map[string]int32{
		config.EventsTopic: 3, topics.Decisions: 3, topics.DeadLetters: 3, topics.Rows: 2, topics.State: 2,
	} {
		if _, err := adm.CreateTopic(t.Context(), n, 1, nil, name); err != nil {
			t.Fatal(err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	err := runRouter(t.Context(), &config.Config{Sources: []config.Source{{Topic: config.EventsTopic}}},
		routerSettings{
			Brokers: cl.OptValue(kgo.SeedBrokers).([]string), Log: quiet, Patience: patience{log: quiet},
		})
	var usage *usageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "has 3 partitions but its changelog") {
		t.Errorf("it ended with %v", err)
	}
}
