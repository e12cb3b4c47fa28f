package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// foreign is an export in words of its own, conversations mixed and out of order.
const foreign = `{"ticket":"t-2","n":1,"ts":"2026-11-02T10:00:00Z","who":{"role":"client"},"body":"Hi"}
{"ticket":"t-1","n":2,"ts":"2026-11-02T10:05:00Z","who":{"role":"operator","name":"anna"},"body":"Sure"}

{"ticket":"t-1","n":1,"ts":"2026-11-02T10:00:00Z","who":{"role":"client"},"body":"May I?"}
{"ticket":"t-3","n":1,"ts":"yesterday","who":{"role":"client"},"body":"secret words"}
`

var foreignFlags = []string{
	"--map", "conversation_id=ticket,seq=n,time=ts,actor.kind=who.role,actor.id=who.name,message.text=body",
	"--values", "actor.kind:client=customer,actor.kind:operator=agent", "--default", "channel=web",
}

func TestImportThenAnalyze(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "export.jsonl.gz")
	f, err := os.Create(source)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write([]byte(foreign)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out := filepath.Join(dir, "events.jsonl")
	r := call{args: append([]string{"import", "jsonl", source, "--out", out}, foreignFlags...)}.good(t)
	has(t, "standard error", r.err, "export.jsonl.gz:5: field_value: time", "left_out=1", "events=3")
	if strings.Contains(r.err, "secret words") || r.stdout != "" {
		t.Errorf("the report quotes a line, or data went to the terminal: %s%s", r.stdout, r.err)
	}
	first, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	again := call{args: append([]string{"import", "jsonl", source, "--out", "-"}, foreignFlags...)}.good(t)
	if diff := cmp.Diff(string(first), again.stdout); diff != "" {
		t.Errorf("a second import differs: %s", diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the import left files behind: %v %v", entries, err)
	}
	var got map[string]any
	a := call{args: []string{"analyze", "--json", out}}.good(t)
	if err := json.Unmarshal([]byte(a.stdout), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"conversations": 2.0, "events": 3.0, "unanswered": 1.0,
		"unanswered_rate": 0.5, "first_reply_median_ms": 300000.0, "missed_rate": nil, "dead_letters": 0.0} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s = %v, want %v", key, v, want)
		}
	}
	if below := (call{args: []string{"analyze", "--json", dir}}.good(t)); below.stdout == a.stdout {
		t.Error("the directory holds the export too, whose lines are no events")
	}
	only := filepath.Join(dir, "below", "deep")
	if err := os.MkdirAll(only, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(out, filepath.Join(only, "events.jsonl")); err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(only, "events.jsonl")
	below := call{args: []string{"analyze", "--json", filepath.Dir(only)}}.good(t)
	if diff := cmp.Diff(a.stdout, below.stdout); diff != "" {
		t.Errorf("a directory differs from its file: %s", diff)
	}
	people := call{args: []string{"analyze", out}}.good(t)
	has(t, "the text", people.stdout, "median 5m0s", "50.00 %", "anna", "not known")
}

func TestImportOfNothingGoodFails(t *testing.T) {
	source := write(t, "export.jsonl", "[1]\n")
	out := filepath.Join(t.TempDir(), "events.jsonl")
	r := usher(t, "import", "jsonl", source, "--out", out)
	if r.code != exitFailed {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
}

func TestCheckEvents(t *testing.T) {
	good := call{args: []string{"produce", "--example", "--print"}}.good(t).stdout
	r := call{args: []string{"check", "events", "-"}, stdin: good}.good(t)
	has(t, "check events", r.stdout, "2 events of 1 conversations, 0 bad", "yes  1 message", "no   2 close",
		"send close")
	bad := good + `{"v":1,"id":"3","type":"message","time":1,"conversation_id":"c"}` + "\n" +
		`{"v":1,"id":"4","type":"typing","time":1793613600000,"conversation_id":"c"}` + "\n"
	r = call{args: []string{"check", "events", "-"}, stdin: bad}.run(t)
	if r.code != exitNotHeld {
		t.Errorf("exit code %d", r.code)
	}
	has(t, "check events", r.stdout, "-:3: ", "note unknown types are stored and touch nothing: typing (1)")
	r = call{args: []string{"check", "events", "-"}}.run(t)
	if r.code != exitNotHeld {
		t.Errorf("nothing at all: exit code %d", r.code)
	}
}

// labelled has three labels that a few words tell apart, 40 messages each.
func labelled() string {
	var b strings.Builder
	b.WriteString("text\tlabel\tlang\tsplit\n")
	say := map[string][]string{
		"price": {"how much is it", "what does it cost", "the price please", "is it expensive"},
		"book":  {"i want to come on monday", "book a visit", "a free slot tomorrow", "reserve a chair"},
		"claim": {"it broke", "i am unhappy with it", "this is a complaint", "i want my money back"},
	}
	for _, label := range []string{"price", "book", "claim"} {
		for i := range 40 {
			split := "train"
			if i%4 == 3 {
				split = "test"
			}
			b.WriteString(say[label][i%4%3] + " " + say[label][i/4%3] + "\t" + label + "\ten\t" + split + "\n")
		}
	}
	return b.String()
}

func TestTrainEvalClassify(t *testing.T) {
	dir := t.TempDir()
	tsv, model := write(t, "messages.tsv", labelled()), filepath.Join(dir, "intent.usher")
	r := call{args: []string{"train", "--in", tsv, "--out", model, "--split", "train"}, dir: dir}.good(t)
	has(t, "train", r.stdout, "intent ", "3 labels", "written to "+model)

	e := call{args: []string{"eval", "--model", model, "--in", tsv, "--split", "test", "--json"}}.good(t)
	var report struct {
		N        int
		Accuracy float64
		Bands    map[string]struct{ Coverage float64 }
		Labels   map[string]struct{ N int }
	}
	if err := json.Unmarshal([]byte(e.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.N != 30 || report.Accuracy < 0.9 || len(report.Bands) != 3 || report.Labels["claim"].N != 10 {
		t.Errorf("%+v", report)
	}
	people := call{args: []string{"eval", "--model", model, "--in", tsv, "--by", "split"}}.good(t)
	has(t, "eval", people.stdout, "macro F1", "split test", "split train", "auto")

	c := call{args: []string{"classify", "--model", model, "--lang", "en"},
		stdin: "How much is it?\n\nbook a visit\r\nlast line without an end"}.good(t)
	lines := strings.Split(strings.TrimSuffix(c.stdout, "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("4 lines in, %d out:\n%s", len(lines), c.stdout)
	}
	for i, want := range []any{"price", nil, "book", nil} {
		var d map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &d); err != nil {
			t.Fatal(err)
		}
		if i < 3 && d["label"] != want {
			t.Errorf("line %d: label %v, want %v", i+1, d["label"], want)
		}
		if d["lang"] != "en" || d["v"] != 1.0 || d["thresholds"] == nil {
			t.Errorf("line %d is no decision: %s", i+1, lines[i])
		}
	}
	has(t, "standard error", c.err, "run acts alone only after that")

	// The configured cut-offs count, for eval and classify alike.
	strict := []string{"USHER_CLASSIFIER_AUTO=off", "USHER_CLASSIFIER_THRESHOLDS={auto_at: 0.61, suggest_at: 0.6}"}
	c = call{args: []string{"classify", "--model", model}, stdin: "how much is it", env: strict}.good(t)
	has(t, "classify", c.stdout, `"band":"suggest","band_reason":"disabled","thresholds":{"suggest":0.6,"auto":0.61}`)
	e = call{args: []string{"eval", "--model", model, "--in", tsv, "--json"},
		env: []string{"USHER_CLASSIFIER_THRESHOLDS={labels: {price: {auto: false}}}"}}.good(t)
	if err := json.Unmarshal([]byte(e.stdout), &report); err != nil || report.Bands["auto"].Coverage > 0.9 {
		t.Errorf("eval where one label may not act: %+v %v", report, err)
	}
}

func TestDashboardsAreWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "boards")
	r := call{args: []string{"dashboards", "--out", dir}}.good(t)
	has(t, "the list", r.stdout, filepath.Join(dir, "usher-service.json"))
	b, err := os.ReadFile(filepath.Join(dir, "usher-service.json"))
	if err != nil || !json.Valid(b) {
		t.Errorf("no board: %v", err)
	}
}

// Several heads from one call: labels, a column with a plain label, and a knowledge base; each is
// measured, accepted and suggested by its own name.
func TestTrainSeveralHeads(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("text\tlabel\tsentiment\n")
	moods := map[string][]string{"negative": {"awful and rude", "this is terrible"}, "neutral": {"", "by the way"}}
	for i := range 240 {
		label := []string{"deal", "claim"}[i%2]
		mood := []string{"neutral", "negative"}[i/2%2]
		text := map[string]string{"deal": "book a visit", "claim": "refund my order"}[label]
		fmt.Fprintf(&b, "%s %d please %s\t%s\t%s\n", text, i, moods[mood][i/4%2], label, mood)
	}
	tsv, model := write(t, "messages.tsv", b.String()), filepath.Join(dir, "m.usher")
	articles := write(t, "help.tsv", "id\ttitle\tbody\nhours\tOpening hours\tWe are open from nine to five.\n"+
		"pay\tHow to pay\tPay by card or by invoice.\n")
	r := call{args: []string{"train", "--in", tsv, "--out", model, "--head", "intent", "--also", "sentiment=neutral",
		"--articles", articles, "--rank", "-1", "--typos", "0.2", "--latin", "0.1", "--epochs", "8",
		"--max-rows", "900", "--json"}}.good(t)
	var out struct {
		Labels []string
		Report struct{ Noisy, Kept, Rank int }
		Others []struct {
			Head   string
			Labels []string
			Report struct{ Mixed, Kept int }
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Labels) != 2 || out.Report.Noisy == 0 || out.Report.Rank != -1 || len(out.Others) != 2 ||
		out.Others[0].Head != "sentiment" || out.Others[0].Report.Mixed == 0 || out.Others[1].Head != "kb" ||
		strings.Join(out.Others[1].Labels, " ") != "hours pay" {
		t.Errorf("%+v", out)
	}
	e := call{args: []string{"eval", "--model", model, "--in", tsv, "--head", "sentiment", "--column", "sentiment",
		"--gate", "accuracy>=0.9"}}.good(t)
	has(t, "eval", e.stdout, "accuracy")
	a := usher(t, "accept", model, "--tenant", "salon7", "--in", tsv, "--head", "sentiment",
		"--column", "sentiment", "--dry-run", "--json")
	has(t, "accept", a.stdout, `"label":"negative"`, `"label":"neutral"`)
	has(t, "accept", usher(t, "accept", model, "--tenant", "a", "--in", tsv, "--head", "mood").err,
		"it has intent, sentiment, kb")
	c := call{args: []string{"classify", "--model", model}, stdin: "refund my order 3 please this is terrible"}.good(t)
	has(t, "classify", c.stdout, `"sentiment":{"label":"negative"`)
	has(t, "train", usher(t, "train", "--in", tsv, "--out", model, "--also", "label").err, "--also label")
	has(t, "train", usher(t, "train", "--in", tsv, "--out", model, "--also", "mood").err, "mood among them")
	bad := write(t, "bad.tsv", "id\ttitle\tbody\n\tx\ty\n")
	has(t, "train", usher(t, "train", "--in", tsv, "--out", model, "--articles", bad).err, "line 2 has no id")
}
