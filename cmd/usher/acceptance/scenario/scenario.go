// Package scenario reads conversations told in words, with what the views must answer about them.
//
// A file is one tenant. Its lines are, in the order of arrival:
//
//	# why, and where each number comes from
//	zone Europe/Riga                        times and days below are of this zone (default UTC)
//	hours mon-fri 09:00-13:00 14:00-18:00   the tenant's calendar; a date has hours of its own
//	closed 2026-12-25
//	promise chat first_reply=3m clock=business channel=web
//	with channel=web lang=ru                fields of every event from here on; lang= takes one back
//	on 2026-03-02                           the day of the times that follow
//	chat two                                the conversation that follows (at first: one)
//	09:00 customer: Do you have a slot?
//	+2s bot [greeting]: Hello!              two seconds after the line before
//	09:01 Anna [private]: regular client    a name in capitals is an agent
//	09:05 Anna closes as spam [id=x]
//	again                                   the line before arrives once more
//	expect first_reply_human: 10m at 09:10  # after the colon: what the view answers
//	expect sla(policy, metric): chat first_reply 1/1 at 09:10
//	ask SELECT count() FROM events WHERE tenant = {tenant}: 4
//
// Brackets hold what a message is (private, automated, echo, greeting, fallback) and fields, of the
// event (id, seq, lang …) or of its payload. The verbs are in the table of phrases.
package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Scenario is one file.
type Scenario struct {
	Name      string // the tenant
	Zone      *time.Location
	Hours     map[string][]string // the calendar; nil: none
	Promises  []map[string]any    // as in the configuration's sla
	Events    []json.RawMessage   // in the order of their arrival
	Questions []Question

	lines []string
	first time.Time // of the first event
	chats map[string]bool

	now   time.Time // of the event before
	day   time.Time
	chat  string
	with  map[string]any
	count int
}

// Question is a line that asks and says what is expected.
type Question struct {
	KPI     string   // "" for SQL
	Columns []string // further columns of the view
	SQL     string
	Want    string

	line         int
	head, remark string
}

// Parse reads a scenario; name becomes its tenant.
func Parse(name, text string) (*Scenario, error) {
	s := &Scenario{
		Name: name, Zone: time.UTC, chat: "one", with: map[string]any{}, chats: map[string]bool{},
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		s.lines = append(s.lines, line)
		if err := s.read(line); err != nil {
			return nil, fmt.Errorf("cannot read %s, line %d (%s): %w", name, len(s.lines), line, err)
		}
	}
	if len(s.Questions) == 0 {
		return nil, fmt.Errorf("cannot use %s: it expects nothing", name)
	}
	return s, lines.Err()
}

func (s *Scenario) read(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
	case "zone":
		zone, err := time.LoadLocation(rest)
		s.Zone = zone
		return err
	case "hours", "closed":
		return s.hours(word, strings.Fields(rest))
	case "promise":
		return s.promise(strings.Fields(rest))
	case "with":
		return s.fields(s.with, strings.Fields(rest))
	case "on":
		day, err := time.ParseInLocation(time.DateOnly, rest, s.Zone)
		s.day, s.now = day, day
		return err
	case "chat":
		s.chat = rest
	case "again":
		if len(s.Events) == 0 {
			return fmt.Errorf("nothing came before")
		}
		s.Events = append(s.Events, s.Events[len(s.Events)-1])
	case "expect", "ask":
		return s.question(word, line)
	default:
		return s.event(word, rest)
	}
	return nil
}

func (s *Scenario) hours(word string, rest []string) error {
	if len(rest) == 0 {
		return fmt.Errorf("days are missing")
	}
	if s.Hours == nil {
		s.Hours = map[string][]string{}
	}
	if word == "closed" {
		s.Hours[word] = append(s.Hours[word], rest...)
	} else {
		s.Hours[rest[0]] = rest[1:]
	}
	return nil
}

// promise reads an SLA policy: its name, then keys of the configuration; others are conditions.
func (s *Scenario) promise(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("a promise has a name and targets")
	}
	when := map[string]any{"tenant": []string{s.Name}}
	policy := map[string]any{"name": s.Name + "-" + words[0], "when": when}
	keys := map[string]any{}
	if err := s.fields(keys, words[1:]); err != nil {
		return err
	}
	for key, value := range keys {
		switch key {
		case "queue", "channel", "priority":
			when[key] = []any{value}
		default:
			policy[key] = value
		}
	}
	s.Promises = append(s.Promises, policy)
	return nil
}

// fields reads key=value; an empty value takes the key back.
func (s *Scenario) fields(into map[string]any, words []string) error {
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%q is no key=value", word)
		}
		var known any
		switch {
		case value == "":
			delete(into, key)
		case json.Unmarshal([]byte(value), &known) == nil:
			into[key] = known
		default:
			into[key] = value
		}
	}
	return nil
}

var (
	expects = regexp.MustCompile(`^(expect ([a-z0-9_]+)(?:\(([a-z0-9_, ]+)\))?:)(?: (.*))?$`)
	asks    = regexp.MustCompile(`^(ask (SELECT .*):)(?: (.*))?$`)
	remarks = regexp.MustCompile(`(\s+# .*)$`)
)

func (s *Scenario) question(word, line string) error {
	q := Question{line: len(s.lines) - 1}
	if at := remarks.FindStringIndex(line); at != nil {
		line, q.remark = line[:at[0]], line[at[0]:]
	}
	if word == "ask" {
		m := asks.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("write ask SELECT …: ANSWER")
		}
		q.head, q.SQL, q.Want = m[1], m[2], m[3]
	} else {
		m := expects.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("write expect KPI: ANSWER or expect KPI(column, column): ANSWER")
		}
		q.head, q.KPI, q.Want = m[1], strings.TrimPrefix(m[2], "kpi_"), m[4]
		if m[3] != "" {
			q.Columns = strings.Split(strings.ReplaceAll(m[3], " ", ""), ",")
		}
	}
	s.Questions = append(s.Questions, q)
	return nil
}

// Rewrite returns the file with these answers, one a question, in place of the expected ones.
func (s *Scenario) Rewrite(answers []string) string {
	lines := append([]string{}, s.lines...)
	for i, q := range s.Questions {
		lines[q.line] = q.head + " " + answers[i] + q.remark
	}
	return strings.Join(lines, "\n") + "\n"
}

// encode writes a value as the contract's JSON, without escapes for HTML.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("cannot write the event: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
