package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Shape is what is known of a KPI view: its unit and its columns.
type Shape struct {
	Unit    string
	Columns map[string]bool
}

// Query is the SQL of a question; the shape is its view's.
func (s *Scenario) Query(q *Question, shape Shape) string {
	tenant := "'" + s.Name + "'"
	if q.KPI == "" {
		return strings.ReplaceAll(q.SQL, "{tenant}", tenant)
	}
	numbers := "NULL, NULL, toFloat64(value)"
	if shape.Columns["den"] {
		numbers = "num, den, NULL"
		if shape.Columns["value"] {
			numbers = "num, den, toFloat64(value)"
		}
	}
	columns := ""
	for _, c := range q.Columns {
		columns += ", toString(" + c + ")"
	}
	return "SELECT conversation_id, toUnixTimestamp64Milli(counted_at), toString(day), final, " + numbers + columns + " FROM kpi_" + q.KPI + " WHERE tenant = " + tenant +
		" ORDER BY conversation_id, counted_at, started_at, cycle_id" +
		strings.Join(append([]string{""}, q.Columns...), ", ")
}

// Answer puts rows into the words of a scenario.
func (s *Scenario) Answer(q *Question, shape Shape, rows [][]any) string {
	var out []string
	for _, row := range rows {
		if q.KPI == "" {
			cells := make([]string, len(row))
			for i, c := range row {
				cells[i] = cell(c)
			}
			out = append(out, strings.Join(cells, " "))
			continue
		}
		out = append(out, s.fact(shape, row))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, "; ")
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case float64:
		return strconv.FormatFloat(v, 'g', 12, 64)
	}
	return fmt.Sprint(v)
}

// fact is one row: `two: Anna 10m at 09:10, so far`.
func (s *Scenario) fact(shape Shape, row []any) string {
	var b strings.Builder
	id, _ := row[0].(string)
	if chat, ok := strings.CutPrefix(id, s.Name+"/"); ok && len(s.chats) > 1 {
		b.WriteString(chat + ": ")
	}
	for _, c := range row[7:] {
		if text := strings.TrimPrefix(cell(c), s.Name+"-"); text != "" {
			b.WriteString(text + " ")
		}
	}
	b.WriteString(amount(shape, row[4], row[5], row[6]))
	ms, _ := row[1].(float64)
	at := time.UnixMilli(int64(ms)).In(s.Zone)
	b.WriteString(" at " + s.clock(at))
	if day := cell(row[2]); day != at.Format(time.DateOnly) {
		b.WriteString(" counted for " + day)
	}
	if cell(row[3]) == "0" {
		b.WriteString(", so far")
	}
	return b.String()
}

func amount(shape Shape, num, den, value any) string {
	v, known := value.(float64)
	if den == nil {
		if shape.Unit == "ms" {
			return span(v)
		}
		return cell(value)
	}
	n, _ := num.(float64)
	d, _ := den.(float64)
	text := cell(n) + "/" + cell(d)
	if d > 1 { // of milliseconds, not of facts
		text = span(n) + "/" + span(d)
	}
	if known {
		text += " value " + cell(v)
	}
	return text
}

// span writes milliseconds as 1h30m.
func span(ms float64) string {
	text := (time.Duration(ms) * time.Millisecond).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

// clock leaves out the day of the first event, and seconds that are none.
func (s *Scenario) clock(at time.Time) string {
	layout := "15:04"
	if at.Nanosecond() != 0 {
		layout = "15:04:05.000"
	} else if at.Second() != 0 {
		layout = "15:04:05"
	}
	if at.Format(time.DateOnly) != s.first.Format(time.DateOnly) {
		layout = "2006-01-02 " + layout
	}
	return at.Format(layout)
}
