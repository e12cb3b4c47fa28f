package scenario

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const told = `# two lines of it
zone Europe/Riga
hours mon-fri 09:00-13:00 14:00-18:00
promise chat first_reply=3m clock=business channel=web
with channel=web
on 2026-10-25
03:30+02:00 customer: Hi: [there] # 1
+2s bot [greeting id=g]: Hello
chat two
09:00 Anna transfers to queue back [seq=4]
again
09:01 customer buys for 12.5 EUR
09:02 Anna is online
expect sla(policy, metric): chat 1/1 at 03:30   # why
ask SELECT count() FROM events WHERE tenant = {tenant}: 4
`

func TestParse(t *testing.T) {
	s, err := Parse("told", told)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"actor":{"kind":"customer"},"channel":"web","conversation_id":"told/one","id":"one-1","message":{"text":"Hi: [there] # 1"},"tenant":"told","time":1792891800000,"type":"message","v":1}`,
		`{"actor":{"kind":"bot"},"channel":"web","conversation_id":"told/one","id":"g","message":{"greeting":true,"text":"Hello"},"tenant":"told","time":1792891802000,"type":"bot_answer","v":1}`,
		`{"actor":{"id":"Anna","kind":"agent"},"channel":"web","conversation_id":"told/two","id":"two-3","seq":4,"tenant":"told","time":1792911600000,"transfer":{"to":{"queue":"back"}},"type":"transfer","v":1}`,
		"", // the same again
		`{"actor":{"kind":"customer"},"channel":"web","conversation_id":"told/two","id":"two-4","outcome":{"currency":"EUR","kind":"sale","value":12.5},"tenant":"told","time":1792911660000,"type":"outcome","v":1}`,
		`{"actor":{"id":"Anna","kind":"agent"},"agent_status":{"status":"online"},"channel":"web","id":"two-5","tenant":"told","time":1792911720000,"type":"agent_status","v":1}`,
	}
	want[3] = want[2]
	if len(s.Events) != len(want) {
		t.Fatalf("%d events, want %d", len(s.Events), len(want))
	}
	for i, e := range s.Events {
		if string(e) != want[i] {
			t.Errorf("event %d\n got %s\nwant %s", i, e, want[i])
		}
	}
	if p, _ := json.Marshal(s.Promises); string(p) != `[{"clock":"business","first_reply":"3m",`+
		`"name":"told-chat","when":{"channel":["web"],"tenant":["told"]}}]` {
		t.Errorf("promises: %s", p)
	}
	if !reflect.DeepEqual(s.Hours["mon-fri"], []string{"09:00-13:00", "14:00-18:00"}) {
		t.Errorf("hours: %v", s.Hours)
	}
	row := []any{"told/two", 1792891800000.0, "2026-10-24", 0.0, 1.0, 1.0, nil, "told-chat", "next_reply"}
	got := s.Answer(&s.Questions[0], Shape{}, [][]any{row, row})
	one := "two: chat next_reply 1/1 at 03:30 counted for 2026-10-24, so far"
	if got != one+"; "+one {
		t.Errorf("answer %q", got)
	}
	again := s.Rewrite([]string{"none", "5"})
	if want := strings.NewReplacer(": chat 1/1 at 03:30", ": none", "{tenant}: 4", "{tenant}: 5").
		Replace(told); again != want {
		t.Errorf("rewritten:\n%s", again)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"09:00 customer: Hi":                     "on which day",
		"on 2026-03-02\n9 Uhr customer: Hi":      "no time",
		"on 2026-03-02\n09:00 Anna jumps":        "no verb",
		"on 2026-03-02\n09:00 Anna":              "NAME: TEXT",
		"on 2026-03-02\n09:00 customer [x=]: Hi": "expects nothing",
		"again":                                  "nothing came before",
		"expect volume 1":                        "expect KPI: ANSWER",
		"ask DROP TABLE x: 1":                    "ask SELECT",
		"promise chat":                           "targets",
		"with channel":                           "key=value",
		"zone Mars/Base":                         "Mars",
	} {
		if _, err := Parse("x", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for ms, want := range map[float64]string{
		0: "0s", 250: "250ms", 60_000: "1m", 3_600_000: "1h", 5_400_000: "1h30m", 3_605_000: "1h0m5s",
		600_000: "10m", 36_000_000: "10h", 101_000: "1m41s",
	} {
		if got := span(ms); got != want {
			t.Errorf("%v: %s, want %s", ms, got, want)
		}
	}
}
