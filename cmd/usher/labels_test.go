package main

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/pipeline/event"
	"usher/sinks/clickhouse/embedded/embeddedtest"
)

// labelEvents decodes what import printed.
func labelEvents(t *testing.T, text string) (out []string) {
	t.Helper()
	dec := event.NewDecoder(event.Limits{})
	for line := range strings.Lines(text) {
		var ev event.Event
		if rej := dec.Decode([]byte(line), event.Envelope{NowMS: 1e13}, &ev); rej != nil {
			t.Fatalf("%s: %v", line, rej)
		}
		out = append(out, fmt.Sprintf("%s %s %s %s=%s by %s", ev.Tenant, ev.ConversationID, ev.Target,
			ev.Label.Head, ev.Label.Name, ev.Label.Annotator))
	}
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLabelsImport(t *testing.T) {
	report := filepath.Join(t.TempDir(), "rejected.txt")
	lines := write(t, "answers.txt", "c-1\te-1\tintent:[запись]; sentiment:[negative]; recommended_action:[уточнение]\n"+
		"c-2\te-2\tINTENT: question\n\nc-3\te-3\tintent:[продажа]\nintent:[запись]\n")
	r := call{args: []string{"labels", "import", lines, "--format", "line", "--annotator", "prompt",
		"--tenant", "salon7", "--report", report}}.good(t)
	same(t, "events", labelEvents(t, r.stdout), "salon7 c-1 e-1 intent=booking by prompt",
		"salon7 c-1 e-1 sentiment=negative by prompt", "salon7 c-1 e-1 recommended_action=clarify by prompt",
		"salon7 c-2 e-2 intent=question by prompt")
	rejected, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	has(t, "the report", string(rejected), "line 4: intent has the unknown value", "line 5: which message?")
	has(t, "the count", r.err, "4 labels, 0 texts, 2 lines rejected")

	texts := write(t, "texts.txt", "Можно на завтра?\tintent:[запись]; sentiment:[neutral]\n")
	r = call{args: []string{"labels", "import", texts, "--format", "line"}}.good(t)
	same(t, "training rows", strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n"),
		"text\tlabel\tsentiment\trecommended_action", "Можно на завтра?\tbooking\tneutral\t")

	filled := write(t, "todo.csv", "\uFEFFtarget,conversation_id,text,label,annotator\n"+
		"e-1,c-1,\"a, b\",deal,ann\ne-2,c-2,x,,\ne-3,,x,deal,\n")
	r = call{args: []string{"labels", "import", filled, "--annotator", "bob"}}.good(t)
	same(t, "events", labelEvents(t, r.stdout), "default c-1 e-1 =deal by ann")
	has(t, "the report", r.err, "line 4: target or conversation_id is missing")
	has(t, "a bad header", usher(t, "labels", "import", write(t, "x.csv", "a,b\n")).err, "target, conversation_id and label")
}

// What is disputed comes first, then a random fifth, then the smallest margins; what is labelled is
// not asked about again.
func TestLabelsListAndAgreement(t *testing.T) {
	addr := embeddedtest.Start(t)
	env := []string{"USHER_CLICKHOUSE_ADDR=" + addr, "USHER_CLICKHOUSE_USER=default"}
	call{args: []string{"schema", "--apply"}, env: env}.good(t)
	s := &store{base: "http://" + addr + "/", database: "usher", client: &http.Client{}, where: "the engine"}
	for _, sql := range []string{
		`INSERT INTO decisions (tenant, conversation_id, id, trigger_event_id, label, score, margin, time,
			_lease_until) SELECT 'salon7', 'c' || toString(number), 'd' || toString(number),
			'e' || toString(number), 'deal', 0.9, number / 1000, now64(3), now64(3) + 3600 FROM numbers(500)`,
		`INSERT INTO labels (tenant, conversation_id, type, target, decision_id, head, given_label, verdict,
			annotator, time, _lease_until) VALUES
			('salon7','c0','label','e0','','intent','deal','','ann',now64(3),now64(3)+3600),
			('salon7','c400','label','e400','','intent','deal','','ann',now64(3),now64(3)+3600),
			('salon7','c400','label','e400','','intent','claim','','bob',now64(3),now64(3)+3600),
			('salon7','c401','feedback','','d401','','','rejected','',now64(3),now64(3)+3600),
			('salon7','c402','feedback','','d402','','claim','rejected','',now64(3),now64(3)+3600)`,
		`INSERT INTO events (tenant, conversation_id, id, text, _lease_until) VALUES
			('salon7', 'c1', 'e1', 'a redacted, text', now64(3) + 3600)`,
	} {
		if err := s.exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	r := call{args: []string{"labels", "export", "--n", "10"}, env: env}.good(t)
	rows, err := csv.NewReader(strings.NewReader(r.stdout)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	why := map[string][]string{}
	for _, row := range rows[1:] {
		why[row[7]] = append(why[row[7]], row[0])
		if row[0] == "e1" && row[7] == "margin" && row[8] != "a redacted, text" {
			t.Errorf("the text of e1 is %q", row[8])
		}
	}
	if len(rows) != 11 || len(why["disagreement"]) != 2 || len(why["random"]) != 2 || len(why["margin"]) != 6 {
		t.Fatalf("chosen: %v", why)
	}
	if d := strings.Join(why["disagreement"], " "); d != "e400 e401" && d != "e401 e400" {
		t.Errorf("disputed: %s", d)
	}
	for i, e := range why["margin"] {
		if e == "e0" || i > 0 && len(e) < len(why["margin"][i-1]) {
			t.Errorf("by margin: %v", why["margin"])
		}
	}
	if err := s.exec(t.Context(), `INSERT INTO decisions (tenant, conversation_id, id, trigger_event_id, label,
		sentiment_label, sentiment_score, time, _lease_until) SELECT 'salon7', 'm' || toString(number),
		'm' || toString(number), 'm' || toString(number), 'deal', 'negative', 0.4 + number / 100, now64(3),
		now64(3) + 3600 FROM numbers(20)`); err != nil {
		t.Fatal(err)
	}
	if err := s.exec(t.Context(), `INSERT INTO labels (tenant, conversation_id, type, target, head, given_label,
		annotator, time, _lease_until) VALUES ('salon7','m0','label','m0','sentiment','neutral','ann',now64(3),
		now64(3)+3600), ('salon7','m1','label','m1','intent','deal','ann',now64(3),now64(3)+3600)`); err != nil {
		t.Fatal(err)
	}
	// Another head: what is labelled for the first one is still open, the least sure come first.
	r = call{args: []string{"labels", "export", "--n", "5", "--head", "sentiment"}, env: env}.good(t)
	if rows, err = csv.NewReader(strings.NewReader(r.stdout)).ReadAll(); err != nil || len(rows) != 6 {
		t.Fatalf("%v\n%s", err, r.stdout)
	}
	unsure := ""
	for _, row := range rows[1:] {
		if row[7] == "margin" && unsure == "" {
			unsure = row[0]
		}
		if row[0] == "m0" || row[4] != "negative" || row[9] != "sentiment" {
			t.Errorf("chosen for sentiment: %q", row)
		}
	}
	if unsure != "m1" && rows[1][0] != "m1" {
		t.Errorf("first by margin: %s", unsure)
	}
	has(t, "a head that decisions do not keep", usher(t, "labels", "list", "--head", "lang").err, "sentiment or urgency")
	has(t, "list", call{args: []string{"labels", "list", "--n", "5"}, env: env}.good(t).stdout, "disagreement", "margin")
	has(t, "agreement", call{args: []string{"labels", "agreement"}, env: env}.good(t).stdout, "ann, bob", "1", "0.0000")
}
