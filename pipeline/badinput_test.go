package pipeline

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline/event"
	"usher/sinks/clickhouse/rows"
)

// bad is one record that must become a dead letter, beside the code it must get.
type bad struct {
	name  string
	value []byte
	codes []event.Code // when several apply, any of them
}

// good is a legal event; with replaces a piece of it.
const good = `{"v":1,"id":"1","type":"message","time":1793181662345,"conversation_id":"c-42",` +
	`"actor":{"kind":"customer"},"message":{"text":"hello"}}`

func with(old, new string) []byte {
	if !strings.Contains(good, old) {
		panic("BUG: the good event does not hold " + old)
	}
	return []byte(strings.Replace(good, old, new, 1))
}

// badInputs holds every row of the bad-input table of the delivery design, and every required field
// missing, of the wrong type and too long.
func badInputs() []bad {
	one := func(name string, value []byte, codes ...event.Code) bad { return bad{name, value, codes} }
	long := strings.Repeat("x", 129)
	list := []bad{
		one("malformed", []byte(`{"v":1,`), event.JSONSyntax),
		one("empty", []byte{}, event.JSONSyntax, event.Tombstone),
		one("tombstone", nil, event.Tombstone),
		one("two documents", []byte(good+good), event.JSONSyntax),
		one("byte order mark", []byte("\ufeff"+good), event.JSONSyntax),
		one("no object", []byte(`[1]`), event.FieldType),
		one("NaN", with("1793181662345", "NaN"), event.NumberSyntax, event.JSONSyntax),
		one("infinity", with("1793181662345", "inf"), event.NumberSyntax, event.JSONSyntax),
		one("plus", with("1793181662345", "+1793181662345"), event.NumberSyntax, event.JSONSyntax),
		one("leading zero", with("1793181662345", "007"), event.NumberSyntax, event.JSONSyntax),
		one("open exponent", with("1793181662345", "1e"), event.NumberSyntax, event.JSONSyntax),
		one("int64 overflow", with("1793181662345", "99999999999999999999"),
			event.FieldType, event.FieldValue, event.TimeRange, event.NumberSyntax),
		one("number as string", with(`"v":1`, `"v":"1"`), event.FieldType),
		one("invalid UTF-8 in an id", with(`"c-42"`, "\"c-\xff\""), event.UTF8),
		one("control character in an id", with(`"c-42"`, `"c-\u0001"`), event.UTF8),
		one("lone surrogate in an id", with(`"c-42"`, `"c-\ud800"`), event.UTF8),
		one("duplicate key", with(`"v":1`, `"v":1,"v":1`), event.DupKey),
		one("escaped duplicate key", with(`"id":"1"`, `"id":"1","\u0069d":"2"`), event.DupKey),
		one("too deep", with(`{"text":"hello"}`, strings.Repeat(`{"a":`, 70)+"1"+strings.Repeat("}", 70)),
			event.TooDeep),
		one("too large", with("hello", strings.Repeat("y", 1<<20)), event.TooLarge),
		one("seconds", with("1793181662345", "1793181662"), event.TimeRange),
		one("microseconds", with("1793181662345", "1793181662345000"), event.TimeRange),
		one("negative time", with("1793181662345", "-1"), event.TimeRange),
		one("far future", with("1793181662345", `"2999-01-01T00:00:00Z"`), event.TimeRange),
		one("time without offset", with("1793181662345", `"2026-11-02T10:00:00"`), event.FieldValue),
		one("unknown actor kind", with(`"customer"`, `"operator"`), event.FieldValue),
		one("nested attrs", with(`"v":1`, `"v":1,"attrs":{"a":{}}`), event.FieldType),
	}
	for _, f := range []struct{ name, pair, number, long string }{
		{"id", `"id":"1",`, `"id":1,`, `"id":"` + long + `",`},
		{"conversation_id", `"conversation_id":"c-42",`, `"conversation_id":42,`,
			`"conversation_id":"` + long + `",`},
		{"type", `"type":"message",`, `"type":7,`, `"type":"` + long + `",`},
		{"time", `"time":1793181662345,`, `"time":true,`, ""},
		{"v", `"v":1,`, `"v":[1],`, ""},
		{"actor", `"actor":{"kind":"customer"},`, `"actor":"customer",`,
			`"actor":{"kind":"customer","id":"` + long + `"},`},
	} {
		list = append(list, one(f.name+" missing", with(f.pair, ""), event.FieldMissing),
			one(f.name+" of the wrong type", with(f.pair, f.number), event.FieldType))
		if f.long != "" {
			list = append(list, one(f.name+" too long", with(f.pair, f.long), event.IDTooLong))
		}
	}
	return list
}

// TestBadInput puts every bad record between two good neighbours, and an aborted transaction beside
// them: original bytes in the dead letters, the code expected, the neighbours unharmed, and events +
// dead letters + gaps = offsets.
func TestBadInput(t *testing.T) {
	b := newBed(t)
	list := badInputs()
	produce := func(cl *kgo.Client, value []byte) {
		t.Helper()
		r := &kgo.Record{Topic: b.events, Key: []byte("c-42"), Value: value}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	neighbour := func(n int) []byte {
		return with(`"id":"1"`, fmt.Sprintf(`"id":"n%d"`, n))
	}
	for i, x := range list {
		produce(b.cl, neighbour(i))
		produce(b.cl, x.value)
	}
	txn, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.TransactionalID(b.events+" a producer"))
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	for _, try := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(txn, neighbour(1000))
		produce(txn, neighbour(1001))
		if err := txn.EndTransaction(t.Context(), try); err != nil {
			t.Fatal(err)
		}
	}
	stop := b.worker("w0")
	b.caughtUp()
	stop()

	letters := b.read(b.topics.DeadLetters)
	if len(letters) != len(list) {
		t.Fatalf("%d dead letters, want %d", len(letters), len(list))
	}
	for i, x := range list {
		checkLetter(t, x, letters[i])
	}
	tables := b.blockTables()
	gaps := b.gapOffsets()
	ends, err := b.adm.ListEndOffsets(t.Context(), b.events)
	if err != nil {
		t.Fatal(err)
	}
	var offsets int
	for _, p := range ends[b.events] {
		offsets += int(p.Offset)
	}
	if want := len(list) + 2; tables["events"] != want {
		t.Errorf("%d event rows, want the %d neighbours", tables["events"], want)
	}
	if want := 4; gaps != want { // two aborted records, two markers
		t.Errorf("gaps declare %d offsets, want %d", gaps, want)
	}
	if sum := tables["events"] + tables["dead_letters"] + gaps; sum != offsets {
		t.Errorf("events + dead letters + gaps = %d, the topic has %d offsets", sum, offsets)
	}
}

func checkLetter(t *testing.T, x bad, letter *kgo.Record) {
	t.Helper()
	headers := make(map[string]string)
	for _, h := range letter.Headers {
		headers[h.Key] = string(h.Value)
	}
	fits := false
	for _, c := range x.codes {
		fits = fits || headers["dlq.code"] == string(c)
	}
	if !fits {
		t.Errorf("%s: code %s (%s), want one of %v", x.name, headers["dlq.code"],
			headers["dlq.reason"], x.codes)
	}
	want := x.value
	if headers["dlq.code"] == string(event.TooLarge) {
		want = want[:512<<10]
		if headers["dlq.truncated"] != "true" || len(headers["dlq.sha256"]) != 64 {
			t.Errorf("%s: the cut dead letter does not say so", x.name)
		}
	}
	if !bytes.Equal(letter.Value, want) {
		t.Errorf("%s: the dead letter holds %d bytes that are not the original's %d",
			x.name, len(letter.Value), len(want))
	}
	if !strings.HasSuffix(headers["dlq.topic"], testEvents) || headers["dlq.offset"] == "" || headers["dlq.partition"] == "" {
		t.Errorf("%s: the dead letter does not say where it came from: %v", x.name, headers)
	}
}

// gapOffsets adds up what the gap rows declare, decoded by ch-go.
func (b *bed) gapOffsets() int {
	b.t.Helper()
	sum := 0
	for _, r := range b.read(b.topics.Rows) {
		h, err := rows.ParseHeader(r.Headers)
		if err != nil {
			b.t.Fatal(err)
		}
		if h.Table != "delivery_gaps" {
			continue
		}
		var results proto.Results
		var blk proto.Block
		reader := proto.NewReader(bytes.NewReader(r.Value))
		if err := blk.DecodeRawBlock(reader, 0, results.Auto()); err != nil {
			b.t.Fatal(err)
		}
		columns := make(map[string]*proto.ColInt64)
		for _, c := range results {
			if n, ok := c.Data.(*proto.ColInt64); ok {
				columns[c.Name] = n
			}
		}
		for i := range blk.Rows {
			sum += int(columns["to_offset"].Row(i) - columns["from_offset"].Row(i))
		}
	}
	return sum
}

// TestPanicIsQuarantined: a record whose processing panics three times becomes a dead letter, and
// its neighbours are processed once.
func TestPanicIsQuarantined(t *testing.T) {
	b := newBed(t)
	values := []string{"first", "explodes", "last"}
	for i, text := range values {
		v := strings.Replace(string(with("hello", text)), `"id":"1"`, fmt.Sprintf(`"id":"%d"`, i), 1)
		r := &kgo.Record{Topic: b.events, Key: []byte("c-42"), Value: []byte(v)}
		if err := b.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	b.before = func(in *Record) {
		if bytes.Contains(in.Value, []byte("explodes")) {
			panic("as the test asks")
		}
	}
	stop := b.worker("w0")
	b.caughtUp()
	stop()
	letters := b.read(b.topics.DeadLetters)
	if len(letters) != 1 || !bytes.Contains(letters[0].Value, []byte("explodes")) {
		t.Fatalf("%d dead letters, want the one that panics", len(letters))
	}
	if n := len(b.read(b.topics.Decisions)); n != 2 {
		t.Errorf("%d decisions, want one for each neighbour", n)
	}
	if got := b.blockTables()["events"]; got != 2 {
		t.Errorf("%d event rows, want 2", got)
	}
}
