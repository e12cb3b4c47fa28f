package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// example is one worked example of the contract.
type example struct {
	Name   string            `json:"name"`
	Events []json.RawMessage `json:"events"`
	Orders [][]int           `json:"orders"`
	Expect []struct {
		SQL     string         `json:"sql"`
		Rows    [][]any        `json:"rows"`
		Analyze map[string]any `json:"analyze"`
	} `json:"expect"`
}

// TestWorkedExamples plays every example in every arrival order, each under a tenant of its own,
// through the real pipeline in one run, and asks what the examples ask.
func TestWorkedExamples(t *testing.T) {
	needEngine(t)
	b, err := os.ReadFile(shared(t, "conformance", "examples.json"))
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	if err := json.Unmarshal(b, &examples); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	input := filepath.Join(dir, "events.jsonl")
	var lines []string
	for i, x := range examples {
		for j, order := range x.Orders {
			lines = append(lines, x.lines(tenant(i, j), order)...)
		}
	}
	writeLines(t, input, lines)
	data := filepath.Join(dir, "data")
	result := object(t, usher(t, "demo", "--data", data, "--input", input, "--exit", "--json"))
	if got := result["events"].(float64) + result["dead_letters"].(float64); got != float64(len(lines)) {
		t.Errorf("events + dead letters = %v, the file has %d lines", got, len(lines))
	}
	s := openStore(t, data)
	views := make(map[string]bool)
	for _, row := range s.query("SELECT name FROM system.tables WHERE database = 'usher'") {
		views[row[0].(string)] = true
	}
	asked, skipped := 0, make(map[string]int)
	for i, x := range examples {
		t.Run(x.Name, func(t *testing.T) {
			s := &store{t: t, addr: s.addr}
			for j, order := range x.Orders {
				asked += x.check(s, tenant(i, j), order, views, skipped)
			}
		})
	}
	t.Logf("%d questions answered; views that do not exist yet: %v", asked, skipped)
	if asked < 300 {
		t.Errorf("only %d questions were asked", asked)
	}
}

func tenant(i, j int) string { return fmt.Sprintf("x%do%d", i, j) }

func (x *example) lines(tenant string, order []int) []string {
	var out []string
	for _, k := range order {
		out = append(out, strings.ReplaceAll(string(x.Events[k]), "{t}", tenant))
	}
	return out
}

var relation = regexp.MustCompile(`(?i)\bFROM ([a-z_]+)`)

// check asks every question of the example under one tenant and returns how many it asked.
func (x *example) check(s *store, tenant string, order []int, views map[string]bool,
	skipped map[string]int,
) (asked int) {
	s.t.Helper()
	for _, want := range x.Expect {
		if want.Analyze != nil {
			asked++
			x.analyze(s.t, tenant, order, want.Analyze)
			continue
		}
		missing := ""
		for _, m := range relation.FindAllStringSubmatch(want.SQL, -1) {
			if !views[m[1]] {
				missing = m[1]
			}
		}
		if missing != "" {
			skipped[missing]++
			continue
		}
		asked++
		sql := strings.ReplaceAll(want.SQL, "{t}", tenant)
		got, expected := canonical(s.query(sql)), canonical(want.Rows)
		expected = strings.ReplaceAll(expected, "{t}", tenant)
		if got != expected {
			s.t.Errorf("order %v: %s\n got %s\nwant %s", order, sql, got, expected)
		}
	}
	return asked
}

func (x *example) analyze(t *testing.T, tenant string, order []int, want map[string]any) {
	t.Helper()
	input := filepath.Join(t.TempDir(), "events.jsonl")
	writeLines(t, input, x.lines(tenant, order))
	got := object(t, usher(t, "analyze", input, "--json"))
	for key, value := range want {
		have, ok := got[key]
		if !ok || canonical([][]any{{have}}) != canonical([][]any{{value}}) {
			t.Errorf("order %v: analyze %s = %v, want %v", order, key, have, value)
		}
	}
}

// canonical writes rows as a set: sorted, numbers by value.
func canonical(rows [][]any) string {
	out := make([]string, len(rows))
	for i, row := range rows {
		cells := make([]string, len(row))
		for j, v := range row {
			switch v := v.(type) {
			case float64:
				cells[j] = fmt.Sprintf("%g", v)
			default:
				cells[j] = fmt.Sprintf("%q", fmt.Sprint(v))
			}
		}
		out[i] = strings.Join(cells, ",")
	}
	sort.Strings(out)
	return "[" + strings.Join(out, " | ") + "]"
}

func writeLines(t *testing.T, path string, lines []string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
