package main

import (
	"strings"
	"testing"

	"usher/sinks/clickhouse/embedded/embeddedtest"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/migrate"
)

// TestUnfitTables: engines and windows that lose or double rows without a word.
func TestUnfitTables(t *testing.T) {
	const window = " SETTINGS non_replicated_deduplication_window = 10000"
	check := func(engine, create, want string) {
		t.Helper()
		got := strings.Join(unfitTables(map[string]storedTable{"events": {engine, create}}), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s %s: %q, want %q", engine, create, got, want)
		}
	}
	check("MergeTree", "CREATE TABLE events"+window, "")
	check("MergeTree", "CREATE TABLE events", "non_replicated_deduplication_window is 0, needs 10000")
	check("MergeTree", "CREATE TABLE events"+strings.ReplaceAll(window, "10000", "0"), "MODIFY SETTING")
	check("MergeTree", "CREATE TABLE events"+strings.ReplaceAll(window, "10000", "100"), "is 100")
	check("ReplicatedMergeTree", "CREATE TABLE events"+window, " replicated_deduplication_window is 0")
	check("SharedMergeTree", "CREATE TABLE events"+window, " replicated_deduplication_window is 0")
	own := window + ", replicated_deduplication_window = 10000"
	check("SharedReplacingMergeTree", "CREATE TABLE events"+own, "")
	check("ReplicatedMergeTree", "CREATE TABLE events"+own+
		", replicated_deduplication_window_seconds = 60", "window_seconds is 60, needs 600")
	check("ReplicatedMergeTree", "CREATE TABLE events"+own+
		", replicated_deduplication_window_seconds = 3600", "")
	check("Distributed", "CREATE TABLE events", "it must be a MergeTree")
	check("Null", "CREATE TABLE events", "it must be a MergeTree")
	got := unfitTables(map[string]storedTable{
		"v":     {"MaterializedView", "CREATE MATERIALIZED VIEW usher.v TO usher.daily AS SELECT 1"},
		"daily": {"SummingMergeTree", "CREATE TABLE daily"},
		"r":     {"MaterializedView", "CREATE MATERIALIZED VIEW usher.r REFRESH EVERY 1 HOUR TO usher.x AS"},
		"x":     {"MergeTree", "CREATE TABLE x"},
	})
	if len(got) != 1 || !strings.Contains(got[0], "daily (target of a materialized view") {
		t.Errorf("materialized views: %q", got)
	}
}

// TestRunRefusesAStoreWithoutWindows: what usher check says, run holds to.
func TestRunRefusesAStoreWithoutWindows(t *testing.T) {
	addr := embeddedtest.Start(t)
	env, _ := startFake(t)
	env = append(env, "USHER_CLICKHOUSE_ADDR="+addr, "USHER_PRIVACY_KEY=a key that is long enough for a test",
		"USHER_ADMIN_ADDR=127.0.0.1:0")
	call{args: []string{"schema", "--apply"}, env: env}.good(t)
	call{args: []string{"topics", "--apply"}, env: env}.good(t)
	r := call{args: []string{"check"}, env: env}.good(t)
	has(t, "a check of what is right", r.stdout, "version "+testedClickHouse, "deduplication windows of every")
	conn := enginetest.Connect(t, addr, migrate.DefaultDatabase)
	enginetest.Exec(t, conn, "ALTER TABLE turns MODIFY SETTING non_replicated_deduplication_window = 0")
	want := "ALTER TABLE turns MODIFY SETTING non_replicated_deduplication_window = 10000"
	r = call{args: []string{"check"}, env: env}.run(t)
	if has(t, "a check without a window", r.stdout, want); r.code != exitNotHeld {
		t.Errorf("a check without a window ends with %d", r.code)
	}
	r = call{args: []string{"run", "--only", "sink"}, env: env}.run(t)
	if has(t, "a run without a window", r.err, "refuses", want); r.code != exitUsage {
		t.Errorf("a run without a window ends with %d", r.code)
	}
}

// TestDamageIsFoundAndRepaired damages the store of a demo by hand.
func TestDamageIsFoundAndRepaired(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a demo")
	}
	embeddedtest.Start(t) // skips where there is no engine
	dir := t.TempDir()
	empty := usher(t, "audit", "--data", dir)
	if has(t, "an audit of nothing", empty.err, "usher demo --data"); empty.code == exitDone {
		t.Error("an audit of nothing holds")
	}
	data := func(args ...string) []string { return append(args, "--data", dir) }
	call{args: data("demo", "--conversations", "60", "--exit", "--json")}.good(t)
	call{args: data("audit")}.good(t)
	sql := func(query string) string {
		t.Helper()
		return strings.TrimSpace(call{args: data("sql", query)}.good(t).stdout)
	}
	sums := func() (out string) {
		for _, table := range []string{"events", "turns", "decisions", "delivery_manifest"} {
			out += sql("SELECT count(), sum(cityHash64(* EXCEPT (_lease_until))) FROM " + table + " FORMAT TSV")
		}
		return out
	}
	before := sums()
	for _, table := range []string{"events", "turns", "decisions"} {
		sql("ALTER TABLE " + table + " DELETE WHERE _sub % 3 = 1 SETTINGS mutations_sync = 1")
	}
	r := call{args: data("audit")}.run(t)
	if has(t, "an audit of damage", r.err, "usher audit --repair"); r.code != exitNotHeld {
		t.Errorf("an audit of damage ends with %d", r.code)
	}
	r = call{args: data("audit", "--repair")}.good(t)
	has(t, "a repair", r.stdout, "put back  decisions:", "put back  events:", "missing 0, duplicated 0")
	if after := sums(); after != before {
		t.Errorf("after the repair: %s, before: %s", after, before)
	}
	// A lease of its own: that of the rows may be over, and then ClickHouse refuses them.
	sql("INSERT INTO turns SELECT * REPLACE (now64(3) + 3600 AS _lease_until) FROM turns LIMIT 3 " +
		"SETTINGS insert_deduplicate = 0")
	r = call{args: data("audit", "--repair")}.run(t)
	_, statement, ok := strings.Cut(r.stdout, "  OPTIMIZE TABLE")
	if statement, _, _ = strings.Cut(statement, ";"); !ok || r.code != exitNotHeld {
		t.Fatalf("an audit of doubled rows ends with %d:\n%s", r.code, r.stdout)
	}
	sql("OPTIMIZE TABLE" + statement)
	call{args: data("audit")}.good(t)
	if after := sums(); after != before {
		t.Errorf("after the statement: %s, before: %s", after, before)
	}
	// What was removed on purpose is declared, and neither missed nor put back any more.
	sql("ALTER TABLE events DELETE WHERE _src_partition = 0 SETTINGS mutations_sync = 1")
	r = call{args: data("audit", "--declare", "erased", "--dry-run")}.run(t)
	if has(t, "a dry run", r.stdout, "erased  chat.events.v1/0 offsets "); r.code != exitNotHeld {
		t.Errorf("a dry run ends with %d", r.code)
	}
	has(t, "a declaration", call{args: data("audit", "--declare", "erased")}.good(t).stdout,
		"erased  usher.rows.v1/0 offsets ", "missing 0, duplicated 0")
	call{args: data("audit", "--repair")}.good(t)
	if n := sql("SELECT count() FROM events WHERE _src_partition = 0 FORMAT TSV"); n != "0" {
		t.Errorf("%s erased events came back", n)
	}
}

// TestDeclareAsksForACause: the causes that the router finds out are not to be claimed.
func TestDeclareAsksForACause(t *testing.T) {
	for _, args := range [][]string{
		{"--declare", "expired"}, {"--declare", "operator", "--incremental"},
		{"--declare", "operator", "--repair"}, {"--dry-run"},
	} {
		if r := usher(t, append([]string{"audit"}, args...)...); r.code != exitUsage {
			t.Errorf("audit %v ends with %d", args, r.code)
		}
	}
}
