package sim

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go/proto"

	"usher/pipeline"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// settled says why the world is not at rest yet, "" when it is.
func (w *World) settled() string {
	g := w.broker.groups[routerGroup]
	for p := range int32(inputPartitions) {
		l := w.broker.log(place{eventsTopic, p})
		if o, _ := g.fetch(p, false); o.at != l.end() {
			return fmt.Sprintf("input partition %d is committed up to %d of %d", p, o.at, l.end())
		}
		if len(g.pending[p]) > 0 {
			return fmt.Sprintf("input partition %d has offsets pending", p)
		}
		if n, want := w.fired(p), w.ticks(); n < want {
			return fmt.Sprintf("partition %d has fired %d of %d timers", p, n, want)
		}
	}
	if w.promises != nil {
		if why := w.promises.missing(w); why != "" {
			return why
		}
	}
	g = w.broker.groups[sinkGroup]
	for p := range int32(rowsPartitions) {
		l := w.broker.log(place{topics.Rows, p})
		if o, _ := g.fetch(p, false); max(o.at, 0) != l.end() || o.meta != "" {
			return fmt.Sprintf("rows partition %d is stored up to %d of %d, intent %q", p, o.at, l.end(), o.meta)
		}
	}
	if w.late > 0 {
		return fmt.Sprintf("%d messages are on their way", w.late)
	}
	return ""
}

// timers are what fires in a router.
func (w *World) timers() pipeline.Timers {
	if w.promises != nil {
		return pipeline.SLATimers{}
	}
	return ticks{}
}

// ticks is how many plain timers every partition must have fired.
func (w *World) ticks() int {
	if w.promises != nil {
		return 0
	}
	return int((ticksUntilMS - startMS) / tickMS)
}

func (w *World) fired(p int32) int {
	n := 0
	prefix := fmt.Sprintf("%d/", p)
	l := w.broker.log(place{topics.SLA, 0})
	for i := range l.entries {
		e := &l.entries[i]
		if !e.control && e.fate == committed && strings.HasPrefix(string(e.rec.Value), prefix) {
			n++
		}
	}
	return n
}

// facts are what the tables say, in the terms of the promise, with how often they say it.
type facts map[string]int

// check holds the world at rest to the promise and returns its facts.
func (w *World) check() facts {
	w.checkStored()
	if w.promises != nil {
		w.promises.check(w)
	} else {
		w.checkTimers()
	}
	f := w.facts()
	w.checkOffsets(f)
	return f
}

// checkStored holds the store to the committed rows topic: every row of it once, no other row.
func (w *World) checkStored() {
	for p := range int32(rowsPartitions) {
		l := w.broker.log(place{topics.Rows, p})
		for i := range l.entries {
			e := &l.entries[i]
			if e.control {
				continue
			}
			d := protocolRecord(e.rec)
			want := 0
			if e.fate == committed {
				want = 1
			}
			for sub := range int32(d.Rows) {
				n := w.store.tables[d.Header.Table].rows[rowID{p, d.Offset, sub}]
				repeated := schema.Lookup(d.Header.Table).Replacing && want == 1 && n > 1
				if n != want && !repeated {
					w.fail("row %d of offset %d of rows partition %d (%s) is stored %d times instead of %d",
						sub, d.Offset, p, d.Header.Table, n, want)
				}
			}
		}
	}
	for id, n := range w.store.tables[schema.TableManifest].rows {
		if n != 1 {
			w.fail("manifest row %v is stored %d times", id, n)
		}
	}
}

// checkTimers asks that each timer has fired exactly once.
func (w *World) checkTimers() {
	seen := map[string]int{}
	l := w.broker.log(place{topics.SLA, 0})
	for i := range l.entries {
		if e := &l.entries[i]; !e.control && e.fate == committed {
			seen[string(e.rec.Value)]++
		}
	}
	for p := range inputPartitions {
		for n := 1; n <= w.ticks(); n++ {
			if got := seen[fmt.Sprintf("%d/%d", p, int64(n)*tickMS)]; got != 1 {
				w.fail("timer %d of partition %d fired %d times", n, p, got)
			}
		}
	}
}

// checkOffsets asks that every input offset ended exactly once: as an event row, a dead letter or in
// a gap.
func (w *World) checkOffsets(f facts) {
	for p := range int32(inputPartitions) {
		for o := range w.broker.log(place{eventsTopic, p}).end() {
			if n := f[fmt.Sprintf("offset %d/%d", p, o)]; n != 1 {
				w.fail("offset %d of input partition %d ended %d times", o, p, n)
			}
		}
	}
}

// facts reads what the tables say: offsets, net turns, the newest row of every cycle. They must not
// depend on what went wrong on the way.
func (w *World) facts() facts {
	f, newest := facts{}, map[string]newestRow{}
	for p := range int32(rowsPartitions) {
		l := w.broker.log(place{topics.Rows, p})
		for i := range l.entries {
			e := &l.entries[i]
			if e.control || e.fate != committed {
				continue
			}
			h, err := rows.ParseHeader(e.rec.Headers)
			if err != nil {
				panic("BUG: " + err.Error())
			}
			b := w.decoder.decode(h.Table, e.rec.Value)
			for row := range b.rows {
				n := w.store.tables[h.Table].rows[rowID{p, e.rec.Offset, int32(row)}]
				if n > 0 {
					f.row(h, b, row, n, newest)
				}
			}
		}
	}
	for id, r := range newest {
		f["cycle "+id+r.text]++
	}
	return f
}

type newestRow struct {
	revision uint64
	text     string
}

// row counts one stored row.
func (f facts) row(h rows.Header, b *table, row, n int, newest map[string]newestRow) {
	switch h.Table {
	case schema.TableEvents, schema.TableDeadLetters:
		f[fmt.Sprintf("offset %d/%d", h.SrcPartition, b.number(row, "_src_offset"))] += n
	case schema.TableGaps:
		for o := b.number(row, "from_offset"); o < b.number(row, "to_offset"); o++ {
			f[fmt.Sprintf("offset %d/%d", h.SrcPartition, o)] += n
		}
	case schema.TableTurns, schema.TableTurnsHuman, schema.TableEscalations:
		key := h.Table + b.text(row, "_", "sign", "revision")
		if f[key] += n * int(b.number(row, "sign")); f[key] == 0 {
			delete(f, key)
		}
	case schema.TableConversations:
		id := b.text1(row, "cycle_id")
		if r := uint64(b.number(row, "revision")); r >= newest[id].revision {
			newest[id] = newestRow{r, b.text(row, "_")}
		}
	case schema.TableDecisions, schema.TableVoids, schema.TableCorrections:
		f[h.Table+b.text(row, "_", "emitted_at", "latency_us", "at", "voided_at")] += n
	}
}

// table is a decoded block.
type table struct {
	rows    int
	columns []column
}

type column struct {
	name string
	data proto.ColResult
}

// decoder reads blocks of any table. It keeps the columns of each, whose making costs more than the
// reading; a block is valid until the next of its table.
type decoder struct {
	bytes   bytes.Reader
	reader  *proto.Reader
	results map[string]*proto.Results
}

func newDecoder() *decoder {
	d := &decoder{results: map[string]*proto.Results{}}
	d.reader = proto.NewReader(&d.bytes)
	return d
}

func (d *decoder) decode(name string, value []byte) *table {
	d.bytes.Reset(value)
	var blk proto.Block
	results, into := d.results[name], proto.Result(nil)
	if results == nil {
		results = &proto.Results{}
		d.results[name] = results
		into = results.Auto()
	} else {
		for _, c := range *results {
			c.Data.Reset()
		}
		into = results
	}
	if err := blk.DecodeRawBlock(d.reader, 0, into); err != nil {
		panic("BUG: " + err.Error())
	}
	t := &table{rows: blk.Rows}
	for _, c := range *results {
		t.columns = append(t.columns, column{c.Name, c.Data})
	}
	return t
}

func (t *table) column(name string) *column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	panic("BUG: no column " + name)
}

// text writes a row without the columns named, and without those that begin with the first of them.
func (t *table) text(row int, prefix string, without ...string) string {
	var b strings.Builder
	for i := range t.columns {
		if c := &t.columns[i]; !strings.HasPrefix(c.name, prefix) && !slices.Contains(without, c.name) {
			fmt.Fprintf(&b, " %s=%v", c.name, cell(c.data, row))
		}
	}
	return b.String()
}

func (t *table) text1(row int, name string) string {
	return fmt.Sprint(cell(t.column(name).data, row))
}

func (t *table) number(row int, name string) int64 {
	switch v := cell(t.column(name).data, row).(type) {
	case int64:
		return v
	case uint64:
		return int64(v)
	case uint32:
		return int64(v)
	case int32:
		return int64(v)
	case int8:
		return int64(v)
	}
	panic("BUG: " + name + " is no number")
}

// cell reads one value whatever its column is.
func cell(c proto.ColResult, row int) any {
	if auto, ok := c.(*proto.ColAuto); ok {
		return cell(auto.Data.(proto.ColResult), row)
	}
	switch c := c.(type) {
	case *proto.ColInt64:
		return (*c)[row]
	case *proto.ColInt8:
		return (*c)[row]
	case *proto.ColUInt32:
		return (*c)[row]
	case *proto.ColUInt64:
		return (*c)[row]
	case *proto.ColStr:
		return c.Row(row)
	}
	return reflect.ValueOf(c).MethodByName("Row").Call([]reflect.Value{reflect.ValueOf(row)})[0].Interface()
}
