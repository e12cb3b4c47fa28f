package route

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// example is the decision that CONTRACT section 3 prints.
func example() *Decision {
	return &Decision{
		ID: [16]byte{0x9f, 0x01, 15: 0xff}, TimeMS: 1793181662345, Tenant: []byte("salon7"),
		ConversationID: []byte("c-42"), Cycle: 1,
		Trigger: Trigger{EventID: []byte("01J"), Topic: "chat.events.v1", Partition: 3, Offset: 912},
		Model:   ModelInfo{Name: "intent", Version: "7", Checksum: "9f", Variant: "A"},
		Label:   "request", Score: 0.931, Margin: 0.891, Scope: 0.97, Band: BandAuto,
		Thresholds: Thresholds{Suggest: 0.5, Auto: 0.9},
		Suggestions: []Suggestion{{"label", "request", 0.931},
			{"label", "deal", 0.04}},
		Sentiment: Suggestion{ID: "neutral", Score: 0.66}, Lang: []byte("ru"), Priority: "normal",
		Rule:   RuleRef{ID: "r-request", Set: "s1"},
		Route:  Target{Queue: "front", Role: "consultant", Service: "styling", Script: "price"},
		Action: ActionTemplateReply, SLA: SLA{Policy: "chat", FirstReplyDueMS: 1793181842345},
		Features:    Features{Turn: 1, BusinessHours: Yes, KnownShare: 0.94, HasKnownShare: true},
		EmittedAtMS: 1793181662400, LatencyUS: 38,
	}
}

const golden = `{"v":1,"id":"9f0100000000000000000000000000ff","time":"2026-10-28T10:01:02.345Z","tenant":"salon7","conversation_id":"c-42","cycle":1,` +
	`"trigger":{"event_id":"01J","topic":"chat.events.v1","partition":3,"offset":912},` +
	`"model":{"name":"intent","version":"7","checksum":"9f","variant":"A","mode":"live"},` +
	`"label":"request","score":0.931,"margin":0.891,"scope":0.97,"band":"auto","band_reason":null,"thresholds":{"suggest":0.5,"auto":0.9},` +
	`"suggestions":[{"kind":"label","id":"request","score":0.931},{"kind":"label","id":"deal","score":0.04}],` +
	`"sentiment":{"label":"neutral","score":0.66},"lang":"ru","escalate":false,"priority":"normal",` +
	`"rule":{"id":"r-request","set":"s1"},"route":{"queue":"front","role":"consultant","agent":null,"service":"styling","script":"price"},` +
	`"recommended_action":"template_reply","actions":[],"sla":{"policy":"chat","first_reply_due":"2026-10-28T10:04:02.345Z"},` +
	`"features":{"turn":1,"waiting_ms":0,"business_hours":true,"prev_label":null,"bot_failed":false,"repeats":0,"known_share":0.94},"emitted_at":"2026-10-28T10:01:02.400Z","latency_us":38}`

const goldenEmpty = `{"v":1,"id":"00000000000000000000000000000000","time":"1970-01-01T00:00:00.000Z","tenant":"","conversation_id":"","cycle":null,` +
	`"trigger":{"event_id":"","topic":null,"partition":0,"offset":0},"model":null,` +
	`"label":null,"score":null,"margin":null,"scope":null,"band":"none","band_reason":"no_text","thresholds":{"suggest":0,"auto":0},` +
	`"suggestions":[],"sentiment":null,"lang":null,"escalate":true,"priority":null,` +
	`"rule":{"id":null,"set":null},"route":{"queue":null,"role":null,"agent":null,"service":null,"script":null},` +
	`"recommended_action":"none","actions":[{"do":"create","object":"lead"},{"do":"tag","object":null}],"sla":null,` +
	`"features":{"turn":0,"waiting_ms":0,"business_hours":null,"prev_label":"deal","bot_failed":false,"repeats":0,"known_share":null},"emitted_at":"1970-01-01T00:00:00.000Z","latency_us":0}`

func TestGoldenBytes(t *testing.T) {
	f := func(d *Decision, want string) {
		t.Helper()
		if diff := cmp.Diff(want, string(AppendJSON(nil, d))); diff != "" {
			t.Error(diff)
		}
	}
	f(example(), golden)
	f(&Decision{BandReason: ReasonNoText, Escalate: true, Features: Features{PrevLabel: "deal"},
		Actions: []Action{{"create", "lead"}, {Do: "tag"}}}, goldenEmpty)
}

// order is the order of the fields in CONTRACT section 3.
const order = `v id time tenant conversation_id cycle trigger model label score margin scope band
band_reason thresholds suggestions sentiment lang escalate priority rule route recommended_action
actions sla features emitted_at latency_us`

func TestFieldOrder(t *testing.T) {
	dec := json.NewDecoder(bytes.NewReader(AppendJSON(nil, example())))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name.(string))
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(strings.Fields(order), got); diff != "" {
		t.Error(diff)
	}
}

// parsed mirrors a decision for encoding/json.
type parsed struct {
	V              int
	ID, Time       string
	Tenant         string
	ConversationID string `json:"conversation_id"`
	Cycle          *int64
	Trigger        struct {
		EventID           string `json:"event_id"`
		Topic             *string
		Partition, Offset int64
	}
	Model *struct {
		Name                       string
		Version, Checksum, Variant *string
		Mode                       string
	}
	Label                *string
	Score, Margin, Scope *float64
	Band                 string
	BandReason           *string `json:"band_reason"`
	Thresholds           struct{ Suggest, Auto float64 }
	Suggestions          []struct {
		Kind, ID string
		Score    float64
	}
	Sentiment *struct {
		Label string
		Score float64
	}
	Lang     *string
	Escalate bool
	Priority *string
	Rule     struct{ ID, Set *string }
	Route    struct{ Queue, Role, Agent, Service, Script *string }
	Action   string `json:"recommended_action"`
	Actions  []struct {
		Do     string
		Object *string
	}
	SLA *struct {
		Policy string
		Due    *string `json:"first_reply_due"`
	}
	Features struct {
		Turn          int64
		WaitingMS     int64   `json:"waiting_ms"`
		BusinessHours *bool   `json:"business_hours"`
		PrevLabel     *string `json:"prev_label"`
		BotFailed     bool    `json:"bot_failed"`
		Repeats       int64
		KnownShare    *float64 `json:"known_share"`
	}
	EmittedAt string `json:"emitted_at"`
	LatencyUS int64  `json:"latency_us"`
}

// nasty gives strings with everything that can go wrong in JSON.
func nasty(rng *rand.Rand) string {
	pieces := []string{"a", "\"", "\\", "\n", "\x00", "\x1f", "\x7f", "\u2028", "\u202e", "ё", "中", "😀",
		"\xff", "\xed\xa0\x80", "\xc3", "\xf0\x9f", "</script>", "&", "\t\r\b\f", "\uFFFD", "\uFEFF"}
	var b strings.Builder
	for range rng.IntN(6) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

// TestAgainstEncodingJSON decodes random decisions with another implementation, strictly, and
// compares every field.
func TestAgainstEncodingJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := func() string { return nasty(rng) }
	for range 3000 {
		d := Decision{TimeMS: rng.Int64N(4e12) - 1e12, Tenant: []byte(s()), ConversationID: []byte(s()),
			Cycle: rng.Int64N(3), Trigger: Trigger{[]byte(s()), s(), rng.Int32(), rng.Int64()},
			Model: ModelInfo{s(), s(), s(), s(), Mode(rng.IntN(3))}, Label: s(),
			Score: Round4(rng.Float64()), Margin: Round4(rng.Float64()), Scope: Round4(rng.Float64()),
			Band: Band(rng.IntN(3)), BandReason: Reason(rng.IntN(9)),
			Thresholds: Thresholds{rng.Float64(), rng.Float64()}, Sentiment: Suggestion{ID: s(), Score: 0.25},
			Lang: []byte(s()), Escalate: rng.IntN(2) == 0, Priority: s(), Rule: RuleRef{s(), s()},
			Route: Target{s(), s(), s(), s(), s()}, Action: RecommendedAction(rng.IntN(4)),
			SLA: SLA{s(), rng.Int64N(2) * 1e12}, LatencyUS: rng.Int64(),
			Features: Features{rng.Int64(), rng.Int64(), Tri(rng.IntN(3)), s(), rng.IntN(2) == 0,
				rng.Int64(), rng.Float64(), rng.IntN(2) == 0}}
		for range rng.IntN(3) {
			d.Suggestions = append(d.Suggestions, Suggestion{s(), s(), Round4(rng.Float64())})
			d.Actions = append(d.Actions, Action{s(), s()})
		}
		for i := range d.ID {
			d.ID[i] = byte(rng.Uint32())
		}
		compare(t, &d)
	}
}

func compare(t *testing.T, d *Decision) {
	t.Helper()
	line := AppendJSON(nil, d)
	if bytes.ContainsAny(line, "\n\r") || !utf8.Valid(line) {
		t.Fatalf("not one line of UTF-8: %q", line)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	var p parsed
	if err := dec.Decode(&p); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	eq := func(name string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s\n%s", name, diff, line)
		}
	}
	str := asJSONReads
	opt := func(s string) *string {
		if s == "" {
			return nil
		}
		s = str(s)
		return &s
	}
	eq("v", p.V, 1)
	eq("id", p.ID, hex.EncodeToString(d.ID[:]))
	eq("time", p.Time, time.UnixMilli(d.TimeMS).UTC().Format("2006-01-02T15:04:05.000Z"))
	eq("tenant", p.Tenant, str(string(d.Tenant)))
	eq("conversation_id", p.ConversationID, str(string(d.ConversationID)))
	eq("cycle", p.Cycle, map[bool]*int64{false: &d.Cycle}[d.Cycle == 0])
	eq("event_id", p.Trigger.EventID, str(string(d.Trigger.EventID)))
	eq("topic", p.Trigger.Topic, opt(d.Trigger.Topic))
	eq("partition", p.Trigger.Partition, int64(d.Trigger.Partition))
	eq("offset", p.Trigger.Offset, d.Trigger.Offset)
	eq("model", p.Model != nil, d.Model.Name != "")
	if p.Model != nil {
		eq("model.name", p.Model.Name, str(d.Model.Name))
		eq("model.version", p.Model.Version, opt(d.Model.Version))
		eq("model.checksum", p.Model.Checksum, opt(d.Model.Checksum))
		eq("model.variant", p.Model.Variant, opt(d.Model.Variant))
		eq("model.mode", p.Model.Mode, d.Model.Mode.String())
	}
	eq("label", p.Label, opt(d.Label))
	for _, x := range []struct {
		name string
		got  *float64
		want float64
	}{{"score", p.Score, d.Score}, {"margin", p.Margin, d.Margin}, {"scope", p.Scope, d.Scope}} {
		eq(x.name, x.got != nil, d.Label != "")
		if x.got != nil {
			eq(x.name, *x.got, x.want)
		}
	}
	eq("band", p.Band, d.Band.String())
	eq("band_reason", p.BandReason, opt(d.BandReason.String()))
	eq("thresholds", Thresholds(p.Thresholds), d.Thresholds)
	eq("suggestions", len(p.Suggestions), len(d.Suggestions))
	for i, s := range p.Suggestions {
		eq("suggestion", Suggestion{s.Kind, s.ID, s.Score},
			Suggestion{str(d.Suggestions[i].Kind), str(d.Suggestions[i].ID), d.Suggestions[i].Score})
	}
	eq("sentiment", p.Sentiment != nil, d.Sentiment.ID != "")
	if p.Sentiment != nil {
		eq("sentiment", Suggestion{ID: p.Sentiment.Label, Score: p.Sentiment.Score},
			Suggestion{ID: str(d.Sentiment.ID), Score: d.Sentiment.Score})
	}
	eq("lang", p.Lang, opt(string(d.Lang)))
	eq("escalate", p.Escalate, d.Escalate)
	eq("priority", p.Priority, opt(d.Priority))
	eq("rule", []*string{p.Rule.ID, p.Rule.Set}, []*string{opt(d.Rule.ID), opt(d.Rule.Set)})
	r := &p.Route
	eq("route", []*string{r.Queue, r.Role, r.Agent, r.Service, r.Script}, []*string{opt(d.Route.Queue),
		opt(d.Route.Role), opt(d.Route.Agent), opt(d.Route.Service), opt(d.Route.Script)})
	eq("recommended_action", p.Action, d.Action.String())
	eq("actions", len(p.Actions), len(d.Actions))
	for i, a := range p.Actions {
		eq("action", []*string{&a.Do, a.Object}, []*string{ptr(str(d.Actions[i].Do)), opt(d.Actions[i].Object)})
	}
	eq("sla", p.SLA != nil, d.SLA.Policy != "")
	if p.SLA != nil {
		eq("sla.policy", p.SLA.Policy, str(d.SLA.Policy))
		eq("sla.due", p.SLA.Due != nil, d.SLA.FirstReplyDueMS != 0)
	}
	compareFeatures(t, &p, &d.Features)
	eq("latency_us", p.LatencyUS, d.LatencyUS)
}

func compareFeatures(t *testing.T, p *parsed, f *Features) {
	t.Helper()
	got := Features{Turn: p.Features.Turn, WaitingMS: p.Features.WaitingMS, BotFailed: p.Features.BotFailed,
		Repeats: p.Features.Repeats}
	if b := p.Features.BusinessHours; b != nil {
		got.BusinessHours = TriOf(*b)
	}
	if s := p.Features.PrevLabel; s != nil {
		got.PrevLabel = *s
	}
	if k := p.Features.KnownShare; k != nil {
		got.KnownShare, got.HasKnownShare = *k, true
	}
	want := *f
	want.PrevLabel = asJSONReads(want.PrevLabel)
	if !want.HasKnownShare {
		want.KnownShare = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// asJSONReads is what encoding/json makes of a string that it wrote itself.
func asJSONReads(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	var out string
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

// FuzzQuoted: any bytes become a JSON string that reads as encoding/json's own does.
func FuzzQuoted(f *testing.F) {
	for b := range 256 {
		f.Add([]byte{byte(b)})
		f.Add([]byte{'x', byte(b), 0x80, 'y'})
	}
	f.Add([]byte("a\u202eb\u2066c\u200f"))
	f.Add([]byte("\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf"))
	f.Fuzz(func(t *testing.T, in []byte) {
		quoted := appendBytes(nil, in)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%q: %v in %s", in, err, quoted)
		}
		if want := asJSONReads(string(in)); got != want || !utf8.Valid(quoted) {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if !bytes.Equal(quoted, appendString(nil, string(in))) {
			t.Errorf("%q: strings and bytes differ", in)
		}
	})
}

func TestNumbers(t *testing.T) {
	f := func(x float64, want string) {
		t.Helper()
		if got := string(appendNumber(nil, x)); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
	f(math.NaN(), "null")
	f(math.Inf(1), "null")
	f(math.Inf(-1), "null")
	f(0, "0")
	f(1, "1")
	f(0.0001, "0.0001")
	f(0.12345, "0.12345")
	f(-0.5, "-0.5")
	f(math.Nextafter(0.9, 1), "0.9000000000000001")
	f(5e-324, strconv.FormatFloat(5e-324, 'f', -1, 64))
	f(12.5, "12.5")
	f(Round4(0.89994999), "0.8999")
	for k := range scoreSteps + 1 { // every score that there is prints at most 4 decimals
		x := Round4(float64(k) / scoreSteps)
		want := strconv.FormatFloat(x, 'f', -1, 64)
		if s := string(appendNumber(nil, x)); len(s) > len("0.1234") || s != want {
			t.Fatalf("%d: %s, want %s", k, s, want)
		}
	}
}

func TestTimeAgainstStandardLibrary(t *testing.T) {
	f := func(ms int64) {
		t.Helper()
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(AppendTime(nil, ms)); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
	for _, ms := range []int64{0, -1, 1, 951782400000, 951868799999, 951868800000, 4107542400000,
		minTimeMS, maxTimeMS, 1709164800000, -62135596799999} {
		f(ms)
	}
	for day := int64(-719162); day < 2900000; day += 13 { // years 1 to 9909
		f(day*dayMS + (day*7919%dayMS+dayMS)%dayMS)
	}
	for _, ms := range []int64{math.MinInt64, minTimeMS - 1, maxTimeMS + 1, math.MaxInt64} {
		if got := AppendTime(nil, ms); len(got) != len("2006-01-02T15:04:05.000Z") {
			t.Errorf("%d: %s", ms, got)
		}
	}
}

func TestSameBytesButForTheLastTwo(t *testing.T) {
	a, b := example(), example()
	b.EmittedAtMS, b.LatencyUS = 5, 6
	cut := func(d *Decision) string {
		s := string(AppendJSON(nil, d))
		return s[:strings.Index(s, `,"emitted_at"`)]
	}
	if cut(a) != cut(b) {
		t.Error("more than the last two fields differ")
	}
}

func TestReset(t *testing.T) {
	d := example()
	d.Actions = append(d.Actions, Action{Do: "x"})
	suggestions := d.Suggestions
	d.Reset()
	if cap(d.Suggestions) != cap(suggestions) || len(d.Suggestions) != 0 || len(d.Actions) != 0 {
		t.Error("lists were not kept empty")
	}
	if string(AppendJSON(nil, d)) != string(AppendJSON(nil, &Decision{})) {
		t.Error("something is left")
	}
}

func TestID(t *testing.T) {
	base := IDParts{"chat.events.v1", []byte("t"), []byte("c"), 1, []byte("e"), "m", "s"}
	want, scratch := ID(&base, nil)
	if got := hex.EncodeToString(want[:]); got != "7522b37619e7a8c1b149668041190c6a" {
		t.Errorf("id %s", got)
	}
	f := func(change func(*IDParts)) {
		t.Helper()
		p := base
		change(&p)
		var got [16]byte
		got, scratch = ID(&p, scratch)
		if got == want {
			t.Errorf("%+v has the same id", p)
		}
	}
	f(func(p *IDParts) { p.SourceTopic = "chat.events.v2" })
	f(func(p *IDParts) { p.Tenant = []byte("u") })
	f(func(p *IDParts) { p.ConversationID = []byte("d") })
	f(func(p *IDParts) { p.Cycle = 2 })
	f(func(p *IDParts) { p.EventID = []byte("f") })
	f(func(p *IDParts) { p.ModelChecksum = "" })
	f(func(p *IDParts) { p.RuleSet = "r" })
	f(func(p *IDParts) { p.Tenant, p.ConversationID = []byte("tc"), nil }) // borders count
	f(func(p *IDParts) { p.Tenant, p.ConversationID = nil, []byte("tc") })
	again, _ := ID(&base, bytes.Repeat([]byte{7}, 3))
	if again != want {
		t.Error("the scratch shows in the id")
	}
}

func TestNoAllocations(t *testing.T) {
	table := rules(t, Rule{ID: "a", When: When{Label: Words{"deal"}, Lang: Words{"lv"}}},
		Rule{ID: "b", When: When{Label: Words{"request"}, Lang: Words{"ru"}, Channel: Words{"web"}},
			Then: Then{Queue: "q", Actions: []Action{{Do: "create"}}}})
	in := scored(t, 0.93, Layer{Langs: map[string]LangLayer{"ru": {Cutoff: Cutoff{AutoAt: ptr(0.91)}}}})
	in.Channel = []byte("web")
	d := example()
	buf := make([]byte, 0, 4096)
	var scratch []byte
	got := testing.AllocsPerRun(100, func() {
		Decide(in, table, d)
		d.ConversationID = append(d.ConversationID[:0], "c\"\xff\u202e\x01"...)
		d.ID, scratch = ID(&IDParts{"topic", d.Tenant, d.ConversationID, 1, d.Trigger.EventID, "m",
			d.Rule.Set}, scratch)
		buf = AppendJSON(buf[:0], d)
	})
	if got != 0 || d.Rule.ID != "b" {
		t.Errorf("%v allocations, rule %s", got, d.Rule.ID)
	}
}

func BenchmarkDecide(b *testing.B) {
	c, err := NewCutoffs([]string{"claim", "deal", "request"}, DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	table, err := NewRules([]Rule{{ID: "a", When: When{Label: Words{"deal"}}},
		{ID: "b", When: When{Label: Words{"claim"}}}, {ID: "c", Then: Then{Queue: "front"}}})
	if err != nil {
		b.Fatal(err)
	}
	in := &Inputs{HasText: true, Cutoffs: c, Scores: []float64{0.029, 0.04, 0.931}, Scope: 1}
	d := example()
	b.ReportAllocs()
	for b.Loop() {
		Decide(in, table, d)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	d := example()
	buf := slices.Grow([]byte(nil), 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], d)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkID(b *testing.B) {
	d := example()
	p := IDParts{d.Trigger.Topic, d.Tenant, d.ConversationID, 1, d.Trigger.EventID,
		strings.Repeat("9f", 32), "4f53cda18c2baa0c"}
	var scratch []byte
	b.ReportAllocs()
	for b.Loop() {
		_, scratch = ID(&p, scratch)
	}
}
