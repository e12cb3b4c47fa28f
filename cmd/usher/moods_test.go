package main

import (
	"path/filepath"
	"testing"
)

// What a message sounds like goes all the way: broker, decision, ClickHouse. The model in the binary
// hears anger, haste and thanks; the conversation keeps the first, lowest, latest and the change; the
// language is the producer's where it gave one.
func TestMoodsReachTheStore(t *testing.T) {
	needEngine(t)
	said := func(id, conversation, more, text string) string {
		return `{"v":1,"id":"` + id + `","type":"message","time":17931816` + id + `000,"conversation_id":"` +
			conversation + `",` + more + `"actor":{"kind":"customer"},"message":{"text":"` + text + `"}}` + "\n"
	}
	input := write(t, "moods.jsonl",
		said("10", "a", "", "Could you tell me when the parcel will arrive?")+
			said("11", "a", "", "I am furious, this is the worst service ever, absolutely unacceptable")+
			said("12", "a", "", "Thank you so much, great service, I'm very happy with everything")+
			said("13", "b", `"lang":"lv",`, "Срочно, перезвоните сейчас, это не может ждать, срочно")+
			said("14", "c", "", "Добрый день! Какие документы взять с собой на приём?"))
	data := filepath.Join(t.TempDir(), "data")
	call{args: []string{"demo", "--data", data, "--input", input, "--exit", "--json"}}.good(t)
	ask := func(sql, want string) {
		t.Helper()
		r := call{args: []string{"sql", "--data", data, "--format", "TSV", sql}}.good(t)
		if r.stdout != want {
			t.Errorf("%s:\n%swant\n%s", sql, r.stdout, want)
		}
	}
	ask("SELECT trigger_event_id, sentiment_label, urgency_label, lang, priority FROM decisions ORDER BY 1",
		"10\tneutral\tnormal\ten\tnormal\n"+
			"11\tnegative\tnormal\ten\thigh\n"+
			"12\tpositive\tnormal\ten\tnormal\n"+
			"13\tneutral\turgent\tlv\thigh\n"+
			"14\tneutral\tnormal\tru\tnormal\n")
	ask("SELECT countIf(sentiment_score > 0.3 AND urgency_score > 0.3) FROM decisions", "5\n")
	ask("SELECT conversation_id, sentiment_first, sentiment_lowest, sentiment_last, sentiment_change, lang "+
		"FROM conversations_latest ORDER BY 1",
		"a\tneutral\tnegative\tpositive\t1\t\n"+
			"b\tneutral\tneutral\tneutral\t0\tlv\n"+
			"c\tneutral\tneutral\tneutral\t0\t\n")
}
