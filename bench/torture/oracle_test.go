package torture

import (
	"fmt"
	"testing"
)

// TestHold: each kind of difference is counted as what it is.
func TestHold(t *testing.T) {
	at := func(o int64) position { return position{1, o} }
	want := map[position]string{at(1): "a", at(2): "b", at(3): "c"}
	for _, c := range []struct {
		name                        string
		have                        map[position][]string
		lost, duplicated, different int
	}{
		{"equal", map[position][]string{at(1): {"a"}, at(2): {"b"}, at(3): {"c"}}, 0, 0, 0},
		{"lost", map[position][]string{at(1): {"a"}, at(3): {"c"}}, 1, 0, 0},
		{"doubled", map[position][]string{at(1): {"a", "a", "a"}, at(2): {"b"}, at(3): {"c"}}, 0, 2, 0},
		{"different", map[position][]string{at(1): {"x"}, at(2): {"b"}, at(3): {"c"}}, 0, 0, 1},
		{"invented", map[position][]string{at(1): {"a"}, at(2): {"b"}, at(3): {"c"}, at(4): {"d"}}, 0, 0, 1},
		{"nothing there", nil, 3, 0, 0},
	} {
		v := &Verdict{}
		hold(v, c.name, want, c.have)
		if v.Lost != c.lost || v.Duplicated != c.duplicated || v.Different != c.different {
			t.Errorf("%s: lost %d, duplicated %d, different %d, want %d, %d, %d", c.name, v.Lost,
				v.Duplicated, v.Different, c.lost, c.duplicated, c.different)
		}
		if v.Holds() != (c.lost+c.duplicated+c.different == 0) {
			t.Errorf("%s: holds %v", c.name, v.Holds())
		}
	}
}

// TestFirstCycle: the recount, on conversations small enough to count by hand.
func TestFirstCycle(t *testing.T) {
	message := func(ms int64, kind, more string) string {
		return fmt.Sprintf(`{"id":"%d","type":"message","time":%d,"conversation_id":"c",`+
			`"actor":{"kind":%q},"message":{"text":"x"%s}}`, ms, ms, kind, more)
	}
	event := func(ms int64, kind string) string {
		return fmt.Sprintf(`{"id":"%d","type":%q,"time":%d,"conversation_id":"c"}`, ms, kind, ms)
	}
	question := message(10_000, "customer", "")
	for _, c := range []struct {
		name   string
		events []string
		want   string // empty: left out
	}{
		{"answered", []string{question, message(40_000, "agent", "")},
			"1 messages, first human reply 30000, first reply 30000"},
		{"out of order", []string{message(40_000, "agent", ""), question},
			"1 messages, first human reply 30000, first reply 30000"},
		{"a private note is none", []string{question, message(20_000, "agent", `,"public":false`)},
			"1 messages, first human reply none, first reply none"},
		{"an automated answer is none", []string{question, message(20_000, "agent", `,"automated":true`)},
			"1 messages, first human reply none, first reply none"},
		{"a bot first", []string{question, message(11_000, "bot", ""), message(60_000, "agent", "")},
			"1 messages, first human reply 50000, first reply 1000"},
		{"a fallback is no answer", []string{question, message(11_000, "bot", `,"fallback":true`)},
			"1 messages, first human reply none, first reply none"},
		{"what comes after the close is another cycle", []string{question, event(20_000, "close"),
			message(30_000, "customer", ""), message(40_000, "agent", "")},
			"1 messages, first human reply none, first reply none"},
		{"two events at once", []string{question, message(10_000, "agent", "")}, ""},
		{"voided", []string{question, event(20_000, "void")}, ""},
		{"no cycle", []string{message(10_000, "agent", "")}, ""},
	} {
		var events []*plainEvent
		for _, text := range c.events {
			e, err := parseEvent([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		got, ok := firstCycle(events)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %q %v, want %q", c.name, got, ok, c.want)
		}
	}
}

// TestShares: every kind of kill has its share.
func TestShares(t *testing.T) {
	if len(killShares) != len(kills) {
		t.Errorf("%d shares for %d kinds of kills", len(killShares), len(kills))
	}
}
