package views

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"usher/sinks/clickhouse/schema"
)

// RollupTable holds daily rows that were computed before, so that a board need not read the facts of
// a year. It is a cache and never a source: whatever it holds counts only while it is proven to be
// what the facts give now, and deleting from it changes no number.
//
// The unit of the proof is one partition of a table of facts. ClickHouse numbers every insert into a
// table, keeps the numbers in the names of parts, across merges, and gives mutations one too. So a
// partition whose highest number is that from which the roll-up was made has had no insert since.
// Facts and roll-up are read in one snapshot of each table (enable_shared_storage_snapshot_in_query).
const RollupTable = "kpi_rollup"

// createRollup makes the table. A generation is all rows that were computed from one partition at one
// time; its mark, a row without a KPI, is written last: without it the rows count for nothing.
const createRollup = `CREATE TABLE IF NOT EXISTS ` + RollupTable + `
(
    family LowCardinality(String),
    unit LowCardinality(String),
    generation UInt64,
    kpi LowCardinality(String),
    made_by LowCardinality(String),
    made_from UInt64,
    made_at DateTime64(3, 'UTC'),
    day Date,
    tenant LowCardinality(String),
    channel LowCardinality(String),
    lang LowCardinality(String),
    region LowCardinality(String),
    inbox LowCardinality(String),
    source LowCardinality(String),
    team LowCardinality(String),
    queue LowCardinality(String),
    agent_id LowCardinality(String),
    label LowCardinality(Nullable(String)),
    variant LowCardinality(String),
    band LowCardinality(String),
    policy LowCardinality(String),
    metric LowCardinality(String),
    clock LowCardinality(String),
    final UInt8,
    n Int64,
    num Nullable(Int64),
    den Nullable(Int64),
    sum Nullable(Int64),
    hist Map(Int16, Int64)
)
ENGINE = MergeTree
PARTITION BY left(unit, 6)
ORDER BY (kpi, day, tenant, channel)
COMMENT 'cache of the daily views; only what is proven by its marks counts, and it may be emptied'`

// family is a table of facts that KPIs with a daily twin are over.
type family struct {
	table  string
	signed bool // corrections take rows back with sign −1, so facts add up
	voids  bool // cycles are taken out by voids, else by a column
}

func (k *KPI) family() *family {
	switch k.source {
	case fromCycles:
		return &family{table: schema.TableConversations}
	case fromTurns:
		return &family{table: schema.TableTurns, signed: true, voids: true}
	case fromTurnsHuman:
		return &family{table: schema.TableTurnsHuman, signed: true, voids: true}
	case fromHandoffs:
		return &family{table: schema.TableEscalations, signed: true, voids: true}
	case fromPromises:
		return &family{table: schema.TableSLA, signed: true, voids: true}
	case fromDecisions:
		return &family{table: schema.TableDecisions, voids: true}
	}
	panic("BUG: " + k.Name + " has a daily twin and facts that no roll-up is made for")
}

// facts are the family's facts that the condition holds for, with those of voided cycles where the
// daily views take them off.
func (f *family) facts(condition string) source {
	if f.table == schema.TableConversations {
		return source{from: "(\n    SELECT *\n    FROM " + f.table + " FINAL\n    WHERE gone = 0 AND " + condition +
			"\n    SETTINGS do_not_merge_across_partitions_select_final = 1\n)", where: fromCycles.where}
	}
	return source{from: "(SELECT * FROM " + f.table + " WHERE " + condition + ")"}
}

// proven is the query of (unit, generation) of the newest generation of each partition that has had
// no insert since.
func (f *family) proven() string {
	return `
    SELECT made.unit AS unit, made.newest AS generation
    FROM (
        SELECT unit, max(generation) AS newest, argMax(made_from, generation) AS newest_from
        FROM ` + RollupTable + `
        WHERE kpi = '' AND family = '` + f.table + `' AND made_by = '` + f.madeBy() + `'
        GROUP BY unit
    ) AS made
    INNER JOIN (
` + f.units() + `
    ) AS facts ON made.unit = facts.unit AND made.newest_from = facts.made_from
`
}

// units is the query of the partitions of the facts, each with the number of its newest insert.
func (f *family) units() string {
	return `SELECT unit, max(newest) AS made_from
    FROM (
        SELECT splitByChar('_', _part) AS name, name[1] AS unit,
            greatest(toUInt64OrZero(name[3]), toUInt64OrZero(name[5])) AS newest
        FROM ` + f.table + `
        WHERE _part_offset = 0
    )
    GROUP BY unit`
}

// kpis are the KPIs of the family.
func (f *family) kpis() []KPI {
	var out []KPI
	for _, k := range KPIs() {
		if k.HasDaily() && *k.family() == *f {
			out = append(out, k)
		}
	}
	return out
}

// madeBy names the definitions: rows of others, made by an earlier or later program, do not count.
func (f *family) madeBy() string {
	h := sha256.New()
	for _, k := range f.kpis() {
		fmt.Fprintln(h, k.Name, k.aggregate(f, "?", ""))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// storedColumns are the columns of a daily row as the roll-up holds them.
func (k *KPI) storedColumns() string {
	columns := strings.Join(append(k.dailyColumns(), "n", "num", "den", "sum", "hist"), ", ")
	if k.source == fromDecisions {
		return columns
	}
	// Only a decision's label can be NULL.
	return strings.Replace(columns, ", label,", ", CAST(label AS LowCardinality(String)) AS label,", 1)
}

// Rollup is what keeps the roll-up of one table of facts up to date.
type Rollup struct {
	Table  string
	MadeBy string
	f      *family
}

// Rollups returns one for each table of facts.
func Rollups() []Rollup {
	var out []Rollup
	seen := map[string]bool{}
	for _, k := range KPIs() {
		if !k.HasDaily() {
			continue
		}
		if f := k.family(); !seen[f.table] {
			seen[f.table] = true
			out = append(out, Rollup{Table: f.table, MadeBy: f.madeBy(), f: f})
		}
	}
	return out
}

// Stale is the query of the partitions whose daily rows are not proven: unit, and the number of
// its newest insert (made_from).
func (r *Rollup) Stale() string {
	return "SELECT unit, made_from\nFROM (" + r.f.units() + ")\nWHERE unit NOT IN (SELECT unit FROM (" +
		r.f.proven() + "))\nORDER BY unit DESC"
}

// Make returns the statements that compute a generation of a unit. The number of the unit's newest
// insert must have been read before; what comes meanwhile makes the generation stale and no worse.
func (r *Rollup) Make(unit string, madeFrom, generation uint64) []string {
	var out []string
	for _, k := range r.f.kpis() {
		columns := strings.Join(k.dailyColumns(), ", ") + ", n, num, den, sum, hist"
		out = append(out, fmt.Sprintf("INSERT INTO %s (family, unit, generation, kpi, %s)\nSELECT %s, %s, %d, %s, "+
			"%s\nFROM (%s)", RollupTable, columns, schema.Quote(r.Table), schema.Quote(unit),
			generation, schema.Quote(k.Name), columns,
			k.aggregate(r.f, "_partition_id = "+schema.Quote(unit), "")))
	}
	return append(out, fmt.Sprintf("INSERT INTO %s (family, unit, generation, kpi, made_by, made_from, made_at) "+
		"VALUES (%s, %s, %d, '', %s, %d, now64(3))", RollupTable, schema.Quote(r.Table), schema.Quote(unit),
		generation, schema.Quote(r.MadeBy), madeFrom))
}

// ClearRollup is the statement that clears away generations that have a newer one, and those from
// before a number that have no mark: whoever computed them has given up. Both count for nothing.
func ClearRollup(before uint64) string {
	return fmt.Sprintf(`ALTER TABLE %[1]s DELETE WHERE generation IN (
    SELECT generation FROM %[1]s
    WHERE kpi = '' AND (family, unit, generation) NOT IN (
        SELECT family, unit, max(generation) FROM %[1]s WHERE kpi = '' GROUP BY family, unit)
) OR generation < %[2]d AND generation NOT IN (SELECT generation FROM %[1]s WHERE kpi = '')`,
		RollupTable, before)
}
