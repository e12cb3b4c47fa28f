package fieldmap

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/pipeline/event"
)

// nowMS is later than every time of the tests.
const nowMS = 1_800_000_000_000

func TestMap(t *testing.T) {
	riga, err := time.LoadLocation("Europe/Riga")
	if err != nil {
		t.Fatal(err)
	}
	renamed := Config{Map: map[string]string{
		"id": "nr", "type": "t", "time": "ts", "conversation_id": "chat", "actor.kind": "role", "message.text": "text",
	}}
	check := func(name string, cfg Config, in, want string) {
		t.Helper()
		mapper, err := New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, rejected := mapper.Map(nil, []byte(in), nil)
		if rejected != nil {
			t.Errorf("%s: %v", name, rejected)
			return
		}
		if string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	const head = `{"v":1,"id":"7",`
	check("same names map themselves, what is unknown is dropped", Config{},
		`{"regular_agent":true,"message":{"text":"ok","mood":1},"conversation_id":"c","id":"7","v":1,"time":5,"event":"message","actor":{"kind":"agent","shoe":44},"type":"message","tags":["a"]}`,
		head+`"type":"message","time":5,"conversation_id":"c","actor":{"kind":"agent"},"message":{"text":"ok"}}`)
	check("renamed fields", renamed,
		`{"nr":"7","t":"message","ts":5,"chat":"c","role":"agent","text":"ok"}`,
		head+`"type":"message","time":5,"conversation_id":"c","actor":{"kind":"agent"},"message":{"text":"ok"}}`)
	check("a mapped field is not taken from its own name", renamed,
		`{"nr":"7","id":"8","t":"close","ts":5,"time":6,"chat":"c"}`,
		head+`"type":"close","time":5,"conversation_id":"c"}`)
	check("a text makes a message, v becomes 1", Config{},
		`{"id":"7","time":5,"conversation_id":"c","message":{"text":"ok"}}`,
		head+`"type":"message","time":5,"conversation_id":"c","message":{"text":"ok"}}`)
	check("an empty text too", Config{}, `{"id":"7","message":{"text":""}}`, head+`"type":"message"}`)
	check("no text, no type: for the decoder to reject", Config{},
		`{"id":"7","time":5,"message":{"text":null,"media":"x"}}`, head+`"time":5,"message":{"media":"x"}}`)
	check("nested paths, a dotted key wins", Config{Map: map[string]string{"actor.id": "from.user.id", "lang": "a.b"}},
		`{"id":"7","from":{"user":{"id":"u1"}},"a":{"b":"no"},"a.b":"pl"}`,
		head+`"actor":{"id":"u1"},"lang":"pl"}`)
	check("an object's name moves its fields", Config{Map: map[string]string{"actor": "author", "actor.role": "rank"}},
		`{"id":"7","author":{"kind":"bot","id":"b","role":"x"},"rank":"senior"}`,
		head+`"actor":{"kind":"bot","id":"b","role":"senior"}}`)
	check("two levels of objects", Config{},
		`{"id":"7","transfer":{"by":"x","from":{"queue":"q"},"to":{"agent":"a","queue":"r"}},"void":{"reason":"test"}}`,
		head+`"transfer":{"to":{"agent":"a","queue":"r"},"from":{"queue":"q"},"by":"x"},"void":{"reason":"test"}}`)
	check("values", Config{Values: map[string]map[string]string{
		"actor.kind": {"operator": "agent", "3": "bot", "?": ""}}, Defaults: map[string]string{"actor.kind": "system"}},
		`{"id":"7","actor":{"kind":"operator"}}`, head+`"actor":{"kind":"agent"}}`)
	check("values of a number, and of what is not listed", Config{Values: map[string]map[string]string{
		"actor.kind": {"3": "bot"}, "lang": {"x": "y"}}},
		`{"id":"7","actor":{"kind":3},"lang":"pl"}`, head+`"actor":{"kind":"bot"},"lang":"pl"}`)
	check("a value translated to nothing takes the default", Config{Values: map[string]map[string]string{
		"actor.kind": {"?": ""}}, Defaults: map[string]string{"actor.kind": "system"}},
		`{"id":"7","actor":{"kind":"?"}}`, head+`"actor":{"kind":"system"}}`)
	check("defaults fill what is absent, null or empty", Config{Defaults: map[string]string{
		"tenant": "salon7", "channel": "web", "lang": "pl", "seq": "4", "ai_disclosed": "true"}},
		`{"id":"7","tenant":null,"lang":"","channel":"email"}`,
		head+`"tenant":"salon7","seq":4,"channel":"email","lang":"pl","ai_disclosed":true}`)
	check("shapes that need no guess", Config{},
		`{"id":7,"conversation_id":42,"seq":"3","ai_disclosed":"false","csat":{"score":"4.5"},"contact_provided":{"kinds":"email"},"time":"5"}`,
		head+`"time":5,"conversation_id":"42","seq":3,"ai_disclosed":false,"contact_provided":{"kinds":["email"]},"csat":{"score":4.5}}`)
	check("shapes that need one stay, for the decoder", Config{},
		`{"id":"7","conversation_id":true,"seq":"007","csat":{"score":[4]},"lang":{"a":1}}`,
		head+`"conversation_id":true,"seq":"007","lang":{"a":1},"csat":{"score":[4]}}`)
	check("bytes are kept as they are", Config{},
		"{\"id\":\"7\",\"lang\":\"\\ud83d\\u0041\",\"csat\":{\"score\":1e0},\"message\":{\"text\":\"a\tb\xff\"},\"type\":\"message\"}",
		head+"\"type\":\"message\",\"lang\":\"\\ud83d\\u0041\",\"message\":{\"text\":\"a\tb\xff\"},\"csat\":{\"score\":1e0}}")
	check("an escaped key is the same key", Config{}, `{"id":"7","l\u0061ng":"pl"}`, head+`"lang":"pl"}`)
	check("white space", Config{}, " {\t\"id\" : \"7\" , \"csat\" : { \"score\" : 4 , \"asked\" : true } } ",
		head+`"csat":{"score":4,"asked":true}}`)
	check("attrs as they are", Config{}, `{"id":"7","attrs":{"a":1,"b":"x"}}`, head+`"attrs":{"a":1,"b":"x"}}`)
	check("attrs one by one, and the rest", Config{Map: map[string]string{"attrs.topic": "t", "attrs.none": "n"},
		Defaults: map[string]string{"attrs.set": "tb"}}, `{"id":"7","t":"mail","attrs":{"a":1,"topic":"old"}}`,
		head+`"attrs":{"set":"tb","topic":"mail","a":1}}`)
	check("attrs from another object", Config{Map: map[string]string{"attrs": "extra"}},
		`{"id":"7","extra":{"a":"b"}}`, head+`"attrs":{"a":"b"}}`)
	at := func(in, want string) {
		t.Helper()
		check(in, Config{Zone: riga}, `{"id":"7","time":"`+in+`"}`, head+`"time":"`+want+`"}`)
	}
	at("2023-01-01T02:21:46Z", "2023-01-01T02:21:46Z")
	at("2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z")
	at("2023-01-01 02:21:46.25+02:00", "2023-01-01T02:21:46.25+02:00")
	at("2023-01-01 02:21:46 +0200", "2023-01-01T02:21:46+02:00")
	at("2023-01-01 02:21:46+02", "2023-01-01T02:21:46+02:00")
	at("2023-01-01 02:21:46", "2023-01-01T02:21:46+02:00")
	at("2023-07-01T02:21:46.123456", "2023-07-01T02:21:46.123+03:00")
	at("2023-07-01", "2023-07-01T00:00:00+03:00")
	at("yesterday", "yesterday")
}

func TestMapRejects(t *testing.T) {
	check := func(in string, want event.Code, word string) {
		t.Helper()
		mapper, err := New(Config{Map: map[string]string{"lang": "a.b"}})
		if err != nil {
			t.Fatal(err)
		}
		got, rejected := mapper.Map([]byte("kept"), []byte(in), nil)
		if rejected == nil {
			t.Errorf("%s: mapped to %s, want %s", in, got, want)
			return
		}
		if rejected.Code != want || !strings.Contains(rejected.Reason, word) {
			t.Errorf("%s: %v, want %s with %q", in, rejected, want, word)
		}
		if strings.Contains(rejected.Reason, "secret") {
			t.Errorf("%s: the reason quotes a value: %s", in, rejected.Reason)
		}
	}
	check(`{"id":"secret"`, event.JSONSyntax, "JSON")
	check(`not JSON, secret`, event.JSONSyntax, "JSON")
	check(`{"id":"secret"} {}`, event.JSONSyntax, "JSON")
	check(`["secret"]`, event.FieldType, "object")
	check(`"secret"`, event.FieldType, "object")
	check(strings.Repeat(`{"a":`, 64)+`{}`+strings.Repeat("}", 64), event.TooDeep, "64")
	check(`{"id":"secret","id":"2"}`, event.DupKey, "id")
	check(`{"id":"1","a":{"b":"secret","b":"x"}}`, event.DupKey, "lang")
	check(`{"id":"1","\u0061":{"b":"secret"},"a":{}}`, event.DupKey, "lang")
	check(`{"id":"1","time":"2023-01-01T10:00:00"}`, event.FieldValue, "--tz")
}

// A second mapping must not see what the first left behind.
func TestMapperIsReusable(t *testing.T) {
	mapper, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{
		`{"id":"a","actor":{"kind":"bot"},"message":{"text":"` + strings.Repeat("long ", 50) + `"}}`,
		`{"id":"b","id":"c"}`, `{`, `{"id":"d","seq":1}`, `{}`,
	}
	for range 2 {
		for _, line := range lines {
			fresh, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			want, wantReject := fresh.Map(nil, []byte(line), nil)
			got, gotReject := mapper.Map(nil, []byte(line), nil)
			if string(got) != string(want) || !reflect.DeepEqual(gotReject, wantReject) {
				t.Errorf("a used mapper gives %s %v, a fresh one %s %v", got, gotReject, want, wantReject)
			}
		}
	}
}

func TestDerivedID(t *testing.T) {
	mapper, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := func(in, fallback string) string {
		t.Helper()
		var fallbackID []byte
		if fallback != "" {
			fallbackID = []byte(fallback)
		}
		out, rejected := mapper.Map(nil, []byte(in), fallbackID)
		var decoded struct{ ID string }
		if rejected != nil || json.Unmarshal(out, &decoded) != nil {
			t.Fatalf("%s: %v %s", in, rejected, out)
		}
		return decoded.ID
	}
	same := func(a, b string) {
		t.Helper()
		if id(a, "") != id(b, "") {
			t.Errorf("%s and %s have different ids", a, b)
		}
	}
	differ := func(a, b string) {
		t.Helper()
		if id(a, "") == id(b, "") {
			t.Errorf("%s and %s have the same id", a, b)
		}
	}
	counted := `{"conversation_id":"c","seq":1,"time":5,"message":{"text":"a"}}`
	same(counted, counted)
	same(counted, `{"seq":1,"time":6,"message":{"text":"b"},"conversation_id":"c"}`)
	same(counted, `{"seq":"1","conversation_id":"c"}`)
	differ(counted, `{"conversation_id":"c","seq":2,"time":5,"message":{"text":"a"}}`)
	differ(counted, `{"conversation_id":"d","seq":1,"time":5,"message":{"text":"a"}}`)
	differ(`{"conversation_id":"c1","seq":1}`, `{"conversation_id":"c","seq":11}`)
	plain := `{"conversation_id":"c","time":5,"message":{"text":"a"}}`
	same(plain, `{"message":{"text":"a"},"time":5,"unknown":1,"conversation_id":"c"}`)
	differ(plain, `{"conversation_id":"c","time":6,"message":{"text":"a"}}`)
	differ(plain, `{"conversation_id":"c","time":5,"message":{"text":"b"}}`)
	if got := id(counted, "t-3-912"); got != "t-3-912" {
		t.Errorf("the id of the place is %s, want t-3-912", got)
	}
	if got := id(`{"id":"own"}`, "t-3-912"); got != "own" {
		t.Errorf("the id is %s, want the source's own", got)
	}
	if got := len(id(plain, "")); got != 32 {
		t.Errorf("a derived id has %d characters, want 128 bits in hex", got)
	}
}

func TestNewRefuses(t *testing.T) {
	check := func(cfg Config, words ...string) {
		t.Helper()
		_, err := New(cfg)
		if err == nil {
			t.Errorf("%+v: accepted", cfg)
			return
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v: does not say %q", err, word)
			}
		}
	}
	check(Config{Map: map[string]string{"actor.knd": "role"}}, "actor.knd", "did you mean actor.kind")
	check(Config{Map: map[string]string{"kind": "role"}}, "actor.kind")
	check(Config{Map: map[string]string{"attrs.": "x"}}, "attrs.")
	check(Config{Map: map[string]string{"zzzzzzzzzzzz": "x"}}, "docs/events.md")
	check(Config{Defaults: map[string]string{"tenent": "x"}}, "did you mean tenant")
	check(Config{Defaults: map[string]string{"seq": "many"}}, "seq", "a number")
	check(Config{Defaults: map[string]string{"ai_disclosed": "perhaps"}}, "true or false")
	check(Config{Values: map[string]map[string]string{"csat.score": {"good": "5"}}}, "csat.score", "text")
	check(Config{Values: map[string]map[string]string{"actor": {"a": "b"}}}, "actor")
}

func TestParseMap(t *testing.T) {
	got, err := ParseMap(" time = ts, actor.kind=role,, message.text=body.plain ")
	want := map[string]string{"time": "ts", "actor.kind": "role", "message.text": "body.plain"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v %v, want %v", got, err, want)
	}
	for _, bad := range []string{"time", "time=", "=ts", "time=a,time=b"} {
		if _, err := ParseMap(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

// Every name of the schema is one that the decoder knows: it rejects an array there. (It would
// ignore a name that it does not know.)
func TestSchemaMatchesDecoder(t *testing.T) {
	decoder := event.NewDecoder(event.Limits{})
	var ev event.Event
	for _, name := range append(Fields(), "attrs.any") {
		kind, _, _ := strings.Cut(name, ".")
		if kind == "message" {
			kind = "bot_answer" // has all that message has, and more
		}
		if event.ParseType([]byte(kind)) == event.Unknown {
			kind = "message"
		}
		fields := map[string]any{
			"v": 1, "id": "1", "type": kind, "time": 1_700_000_000_000, "conversation_id": "c",
			"actor": map[string]any{"kind": "agent", "id": "a"},
		}
		good, _ := json.Marshal(fields)
		before := decoder.Decode(good, event.Envelope{NowMS: nowMS}, &ev)
		at := fields
		parts := strings.Split(name, ".")
		for _, part := range parts[:len(parts)-1] {
			inner, _ := at[part].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
			}
			at[part], at = inner, inner
		}
		at[parts[len(parts)-1]] = []any{[]any{1}}
		bad, _ := json.Marshal(fields)
		rejected := decoder.Decode(bad, event.Envelope{NowMS: nowMS}, &ev)
		if rejected == nil || rejected.Code != event.FieldType {
			t.Errorf("%s: the decoder says %v to %s (and %v without), want field_type", name, rejected, bad, before)
		}
	}
}

// An event that is one already means the same after an empty map.
func TestEventsPassUnchanged(t *testing.T) {
	examples := conformance(t)
	mapper, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	before, after := event.NewDecoder(event.Limits{}), event.NewDecoder(event.Limits{})
	for _, line := range examples {
		line = bytes.ReplaceAll(line, []byte("{t}"), []byte("t"))
		mapped, rejected := mapper.Map(nil, line, nil)
		if rejected != nil {
			t.Errorf("%s: %v", line, rejected)
			continue
		}
		var want, got event.Event
		wantReject := before.Decode(line, event.Envelope{NowMS: nowMS}, &want)
		gotReject := after.Decode(mapped, event.Envelope{NowMS: nowMS}, &got)
		if diff := cmp.Diff(want, got); diff != "" || (wantReject == nil) != (gotReject == nil) {
			t.Errorf("%s became %s: %v %v\n%s", line, mapped, wantReject, gotReject, diff)
		}
	}
}

// conformance returns the events of the worked examples, or skips the test.
func conformance(t *testing.T) [][]byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared(t), "conformance", "examples.json"))
	if err != nil {
		t.Skipf("the worked examples are not there: %v", err)
	}
	var examples []struct{ Events []json.RawMessage }
	if err := json.Unmarshal(data, &examples); err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for _, example := range examples {
		for _, line := range example.Events {
			lines = append(lines, line)
		}
	}
	if len(lines) < 100 {
		t.Fatalf("found %d events in the worked examples, want some hundred", len(lines))
	}
	return lines
}

// shared finds the folder of shared test data beside the checkout, or skips the test.
func shared(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("USHER_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "..", "shared")
		}
	}
	t.Skip("no checkout around the test")
	return ""
}
