package conversation

import (
	"github.com/dchest/siphash"

	"usher/pipeline/event"
)

// windowLen is CONTRACT's window: the conversation's last 16 events in their order.
const windowLen = 16

// kind is what an event does to a conversation: type, actor and the marks of a message together.
type kind uint8

// The kinds. Inert ones do nothing but keep their place in the window and its order.
const (
	kindOther kind = iota
	kindOpen
	kindCustomer
	kindCustomerInert // automated or private
	kindStatus        // sub: event.StatusTo but closed
	kindContact
	kindOffered
	kindAccepted
	kindDeclined
	kindBotReply
	kindBotFallback
	kindBotGreeting
	kindBotInert
	kindEscalate
	kindAssign
	kindTransfer
	kindAgentReply
	kindAgentInert
	kindSessionEnd // sub 1: left or timeout, which judge
	kindClose      // sub: event.Resolution
	kindMerge
	kindVoid
	kindCSAT    // sub 1: asked; arg: the rating's tuple, 0 = none
	kindOutcome // sub: event.OutcomeKind
	kindNote
	kindCount
)

// ranks order events of one instant (CONTRACT section 2, Order).
var ranks = [kindCount]uint8{
	kindOpen: 0, kindCustomer: 1, kindCustomerInert: 1,
	kindOther: 2, kindStatus: 2, kindContact: 2, kindOffered: 2, kindAccepted: 2, kindDeclined: 2,
	kindBotReply: 3, kindBotFallback: 3, kindBotGreeting: 3, kindBotInert: 3,
	kindEscalate: 4, kindAssign: 5, kindTransfer: 5, kindAgentReply: 6, kindAgentInert: 6,
	kindSessionEnd: 7, kindClose: 8, kindMerge: 9, kindVoid: 9,
	kindCSAT: 10, kindOutcome: 10, kindNote: 10,
}

// entry is one event of a window. Its tuples are frozen with it, so that a row that is withdrawn
// years later equals what was written although names, roles or models were reloaded since.
type entry struct {
	head  uint64 // time 42 bits | kind 6 | flags 16
	id    uint64 // hash of the event id
	where uint64 // source offset 40 bits | dimensions 24 (tuple: see dims)
	actor uint32 // tuple: id, team, role rank
	arg   uint32 // by kind: target or decision or rating (tuples), intent or reason (words)
}

// Bits of an entry's flags.
const (
	flagActorMask = 7      // event.ActorKind
	flagSeq       = 1 << 3 // carries a seq
	flagExecuted  = 1 << 4 // its decision was executed
	flagForced    = 1 << 5 // a rule forced an escalation on it
	flagDisclosed = 1 << 6
	flagHuman     = 1 << 7  // escalate: reason asked_human
	flagSubShift  = 8       // 4 bits
	flagOwner     = 1 << 12 // its customer is the slot's
	flagKnown     = 1<<13 - 1
)

const (
	timeBits   = 42
	offsetBits = 40
	dimsBits   = 24
)

func (e *entry) time() int64               { return int64(e.head >> 22) }
func (e *entry) kind() kind                { return kind(e.head >> 16 & 63) }
func (e *entry) has(flag uint64) bool      { return e.head&flag != 0 }
func (e *entry) sub() uint8                { return uint8(e.head >> flagSubShift & 15) }
func (e *entry) by() event.ActorKind       { return event.ActorKind(e.head & flagActorMask) }
func (e *entry) offset() int64             { return int64(e.where >> dimsBits) }
func (e *entry) dims() uint32              { return uint32(e.where & (1<<dimsBits - 1)) }
func packWhere(off int64, d uint32) uint64 { return uint64(off)<<dimsBits | uint64(d) }

func packHead(timeMS int64, k kind, flags uint64) uint64 {
	return uint64(timeMS)<<22 | uint64(k)<<16 | flags
}

// before is the order by time: (time, rank, hash of id). The offset only makes it total.
func (e *entry) before(o *entry) bool {
	if a, b := e.time(), o.time(); a != b {
		return a < b
	}
	if a, b := ranks[e.kind()], ranks[o.kind()]; a != b {
		return a < b
	}
	if e.id != o.id {
		return e.id < o.id
	}
	return e.offset() < o.offset()
}

// idHash is the hash that breaks ties and finds duplicates. Its key is fixed: the order must be the
// same in every process, and a producer that crafts collisions spoils only its own conversation.
func idHash(id []byte) uint64 {
	return siphash.Hash(0x75736865722e6964, 0x636f6e7665727361, id)
}

// classify says what ev does; ok is false for events that have no place in the window.
func classify(ev *event.Event) (k kind, sub uint8, ok bool) {
	switch ev.Type {
	case event.TypeMessage, event.TypeBotAnswer:
		return classifyMessage(ev), 0, true
	case event.TypeOpen, event.TypeReopen:
		return kindOpen, 0, true
	case event.TypeClose:
		return kindClose, uint8(ev.Resolution), true
	case event.TypeStatus:
		if ev.Status.To == event.StatusClosed {
			return kindClose, uint8(event.ResolutionNone), true
		}
		return kindStatus, uint8(ev.Status.To), true
	case event.TypeSessionEnd:
		if r := string(ev.Reason); r == "left" || r == "timeout" {
			sub = 1
		}
		return kindSessionEnd, sub, true
	case event.TypeCSAT:
		if ev.CSAT.Asked {
			sub = 1
		}
		return kindCSAT, sub, true
	case event.TypeOutcome:
		return kindOutcome, uint8(ev.Outcome.Kind), true
	}
	k = plainKinds[min(int(ev.Type), len(plainKinds)-1)]
	return k - 1, 0, k != 0
}

// plainKinds are the types that need no look at their payload, kind + 1; 0 = not in the window.
var plainKinds = [event.TypeVoid + 2]kind{
	event.TypeAssign:          kindAssign + 1,
	event.TypeTransfer:        kindTransfer + 1,
	event.TypeEscalate:        kindEscalate + 1,
	event.TypeHandoffOffered:  kindOffered + 1,
	event.TypeHandoffAccepted: kindAccepted + 1,
	event.TypeHandoffDeclined: kindDeclined + 1,
	event.TypeContactProvided: kindContact + 1,
	event.TypeNote:            kindNote + 1,
	event.TypeLink:            kindOther + 1,
	event.TypeMerge:           kindMerge + 1,
	event.TypeVoid:            kindVoid + 1,
}

// classifyMessage: a bot_answer is a bot's whoever sent it; an echo (sent from the vendor's own
// app) is a person's, whatever the connector called its actor, unless it is the customer's.
func classifyMessage(ev *event.Event) kind {
	who := ev.Actor.Kind
	if ev.Type == event.TypeBotAnswer {
		who = event.ActorBot
	}
	if ev.Message.Echo && who != event.ActorCustomer {
		who = event.ActorAgent
	}
	inert := !ev.Message.Public || ev.Message.Automated
	switch {
	case who == event.ActorCustomer && inert:
		return kindCustomerInert
	case who == event.ActorCustomer:
		return kindCustomer
	case who == event.ActorAgent && inert:
		return kindAgentInert
	case who == event.ActorAgent:
		return kindAgentReply
	case who != event.ActorBot:
		return kindOther
	case inert:
		return kindBotInert
	case ev.Message.Greeting:
		return kindBotGreeting
	case ev.Message.Fallback:
		return kindBotFallback
	}
	return kindBotReply
}
