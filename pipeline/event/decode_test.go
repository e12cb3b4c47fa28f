package event

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

var testEnvelope = Envelope{NowMS: nowMS}

// payloads are one legal payload per type, with every field.
var payloads = map[string]string{
	"message": `{"text":"Сколько стоит стрижка?","text_hash":"9f86d0","len":40,"public":false,
		"automated":true,"echo":true,"template_id":"t-1","media":"image/jpeg"}`,
	"bot_answer": `{"text":"From 30 €","intent":"price","confidence":0.931,"kb_ids":["kb-1","kb-2"],
		"fallback":true,"greeting":true}`,
	"open":   `{"initiated_by":"customer"}`,
	"reopen": `{"initiated_by":"agent"}`,
	"close":  `{"resolution":"confirmed"}`, "resolve": `{"resolution":"assumed"}`,
	"status": `{"to":"snoozed","until":"2026-11-09T09:00:00+02:00"}`,
	"assign": `{"to":{"agent":"ag1","team":"front","role":"senior","queue":"q1"},
		"from":{"agent":"ag2","team":"back","role":"junior","queue":"q2"},"by":"ag3",
		"reason":"holiday","decision_id":"d-1"}`,
	"transfer": `{"to":{"team":"front"},"decision_id":"d-2"}`,
	"escalate": `{"reason":"asked_human","from":{"agent":"bot1"},"to":{"team":"front"},
		"queue":"vip"}`,
	"handoff_offered": "", "handoff_accepted": "", "handoff_declined": "",
	"contact_provided": `{"kinds":["email","phone"]}`,
	"session_end":      `{"reason":"timeout"}`,
	"note":             `{"target":"e-0"}`, "reaction": `{"target":"e-0"}`, "edit": `{"target":"e-0"}`,
	"delete": `{"target":"e-0"}`, "read": `{"target":"e-0"}`,
	"csat":         `{"score":4.5,"scale":10,"asked":true}`,
	"outcome":      `{"kind":"sale","value":129.99,"currency":"EUR"}`,
	"feedback":     `{"decision_id":"d-1","target":"e-0","verdict":"edited","true_label":"claim"}`,
	"label":        `{"target":"e-0","head":"intent","label":"deal","annotator":"anna"}`,
	"agent_status": `{"status":"online","capacity":4}`,
	"link":         `{"to_conversation":"c-43"}`, "merge": `{"to_conversation":"c-43"}`,
	"void": `{"reason":"duplicate"}`,
}

const optional = `"tenant":"salon7","source":"crm","seq":7,"channel":"whatsapp","modality":"voice",
	"customer_id":"cu-1","lang":"ru","region":"LV","inbox":"front","ai_disclosed":true,
	"attrs":{"page":"/prices","visits":3,"vip":true,"ratio":0.50}`

// full is a good event of the type called name with every field there is.
func full(name string) string {
	event := `{"v":1,"id":"e-1","type":"` + name + `","time":1793613600000,"conversation_id":"c-42",` +
		`"actor":{"kind":"agent","id":"ag1","team":"front","role":"senior"},` + optional
	if p := payloads[name]; p != "" {
		payload := name
		if other, ok := payloadNames[name]; ok {
			payload = other
		}
		event += `,"` + payload + `":` + p
	}
	return event + "}"
}

// TestEveryType decodes every type with every field as encoding/json reads it, and back again.
func TestEveryType(t *testing.T) {
	d := NewDecoder(Limits{})
	for name := range payloads {
		value := []byte(full(name))
		var ev Event
		if rej := d.Decode(value, testEnvelope, &ev); rej != nil {
			t.Errorf("%s: %v", name, rej)
			continue
		}
		if got, want := seen(&ev), wanted(t, value); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		if ev.Type == Unknown || ev.Type != ParseType([]byte(name)) {
			t.Errorf("%s: decoded as type %d", name, ev.Type)
		}
		checkRoundTrip(t, &ev)
	}
	if len(payloads) != len(typeNames) { // Unknown has no payload, resolve is a second name
		t.Errorf("%d payloads for %d types", len(payloads), len(typeNames))
	}
}

// checkRoundTrip encodes ev, decodes that and compares the whole struct.
func checkRoundTrip(t testing.TB, ev *Event) {
	t.Helper()
	line := Append(nil, ev)
	var again Event
	env := Envelope{NowMS: max(nowMS, ev.TimeMS)}
	if rej := NewDecoder(Limits{}).Decode(line, env, &again); rej != nil {
		t.Errorf("cannot decode %s: %v", line, rej)
		return
	}
	if !json.Valid(line) || strings.Contains(string(line), "\n") {
		t.Errorf("not one line of JSON: %s", line)
	}
	if !reflect.DeepEqual(ev, &again) {
		t.Errorf("round trip\n got %+v\nwant %+v\nline %s", again, *ev, line)
	}
}

// TestAppend shows the form: order, defaults left out, what is escaped and what is not.
func TestAppend(t *testing.T) {
	ev := Event{Type: TypeCSAT, ID: []byte("e-1"), Tenant: []byte("default"), TimeMS: -1, Seq: 5,
		ConversationID: []byte("c\"\\\n\r\t\x01/я\xff"), AIDisclosed: true, HasAIDisclosed: true,
		CSAT: CSAT{Score: 1e21, HasScore: true, Scale: 5, Asked: true}}
	want := `{"v":1,"id":"e-1","type":"csat","time":-1,"conversation_id":"c\"\\\n\r\t\u0001/я` +
		"\uFFFD" + `","ai_disclosed":true,"csat":{"score":1e+21,"asked":true}}`
	if got := string(Append([]byte("x"), &ev)); got != "x"+want {
		t.Errorf("got  %s\nwant x%s", got, want)
	}
}

func TestSmallestEvent(t *testing.T) {
	value := `{"v":1,"id":"1","type":"message","time":1793181662345,"conversation_id":"c-42",` +
		`"actor":{"kind":"customer"},"message":{"text":"Сколько стоит стрижка?"}}`
	var ev Event
	if rej := NewDecoder(Limits{}).Decode([]byte(value), testEnvelope, &ev); rej != nil {
		t.Fatal(rej)
	}
	want := Event{Type: TypeMessage, TypeName: []byte("message"), ID: []byte("1"),
		ConversationID: []byte("c-42"), Tenant: []byte("default"), TimeMS: 1793181662345,
		Actor: Actor{Kind: ActorCustomer}}
	want.Message.Text, want.Message.Public = []byte("Сколько стоит стрижка?"), true
	want.Message.Len = int64(len(want.Message.Text))
	if !reflect.DeepEqual(ev, want) {
		t.Errorf("got  %+v\nwant %+v", ev, want)
	}
}

// TestDefaults: what is absent, null or empty is the same.
func TestDefaults(t *testing.T) {
	head := `{"v":1,"id":"1","type":"%s","time":1793181662345,"conversation_id":"c",` +
		`"actor":{"kind":"bot"}%s}`
	for _, c := range []struct{ name, rest, same string }{
		{"message", `,"message":null`, ``},
		{"message", `,"message":{}`, ``},
		{"message", `,"message":{"text":null,"public":null,"len":null,"echo":""}`, ``},
		{"message", `,"tenant":"","seq":"","attrs":null,"lang":null,"ai_disclosed":null`, ``},
		{"message", `,"attrs":{"a":"","b":null},"modality":""`, ``},
		{"message", `,"message":{"public":true}`, ``},
		{"message", `,"attrs":{"a":1,"b":2,"a":3}`, `,"attrs":{"b":2,"a":3}`},
		{"message", `,"message":{"intent":"x","unknown":[{"a":1e5}]},"csat":{"score":5}`, ``},
		{"bot_answer", `,"message":{"kb_ids":[],"confidence":null}`, ``},
		{"bot_answer", `,"message":{"kb_ids":["",null]},"bot_answer":{"text":"no"}`, ``},
		{"csat", `,"csat":{"score":4,"scale":null}`, `,"csat":{"score":4,"scale":5}`},
		{"assign", `,"assign":{"to":null,"from":{}}`, ``},
		{"close", `,"resolve":{"resolution":"spam"}`, ``},
		{"newcomer", `,"newcomer":{"any":["thing"]}`, ``},
	} {
		var a, b Event
		value := fmt.Sprintf(head, c.name, c.rest)
		if rej := NewDecoder(Limits{}).Decode([]byte(value), testEnvelope, &a); rej != nil {
			t.Errorf("%s: %v", value, rej)
		}
		same := fmt.Sprintf(head, c.name, c.same)
		if rej := NewDecoder(Limits{}).Decode([]byte(same), testEnvelope, &b); rej != nil {
			t.Errorf("%s: %v", same, rej)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s differs from %s:\n%+v\n%+v", value, same, a, b)
		}
	}
}

func TestUnknownType(t *testing.T) {
	var ev Event
	value := strings.Replace(full("note"), `"type":"note"`, `"type":"newcomer"`, 1)
	if rej := NewDecoder(Limits{}).Decode([]byte(value), testEnvelope, &ev); rej != nil {
		t.Fatal(rej)
	}
	if ev.Type != Unknown || string(ev.TypeName) != "newcomer" || ev.Target != nil {
		t.Errorf("type %d %q, target %q", ev.Type, ev.TypeName, ev.Target)
	}
	checkRoundTrip(t, &ev)
}

// TestTextIsMended: what no text may hold becomes U+FFFD, as often as encoding/json says.
func TestTextIsMended(t *testing.T) {
	const r = "\uFFFD"
	for in, want := range map[string]string{
		`a\nb\r\tc`:                    "a\nb\r\tc",
		`\"\\\/`:                       `"\/`,
		"a\x00b\x1fc\nd\x7f":           "a" + r + "b" + r + "c" + r + "d" + r,
		`\u0000\u001F\b\f\u007f\u0085`: strings.Repeat(r, 6),
		"a\xffb\xc3":                   "a" + r + "b" + r,
		"\xe2\x82":                     r + r,
		`\ud800`:                       r,
		`\ud800\u0041`:                 r + "A",
		`\udc00\ud83d\ude00`:           r + "😀",
		`\uD83D\uDE00`:                 "😀",
		`\ud83d\ue000`:                 r + "\ue000",
		`\ud83d\ud83d\ude00`:           r + "😀",
		"\u202eabc\u200f":              "\u202eabc\u200f",
		"\u0085\u00a0":                 r + "\u00a0",
		"\uFFFD":                       r,
	} {
		value := `{"v":1,"id":"1","type":"message","time":1793181662345,"conversation_id":"c",` +
			`"actor":{"kind":"customer"},"message":{"text":"` + in + `"},"attrs":{"k":"` + in + `"}}`
		var ev Event
		if rej := NewDecoder(Limits{}).Decode([]byte(value), testEnvelope, &ev); rej != nil {
			t.Errorf("%q: %v", in, rej)
			continue
		}
		if string(ev.Message.Text) != want || string(ev.Attrs[0].Value) != want {
			t.Errorf("%q became %q and %q, want %q", in, ev.Message.Text, ev.Attrs[0].Value, want)
		}
		checkRoundTrip(t, &ev)
	}
}

// TestNothingLeaks: a decoder that has seen any record reads the next as a fresh one does.
func TestNothingLeaks(t *testing.T) {
	var values [][]byte
	for name := range payloads {
		values = append(values, []byte(full(name)))
	}
	for _, bad := range append(badDocuments(), badSchema()...) {
		if len(bad.value) < keepBytesMax {
			values = append(values, []byte(bad.value))
		}
	}
	values = append(values, nil, []byte(`{"v":1}`))
	used := NewDecoder(Limits{})
	for i, before := range values {
		for j, value := range values {
			var ev, fresh Event
			used.Decode(before, testEnvelope, &ev)
			rej := used.Decode(value, testEnvelope, &ev)
			want := NewDecoder(Limits{}).Decode(value, testEnvelope, &fresh)
			if !reflect.DeepEqual(rej, want) || rej == nil && !reflect.DeepEqual(ev, fresh) {
				t.Fatalf("record %d after %d: %v, fresh %v\n%+v\n%+v", j, i, rej, want, ev, fresh)
			}
		}
	}
}

// TestGoodEventDoesNotAllocate, of any type, with escapes and with something to mend.
func TestGoodEventDoesNotAllocate(t *testing.T) {
	values := map[string]string{"mended": strings.Replace(full("message"), "С", `\ud800\u0001 \"`, 1)}
	for name := range payloads {
		values[name] = full(name)
	}
	values["nulls"] = set(set(set(full("message"), "attrs", "null"), "message", "null"), "seq", `""`)
	d := NewDecoder(Limits{})
	var ev Event
	var dst []byte
	env := Envelope{NowMS: nowMS, Headers: []Header{{Key: "ce_id", Value: []byte("e-9")}}}
	for name, value := range values {
		bytes := []byte(value)
		n := testing.AllocsPerRun(100, func() {
			if rej := d.Decode(bytes, env, &ev); rej != nil {
				t.Fatal(rej)
			}
			dst = Append(dst[:0], &ev)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations an event", name, n)
		}
	}
}

// TestBigRecordIsForgotten: the memory of a long record does not stay with the decoder.
func TestBigRecordIsForgotten(t *testing.T) {
	d := NewDecoder(Limits{})
	parser := d.parser
	big := strings.Replace(full("message"), "Сколько", strings.Repeat("[1,2] ", keepBytesMax/5), 1)
	var ev Event
	if rej := d.Decode([]byte(big), testEnvelope, &ev); rej != nil {
		t.Fatal(rej)
	}
	if d.parser == parser {
		t.Error("the parser was kept")
	}
	for name, v := range d.body {
		if v != nil {
			t.Errorf("body %d still points into it", name)
		}
	}
	text := string(ev.Message.Text)
	if rej := d.Decode([]byte(full("note")), testEnvelope, new(Event)); rej != nil {
		t.Fatal(rej)
	}
	if string(ev.Message.Text) != text {
		t.Error("the dropped parser's bytes were overwritten")
	}
}

// TestBadRecordIsCheap: a long bad record does not make hundreds of megabytes of error text.
func TestBadRecordIsCheap(t *testing.T) {
	value := []byte(strings.Repeat(`{"a":`, 63) + "t" + strings.Repeat("x", RecordBytesMax/2))
	d := NewDecoder(Limits{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if rej := d.Decode(value, testEnvelope, new(Event)); code(rej) != JSONSyntax {
		t.Fatal(rej)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8*RecordBytesMax {
		t.Errorf("%d bytes allocated", used)
	}
}

func TestCloudEvents(t *testing.T) {
	headers := func(kv ...string) (out []Header) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, Header{Key: kv[i], Value: []byte(kv[i+1])})
		}
		return out
	}
	all := headers("content-type", "application/json", "ce_specversion", "1.0", "ce_id", "e-9",
		"ce_type", "lv.salon.chat.message", "ce_subject", "c-9", "ce_time", "2026-11-02T10:00:00Z")
	body := `{"actor":{"kind":"customer"},"message":{"text":"hi"}}`
	padded := append(headers("x", strings.Repeat("x", HeaderBytesMax)), all...)
	with := func(more ...string) []Header { return append(headers(more...), all...) }
	for _, c := range []struct {
		name    string
		headers []Header
		body    string
		code    Code
		want    string // id, type, conversation, time
	}{
		{"all", all, body, "", "e-9 message c-9 1793613600000"},
		{"body first", all, full("note"), "", "e-1 note c-42 1793613600000"},
		{"beyond 8 KiB", padded, body, FieldMissing, ""},
		{"none", nil, body, FieldMissing, ""},
		{"empty id", headers("ce_id", ""), body, FieldMissing, ""},
		{"first id", with("ce_id", "e-8"), body, "", "e-8 message c-9 1793613600000"},
		{"type without dots", with("ce_type", "message"), body, "", "e-9 message c-9 1793613600000"},
		{"long id", with("ce_id", strings.Repeat("x", 129)), body, IDTooLong, ""},
		{"bad id", with("ce_id", "a\xff"), body, UTF8, ""},
		{"control in id", with("ce_subject", "a\n"), body, UTF8, ""},
		{"bad time", with("ce_time", "yesterday"), body, FieldValue, ""},
		{"old time", with("ce_time", "1999-12-31T23:59:59Z"), body, TimeRange, ""},
		{"bad v stays", all, `{"v":2,"actor":{"kind":"customer"}}`, FieldValue, ""},
	} {
		var ev Event
		rej := NewDecoder(Limits{}).Decode([]byte(c.body), Envelope{nowMS, c.headers}, &ev)
		if code(rej) != c.code {
			t.Errorf("%s: %v, want %q", c.name, rej, c.code)
			continue
		}
		got := fmt.Sprintf("%s %s %s %d", ev.ID, ev.TypeName, ev.ConversationID, ev.TimeMS)
		if rej == nil && (got != c.want || ev.Type != ParseType(ev.TypeName)) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func code(rej *Reject) Code {
	if rej == nil {
		return ""
	}
	return rej.Code
}

// TestWorkedExamples: every event of the contract's examples is a good one.
func TestWorkedExamples(t *testing.T) {
	dir := os.Getenv("USHER_SHARED")
	if dir == "" {
		dir = findShared()
	}
	raw, err := os.ReadFile(filepath.Join(dir, "conformance", "examples.json"))
	if err != nil {
		t.Skip("no worked examples here")
	}
	var examples []struct {
		Name   string            `json:"name"`
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(raw, &examples); err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(Limits{})
	n := 0
	for _, e := range examples {
		for i, value := range e.Events {
			var ev Event
			if rej := d.Decode(value, Envelope{NowMS: 4e12}, &ev); rej != nil {
				t.Errorf("%s, event %d: %v", e.Name, i, rej)
				continue
			}
			if got, want := seen(&ev), wanted(t, value); got != want {
				t.Errorf("%s, event %d:\n got %s\nwant %s", e.Name, i, got, want)
			}
			n++
		}
	}
	t.Logf("%d events", n)
}

// findShared looks for "shared" beside the repository.
func findShared() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if _, err := os.Stat(filepath.Join(dir, "shared", "conformance")); err == nil {
			return filepath.Join(dir, "shared")
		}
	}
	return ""
}
