package audit

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"usher/sinks/clickhouse/schema"
)

// span is a run of offsets of one partition, as conditions on a table take it.
type span struct {
	at       string // on the partition
	from, to int64  // to is exclusive
}

// countInput holds the offsets of an input partition to events, dead letters and gaps.
func countInput(
	ctx context.Context, conn driver.Conn, row *schema.AuditRow, from, to int64,
) error {
	where := fmt.Sprintf("_src_topic_id = '%s' AND _src_partition = %d AND _src_offset >= %d AND "+
		"_src_offset < %d", uuid.UUID(row.TopicID), row.Partition, from, to)
	var stored, dead, distinct, seen uint64
	err := conn.QueryRow(ctx, "SELECT countIf(NOT dead), countIf(dead), uniqExact(o), sum(seen) FROM ("+
		"SELECT _src_offset AS o, 0 AS dead, has(flags, 'duplicate') AS seen FROM events WHERE "+where+
		" UNION ALL SELECT _src_offset, 1, 0 FROM dead_letters WHERE "+where+")").
		Scan(&stored, &dead, &distinct, &seen)
	if err != nil {
		return fmt.Errorf("cannot count events and dead letters: %w", err)
	}
	var gaps, control, doubled uint64
	// A gap may reach over the edges of what is counted here; its part inside counts once.
	err = conn.QueryRow(ctx, fmt.Sprintf("SELECT sum(n), sumIf(n, cause = 'control'), toUInt64(sum(times - 1)) "+
		"FROM (SELECT toUInt64(least(to_offset, %d) - greatest(from_offset, %d)) AS n, cause, "+
		"count() AS times FROM delivery_gaps WHERE _src_topic_id = '%s' AND _src_partition = %d AND "+
		"from_offset < %d AND to_offset > %d AND _src_offset >= 0 "+
		"GROUP BY from_offset, to_offset, cause)", to, from,
		uuid.UUID(row.TopicID), row.Partition, to, from)).Scan(&gaps, &control, &doubled)
	if err != nil {
		return fmt.Errorf("cannot count gaps: %w", err)
	}
	row.Stored += stored
	row.Dead += dead
	row.Gaps += gaps
	row.GapsControl += control
	row.DuplicatesSeen += seen
	row.Duplicated += stored + dead - distinct + doubled
	settled, all := distinct+gaps, uint64(to-from)
	if settled > all { // an offset that is both stored and a gap
		row.Duplicated += settled - all
	} else {
		row.Missing += all - settled
	}
	return nil
}

// inInputScope are the tables whose losses the input scope counts.
func inInputScope(t *schema.Table) bool {
	switch t.Name {
	case schema.TableEvents, schema.TableDeadLetters, schema.TableGaps:
		return true
	}
	return false
}

// countRows holds the tables to the manifest, range by range.
func countRows(
	ctx context.Context, conn driver.Conn, row *schema.AuditRow, from, to int64,
) error {
	at := fmt.Sprintf("_topic_id = '%s' AND _partition = %d", uuid.UUID(row.TopicID), row.Partition)
	excused, err := declaredRows(ctx, conn, row.TopicID, row.Partition)
	if err != nil {
		return err
	}
	for _, t := range schema.Tables() {
		// conversations are merged: older revisions go, so their rows cannot be counted.
		if t.Writer != schema.ByRows || t.Replacing {
			continue
		}
		var expected, stored, missing, declared, doubled uint64
		err := conn.QueryRow(ctx, tableQuery(t.Name, span{at, from, to}, excused)).
			Scan(&expected, &stored, &missing, &declared, &doubled)
		if err != nil {
			return fmt.Errorf("cannot count the rows of %s: %w", t.Name, err)
		}
		row.RowsExpected += expected
		row.RowsStored += stored
		row.Gaps += declared
		if !inInputScope(t) {
			row.Missing += missing
			row.Duplicated += doubled
		}
	}
	return countManifest(ctx, conn, row, span{at, from, to}, excused)
}

// tableQuery counts one table: per range that begins in [from, to), the rows expected, stored and
// distinct by position. Ranges were cut where intents were, so a stored row belongs to the last range
// that begins at or before it, unless that range has ended: then no manifest row covers it, which is
// countManifest's finding, and the row is held against no range. Rows of a range that begins before
// from were counted with it. What a declared range lacks is counted apart.
func tableQuery(table string, in span, excused excuses) string {
	return fmt.Sprintf("SELECT sum(e), sum(n), toUInt64(sumIf(e - d, e > d AND NOT %[1]s)), "+
		"toUInt64(sumIf(e - d, e > d AND %[1]s)), toUInt64(sum(n - d)) FROM ", excused.among("key")) +
		perRange(table, in.at, in.from, in.to)
}

// perRange is the subquery of one table: by key, the first offset of a range (−1 for rows that no
// range covers), the rows expected e, stored n and distinct by position d.
func perRange(table, at string, from, to int64) string {
	return fmt.Sprintf(`(
    WITH ranges AS (
        SELECT DISTINCT 1 AS one, `+"`from` AS f, `to`"+` AS t
        FROM delivery_manifest
        WHERE %[2]s AND `+"`to` > %[3]d AND `from`"+` < %[4]d
    )
    SELECT key, sum(e) AS e, sum(n) AS n, sum(d) AS d
    FROM (
        SELECT toInt64(`+"`from`"+`) AS key, max(rows) AS e, toUInt64(0) AS n, toUInt64(0) AS d
        FROM delivery_manifest
        WHERE %[2]s AND `+"`table` = '%[1]s' AND `from` >= %[3]d AND `from`"+` < %[4]d
        GROUP BY key
        UNION ALL
        SELECT if(s.o < r.t, toInt64(r.f), toInt64(-1)) AS key, toUInt64(0), count(),
            uniqExact(s.o, s.sub)
        FROM (
            SELECT 1 AS one, _offset AS o, _sub AS sub
            FROM %[1]s
            WHERE %[2]s AND _offset >= %[3]d
                AND _offset < (SELECT greatest(max(t), toUInt64(%[4]d)) FROM ranges)
        ) AS s
        ASOF LEFT JOIN ranges AS r ON s.one = r.one AND s.o >= r.f
        WHERE NOT (s.o < r.t AND r.f < %[3]d) AND NOT (s.o >= r.t AND s.o >= %[4]d)
        GROUP BY key
    )
    GROUP BY key
)`, table, at, from, to)
}

// countManifest finds manifest rows that are missing or doubled. Each says how many its range has;
// offsets that no range covers, and yet have rows, were covered by a range whose rows are all lost.
func countManifest(
	ctx context.Context, conn driver.Conn, row *schema.AuditRow, in span, excused excuses,
) error {
	var missing, doubled uint64
	err := conn.QueryRow(ctx, fmt.Sprintf("SELECT toUInt64(sumIf(want - have, want > have AND NOT "+
		excused.among("`from`")+")), toUInt64(sum(n - have)) "+
		"FROM (SELECT `from`, max(tables) AS want, uniqExact(`table`) AS have, count() AS n "+
		"FROM delivery_manifest WHERE %s AND `from` >= %d AND `from` < %d GROUP BY `from`)",
		in.at, in.from, in.to)).Scan(&missing, &doubled)
	if err != nil {
		return fmt.Errorf("cannot count delivery_manifest: %w", err)
	}
	row.Missing += missing
	row.Duplicated += doubled
	holes, err := uncovered(ctx, conn, in)
	if err != nil {
		return err
	}
	for _, h := range holes {
		if excused.hold(h[0]) {
			continue
		}
		n, err := tablesWithRows(ctx, conn, span{in.at, h[0], h[1]})
		if err != nil {
			return err
		}
		row.Missing += n
	}
	return nil
}

// tablesWithRows is the number of tables that hold rows of the span.
func tablesWithRows(ctx context.Context, conn driver.Conn, in span) (n uint64, err error) {
	for _, t := range schema.Tables() {
		if t.Writer != schema.ByRows {
			continue
		}
		var found uint64
		err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM (SELECT 1 FROM %s WHERE %s "+
			"AND _offset >= %d AND _offset < %d LIMIT 1)", t.Name, in.at, in.from, in.to)).Scan(&found)
		if err != nil {
			return 0, fmt.Errorf("cannot look into %s between ranges: %w", t.Name, err)
		}
		n += found
	}
	return n, nil
}

// holesMax bounds how many uncovered runs one audit looks into; a whole manifest that is gone is one
// hole.
const holesMax = 1000

// uncovered are the runs of offsets of in that no range of the manifest covers. Ranges of
// control records only have no manifest, so most holes hold nothing.
func uncovered(ctx context.Context, conn driver.Conn, in span) ([][2]int64, error) {
	found, err := conn.Query(ctx, fmt.Sprintf("SELECT toInt64(before), toInt64(f) FROM ("+
		"SELECT f, max(t) OVER (ORDER BY f ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS m, "+
		"if(m = 0, toUInt64(%[2]d), m) AS before FROM ("+
		"SELECT `from` AS f, max(`to`) AS t FROM delivery_manifest WHERE %[1]s AND `to` > %[2]d AND "+
		"`from` < %[3]d GROUP BY f UNION ALL SELECT toUInt64(%[3]d), toUInt64(%[3]d))) "+
		"WHERE f > before ORDER BY f LIMIT %[4]d", in.at, in.from, in.to, holesMax))
	if err != nil {
		return nil, fmt.Errorf("cannot read the ranges of delivery_manifest: %w", err)
	}
	defer func() { _ = found.Close() }()
	var out [][2]int64
	for found.Next() {
		var hole [2]int64
		if err := found.Scan(&hole[0], &hole[1]); err != nil {
			return nil, fmt.Errorf("cannot read the ranges of delivery_manifest: %w", err)
		}
		out = append(out, hole)
	}
	return out, found.Err()
}
