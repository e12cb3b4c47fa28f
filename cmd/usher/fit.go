package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/schema"
)

// The versions that the tests of this program run on. Others may work.
const (
	testedKafka      = "4.1"
	testedClickHouse = "26.7.2"
)

// txnOffsetsVersion is the version of TxnOffsetCommit that carries member and generation, since
// Kafka 2.5: before it a broker cannot refuse the transaction of a router that has lost a partition.
const txnOffsetsVersion = 3

// windowSecondsMin is the deduplication window in time: ten leases.
const windowSecondsMin = 10 * deliver.LeaseMS / 1000

// storedTable is a table as ClickHouse describes it.
type storedTable struct{ engine, create string }

const storedTablesQuery = `SELECT name, engine, create_table_query FROM system.tables
	WHERE database = currentDatabase()`

// unfitTables says which tables cannot hold the promise, and how to mend each. Without a window
// ClickHouse ignores deduplication tokens without a word, and a retried insert doubles its rows;
// that holds for the target of a materialized view too.
func unfitTables(tables map[string]storedTable) []string {
	var out []string
	for _, t := range schema.Tables() {
		stored, there := tables[t.Name]
		switch {
		case t.Writer == schema.Direct || !there:
		case !strings.Contains(stored.engine, "MergeTree"):
			out = append(out, fmt.Sprintf("table %s has the engine %s: inserts into it cannot be told "+
				"apart by tokens; it must be a MergeTree, as usher schema --print makes it", t.Name,
				stored.engine))
		default:
			out = append(out, unfitWindow(t.Name, "ingest", stored)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		view := tables[name]
		target := viewTarget(view.create)
		stored, there := tables[target]
		if view.engine == "MaterializedView" && there && !refreshable(view.create) &&
			strings.Contains(stored.engine, "MergeTree") {
			out = append(out, unfitWindow(target, "target of a materialized view", stored)...)
		}
	}
	return out
}

// unfitWindow looks at one table's window. Replicated and shared engines have one of their own, whose
// defaults depend on the server's version: it must be said.
func unfitWindow(name, why string, t storedTable) []string {
	const plain, replicated = "non_replicated_deduplication_window", "replicated_deduplication_window"
	setting := plain
	shared := strings.HasPrefix(t.engine, "Replicated") || strings.HasPrefix(t.engine, "Shared")
	if shared {
		setting = replicated
	}
	mend := func(setting string, have, need int64) string {
		return fmt.Sprintf("table %s (%s, %s): %s is %d, needs %d, or a retried insert doubles rows; mend "+
			"it with ALTER TABLE %s MODIFY SETTING %s = %d", name, why, t.engine, setting, have, need, name,
			setting, need)
	}
	var out []string
	if have, _ := tableSetting(t.create, setting); have < schema.DedupWindow {
		out = append(out, mend(setting, have, schema.DedupWindow))
	}
	if have, said := tableSetting(t.create, setting+"_seconds"); shared && said && have < windowSecondsMin {
		out = append(out, mend(setting+"_seconds", have, windowSecondsMin))
	}
	return out
}

// tableSetting reads a number from the SETTINGS of a CREATE statement; 0 when it is not there.
func tableSetting(create, name string) (n int64, said bool) {
	_, settings, ok := strings.Cut(create, "SETTINGS ")
	for ok {
		// "replicated_…" is also the end of "non_replicated_…".
		at := strings.Index(settings, name+" = ")
		if at < 0 {
			return 0, false
		}
		if at == 0 || settings[at-1] == ' ' {
			_, _ = fmt.Sscan(settings[at+len(name)+3:], &n)
			return n, true
		}
		settings = settings[at+len(name):]
	}
	return 0, false
}

// viewTarget is the table that a materialized view writes to.
func viewTarget(create string) string {
	_, rest, ok := strings.Cut(create, " TO ")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, " ")
	name = name[strings.LastIndex(name, ".")+1:]
	return strings.Trim(name, "`\"(")
}

// refreshable views replace their target; tokens have no part in it.
func refreshable(create string) bool { return strings.Contains(create, " REFRESH ") }

// refuseUnfit keeps a sink from working on tables that would lose or double rows without a word.
func refuseUnfit(ctx context.Context, conn driver.Conn) error {
	found, err := conn.Query(ctx, storedTablesQuery)
	if err != nil {
		return fmt.Errorf("cannot look at the tables: %w", err)
	}
	defer func() { _ = found.Close() }()
	tables := map[string]storedTable{}
	for found.Next() {
		var name string
		var t storedTable
		if err := found.Scan(&name, &t.engine, &t.create); err != nil {
			return fmt.Errorf("cannot look at the tables: %w", err)
		}
		tables[name] = t
	}
	if err := found.Err(); err != nil {
		return fmt.Errorf("cannot look at the tables: %w", err)
	}
	if bad := unfitTables(tables); len(bad) > 0 {
		return usagef("the sink refuses to store rows there:\n%s", strings.Join(bad, "\n"))
	}
	return nil
}

// checkKafkaVersion refuses brokers that cannot fence a transaction, and names the tested version.
func checkKafkaVersion(ctx context.Context, f *findings, adm *kadm.Client) {
	brokers, err := adm.ApiVersions(ctx)
	if err != nil {
		f.wrong("cannot ask the brokers for their versions: %v", err)
		return
	}
	for _, b := range brokers.Sorted() {
		guess := strings.TrimPrefix(b.VersionGuess(), "v")
		if latest, ok := b.KeyMaxVersion(int16(kmsg.TxnOffsetCommit)); !ok || latest < txnOffsetsVersion {
			f.wrong("broker %d (Kafka %s) cannot fence transactions by generation; exactly once needs "+
				"Kafka 2.5 or later", b.NodeID, guess)
			continue
		}
		if !strings.Contains(guess, testedKafka) {
			f.note("broker %d speaks as Kafka %s; usher was tested with Apache Kafka %s", b.NodeID, guess,
				testedKafka)
		}
	}
}
