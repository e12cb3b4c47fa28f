package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// tailLine is one line of `usher tail`.
type tailLine struct {
	Time         string `json:"time"`
	Kind         string `json:"kind"` // event, turn or decision
	Tenant       string `json:"tenant"`
	Conversation string `json:"conversation"`
	What         string `json:"what"`
	Band         string `json:"band,omitempty"`
	ID           string `json:"id,omitempty"` // of the event or the decision
	at           time.Time
}

// rank is the order of lines of one instant: event, turn, decision.
func (l tailLine) rank() int { return strings.Index("event turn decision", l.Kind) }

// tailReader turns row blocks into lines.
type tailReader struct{ row blockRow }

// lines reads one record; tables that tail does not show give none.
func (r *tailReader) lines(rec *kgo.Record) ([]tailLine, error) {
	h, err := rows.ParseHeader(rec.Headers)
	if err != nil {
		return nil, fmt.Errorf("cannot read offset %d of %s, partition %d: %w", rec.Offset, rec.Topic,
			rec.Partition, err)
	}
	read, ok := map[string]func() tailLine{
		schema.TableEvents: r.event, schema.TableTurns: r.turn, schema.TableDecisions: r.decision,
	}[h.Table]
	if !ok {
		return nil, nil
	}
	var block proto.Block
	var columns proto.Results
	if err := block.DecodeRawBlock(proto.NewReader(bytes.NewReader(rec.Value)), 0, columns.Auto()); err != nil {
		return nil, fmt.Errorf("cannot read the rows of %s at offset %d of %s, partition %d: %w", h.Table,
			rec.Offset, rec.Topic, rec.Partition, err)
	}
	r.row.columns = make(map[string]proto.ColResult, len(columns))
	for _, c := range columns {
		r.row.columns[c.Name] = c.Data
		if auto, ok := c.Data.(*proto.ColAuto); ok {
			r.row.columns[c.Name] = auto.Data.(proto.ColResult)
		}
	}
	out := make([]tailLine, 0, block.Rows)
	for r.row.at = range block.Rows {
		l := read()
		l.Tenant, l.Conversation = r.row.text("tenant"), r.row.text("conversation_id")
		l.Time = l.at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		out = append(out, l)
	}
	return out, nil
}

func (r *tailReader) event() tailLine {
	w := words{r.row.text("type"), r.row.text("actor_kind")}
	if n := r.row.number("text_len"); n > 0 {
		w.add("%d bytes", int64(n))
	}
	w.some("channel", r.row.text("channel"))
	w.some("reason", r.row.text("reason"))
	w.some("resolution", r.row.text("resolution"))
	w.some("status", r.row.text("status"))
	w.some("to queue", r.row.text("to_queue"))
	w.some("to team", r.row.text("to_team"))
	w.some("outcome", r.row.text("outcome_kind"))
	w.some("flags", strings.Join(r.row.texts("flags"), ","))
	return tailLine{Kind: "event", at: r.row.time("time"), What: w.String(), ID: r.row.text("id")}
}

func (r *tailReader) turn() tailLine {
	wait := time.Duration(r.row.number("wait_ms")) * time.Millisecond
	w := words{"turn " + strconv.Itoa(int(r.row.number("turn")))}
	switch by := r.row.text("ended_by"); by {
	case "agent", "bot":
		w.add("answered by %s after %s", by, wait)
	default:
		w.add("ended unanswered (%s) after %s", by, wait)
	}
	if r.row.number("sign") < 0 {
		w.add("taken back: a late event changed it")
	}
	return tailLine{Kind: "turn", at: r.row.time("ended_at"), What: w.String()}
}

func (r *tailReader) decision() tailLine {
	w := words{r.row.text("label")}
	if score, ok := r.row.float("score"); ok {
		w.add("%.3f", score)
	}
	band := r.row.text("band")
	w.add("%s", band)
	w.some("because", r.row.text("band_reason"))
	w.some("queue", r.row.text("route_queue"))
	w.some("rule", r.row.text("rule_id"))
	id := r.row.text("id")
	w.add("%s", id)
	return tailLine{Kind: "decision", at: r.row.time("time"), What: w.String(), Band: band, ID: id}
}

// words are the parts of a line, empty ones left out.
type words []string

func (w *words) add(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

func (w *words) some(name, value string) {
	if value != "" {
		*w = append(*w, name+" "+value)
	}
}

// String joins them.
func (w words) String() string {
	kept := make([]string, 0, len(w))
	for _, one := range w {
		if one != "" {
			kept = append(kept, one)
		}
	}
	return strings.Join(kept, " · ")
}

// blockRow is a row of a decoded block. A column that is not there reads as nothing: the router may be
// of another version.
type blockRow struct {
	columns map[string]proto.ColResult
	at      int
}

func (b *blockRow) text(name string) string {
	switch c := b.columns[name].(type) {
	case *proto.ColStr:
		return c.Row(b.at)
	case *proto.ColNullable[string]:
		return c.Row(b.at).Or("")
	}
	return ""
}

func (b *blockRow) texts(name string) []string {
	if c, ok := b.columns[name].(*proto.ColArr[string]); ok {
		return c.Row(b.at)
	}
	return nil
}

func (b *blockRow) number(name string) int64 {
	switch c := b.columns[name].(type) {
	case *proto.ColInt64:
		return c.Row(b.at)
	case *proto.ColUInt32:
		return int64(c.Row(b.at))
	case *proto.ColInt8:
		return int64(c.Row(b.at))
	}
	return 0
}

func (b *blockRow) float(name string) (float64, bool) {
	if c, ok := b.columns[name].(*proto.ColNullable[float64]); ok {
		return c.Row(b.at).Or(0), c.Row(b.at).Set
	}
	return 0, false
}

func (b *blockRow) time(name string) time.Time {
	switch c := b.columns[name].(type) {
	case *proto.ColDateTime64:
		return c.Row(b.at)
	case *proto.ColInt64:
		return time.UnixMilli(c.Row(b.at))
	}
	return time.Time{}
}
