// Package migrate brings a ClickHouse database to the schema of this program, and says what it
// would do. Applying twice changes nothing.
package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/views"
)

// DefaultDatabase is the database of the contract.
const DefaultDatabase = "usher"

// ErrNewer is the cause when the database was made by a later program.
var ErrNewer = errors.New("the database is newer than this program")

// step is one migration. Views are made again whenever their text changes.
type step struct {
	version    uint32
	name       string
	statements []string
}

// migrationsTable records what was applied, when, and the checksum of its text.
const migrationsTable = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name LowCardinality(String),
    checksum String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (version, name, applied_at)
COMMENT 'one row per migration applied'`

func steps() []step {
	tables := step{version: schema.Version, name: "tables"}
	for _, t := range schema.Tables() {
		tables.statements = append(tables.statements, t.CreateTable())
	}
	made := step{version: schema.Version, name: "views"}
	made.statements = append(made.statements, views.Create()...)
	// Later than the views, which they read.
	daily := step{version: schema.Version, name: "daily", statements: views.Daily()}
	return []step{tables, made, daily}
}

func (s *step) checksum() string {
	h := sha256.Sum256([]byte(strings.Join(s.statements, ";\n")))
	return hex.EncodeToString(h[:8])
}

// Print returns every statement of Apply, in order, for a database of that name.
func Print(database string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE DATABASE IF NOT EXISTS %s;\n\nUSE %s;\n\n%s;\n", database, database,
		migrationsTable)
	for _, s := range steps() {
		fmt.Fprintf(&b, "\n-- %d %s %s\n", s.version, s.name, s.checksum())
		for _, q := range s.statements {
			fmt.Fprintf(&b, "\n%s;\n", q)
		}
	}
	return b.String()
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// CreateDatabase makes the database when it is missing. conn may have any database selected.
func CreateDatabase(ctx context.Context, conn driver.Conn, database string) error {
	if !identifier.MatchString(database) {
		return fmt.Errorf("cannot create database %q: a name has letters, digits and _ only", database)
	}
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+database); err != nil {
		return fmt.Errorf("cannot create database %s: %w", database, err)
	}
	return nil
}

// Apply brings the database that conn has selected to this program's schema: it makes missing
// tables, adds missing columns, refreshes views and the KPI definitions. It refuses a database of a
// later schema, and columns of another type.
func Apply(ctx context.Context, conn driver.Conn) error {
	if err := conn.Exec(ctx, migrationsTable); err != nil {
		return fmt.Errorf("cannot create schema_migrations: %w", err)
	}
	applied, err := appliedSteps(ctx, conn)
	if err != nil {
		return err
	}
	for _, s := range steps() {
		if applied[s.name] == s.checksum() {
			continue
		}
		for _, q := range s.statements {
			if err := conn.Exec(ctx, q); err != nil {
				head, _, _ := strings.Cut(q, "\n")
				return fmt.Errorf("cannot apply migration %d %s at %q: %w", s.version, s.name, head, err)
			}
		}
		if s.name == "tables" {
			if err := addColumns(ctx, conn); err != nil {
				return err
			}
		}
		err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO schema_migrations VALUES (%d, %s, %s, "+
			"fromUnixTimestamp64Milli(%d))", s.version, schema.Quote(s.name), schema.Quote(s.checksum()),
			time.Now().UnixMilli()))
		if err != nil {
			return fmt.Errorf("cannot record migration %d %s: %w", s.version, s.name, err)
		}
	}
	return writeDefinitions(ctx, conn)
}

// appliedSteps is the newest checksum of every step that was applied.
func appliedSteps(ctx context.Context, conn driver.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, "SELECT toString(name), argMax(checksum, applied_at), max(version) "+
		"FROM schema_migrations GROUP BY name")
	if err != nil {
		return nil, fmt.Errorf("cannot read schema_migrations: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]string{}
	for rows.Next() {
		var name, checksum string
		var version uint32
		if err := rows.Scan(&name, &checksum, &version); err != nil {
			return nil, fmt.Errorf("cannot read schema_migrations: %w", err)
		}
		if version > schema.Version {
			return nil, fmt.Errorf("cannot apply schema %d: %w (schema %d); use that program's version "+
				"or a later one", schema.Version, ErrNewer, version)
		}
		out[name] = checksum
	}
	return out, rows.Err()
}

// addColumns adds the columns that a table of an earlier version lacks.
func addColumns(ctx context.Context, conn driver.Conn) error {
	have, err := existing(ctx, conn)
	if err != nil {
		return err
	}
	for _, t := range schema.Tables() {
		for _, c := range t.AllColumns() {
			typ, ok := have[t.Name+"."+c.Name]
			switch {
			case !ok:
				q := fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", t.Name, c.Declaration())
				if err := conn.Exec(ctx, q); err != nil {
					return fmt.Errorf("cannot add column %s to %s: %w", c.Name, t.Name, err)
				}
			case typ != c.Type:
				return fmt.Errorf("cannot use table %s: column %s is %s instead of %s; was it altered by "+
					"hand? rename the table and apply again", t.Name, c.Name, typ, c.Type)
			}
		}
	}
	return nil
}

// existing maps "table.column" to its type in the present database.
func existing(ctx context.Context, conn driver.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, "SELECT table, name, type FROM system.columns "+
		"WHERE database = currentDatabase()")
	if err != nil {
		return nil, fmt.Errorf("cannot read the columns that exist: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]string{}
	for rows.Next() {
		var table, name, typ string
		if err := rows.Scan(&table, &name, &typ); err != nil {
			return nil, fmt.Errorf("cannot read the columns that exist: %w", err)
		}
		out[table+"."+name] = typ
	}
	return out, rows.Err()
}

// Check reports what stands between the database that conn has selected and this program, one line
// each with the way out; nothing when all is well.
func Check(ctx context.Context, conn driver.Conn) ([]string, error) {
	have, err := existing(ctx, conn)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range schema.Tables() {
		for _, c := range t.AllColumns() {
			typ, ok := have[t.Name+"."+c.Name]
			switch {
			case !ok:
				out = append(out, fmt.Sprintf("%s.%s is missing: run `usher schema --apply`", t.Name, c.Name))
			case typ != c.Type:
				out = append(out, fmt.Sprintf("%s.%s is %s instead of %s: rename the table and run "+
					"`usher schema --apply`", t.Name, c.Name, typ, c.Type))
			}
		}
	}
	windows, err := checkWindows(ctx, conn)
	return append(out, windows...), err
}

// checkWindows finds ingest tables without a deduplication window: on them tokens are silently
// ignored.
func checkWindows(ctx context.Context, conn driver.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT name, engine_full FROM system.tables "+
		"WHERE database = currentDatabase()")
	if err != nil {
		return nil, fmt.Errorf("cannot read the tables that exist: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name, engine string
		if err := rows.Scan(&name, &engine); err != nil {
			return nil, fmt.Errorf("cannot read the tables that exist: %w", err)
		}
		t := schema.Lookup(name)
		if t == nil || t.Writer == schema.Direct ||
			strings.Contains(engine, "deduplication_window = ") &&
				!strings.Contains(engine, "deduplication_window = 0") {
			continue
		}
		out = append(out, fmt.Sprintf("%s has no deduplication window, so repeated inserts would "+
			"double rows: ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = %d", name,
			name, schema.DedupWindow))
	}
	return out, rows.Err()
}
