package jsonl

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fastjson"

	"usher/pipeline/event"
	"usher/pipeline/source/fieldmap"
)

// nowMS is later than every time of the tests.
const nowMS = 1_800_000_000_000

// importText imports files with the given contents and returns the events, one a line.
func importText(t *testing.T, cfg Config, contents ...string) ([]string, *Report) {
	t.Helper()
	var paths []string
	for i, content := range contents {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("in%d.jsonl", i))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	cfg.NowMS = nowMS
	var out bytes.Buffer
	report := &Report{}
	if err := Import(t.Context(), cfg, paths, &out, report); err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' }), report
}

func mapper(t *testing.T, cfg fieldmap.Config) *fieldmap.Mapper {
	t.Helper()
	m, err := fieldmap.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// line is a message of conversation c; seq below 0 is none.
func line(id, c string, seq, timeMS int) string {
	counted := ""
	if seq >= 0 {
		counted = fmt.Sprintf(`"seq":%d,`, seq)
	}
	return fmt.Sprintf(`{"v":1,"id":%q,"type":"message","time":%d,"conversation_id":%q,%s"actor":{"kind":"customer"}}`,
		id, 1_700_000_000_000+timeMS, c, counted)
}

func ids(lines []string) string {
	var all []string
	for _, l := range lines {
		all = append(all, fastjson.GetString([]byte(l), "id"))
	}
	return strings.Join(all, " ")
}

func TestOrder(t *testing.T) {
	check := func(name, want string, lines ...string) {
		t.Helper()
		for _, cfg := range []Config{{}, {MemoryBytes: 1, TempDir: t.TempDir()},
			{MemoryBytes: len(lines[0]) + 1, TempDir: t.TempDir()}} {
			got, report := importText(t, cfg, strings.Join(lines, "\n"))
			if ids(got) != want {
				t.Errorf("%s: order %s, want %s", name, ids(got), want)
			}
			if report.Events != len(lines) || report.Bad != 0 {
				t.Errorf("%s: report %+v, want %d events", name, report, len(lines))
			}
			if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(lines))) {
				t.Errorf("%s: the lines were changed: %s", name, got)
			}
		}
	}
	check("by seq where all have one, whatever the time", "1 2 3",
		line("3", "c", 3, 1), line("1", "c", 1, 9), line("2", "c", 2, 5))
	check("by time where one has none", "3 2 1",
		line("3", "c", 3, 1), line("2", "c", -1, 5), line("1", "c", 1, 9))
	check("equal ones keep their order", "b a d c",
		line("b", "c", -1, 5), line("d", "c", -1, 6), line("a", "c", -1, 5), line("c", "c", -1, 6))
	check("conversations by their first event", "2 5 1 3 4",
		line("1", "b", -1, 3), line("5", "a", -1, 9), line("2", "a", -1, 2), line("3", "b", -1, 4), line("4", "d", -1, 7))
	check("the earliest time places a conversation, though seq orders it", "a1 a2 b1",
		line("b1", "b", 1, 5), line("a1", "a", 1, 8), line("a2", "a", 2, 4))
	agent := `{"v":1,"id":"s","type":"agent_status","time":1700000000001,"actor":{"kind":"agent","id":"c"},"agent_status":{"status":"away"}}`
	check("an agent is no conversation of the same name", "1 2 s", line("2", "c", 2, 1), agent, line("1", "c", 1, 3))
	other := strings.Replace(line("t", "c", 0, 2), `"v":1`, `"v":1,"tenant":"x"`, 1)
	check("nor is another tenant's", "1 2 t", line("2", "c", 2, 1), other, line("1", "c", 1, 3))
}

func TestKeysAndTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.jsonl")
	agent := `{"v":1,"id":"s","type":"agent_status","time":"2023-11-14T22:13:20.005Z","actor":{"kind":"agent","id":"ann"},"agent_status":{"status":"away"}}`
	if err := os.WriteFile(path, []byte(agent+"\n"+line("1", "c", 0, 7)), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := Each(t.Context(), Config{NowMS: nowMS}, []string{path}, nil, func(e Event) error {
		got = append(got, fmt.Sprintf("%s@%d", e.Key, e.TimeMS))
		return nil
	})
	if want := []string{"ann@1700000000005", "c@1700000000007"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v %v, want %v", got, err, want)
	}
	full := errors.New("the topic is full")
	if err := Each(t.Context(), Config{NowMS: nowMS}, []string{path}, nil,
		func(Event) error { return full }); !errors.Is(err, full) {
		t.Errorf("the callback's error came back as %v", err)
	}
}

func TestBadLines(t *testing.T) {
	good := line("1", "c", 0, 1)
	lines := []string{
		good, "", "{", `{"id":"2"}`, strings.Replace(good, "1700000000001", "1700000000", 1),
		strings.Replace(good, "customer", "operator", 1), "  \t", strings.Replace(good, `"1"`, `1`, 1),
		"", "[" + good + "]", strings.Replace(line("3", "c", 0, 2), `"actor"`, `"x":"`+strings.Repeat("y", 2000)+`","actor"`, 1),
		line("4", "c", 0, 3),
	}
	var heard []string
	cfg := Config{LineBytes: 1000, OnBad: func(b Bad) {
		heard = append(heard, fmt.Sprintf("%s:%d %s", filepath.Base(b.File), b.Line, b.Code))
		if b.Reason == "" || b.Mend == "" || !strings.Contains(b.String(), b.Mend) {
			t.Errorf("%+v does not say what is wrong or how to mend it", b)
		}
	}}
	got, report := importText(t, cfg, "\n"+line("0", "c", 0, 0)+"\r\n", strings.Join(lines, "\n"))
	want := []string{
		"in1.jsonl:3 json_syntax", "in1.jsonl:4 field_missing", "in1.jsonl:5 time_range",
		"in1.jsonl:6 field_value", "in1.jsonl:8 field_type", "in1.jsonl:10 field_type", "in1.jsonl:11 too_large",
	}
	if !slices.Equal(heard, want) {
		t.Errorf("bad lines:\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(want, "\n"))
	}
	if ids(got) != "0 1 4" {
		t.Errorf("imported %s, want 0 1 4", ids(got))
	}
	if report.Files != 2 || report.Lines != 10 || report.Blank != 4 || report.Events != 3 ||
		report.Bad != 7 || report.BadByCode[event.FieldType] != 2 || report.Conversations != 1 ||
		len(report.Samples) != 7 {
		t.Errorf("report %+v", report)
	}
}

func TestReportKeepsTheFirstBadLines(t *testing.T) {
	_, report := importText(t, Config{}, strings.Repeat("x\n", samplesMax+5))
	if report.Bad != samplesMax+5 || len(report.Samples) != samplesMax || report.Samples[samplesMax-1].Line != samplesMax {
		t.Errorf("counted %d bad lines and kept %d, want %d and %d", report.Bad, len(report.Samples), samplesMax+5, samplesMax)
	}
}

func TestCompressedFiles(t *testing.T) {
	lines := line("1", "c", 0, 1) + "\n" + line("2", "c", 1, 2)
	var zipped, again bytes.Buffer
	for _, member := range []string{lines[:40], lines[40:]} { // two members, as cat a.gz b.gz makes them
		w := gzip.NewWriter(&zipped)
		_, _ = io.WriteString(w, member)
		_ = w.Close()
	}
	w, err := zstd.NewWriter(&again)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, lines)
	_ = w.Close()
	for name, content := range map[string]string{
		"plain": lines, "gzip": zipped.String(), "zstd": again.String(), "byte order mark": "\ufeff" + lines,
	} {
		read := 0
		got, report := importText(t, Config{OnBytes: func(n int) { read += n }}, content)
		if ids(got) != "1 2" || report.Bad != 0 {
			t.Errorf("%s: imported %s with %d bad lines, want 1 2", name, ids(got), report.Bad)
		}
		if read != len(content) {
			t.Errorf("%s: %d of %d bytes were counted", name, read, len(content))
		}
	}
	path := filepath.Join(t.TempDir(), "cut.jsonl.gz")
	if err := os.WriteFile(path, zipped.Bytes()[:zipped.Len()-9], 0o600); err != nil {
		t.Fatal(err)
	}
	err = Import(t.Context(), Config{NowMS: nowMS}, []string{path}, io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), "cut.jsonl.gz") || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that was cut off: %v, want an error that names it", err)
	}
	err = Import(t.Context(), Config{}, []string{"/no/such/file"}, io.Discard, nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestMappedImportIsRepeatable(t *testing.T) {
	input := `{"chat":"b","ts":"2023-01-01 10:00:05","who":"operator","text":"two"}
{"chat":"b","ts":"2023-01-01 10:00:00","who":"customer","text":"one"}
{"chat":7,"ts":"2022-12-31T10:00:00Z","who":"customer","text":"zero","unknown":{"a":1}}
{"chat":"b","ts":"2023-01-01 10:00:09","who":"nobody","text":"bad"}
`
	cfg := Config{Mapper: mapper(t, fieldmap.Config{
		Map:    map[string]string{"conversation_id": "chat", "time": "ts", "actor.kind": "who", "message.text": "text"},
		Values: map[string]map[string]string{"actor.kind": {"operator": "agent"}},
		Zone:   nil,
	})}
	if _, report := importText(t, cfg, input); report.BadByCode[event.FieldValue] != 3 {
		t.Errorf("times without offset and no zone: %+v, want 3 field_value", report)
	}
	input = strings.ReplaceAll(input, ` 10:00`, `T10:00`)
	input = strings.ReplaceAll(input, `","who"`, `Z","who"`)
	input = strings.ReplaceAll(input, `ZZ`, `Z`)
	first, report := importText(t, cfg, input)
	second, _ := importText(t, cfg, input)
	if !slices.Equal(first, second) {
		t.Errorf("the second import differs:\n%s\n%s", first, second)
	}
	var texts []string
	for _, l := range first {
		texts = append(texts, fastjson.GetString([]byte(l), "message", "text"))
	}
	if want := []string{"zero", "one", "two"}; !slices.Equal(texts, want) || report.Bad != 1 ||
		report.BadByCode[event.FieldValue] != 1 {
		t.Errorf("imported %v, report %+v; want %v and one bad value", texts, report, want)
	}
	if want := `{"v":1,"id":"` + fastjson.GetString([]byte(first[2]), "id") +
		`","type":"message","time":"2023-01-01T10:00:05Z","conversation_id":"b","actor":{"kind":"agent"},"message":{"text":"two"}}`; first[2] != want {
		t.Errorf("got %s\nwant %s", first[2], want)
	}
}

func TestCancel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.jsonl")
	if err := os.WriteFile(path, []byte(strings.Repeat(line("1", "c", 0, 1)+"\n", 2*ctxEvery)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Import(ctx, Config{NowMS: nowMS}, []string{path}, io.Discard, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import ends with %v", err)
	}
}

// The offsets of lines are what a player needs to go on where it stopped.
func TestReaderOffsets(t *testing.T) {
	text := "\ufeffa\r\n\n  \nbb\n" + strings.Repeat("x", readBuffer+10) + "\nlast"
	reader := NewReader(strings.NewReader(text), readBuffer+5)
	check := func(number, offset, length int, long bool) {
		t.Helper()
		got, err := reader.Next()
		if err != nil || got.Number != number || got.Offset != int64(offset) || len(got.Bytes) != length || got.Long != long {
			t.Errorf("line %d at %d, %d bytes, long %t, %v; want %d at %d, %d bytes, %t",
				got.Number, got.Offset, len(got.Bytes), got.Long, err, number, offset, length, long)
		}
	}
	check(1, 0, 1, false)
	check(4, 10, 2, false)
	check(5, 13, readBuffer+5, true)
	check(6, 13+readBuffer+11, 4, false)
	if _, err := reader.Next(); !errors.Is(err, io.EOF) || reader.Blank() != 2 || reader.Offset() != int64(len(text)) {
		t.Errorf("at the end: %v, %d blank, offset %d of %d", err, reader.Blank(), reader.Offset(), len(text))
	}
}

// The whole public set of Thunderbird's help forum: no line is lost, and the events are those of
// the file.
func TestThunderbird(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(shared(t), "data", "conversations", "thunderbird-aaq", "*.jsonl.gz"))
	if len(files) == 0 {
		t.Skip("the Thunderbird set is not there")
	}
	fields, err := fieldmap.ParseMap("time=ts,actor.kind=role,actor.id=sender,message.text=text")
	if err != nil {
		t.Fatal(err)
	}
	var report Report
	seen := map[string]bool{}
	last, first, previous := "", int64(0), int64(0)
	err = Each(t.Context(), Config{NowMS: nowMS, Mapper: mapper(t, fieldmap.Config{Map: fields}),
		MemoryBytes: 8 << 20, TempDir: t.TempDir()}, files, &report, func(e Event) error {
		key := string(e.Key)
		if key == last {
			first = min(first, e.TimeMS)
			return nil
		}
		if seen[key] {
			t.Fatalf("conversation %s comes in two pieces", key)
		}
		if first < previous {
			t.Fatalf("conversation %s begins before the one in front of it", last)
		}
		seen[key], last, first, previous = true, key, e.TimeMS, first
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Events != 111_787 || report.Conversations != 35_104 || report.Bad != 0 || report.Blank != 0 {
		t.Errorf("report %+v, want 111787 events in 35104 conversations", report)
	}
}

// shared finds the folder of shared test data beside the checkout, or skips the test.
func shared(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("USHER_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "..", "shared")
		}
	}
	t.Skip("no checkout around the test")
	return ""
}
