package conversation

import (
	"math"
	"slices"

	"usher/pipeline/event"
)

// memo remembers the latest value of a field: neighbours in a topic often share it.
type memo struct {
	bytes [memoFields][]byte
	ids   [memoFields]uint32
}

const (
	memoTenant = iota
	memoActor
	memoTeam
	memoFields
)

func (m *memo) word(w *words, field int, b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	if string(m.bytes[field]) == string(b) {
		return m.ids[field]
	}
	m.bytes[field] = append(m.bytes[field][:0], b...)
	m.ids[field] = w.number(b)
	return m.ids[field]
}

// fill sets what an entry keeps of ev beside time, kind and id; flags go to head, without its time.
func (t *Table) fill(in *Input, k kind, e *entry) {
	ev := in.Event
	w := &t.words
	customer := in.CustomerKey
	if t.owns(customer) {
		customer = nil
		e.head |= flagOwner
	}
	e.where = uint64(t.dims.number(w, &t.tuples, &[6][]byte{
		dimChannel: ev.Channel, dimLang: ev.Lang, dimRegion: ev.Region,
		dimInbox: ev.Inbox, dimSource: ev.Source, dimCustomer: customer,
	}))
	actor := tuple{actorCalendar: t.calendarNow(t.cur.tenant), actorPolicies: t.policiesNow}
	if ev.Actor.Kind != event.ActorCustomer {
		actor[actorID] = t.memo.word(w, memoActor, ev.Actor.ID)
		actor[actorTeam] = t.memo.word(w, memoTeam, ev.Actor.Team)
		actor[actorRank] = t.rank(ev.Actor.Role)
	}
	e.actor = t.tuples.number(actor)
	switch k {
	case kindBotReply, kindBotFallback, kindBotGreeting:
		e.arg = w.number(ev.Message.Intent)
		if ev.AIDisclosed {
			e.head |= flagDisclosed
		}
	case kindVoid:
		e.arg = w.number(ev.Reason)
	case kindAssign, kindTransfer, kindEscalate:
		e.arg = t.target(ev)
		if k == kindEscalate && string(ev.Reason) == "asked_human" {
			e.head |= flagHuman
		}
	case kindCSAT:
		if ev.CSAT.HasScore {
			e.arg = t.tuples.number(rating(ev.CSAT.Score, ev.CSAT.Scale))
		}
	}
}

// owns reports whether customer is the conversation's own: its first, which becomes it. Others are
// rare and lie with the dimensions, which would be new for every conversation otherwise.
func (t *Table) owns(customer []byte) bool {
	c := &t.cur
	if len(customer) == 0 {
		return false
	}
	sum := t.dims.sum(customer)
	if c.owner == 0 {
		c.owner, c.ownerSum = t.words.number(customer), sum
	}
	return c.owner != 0 && c.ownerSum == sum
}

func (t *Table) target(ev *event.Event) uint32 {
	w, m := &t.words, &ev.Move
	queue := m.To.Queue
	if len(queue) == 0 && ev.Type == event.TypeEscalate {
		queue = m.Queue
	}
	if len(queue) == 0 {
		queue = m.To.Team
	}
	to := tuple{
		toAgent: w.number(m.To.Agent), toTeam: w.number(m.To.Team), toQueue: w.number(queue),
		moveReason: w.number(ev.Reason), fromQueue: w.number(m.From.Queue),
		moveRanks: t.rank(m.To.Role) | t.rank(m.From.Role)<<8,
	}
	if !m.To.Empty() || ev.Type == event.TypeEscalate && len(m.Queue) > 0 {
		to[moveRanks] |= moveNames
	}
	return t.tuples.number(to)
}

// rank is 1 + the place of role among the tenant's roles, 0 when it is none of them.
func (t *Table) rank(role []byte) uint32 {
	if len(role) == 0 {
		return 0
	}
	roles, ok := t.roles[t.cur.tenant]
	if !ok {
		if roles, ok = t.cfg.Roles[t.words.str(t.cur.tenant)]; !ok {
			roles = t.cfg.Roles["default"]
		}
		t.roles[t.cur.tenant] = roles
	}
	at := slices.IndexFunc(roles, func(r string) bool { return r == string(role) })
	return uint32(min(at+1, math.MaxUint8))
}

// rating packs score and scale exactly; one that is absent from the event is a scale of 5.
func rating(score, scale float64) tuple {
	if scale == 0 {
		scale = 5
	}
	a, b := math.Float64bits(score), math.Float64bits(scale)
	return tuple{
		scoreHigh: uint32(a >> 32), scoreLow: uint32(a),
		scaleHigh: uint32(b >> 32), scaleLow: uint32(b),
	}
}

func ratingOf(r tuple) (score, scale float64) {
	return math.Float64frombits(uint64(r[scoreHigh])<<32 | uint64(r[scoreLow])),
		math.Float64frombits(uint64(r[scaleHigh])<<32 | uint64(r[scaleLow]))
}
