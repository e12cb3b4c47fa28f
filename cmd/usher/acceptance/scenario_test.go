package acceptance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"usher/cmd/usher/acceptance/scenario"
)

var rewrite = flag.Bool("rewrite", false, "write the answers into the scenarios; read them before they count")

const scenarioFiles = "scenarios/*.txt"

// TestScenarios plays every file of scenarios/ through the real pipeline, in one run, each under a
// tenant of its own, and holds the views to what the file expects.
func TestScenarios(t *testing.T) {
	needEngine(t)
	all := readScenarios(t)
	dir := t.TempDir()
	input, config := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "usher.yaml")
	var lines []string
	for _, s := range all {
		for _, e := range s.Events {
			lines = append(lines, string(e))
		}
	}
	writeLines(t, input, lines)
	if err := os.WriteFile(config, scenarioConfig(t, all), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	result := object(t, usher(t, "--config", config, "demo", "--data", data, "--input", input, "--exit",
		"--json"))
	if result["events"].(float64) != float64(len(lines)) || result["dead_letters"].(float64) != 0 {
		t.Errorf("events %v, dead letters %v, want %d and none", result["events"], result["dead_letters"],
			len(lines))
	}
	store := openStore(t, data)
	shapes := kpiShapes(store)
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) { checkScenario(t, store.addr, s, shapes) })
	}
}

func checkScenario(t *testing.T, addr string, s *scenario.Scenario, shapes map[string]scenario.Shape) {
	store := &store{t: t, addr: addr}
	var answers []string
	for _, q := range s.Questions {
		shape, ok := shapes[q.KPI]
		if q.KPI != "" && !ok {
			t.Fatalf("there is no kpi_%s", q.KPI)
		}
		got := s.Answer(&q, shape, store.query(s.Query(&q, shape)))
		answers = append(answers, got)
		if got != q.Want && !*rewrite {
			t.Errorf("%s%s\n got %s\nwant %s", q.KPI, q.SQL, got, q.Want)
		}
	}
	if *rewrite {
		file := strings.Replace(scenarioFiles, "*", s.Name, 1)
		if err := os.WriteFile(file, []byte(s.Rewrite(answers)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readScenarios(t *testing.T) []*scenario.Scenario {
	t.Helper()
	files, err := filepath.Glob(scenarioFiles)
	if err != nil || len(files) < 17 {
		t.Fatalf("found %d scenarios (%v), there are seventeen edge cases", len(files), err)
	}
	var all []*scenario.Scenario
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := scenario.Parse(strings.TrimSuffix(filepath.Base(file), ".txt"), string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// scenarioConfig gives each scenario's tenant its zone, calendar and promises.
func scenarioConfig(t *testing.T, all []*scenario.Scenario) []byte {
	t.Helper()
	tenants, calendars := map[string]any{}, map[string]any{}
	var promises []map[string]any
	for _, s := range all {
		tenant := map[string]any{"zone": s.Zone.String()}
		if s.Hours != nil {
			tenant["calendar"], calendars[s.Name] = s.Name, s.Hours
		}
		tenants[s.Name] = tenant
		promises = append(promises, s.Promises...)
	}
	b, err := yaml.Marshal(map[string]any{
		"tenants": tenants, "calendars": calendars, "sla": promises,
		"privacy":    map[string]any{"conversation_ids": "keep"},
		"classifier": map[string]any{"auto": false}, // so that no decision moves a conversation
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kpiShapes asks the store for the columns and units of its KPI views.
func kpiShapes(s *store) map[string]scenario.Shape {
	shapes := make(map[string]scenario.Shape)
	for _, row := range s.query("SELECT name, unit FROM kpi_definitions FINAL") {
		shapes[fmt.Sprint(row[0])] = scenario.Shape{Unit: fmt.Sprint(row[1]), Columns: map[string]bool{}}
	}
	for _, row := range s.query("SELECT substring(table, 5), name FROM system.columns WHERE database = " +
		"'usher' AND startsWith(table, 'kpi_')") {
		if shape, ok := shapes[fmt.Sprint(row[0])]; ok {
			shape.Columns[fmt.Sprint(row[1])] = true
		}
	}
	return shapes
}
