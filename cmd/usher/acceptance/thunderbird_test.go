package acceptance

import (
	"math"
	"path/filepath"
	"testing"
)

// The figures of the Thunderbird set, from the issue and the KPI design, computed there without
// this project's code.
const (
	tbEvents        = 111_787
	tbConversations = 35_104
	tbUnanswered    = 9_360
	tbSkewed        = 22
	tbMedianMS      = 13_096_000
	tbP90MS         = 130_577_000
)

// near reports whether got is within 0.1 % of want.
func near(got, want float64) bool { return math.Abs(got-want) <= want/1000 }

// importThunderbird makes usher's events of the set.
func importThunderbird(t *testing.T) string {
	t.Helper()
	file := shared(t, "data", "conversations", "thunderbird-aaq",
		"events-2023-01..2025-06.jsonl.gz")
	out := filepath.Join(t.TempDir(), "events.jsonl")
	usher(t, "import", "jsonl", file, "--map",
		"time=ts,actor.kind=role,actor.id=sender,message.text=text", "--out", out)
	return out
}

// TestThunderbird takes 35,104 real conversations through demo and analyze: both, and SQL on the
// views, must give the known figures.
func TestThunderbird(t *testing.T) {
	needEngine(t)
	input := importThunderbird(t)
	figures := func(from string, got func(string) float64, skewed float64) {
		t.Helper()
		for key, want := range map[string]float64{
			"conversations": tbConversations, "unanswered": tbUnanswered,
			"first_reply_median_ms": tbMedianMS, "first_reply_p90_ms": tbP90MS,
			"unanswered_rate": float64(tbUnanswered) / tbConversations,
		} {
			if v := got(key); !near(v, want) {
				t.Errorf("%s: %s = %v, want %v", from, key, v, want)
			}
		}
		if skewed != tbSkewed {
			t.Errorf("%s: skewed = %v, want %d", from, skewed, tbSkewed)
		}
	}
	a := object(t, usher(t, "analyze", input, "--json"))
	figures("analyze", func(k string) float64 { return a[k].(float64) }, a["skewed"].(float64))

	data := filepath.Join(t.TempDir(), "data")
	d := object(t, usher(t, "demo", "--data", data, "--input", input, "--exit", "--json"))
	kpis := d["kpis"].(map[string]any)
	figures("demo", func(k string) float64 { return kpis[k].(float64) }, d["skewed"].(float64))
	if d["events"].(float64) != tbEvents || d["dead_letters"].(float64) != 0 || d["gaps"].(float64) != 0 {
		t.Errorf("demo: %v events, %v dead letters, %v gaps, want %d, 0, 0",
			d["events"], d["dead_letters"], d["gaps"], tbEvents)
	}
	audit := d["audit"].(map[string]any)
	if audit["missing"].(float64) != 0 || audit["duplicated"].(float64) != 0 {
		t.Errorf("demo: audit %v", audit)
	}
	for k := range kpis {
		if a[k] != kpis[k] {
			t.Errorf("%s: analyze says %v, demo %v", k, a[k], kpis[k])
		}
	}

	s := openStore(t, data)
	sql := map[string]string{
		"conversations":         "SELECT uniqExact(tenant, conversation_id) FROM conversations_latest",
		"unanswered":            "SELECT sum(num) FROM kpi_unanswered",
		"unanswered_rate":       "SELECT sum(num) / sum(den) FROM kpi_unanswered",
		"first_reply_median_ms": "SELECT quantileExact(0.5)(value) FROM kpi_first_reply_human",
		"first_reply_p90_ms":    "SELECT quantileExact(0.9)(value) FROM kpi_first_reply_human",
	}
	figures("SQL", func(k string) float64 { return s.number(sql[k]) },
		s.number("SELECT countIf(has(flags, 'clock_skew')) FROM events"))
}
