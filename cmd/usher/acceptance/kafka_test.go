package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/bench/gen"
)

// TestRealKafka runs `usher run` against a real broker (USHER_TEST_KAFKA=host:port) and the real
// engine, on a thousand conversations, and holds its rows to the embedded run's.
func TestRealKafka(t *testing.T) {
	broker := os.Getenv("USHER_TEST_KAFKA")
	if broker == "" {
		t.Skip("USHER_TEST_KAFKA names no broker; .ci/run starts one")
	}
	needEngine(t)
	dir := t.TempDir()
	input := filepath.Join(dir, "events.jsonl")
	lines := generated(t, 1000)
	writeLines(t, input, lines)
	embeddedDir := filepath.Join(dir, "embedded")
	usher(t, "demo", "--data", embeddedDir, "--input", input, "--exit", "--json")

	s := openStore(t, filepath.Join(dir, "store"))
	prefix := "t" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-"
	config := filepath.Join(dir, "usher.yaml")
	writeLines(t, config, []string{
		fmt.Sprintf("kafka: {brokers: [%q]}", broker),
		fmt.Sprintf("clickhouse: {addr: %q, database: usher, user: default, password_file: ''}", s.addr),
		"instance: acceptance", "privacy: {key_file: ''}", "admin: {addr: '127.0.0.1:0'}",
		fmt.Sprintf("topics: {prefix: %q}", prefix),
	})
	usher(t, "topics", "--apply", "--partitions", "4", "--rows-partitions", "2", "--replication", "1",
		"--config", config)
	usher(t, "schema", "--apply", "--config", config)
	usher(t, "produce", "--input", input, "--config", config)

	run := command(t, "run", "--config", config)
	var logs bytes.Buffer
	run.Stderr = &logs
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	if err := processed(t, broker, prefix, ended); err != nil {
		t.Fatalf("%v\n%s", err, tail(logs.Bytes()))
	}
	if err := run.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("usher run ended with %v\n%s", err, tail(logs.Bytes()))
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("usher run does not end\n%s", tail(logs.Bytes()))
	}
	usher(t, "audit", "--config", config)

	a := openStore(t, embeddedDir)
	if got := s.number("SELECT count() FROM events") + s.number("SELECT count() FROM dead_letters"); got != float64(len(lines)) {
		t.Errorf("%v events and dead letters, the file has %d lines", got, len(lines))
	}
	for _, q := range []string{
		"SELECT toString(tuple(tenant, id, type, conversation_id, flags)) FROM events",
		"SELECT toString(tuple(code, payload_sha256)) FROM dead_letters",
		// Without proof run only suggests, so the band may differ, and the topics' prefix is part of
		// a decision's id; the score may not differ.
		"SELECT toString(tuple(trigger_event_id, label, score, conversation_id)) FROM decisions",
	} {
		compare(t, q, a.query(q), s.query(q))
	}
	byBand := maps.Clone(hidden)
	for _, view := range []string{"kpi_auto_precision", "kpi_top3_hit", "kpi_triage_minutes"} {
		byBand[view] = true
	}
	sameFacts(t, a, s, byBand)
}

// generated are the lines of lifelike traffic, broken ones included, that a file can hold.
func generated(t *testing.T, conversations int) []string {
	t.Helper()
	g, err := gen.New(gen.Config{Seed: 21, Conversations: conversations, EndMS: 1794000000000})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var rec gen.Record
	for g.Next(&rec) {
		line := string(rec.Value)
		if strings.TrimSpace(line) != "" && !strings.ContainsAny(line, "\r\n") {
			lines = append(lines, line)
		}
	}
	return lines
}

// processed waits until router and sink have reached the ends of their topics; the last offset of
// the rows topic is a transaction's marker, which a sink need not commit.
func processed(t *testing.T, broker, prefix string, ended <-chan error) error {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	behind := func(topic, group string, markers int64) bool {
		ends, err := adm.ListEndOffsets(t.Context(), prefix+topic)
		if err != nil {
			t.Fatal(err)
		}
		have, err := adm.FetchOffsets(t.Context(), prefix+group)
		if err != nil {
			return true // a broker that has just started finds its coordinator later
		}
		late := false
		ends.Each(func(o kadm.ListedOffset) {
			at, ok := have.Lookup(prefix+topic, o.Partition)
			late = late || o.Offset > 0 && (!ok || at.At+markers < o.Offset)
		})
		return late
	}
	for range 600 {
		if !behind("chat.events.v1", "usher.router", 0) && !behind("usher.rows.v1", "usher.sink", 1) {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("usher run ended early: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return errors.New("usher run did not catch up in two minutes")
}
