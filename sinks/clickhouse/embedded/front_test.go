package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"usher/sinks/clickhouse/embedded"
	"usher/sinks/clickhouse/embedded/embeddedtest"
)

func open(t *testing.T, addr string, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	o := &clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{addr}}
	if change != nil {
		change(o)
	}
	c, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func execute(t *testing.T, c driver.Conn, sql string, args ...any) {
	t.Helper()
	if err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func scan[T any](t *testing.T, c driver.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

const ingestTable = `CREATE TABLE t (a Int64, s LowCardinality(String), lease DateTime64(3, 'UTC'),
	n Nullable(Int64), tags Array(String), m Map(String, String),
	CONSTRAINT not_expired CHECK lease > now64(3)) ENGINE = MergeTree ORDER BY a
	SETTINGS non_replicated_deduplication_window = 10000`

// insertColumns writes n rows from first on by columns, as the sink does.
func insertColumns(ctx context.Context, c driver.Conn, first, n int, lease time.Time) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithColumnNamesAndTypes([]clickhouse.ColumnNameAndType{
		{Name: "a", Type: "Int64"}, {Name: "s", Type: "String"}, {Name: "lease",
			Type: "DateTime64(3, 'UTC')"},
		{Name: "n", Type: "Nullable(Int64)"}, {Name: "tags", Type: "Array(String)"}, {Name: "m",
			Type: "Map(String, String)"}}))
	b, err := c.PrepareBatch(ctx, "INSERT INTO t (a, s, lease, n, tags, m)")
	if err != nil {
		return err
	}
	for i := first; i < first+n; i++ {
		var null *int64
		if err := b.Append(int64(i), fmt.Sprint("s", i%7), lease, null, []string{"x", "y"},
			map[string]string{"k": "v"}); err != nil {
			return err
		}
	}
	return b.Send()
}

func pinned(ctx context.Context, token string, rows int) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": token,
		"deduplicate_blocks_in_dependent_materialized_views": 1, "max_insert_threads": 1,
		"max_insert_block_size": max(rows, 1), "min_insert_block_size_rows": max(rows, 1),
		"min_insert_block_size_bytes": 0,
		"max_execution_time":          30,
	}))
}

// TestClickHouseGo runs the client that the sink uses against the front, with each compression.
func TestClickHouseGo(t *testing.T) {
	addr := embeddedtest.Start(t)
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone,
		clickhouse.CompressionLZ4,
		clickhouse.CompressionZSTD, clickhouse.CompressionGZIP, clickhouse.CompressionDeflate,
		clickhouse.CompressionBrotli} {
		t.Run(fmt.Sprint("compression ", method), func(t *testing.T) {
			c := open(t, addr, func(o *clickhouse.Options) {
				o.Compression = &clickhouse.Compression{Method: method, Level: 3}
				o.Settings = clickhouse.Settings{"enable_http_compression": 1}
			})
			execute(t, c, "DROP TABLE IF EXISTS t")
			execute(t, c, ingestTable)
			const rows = 100_000
			if err := insertColumns(pinned(t.Context(), "one", rows), c, 0, rows,
				time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if got := scan[uint64](t, c,
				"SELECT count() FROM t WHERE s = 's3' AND tags = ['x', 'y'] AND m['k'] = 'v' AND n IS NULL"); got != 14286 {
				t.Errorf("rows = %d, want 14286", got)
			}
			if got := scan[uint64](t, c,
				"SELECT count() FROM system.parts WHERE table = 't' AND active"); got != 1 {
				t.Errorf("parts = %d, want 1: an insert must be one block", got)
			}
			sum := int64(0)
			r, err := c.Query(t.Context(), "SELECT a, s, lease FROM t ORDER BY a")
			if err != nil {
				t.Fatal(err)
			}
			for r.Next() {
				var a int64
				var s string
				var lease time.Time
				if err := r.Scan(&a, &s, &lease); err != nil {
					t.Fatal(err)
				}
				sum += a
			}
			if err := r.Err(); err != nil {
				t.Fatal(err)
			}
			if want := int64(rows) * (rows - 1) / 2; sum != want {
				t.Errorf("sum of what was read = %d, want %d", sum, want)
			}
		})
	}
}

func TestInsertDeduplicationToken(t *testing.T) {
	c := open(t, embeddedtest.Start(t), nil)
	execute(t, c, ingestTable)
	lease := time.Now().Add(time.Hour)
	count := func() uint64 { return scan[uint64](t, c, "SELECT count() FROM t") }
	step := func(what, token string, first, rows int, want uint64) {
		t.Helper()
		if err := insertColumns(pinned(t.Context(), token, rows), c, first, rows,
			lease); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := count(); got != want {
			t.Errorf("%s: %d rows, want %d", what, got, want)
		}
	}
	step("first", "t-1", 0, 1000, 1000)
	step("same token again", "t-1", 0, 1000, 1000)
	step("same token, other rows", "t-1", 5000, 10, 1000)
	step("another token, same rows", "t-2", 0, 1000, 2000)
	step("the first token after another", "t-1", 0, 1000, 2000)
	if err := insertColumns(t.Context(), c, 9000, 5, lease); err != nil {
		t.Fatal(err)
	}
	if err := insertColumns(pinned(t.Context(), "", 5), c, 9100, 5, lease); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != 2010 {
		t.Errorf("rows without a token = %d, want 10 more: a token must not stay on a connection",
			got-2000)
	}
}

func TestRefusedInsertLeavesNothing(t *testing.T) {
	c := open(t, embeddedtest.Start(t), nil)
	execute(t, c, ingestTable)
	err := insertColumns(pinned(t.Context(), "late", 100), c, 0, 100, time.Now().Add(-time.Minute))
	wantCode(t, err, 469) // VIOLATED_CONSTRAINT
	if n := scan[uint64](t, c, "SELECT count() FROM t"); n != 0 {
		t.Errorf("%d rows of a refused insert", n)
	}
	if err := insertColumns(pinned(t.Context(), "late", 100), c, 0, 100,
		time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := scan[uint64](t, c, "SELECT count() FROM t"); n != 100 {
		t.Errorf("%d rows, want 100: a refused insert must leave no token behind", n)
	}
}

func wantCode(t *testing.T, err error, code int32) {
	t.Helper()
	var e *clickhouse.Exception
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no exception of ClickHouse, want code %d", err, code)
	}
	if e.Code != code {
		t.Errorf("code %d (%s), want %d", e.Code, e.Message, code)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	addr := embeddedtest.Start(t)
	c := open(t, addr, nil)
	check := func(sql string, code int32, status int) {
		t.Helper()
		wantCode(t, c.Exec(t.Context(), sql), code)
		resp, body := post(t, addr, url.Values{}, sql)
		if resp.StatusCode != status ||
			resp.Header.Get("X-ClickHouse-Exception-Code") != fmt.Sprint(code) {
			t.Errorf("%s: status %d, code header %q, want %d and %d", sql, resp.StatusCode,
				resp.Header.Get("X-ClickHouse-Exception-Code"), status, code)
		}
		if !strings.HasPrefix(body, fmt.Sprintf("Code: %d. DB::Exception: ", code)) {
			t.Errorf("%s: body %.80q", sql, body)
		}
	}
	check("SELEC 1", 62, 400)
	check("SELECT nosuch", 47, 404)
	check("SELECT * FROM nosuch", 60, 404)
	check("SELECT nosuch(1)", 46, 404)
	check("SELECT 1; SELECT 2", 62, 400)
	check("SELECT throwIf(number = 3) FROM numbers(10)", 395, 500)
	check("INSERT INTO nosuch FORMAT CSV\n1", 60, 404)
	check("SELECT sum(number + sleepEachRow(0.01)) FROM numbers(1000) SETTINGS max_execution_time = 1, max_block_size = 10", 159, 408)
	_, err := c.Query(clickhouse.Context(t.Context(),
		clickhouse.WithSettings(clickhouse.Settings{"no_such_setting": 1})), "SELECT 1")
	wantCode(t, err, 115)
	_, err = open(t, addr,
		func(o *clickhouse.Options) { o.Auth.Database = "nosuch" }).Query(t.Context(), "SELECT 1")
	if err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("unknown database: %v", err)
	}
	for range 40 { // more than there are connections: each error must have given its own back
		if got := scan[uint8](t, c, "SELECT 1"); got != 1 {
			t.Fatal(got)
		}
		wantCode(t, c.Exec(t.Context(), "SELECT throwIf(number = 70000) FROM numbers(100000)"), 395)
	}
}

// An error in the middle of an answer reaches the client, in whatever form.
func TestErrorMidAnswer(t *testing.T) {
	addr := embeddedtest.Start(t)
	c := open(t, addr, nil)
	r, err := c.Query(t.Context(),
		"SELECT number, throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_threads = 1")
	if err == nil {
		for r.Next() {
		}
		err = r.Err()
	}
	wantCode(t, err, 395)
	if got := scan[uint8](t, c, "SELECT 7"); got != 7 {
		t.Errorf("the next answer is %d, want 7: leftovers of the failed one", got)
	}
	for _, format := range []string{"CSV", "CSVWithNames", "JSON", "Native", "Parquet"} {
		post(t, addr, nil,
			"SELECT number, throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_threads = 1 FORMAT "+format)
		if _, got := post(t, addr, nil, "SELECT 7"); got != "7\n" {
			t.Errorf("after a failed answer in %s the next is %.60q: leftovers", format, got)
		}
	}
}

func TestParametersSettingsDatabase(t *testing.T) {
	addr := embeddedtest.Start(t)
	c := open(t, addr,
		func(o *clickhouse.Options) { o.Settings = clickhouse.Settings{"max_threads": 3} })
	ctx := clickhouse.Context(t.Context(),
		clickhouse.WithParameters(clickhouse.Parameters{"s": `a'b\\c\td`, "n": "7"}))
	var s string
	var n uint64
	if err := c.QueryRow(ctx, "SELECT {s:String}, {n:UInt64}").Scan(&s, &n); err != nil {
		t.Fatal(err)
	}
	if s != "a'b\\c\td" || n != 7 {
		t.Errorf("parameters came as %q, %d", s, n)
	}
	if got := scan[string](t, c, "SELECT toString(getSetting('max_threads'))"); got != "3" {
		t.Errorf("max_threads = %s, want 3", got)
	}
	if got := scan[string](t, open(t, addr, nil),
		"SELECT toString(getSetting('max_threads'))"); got == "3" {
		t.Error("a setting of one request stayed for another")
	}
	execute(t, c, "SET max_threads = 5")
	if got := scan[string](t, c, "SELECT toString(getSetting('max_threads'))"); got != "3" {
		t.Errorf("max_threads = %s after SET of another request, want 3", got)
	}
	execute(t, c, "CREATE DATABASE d")
	in := open(t, addr, func(o *clickhouse.Options) { o.Auth.Database = "d" })
	execute(t, in, "CREATE TABLE only_here (a Int8) ENGINE = Memory")
	if got := scan[string](t, c,
		"SELECT database FROM system.tables WHERE name = 'only_here'"); got != "d" {
		t.Errorf("the table lies in %q, want d", got)
	}
	if got := scan[string](t, c, "SELECT currentDatabase()"); got != "default" {
		t.Errorf("database %q, want default", got)
	}
}

func post(t *testing.T, addr string, q url.Values, body string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post("http://"+addr+"/?"+q.Encode(), "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// TestPlainHTTP holds the front to what curl sees of a server.
func TestPlainHTTP(t *testing.T) {
	addr := embeddedtest.Start(t)
	check := func(q url.Values, body, want, media string) {
		t.Helper()
		resp, got := post(t, addr, q, body)
		if got != want || resp.StatusCode != 200 {
			t.Errorf("%v %q: %d %q, want %q", q, body, resp.StatusCode, got, want)
		}
		if m := resp.Header.Get("Content-Type"); media != "" && !strings.HasPrefix(m, media) {
			t.Errorf("%v %q: %s, want %s", q, body, m, media)
		}
	}
	check(nil, "SELECT 1, 'a'", "1\ta\n", "text/tab-separated-values")
	check(nil, "SELECT version()", embedded.EngineVersion+"\n", "")
	check(nil, "SELECT 1 AS a FORMAT JSONEachRow", `{"a":1}`+"\n", "application/x-ndjson")
	check(url.Values{"default_format": {"CSV"}}, "SELECT 1, 'a'", "1,\"a\"\n", "text/csv")
	check(url.Values{"query": {"SELECT 1"}}, "+ 2", "3\n", "")
	check(url.Values{"query": {"SELECT {x:Int8} + 1"}, "param_x": {"41"}}, "", "42\n", "")
	check(nil, "SHOW DATABASES LIKE 'default'", "default\n", "")
	check(nil, "CREATE TABLE p (a Int64, b String) ENGINE = MergeTree ORDER BY a", "", "")
	check(nil, "INSERT INTO p VALUES (1, 'x'), (2, 'FORMAT')", "", "")
	check(nil, "INSERT INTO p (a, b) FORMAT CSV\n3,\"y\"\n4,\"z\"\n", "", "")
	check(url.Values{"query": {"INSERT INTO p (a, b) FORMAT TabSeparated"}}, "5\tv\n", "", "")
	check(url.Values{"query": {"INSERT INTO default.`p` SETTINGS async_insert = 0 FORMAT JSONEachRow"}}, `{"a": 6, "b": "w"}`, "", "")
	check(url.Values{"query": {"INSERT INTO p VALUES"}}, "(7, 'q')", "", "")
	check(nil, "INSERT INTO p SELECT number + 100, 'n' FROM numbers(3)", "", "")
	check(nil, "SELECT count(), sum(a) FROM p", "10\t331\n", "")
	check(nil, "SELECT a FROM p WHERE b = 'FORMAT' FORMAT TSVWithNames", "a\n2\n", "")

	resp, err := http.Get("http://" + addr + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "Ok.\n" {
		t.Errorf("ping answers %q", b)
	}
	get, err := http.Get("http://" + addr + "/?query=" + url.QueryEscape("DROP TABLE p"))
	if err != nil {
		t.Fatal(err)
	}
	defer get.Body.Close()
	if get.StatusCode == 200 {
		t.Error("GET dropped a table")
	}
	check(nil, "SELECT count() FROM p", "10\n", "")
}

// A large answer in any format is that of the same query made small pieces of.
func TestLargeAnswers(t *testing.T) {
	addr := embeddedtest.Start(t)
	var want bytes.Buffer
	want.WriteString("\"number\"\n")
	for i := range 300_000 {
		fmt.Fprintln(&want, i)
	}
	_, got := post(t, addr, nil, "SELECT number FROM numbers(300000) FORMAT CSVWithNames")
	if diff := cmp.Diff(len(want.Bytes()), len(got)); diff != "" || got != want.String() {
		t.Errorf("CSVWithNames differs, length: %s", diff)
	}
	_, got = post(t, addr, nil, "SELECT number FROM numbers(300000) FORMAT CSV")
	if got != want.String()[len("\"number\"\n"):] {
		t.Error("CSV differs")
	}
}

// A page in a browser on this machine must not reach the engine.
func TestForeignOrigin(t *testing.T) {
	addr := embeddedtest.Start(t)
	check := func(origin, host string, want int) {
		t.Helper()
		req, _ := http.NewRequest(http.MethodPost, "http://"+addr+"/",
			strings.NewReader("SELECT 1"))
		req.Header.Set("Origin", origin)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("origin %q host %q: status %d, want %d", origin, host, resp.StatusCode, want)
		}
	}
	check("", addr, 200)
	check("http://localhost:3000", addr, 200)
	check("https://example.com", addr, 403)
	check("null", addr, 403)
	check("", "rebound.example.com:8123", 403)
}
