// Command views measures how fast the KPI views answer, on the embedded engine:
//
//	go run ./bench/views -conversations 10000000
//
// It fills the tables with a year of made-up conversations (four waits, two promises, a decision
// and two events each), then asks every KPI for a month by channel, from its facts and from its
// daily twin. The data lie in a new directory that is removed at the end, or in -data, which is
// kept and not filled a second time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/embedded"
	"usher/sinks/clickhouse/migrate"
)

type options struct {
	conversations int
	data          string
	months        int
	repeats       int
	kpis          string
	engine        string
	loadOnly      bool
	tables        string
}

func main() {
	var o options
	flag.IntVar(&o.conversations, "conversations", 1_000_000, "how many")
	flag.IntVar(&o.months, "months", 12, "over how many months they are spread")
	flag.StringVar(&o.data, "data", "", "`directory` of the engine; kept")
	flag.IntVar(&o.repeats, "repeats", 2, "how often each month is asked")
	flag.StringVar(&o.kpis, "kpis", "", "only these, with commas between")
	flag.StringVar(&o.engine, "engine", "", "serve the engine on a `directory` (used by the command itself)")
	flag.StringVar(&o.tables, "tables", "", "fill only these, with commas between")
	flag.BoolVar(&o.loadOnly, "load-only", false, "fill and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/views:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	if o.engine != "" {
		return embedded.Serve(ctx, embedded.ServeConfig{DataDir: o.engine, Stdin: os.Stdin})
	}
	dir := o.data
	if dir == "" {
		made, err := os.MkdirTemp("", "usher-views-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(made) }()
		dir = made
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	engine, err := embedded.Start(ctx, embedded.StartConfig{
		DataDir: dir, Command: []string{self, "-engine", dir}, Stderr: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	conn, err := open(ctx, engine.Addr())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := fill(ctx, conn, dir, o); err != nil || o.loadOnly {
		return err
	}
	m := &meter{conn: conn, o: o, pid: engine.PID(), out: os.Stdout}
	return m.measure(ctx)
}

// open makes the schema and a connection.
func open(ctx context.Context, addr string) (driver.Conn, error) {
	connect := func(database string) (driver.Conn, error) {
		return clickhouse.Open(&clickhouse.Options{
			Addr: []string{addr}, Protocol: clickhouse.HTTP, ReadTimeout: time.Hour,
			Auth: clickhouse.Auth{Database: database},
		})
	}
	root, err := connect("default")
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	if err := migrate.CreateDatabase(ctx, root, migrate.DefaultDatabase); err != nil {
		return nil, err
	}
	conn, err := connect(migrate.DefaultDatabase)
	if err != nil {
		return nil, err
	}
	return conn, migrate.Apply(ctx, conn)
}

// fill loads once: a mark in the directory says that it is done.
func fill(ctx context.Context, conn driver.Conn, dir string, o *options) error {
	mark := filepath.Join(dir, "loaded")
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := load(ctx, conn, o, time.Now().UTC(), os.Stdout); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o600)
}

// wants reports whether a table is to be filled.
func (o *options) wants(table string) bool {
	return o.tables == "" || slices.Contains(strings.Split(o.tables, ","), table)
}
