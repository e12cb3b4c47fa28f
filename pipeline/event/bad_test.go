package event

import (
	"strconv"
	"strings"
	"testing"
)

type badRecord struct {
	name, value string
	codes       []Code // any of them
}

const secret = "S3CRET"

// badRecords is DELIVERY's table of bad input, and every field missing, of the wrong type, too long
// and out of its set. Values that must not come out again hold the secret.
func badRecords() []badRecord {
	return append(append(badDocuments(), badSchema()...), badFields()...)
}

// inMessage replaces something in a good message.
func inMessage(old, new string) string {
	good := full("message")
	if !strings.Contains(good, old) {
		panic("BUG: nothing to replace: " + old)
	}
	return strings.Replace(good, old, new, 1)
}

// badDocuments are no JSON, no object, or beyond a limit.
func badDocuments() []badRecord {
	good := full("message")
	swap := inMessage
	nest := func(open, close string, n int) string {
		return swap(`"v":1`, `"v":1,"x":`+strings.Repeat(open, n)+strings.Repeat(close, n))
	}
	one := func(c Code) []Code { return []Code{c} }
	return []badRecord{
		{"empty", "", one(JSONSyntax)},
		{"blank", " \n", one(JSONSyntax)},
		{"cut off", good[:len(good)/2], one(JSONSyntax)},
		{"no quote", `{"id":"` + secret, one(JSONSyntax)},
		{"two documents", good + good, one(JSONSyntax)},
		{"tail", good + secret, one(JSONSyntax)},
		{"byte order mark", "\ufeff" + good, one(JSONSyntax)},
		{"no JSON", secret, one(JSONSyntax)},
		{"trailing comma", swap(`}`, `,}`), one(JSONSyntax)},
		{"single quotes", swap(`"v"`, `'v'`), one(JSONSyntax)},
		{"comment", swap(`"v"`, `/* */"v"`), one(JSONSyntax)},
		{"bare word", swap(`"v":1`, `"v":`+secret), one(JSONSyntax)},
		{"True", swap(`"v":1`, `"v":True`), one(JSONSyntax)},
		{"unknown escape", swap(`"text":"`, `"text":"\q`), one(JSONSyntax)},
		{"short escape", swap(`"text":"`, `"text":"\u12`), one(JSONSyntax)},
		{"bad hex", swap(`"text":"`, `"text":"\u12G4`), one(JSONSyntax)},
		{"vertical tab between", swap(`"v":1`, "\v"+`"v":1`), one(JSONSyntax)},
		{"array", `["` + secret + `"]`, one(FieldType)},
		{"string", `"` + secret + `"`, one(FieldType)},
		{"number", `1`, one(FieldType)},
		{"null", `null`, one(FieldType)},
		{"true", `true`, one(FieldType)},
		{"too large", swap(`"text":"`, `"text":"`+strings.Repeat("x", RecordBytesMax)),
			one(TooLarge)},
		{"objects too deep", nest(`{"a":`, `}`, 64), []Code{TooDeep, JSONSyntax}},
		{"arrays too deep", nest(`[`, `]`, 64), one(TooDeep)},
		{"very deep", strings.Repeat("[", 100_000), one(TooDeep)},
	}
}

// badSchema are well-formed documents that break a rule of the schema.
func badSchema() []badRecord {
	swap := inMessage
	one := func(c Code) []Code { return []Code{c} }
	return []badRecord{
		{"v twice", swap(`"v":1`, `"v":1,"v":1`), one(DupKey)},
		{"id twice", swap(`"id":"e-1"`, `"id":"e-1","id":"`+secret+`"`), one(DupKey)},
		{"id null and there", swap(`"id":"e-1"`, `"id":null,"id":"e-1"`), one(DupKey)},
		{"id escaped", swap(`"id":"e-1"`, `"id":"e-1","\u0069d":"e-2"`), one(DupKey)},
		{"time twice", swap(`"time"`, `"time":1793613600000,"time"`), one(DupKey)},
		{"actor twice", swap(`"actor"`, `"actor":{},"actor"`), one(DupKey)},
		{"actor.kind twice", swap(`"kind":"agent"`, `"kind":"agent","kind":"bot"`), one(DupKey)},
		{"attrs twice", swap(`"attrs"`, `"attrs":{},"attrs"`), one(DupKey)},
		{"message twice", swap(`"message":{`, `"message":{},"message":{`), one(DupKey)},
		{"text twice", swap(`"text":`, `"te\u0078t":"","text":`), one(DupKey)},
		{"party twice", strings.Replace(full("assign"), `"team":"front","role":"senior","queue"`,
			`"team":"front","team":"x","queue"`, 1), one(DupKey)},
		{"other payload twice", swap(`"message":{`, `"csat":{},"csat":{},"message":{`), one(DupKey)},
		{"v 2", swap(`"v":1`, `"v":2`), one(FieldValue)},
		{"v a string", swap(`"v":1`, `"v":"1"`), one(FieldType)},
		{"v a fraction", swap(`"v":1`, `"v":1.0`), one(FieldType)},
		{"attrs nested", swap(`"vip":true`, `"vip":{"a":"`+secret+`"}`), one(FieldType)},
		{"attrs no number", swap(`"visits":3`, `"visits":03`), one(NumberSyntax)},
		{"unknown field no number", swap(`"v":1`, `"v":1,"x":NaN`), one(NumberSyntax)},
		{"unknown array no number", swap(`"v":1`, `"v":1,"x":[{"y":[1,+1]}]`), one(NumberSyntax)},
		{"other payload no number", swap(`"v":1`, `"v":1,"csat":{"score":1e}`), one(NumberSyntax)},
		{"attrs array", swap(`"vip":true`, `"vip":[]`), one(FieldType)},
		{"33 attrs", swap(`"page":"/prices"`, manyAttrs(33-3)), one(FieldValue)},
		{"actor a string", swap(`"actor":{`, `"actor":"`+secret+`","x":{`), one(FieldType)},
		{"payload a string", swap(`"message":{`, `"message":"`+secret+`","x":{`), one(FieldType)},
		{"len negative", swap(`"len":40`, `"len":-1`), one(FieldValue)},
		{"scale 0", strings.Replace(full("csat"), `"scale":10`, `"scale":0`, 1), one(FieldValue)},
		{"score too large", strings.Replace(full("csat"), `4.5`, `1e999`, 1), one(FieldValue)},
		{"capacity negative", strings.Replace(full("agent_status"), `:4`, `:-4`, 1),
			one(FieldValue)},
		{"kb_ids of numbers", strings.Replace(full("bot_answer"), `"kb-1"`, `1`, 1), one(FieldType)},
		{"kb_ids of arrays", strings.Replace(full("bot_answer"), `"kb-1"`, `["x"]`, 1),
			one(FieldType)},
		{"kb_ids too many", strings.Replace(full("bot_answer"), `"kb-1"`,
			strings.Repeat(`"x",`, ListMax)+`"x"`, 1), one(FieldValue)},
	}
}

// manyAttrs are n entries of attrs.
func manyAttrs(n int) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = `"k` + strconv.Itoa(i) + `":"` + secret + `"`
	}
	return strings.Join(entries, ",")
}

// required are the fields that each type cannot do without (the table of the package comment).
var required = map[string][]string{
	"":             {"v", "id", "type", "time", "conversation_id"},
	"message":      {"actor.kind"},
	"agent_status": {"actor.id"},
	"status":       {"status.to"},
	"outcome":      {"outcome.kind"},
	"label":        {"label.target", "label.label"},
	"link":         {"link.to_conversation"},
}

// badFields breaks each field of the schema in turn, in each type that has it.
func badFields() []badRecord {
	var out []badRecord
	for name := range payloads {
		typ := ParseType([]byte(name))
		for i := range fields {
			f := &fields[i]
			if !f.on(typ) || f.path == "type" {
				continue
			}
			path := f.at(name)
			for _, w := range wrong(f.kind) {
				out = append(out, badRecord{name + " " + path + " " + w.name,
					set(full(name), path, w.value), w.codes})
			}
		}
		for _, key := range []string{"", name} {
			for _, path := range required[key] {
				if name == "agent_status" && path == "conversation_id" {
					continue
				}
				for _, absent := range []string{"null", `""`} {
					out = append(out, badRecord{name + " " + path + " absent as " + absent,
						set(full(name), path, absent), []Code{FieldMissing}})
				}
			}
		}
	}
	for _, w := range wrong(idField) {
		out = append(out, badRecord{"type " + w.name, set(full("note"), "type", w.value), w.codes})
	}
	return append(out, badPairs()...)
}

// badPairs lack both of two fields of which one is needed.
func badPairs() []badRecord {
	missing := []Code{FieldMissing}
	feedback := full("feedback")
	return []badRecord{
		{"no time", strings.Replace(full("note"), `"time":1793613600000,`, "", 1), missing},
		{"no payload", strings.Replace(full("status"), `"status":{`, `"x":{`, 1), missing},
		{"csat says nothing", set(set(full("csat"), "csat.score", "null"), "csat.asked", "false"),
			missing},
		{"feedback to nothing", set(set(feedback, "feedback.decision_id", "null"),
			"feedback.target", "null"), missing},
		{"feedback says nothing", set(set(feedback, "feedback.verdict", "null"),
			"feedback.true_label", "null"), missing},
	}
}

// wrong lists what a field of a kind must not be.
func wrong(kind fieldKind) []badRecord {
	typ, value := []Code{FieldType}, []Code{FieldValue}
	typeOrValue := []Code{FieldType, FieldValue}
	number, rng := []Code{NumberSyntax}, []Code{TimeRange}
	quoted := `"` + secret + `"`
	var out []badRecord
	add := func(name, v string, codes []Code) { out = append(out, badRecord{name, v, codes}) }
	add("an object", `{"a":1}`, typ)
	if kind != listField {
		add("an array", `[1]`, typ)
	}
	for _, s := range []string{"NaN", "nan", "nAn", "Inf", "inf", "-Inf", "+1", "007", "-01", "1e",
		"1.", ".5", "1e+", "--1", "1-1", "0x10", "1.5.5", "-NaN", "Infinity"} {
		codes := number
		if s == "0x10" || s == "Infinity" || s == "nAn" {
			codes = []Code{NumberSyntax, JSONSyntax}
		}
		add("number "+s, s, codes)
	}
	switch kind {
	case idField, setField, textField:
		add("a number", "1", typ)
		add("true", "true", typ)
	case boolField:
		add("a number", "1", typ)
		add("a word", quoted, typ)
	case intField:
		add("a fraction", "1.5", typ)
		add("an exponent", "1e3", typ)
		add("above int64", "9223372036854775808", typ)
		add("below int64", "-9223372036854775809", typ)
		add("a string", `"1"`, typ)
		add("false", "false", typ)
	case floatField:
		add("a string", `"1.5"`, typ)
		add("above float64", "1e400", value)
	case listField:
		add("a string", quoted, typ)
		add("of numbers", `[1]`, typ)
		add("of long ids", `["`+strings.Repeat("x", 129)+`"]`, []Code{IDTooLong})
	case timeField:
		add("a fraction", "1793613600000.5", typ)
		add("an exponent", "1.7e12", typ)
		add("no time", quoted, value)
		add("digits", `"1793613600000"`, value)
		add("without offset", `"2026-11-02T10:00:00"`, value)
		add("seconds", "1793613600", rng)
		add("microseconds", "1793613600000000", rng)
		add("nanoseconds", "1793613600000000000", rng)
		add("negative", "-1", rng)
		add("above int64", "99999999999999999999", typeOrValue)
		add("before 2000", `"1999-12-31T23:59:59.999Z"`, rng)
		add("far ahead", `"9999-12-31T23:59:59Z"`, rng)
	}
	if kind == setField {
		add("no word of the set", quoted, value)
		add("in capitals", `"OPEN"`, value)
	}
	if kind == idField {
		add("too long", `"`+strings.Repeat("я", 64)+`x"`, []Code{IDTooLong})
		for _, s := range []string{"\x01", "\n", "\x7f", "\u0085", `\u0000`, `\n`, `\u0085`, `\ud800`,
			`\udc00x`, "\xff", "\xed\xa0\x80"} {
			add("holding "+strconv.Quote(s), `"`+secret+s+`"`, []Code{UTF8})
		}
	}
	return out
}

// set replaces the value of the field at path in a document of this test.
func set(doc, path, value string) string {
	at := 0
	for _, key := range strings.Split(path, ".") {
		i := strings.Index(doc[at:], `"`+key+`":`)
		if i < 0 {
			at = -1
			break
		}
		at += i + len(key) + 3
	}
	if at < 0 { // the document lacks the field: give it the payload it belongs to
		return add(doc, path, value)
	}
	return doc[:at] + value + doc[at+valueLen(doc[at:]):]
}

// add puts a field into an object that lacks it, or an object that lacks it into the document.
func add(doc, path, value string) string {
	head, rest, nested := strings.Cut(path, ".")
	i := strings.Index(doc, `"`+head+`":`)
	if i < 0 {
		for nested { // to.agent of a payload without to
			cut := strings.LastIndexByte(rest, '.')
			value = `{"` + rest[cut+1:] + `":` + value + `}`
			rest, nested = rest[:max(cut, 0)], cut >= 0
		}
		comma := ","
		if doc == "{}" {
			comma = ""
		}
		return doc[:len(doc)-1] + comma + `"` + head + `":` + value + "}"
	}
	at := i + len(head) + 3
	n := valueLen(doc[at:])
	return doc[:at] + add(doc[at:at+n], rest, value) + doc[at+n:]
}

// valueLen is the length of the JSON value that s begins with.
func valueLen(s string) int {
	depth, inString := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			depth--
		case c == ',' && depth == 0:
			return i
		}
	}
	return len(s)
}

func TestBadInput(t *testing.T) {
	d := NewDecoder(Limits{})
	var ev Event
	seenCodes := map[Code]int{}
	for _, bad := range badRecords() {
		rej := d.Decode([]byte(bad.value), testEnvelope, &ev)
		seenCodes[code(rej)]++
		ok := false
		for _, c := range bad.codes {
			ok = ok || code(rej) == c
		}
		if !ok {
			t.Errorf("%s: %v, want %v\n%.300s", bad.name, rej, bad.codes, bad.value)
			continue
		}
		if strings.Contains(rej.Error(), secret) || len(rej.Reason) > 100 || rej.Reason == "" {
			t.Errorf("%s: the reason tells too much or nothing: %.200s", bad.name, rej.Reason)
		}
		// Neighbours are unharmed.
		if rej := d.Decode([]byte(full("note")), testEnvelope, &ev); rej != nil {
			t.Fatalf("after %s: %v", bad.name, rej)
		}
	}
	t.Logf("codes: %v", seenCodes)
}

func TestTombstone(t *testing.T) {
	if rej := NewDecoder(Limits{}).Decode(nil, testEnvelope, new(Event)); code(rej) != Tombstone {
		t.Errorf("a record without a value: %v", rej)
	}
}

// TestBorders: the last that is allowed and the first that is not.
func TestBorders(t *testing.T) {
	good := full("message")
	long := func(n int) string { // a record of n bytes
		return strings.Replace(good, `"text":"`, `"text":"`+strings.Repeat("x", n-len(good)), 1)
	}
	nested := func(n int) string { // nesting n deep, the record itself being 1
		return strings.Replace(good, `"v":1`, `"v":1,"x":`+strings.Repeat("[", n-1)+
			strings.Repeat("]", n-1), 1)
	}
	at := func(ms int64) string { return set(good, "time", strconv.FormatInt(ms, 10)) }
	for _, c := range []struct {
		name, value string
		want        Code
	}{
		{"1 MiB", long(RecordBytesMax), ""},
		{"1 MiB and a byte", long(RecordBytesMax + 1), TooLarge},
		{"64 deep", nested(64), ""},
		{"65 deep", nested(65), TooDeep},
		{"brackets in a text", strings.Replace(good, "Сколько", strings.Repeat(`[{\"`, 100), 1), ""},
		{"32 attrs", strings.Replace(good, `"page":"/prices"`, manyAttrs(32-3), 1), ""},
		{"128 bytes", set(good, "id", `"`+strings.Repeat("я", 64)+`"`), ""},
		{"128 bytes escaped", set(good, "id", `"`+strings.Repeat(`\u044f`, 64)+`"`), ""},
		{"129 bytes escaped", set(good, "id", `"x`+strings.Repeat(`\u044f`, 64)+`"`), IDTooLong},
		{"bidirectional marks", set(good, "id", `"a\u202eb`+"\u200f"+`"`), ""},
		{"a replacement in an id", set(good, "id", "\"a\ufffd\""), ""},
		{"2000", at(timeMinMS), ""},
		{"before 2000", at(timeMinMS - 1), TimeRange},
		{"24 h ahead", at(nowMS + 24*3600*1000), ""},
		{"more than 24 h ahead", at(nowMS + 24*3600*1000 + 1), TimeRange},
		{"least seq", set(good, "seq", "-9223372036854775808"), ""},
		{"greatest seq", set(good, "seq", "9223372036854775807"), ""},
		{"white space", " \t\r\n" + strings.ReplaceAll(good, ",", " , \n") + "\n", ""},
		{"keys escaped", strings.Replace(good, `"type"`, `"\u0074ype"`, 1), ""},
		{"agent status without conversation", set(full("agent_status"), "conversation_id", "null"),
			""},
		{"minus nothing", set(full("outcome"), "outcome.value", "-0"), ""},
		{"tiny", set(full("outcome"), "outcome.value", "1e-400"), ""},
		{"beyond 2^53", set(full("outcome"), "outcome.value", "-9007199254740993"), ""},
		{"no body left behind", `{"v":1,"csat":{},"merge":{},"id":"1","type":"open",` +
			`"time":1793181662345,"conversation_id":"c"}`, ""},
		{"csat asked", set(full("csat"), "csat.score", "null"), ""},
		{"feedback by target", set(full("feedback"), "feedback.decision_id", "null"), ""},
		{"type last", typeLast(good), ""},
	} {
		var ev Event
		rej := NewDecoder(Limits{}).Decode([]byte(c.value), testEnvelope, &ev)
		if code(rej) != c.want {
			t.Errorf("%s: %v, want %q", c.name, rej, c.want)
		}
		if rej == nil {
			if got, want := seen(&ev), wanted(t, []byte(c.value)); got != want {
				t.Errorf("%s:\n got %.500s\nwant %.500s", c.name, got, want)
			}
		}
	}
}

func typeLast(doc string) string {
	doc = strings.Replace(doc, `"type":"message",`, "", 1)
	return doc[:len(doc)-1] + `,"type":"message"}`
}

// TestEveryTruncation: no beginning of a good record is a good record.
func TestEveryTruncation(t *testing.T) {
	d := NewDecoder(Limits{})
	for name := range payloads {
		value := []byte(full(name))
		for n := range len(value) {
			rej := d.Decode(value[:n:n], testEnvelope, new(Event))
			if code(rej) != JSONSyntax {
				t.Fatalf("the first %d bytes of %s: %v", n, name, rej)
			}
		}
	}
}
