// Package pipeline is the line that every event goes down, and the router that runs it inside Kafka
// transactions. Line.Process is the whole way of one event on one screen; worker.go is the loop
// around it; output.go is what a transaction writes.
package pipeline

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features"
	"usher/features/classifier"
	"usher/features/conversation"
	"usher/pipeline/event"
	"usher/pipeline/redact"
	"usher/pipeline/route"
)

// LineConfig is what a line needs to know. Zero values are the defaults of CONTRACT section 5.
type LineConfig struct {
	Limits    event.Limits
	Redact    redact.Config
	Key       []byte // privacy.key; never empty
	StoreText bool
	State     conversation.Config
	Model     *classifier.Model // nil: every decision says no_model
	Mode      route.Mode
	Cutoffs   map[string]*route.Cutoffs // by tenant; "" for all others; needs Model
	AutoOff   map[string]bool           // by tenant; "" for all
	Rules     *route.Rules
	Tenants   map[string]Tenant // "default" for all others
	// Brains, when there, go before Model, Mode, Cutoffs, AutoOff and Rules, and may change later.
	Brains *Brains
}

// Tenant is what a line knows of a tenant.
type Tenant struct {
	Zone          *time.Location
	ContainmentMS map[string]int64 // W by channel, "default" for the others
}

// Record is one input record. Its slices are read during Process only.
type Record struct {
	Topic      string
	Partition  int32
	Partitions int32 // of the topic; 0 when unknown, then nothing is called misplaced
	Offset     int64
	Key, Value []byte
	Headers    []event.Header
	NowMS      int64 // the worker's clock, frozen by the transaction
	NoRules    bool  // sources[].apply_rules: false; decided without the rule table
	Backfill   bool  // header usher.backfill: history, timers follow its own times
	Shadow     bool  // sources[].apply_rules: shadow; decided and written, never executed
}

// Result is what became of a record. Everything in it is valid until the next Process.
type Result struct {
	Reject     *event.Reject // the record is a dead letter; all else is empty
	Event      *event.Event  // redacted: CustomerID is the customer_key
	Arrival    conversation.Arrival
	Decision   *route.Decision // nil: no decision was due
	Executed   bool            // the decision acts alone
	StoredText []byte          // redacted; nil unless text is stored
	TextLen    int             // bytes, as sent
	Misplaced  bool
	Truncated  bool
}

func (r *Result) reset() { *r = Result{} }

// label is the label of the decision on this event, else of the one before in the conversation.
func (r *Result) label() string {
	if r.Decision != nil {
		return r.Decision.Label
	}
	return r.Arrival.View.PrevLabel
}

func (r *Result) variant() string {
	if r.Decision != nil {
		return r.Decision.Model.Variant
	}
	return ""
}

// Line takes events through decoding, redaction, state, features, scoring and routing. It shares
// nothing: one per worker, not safe for concurrent use.
type Line struct {
	cfg         LineConfig
	metrics     *Metrics
	fingerprint uint64

	decoder   *event.Decoder
	redactor  *redact.Redactor
	extractor *features.Extractor
	scores    *classifier.Scores
	heads     heads
	vector    features.Vector
	ev        event.Event
	decision  route.Decision
	inputs    route.Inputs
	scratch   []byte
	brains    *Brains
	brain     *Brain // of the latest decision
	model     route.ModelInfo
	noRules   *route.Rules
	placement kgo.TopicPartitioner
	placed    kgo.Record
	zones     map[string]*dayZone
	rows      rowScratch
	before    func(*Record) // a test's, to make processing fail
}

// NewLine makes a line. It reads nothing and starts nothing.
func NewLine(cfg LineConfig, m *Metrics) (*Line, error) {
	red, err := redact.New(cfg.Key, cfg.Redact)
	if err != nil {
		return nil, fmt.Errorf("cannot make the redactor: %w", err)
	}
	none, err := route.NewRules(nil)
	if err != nil {
		return nil, fmt.Errorf("cannot make an empty rule table: %w", err)
	}
	if cfg.Brains == nil {
		if cfg.Brains, err = NewBrains(cfg.Brain()); err != nil {
			return nil, err
		}
	}
	l := &Line{
		cfg: cfg, metrics: m, redactor: red, brains: cfg.Brains, noRules: none, fingerprint: fingerprint(red),
		decoder:   event.NewDecoder(cfg.Limits),
		placement: kgo.StickyKeyPartitioner(nil).ForTopic(""),
		zones:     make(map[string]*dayZone),
	}
	l.look()
	return l, nil
}

// fingerprint tells privacy keys apart without telling anything about them.
func fingerprint(r *redact.Redactor) uint64 {
	sum := r.Key([]byte("usher/fingerprint"), nil)
	return binary.BigEndian.Uint64(sum[:8])
}

// Process is the life of an event: decode, redact, find its place in its conversation, score and
// route it if it asks for that, and settle what it changed. A record that is no event comes back
// as a Reject; an error means that the state has reached a limit and the worker must stop.
func (l *Line) Process(table *conversation.Table, in *Record, r *Result) error {
	r.reset()
	if l.before != nil {
		l.before(in)
	}
	ev := &l.ev
	if rej := l.decoder.Decode(in.Value, event.Envelope{NowMS: in.NowMS, Headers: in.Headers}, ev); rej != nil {
		r.Reject = rej
		return nil
	}
	r.Event = ev
	r.Misplaced = l.misplaced(in, ev)
	key := l.redact(ev, r)
	err := table.Arrive(&conversation.Input{
		Key: key, Event: ev, ConversationID: ev.ConversationID, CustomerKey: ev.CustomerID,
		Offset: in.Offset, NowMS: in.NowMS, Backfill: in.Backfill,
	}, &r.Arrival)
	if err != nil {
		return fmt.Errorf("cannot keep the state of partition %d at offset %d: %w",
			in.Partition, in.Offset, err)
	}
	var decided conversation.Decided
	if r.Arrival.Decide {
		l.decide(in, r, &decided)
	}
	table.Settle(&decided)
	if d := r.Decision; d != nil {
		d.SLA.Policy, d.SLA.FirstReplyDueMS = table.SLA()
	}
	l.count(r)
	return nil
}

// redact is the gate: what has passed it may be written anywhere.
func (l *Line) redact(ev *event.Event, r *Result) conversation.Key {
	key := l.redactor.Key(ev.Tenant, ev.ConversationID)
	r.TextLen = len(ev.Message.Text)
	if ev.Message.HasLen {
		r.TextLen = int(ev.Message.Len)
	}
	r.Truncated = l.redactor.Apply(ev)
	if l.cfg.StoreText {
		r.StoredText = ev.Message.Text
	}
	return key
}

// decide scores the message and routes it.
func (l *Line) decide(in *Record, r *Result, decided *conversation.Decided) {
	l.look()
	ev, v, d := r.Event, &r.Arrival.View, &l.decision
	d.Reset()
	d.TimeMS, d.Tenant, d.ConversationID = ev.TimeMS, ev.Tenant, ev.ConversationID
	d.Cycle, d.Lang, d.Model = int64(r.Arrival.Cycle), ev.Lang, l.model
	d.Trigger = route.Trigger{
		EventID: ev.ID, Topic: in.Topic, Partition: in.Partition, Offset: in.Offset,
	}
	d.Features = route.Features{
		Turn: int64(v.Turn), WaitingMS: v.WaitingMS, PrevLabel: v.PrevLabel,
		BotFailed: v.BotFailed, Repeats: int64(v.Repeats),
		// Without a calendar a tenant works around the clock (KPIS edge case 10).
		BusinessHours: route.TriOf(l.calendar(ev.Tenant).Open(ev.TimeMS)),
	}
	l.inputs = route.Inputs{
		AutoOff: l.brain.AutoOff[""] || l.brain.AutoOff[string(ev.Tenant)],
		Channel: ev.Channel, Inbox: ev.Inbox,
	}
	l.score(ev, v, d)
	rules := l.brain.Rules
	if in.NoRules {
		rules = l.noRules
	}
	route.Decide(&l.inputs, rules, d)
	d.ID, l.scratch = route.ID(&route.IDParts{
		SourceTopic: in.Topic, Tenant: ev.Tenant, ConversationID: ev.ConversationID, Cycle: d.Cycle,
		EventID: ev.ID, ModelChecksum: l.model.Checksum, RuleSet: d.Rule.Set,
	}, l.scratch)
	acts := r.Arrival.Flags&conversation.FlagLate == 0 && !in.Shadow
	r.Decision = d
	r.Executed = d.Band == route.BandAuto && d.Model.Mode == route.Live && acts
	*decided = conversation.Decided{
		Label: d.Label, Variant: d.Model.Variant, Escalate: d.Escalate && acts, Executed: r.Executed,
		Sentiment: conversation.ParseSentiment(d.Sentiment.ID),
	}
	if in.Shadow {
		return
	}
	if d.Rule.ID != "" {
		// Without a rule route.queue is only the default's name: it moves no conversation out of
		// the inbox that it came to.
		decided.Queue = d.Route.Queue
	}
	if d.Rule.ID != "" || d.Priority != route.DefaultPriority {
		decided.Priority = d.Priority
	}
}

func (l *Line) score(ev *event.Event, v *conversation.View, d *route.Decision) {
	in := &l.inputs
	in.HasText = !blank(ev.Message.Text)
	if l.brain.Model == nil || !in.HasText {
		return
	}
	conv := features.Conversation{
		Turn: int(v.Turn), WaitingMS: v.WaitingMS, PrevLabel: v.PrevLabel, BotFailed: v.BotFailed,
		Repeats: int(v.Repeats), BusinessHours: 1, Channel: ev.Channel, Lang: ev.Lang,
	}
	if d.Features.BusinessHours == route.No {
		conv.BusinessHours = -1
	}
	in.HasText = l.extractor.Fill(ev.Message.Text, &conv, &l.vector)
	if !in.HasText {
		return
	}
	l.brain.Model.Score(&l.vector, l.scores)
	head := &l.scores.Heads[0]
	in.Cutoffs = l.cutoffs(ev.Tenant)
	if unproven, ok := l.brain.Unproven[string(ev.Tenant)]; ok && d.Model.Mode == route.Unproven {
		in.Unproven = unproven
		if !unproven[head.Best] {
			d.Model.Mode = route.Live
		}
	}
	in.Scores, in.Scope = head.Probs, head.Scope
	l.others(ev, d)
	d.Features.KnownShare, d.Features.HasKnownShare = l.scores.KnownShare, true
}

func (l *Line) cutoffs(tenant []byte) *route.Cutoffs {
	if c, ok := l.brain.Cutoffs[string(tenant)]; ok { // no copy is made of a key that is looked up
		return c
	}
	return l.brain.Cutoffs[""]
}

// misplaced recomputes where the conversation belongs: a record elsewhere, or under another key,
// may be apart from the rest of its conversation, and its waits cannot be trusted.
func (l *Line) misplaced(in *Record, ev *event.Event) bool {
	id := ev.ConversationID
	if ev.Type == event.TypeAgentStatus {
		id = ev.Actor.ID
	}
	if in.Partitions <= 0 {
		return false
	}
	if string(id) != string(in.Key) {
		return true
	}
	l.placed.Key = id
	return l.placement.Partition(&l.placed, int(in.Partitions)) != int(in.Partition)
}

func (l *Line) count(r *Result) {
	m := l.metrics
	m.events.Inc()
	if r.Misplaced {
		m.misplaced.Inc()
	}
	if d := r.Decision; d != nil {
		m.bands[d.Band].Inc()
	}
	if f := r.Arrival.Flags; f != 0 {
		m.flagged(f)
	}
}

// zone is the day zone of a tenant.
func (l *Line) zone(tenant string) *dayZone {
	if z, ok := l.zones[tenant]; ok {
		return z
	}
	loc := time.UTC
	if t, ok := l.tenant(tenant); ok && t.Zone != nil {
		loc = t.Zone
	}
	name := loc.String()
	z, ok := l.zones["\x00"+name]
	if !ok {
		z = newDayZone(loc)
		l.zones["\x00"+name] = z
	}
	if len(l.zones) < zonesMax {
		l.zones[string([]byte(tenant))] = z // a copy: the name may be a view of the record
	}
	return z
}

// zonesMax bounds the memory of tenants' zones: tenants come from the input.
const zonesMax = 4096

func (l *Line) tenant(name string) (Tenant, bool) {
	if t, ok := l.cfg.Tenants[name]; ok {
		return t, true
	}
	t, ok := l.cfg.Tenants["default"]
	return t, ok
}

// The windows of containment where the configuration names none (KPIS, containment).
const (
	containmentMS      = 24 * 60 * 60 * 1000
	containmentEmailMS = 72 * 60 * 60 * 1000
)

func (l *Line) containmentMS(tenant, channel string) int64 {
	t, _ := l.tenant(tenant)
	if w, ok := t.ContainmentMS[channel]; ok {
		return w
	}
	if channel == "email" {
		return containmentEmailMS
	}
	if w, ok := t.ContainmentMS["default"]; ok {
		return w
	}
	return containmentMS
}

func blank(text []byte) bool {
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}
