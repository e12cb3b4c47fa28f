package audit

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/sink"
)

// cycle is a key of conversations.
type cycle struct{ tenant, conversation, id string }

// cyclesOf are the distinct cycles that turns name, of the input offsets [from, to) of a partition.
// conversations are merged, so their rows cannot be counted against the manifest; instead every
// cycle that a turn names must be there, in whatever revision. The offsets are those of the input:
// all that came of them is stored, while the rows topic may be stored up to the middle of a
// transaction.
func cyclesOf(p Partition, from, to int64) string {
	return fmt.Sprintf("SELECT DISTINCT tenant, conversation_id, cycle_id FROM %s WHERE "+
		"_src_topic_id = '%s' AND _src_partition = %d AND _src_offset >= %d AND _src_offset < %d AND "+
		"cycle_id != ''", schema.TableTurns, uuid.UUID(p.TopicID), p.Partition, from, to)
}

// isLost is a condition on the rows of such a query.
func isLost(cycles string) string {
	return fmt.Sprintf("(tenant, conversation_id, cycle_id) NOT IN (SELECT tenant, conversation_id, "+
		"cycle_id FROM %s WHERE (tenant, conversation_id) IN (SELECT tenant, conversation_id FROM (%s)))",
		schema.TableConversations, cycles)
}

// countCycles finds conversations that are lost altogether.
func countCycles(
	ctx context.Context, conn driver.Conn, row *schema.AuditRow, from, to int64,
) error {
	cycles := cyclesOf(Partition{TopicID: row.TopicID, Partition: row.Partition}, from, to)
	var all, lost uint64
	err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count(), countIf(%s) FROM (%s)", isLost(cycles),
		cycles)).Scan(&all, &lost)
	if err != nil {
		return fmt.Errorf("cannot look for lost conversations: %w", err)
	}
	row.RowsExpected += all
	row.RowsStored += all - lost
	row.Missing += lost
	return nil
}

// lostCycles adds the cycles that conversations do not hold.
func lostCycles(ctx context.Context, conn driver.Conn, p Partition, lost map[cycle]bool) error {
	cycles := cyclesOf(p, p.Start, p.End)
	found, err := conn.Query(ctx, fmt.Sprintf("SELECT toString(tenant), conversation_id, cycle_id FROM (%s) "+
		"WHERE %s LIMIT %d", cycles, isLost(cycles), lostCyclesMax))
	if err != nil {
		return fmt.Errorf("cannot look for lost conversations: %w", err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var c cycle
		if err := found.Scan(&c.tenant, &c.conversation, &c.id); err != nil {
			return fmt.Errorf("cannot look for lost conversations: %w", err)
		}
		lost[c] = true
	}
	return found.Err()
}

// lostCyclesMax bounds the memory of one look; what is beyond is found by the next repair.
const lostCyclesMax = 1_000_000

// conversations puts every retained revision of the lost cycles back, and takes those it finds off
// the list. An older revision that comes with it changes nothing, because the newest wins.
func (r *repairer) conversations(lost map[cycle]bool) error {
	if len(lost) == 0 {
		return nil
	}
	start, err := r.start()
	if err != nil {
		return err
	}
	t, found := schema.Lookup(schema.TableConversations), map[cycle]bool{}
	var run []deliver.Record
	bytes := 0
	put := func() error {
		m := r.merge(t.Name)
		if err := addAll(m, run, t.Name); err != nil {
			return err
		}
		run, bytes = run[:0], 0
		return r.insert(t, m, ofCycles(m, lost, found))
	}
	err = r.src.Read(r.ctx, r.part.Partition, max(start, r.part.Start), r.part.End,
		func(rec deliver.Record) error {
			if rec.Control || rec.Header.Table != t.Name {
				return nil
			}
			run, bytes = append(run, rec), bytes+len(rec.Value)
			if bytes < sink.DefaultRangeBytes {
				return nil
			}
			return put()
		})
	if err == nil {
		err = put()
	}
	for c := range found {
		delete(lost, c)
	}
	return err
}

// ofCycles keeps the rows whose cycle is lost, and notes which it met. It is called once per row.
func ofCycles(m *rows.Merge, lost, found map[cycle]bool) func(int64, int) bool {
	tenants, conversations, ids := m.Texts("tenant"), m.Texts("conversation_id"), m.Texts("cycle_id")
	at := -1
	return func(int64, int) bool {
		at++
		c := cycle{string(tenants[at]), string(conversations[at]), string(ids[at])}
		if !lost[c] {
			return false
		}
		found[c] = true
		return true
	}
}
