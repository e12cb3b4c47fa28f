package schema

import (
	"reflect"
	"sync"
)

// Version is the schema version that row blocks carry. Raise it with every change of a struct.
const Version = 3

// Names of the tables.
const (
	TableEvents        = "events"
	TableDecisions     = "decisions"
	TableTurns         = "turns"
	TableTurnsHuman    = "turns_human"
	TableConversations = "conversations"
	TableVoids         = "voids"
	TableEscalations   = "escalations"
	TableSLA           = "sla_events"
	TableCorrections   = "corrections"
	TableLabels        = "labels"
	TableDeadLetters   = "dead_letters"
	TableGaps          = "delivery_gaps"
	TableJournal       = "ops_journal"
	TableManifest      = "delivery_manifest"
	TableAudit         = "delivery_audit"
	TableKPIs          = "kpi_definitions"
	TableTenants       = "tenants"
	TableEstimates     = "estimates"
	TableZoneOffsets   = "zone_offsets"
	TableKPISettings   = "kpi_settings"
	TableProcess       = "process_metrics"
	TableTargets       = "targets"
)

// Writer says who fills a table, and thereby which columns the position adds.
type Writer uint8

// The writers.
const (
	// ByRows: the router, through usher.rows.v1.
	ByRows Writer = iota
	// ByRange: the sink itself, once per range, under the same protocol.
	ByRange
	// Direct: a command, outside the protocol.
	Direct
)

// Table is one table of the contract.
type Table struct {
	Name    string
	About   string // one row per …
	Writer  Writer
	Row     reflect.Type
	Columns []Column

	Engine      string
	PartitionBy string
	OrderBy     string
	Indexes     []string
	// Replacing: equal revisions are identical, so inserting twice changes nothing; the table is
	// exempt from tokens and from whole-or-not-at-all.
	Replacing bool
}

// Position returns the columns that the sink adds to every block: topic id, partition, offset,
// row in its record, and the lease.
func Position() []Column {
	return []Column{
		{Name: "_topic_id", Type: "UUID", Wire: "UUID", Codec: "ZSTD(1)", Kind: KindUUID},
		{Name: "_partition", Type: "UInt32", Wire: "UInt32", Codec: "ZSTD(1)", Kind: KindFixed4},
		{
			Name: "_offset", Type: "UInt64", Wire: "UInt64", Codec: "Delta(8), ZSTD(1)",
			Kind: KindFixed8,
		},
		{
			Name: "_sub", Type: "UInt32", Wire: "UInt32", Codec: "Delta(4), ZSTD(1)",
			Kind: KindFixed4,
		},
		{
			Name: "_lease_until", Type: "DateTime64(3, 'UTC')", Wire: "DateTime64(3, 'UTC')",
			Codec: "Delta(8), ZSTD(1)", Kind: KindFixed8,
		},
	}
}

// table is a Table for rows of type T.
func table[T any](name, about, orderBy string, indexes ...string) *Table {
	row := reflect.TypeFor[T]()
	return &Table{
		Name: name, About: about, Row: row, Columns: columnsOf(row, 0),
		Engine: "MergeTree", PartitionBy: "_day", OrderBy: orderBy, Indexes: indexes,
	}
}

// minmax declares a skipping index for columns that a KPI or the audit reads by.
func minmax(name, columns string) string {
	return "INDEX " + name + " (" + columns + ") TYPE minmax GRANULARITY 1"
}

const (
	byConversation = "(tenant, conversation_id, "
	byRecord       = "(_src_topic_id, _src_partition, _src_offset)"
)

// Tables returns every table, in the order in which a range fills them: voids last, because a view
// on them subtracts what the range's own turns have added. The slice is shared; do not change it.
var Tables = sync.OnceValue(func() []*Table {
	src := minmax("ix_src", "_src_topic_id, _src_partition, _src_offset")
	time, day := minmax("ix_time", "time"), minmax("ix_day", "day")
	ingest := []*Table{
		table[Event](TableEvents, "input record that parses", byConversation+"time, id)", src, time),
		decisions(src, time, day),
		table[Turn](TableTurns, "wait that ended, or was provisionally judged",
			byConversation+"since_offset, revision)", src, day),
		table[Turn](TableTurnsHuman, "the same by the stamp that only a person clears",
			byConversation+"since_offset, revision)", src, day),
		conversations(src),
		table[Escalation](TableEscalations, "escalate, handoff or forced rule",
			byConversation+"since_offset, revision)", src, day),
		table[SLAEvent](TableSLA, "due-soon or terminal SLA event",
			byConversation+"since_offset, revision)", src, day),
		table[Correction](TableCorrections, "fact that was corrected", byConversation+"at)", src),
		table[LabelRow](TableLabels, "label or feedback", byConversation+"time)", src),
		table[DeadLetter](TableDeadLetters, "rejected record", byRecord),
		table[DeliveryGap](TableGaps, "run of offsets that are no events", byRecord),
		table[OpsEntry](TableJournal, "timeout, fallback, model load, acceptance, refusal",
			"(kind, at)"),
		manifest(),
		table[Void](TableVoids, "cycle taken out by void, merge or spam",
			"(tenant, conversation_id, cycle_id, revision)", src),
	}
	return append(ingest,
		direct[AuditRow](TableAudit, "audit run × partition", "MergeTree",
			"(at, scope, topic_id, partition)"),
		direct[KPIDefinition](TableKPIs, "KPI version", "ReplacingMergeTree(updated_at)",
			"(name, version)"),
		direct[Tenant](TableTenants, "tenant, from a moment on", "ReplacingMergeTree(updated_at)",
			"(name, valid_from)"),
		direct[Estimate](TableEstimates, "configured figure behind a KPI, from a moment on",
			"ReplacingMergeTree(updated_at)", "(name, valid_from)"),
		direct[ZoneOffset](TableZoneOffsets, "span in which a zone's clocks keep their distance from UTC",
			"ReplacingMergeTree(updated_at)", "(zone, from_at, updated_at)"),
		direct[Target](TableTargets, "target of a KPI, from a moment on",
			"ReplacingMergeTree(updated_at)", "(kpi, segment, stat, valid_from)"),
		direct[KPISetting](TableKPISettings, "configured part of a KPI's definition, from a moment on",
			"ReplacingMergeTree(updated_at)", "(name, valid_from)"),
		samples(),
	)
})

// decisions differ in one thing: a label that was not computed is NULL there.
func decisions(indexes ...string) *Table {
	t := table[Decision](TableDecisions, "decision", byConversation+"time, id)", indexes...)
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Name == "label" {
			c.Type, c.Wire = "LowCardinality(Nullable(String))", "Nullable(String)"
			c.Kind = KindNullString
		}
	}
	return t
}

func conversations(src string) *Table {
	t := table[Conversation](TableConversations,
		"changed cycle, coalesced over a transaction; the newest revision wins",
		byConversation+"cycle_id)", src)
	t.Engine, t.PartitionBy = "ReplacingMergeTree(revision)", "_opened_month"
	t.Replacing = true
	return t
}

func manifest() *Table {
	t := table[ManifestRow](TableManifest, "range × table", "(_topic_id, _partition, `from`, `table`)")
	t.Writer = ByRange
	return t
}

func direct[T any](name, about, engine, orderBy string) *Table {
	t := table[T](name, about, orderBy)
	t.Engine, t.PartitionBy, t.Writer = engine, "", Direct
	return t
}

// samples lie by day, so that old ones are dropped as whole partitions.
func samples() *Table {
	t := direct[ProcessSample](TableProcess, "sample of a process's figures every 10 s", "MergeTree",
		"(name, instance, labels, at)")
	t.PartitionBy = "day"
	return t
}

// Lookup returns the table called name, or nil.
func Lookup(name string) *Table {
	for _, t := range Tables() {
		if t.Name == name {
			return t
		}
	}
	return nil
}
