package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/embedded/embeddedtest"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/views"
)

func TestComposeKPI(t *testing.T) {
	composes := func(view, columns, by, since, want string) {
		t.Helper()
		var group []string
		if by != "" {
			group = strings.Split(by, ",")
		}
		condition, err := sinceCondition(since)
		if err != nil {
			t.Fatal(err)
		}
		if got := composeKPI(view, strings.Fields(columns), group, condition); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
	composes("kpi_missed", "day num den", "", "",
		"SELECT sum(num) AS n, sum(den) AS d, round(sum(num) / sum(den), 4) AS rate FROM kpi_missed")
	composes("kpi_first_reply_human", "day value", "channel,lang", "7d",
		"SELECT channel, lang, count(value) AS n, quantileExact(0.5)(value) AS p50, "+
			"quantileExact(0.9)(value) AS p90, round(avg(value)) AS mean FROM kpi_first_reply_human "+
			"WHERE day >= today() - 7 GROUP BY channel, lang ORDER BY channel, lang")
	composes("kpi_volume", "day value", "day", "2026-11-01",
		"SELECT day, sum(value) AS n FROM kpi_volume WHERE day >= '2026-11-01' GROUP BY day ORDER BY day")
	composes("kpi_volume", "day value", "", "90m",
		"SELECT sum(value) AS n FROM kpi_volume WHERE counted_at >= now() - INTERVAL 5400 SECOND")
	for _, bad := range []string{"yesterday", "-3d", "0h", "2026-13-01", "7d'; DROP TABLE events"} {
		if _, err := sinceCondition(bad); err == nil {
			t.Errorf("--since %q is taken", bad)
		}
	}
}

// TestEveryKPIAnswersTheShortForm: usher sql --kpi NAME --by channel --since 7d writes a query that the
// engine answers, for every KPI.
func TestEveryKPIAnswersTheShortForm(t *testing.T) {
	conn := enginetest.Open(t)
	rows := enginetest.Query(t, conn, "SELECT table, arrayStringConcat(groupArray(name), ' ') FROM "+
		"(SELECT table, name FROM system.columns WHERE database = currentDatabase() AND "+
		"startsWith(table, 'kpi_') ORDER BY table, position) GROUP BY table")
	columns := map[string][]string{}
	for _, line := range strings.Split(rows, "\n") {
		table, names, _ := strings.Cut(line, "\t")
		columns[table] = strings.Fields(names)
	}
	since, err := sinceCondition("7d")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range views.KPIs() {
		if columns[k.View()] == nil {
			t.Errorf("there is no %s", k.View())
		}
		enginetest.Query(t, conn, composeKPI(k.View(), columns[k.View()], []string{"channel"}, since))
	}
}

func TestReadingOfCreateStatements(t *testing.T) {
	setting := func(create string, want int64) {
		t.Helper()
		if got, _ := tableSetting(create, "replicated_deduplication_window"); got != want {
			t.Errorf("%s: %d, want %d", create, got, want)
		}
	}
	setting("CREATE TABLE t ENGINE = x SETTINGS index_granularity = 8192, replicated_deduplication_window = 7", 7)
	setting("CREATE TABLE t ENGINE = x SETTINGS non_replicated_deduplication_window = 7", 0)
	setting("CREATE TABLE t ENGINE = x SETTINGS non_replicated_deduplication_window = 7, replicated_deduplication_window = 8", 8)
	setting("CREATE TABLE t ENGINE = x", 0)
	target := func(create, want string) {
		t.Helper()
		if got := viewTarget(create); got != want {
			t.Errorf("%s: %q, want %q", create, got, want)
		}
	}
	target("CREATE MATERIALIZED VIEW usher.v TO usher.daily (`day` Date) AS SELECT 1", "daily")
	target("CREATE MATERIALIZED VIEW usher.v TO `usher`.`daily` AS SELECT 1", "daily")
	target("CREATE MATERIALIZED VIEW usher.v ENGINE = Memory AS SELECT 1", "")
}

// The configured server is asked as ClickHouse wants it, and what it says comes through.
func TestSQLOverHTTP(t *testing.T) {
	var seen *http.Request
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen, asked = r, string(b)
		if strings.Contains(asked, "nosuch") {
			w.Header().Set("X-ClickHouse-Exception-Code", "60")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "Code: 60. DB::Exception: no such table\n")
			return
		}
		_, _ = io.WriteString(w, "n\n1\n")
	}))
	defer server.Close()
	env := []string{"USHER_CLICKHOUSE_ADDR=" + server.Listener.Addr().String(), "USHER_CLICKHOUSE_USER=me",
		"USHER_CLICKHOUSE_PASSWORD=hunter2", "USHER_CLICKHOUSE_DATABASE=chats"}
	r := call{args: []string{"sql", "SELECT", "1"}, env: env}.good(t)
	if r.stdout != "n\n1\n" || asked != "SELECT 1" || seen.Method != http.MethodPost {
		t.Errorf("answer %q to %s %q", r.stdout, seen.Method, asked)
	}
	q := seen.URL.Query()
	if q.Get("database") != "chats" || q.Get("default_format") != formatPipe ||
		seen.Header.Get("X-ClickHouse-User") != "me" || seen.Header.Get("X-ClickHouse-Key") != "hunter2" {
		t.Errorf("asked with %v %v", q, seen.Header)
	}
	if strings.Contains(seen.URL.String(), "hunter2") {
		t.Error("the password is in the address, where servers log it")
	}
	call{args: []string{"sql", "--format", "JSON", "-"}, stdin: "SELECT 2", env: env}.good(t)
	if asked != "SELECT 2" || seen.URL.Query().Get("default_format") != "JSON" {
		t.Errorf("from standard input: %q as %q", asked, seen.URL.Query().Get("default_format"))
	}
	r = call{args: []string{"sql", "SELECT * FROM nosuch"}, env: env}.run(t)
	if r.code != exitFailed || r.stdout != "" {
		t.Errorf("exit code %d, output %q", r.code, r.stdout)
	}
	has(t, "the error", r.err, "error 60", "no such table", "usher schema --apply")
}

// The real engine: schema twice, views listed, a KPI asked for, the windows found and missed.
func TestSQLOnTheEngine(t *testing.T) {
	addr := embeddedtest.Start(t)
	env := []string{"USHER_CLICKHOUSE_ADDR=" + addr}
	for range 2 {
		call{args: []string{"schema", "--apply"}, env: env}.good(t)
	}
	r := call{args: []string{"sql"}, env: env}.good(t)
	has(t, "the list of views", r.stdout, "view\tdefinition", "kpi_first_reply_human\t", "turns_latest\t")
	r = call{args: []string{"sql", "--kpi", "unanswered", "--by", "channel", "--since", "7d"}, env: env}.good(t)
	has(t, "the KPI", r.stdout, "SELECT channel, sum(num)", "FROM kpi_unanswered WHERE day", "channel\tn\td\trate")
	r = call{args: []string{"sql", "--kpi", "kpi_volume", "--format", "JSONEachRow"}, env: env}.good(t)
	if strings.Contains(r.stdout, "SELECT") || !strings.Contains(r.err, "SELECT sum(value)") {
		t.Errorf("with a format the query goes to standard error:\n%s%s", r.stdout, r.err)
	}
	r = call{args: []string{"sql", "--kpi", "unansw"}, env: env}.run(t)
	if r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
	has(t, "the error", r.err, "near: kpi_unanswered")
	r = call{args: []string{"sql", "--kpi", "missed", "--by", "x); DROP TABLE events"}, env: env}.run(t)
	if r.code != exitUsage || !strings.Contains(r.err, "has no column") {
		t.Errorf("a column that is none: exit code %d, %s", r.code, r.err)
	}

	s := &store{base: "http://" + addr + "/", database: config.Default().ClickHouse.Database,
		client: &http.Client{}, where: "the engine"}
	f := checked(t, s)
	has(t, "check", f, "ok    deduplication windows", "ok    schema: every table", "ok    clocks agree",
		"ok    partition counts", "ok    partitioners")
	for _, sql := range []string{
		"ALTER TABLE " + schema.TableTurns + " MODIFY SETTING non_replicated_deduplication_window = 100",
		"DROP TABLE " + schema.TableAudit,
		"CREATE TABLE daily (tenant String) ENGINE = MergeTree ORDER BY tenant",
		"CREATE MATERIALIZED VIEW feed TO daily AS SELECT tenant FROM turns",
		"INSERT INTO events (tenant, source, flags, _lease_until) VALUES ('t', 'crm', ['misplaced'], now64(3) + 60)",
	} {
		if err := s.exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	has(t, "check", checked(t, s), "BAD   table turns (ingest, MergeTree): non_replicated_deduplication_window is 100, needs 10000",
		"ALTER TABLE turns MODIFY SETTING", "BAD   tables are missing: delivery_audit",
		"BAD   table daily (target of a materialized view, MergeTree): non_replicated_deduplication_window is 0",
		`BAD   source "crm": 1 events lie in another partition`, "partitioner=murmur2_random")
}

// checked returns what `usher check` says of a store.
func checked(t *testing.T, s *store) string {
	t.Helper()
	var out strings.Builder
	a := &app{streams: streams{out: &out, err: io.Discard}, cfg: config.Default()}
	a.checkStore(context.Background(), &findings{app: a}, s)
	return out.String()
}
