package audit

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"usher/sinks/clickhouse/schema"
)

// Undouble returns the statements that take rows out that are there more than once: one per table
// and day. Rows of one position are equal but for the lease, so ClickHouse can tell them; it merges
// the whole partition for that, and nobody but the operator should say when.
func Undouble(ctx context.Context, conn driver.Conn, scope Scope) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, p := range scope.Rows {
		for _, t := range schema.Tables() {
			if t.Writer == schema.Direct || t.Replacing {
				continue
			}
			found, err := doubledIn(ctx, conn, t, p)
			if err != nil {
				return nil, err
			}
			for _, s := range found {
				if !seen[s] {
					seen[s] = true
					out = append(out, s)
				}
			}
		}
	}
	return out, nil
}

func doubledIn(ctx context.Context, conn driver.Conn, t *schema.Table, p Partition) ([]string, error) {
	days, err := conn.Query(ctx, fmt.Sprintf("SELECT DISTINCT toString(_day) AS d FROM (SELECT _day FROM %s "+
		"WHERE _topic_id = '%s' AND _partition = %d AND _offset >= %d AND _offset < %d "+
		"GROUP BY _day, _offset, _sub HAVING count() > 1) ORDER BY d", t.Name, uuid.UUID(p.TopicID),
		p.Partition, p.Start, p.End))
	if err != nil {
		return nil, fmt.Errorf("cannot look for doubled rows in %s: %w", t.Name, err)
	}
	defer func() { _ = days.Close() }()
	var out []string
	for days.Next() {
		var day string
		if err := days.Scan(&day); err != nil {
			return nil, fmt.Errorf("cannot look for doubled rows in %s: %w", t.Name, err)
		}
		out = append(out, fmt.Sprintf("OPTIMIZE TABLE %s PARTITION '%s' FINAL DEDUPLICATE BY * EXCEPT "+
			"(_lease_until)", t.Name, day))
	}
	return out, days.Err()
}
