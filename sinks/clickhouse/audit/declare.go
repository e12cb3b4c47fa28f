package audit

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

const secondsADay = 24 * 60 * 60

// Declared is a run of offsets whose loss somebody has declared, or would.
type Declared struct {
	Scope     string // ScopeInput or ScopeRows
	TopicID   schema.UUID
	Topic     string
	Partition int32
	From, To  int64 // to is exclusive
}

// Missing lists what a whole audit finds missing as runs of offsets: of an input, those without event,
// dead letter or gap; of the rows topic, the ranges that lack rows. What has been declared is not
// among them, and neither are conversations, which have no offsets.
func Missing(ctx context.Context, conn driver.Conn, scope Scope) ([]Declared, error) {
	var out []Declared
	for _, p := range scope.Inputs {
		for from := p.Start; from < p.End; from += DefaultChunkOffsets {
			runs, err := missingInputs(ctx, conn, p, from, min(from+DefaultChunkOffsets, p.End))
			if err != nil {
				return nil, fmt.Errorf("cannot list what is missing of %s/%d: %w", p.Topic, p.Partition, err)
			}
			for _, run := range runs {
				out = append(out, Declared{ScopeInput, p.TopicID, p.Topic, p.Partition, run[0], run[1]})
			}
		}
	}
	for _, p := range scope.Rows {
		runs, err := missingRanges(ctx, conn, p)
		if err != nil {
			return nil, fmt.Errorf("cannot list what is missing of %s/%d: %w", p.Topic, p.Partition, err)
		}
		for _, run := range runs {
			out = append(out, Declared{ScopeRows, p.TopicID, p.Topic, p.Partition, run[0], run[1]})
		}
	}
	return out, nil
}

// missingInputs are the runs of [from, to) that nothing accounts for.
func missingInputs(ctx context.Context, conn driver.Conn, p Partition, from, to int64) ([][2]int64, error) {
	at := fmt.Sprintf("_src_topic_id = '%s' AND _src_partition = %d AND ", uuid.UUID(p.TopicID), p.Partition)
	inside := at + fmt.Sprintf("_src_offset >= %d AND _src_offset < %d", from, to)
	return readRuns(ctx, conn, fmt.Sprintf("SELECT before, f FROM (SELECT f, greatest(%[1]d, max(t) OVER "+
		"(ORDER BY f ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS before FROM ("+
		"SELECT _src_offset AS f, _src_offset + 1 AS t FROM events WHERE %[3]s "+
		"UNION ALL SELECT _src_offset, _src_offset + 1 FROM dead_letters WHERE %[3]s "+
		"UNION ALL SELECT greatest(from_offset, %[1]d), least(to_offset, %[2]d) FROM delivery_gaps WHERE "+
		"%[4]sfrom_offset < %[2]d AND to_offset > %[1]d AND _src_offset >= 0 "+
		"UNION ALL SELECT toInt64(%[2]d), toInt64(%[2]d))) WHERE f > before ORDER BY f", from, to, inside, at))
}

// missingRanges are the stretches of the rows topic that lack rows. A hole between ranges is one only
// where rows of a lost range are left.
func missingRanges(ctx context.Context, conn driver.Conn, p Partition) ([][2]int64, error) {
	excused, err := declaredRows(ctx, conn, p.TopicID, p.Partition)
	if err != nil {
		return nil, err
	}
	r := &repairer{ctx: ctx, conn: conn, part: p}
	units, err := r.units()
	if err != nil {
		return nil, err
	}
	var out [][2]int64
	for _, u := range units {
		if excused.hold(u.from) {
			continue
		}
		if u.hole {
			n, err := tablesWithRows(ctx, conn, span{r.span().at, u.from, u.to})
			if err != nil {
				return nil, err
			}
			if n == 0 {
				continue
			}
		}
		out = append(out, [2]int64{u.from, u.to})
	}
	return out, nil
}

func readRuns(ctx context.Context, conn driver.Conn, query string) ([][2]int64, error) {
	found, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	var out [][2]int64
	for found.Next() {
		var run [2]int64
		if err := found.Scan(&run[0], &run[1]); err != nil {
			return nil, err
		}
		if last := len(out) - 1; last >= 0 && out[last][1] >= run[0] {
			out[last][1] = max(out[last][1], run[1])
			continue
		}
		out = append(out, run)
	}
	return out, found.Err()
}

// excuses are the declared runs of one partition of the rows topic, in order, none touching another.
type excuses [][2]int64

func (e excuses) hold(offset int64) bool {
	for _, run := range e {
		if offset >= run[0] && offset < run[1] {
			return true
		}
	}
	return false
}

// among is the condition that the expression lies in a declared run.
func (e excuses) among(expression string) string {
	if len(e) == 0 {
		return "0"
	}
	parts := make([]string, len(e))
	for i, run := range e {
		parts[i] = fmt.Sprintf("%[1]s >= %[2]d AND %[1]s < %[3]d", expression, run[0], run[1])
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// declaredRows reads the declared runs of a partition of the rows topic. Such a row of delivery_gaps
// names no input offset, so _src_offset is -1.
func declaredRows(ctx context.Context, conn driver.Conn, id schema.UUID, partition int32) (excuses, error) {
	runs, err := readRuns(ctx, conn, fmt.Sprintf("SELECT from_offset, to_offset FROM delivery_gaps "+
		"WHERE _src_topic_id = '%s' AND _src_partition = %d AND _src_offset < 0 ORDER BY from_offset",
		uuid.UUID(id), partition))
	if err != nil {
		return nil, fmt.Errorf("cannot read the declared gaps: %w", err)
	}
	return runs, nil
}

// Declare writes runs into delivery_gaps, so that audits count them as settled from now on and repairs
// leave them alone. cause says who removed the rows: schema.GapTTL, GapErased or GapOperator; the
// others are the router's to declare.
func Declare(ctx context.Context, conn driver.Conn, cause string, runs []Declared, now time.Time) error {
	switch cause {
	case schema.GapTTL, schema.GapErased, schema.GapOperator:
	default:
		return fmt.Errorf("cannot declare a gap with cause %q: use %s, %s or %s", cause, schema.GapTTL,
			schema.GapErased, schema.GapOperator)
	}
	if len(runs) == 0 {
		return nil
	}
	b := rows.NewBlock[schema.DeliveryGap](schema.Lookup(schema.TableGaps))
	at := schema.Instant(now.UnixMilli())
	for _, run := range runs {
		src := schema.Source{
			SrcTopicID: run.TopicID, SrcPartition: run.Partition, SrcOffset: run.From, Day: schema.Day(now.Unix() / secondsADay),
		}
		if run.Scope == ScopeRows {
			src.SrcOffset = -1
		}
		b.Append(&schema.DeliveryGap{
			Source: src, FromOffset: run.From, ToOffset: run.To, Cause: cause, At: at,
		})
	}
	var m rows.Merge
	if err := m.Add(b.EncodeNative(nil), 0); err != nil {
		return err
	}
	// The topic id zero: no range of the rows topic holds these rows.
	body := m.Encode(nil, rows.Position{LeaseUntil: schema.Instant(now.UnixMilli() + deliver.LeaseMS)})
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "insert_deduplicate": 0,
	}))
	err := conn.InsertFormat(ctx, "Native", fmt.Sprintf("INSERT INTO %s (`%s`)", schema.TableGaps,
		strings.Join(m.Names(), "`, `")), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("cannot write delivery_gaps: %w", err)
	}
	return nil
}
