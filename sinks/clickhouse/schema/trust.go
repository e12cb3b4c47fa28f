package schema

// DeadLetter is one rejected record; its bytes lie in chat.deadletters.v1.
type DeadLetter struct {
	Source
	Code          string  `ch:"code" type:"lc"`
	Reason        string  `ch:"reason" type:"lc"` // field and rule, never a value
	Bytes         uint64  `ch:"bytes"`            // length of the original
	PayloadSHA256 string  `ch:"payload_sha256"`   // hexadecimal, of the original
	ReceivedAt    Instant `ch:"received_at"`
	ReceivedDay   Day     `ch:"day"`
}

// Causes of a DeliveryGap.
const (
	GapControl   = "control"
	GapAborted   = "aborted"
	GapCompacted = "compacted"
	GapExpired   = "expired"
	GapTTL       = "ttl"
	GapErased    = "erased"
	GapOperator  = "operator"
)

// DeliveryGap is a run of input offsets that are no events. Its Source names the partition;
// SrcOffset is FromOffset.
type DeliveryGap struct {
	Source
	FromOffset int64   `ch:"from_offset"`
	ToOffset   int64   `ch:"to_offset"` // exclusive
	Cause      string  `ch:"cause" type:"lc"`
	At         Instant `ch:"at"`
}

// OpsEntry is one line of the operations journal: timeout, fallback, model load, acceptance.
type OpsEntry struct {
	Source
	Instance string  `ch:"instance" type:"lc"`
	Tenant   string  `ch:"tenant" type:"lc"`
	Kind     string  `ch:"kind" type:"lc"`
	Detail   string  `ch:"detail"`
	At       Instant `ch:"at"`
	AtDay    Day     `ch:"day"`
}

// ManifestRow says what one range of usher.rows.v1 put into one table. The sink writes it with the
// range; the audit holds the tables to it.
type ManifestRow struct {
	Day        Day    `ch:"_day" codec:"ZSTD(1)"`
	FromOffset uint64 `ch:"from"`
	ToOffset   uint64 `ch:"to"` // exclusive
	Table      string `ch:"table" type:"lc"`
	Tables     uint32 `ch:"tables"` // manifest rows of this range, so that a lost one is seen
	Rows       uint64 `ch:"rows"`
	Hash       uint64 `ch:"hash"` // XXH64 of the blocks in order
}

// AuditRow is one audit run × partition. Scope "input" counts offsets of a source partition; scope
// "rows" counts the rows that a partition of usher.rows.v1 put into the other tables.
type AuditRow struct {
	RunAt          Instant `ch:"at"`
	Scope          string  `ch:"scope" type:"lc"`
	TopicID        UUID    `ch:"topic_id"`
	Topic          string  `ch:"topic" type:"lc"`
	Partition      int32   `ch:"partition"`
	FromOffset     int64   `ch:"from_offset"`
	ToOffset       int64   `ch:"to_offset"` // exclusive
	Stored         uint64  `ch:"stored"`
	Dead           uint64  `ch:"dead"`
	Gaps           uint64  `ch:"gaps"`
	GapsControl    uint64  `ch:"gaps_control"`
	DuplicatesSeen uint64  `ch:"duplicates_seen"` // events flagged duplicate: stored, not lost
	Missing        uint64  `ch:"missing"`
	Duplicated     uint64  `ch:"duplicated"`
	RowsExpected   uint64  `ch:"rows_expected"`
	RowsStored     uint64  `ch:"rows_stored"`
}

// KPIDefinition is one version of one KPI.
type KPIDefinition struct {
	Name        string  `ch:"name" type:"lc"`
	Version     uint32  `ch:"version"`
	Form        string  `ch:"form" type:"lc"` // value or rate
	Definition  string  `ch:"definition"`
	Formula     string  `ch:"formula"`
	Numerator   string  `ch:"numerator"`
	Denominator string  `ch:"denominator"`
	Unit        string  `ch:"unit" type:"lc"`
	Needs       string  `ch:"needs"`
	Source      string  `ch:"source"`
	EdgeCases   string  `ch:"edge_cases"`
	Example     string  `ch:"example"`
	Notes       string  `ch:"notes"`
	UpdatedAt   Instant `ch:"updated_at"`
}

// Tenant is one tenant's zone and role order from a moment on.
type Tenant struct {
	Name      string   `ch:"name" type:"lc"`
	Zone      string   `ch:"zone" type:"lc"`
	Roles     []string `ch:"roles"`
	ValidFrom Instant  `ch:"valid_from"`
	UpdatedAt Instant  `ch:"updated_at"`
}

// Estimate is a configured figure behind savings and triage_minutes, from a moment on. Without one
// those KPIs have no rows.
type Estimate struct {
	Name      string       `ch:"name" type:"lc"` // cost_per_contact, triage_minutes
	Value     Opt[float64] `ch:"value"`          // NULL: no longer configured
	Currency  string       `ch:"currency" type:"lc"`
	ValidFrom Instant      `ch:"valid_from"`
	UpdatedAt Instant      `ch:"updated_at"`
}

// ZoneOffset says how far a zone's clocks are from UTC in a span of time: what the server needs to
// cut time into a tenant's days, since it takes no zone from a column. The rows of one UpdatedAt are
// whole; the newest count.
type ZoneOffset struct {
	Zone      string  `ch:"zone" type:"lc"`
	FromAt    Instant `ch:"from_at"`
	UntilAt   Instant `ch:"until_at"` // exclusive
	OffsetMS  int64   `ch:"offset_ms"`
	UpdatedAt Instant `ch:"updated_at"`
}

// KPISetting is a configured part of a KPI's definition, from a moment on.
type KPISetting struct {
	Name      string   `ch:"name" type:"lc"`
	Values    []string `ch:"values"` // numbers, in the unit that ends the name
	ValidFrom Instant  `ch:"valid_from"`
	UpdatedAt Instant  `ch:"updated_at"`
}

// ProcessSample is one figure of one process at one instant, as /metrics would have shown it then.
type ProcessSample struct {
	SampleDay Day     `ch:"day"` // of At, UTC
	Instance  string  `ch:"instance" type:"lc"`
	Name      string  `ch:"name" type:"lc"`
	Labels    string  `ch:"labels" type:"lc"` // key=value, by commas; empty for figures without labels
	Value     float64 `ch:"value"`
	At        Instant `ch:"at"`
}

// Target is what a KPI should reach, from a moment on. Without a target and a change it is withdrawn.
type Target struct {
	KPI       string       `ch:"kpi" type:"lc"`
	Segment   string       `ch:"segment"`        // dimension=value; "" everything
	Stat      string       `ch:"stat" type:"lc"` // p50, p90, mean, rate
	Baseline  Opt[float64] `ch:"baseline"`       // NULL: what the days before were
	Target    Opt[float64] `ch:"target"`
	Change    Opt[float64] `ch:"change"` // share of the baseline, instead of a target
	Days      uint32       `ch:"days"`
	ValidFrom Instant      `ch:"valid_from"`
	UpdatedAt Instant      `ch:"updated_at"`
}
