package acceptance

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher/bench/gen"
)

// kills is how often the demo is killed while it plays.
const kills = 10

// TestKilledDemo kills the demo at random moments and starts it again on the same directory: what
// is stored in the end equals an unkilled run's.
func TestKilledDemo(t *testing.T) {
	needEngine(t)
	dir := t.TempDir()
	calm, hurt := filepath.Join(dir, "calm"), filepath.Join(dir, "hurt")
	demo := func(data string) []string {
		return []string{"demo", "--data", data, "--conversations", "4000", "--seed", "9", "--exit", "--json"}
	}
	began := time.Now()
	want := object(t, usher(t, demo(calm)...))
	whole := time.Since(began)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range kills {
		cmd := command(t, demo(hurt)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From the very start up to the middle of what is left: some kills hit the start-up, some
		// a transaction, some an insert.
		time.Sleep(time.Duration(r.Float64() * float64(whole) * 0.6))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Logf("kill %d; it had said: %s", i+1, tail(errs.Bytes()))
	}
	got := object(t, usher(t, demo(hurt)...))
	// Gaps may differ: what a killed player had not committed was aborted, and is declared.
	for _, key := range []string{"events", "decisions", "dead_letters", "late", "duplicates"} {
		if got[key] != want[key] {
			t.Errorf("%s: %v after the kills, %v without", key, got[key], want[key])
		}
	}
	audit := got["audit"].(map[string]any)
	if audit["missing"].(float64) != 0 || audit["duplicated"].(float64) != 0 {
		t.Errorf("audit after the kills: %v", audit)
	}
	a, b := openStore(t, calm), openStore(t, hurt)
	compare(t, "decisions", a.query("SELECT toString(id) FROM decisions"),
		b.query("SELECT toString(id) FROM decisions"))
	// Positions differ: markers of the transactions that were cut off lie between the events.
	sameFacts(t, a, b, map[string]bool{
		"cycle_id": true, "prev_cycle_id": true, "replaced_by": true, "since_offset": true,
		"revision": true, "received_at": true,
	})
}

// TestKilledChildren kills engine and broker under a playing demo, which starts them again: nothing
// is lost or doubled, held to what the generator says it made.
func TestKilledChildren(t *testing.T) {
	needEngine(t)
	data := filepath.Join(t.TempDir(), "data")
	cmd := command(t, "demo", "--data", data, "--conversations", "3000", "--seed", "4", "--exit", "--json")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	killed := 0
	// The first two as soon as they answer, while the demo still makes topics and tables.
	for i, child := range []string{"broker", "engine", "engine", "broker", "engine", "broker"} {
		wait := 1500 * time.Millisecond
		if i < 2 {
			wait = 0
		}
		if killSoon(filepath.Join(data, child+".json"), wait, ended) {
			killed++
		}
	}
	if err := <-ended; err != nil {
		t.Fatalf("the demo ended with %v\n%s", err, tail(errs.Bytes()))
	}
	if killed < 2 {
		t.Fatalf("%d children were killed: the start was not tried", killed)
	}
	got := object(t, out.Bytes())
	g, err := gen.New(gen.Config{Seed: 4, Conversations: 3000, EndMS: endOf(t, data)})
	if err != nil {
		t.Fatal(err)
	}
	for rec := (gen.Record{}); g.Next(&rec); {
	}
	truth := g.Stats()
	if got["events"] != float64(truth.Events) || got["dead_letters"] != float64(truth.Broken) {
		t.Errorf("%v events and %v dead letters, the generator made %d and broke %d",
			got["events"], got["dead_letters"], truth.Events, truth.Broken)
	}
	audit := got["audit"].(map[string]any)
	if audit["missing"].(float64) != 0 || audit["duplicated"].(float64) != 0 {
		t.Errorf("audit after %d kills: %v", killed, audit)
	}
}

// killSoon waits, then for the child's file, and kills the child; it reports false when the demo ends
// before.
func killSoon(file string, wait time.Duration, ended chan error) bool {
	for {
		select {
		case <-time.After(wait):
			if killChild(file) {
				return true
			}
			wait = 5 * time.Millisecond
		case err := <-ended:
			ended <- err
			return false
		}
	}
}

// killChild kills the process that a child's file names.
func killChild(file string) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false // it is just being started again
	}
	var info struct{ PID int }
	if json.Unmarshal(b, &info) != nil || info.PID <= 1 {
		return false
	}
	return syscall.Kill(info.PID, syscall.SIGKILL) == nil
}

// endOf reads until when the traffic of a data directory was generated.
func endOf(t *testing.T, data string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "generated-until"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}
