package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/calendar"
	"usher/features/conversation"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// Sizes of a world with SLA policies.
const (
	PoliciesPerWorld = 5
	talksPerWorld    = 24
	saidMost         = 14      // fewer than the window of CONTRACT, so that arrival does not matter
	talkUntilMS      = 200_000 // after the start
	sentAfterMS      = 10_000  // more than clocks are apart: no event is dated ahead of a router
	lateMS           = 90_000
	// dueUntilMS is until when every promise must have ended that is due by then.
	dueUntilMS = startMS + 420_000
)

// Targets end in 5 and times of events in 0, so that nothing is due at the instant of an event, where
// the order of the two would be a matter of taste.
const (
	targetLeastMS = 5_005
	targetMostMS  = 180_005
	eventGridMS   = 10
)

var (
	promiseTenants  = []string{"north", "south", "east"}
	promiseChannels = []string{"web", "email"}
	promiseZones    = []string{"UTC", "Europe/Riga", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"}
)

// promises are a world's policies, its calendars, and what must become of every promise.
type promises struct {
	policies []conversation.Policy
	hours    map[string]*hours // by tenant
	talks    []talk
	want     map[promised]outcome
}

// newPromises draws policies, calendars and talks, and computes what must become of them.
func newPromises(seed uint64) *promises {
	r := rand.New(rand.NewPCG(seed, 55))
	p := &promises{hours: make(map[string]*hours), want: make(map[promised]outcome)}
	for i := range PoliciesPerWorld {
		p.policies = append(p.policies, drawPolicy(r, i))
	}
	for _, tenant := range promiseTenants {
		if r.IntN(4) > 0 {
			p.hours[tenant] = drawHours(r)
		}
	}
	for i := range talksPerWorld {
		p.talks = append(p.talks, drawTalk(r, i))
		for _, c := range clocksOf(&p.talks[i], p.policies) {
			p.want[c.about] = c.outcome(p.hours[c.about.tenant])
		}
	}
	return p
}

// drawPolicy makes policies that overlap; the last fits all that is left.
func drawPolicy(r *rand.Rand, i int) conversation.Policy {
	p := conversation.Policy{
		Name: fmt.Sprint("policy-", i), Business: r.IntN(2) == 0, DueSoon: []float64{0, 0.5, 0.8}[r.IntN(3)],
	}
	if i < PoliciesPerWorld-1 {
		p.Tenants = []string{promiseTenants[r.IntN(len(promiseTenants))]}
		if r.IntN(2) == 0 {
			p.Channels = []string{promiseChannels[r.IntN(len(promiseChannels))]}
		}
	}
	for m := range p.TargetMS {
		if r.IntN(4) > 0 {
			p.TargetMS[m] = targetLeastMS + r.Int64N((targetMostMS-targetLeastMS)/100)*100
		}
	}
	return p
}

// drawHours makes hours that open and close every few minutes around the time of the world.
func drawHours(r *rand.Rand) *hours {
	h := &hours{def: calendar.Definition{Zone: promiseZones[r.IntN(len(promiseZones))]}}
	var err error
	if h.zone, err = time.LoadLocation(h.def.Zone); err != nil {
		panic("BUG: " + err.Error())
	}
	byDate, open := r.IntN(2) == 0, r.IntN(2) == 0
	if byDate {
		h.def.Dates = make(map[string][]calendar.Span)
	}
	for minute := range 60 {
		if open = open != (r.IntN(3) == 0); !open {
			continue
		}
		t := time.UnixMilli(startMS).Add(time.Duration(minute-10) * time.Minute).In(h.zone)
		from := t.Hour()*60 + t.Minute()
		span := calendar.Span{FromMin: from, ToMin: from + 1}
		if byDate {
			date := t.Format(time.DateOnly)
			h.def.Dates[date] = grow(h.def.Dates[date], span)
			continue
		}
		day := (int(t.Weekday()) + 6) % 7
		h.def.Week[day] = grow(h.def.Week[day], span)
	}
	return h
}

// grow adds a span that may continue the last one.
func grow(spans []calendar.Span, s calendar.Span) []calendar.Span {
	if n := len(spans); n > 0 && spans[n-1].ToMin == s.FromMin {
		spans[n-1].ToMin = s.ToMin
		return spans
	}
	return append(spans, s)
}

func drawTalk(r *rand.Rand, i int) talk {
	t := talk{
		tenant: promiseTenants[r.IntN(len(promiseTenants))], id: fmt.Sprint("talk-", i),
		channel: promiseChannels[r.IntN(len(promiseChannels))],
	}
	at := startMS - 60_000 + r.Int64N(120_000)/eventGridMS*eventGridMS
	for n := 1 + r.IntN(saidMost); n > 0 && at < startMS+talkUntilMS; n-- {
		s := said{atMS: at, sentMS: max(at, startMS) + sentAfterMS + r.Int64N(500)}
		// Mostly questions and answers, or little would be promised.
		if s.what = saying(r.IntN(int(sayings))); r.IntN(2) == 0 {
			s.what = saying(r.IntN(2))
		}
		if r.IntN(8) == 0 {
			s.sentMS += r.Int64N(lateMS)
		}
		t.said = append(t.said, s)
		at += eventGridMS * (1 + r.Int64N(3_000)*r.Int64N(3))
	}
	return t
}

// state is what a router's tables know of policies and calendars; nothing in a world without.
func (p *promises) state() conversation.Config {
	if p == nil {
		return conversation.Config{}
	}
	state := conversation.Config{Policies: p.policies, Calendars: map[string]*calendar.Calendar{}}
	for tenant, h := range p.hours {
		c, err := calendar.New(h.zone, h.def)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		state.Calendars[tenant] = c
	}
	return state
}

// play publishes the talks as they are sent.
func (p *promises) play(w *World) {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for i := range p.talks {
		t := &p.talks[i]
		for n := range t.said {
			rec := &kgo.Record{Key: []byte(t.id), Value: t.record(n)}
			at := place{eventsTopic, int32(partitioner.Partition(rec, inputPartitions))}
			w.input.total++
			w.after(t.said[n].sentMS-startMS, func() {
				rec.Timestamp = time.UnixMilli(w.nowMS)
				w.broker.log(at).append(0, []*kgo.Record{rec})
			})
		}
	}
}

func (t *talk) record(n int) []byte {
	s := t.said[n]
	kind, more := "message", ""
	switch s.what {
	case asks:
		more = `,"actor":{"kind":"customer"},"message":{"text":"when?"}`
	case replies:
		more = `,"actor":{"kind":"agent","id":"a"},"message":{"text":"soon"}`
	case botReplies:
		more = `,"actor":{"kind":"bot","id":"b"},"message":{"text":"soon"}`
	case pending, snoozed, opened:
		kind = "status"
		more = fmt.Sprintf(`,"status":{"to":%q}`, [...]string{"pending", "snoozed", "open"}[s.what-pending])
	case closed:
		kind = "close"
	}
	return fmt.Appendf(nil, `{"v":1,"id":"%s-%d","type":%q,"time":%d,"conversation_id":%q,"tenant":%q,`+
		`"channel":%q%s}`, t.id, n, kind, s.atMS, t.id, t.tenant, t.channel, more)
}

// lastSentMS is when the last event of all is published.
func (p *promises) lastSentMS() (last int64) {
	for i := range p.talks {
		for _, s := range p.talks[i].said {
			last = max(last, s.sentMS)
		}
	}
	return last
}

// slaMessage is what a reader of chat.sla.v1 makes of a record.
type slaMessage struct {
	ID, Tenant, Policy, Metric, Status string
	ConversationID                     string `json:"conversation_id"`
	Cycle, Turn, Revision              int64
	Sign                               int
	At                                 time.Time
}

func (m *slaMessage) about() promised {
	return promised{m.Tenant, m.ConversationID, m.Cycle, m.Turn, m.Metric}
}

const dueSoon = "due_soon"

// heard is what the topic says: of each promise the record with the highest revision counts, of its
// end and of its warning.
func (p *promises) heard(w *World) (ends, warnings map[promised]*slaMessage) {
	ends, warnings = make(map[promised]*slaMessage), make(map[promised]*slaMessage)
	ids := make(map[string]bool)
	l := w.broker.log(place{topics.SLA, 0})
	for i := range l.entries {
		e := &l.entries[i]
		if e.control || e.fate != committed {
			continue
		}
		m := &slaMessage{}
		if err := json.Unmarshal(e.rec.Value, m); err != nil {
			panic("BUG: " + err.Error())
		}
		if ids[m.ID] {
			w.fail("the SLA record %s was sent twice: %s", m.ID, e.rec.Value)
		}
		ids[m.ID] = true
		said := ends
		if m.Status == dueSoon {
			said = warnings
		}
		if old := said[m.about()]; old == nil || m.Revision >= old.Revision {
			said[m.about()] = m
		}
	}
	return ends, warnings
}

// missing says which promise should have ended by now and has not, "" when none.
func (p *promises) missing(w *World) string {
	if w.nowMS < dueUntilMS {
		return "not everything is due yet"
	}
	ends, warnings := p.heard(w)
	for about, want := range p.want {
		if want.status != "" && want.atMS <= dueUntilMS && ends[about] == nil {
			return fmt.Sprintf("%v was %s at %d and nobody was told", about, want.status, want.atMS-startMS)
		}
		if want.soonMS != 0 && want.soonMS <= dueUntilMS && warnings[about] == nil {
			return fmt.Sprintf("%v was due soon at %d and nobody was told", about, want.soonMS-startMS)
		}
	}
	return ""
}

// check holds topic and table to what must have become of each promise.
func (p *promises) check(w *World) {
	ends, warnings := p.heard(w)
	table := p.stored(w)
	for _, about := range p.all(ends, warnings) {
		want := p.want[about]
		hold(w, about, want, ends[about])
		want.status, want.atMS = dueSoon, want.soonMS
		hold(w, about, want, warnings[about])
	}
	for fact, n := range table {
		if n != 1 {
			w.fail("sla_events says %d times: %v", n, fact)
		}
	}
	for said, messages := range map[string]map[promised]*slaMessage{"end": ends, "warning": warnings} {
		for about, m := range messages {
			if m.Sign > 0 && table[slaFact{about, m.Status, m.At.UnixMilli()}] != 1 {
				w.fail("the %s of %v is in chat.sla.v1 and not in sla_events: %s", said, about, m.Status)
			}
			if m.Sign > 0 {
				delete(table, slaFact{about, m.Status, m.At.UnixMilli()})
			}
		}
	}
	for fact := range table {
		w.fail("sla_events says what chat.sla.v1 does not: %v", fact)
	}
}

// all are the promises that were made or told of, in an order.
func (p *promises) all(told ...map[promised]*slaMessage) []promised {
	seen := make(map[promised]bool)
	for about := range p.want {
		seen[about] = true
	}
	for _, messages := range told {
		for about := range messages {
			seen[about] = true
		}
	}
	var out []promised
	for about := range seen {
		out = append(out, about)
	}
	slices.SortFunc(out, func(a, b promised) int { return slices.Compare([]byte(a.String()), []byte(b.String())) })
	return out
}

// hold compares one end or warning. What is due only after dueUntilMS may have come or not.
func hold(w *World, about promised, want outcome, m *slaMessage) {
	must := want.atMS != 0 && want.status != "" && want.atMS <= dueUntilMS
	switch {
	case m == nil || m.Sign < 0:
		if must {
			w.fail("%v was %s at %d, and nobody was told", about, want.status, want.atMS-startMS)
		}
	case want.atMS == 0 || m.Status != want.status || m.At.UnixMilli() != want.atMS || m.Policy != want.policy:
		w.fail("%v was %s at %d by %s, but %s at %d by %s was told", about, want.status,
			want.atMS-startMS, want.policy, m.Status, m.At.UnixMilli()-startMS, m.Policy)
	}
}

// slaFact is a row of sla_events.
type slaFact struct {
	about  promised
	status string
	atMS   int64
}

// stored are the rows that stand: each with how often, less what was taken back.
func (p *promises) stored(w *World) map[slaFact]int {
	out := make(map[slaFact]int)
	for part := range int32(rowsPartitions) {
		l := w.broker.log(place{topics.Rows, part})
		for i := range l.entries {
			e := &l.entries[i]
			if e.control || e.fate != committed {
				continue
			}
			h, err := rows.ParseHeader(e.rec.Headers)
			if err != nil {
				panic("BUG: " + err.Error())
			}
			if h.Table != schema.TableSLA {
				continue
			}
			b := w.decoder.decode(h.Table, e.rec.Value)
			for row := range b.rows {
				f := slaFact{
					promised{b.text1(row, "tenant"), b.text1(row, "conversation_id"), b.number(row, "cycle"),
						b.number(row, "turn"), b.text1(row, "metric")},
					b.text1(row, "status"), cell(b.column("at").data, row).(time.Time).UnixMilli(),
				}
				n := w.store.tables[h.Table].rows[rowID{part, e.rec.Offset, int32(row)}]
				if out[f] += n * int(b.number(row, "sign")); out[f] == 0 {
					delete(out, f)
				}
			}
		}
	}
	return out
}
