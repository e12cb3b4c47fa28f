package torture

import (
	"context"
	"encoding/json"
	"fmt"
)

// damages are done to the tables when everything else has held: an oracle that does not find them
// would have found nothing before either.
var damages = []struct{ what, sql string }{
	{"an event that is lost", "ALTER TABLE events DELETE WHERE (_src_partition, _src_offset) = " +
		"(SELECT (_src_partition, _src_offset) FROM events ORDER BY _src_partition, _src_offset " +
		"LIMIT 1 OFFSET 100) SETTINGS mutations_sync = 2"},
	{"a decision that is lost", "ALTER TABLE decisions DELETE WHERE id = " +
		"(SELECT id FROM decisions ORDER BY id LIMIT 1) SETTINGS mutations_sync = 2"},
	{"an end of a promise that is lost", "ALTER TABLE sla_events DELETE WHERE (_partition, _offset, _sub) = " +
		"(SELECT (_partition, _offset, _sub) FROM sla_events_latest WHERE status = 'met' " +
		"ORDER BY _partition, _offset, _sub LIMIT 1) SETTINGS mutations_sync = 2"},
	{"an event that is doubled", "INSERT INTO events SELECT * REPLACE (now64(3) + 60 AS _lease_until) " +
		"FROM events ORDER BY _src_partition, _src_offset LIMIT 1 OFFSET 200 " +
		"SETTINGS insert_deduplicate = 0, async_insert = 0"},
	{"a wait that is wrong by a millisecond", "ALTER TABLE turns UPDATE wait_ms = wait_ms + 1 " +
		"WHERE (_partition, _offset, _sub) = (SELECT (_partition, _offset, _sub) FROM turns_latest " +
		"ORDER BY _partition, _offset, _sub LIMIT 1 OFFSET 50) SETTINGS mutations_sync = 2"},
}

// prove damages the tables and asks the oracle again.
func (b *bed) prove(ctx context.Context, l *inputLog) error {
	for _, d := range damages {
		err := b.store.rows(ctx, d.sql, func([]json.RawMessage) error { return nil })
		if err != nil {
			return fmt.Errorf("cannot do the damage, %s: %w", d.what, err)
		}
	}
	v, err := b.judge(ctx, l)
	if err != nil {
		return err
	}
	// The decision is in its topic, but no longer in the table; the KPIs may differ besides.
	if v.Lost != 3 || v.Duplicated != 1 || v.Different < 1 {
		return fmt.Errorf("the oracle is broken: of the damage it found %d lost (3), %d duplicated (1), "+
			"%d different (1 or more): %v", v.Lost, v.Duplicated, v.Different, v.Notes)
	}
	v = &Verdict{}
	if err := b.compareRuns(ctx, v); err != nil {
		return err
	}
	for _, table := range []string{"turns_latest", "events", "decisions", "sla_events_latest", "kpi_"} {
		if !v.differs(table) {
			return fmt.Errorf("the oracle is broken: the comparison did not see the damage to %s: %v",
				table, v.Notes)
		}
	}
	return nil
}
