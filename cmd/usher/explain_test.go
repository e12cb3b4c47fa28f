package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"usher/features/classifier"
	"usher/features/classifier/demo"
)

func TestExplainSumsToTheLogit(t *testing.T) {
	for _, label := range []string{"", "claim"} {
		args := []string{"explain", "--text", "How much is a haircut, and when are you open on Sundays?", "--json"}
		if label != "" {
			args = append(args, "--label", label)
		}
		var e explanation
		if err := json.Unmarshal([]byte(call{args: args}.good(t).stdout), &e); err != nil {
			t.Fatal(err)
		}
		sum := e.Bias + e.Rest
		for _, n := range e.For {
			sum += n.Contribution
			if n.Contribution <= 0 {
				t.Errorf("%+v is no reason for it", n)
			}
		}
		for _, n := range e.Against {
			sum += n.Contribution
			if n.Contribution >= 0 {
				t.Errorf("%+v is no reason against it", n)
			}
		}
		if math.Abs(sum-e.Logit) > 1e-9 || len(e.For) != ngramsShown || len(e.Against) != ngramsShown {
			t.Errorf("%s: the sum is %v, the logit %v, of %d and %d n-grams", e.Label, sum, e.Logit, len(e.For),
				len(e.Against))
		}
		if label == "" && e.Label != "request" || label != "" && e.Label != label {
			t.Errorf("explained %s, want %q", e.Label, label)
		}
	}
	has(t, "no word", usher(t, "explain", "--text", " … ").err, "no word")
	has(t, "both", usher(t, "explain", "--text", "a", "b").err, "one DECISION or --text")
	has(t, "no id", usher(t, "explain", "b").err, "no id of a decision")
}

// A decision is explained from the record that Kafka still keeps, and not when it is gone.
func TestExplainDecision(t *testing.T) {
	s := newSite(t, demoModel(t))
	id := "d9000000000000000000000000000001"
	insert := func(id string, offset int) {
		t.Helper()
		if err := s.store.exec(t.Context(), fmt.Sprintf(`INSERT INTO decisions (id, trigger_topic,
			trigger_partition, trigger_offset, model_checksum, model_version, _lease_until) VALUES ('%s',
			'chat.events.v1', 0, %d, 'another', 'old', now64(3) + 3600)`, id, offset)); err != nil {
			t.Fatal(err)
		}
	}
	insert(id, 1)
	line := `{"v":1,"id":"%s","type":"message","time":1793181662345,"conversation_id":"c",` +
		`"actor":{"kind":"customer"},"message":{"text":"%s"}}` + "\n"
	call{args: []string{"produce", "--input", "-"}, env: s.env, stdin: fmt.Sprintf(line, "1", "hello") +
		fmt.Sprintf(line, "2", "How much is a haircut?")}.good(t)
	r := call{args: []string{"explain", id}, env: s.env}.good(t)
	has(t, "the explanation", r.stdout, "request: score 0.9", "how much")
	has(t, "the note", r.err, "version old decided")

	gone := strings.Replace(id, "1", "2", 1)
	insert(gone, -1) // before the first offset that is kept
	r = call{args: []string{"explain", gone}, env: s.env}.run(t)
	if r.code != exitFailed || !strings.Contains(r.err, "no longer retained") {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
	r = call{args: []string{"explain", strings.Repeat("0", 32)}, env: s.env}.run(t)
	if r.code != exitFailed || !strings.Contains(r.err, "there is no decision") {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
}

func TestModelShowAndDiff(t *testing.T) {
	old := demoModel(t)
	file, err := classifier.Recard(demo.Bytes(), json.RawMessage(`{"about":"for the test"}`))
	if err != nil {
		t.Fatal(err)
	}
	next := write(t, "next.usher", string(file))
	has(t, "show", usher(t, "model", "show", next).stdout, "head intent (softmax): 3 labels: claim, deal, request",
		`"about": "for the test"`, "auto: coverage")
	var shown struct{ Heads []classifier.HeadMeta }
	if err := json.Unmarshal([]byte(call{args: []string{"model", "show", old, "--json"}}.good(t).stdout), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Heads) == 0 || len(shown.Heads[0].Labels) != 3 {
		t.Errorf("show --json: %+v", shown)
	}
	r := call{args: []string{"model", "diff", old, next, "--in", labelledPrices(t, 20, 3)}}.good(t)
	has(t, "diff", r.stdout, "checksum: ", "on 20 messages: another label for 0")
	if strings.Contains(r.stdout, "temperature") || strings.Contains(r.stdout, "labels") {
		t.Errorf("diff finds what is the same:\n%s", r.stdout)
	}
	has(t, "diff of the same", usher(t, "model", "diff", old, old).stdout, "the files are the same")
}
