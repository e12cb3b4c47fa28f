// Package audit proves delivery: every input offset ended as exactly one stored event, one dead
// letter or one declared gap, and every range of usher.rows.v1 is in every table once. It counts in
// ClickHouse, between offsets that Kafka says are settled, and never samples a moving counter.
package audit

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// Scopes of an audit row.
const (
	// ScopeInput counts the offsets of one input partition: stored, dead, gaps, missing, duplicated.
	ScopeInput = "input"
	// ScopeRows counts the rows that one partition of usher.rows.v1 put into the tables. Rows of
	// events, dead_letters and delivery_gaps are expected and stored here too, but what is missing or
	// doubled of them shows in the input scope, so that nothing counts twice.
	ScopeRows = "rows"
	// ScopeCycles holds conversations to the turns of one input partition: expected are the cycles
	// that they name, missing those of which conversations have no row.
	ScopeCycles = "cycles"
)

// Partition is one partition and the offsets between which everything is settled.
type Partition struct {
	TopicID   schema.UUID
	Topic     string
	Partition int32
	// Start is where the very first audit begins: 0, or the first offset that existed when usher
	// came.
	Start int64
	// End (exclusive) is settled: routed and committed for an input, stored and committed for rows.
	End int64
}

// Scope is what to audit. Take it from Kafka with Offsets.
type Scope struct {
	Inputs []Partition
	Rows   []Partition
}

// Options are how to audit.
type Options struct {
	// Whole counts from the start instead of from the last audit.
	Whole bool
	// ChunkOffsets is how many offsets one query counts; 0 means DefaultChunkOffsets.
	ChunkOffsets int64
	// Now is the local clock; nil is time.Now.
	Now func() time.Time
}

// Report is the outcome, one row per partition, as written to delivery_audit.
type Report []schema.AuditRow

// Missing is the number of offsets and rows that are not there.
func (r Report) Missing() (n uint64) {
	for i := range r {
		n += r[i].Missing
	}
	return n
}

// Duplicated is the number of rows that are there too often.
func (r Report) Duplicated() (n uint64) {
	for i := range r {
		n += r[i].Duplicated
	}
	return n
}

// DefaultChunkOffsets bounds how many offsets one query counts exactly, and thereby its memory.
const DefaultChunkOffsets = 10_000_000

// Run audits the scope and writes the outcome to delivery_audit.
func Run(ctx context.Context, conn driver.Conn, scope Scope, o Options) (Report, error) {
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	chunk := o.ChunkOffsets
	if chunk <= 0 {
		chunk = DefaultChunkOffsets
	}
	at := schema.Instant(now().UnixMilli())
	last := map[string]int64{}
	if !o.Whole {
		var err error
		if last, err = lastAudited(ctx, conn); err != nil {
			return nil, err
		}
	}
	var out Report
	audit := func(name string, all []Partition, count counter) error {
		for _, p := range all {
			row := schema.AuditRow{
				RunAt: at, Scope: name, TopicID: p.TopicID, Topic: p.Topic, Partition: p.Partition,
				FromOffset: max(p.Start, last[key(name, p.TopicID, p.Partition)]),
			}
			row.ToOffset = max(row.FromOffset, p.End)
			for from := row.FromOffset; from < row.ToOffset; from += chunk {
				if err := count(ctx, conn, &row, from, min(from+chunk, row.ToOffset)); err != nil {
					return fmt.Errorf("cannot audit %s/%d from offset %d: %w", p.Topic, p.Partition, from, err)
				}
			}
			out = append(out, row)
		}
		return nil
	}
	if err := audit(ScopeInput, scope.Inputs, countInput); err != nil {
		return nil, err
	}
	if err := audit(ScopeRows, scope.Rows, countRows); err != nil {
		return nil, err
	}
	if err := audit(ScopeCycles, scope.Inputs, countCycles); err != nil {
		return nil, err
	}
	return out, write(ctx, conn, out)
}

// counter adds what lies in offsets [from, to) to row.
type counter func(ctx context.Context, conn driver.Conn, row *schema.AuditRow, from, to int64) error

func key(scope string, id schema.UUID, partition int32) string {
	return fmt.Sprintf("%s %x %d", scope, id, partition)
}

// lastAudited is up to where each partition was audited before.
func lastAudited(ctx context.Context, conn driver.Conn) (map[string]int64, error) {
	found, err := conn.Query(ctx, "SELECT toString(scope), lower(replaceAll(toString(topic_id), '-', '')), "+
		"partition, max(to_offset) FROM delivery_audit GROUP BY scope, topic_id, partition")
	if err != nil {
		return nil, fmt.Errorf("cannot read the last audit: %w", err)
	}
	defer func() { _ = found.Close() }()
	out := map[string]int64{}
	for found.Next() {
		var scope, id string
		var partition int32
		var to int64
		if err := found.Scan(&scope, &id, &partition, &to); err != nil {
			return nil, fmt.Errorf("cannot read the last audit: %w", err)
		}
		out[fmt.Sprintf("%s %s %d", scope, id, partition)] = to
	}
	return out, found.Err()
}

func write(ctx context.Context, conn driver.Conn, report Report) error {
	if len(report) == 0 {
		return nil
	}
	b := rows.NewBlock[schema.AuditRow](schema.Lookup(schema.TableAudit))
	for i := range report {
		b.Append(&report[i])
	}
	// Two audits of the same moment are two rows.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "insert_deduplicate": 0,
	}))
	err := conn.InsertFormat(ctx, "Native", "INSERT INTO "+schema.TableAudit,
		bytes.NewReader(b.EncodeNative(nil)))
	if err != nil {
		return fmt.Errorf("cannot write delivery_audit: %w", err)
	}
	return nil
}
