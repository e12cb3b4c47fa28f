package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"usher/features/classifier/accept"
	"usher/sinks/clickhouse/schema"
)

// Kinds of journal rows beside those of package accept.
const (
	kindModelLoad    = "model_load"
	kindModelRefused = "model_refused"
	kindFallback     = "fallback"
	kindTimeout      = "timeout"
)

// journalEntry is one row of ops_journal.
type journalEntry struct {
	Kind, Tenant, Instance string
	Detail                 string // JSON
	At                     time.Time
}

// journalLease keeps the table's constraint: its rows are written by sinks with a lease, these by
// commands, which need none.
const journalLease = 24 * time.Hour

// timeOfClickHouse is how DateTime64(3) is written.
const timeOfClickHouse = "2006-01-02 15:04:05.000"

// writeJournal inserts rows. They have the topic id zero: no range of usher.rows.v1 holds them.
func writeJournal(ctx context.Context, s *store, entries []journalEntry) error {
	var b strings.Builder
	b.WriteString("INSERT INTO " + schema.TableJournal + " (_src_offset, _day, day, instance, tenant, " +
		"kind, detail, at, _lease_until) FORMAT JSONEachRow\n")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, e := range entries {
		at := e.At.UTC()
		day := at.Format(time.DateOnly)
		err := enc.Encode(map[string]any{
			"_src_offset": -1, "_day": day, "day": day, "instance": e.Instance, "tenant": e.Tenant,
			"kind": e.Kind, "detail": e.Detail, "at": at.Format(timeOfClickHouse),
			"_lease_until": time.Now().UTC().Add(journalLease).Format(timeOfClickHouse),
		})
		if err != nil {
			return fmt.Errorf("cannot write a journal row: %w", err)
		}
	}
	if err := s.exec(ctx, b.String()); err != nil {
		return fmt.Errorf("cannot write the journal: %w", explain(err))
	}
	return nil
}

// acceptEntry makes a journal row of a record about a label.
func acceptEntry(r accept.Record, instance string) (journalEntry, error) {
	detail, err := json.Marshal(r)
	if err != nil {
		return journalEntry{}, fmt.Errorf("cannot write the record of label %s: %w", r.Label, err)
	}
	return journalEntry{Kind: r.Kind, Tenant: r.Tenant, Instance: instance, Detail: string(detail),
		At: time.UnixMilli(r.AtMS)}, nil
}

// readStanding reads what the journal says about the model with this checksum.
func readStanding(ctx context.Context, s *store, checksum string, now time.Time) (*accept.Standing, error) {
	rows, err := s.rows(ctx, "SELECT kind, tenant, detail, toString(toUnixTimestamp64Milli(at)) FROM "+
		schema.TableJournal+" WHERE kind IN ({a:String}, {r:String}, {t:String}) AND at >= "+
		"fromUnixTimestamp64Milli({since:Int64}) AND position(detail, {sum:String}) > 0", map[string]string{
		"a": accept.KindAcceptance, "r": accept.KindRefusal, "t": accept.KindTakeBack, "sum": checksum,
		"since": strconv.FormatInt(now.UnixMilli()-accept.LifeMS, 10),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read what was accepted: %w", explain(err))
	}
	var records []accept.Record
	for _, row := range rows {
		if len(row) != 4 {
			return nil, fmt.Errorf("cannot read what was accepted: a row has %d columns", len(row))
		}
		var r accept.Record
		if err := json.Unmarshal([]byte(fmt.Sprint(row[2])), &r); err != nil {
			continue // somebody else's row: it proves nothing
		}
		r.Kind, r.Tenant = fmt.Sprint(row[0]), fmt.Sprint(row[1])
		if r.AtMS, err = strconv.ParseInt(fmt.Sprint(row[3]), 10, 64); err != nil {
			return nil, fmt.Errorf("cannot read what was accepted: %w", err)
		}
		records = append(records, r)
	}
	return accept.NewStanding(checksum, records), nil
}

// liveQuery counts the latest decisions on one label that acted and that somebody judged, and the
// right ones: a rejection or another label is wrong, the last word counts.
const liveQuery = `SELECT toString(count()), toString(sum(ok)) FROM (
    SELECT argMax(j.verdict != 'rejected' AND j.given_label IN ('', d.label), j.time) AS ok
    FROM (
        SELECT id, conversation_id, trigger_event_id, assumeNotNull(label) AS label, emitted_at
        FROM decisions
        WHERE tenant = {tenant:String} AND label = {label:String} AND acted
            AND model_checksum = {sum:String} AND emitted_at >= fromUnixTimestamp64Milli({since:Int64})
    ) AS d
    INNER JOIN (
        SELECT conversation_id, decision_id, target, verdict, given_label, time
        FROM labels
        WHERE tenant = {tenant:String} AND (type = 'feedback' OR head IN ('', {head:String}))
    ) AS j ON j.conversation_id = d.conversation_id
    WHERE if(j.decision_id != '', j.decision_id = d.id, j.target = d.trigger_event_id)
    GROUP BY d.id, d.emitted_at
    ORDER BY d.emitted_at DESC
    LIMIT {window:UInt32}
)`

// readLive counts what came of an acceptance since it was made.
func readLive(ctx context.Context, s *store, r *accept.Record) (accept.Tally, error) {
	t := accept.Tally{Label: r.Label}
	rows, err := s.rows(ctx, liveQuery, map[string]string{
		"tenant": r.Tenant, "label": r.Label, "sum": r.Checksum, "head": r.Head,
		"since": strconv.FormatInt(r.AtMS, 10), "window": strconv.Itoa(accept.LiveWindow),
	})
	if err != nil {
		return t, fmt.Errorf("cannot count live precision: %w", explain(err))
	}
	if len(rows) != 1 || len(rows[0]) != 2 {
		return t, fmt.Errorf("cannot count live precision: %d rows came back", len(rows))
	}
	var errN, errRight error
	t.N, errN = strconv.Atoi(fmt.Sprint(rows[0][0]))
	t.Right, errRight = strconv.Atoi(fmt.Sprint(rows[0][1]))
	if errN != nil || errRight != nil {
		return t, fmt.Errorf("cannot count live precision: %v of %v are no counts", rows[0][1], rows[0][0])
	}
	return t, nil
}
