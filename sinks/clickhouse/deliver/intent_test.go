package deliver

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

func fullIntent() Intent {
	in := Intent{
		TopicID: schema.UUID{0xff, 15: 1}, Epoch: 7, From: 1 << 60, To: 1<<60 + 100_000, Version: 1<<32 - 1,
		Day: 65_535,
	}
	for _, t := range schema.Tables() {
		in.Shares = append(in.Shares, Share{Table: t.Name, Rows: 1 << 40, Hash: 1<<64 - 1})
	}
	return in
}

func TestAnIntentOfEveryTableFitsAndComesBack(t *testing.T) {
	want := fullIntent()
	meta, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(meta) > MetadataMax/2 {
		t.Errorf("%d bytes of %d leave little room for more tables", len(meta), MetadataMax)
	}
	got, err := ParseIntent(meta)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	want.Shares = append(want.Shares, Share{Table: strings.Repeat("x", MetadataMax)})
	if _, err := want.Encode(); err == nil {
		t.Error("an intent beyond the limit was encoded")
	}
}

func FuzzParseIntent(f *testing.F) {
	in := fullIntent()
	meta, err := in.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(meta)
	f.Add("u1 00 1 2-3")
	f.Add("")
	f.Fuzz(func(t *testing.T, meta string) {
		in, err := ParseIntent(meta)
		if err != nil {
			return
		}
		if in.From < 0 || in.To <= in.From {
			t.Fatalf("range %d-%d", in.From, in.To)
		}
		again, err := in.Encode()
		if err != nil {
			return // longer than the broker takes
		}
		if back, err := ParseIntent(again); err != nil || !in.equal(&back) {
			t.Fatalf("%q became %q", meta, again)
		}
	})
}

func TestTokensDifferWheneverABlockMay(t *testing.T) {
	seen := map[string]string{}
	add := func(what string, in Intent, partition int32, table string) {
		token := in.Token(partition, table)
		if before, ok := seen[token]; ok {
			t.Errorf("%s has the token of %s", what, before)
		}
		seen[token] = what
	}
	in := fullIntent()
	add("the range", in, 1, "events")
	add("another partition", in, 2, "events")
	add("another table", in, 1, "turns")
	for what, change := range map[string]func(*Intent){
		"another topic": func(i *Intent) { i.TopicID[3]++ }, "another start": func(i *Intent) { i.From-- },
		"another end": func(i *Intent) { i.To++ }, "another schema": func(i *Intent) { i.Version-- },
	} {
		other := in
		change(&other)
		add(what, other, 1, "events")
	}
}

func TestCut(t *testing.T) {
	record := func(day schema.Day, rowCount, bytes int) Record {
		return Record{
			Header: rows.Header{Table: "events", Version: 1, Day: day}, Rows: rowCount,
			Value: make([]byte, bytes),
		}
	}
	control := Record{Control: true}
	later := record(1, 1, 1)
	later.Header.Version = 2
	limits := Limits{Rows: 10, Bytes: 100}
	for what, c := range map[string]struct {
		run    []Record
		n      int
		closed bool
	}{
		"nothing":                    {nil, 0, false},
		"room left":                  {[]Record{record(1, 4, 10), control}, 2, false},
		"full by rows":               {[]Record{record(1, 4, 1), record(1, 6, 1)}, 2, true},
		"full by bytes":              {[]Record{record(1, 1, 50), record(1, 1, 50)}, 2, true},
		"the next would be too much": {[]Record{record(1, 4, 1), record(1, 7, 1)}, 1, true},
		"one record above the limit": {[]Record{record(1, 40, 1), record(1, 1, 1)}, 1, true},
		"another day":                {[]Record{record(1, 1, 1), control, record(2, 1, 1)}, 2, true},
		"another schema":             {[]Record{record(1, 1, 1), later}, 1, true},
	} {
		if n, closed := Cut(c.run, limits); n != c.n || closed != c.closed {
			t.Errorf("%s: %d, closed %v; want %d, %v", what, n, closed, c.n, c.closed)
		}
	}
}
