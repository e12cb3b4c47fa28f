package acceptance

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
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
	for _, key := range []string{"events", "decisions", "dead_letters", "gaps", "late", "duplicates"} {
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
