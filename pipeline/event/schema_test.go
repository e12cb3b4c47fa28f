package event

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
)

// nowMS is the worker's clock in these tests: 2026-11-03T00:00:00Z.
const nowMS = 1793664000000

// field is one field of CONTRACT section 2: where it lies in JSON, what it must be, and how to see
// it in an Event. The reference decoder and the tables of bad input are made from this list.
type field struct {
	path  string
	kind  fieldKind
	types []Type // nil: every type
	get   func(*Event) string
}

type fieldKind byte

const (
	idField fieldKind = iota
	textField
	intField
	floatField
	boolField
	timeField
	listField
	setField
)

func str(b []byte) string    { return string(b) }
func num(n int64) string     { return strconv.FormatInt(n, 10) }
func flt(x float64) string   { return strconv.FormatFloat(x, 'g', -1, 64) }
func flag(b bool) string     { return when(b, "true") }
func list(l [][]byte) string { return string(bytes.Join(l, []byte("|"))) }

func when(has bool, s string) string {
	if has {
		return s
	}
	return ""
}

var (
	onMessages = []Type{TypeMessage, TypeBotAnswer}
	onBot      = []Type{TypeBotAnswer}
	onMoves    = []Type{TypeAssign, TypeTransfer}
	onTargets  = []Type{TypeNote, TypeReaction, TypeEdit, TypeDelete, TypeRead}
	onParties  = []Type{TypeAssign, TypeTransfer, TypeEscalate}
)

// fields lists the whole schema; "@" in a path stands for the payload's name.
var fields = []field{
	{"id", idField, nil, func(e *Event) string { return str(e.ID) }},
	{"type", idField, nil, func(e *Event) string { return str(e.TypeName) }},
	{"time", timeField, nil, func(e *Event) string { return num(e.TimeMS) }},
	{"conversation_id", idField, nil, func(e *Event) string { return str(e.ConversationID) }},
	{"tenant", idField, nil, func(e *Event) string { return str(e.Tenant) }},
	{"source", idField, nil, func(e *Event) string { return str(e.Source) }},
	{"seq", intField, nil, func(e *Event) string { return when(e.HasSeq, num(e.Seq)) }},
	{"channel", idField, nil, func(e *Event) string { return str(e.Channel) }},
	{"modality", setField, nil, func(e *Event) string { return str(e.Modality) }},
	{"customer_id", idField, nil, func(e *Event) string { return str(e.CustomerID) }},
	{"lang", idField, nil, func(e *Event) string { return str(e.Lang) }},
	{"region", idField, nil, func(e *Event) string { return str(e.Region) }},
	{"inbox", idField, nil, func(e *Event) string { return str(e.Inbox) }},
	{"ai_disclosed", boolField, nil, func(e *Event) string {
		return when(e.HasAIDisclosed, strconv.FormatBool(e.AIDisclosed))
	}},
	{"actor.kind", setField, nil, func(e *Event) string { return e.Actor.Kind.String() }},
	{"actor.id", idField, nil, func(e *Event) string { return str(e.Actor.ID) }},
	{"actor.team", idField, nil, func(e *Event) string { return str(e.Actor.Team) }},
	{"actor.role", idField, nil, func(e *Event) string { return str(e.Actor.Role) }},

	{"@.text", textField, onMessages, func(e *Event) string { return str(e.Message.Text) }},
	{"@.text_hash", idField, onMessages, func(e *Event) string { return str(e.Message.TextHash) }},
	{"@.len", intField, onMessages, func(e *Event) string {
		return when(e.Message.HasLen, num(e.Message.Len))
	}},
	{"@.public", boolField, onMessages, func(e *Event) string {
		return when(!e.Message.Public, "false")
	}},
	{"@.automated", boolField, onMessages, func(e *Event) string { return flag(e.Message.Automated) }},
	{"@.echo", boolField, onMessages, func(e *Event) string { return flag(e.Message.Echo) }},
	{"@.template_id", idField, onMessages, func(e *Event) string { return str(e.Message.TemplateID) }},
	{"@.media", textField, onMessages, func(e *Event) string { return str(e.Message.Media) }},
	{"@.intent", idField, onBot, func(e *Event) string { return str(e.Message.Intent) }},
	{"@.confidence", floatField, onBot, func(e *Event) string {
		return when(e.Message.HasConfidence, flt(e.Message.Confidence))
	}},
	{"@.kb_ids", listField, onBot, func(e *Event) string { return list(e.Message.KBIDs) }},
	{"@.fallback", boolField, onBot, func(e *Event) string { return flag(e.Message.Fallback) }},
	{"@.greeting", boolField, onBot, func(e *Event) string { return flag(e.Message.Greeting) }},

	{"@.initiated_by", idField, []Type{TypeOpen, TypeReopen}, func(e *Event) string {
		return str(e.InitiatedBy)
	}},
	{"@.resolution", setField, []Type{TypeClose}, func(e *Event) string {
		return e.Resolution.String()
	}},
	{"@.to", setField, []Type{TypeStatus}, func(e *Event) string { return e.Status.To.String() }},
	{"@.until", timeField, []Type{TypeStatus}, func(e *Event) string {
		return when(e.Status.UntilMS != 0, num(e.Status.UntilMS))
	}},
	{"@.to.agent", idField, onParties, func(e *Event) string { return str(e.Move.To.Agent) }},
	{"@.to.team", idField, onParties, func(e *Event) string { return str(e.Move.To.Team) }},
	{"@.to.role", idField, onParties, func(e *Event) string { return str(e.Move.To.Role) }},
	{"@.to.queue", idField, onParties, func(e *Event) string { return str(e.Move.To.Queue) }},
	{"@.from.agent", idField, onParties, func(e *Event) string { return str(e.Move.From.Agent) }},
	{"@.from.team", idField, onParties, func(e *Event) string { return str(e.Move.From.Team) }},
	{"@.from.role", idField, onParties, func(e *Event) string { return str(e.Move.From.Role) }},
	{"@.from.queue", idField, onParties, func(e *Event) string { return str(e.Move.From.Queue) }},
	{"@.by", idField, onMoves, func(e *Event) string { return str(e.Move.By) }},
	{"@.reason", textField, onMoves, func(e *Event) string { return str(e.Reason) }},
	{"@.decision_id", idField, onMoves, func(e *Event) string { return str(e.DecisionID) }},
	{"@.reason", setField, []Type{TypeEscalate}, func(e *Event) string { return str(e.Reason) }},
	{"@.queue", idField, []Type{TypeEscalate}, func(e *Event) string { return str(e.Move.Queue) }},
	{"@.kinds", listField, []Type{TypeContactProvided}, func(e *Event) string {
		return list(e.Kinds)
	}},
	{"@.reason", setField, []Type{TypeSessionEnd}, func(e *Event) string { return str(e.Reason) }},
	{"@.target", idField, onTargets, func(e *Event) string { return str(e.Target) }},
	{"@.score", floatField, []Type{TypeCSAT}, func(e *Event) string {
		return when(e.CSAT.HasScore, flt(e.CSAT.Score))
	}},
	{"@.scale", floatField, []Type{TypeCSAT}, func(e *Event) string {
		return when(e.CSAT.Scale != 5, flt(e.CSAT.Scale))
	}},
	{"@.asked", boolField, []Type{TypeCSAT}, func(e *Event) string { return flag(e.CSAT.Asked) }},
	{"@.kind", setField, []Type{TypeOutcome}, func(e *Event) string {
		return e.Outcome.Kind.String()
	}},
	{"@.value", floatField, []Type{TypeOutcome}, func(e *Event) string {
		return when(e.Outcome.HasValue, flt(e.Outcome.Value))
	}},
	{"@.currency", idField, []Type{TypeOutcome}, func(e *Event) string {
		return str(e.Outcome.Currency)
	}},
	{"@.decision_id", idField, []Type{TypeFeedback}, func(e *Event) string {
		return str(e.DecisionID)
	}},
	{"@.target", idField, []Type{TypeFeedback}, func(e *Event) string { return str(e.Target) }},
	{"@.verdict", setField, []Type{TypeFeedback}, func(e *Event) string { return str(e.Verdict) }},
	{"@.true_label", idField, []Type{TypeFeedback}, func(e *Event) string { return str(e.TrueLabel) }},
	{"@.target", idField, []Type{TypeLabel}, func(e *Event) string { return str(e.Target) }},
	{"@.head", idField, []Type{TypeLabel}, func(e *Event) string { return str(e.Label.Head) }},
	{"@.label", idField, []Type{TypeLabel}, func(e *Event) string { return str(e.Label.Name) }},
	{"@.annotator", idField, []Type{TypeLabel}, func(e *Event) string {
		return str(e.Label.Annotator)
	}},
	{"@.status", idField, []Type{TypeAgentStatus}, func(e *Event) string {
		return str(e.AgentStatus.Status)
	}},
	{"@.capacity", intField, []Type{TypeAgentStatus}, func(e *Event) string {
		return when(e.AgentStatus.HasCapacity, num(e.AgentStatus.Capacity))
	}},
	{"@.to_conversation", idField, []Type{TypeLink, TypeMerge}, func(e *Event) string {
		return str(e.ToConversation)
	}},
	{"@.reason", setField, []Type{TypeVoid}, func(e *Event) string { return str(e.Reason) }},
}

// payloadNames are the names that differ from the type's.
var payloadNames = map[string]string{"bot_answer": "message", "resolve": "close"}

// at returns the JSON path of f in an event of the type called name.
func (f *field) at(name string) string {
	if other, ok := payloadNames[name]; ok {
		name = other
	}
	return strings.Replace(f.path, "@", name, 1)
}

func (f *field) on(t Type) bool {
	for _, have := range f.types {
		if have == t {
			return true
		}
	}
	return f.types == nil
}

// seen flattens a decoded event: one line per field that is there.
func seen(ev *Event) string {
	var b strings.Builder
	for i := range fields {
		f := &fields[i]
		value := f.get(ev)
		if f.on(ev.Type) && value != "" {
			b.WriteString(f.at(str(ev.TypeName)) + "=" + value + "\n")
		}
	}
	for _, a := range ev.Attrs {
		b.WriteString("attrs." + str(a.Key) + "=" + str(a.Value) + "\n")
	}
	return b.String()
}

// wanted flattens the same way what encoding/json reads.
func wanted(t testing.TB, value []byte) string {
	t.Helper()
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	name, _ := doc["type"].(string)
	typ := ParseType([]byte(name))
	var b strings.Builder
	for i := range fields {
		f := &fields[i]
		if !f.on(typ) {
			continue
		}
		path := f.at(name)
		s := spell(t, f, lookUp(doc, path))
		switch {
		case path == "tenant" && s == "":
			s = "default"
		case strings.HasSuffix(path, ".public") && s == "true", path == "csat.scale" && s == "5",
			f.kind == boolField && s == "false" && path != "ai_disclosed" &&
				!strings.HasSuffix(path, ".public"):
			s = ""
		}
		if s != "" {
			b.WriteString(path + "=" + s + "\n")
		}
	}
	attrs, _ := doc["attrs"].(map[string]any)
	return b.String() + spellAttrs(t, value, attrs)
}

func lookUp(doc any, path string) any {
	for _, key := range strings.Split(path, ".") {
		m, ok := doc.(map[string]any)
		if !ok {
			return nil
		}
		doc = m[key]
	}
	return doc
}

// spell writes a JSON value as field.get does.
func spell(t testing.TB, f *field, v any) string {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if f.kind == timeField && v != "" {
			return num(slowTime(t, v))
		}
		return cleaned(v)
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		if f.kind == floatField {
			x, err := v.Float64()
			if err != nil {
				t.Fatalf("%s: %v", f.path, err)
			}
			return flt(x)
		}
		n, err := v.Int64()
		if err != nil {
			t.Fatalf("%s: %v", f.path, err)
		}
		return num(n)
	case []any:
		var parts []string
		for _, e := range v {
			if s, _ := e.(string); s != "" {
				parts = append(parts, cleaned(s))
			}
		}
		return strings.Join(parts, "|")
	}
	t.Fatalf("%s: accepted a %T", f.path, v)
	return ""
}

// slowTime is RFC 3339 by the standard library, with what the contract adds.
func slowTime(t testing.TB, s string) int64 {
	t.Helper()
	s = strings.ToUpper(s)
	if len(s) > 19 && s[17:19] == "60" {
		s = s[:17] + "59" + s[19:]
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatalf("time: %v", err)
	}
	return at.Unix()*1000 + int64(at.Nanosecond()/1e6)
}

// cleaned replaces the control characters that no text holds.
func cleaned(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cc, r) && r != '\n' && r != '\r' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// spellAttrs writes attrs in the order of the document: the place of a repeated key is its last.
func spellAttrs(t testing.TB, value []byte, attrs map[string]any) string {
	t.Helper()
	if len(attrs) == 0 {
		return ""
	}
	var doc struct {
		Attrs orderedKeys `json:"attrs"`
	}
	if err := json.Unmarshal(value, &doc); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i, key := range doc.Attrs {
		later := false
		for _, k := range doc.Attrs[i+1:] {
			later = later || cleaned(k) == cleaned(key)
		}
		s := ""
		switch v := attrs[key].(type) {
		case string:
			s = cleaned(v)
		case json.Number:
			s = v.String()
		case bool:
			s = strconv.FormatBool(v)
		}
		if s != "" && !later {
			b.WriteString("attrs." + cleaned(key) + "=" + s + "\n")
		}
	}
	return b.String()
}

// orderedKeys are an object's keys as they come.
type orderedKeys []string

func (o *orderedKeys) UnmarshalJSON(raw []byte) error {
	*o = nil
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if s, ok := key.(string); ok {
			*o = append(*o, s)
		}
		var skip any
		dec.UseNumber()
		if err := dec.Decode(&skip); err != nil {
			return err
		}
	}
	return nil
}

// syntaxValid is encoding/json's verdict, once what the contract allows beyond JSON (control
// characters as they are, inside strings) has been taken out.
func syntaxValid(value []byte) ([]byte, bool) {
	out := make([]byte, 0, len(value))
	inString := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && inString && i+1 < len(value):
			out = append(out, c, value[i+1])
			i++
			continue
		case c == '"':
			inString = !inString
		case inString && c < 0x20:
			out = append(out, "\uFFFD"...)
			continue
		}
		out = append(out, c)
	}
	return out, json.Valid(out)
}
