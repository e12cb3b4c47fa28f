// Package enginetest gives tests the real engine with usher's schema on it, rows as structs, and
// queries as plain text.
package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/embedded/embeddedtest"
	"usher/sinks/clickhouse/migrate"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// Open starts an engine, makes the schema and returns a connection, all ended with the test.
// Without the engine's library the test is skipped.
func Open(t testing.TB) driver.Conn {
	t.Helper()
	addr := embeddedtest.Start(t)
	root := Connect(t, addr, "default")
	if err := migrate.CreateDatabase(t.Context(), root, migrate.DefaultDatabase); err != nil {
		t.Fatal(err)
	}
	conn := Connect(t, addr, migrate.DefaultDatabase)
	if err := migrate.Apply(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Connect opens a connection to the engine at addr.
func Connect(t testing.TB, addr, database string) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{addr}, Protocol: clickhouse.HTTP,
		Auth: clickhouse.Auth{Database: database},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Put stores rows of T in a table as one record of usher.rows.v1 at the offset would.
func Put[T any](t testing.TB, conn driver.Conn, table string, offset int64, in ...T) {
	t.Helper()
	b := rows.NewBlock[T](schema.Lookup(table))
	for i := range in {
		b.Append(&in[i])
	}
	var m rows.Merge
	if err := m.Add(b.EncodeNative(nil), offset); err != nil {
		t.Fatal(err)
	}
	body := m.Encode(nil, rows.Position{LeaseUntil: schema.Instant(time.Now().Add(time.Hour).UnixMilli())})
	query := fmt.Sprintf("INSERT INTO %s (`%s`)", table, strings.Join(m.Names(), "`, `"))
	// Tests store equal rows on purpose.
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplicate": 0, "async_insert": 0,
	}))
	if err := conn.InsertFormat(ctx, "Native", query, bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
}

// Query returns the answer as tab-separated lines.
func Query(t testing.TB, conn driver.Conn, query string) string {
	t.Helper()
	out, err := Ask(t.Context(), conn, query)
	if err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
	return out
}

// Ask is Query for queries that may fail.
func Ask(ctx context.Context, conn driver.Conn, query string) (string, error) {
	r, err := conn.QueryFormat(ctx, "TabSeparated", query)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	return strings.TrimSuffix(string(b), "\n"), err
}

// Exec runs statements.
func Exec(t testing.TB, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s\n%v", s, err)
		}
	}
}
