package torture

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// notesMax bounds how many findings are printed one by one.
const notesMax = 15

// Verdict is what the oracle found.
type Verdict struct {
	Events, DeadLetters, Gaps, Decisions int // of the log: what must be there
	Recounted                            int // conversations whose first cycle was recomputed
	Promises                             int // of SLA policies, by their topic
	Facts                                int // of KPIs, by bench/oracle
	Compared                             int // tables and views held to the calm run
	CalmRows                             int64

	Lost, Duplicated, Different int
	Notes                       []string // the first notesMax
	tables                      []string // that differ between the runs, all of them
}

// Holds reports whether nothing is lost, doubled or different.
func (v *Verdict) Holds() bool { return v.Lost+v.Duplicated+v.Different == 0 }

func (v *Verdict) note(format string, args ...any) {
	if len(v.Notes) < notesMax {
		v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
	}
}

// differs reports whether the runs differ in a table, or in one whose name begins so.
func (v *Verdict) differs(table string) bool {
	return slices.ContainsFunc(v.tables, func(n string) bool { return strings.HasPrefix(n, table) })
}

// hold compares what is there with what must be there, by place and content. A content that is
// there twice is doubled also when it differs.
func hold[K comparable](v *Verdict, what string, want map[K]string, have map[K][]string) {
	for k, w := range want {
		got := have[k]
		switch {
		case len(got) == 0:
			v.Lost++
			v.note("%s: lost at %v", what, k)
			continue
		case len(got) > 1:
			v.Duplicated += len(got) - 1
			v.note("%s: %d times at %v", what, len(got), k)
		}
		if got[0] != w {
			v.Different++
			v.note("%s: at %v is %.300q, must be %.300q", what, k, got[0], w)
		}
	}
	for k, got := range have {
		if _, ok := want[k]; !ok {
			v.Different += len(got)
			v.note("%s: %d at %v, where none must be: %.200q", what, len(got), k, got[0])
		}
	}
}

// judge holds everything that usher wrote to the log.
func (b *bed) judge(ctx context.Context, l *inputLog) (*Verdict, error) {
	v := &Verdict{}
	for _, check := range []func(context.Context, *inputLog, *Verdict) error{
		b.judgeEvents, b.judgeDeadLetters, b.judgeGaps, b.judgeDecisions, b.judgePromises, b.recount,
	} {
		if err := check(ctx, l, v); err != nil {
			return v, err
		}
	}
	return v, b.recountKPIs(l, v)
}

// judgeEvents: every record that is no dead letter is one row, under its own id, type, tenant and
// instant. Conversation ids may be pseudonyms: the same id must always be the same one.
func (b *bed) judgeEvents(ctx context.Context, l *inputLog, v *Verdict) error {
	want := make(map[position]string)
	conversation := make(map[position]string)
	for i := range l.records {
		if r := &l.records[i]; r.event != nil {
			e := r.event
			want[r.at] = fmt.Sprint(e.Tenant, " ", e.ID, " ", e.Type, " ", e.timeMS)
			conversation[r.at] = e.Tenant + " " + e.ConversationID
		}
	}
	v.Events = len(want)
	have := make(map[position][]string)
	stored := make(map[string]string) // pseudonyms
	err := b.store.rows(ctx, "SELECT _src_partition, _src_offset, tenant, id, type, "+
		"toUnixTimestamp64Milli(time), conversation_id FROM events", func(row []json.RawMessage) error {
		var at position
		var tenant, id, kind, conv string
		var ms int64
		if err := scan(row, &at.partition, &at.offset, &tenant, &id, &kind, &ms, &conv); err != nil {
			return err
		}
		have[at] = append(have[at], fmt.Sprint(tenant, " ", id, " ", kind, " ", ms))
		own := conversation[at]
		if known, ok := stored[own]; ok && known != conv {
			v.Different++
			v.note("events: one conversation under two ids at %v", at)
		}
		stored[own] = conv
		return nil
	})
	if err != nil {
		return err
	}
	l.pseudonyms = stored
	hold(v, "events", want, have)
	return nil
}

// judgeDeadLetters: every broken record is one row and one record of the dead-letter topic, whole.
func (b *bed) judgeDeadLetters(ctx context.Context, l *inputLog, v *Verdict) error {
	want := make(map[position]string)
	for i := range l.records {
		if r := &l.records[i]; r.code != "" {
			sum := sha256.Sum256(r.value)
			want[r.at] = r.code + " " + hex.EncodeToString(sum[:])
		}
	}
	v.DeadLetters = len(want)
	rows := make(map[position][]string)
	err := b.store.rows(ctx, "SELECT _src_partition, _src_offset, code, payload_sha256 FROM dead_letters",
		func(row []json.RawMessage) error {
			var at position
			var code, sum string
			err := scan(row, &at.partition, &at.offset, &code, &sum)
			rows[at] = append(rows[at], code+" "+sum)
			return err
		})
	if err != nil {
		return err
	}
	hold(v, "dead letters", want, rows)
	sent := make(map[position][]string)
	_, _, err = b.eachRecord(ctx, hurt.prefix+"chat.deadletters.v1", func(r *kgo.Record) error {
		header := make(map[string]string)
		for _, h := range r.Headers {
			header[h.Key] = string(h.Value)
		}
		p, err1 := strconv.ParseInt(header["dlq.partition"], 10, 32)
		o, err2 := strconv.ParseInt(header["dlq.offset"], 10, 64)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("a dead letter at %d/%d does not say where it comes from",
				r.Partition, r.Offset)
		}
		sum := sha256.Sum256(r.Value)
		at := position{int32(p), o}
		sent[at] = append(sent[at], header["dlq.code"]+" "+hex.EncodeToString(sum[:]))
		return nil
	})
	if err != nil {
		return err
	}
	hold(v, "dead-letter topic", want, sent)
	return nil
}

// judgeGaps: every offset that holds no record is declared once.
func (b *bed) judgeGaps(ctx context.Context, l *inputLog, v *Verdict) error {
	want := make(map[position]string)
	for p, end := range l.end {
		for o := l.start[p]; o < end; o++ {
			want[position{p, o}] = ""
		}
	}
	for i := range l.records {
		delete(want, l.records[i].at)
	}
	v.Gaps = len(want)
	have := make(map[position][]string)
	err := b.store.rows(ctx, "SELECT _src_partition, from_offset, to_offset FROM delivery_gaps",
		func(row []json.RawMessage) error {
			var p int32
			var from, to int64
			err := scan(row, &p, &from, &to)
			for o := from; o < to; o++ {
				have[position{p, o}] = append(have[position{p, o}], "")
			}
			return err
		})
	if err != nil {
		return err
	}
	hold(v, "gaps", want, have)
	return nil
}

// judgeDecisions: one decision per public message of a customer that is sent for the first time, in
// the table and in the topic, and the same one in both.
func (b *bed) judgeDecisions(ctx context.Context, l *inputLog, v *Verdict) error {
	due := make(map[position]string)
	seen := make(map[string]bool)
	for i := range l.records {
		r := &l.records[i]
		if e := r.event; e != nil && e.ConversationID != "" {
			id := e.Tenant + "\x00" + e.ConversationID + "\x00" + e.ID
			if e.asks() && !seen[id] {
				due[r.at] = e.ID
			}
			seen[id] = true
		}
	}
	v.Decisions = len(due)
	triggers, ids := make(map[position][]string), make(map[position]string)
	err := b.store.rows(ctx, "SELECT trigger_partition, trigger_offset, trigger_event_id, toString(id) "+
		"FROM decisions", func(row []json.RawMessage) error {
		var at position
		var event, id string
		err := scan(row, &at.partition, &at.offset, &event, &id)
		triggers[at] = append(triggers[at], event)
		ids[at] = id
		return err
	})
	if err != nil {
		return err
	}
	hold(v, "decisions", due, triggers)
	sent := make(map[position][]string)
	_, _, err = b.eachRecord(ctx, hurt.prefix+"chat.decisions.v1", func(r *kgo.Record) error {
		var d struct {
			ID      string
			Trigger struct {
				Partition int32
				Offset    int64
			}
		}
		if err := json.Unmarshal(r.Value, &d); err != nil {
			return fmt.Errorf("cannot read the decision at %d/%d: %w", r.Partition, r.Offset, err)
		}
		at := position{d.Trigger.Partition, d.Trigger.Offset}
		sent[at] = append(sent[at], d.ID)
		return nil
	})
	if err != nil {
		return err
	}
	hold(v, "decisions topic", maps.Clone(ids), sent)
	return nil
}

// perRun are columns that a second run over the same log cannot repeat: the clock, the place in the
// rows topic, and how many revisions a fact took, which depends on where transactions were cut.
var perRun = []string{"revision", "received_at", "emitted_at", "latency_us", "at", "_day", "_topic_id",
	"_partition", "_offset", "_sub", "_lease_until"}

// perRunOf are the columns of a table that a second run cannot repeat. Whether a timer or a later event
// brought an end of a promise about depends on where transactions were cut, so its row may name the
// event or none; when it was due, and when it ended, does not.
func perRunOf(table string) []string {
	if !strings.HasPrefix(table, "sla_events") {
		return perRun
	}
	own := slices.DeleteFunc(slices.Clone(perRun), func(column string) bool { return column == "at" })
	return append(own, "_src_offset")
}

// settledOnly are views whose unsettled rows grow with the clock: the two sides of one query are read
// at two instants.
var settledOnly = map[string]string{"kpi_occupancy": " WHERE final"}

// compareRuns holds every fact and every KPI view to the calm run's.
func (b *bed) compareRuns(ctx context.Context, v *Verdict) error {
	tables, err := b.store.names(ctx, "SELECT name FROM system.tables WHERE database = '"+hurt.database+
		"' AND (name IN ('events', 'decisions', 'dead_letters', 'labels') OR name LIKE '%\\_latest' "+
		"OR name LIKE 'kpi\\_%' AND engine = 'View') AND name NOT LIKE '%corrections%' ORDER BY name")
	if err != nil {
		return err
	}
	for _, table := range tables {
		columns, err := b.store.names(ctx, "SELECT name FROM system.columns WHERE database = '"+
			hurt.database+"' AND table = '"+table+"' AND name NOT IN ('"+strings.Join(perRunOf(table), "', '")+
			"') ORDER BY position")
		if err != nil {
			return err
		}
		if err := b.compareTable(ctx, v, table, columns); err != nil {
			return fmt.Errorf("cannot compare %s: %w", table, err)
		}
		v.Compared++
	}
	return nil
}

func (b *bed) compareTable(ctx context.Context, v *Verdict, table string, columns []string) error {
	one := func(database string, sign int) string {
		return fmt.Sprintf("SELECT toString(tuple(`%s`)) AS r, %d AS s FROM %s.%s%s",
			strings.Join(columns, "`, `"), sign, database, table, settledOnly[table])
	}
	n, err := b.store.number(ctx, "SELECT count() FROM "+calm.database+"."+table)
	if err != nil {
		return err
	}
	v.CalmRows += n
	return b.store.rows(ctx, "SELECT r, sum(s) FROM ("+one(hurt.database, 1)+" UNION ALL "+
		one(calm.database, -1)+") GROUP BY r HAVING sum(s) != 0", func(row []json.RawMessage) error {
		var r string
		var s int
		if err := scan(row, &r, &s); err != nil {
			return err
		}
		v.Different++
		v.tables = append(v.tables, table)
		if s > 0 {
			v.note("%s: %d only in the tortured run: %.300s", table, s, r)
		} else {
			v.note("%s: %d only in the calm run: %.300s", table, -s, r)
		}
		return nil
	})
}
