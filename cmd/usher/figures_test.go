package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"usher/bench/gen"
	"usher/sinks/clickhouse/embedded"
)

// needEngine skips where the engine's library is not there, unless it must be.
func needEngine(t *testing.T) {
	t.Helper()
	if _, err := embedded.LibraryPath(); err != nil {
		if os.Getenv("USHER_REQUIRE_ENGINE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// generated writes lifelike events of n conversations, good and broken ones, to a file.
func generated(t *testing.T, n int) string {
	t.Helper()
	g, err := gen.New(gen.Config{Seed: 11, Conversations: n, EndMS: 1793613600000})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "generated.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for rec := (gen.Record{}); g.Next(&rec); {
		if rec.Value == nil {
			continue // a tombstone is no line
		}
		if _, err := f.Write(append(append([]byte(nil), rec.Value...), '\n')); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Three ways to the same figures: analyze, the views, and what the demo reads from them.
func TestAnalyzeEqualsTheViews(t *testing.T) {
	needEngine(t)
	sorted := filepath.Join(t.TempDir(), "sorted.jsonl")
	call{args: []string{"import", "jsonl", generated(t, 400), "--out", sorted}}.good(t)
	data := filepath.Join(t.TempDir(), "data")
	demo := object(t, call{args: []string{
		"demo", "--data", data, "--input", sorted, "--exit", "--json",
	}}.good(t).stdout)
	analyzed := object(t, call{args: []string{"analyze", "--json", sorted}}.good(t).stdout)

	same := func(key string, a, b any) {
		t.Helper()
		if a != b {
			t.Errorf("%s: analyze says %v, the store %v", key, a, b)
		}
	}
	kpis := demo["kpis"].(map[string]any)
	if len(kpis) < 10 {
		t.Errorf("only %d figures", len(kpis))
	}
	for key, v := range kpis {
		same(key, analyzed[key], v)
		if v == nil {
			t.Errorf("%s is not known, the traffic is too poor to compare", key)
		}
	}
	for _, key := range []string{"events", "dead_letters", "skewed", "late", "duplicates"} {
		same(key, analyzed[key], demo[key])
	}
	ask := func(sql string) any {
		t.Helper()
		r := call{args: []string{"sql", "--data", data, "--format", "JSONCompactEachRow", sql}}.good(t)
		var row []any
		if err := json.Unmarshal([]byte(r.stdout), &row); err != nil {
			t.Fatalf("%s: %v", r.stdout, err)
		}
		return row[0]
	}
	bands := analyzed["decisions"].(map[string]any)
	for band, n := range bands {
		same(band, n, ask("SELECT toFloat64(count()) FROM decisions WHERE band = '"+band+"'"))
	}
	for key, sql := range map[string]string{
		"cycles":                     "SELECT toFloat64(sum(value)) FROM kpi_volume",
		"first_reply_any_median_ms":  "SELECT toFloat64(quantileExact(0.5)(value)) FROM kpi_first_reply_any",
		"first_reply_any_p90_ms":     "SELECT toFloat64(quantileExact(0.9)(value)) FROM kpi_first_reply_any",
		"next_reply_human_median_ms": "SELECT toFloat64(quantileExact(0.5)(value)) FROM kpi_next_reply_human",
		"next_reply_human_p90_ms":    "SELECT toFloat64(quantileExact(0.9)(value)) FROM kpi_next_reply_human",
		"dropped_rate":               "SELECT sum(num) / sum(den) FROM kpi_dropped",
		"satisfaction_rate":          "SELECT sum(num) / sum(den) FROM kpi_satisfaction",
	} {
		same(key, analyzed[key], ask(sql))
	}
	agents := analyzed["per_agent"].([]any)
	busiest := agents[0].(map[string]any)
	same("first replies of the busiest agent", busiest["first_replies"], ask(
		"SELECT toFloat64(count()) FROM kpi_first_reply_human WHERE agent_id = '"+
			busiest["agent_id"].(string)+"'"))
	same("next replies of the busiest agent", busiest["next_replies"], ask(
		"SELECT toFloat64(count()) FROM kpi_next_reply_human WHERE agent_id = '"+
			busiest["agent_id"].(string)+"'"))
}

// The player knows an import by its content: the second time nothing comes in.
func TestImportToAStoreTwice(t *testing.T) {
	needEngine(t)
	data := filepath.Join(t.TempDir(), "data")
	export := write(t, "export.jsonl", foreign)
	for range 2 {
		r := call{args: append([]string{"import", "jsonl", export, "--data", data}, foreignFlags...)}.good(t)
		if r.stdout != "" {
			t.Errorf("standard output: %q", r.stdout)
		}
	}
	r := call{args: []string{"sql", "--data", data, "--format", "TSV",
		"SELECT count(), countIf(has(flags, 'duplicate')) FROM events"}}.good(t)
	if r.stdout != "3\t0\n" {
		t.Errorf("events and duplicates: %q", r.stdout)
	}
}

// The audit counts exactly what was taken away and what was put in twice, also in what an earlier
// audit has passed.
func TestAuditSeesWhatIsDoneByHand(t *testing.T) {
	needEngine(t)
	data := filepath.Join(t.TempDir(), "data")
	call{args: []string{"demo", "--data", data, "--conversations", "60", "--exit", "--json"}}.good(t)
	audit := func(more ...string) (code int, missing, doubled any) {
		t.Helper()
		r := call{args: append([]string{"audit", "--data", data, "--json"}, more...)}.run(t)
		m := object(t, r.stdout)
		if len(m["partitions"].([]any)) < 6 {
			t.Errorf("too few partitions: %s", r.stdout)
		}
		return r.code, m["missing"], m["duplicated"]
	}
	expect := func(code int, missing, doubled any, wantCode int, wantMissing, wantDoubled any) {
		t.Helper()
		if code != wantCode || missing != wantMissing || doubled != wantDoubled {
			t.Errorf("exit code %d, missing %v, duplicated %v; want %d, %v, %v",
				code, missing, doubled, wantCode, wantMissing, wantDoubled)
		}
	}
	code, missing, doubled := audit()
	expect(code, missing, doubled, exitDone, 0.0, 0.0)

	sql := func(query string) { t.Helper(); call{args: []string{"sql", "--data", data, query}}.good(t) }
	const some = "SELECT _src_partition, _src_offset FROM events ORDER BY cityHash64(id, _src_offset)"
	sql("CREATE TABLE taken ENGINE = MergeTree ORDER BY tuple() AS " + some + " LIMIT 5")
	sql("CREATE TABLE twice ENGINE = MergeTree ORDER BY tuple() AS " + some + " LIMIT 10, 3")
	sql("ALTER TABLE events DELETE WHERE (_src_partition, _src_offset) IN (SELECT * FROM taken) " +
		"SETTINGS mutations_sync = 2")
	sql("INSERT INTO events SELECT * REPLACE (now64(3) + 60 AS _lease_until) FROM events " +
		"WHERE (_src_partition, _src_offset) IN (SELECT * FROM twice)")
	code, missing, doubled = audit()
	expect(code, missing, doubled, exitNotHeld, 5.0, 3.0)
	code, missing, doubled = audit("--incremental")
	expect(code, missing, doubled, exitDone, 0.0, 0.0)

	people := call{args: []string{"audit", "--data", data}}.run(t)
	has(t, "the text", people.stdout, "chat.events.v1", "usher.rows.v1", "missing 5, duplicated 3")
}

// object reads one JSON object.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return m
}
