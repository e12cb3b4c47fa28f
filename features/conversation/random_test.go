package conversation

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"usher/pipeline/event"
)

// randomConversation is a log in its order, with every type of event.
type randomConversation struct {
	id  string
	key Key
	log []*refEvent // offset is set on arrival
}

// mode of the seq column.
const (
	seqNone = iota
	seqAll
	seqSome
)

var (
	randomAgents  = []string{"ag1", "ag2", "ag3", ""}
	randomTeams   = []string{"", "", "support", "tier2"}
	randomQueues  = []string{"", "", "front", "back"}
	randomReasons = []string{"no_knowledge", "asked_human", "policy", ""}
)

var randomSteps = []int64{0, 1, 1000, 60_000, 600_000, 7_200_000, 40 * 86_400_000} // ms

func pick(r *rand.Rand, from ...string) []byte { return []byte(from[r.IntN(len(from))]) }

// newRandomConversation draws up to 60 events. Times grow, often by nothing; with seq on all events
// clocks are off by minutes, so that replies precede their questions.
func newRandomConversation(r *rand.Rand, n int) *randomConversation {
	c := &randomConversation{id: fmt.Sprintf("c%d", n)}
	binary.LittleEndian.PutUint64(c.key[:], r.Uint64())
	binary.LittleEndian.PutUint64(c.key[8:], r.Uint64())
	mode, count := r.IntN(3), 1+r.IntN(16)
	if r.IntN(2) == 0 {
		count += r.IntN(45)
	}
	now := int64(1_790_000_000_000) + r.Int64N(1e9)
	seq := r.Int64N(1000) - 500
	for i := range count {
		now += randomSteps[min(r.IntN(9), r.IntN(len(randomSteps)))]
		seq += 1 + r.Int64N(5)
		e := &refEvent{at: now, ev: randomEvent(r)}
		if mode != seqNone {
			e.at += r.Int64N(600_000) - 300_000
		}
		e.ev.TimeMS = e.at
		if r.IntN(40) == 0 {
			e.ev.TimeMS += 1 + r.Int64N(1e6) // ahead of the worker's clock, which reads e.at
		}
		if mode == seqAll || mode == seqSome && r.IntN(3) > 0 {
			e.ev.Seq, e.ev.HasSeq = seq, true
		}
		e.ev.ID = fmt.Appendf(nil, "%s-%d", c.id, i)
		if r.IntN(3) == 0 {
			e.cust = string(pick(r, "k1", "k2"))
		}
		c.log = append(c.log, e)
	}
	c.settleSeqs(mode)
	return c
}

// settleSeqs: where only some events carry a seq, it agrees with the order by time, because what
// has left the window was ordered by what was known then.
func (c *randomConversation) settleSeqs(mode int) {
	if mode == seqAll || mode == seqSome && len(c.log) <= windowLen && len(c.log)%2 == 0 {
		return // what stays in the window may disagree: the first event without turns it over
	}
	slices.SortStableFunc(c.log, func(a, b *refEvent) int {
		x := []*refEvent{a, b}
		seqs := []int64{a.ev.Seq, b.ev.Seq}
		has := []bool{a.ev.HasSeq, b.ev.HasSeq}
		a.ev.HasSeq, b.ev.HasSeq = false, false
		refSort(x)
		a.ev.HasSeq, b.ev.HasSeq, a.ev.Seq, b.ev.Seq = has[0], has[1], seqs[0], seqs[1]
		if x[0] == a {
			return -1
		}
		return 1
	})
	for i, e := range c.log {
		e.ev.Seq = int64(i)
	}
}

func randomEvent(r *rand.Rand) event.Event {
	types := []event.Type{
		event.TypeMessage, event.TypeMessage, event.TypeMessage, event.TypeMessage,
		event.TypeMessage, event.TypeMessage, event.TypeBotAnswer, event.TypeBotAnswer,
		event.TypeEscalate, event.TypeAssign, event.TypeTransfer, event.TypeClose, event.TypeStatus,
		event.TypeStatus, event.TypeSessionEnd, event.TypeCSAT, event.TypeOutcome,
		event.TypeHandoffOffered, event.TypeHandoffAccepted, event.TypeHandoffDeclined,
		event.TypeContactProvided, event.TypeOpen, event.TypeReopen, event.TypeNote, event.TypeLink,
		event.TypeMerge, event.TypeVoid, event.TypeReaction, event.TypeEdit, event.TypeDelete,
		event.TypeRead, event.TypeFeedback, event.TypeLabel, event.Unknown,
	}
	ev := event.Event{Type: types[r.IntN(len(types))], Tenant: []byte("t")}
	if rare := ev.Type == event.TypeVoid || ev.Type == event.TypeMerge; rare && r.IntN(3) > 0 {
		ev.Type = event.TypeClose
	}
	if r.IntN(3) == 0 {
		ev.Channel, ev.Lang = pick(r, "", "web", "whatsapp"), pick(r, "", "lv", "ru")
		ev.Region, ev.Source = pick(r, "", "LV"), pick(r, "", "s1", "s2")
		ev.Inbox = pick(r, "", "", "front")
	}
	randomActor(r, &ev)
	randomPayload(r, &ev)
	return ev
}

func randomActor(r *rand.Rand, ev *event.Event) {
	kinds := []event.ActorKind{event.ActorCustomer, event.ActorCustomer, event.ActorAgent,
		event.ActorAgent, event.ActorBot, event.ActorBot, event.ActorSystem}
	ev.Actor.Kind = kinds[r.IntN(len(kinds))]
	if ev.Type == event.TypeBotAnswer {
		ev.Actor.Kind = event.ActorBot
	}
	switch ev.Actor.Kind {
	case event.ActorAgent:
		ev.Actor.ID, ev.Actor.Team = pick(r, randomAgents...), pick(r, randomTeams...)
		ev.Actor.Role = pick(r, "", "consultant", "senior", "other")
	case event.ActorBot:
		ev.Actor.ID = pick(r, "bot1", "")
	case event.ActorCustomer:
		ev.Actor.ID, ev.Actor.Team = []byte("secret"), []byte("secret")
	}
}

func randomPayload(r *rand.Rand, ev *event.Event) {
	rarely := func() bool { return r.IntN(8) == 0 }
	switch ev.Type {
	case event.TypeMessage, event.TypeBotAnswer:
		ev.Message.Public, ev.Message.Automated, ev.Message.Echo = !rarely(), rarely(), rarely()
		if ev.Type == event.TypeBotAnswer {
			ev.Message.Fallback, ev.Message.Greeting = r.IntN(4) == 0, r.IntN(6) == 0
			ev.Message.Intent = pick(r, "", "price", "hours")
			ev.AIDisclosed = rarely()
		}
	case event.TypeClose:
		ev.Resolution = event.Resolution(r.IntN(5))
	case event.TypeStatus:
		ev.Status.To = event.StatusTo(1 + r.IntN(5))
	case event.TypeAssign, event.TypeTransfer, event.TypeEscalate:
		ev.Move.To = event.Party{Agent: pick(r, randomAgents...), Team: pick(r, randomTeams...),
			Queue: pick(r, randomQueues...),
			Role:  pick(r, "", "", "consultant", "senior", "manager")}
		ev.Move.From = event.Party{Queue: pick(r, randomQueues...), Role: pick(r, "", "", "senior")}
		if ev.Type == event.TypeEscalate {
			ev.Move.Queue = pick(r, randomQueues...)
		}
		ev.Reason = pick(r, randomReasons...)
	case event.TypeSessionEnd:
		ev.Reason = pick(r, "left", "timeout", "moved_to_email")
	case event.TypeVoid:
		ev.Reason = pick(r, "spam", "test", "duplicate", "erasure")
	case event.TypeCSAT:
		ev.CSAT = event.CSAT{Asked: r.IntN(2) == 0, Scale: []float64{5, 10, 100}[r.IntN(3)]}
		if r.IntN(3) > 0 {
			ev.CSAT.HasScore, ev.CSAT.Score = true, float64(r.IntN(11))/2
		}
	case event.TypeOutcome:
		ev.Outcome.Kind = event.OutcomeKind(1 + r.IntN(5))
	}
}

// decisionOn is what the router would say on that message: the same at every arrival.
func decisionOn(id []byte) *Decided {
	h := idHash(id)
	return &Decided{
		Label: []string{"deal", "request", "claim", ""}[h%4], Variant: []string{"A", "B"}[h>>4%2],
		Queue: []string{"front", "auto", ""}[h>>8%3], Executed: h>>16%3 == 0,
		Escalate: h>>24%7 == 0, Priority: []string{"", "high"}[h>>32%2],
		Sentiment: Sentiment(h >> 40 % 4),
	}
}

// arrivals displaces the log by fewer than displaced events, brings some closes last of those, and
// repeats some events at most 4 arrivals later, with another time now and then.
func (c *randomConversation) arrivals(r *rand.Rand, displaced int, repeat bool) []*refEvent {
	type keyed struct {
		e   *refEvent
		key int
	}
	var ks []keyed
	for i, e := range c.log {
		late := r.IntN(displaced + 1)
		if e.ev.Type == event.TypeClose && r.IntN(2) == 0 {
			late = displaced
		}
		ks = append(ks, keyed{e, i + late})
	}
	slices.SortStableFunc(ks, func(a, b keyed) int { return a.key - b.key })
	var out []*refEvent
	for _, k := range ks {
		out = append(out, k.e)
	}
	if !repeat {
		return out
	}
	for i := len(out) - 1; i >= 0; i-- {
		if r.IntN(10) > 0 {
			continue
		}
		again := *out[i]
		again.offset = -1 // a repetition
		if r.IntN(3) == 0 && again.ev.Type != event.TypeRead {
			again.ev.TimeMS -= r.Int64N(1e6)
		}
		if again.ev.HasSeq && r.IntN(3) == 0 {
			again.ev.ID = append([]byte("again-"), again.ev.ID...) // the seq gives it away
		}
		out = slices.Insert(out, min(len(out), i+1+r.IntN(4)), &again)
	}
	return out
}
