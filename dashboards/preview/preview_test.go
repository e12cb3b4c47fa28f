package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/dashboards"
	"usher/sinks/clickhouse/embedded/embeddedtest"
	"usher/sinks/clickhouse/enginetest"
)

// storeOf asks a connection as the page asks its store.
func storeOf(conn driver.Conn) Store {
	return func(ctx context.Context, sql string, set map[string]string) (io.ReadCloser, error) {
		settings := clickhouse.Settings{}
		for name, value := range set {
			settings[name] = value
		}
		return conn.QueryFormat(clickhouse.Context(ctx, clickhouse.WithSettings(settings)),
			"JSONCompact", sql)
	}
}

// tried is a board whose queries are about nothing but the page's own handling.
const tried = `{"uid": "tried", "title": "tried", "templating": {"list": [
 {"type": "datasource", "name": "datasource"},
 {"type": "query", "name": "who", "multi": true, "includeAll": true, "allValue": "'(all)'",
  "query": "SELECT replaceAll(w, '''', '\\\\\\'') AS value, w AS text FROM (SELECT arrayJoin(['a', 'o''b']) AS w)"},
 {"type": "custom", "name": "share", "options": [{"value": "0.5"}, {"value": "0.9"}],
  "current": {"value": "0.5"}},
 {"type": "textbox", "name": "id", "current": {"value": ""}}]},
 "panels": [
 {"id": 1, "type": "timeseries", "interval": "10m", "targets": [{"refId": "A", "format": 0, "rawSql":
  "SELECT $__timeInterval(t) AS time, count() AS n FROM (SELECT toDateTime('2026-11-20 10:00:00', 'UTC') + number * 60 AS t, if(number % 2 = 0, 'a', 'o''b') AS who FROM numbers(120)) WHERE $__timeFilter(t) AND ('(all)' IN ($who) OR who IN ($who)) GROUP BY time ORDER BY time"}]},
 {"id": 2, "type": "table", "targets": [{"refId": "A", "format": 1, "rawSql": "SELECT number FROM numbers(70000)"}]},
 {"id": 3, "type": "table", "targets": [{"refId": "A", "format": 1, "rawSql": "CREATE TABLE usher_was_here (a Int8) ENGINE = Memory"}]},
 {"id": 4, "type": "row", "panels": [{"id": 5, "type": "stat", "targets": [
  {"refId": "A", "format": 1, "rawSql": "SELECT quantile($share)(number) AS q, '$id' AS id FROM numbers(101)"}]}]}]}`

// server is a page over the real engine.
func server(t *testing.T, boards ...string) *Page {
	t.Helper()
	var raw [][]byte
	for _, b := range boards {
		raw = append(raw, []byte(b))
	}
	conn := enginetest.Connect(t, embeddedtest.Start(t), "default")
	p, err := newPage(Config{Store: storeOf(conn), Log: slog.New(slog.DiscardHandler)}, raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// get asks the page; want is the status.
func get(t *testing.T, p *Page, want int, path string) map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost:9464"
	p.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("GET %s answered %d, want %d: %s", path, w.Code, want, w.Body)
	}
	var body map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &body)
	return body
}

const hours = "from=1795168800000&to=1795176000000" // 2026-11-20 10:00 to 12:00 UTC

// rows are those of the first frame, as text.
func rows(body map[string]any) string {
	frames, _ := body["frames"].([]any)
	if len(frames) == 0 {
		return "no frame"
	}
	frame, _ := frames[0].(map[string]any)
	return fmt.Sprint(frame["rows"])
}

func TestPanelOnEngine(t *testing.T) {
	p := server(t, tried)
	check := func(query, want string) {
		t.Helper()
		got := rows(get(t, p, 200, "/api/boards/tried/panels/"+query))
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s answered %s, want %s", query, got, want)
		}
	}
	check("1?"+hours+"&points=10", "[[2026-11-20T10:00:00Z 10] [2026-11-20T10:10:00Z 10]")
	check("1?"+hours+"&points=10&var-who=a", "[[2026-11-20T10:00:00Z 5]")
	check("1?"+hours+"&points=10&var-who=$__all", "[[2026-11-20T10:00:00Z 10]")
	check("1?"+hours+"&var-who=a&var-who="+url.QueryEscape(`o'b`), "[[2026-11-20T10:00:00Z 10]")
	check("1?"+hours+"&var-who="+url.QueryEscape(`o\'b`), "[[2026-11-20T10:00:00Z 5]")
	for _, hostile := range []string{`x') OR 1 = 1 --`, `x\`, `x\\' OR 1 = 1`, `$__all'`, `') /*`,
		`$__timeFilter(t)`} {
		check("1?"+hours+"&var-who="+url.QueryEscape(hostile), "[]")
	}
	check("5?"+hours, "[[50 ]]")
	check("5?"+hours+"&var-share=0.9&var-id="+url.QueryEscape(`o'b\ $__toTime`), `[[90 o'b\ $__toTime]]`)

	options := get(t, p, 200, "/api/boards/tried/variables/who?"+hours)["options"]
	if got := fmt.Sprint(options); got != `[map[text:a value:a] map[text:o'b value:o\'b]]` {
		t.Errorf("options are %s", got)
	}
}

// What a query may not do, whatever a board says.
func TestLimitsOnEngine(t *testing.T) {
	p := server(t, tried)
	frame := get(t, p, 200, "/api/boards/tried/panels/2?"+hours)["frames"].([]any)[0].(map[string]any)
	if n := len(frame["rows"].([]any)); n != rowsMax || frame["truncated"] != true {
		t.Errorf("%d rows, truncated %v; want %d and true", n, frame["truncated"], rowsMax)
	}
	get(t, p, 502, "/api/boards/tried/panels/3?"+hours)
	f, err := p.run(t.Context(), "SELECT count() FROM system.tables WHERE name = 'usher_was_here'")
	if err != nil || fmt.Sprint(f.Rows) != "[[0]]" {
		t.Errorf("a panel could write: %v %v", f.Rows, err)
	}
}

func TestRefused(t *testing.T) {
	p, err := newPage(Config{Store: func(context.Context, string, map[string]string) (io.ReadCloser, error) {
		return nil, errors.New("nobody may ask")
	}, Log: slog.New(slog.DiscardHandler)}, [][]byte{[]byte(tried)})
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "from=1&to=x", "from=2&to=2", "from=-1&to=5",
		"from=1&to=40000000000000", "from=0&to=1795176000000", hours + "&points=9",
		hours + "&points=9999", hours + "&sql=SELECT", hours + "&var-other=1", hours + "&var-share=1",
		hours + "&var-who=%00", hours + "&var-who=%ff", hours + "&var-who=" + strings.Repeat("x", 257),
		hours + strings.Repeat("&var-who=x", 101)} {
		body := get(t, p, 400, "/api/boards/tried/panels/1?"+query)
		if text, _ := body["error"].(string); text == "" {
			t.Errorf("%q is refused without a word", query)
		}
	}
	get(t, p, 404, "/api/boards/tried/panels/9?"+hours)
	get(t, p, 404, "/api/boards/none/panels/1?"+hours)
	get(t, p, 404, "/api/boards/tried/variables/share?"+hours)
	get(t, p, 404, "/api/explain/"+strings.Repeat("a", 32))
	get(t, p, 502, "/api/boards/tried/panels/1?"+hours)
}

// TestGuard: no other site reads the page, under a name of its own or from its own scripts.
func TestGuard(t *testing.T) {
	p, err := newPage(Config{Log: slog.New(slog.DiscardHandler)}, [][]byte{[]byte(tried)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(host, site, path string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		r.Header.Set("Sec-Fetch-Site", site)
		p.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		host, site, path string
		want             int
	}{
		{"localhost:9464", "none", "/", 200}, {"127.0.0.1", "same-origin", "/api/boards", 200},
		{"[::1]:9464", "", "/d/tried", 200}, {"localhost", "cross-site", "/d/tried", 200},
		{"localhost", "cross-site", "/api/boards", 403}, {"localhost", "same-site", "/api/boards", 403},
		{"evil.example", "same-origin", "/api/boards", 403}, {"evil.example:80", "none", "/", 403},
		{"127.0.0.1.evil.example", "none", "/", 403}, {"", "none", "/", 403},
		{"localhost", "none", "/assets/main.js", 200}, {"localhost", "none", "/assets/none.js", 404},
	} {
		w := ask(c.host, c.site, c.path)
		if w.Code != c.want {
			t.Errorf("%+v: status %d", c, w.Code)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%+v: no policy", c)
		}
	}
	if w := ask("localhost", "none", "/"); strings.Contains(w.Body.String(), "<script>") {
		t.Error("the page holds a script that its policy forbids")
	}
}

// A value that is free text must stand between quotes: outside them no escaping helps.
func TestUnsafeBoardIsRefused(t *testing.T) {
	for _, sql := range []string{"SELECT $id", "SELECT '$id', ${id}", "SELECT '\\\\', $id", "SELECT $nobody"} {
		text := strings.Replace(tried, `SELECT number FROM numbers(70000)`, strings.ReplaceAll(sql, `\`, `\\`), 1)
		if _, err := readBoard([]byte(text)); err == nil {
			t.Errorf("a board with %q is taken", sql)
		}
	}
	if _, err := readBoard([]byte(tried)); err != nil {
		t.Error(err)
	}
}

// TestEveryBoardOnEngine asks every panel, variable and annotation of usher's boards, as the page
// would, on usher's own schema; and no SQL of theirs goes to the browser.
func TestEveryBoardOnEngine(t *testing.T) {
	conn := enginetest.Open(t)
	p, err := New(Config{Store: storeOf(conn), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := dashboards.Boards()
	if err != nil || len(raw) == 0 || p.boards[0].UID != "usher-service" {
		t.Fatalf("%d boards, the first is %s, %v", len(raw), p.boards[0].UID, err)
	}
	asked := 0
	for _, b := range p.boards {
		path := "/api/boards/" + b.UID
		if model := fmt.Sprint(get(t, p, 200, path)); strings.Contains(model, "SELECT") {
			t.Errorf("%s: SQL goes to the browser", b.UID)
		}
		for _, panel := range b.all() {
			get(t, p, 200, fmt.Sprintf("%s/panels/%d?%s&points=100", path, panel.ID, hours))
			asked += len(panel.Targets)
		}
		for i := range b.Templating.List {
			if v := &b.Templating.List[i]; v.sql() != "" {
				get(t, p, 200, path+"/variables/"+v.Name+"?"+hours)
			}
		}
		get(t, p, 200, path+"/annotations?"+hours)
	}
	if asked < 10 {
		t.Errorf("only %d queries were asked", asked)
	}
}
