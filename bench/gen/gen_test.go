package gen

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"usher/pipeline/event"
)

// anchorMS is 2026-11-20T12:00:00Z.
const anchorMS = 1795176000000

func mustNew(t testing.TB, cfg Config) *Generator {
	t.Helper()
	if cfg.EndMS == 0 {
		cfg.EndMS = anchorMS
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// digest hashes keys and values with their lengths.
func digest(t testing.TB, cfg Config) string {
	t.Helper()
	g := mustNew(t, cfg)
	h := sha256.New()
	var rec Record
	for g.Next(&rec) {
		h.Write([]byte{byte(len(rec.Key)), byte(len(rec.Value)), byte(len(rec.Value) >> 8)})
		h.Write(rec.Key)
		h.Write(rec.Value)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func TestSameSeedSameBytes(t *testing.T) {
	cfg := Config{Seed: 7, Conversations: 2000}
	first := digest(t, cfg)
	if again := digest(t, cfg); again != first {
		t.Errorf("the same configuration gave %s and %s", first, again)
	}
	others := map[string]Config{
		"seed":    {Seed: 8, Conversations: 2000},
		"number":  {Seed: 7, Conversations: 2001},
		"end":     {Seed: 7, Conversations: 2000, EndMS: anchorMS + 1},
		"tenants": {Seed: 7, Conversations: 2000, Tenants: []string{"bank"}},
		"rate":    {Seed: 7, Conversations: 2000, Duplicates: -1},
	}
	for name, other := range others {
		if digest(t, other) == first {
			t.Errorf("another %s gave the same bytes", name)
		}
	}
}

// TestStreamIsPinned fails when the stream changes for a given seed: results measured before and
// after cannot be compared then, so say so in the changelog and pin the new hash.
func TestStreamIsPinned(t *testing.T) {
	const want = "e84cfb88a6184fd9"
	if got := digest(t, Config{Seed: 1, Conversations: 500}); got != want {
		t.Errorf("the stream of seed 1 has hash %s, it was %s", got, want)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Conversations: 10, EndMS: anchorMS}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"none":     {func(c *Config) { c.Conversations = 0 }, "conversations"},
		"span":     {func(c *Config) { c.Span = time.Second }, "span"},
		"long":     {func(c *Config) { c.Span = 1 << 62 }, "span"},
		"end":      {func(c *Config) { c.EndMS = 1795176000 }, "EndMS"},
		"rate":     {func(c *Config) { c.Skewed = 9999 }, "Skewed"},
		"stranger": {func(c *Config) { c.Tenants = []string{"zoo"} }, "zoo"},
	} {
		cfg := good
		c.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

// message is what encoding/json sees of an event: the independent reading of this test.
type message struct {
	V              int    `json:"v"`
	ID             string `json:"id"`
	Type           string `json:"type"`
	Time           any    `json:"time"`
	ConversationID string `json:"conversation_id"`
	Tenant         string `json:"tenant"`
	Lang           string `json:"lang"`
	Actor          struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
	} `json:"actor"`
	Message *struct {
		Text string `json:"text"`
	} `json:"message"`
}

// TestEveryRecord reads every record with encoding/json and with usher's decoder.
func TestEveryRecord(t *testing.T) {
	g := mustNew(t, Config{Seed: 3, Conversations: 6000, Broken: 200, Oversized: 1})
	decoder := event.NewDecoder(event.Limits{})
	codes := map[event.Code]int{}
	var rec Record
	var e event.Event
	previousMS := int64(0)
	for g.Next(&rec) {
		if rec.ArrivedMS < previousMS || rec.ArrivedMS >= anchorMS {
			t.Fatalf("arrival %d after %d, end %d", rec.ArrivedMS, previousMS, int64(anchorMS))
		}
		previousMS = rec.ArrivedMS
		if bytes.IndexByte(rec.Value, '\n') >= 0 {
			t.Fatal("a record holds a newline: it cannot stand in a file of lines")
		}
		reject := decoder.Decode(rec.Value, event.Envelope{NowMS: anchorMS}, &e)
		if rec.Code != "" {
			codes[rec.Code]++
			if reject == nil || reject.Code != rec.Code {
				t.Errorf("usher says %v, generated as %s:\n%.300q", reject, rec.Code, rec.Value)
			}
			continue
		}
		if reject != nil {
			t.Fatalf("a good record is rejected: %v\n%s", reject, rec.Value)
		}
		checkGood(t, &rec, &e)
	}
	for _, f := range faults {
		if codes[f.code] == 0 {
			t.Errorf("no broken record of class %s", f.code)
		}
	}
	if codes[event.TooLarge] != 1 {
		t.Errorf("%d oversized records, want 1", codes[event.TooLarge])
	}
}

func checkGood(t *testing.T, rec *Record, e *event.Event) {
	t.Helper()
	var m message
	if !utf8.Valid(rec.Value) {
		t.Fatalf("not UTF-8: %q", rec.Value)
	}
	if err := json.Unmarshal(rec.Value, &m); err != nil {
		t.Fatalf("encoding/json: %v\n%s", err, rec.Value)
	}
	if m.Type != "agent_status" && (m.ConversationID != string(rec.Key) ||
		m.ConversationID != string(rec.ConversationID)) {
		t.Fatalf("key %q, conversation %q of the body %q", rec.Key, rec.ConversationID, m.ConversationID)
	}
	if m.Type == "agent_status" && m.Actor.ID != string(rec.Key) {
		t.Fatalf("key %q of an agent %q", rec.Key, m.Actor.ID)
	}
	if e.Type != rec.Type || string(e.ID) != m.ID || string(e.Tenant) != m.Tenant ||
		string(e.Lang) != m.Lang || e.Actor.Kind.String() != m.Actor.Kind {
		t.Fatalf("usher and encoding/json read different things in\n%s", rec.Value)
	}
	if m.Message != nil && m.Message.Text != string(e.Message.Text) {
		t.Fatalf("usher reads the text %q of\n%s", e.Message.Text, rec.Value)
	}
	if e.TimeMS >= anchorMS || e.TimeMS < anchorMS-15*dayMS {
		t.Fatalf("an event is dated %d ms before the end\n%s", anchorMS-e.TimeMS, rec.Value)
	}
	timeMS := int64(0)
	switch v := m.Time.(type) {
	case float64:
		timeMS = int64(v)
	case string:
		at, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			t.Fatal(err)
		}
		timeMS = at.UnixMilli()
	}
	if timeMS != e.TimeMS {
		t.Fatalf("usher reads the time %d, time.Parse %d\n%s", e.TimeMS, timeMS, rec.Value)
	}
}

// TestAnyConfig holds odd configurations to the same promises.
func TestAnyConfig(t *testing.T) {
	decoder := event.NewDecoder(event.Limits{})
	for seed := range uint64(120) {
		r := rng(seed)
		cfg := Config{Seed: r.next(), Conversations: r.in(1, 300), EndMS: anchorMS - int64(r.next()>>25),
			Span: time.Hour + time.Duration(r.next()>>14), Broken: r.in(-1, 2000),
			Duplicates: r.in(-1, 5000), Displaced: r.in(-1, 5000), FarLate: r.in(-1, 500),
			Skewed: r.in(-1, 5000), Oversized: r.below(2)}
		if r.chance(500) {
			cfg.Tenants = Tenants()[r.below(5):]
		}
		g := mustNew(t, cfg)
		var rec Record
		var e event.Event
		previousMS := cfg.EndMS - cfg.Span.Milliseconds() - 1
		for g.Next(&rec) {
			if rec.ArrivedMS < previousMS || rec.ArrivedMS >= cfg.EndMS {
				t.Fatalf("%+v: arrival %d after %d", cfg, rec.ArrivedMS, previousMS)
			}
			previousMS = rec.ArrivedMS
			reject := decoder.Decode(rec.Value, event.Envelope{NowMS: cfg.EndMS}, &e)
			if (reject == nil) != (rec.Code == "") || reject != nil && reject.Code != rec.Code {
				t.Fatalf("%+v: rejected as %v, generated as %q\n%.300q", cfg, reject, rec.Code, rec.Value)
			}
		}
		s := g.Stats()
		if s.Conversations != int64(cfg.Conversations) || s.Events+s.Broken != s.Records || g.Open() != 0 {
			t.Errorf("%+v: %d conversations, %d events, %d broken, %d records", cfg, s.Conversations,
				s.Events, s.Broken, s.Records)
		}
	}
}

// TestTraffic checks that the mix is what the documents promise.
func TestTraffic(t *testing.T) {
	g := mustNew(t, Config{Seed: 11, Conversations: 20000})
	var rec Record
	tenants, langs := map[string]int{}, map[string]int{}
	hours := [24]int{}
	openMax := 0
	for g.Next(&rec) {
		openMax = max(openMax, g.Open())
		hours[rec.ArrivedMS%dayMS/hourMS]++
		if rec.Code != "" || rec.Type != event.TypeMessage {
			continue
		}
		var m message
		if err := json.Unmarshal(rec.Value, &m); err != nil {
			t.Fatal(err)
		}
		tenants[m.Tenant]++
		langs[m.Lang]++
	}
	s := g.Stats()
	t.Logf("%d records, %.1f events a conversation, types %v, labels %v, escalations %v",
		s.Records, float64(s.Events)/float64(s.Conversations), s.Types(), s.ByLabel, s.Escalations)
	t.Logf("customers %d agents %d bots %d; displaced %d, far late %d, skewed %d, duplicates %d; %v",
		s.CustomerMessages, s.AgentMessages, s.BotMessages, s.Displaced, s.FarLate, s.Skewed,
		s.Duplicates, s.BrokenBy)
	within := func(what string, value, low, high float64) {
		t.Helper()
		t.Logf("%s: %.3f", what, value)
		if value < low || value > high {
			t.Errorf("%s is %.3f, want %.3f to %.3f", what, value, low, high)
		}
	}
	events := float64(s.Events)
	within("share of customer messages", float64(s.CustomerMessages)/events, .45, .55)
	within("bytes of a text", float64(s.TextBytes)/float64(s.Texts), 85, 105)
	within("bytes of an event", float64(s.ValueBytes)/events, 295, 325)
	within("broken per mille", 1000*float64(s.Broken)/events, .6, 1.4)
	within("duplicates per mille", 1000*float64(s.Duplicates)/events, 4, 8)
	within("displaced per mille", 1000*float64(s.Displaced)/events, 9, 20)
	within("far late per mille", 1000*float64(s.FarLate)/events, .02, 1)
	within("skewed per mille", 1000*float64(s.Skewed)/events, 2, 6)
	within("busiest hour to quietest", float64(hours[10])/float64(hours[1]), 5, 200)
	if len(g.slots) > openMax+1 {
		t.Errorf("%d conversations in memory, at most %d were open", len(g.slots), openMax)
	}
	within("open at once", float64(openMax)/20000, .005, .5)
	for i, n := range s.ByType {
		if n == 0 {
			t.Errorf("no event of type %q", event.Type(i).String())
		}
	}
	for label, n := range s.ByLabel {
		if n == 0 {
			t.Errorf("no customer message with label %d", label)
		}
	}
	for _, reason := range reasonNames {
		if s.Escalations[reason] == 0 {
			t.Errorf("no escalation with reason %s", reason)
		}
	}
	if len(tenants) != 5 || len(langs) != 5 {
		t.Errorf("tenants %v, languages %v", tenants, langs)
	}
}

// TestDisorderIsBounded recomputes displacement and repetition from the stream alone, by seq where
// the source sends one.
func TestDisorderIsBounded(t *testing.T) {
	g := mustNew(t, Config{Seed: 5, Conversations: 8000, Tenants: []string{"bank"}, Broken: -1,
		FarLate: -1})
	type place struct {
		at    int
		value string
	}
	sent := map[string]map[int]place{}
	count := map[string]int{}
	highest := map[string]int{}
	duplicates, behind, behindMax := int64(0), 0, 0
	var rec Record
	for g.Next(&rec) {
		var m struct {
			Seq int `json:"seq"`
		}
		if err := json.Unmarshal(rec.Value, &m); err != nil {
			t.Fatal(err)
		}
		if m.Seq == 0 {
			continue
		}
		id := string(rec.Key)
		if sent[id] == nil {
			sent[id] = map[int]place{}
		}
		if before, ok := sent[id][m.Seq]; ok {
			duplicates++
			if before.value != string(rec.Value) || !rec.Duplicate {
				t.Errorf("a repeated event differs, or is not counted as one")
			}
			if apart := count[id] - before.at; apart > 8 {
				t.Errorf("a duplicate came %d events later", apart)
			}
		} else if m.Seq < highest[id] {
			behind++
			behindMax = max(behindMax, highest[id]-m.Seq)
		}
		sent[id][m.Seq] = place{count[id], string(rec.Value)}
		count[id]++
		highest[id] = max(highest[id], m.Seq)
	}
	s := g.Stats()
	if duplicates != s.Duplicates || duplicates == 0 {
		t.Errorf("%d duplicates in the stream, %d in the truth", duplicates, s.Duplicates)
	}
	if behind == 0 || int64(behind) > s.Displaced {
		t.Errorf("%d events out of order, %d displaced in the truth", behind, s.Displaced)
	}
	if behindMax > 8+4 {
		t.Errorf("an event came %d places late", behindMax)
	}
}

// TestFaultsMissNoCode holds the list of faults to the closed set of codes.
func TestFaultsMissNoCode(t *testing.T) {
	have := map[event.Code]bool{event.TooLarge: true, event.Panic: true}
	for _, f := range faults {
		have[f.code] = true
	}
	for _, code := range []event.Code{event.JSONSyntax, event.TooLarge, event.TooDeep,
		event.NumberSyntax, event.FieldMissing, event.FieldType, event.FieldValue, event.UTF8,
		event.DupKey, event.TimeRange, event.IDTooLong, event.Tombstone, event.Panic} {
		if !have[code] {
			t.Errorf("no fault for %s", code)
		}
		delete(have, code)
	}
	if len(have) > 0 {
		t.Errorf("codes outside the closed set: %v", maps.Keys(have))
	}
}

func TestCleanStream(t *testing.T) {
	g := mustNew(t, Config{Seed: 2, Conversations: 3000, Broken: -1, Duplicates: -1, Displaced: -1,
		FarLate: -1, Skewed: -1})
	seen := map[string]bool{}
	var rec Record
	for g.Next(&rec) {
		var m message
		if err := json.Unmarshal(rec.Value, &m); err != nil {
			t.Fatal(err)
		}
		if id := m.ConversationID + "/" + m.ID; seen[id] {
			t.Errorf("event %s was sent twice", id)
		} else {
			seen[id] = true
		}
	}
	if s := g.Stats(); s.Broken+s.Duplicates+s.Displaced+s.FarLate+s.Skewed != 0 {
		t.Errorf("faults in a clean stream: %+v", s)
	}
}

// TestNextDoesNotAllocate: only more conversations open at once than ever before cost memory.
func TestNextDoesNotAllocate(t *testing.T) {
	g := mustNew(t, Config{Seed: 2, Conversations: 200000, Broken: -1})
	var rec Record
	for range 400_000 {
		g.Next(&rec)
	}
	if n := testing.AllocsPerRun(100_000, func() { g.Next(&rec) }); n > 0.05 {
		t.Errorf("%.3f allocations a record in the steady state", n)
	}
}

func BenchmarkNext(b *testing.B) {
	g := mustNew(b, Config{Seed: 2, Conversations: 4_000_000})
	var rec Record
	bytes := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		if !g.Next(&rec) {
			b.Fatal("the stream ended: raise Conversations")
		}
		bytes += int64(len(rec.Value))
	}
	b.SetBytes(bytes / int64(b.N))
}

// TestVisits: later visits bring the same conversations, and no event a second time.
func TestVisits(t *testing.T) {
	const week = 7 * 24 * time.Hour
	events := map[string]int{} // by id, the visit that brought it
	var first map[string]bool
	for visit := range 3 {
		g := mustNew(t, Config{Seed: 5, Conversations: 400, Span: week, Visit: uint16(visit),
			EndMS: anchorMS + int64(visit)*week.Milliseconds(), Broken: -1})
		ids := map[string]bool{}
		var rec Record
		for g.Next(&rec) {
			var e struct{ ID string }
			if err := json.Unmarshal(rec.Value, &e); err != nil {
				t.Fatal(err)
			}
			if before, ok := events[e.ID]; ok && before != visit {
				t.Fatalf("event %s comes in visit %d and in visit %d", e.ID, before, visit)
			}
			events[e.ID] = visit
			if rec.ConversationID != nil {
				ids[string(rec.ConversationID)] = true
			}
		}
		if first == nil {
			first = ids
		}
		if !maps.Equal(ids, first) {
			t.Errorf("visit %d is to %d conversations, the first was to %d, or to others", visit, len(ids),
				len(first))
		}
	}
}
