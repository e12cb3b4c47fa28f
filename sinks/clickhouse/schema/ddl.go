package schema

import (
	"fmt"
	"strings"
)

// DedupWindow is non_replicated_deduplication_window of every ingest table: at least ten leases of
// 60 s at the 2 parts per second and table that the flush interval allows. ClickHouse's default is
// 0, which silently ignores tokens.
const DedupWindow = 10_000

// LeaseConstraint is the name of the constraint by which the server refuses an insert whose lease has
// run out.
const LeaseConstraint = "not_expired"

// CreateTable is the statement that makes t, in the current database.
func (t *Table) CreateTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s\n(\n", t.Name)
	var lines []string
	for _, c := range t.AllColumns() {
		lines = append(lines, c.Declaration())
	}
	if t.Writer != Direct {
		lines = append(lines,
			minmax("ix_position", "_topic_id, _partition, _offset"),
			// The server itself refuses a late insert of a sink that was thought dead.
			"CONSTRAINT "+LeaseConstraint+" CHECK _lease_until > now64(3)")
	}
	lines = append(lines, t.Indexes...)
	fmt.Fprintf(&b, "    %s\n)\nENGINE = %s\n", strings.Join(lines, ",\n    "), t.Engine)
	if t.PartitionBy != "" {
		fmt.Fprintf(&b, "PARTITION BY %s\n", t.PartitionBy)
	}
	fmt.Fprintf(&b, "ORDER BY %s\n", t.OrderBy)
	if t.Writer != Direct {
		fmt.Fprintf(&b, "SETTINGS non_replicated_deduplication_window = %d\n", DedupWindow)
	}
	fmt.Fprintf(&b, "COMMENT %s", Quote("one row per "+t.About))
	return b.String()
}

// AllColumns are the columns of the table: those of the row, then those that the sink adds.
func (t *Table) AllColumns() []Column {
	if t.Writer == Direct {
		return t.Columns
	}
	return append(t.Columns[:len(t.Columns):len(t.Columns)], Position()...)
}

// HasColumn reports whether t has a column of that name.
func (t *Table) HasColumn(name string) bool {
	for _, c := range t.AllColumns() {
		if c.Name == name {
			return true
		}
	}
	return false
}

// Declaration is c as CREATE TABLE and ADD COLUMN take it.
func (c *Column) Declaration() string {
	d := "`" + c.Name + "` " + c.Type
	if c.Codec != "" {
		d += " CODEC(" + c.Codec + ")"
	}
	return d
}

// Quote is s as a ClickHouse string literal.
func Quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
