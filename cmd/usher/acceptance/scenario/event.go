package scenario

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
)

// envelope are the fields that brackets and `with` set on the event itself; others go to its payload.
var envelope = []string{
	"id", "seq", "source", "channel", "lang", "region", "inbox", "customer_id", "ai_disclosed",
}

// messageWords are what brackets may say of a message.
var messageWords = map[string]string{
	"automated": "automated", "echo": "echo", "greeting": "greeting", "fallback": "fallback",
}

// phrase turns words after a name into an event: type, and payload with $1, $2 replaced.
type phrase struct {
	words   *regexp.Regexp
	typ     string
	payload map[string]string
}

func say(words, typ string, keysAndValues ...string) phrase {
	p := phrase{regexp.MustCompile("^" + words + "$"), typ, map[string]string{}}
	for i := 0; i < len(keysAndValues); i += 2 {
		p.payload[keysAndValues[i]] = keysAndValues[i+1]
	}
	return p
}

// phrases are the verbs. Whatever else the contract has is written as its type: edit [target=one-1].
var phrases = []phrase{
	say(`opens`, "open"), say(`reopens`, "reopen"),
	say(`closes`, "close"), say(`closes as (\w+)`, "close", "resolution", "$1"),
	say(`sets (open|pending|hold|snoozed|closed)`, "status", "to", "$1"),
	say(`takes over`, "assign", "to.agent", "$who"),
	say(`assigns to ([A-Z]\w*)`, "assign", "to.agent", "$1"),
	say(`transfers to ([A-Z]\w*)`, "transfer", "to.agent", "$1"),
	say(`(?:assigns to|transfers to) queue (\w+)`, "transfer", "to.queue", "$1"),
	say(`transfers to role (\w+)`, "transfer", "to.role", "$1"),
	say(`escalates`, "escalate", "reason", "policy"),
	say(`escalates because (\w+)`, "escalate", "reason", "$1"),
	say(`escalates to (\w+)`, "escalate", "reason", "policy", "queue", "$1"),
	say(`leaves`, "session_end", "reason", "left"), say(`times out`, "session_end", "reason", "timeout"),
	say(`notes`, "note"), say(`reacts`, "reaction"), say(`reads`, "read"),
	say(`rates (\d+)`, "csat", "score", "$1"),
	say(`rates (\d+) of (\d+)`, "csat", "score", "$1", "scale", "$2"),
	say(`is (online|away|offline|busy)`, "agent_status", "status", "$1"),
	say(`(books|buys|leads)`, "outcome", "kind", "$1"),
	say(`(books|buys|leads|refunds) for ([\d.]+) ([A-Z]{3})`, "outcome", "kind", "$1", "value", "$2",
		"currency", "$3"),
	say(`links to (\w+)`, "link", "to_conversation", "$chat 1"),
	say(`merges into (\w+)`, "merge", "to_conversation", "$chat 1"),
	say(`voids as (\w+)`, "void", "reason", "$1"),
	say(`(handoff_offered|handoff_accepted|handoff_declined|edit|delete|label|feedback|contact_provided)`, "$1"),
}

var outcomes = map[string]string{"books": "booking", "buys": "sale", "leads": "lead", "refunds": "refund"}

var spoken = regexp.MustCompile(`^(\w+)(?: \[([^\]]*)\])?(?:: (.*)| ([^\[]+?)(?: \[([^\]]*)\])?)$`)

// event reads `09:00 customer: Hello` and `+2s Anna closes`.
func (s *Scenario) event(at, rest string) error {
	when, err := s.instant(at)
	if err != nil {
		return err
	}
	m := spoken.FindStringSubmatch(rest)
	if m == nil {
		return fmt.Errorf("write NAME: TEXT or NAME VERB, brackets before the colon or at the end")
	}
	s.now = when
	s.count++
	if s.first.IsZero() {
		s.first = when
	}
	who, text, verb := m[1], m[3], m[4]
	e := map[string]any{
		"v": 1, "id": fmt.Sprintf("%s-%d", s.chat, s.count), "time": when.UnixMilli(), "tenant": s.Name,
		"conversation_id": s.conversation(s.chat), "actor": actor(who),
	}
	payload := map[string]any{}
	name := "message"
	if verb == "" {
		e["type"] = "message"
		if who == "bot" {
			e["type"] = "bot_answer"
		}
		payload["text"] = text
	} else if name, err = s.act(e, payload, who, verb); err != nil {
		return err
	}
	if e["type"] == "agent_status" {
		delete(e, "conversation_id")
	} else {
		s.chats[s.chat] = true
	}
	fields := maps.Clone(s.with)
	if err := s.brackets(fields, payload, m[2]+" "+m[5]); err != nil {
		return err
	}
	for _, key := range envelope {
		if value, ok := fields[key]; ok {
			e[key] = value
			delete(fields, key)
		}
	}
	maps.Copy(payload, fields)
	if len(payload) > 0 {
		e[name] = payload
	}
	line, err := encode(e)
	s.Events = append(s.Events, line)
	return err
}

// conversation is unlike any other scenario's, and unlike a phone number.
func (s *Scenario) conversation(chat string) string { return s.Name + "/" + chat }

func actor(who string) map[string]any {
	switch who {
	case "customer", "bot", "system":
		return map[string]any{"kind": who}
	}
	return map[string]any{"kind": "agent", "id": who}
}

// act fills the payload from a verb and returns the payload's name.
func (s *Scenario) act(e, payload map[string]any, who, verb string) (string, error) {
	for _, p := range phrases {
		m := p.words.FindStringSubmatch(verb)
		if m == nil {
			continue
		}
		typ := p.typ
		if typ == "$1" {
			typ = m[1]
		}
		e["type"] = typ
		for key, value := range p.payload {
			switch value {
			case "$who":
				value = who
			case "$chat 1":
				value = s.conversation(m[1])
			case "$1", "$2", "$3":
				value = m[value[1]-'0']
			}
			if key == "kind" && outcomes[value] != "" {
				value = outcomes[value]
			}
			into := payload
			if outer, inner, ok := strings.Cut(key, "."); ok {
				into, key = map[string]any{}, inner
				payload[outer] = into
			}
			if err := s.fields(into, []string{key + "=" + value}); err != nil {
				return "", err
			}
		}
		return typ, nil
	}
	return "", fmt.Errorf("%q is no verb here", verb)
}

func (s *Scenario) brackets(fields, payload map[string]any, words string) error {
	for _, word := range strings.Fields(words) {
		switch {
		case word == "private":
			payload["public"] = false
		case messageWords[word] != "":
			payload[messageWords[word]] = true
		default:
			if err := s.fields(fields, []string{word}); err != nil {
				return err
			}
		}
	}
	return nil
}

// instant reads 09:00, 09:00:30, 03:30+02:00 (where a clock shows it twice) and +2s.
func (s *Scenario) instant(text string) (time.Time, error) {
	if strings.HasPrefix(text, "+") {
		d, err := time.ParseDuration(text[1:])
		return s.now.Add(d), err
	}
	if s.day.IsZero() {
		return time.Time{}, fmt.Errorf("say first on which day: on 2026-03-02")
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			d := s.day
			return time.Date(d.Year(), d.Month(), d.Day(), at.Hour(), at.Minute(), at.Second(), 0, s.Zone), nil
		}
		if at, err := time.Parse("2006-01-02 "+layout+"-07:00", s.day.Format(time.DateOnly)+" "+text); err == nil {
			return at.In(s.Zone), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time, as 09:00, 09:00:30, 03:30+02:00 or +2s", text)
}
