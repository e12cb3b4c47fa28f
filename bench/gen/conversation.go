package gen

import "strconv"

// kind is what a step becomes; several kinds are events of type message.
type kind uint8

const (
	stepCustomer kind = iota // a = label
	stepCustomerMore
	stepCustomerBye
	stepCustomerHuman // asks for a person
	stepCustomerMedia // no text
	stepAgent
	stepAgentOffer
	stepAgentEcho
	stepAgentAuto
	stepAgentPrivate
	stepBotGreeting
	stepBotAnswer
	stepBotMessage
	stepBotFallback
	stepSystem
	stepOpen
	stepReopen
	stepClose // a = resolution
	stepResolve
	stepStatus // a = statusTo
	stepAssign
	stepTransfer
	stepBotTransfer
	stepEscalate // a = reason
	stepOffered
	stepAccepted
	stepDeclined
	stepContact
	stepSessionEnd // a = reason
	stepNote
	stepReaction
	stepEdit
	stepDelete
	stepRead
	stepCSAT    // value = score, 0 = asked only
	stepOutcome // a = outcome kind, value = amount in cents
	stepFeedback
	stepLabel // a = label
	stepAgentStatus
	stepLink
	stepMerge
	stepVoid
	stepUnknownType
	stepKinds
)

// Closed sets, in the order that steps refer to them.
var (
	resolutionNames = [...]string{"", "confirmed", "assumed", "unresolved", "spam"}
	statusNames     = [...]string{"open", "pending", "hold", "snoozed", "closed"}
	reasonNames     = [...]string{"no_knowledge", "low_confidence", "asked_human", "policy", "error"}
	endNames        = [...]string{"left", "timeout", "moved_to_email"}
	outcomeNames    = [...]string{"booking", "sale", "lead", "refund", "none"}
	presenceNames   = [...]string{"online", "away", "offline"}
	voidNames       = [...]string{"spam", "test", "duplicate", "erasure"}
)

const (
	resolutionAbsent uint8 = iota
	resolutionConfirmed
	resolutionAssumed
	resolutionUnresolved
	resolutionSpam
)

const (
	statusOpen uint8 = iota
	statusPending
	statusHold
	statusSnoozed
	statusClosed
)

const (
	reasonNoKnowledge uint8 = iota
	reasonLowConfidence
	reasonAskedHuman
)

const (
	endLeft uint8 = iota
	endTimeout
	endMoved
)

const (
	outcomeBooking uint8 = iota
	outcomeSale
	outcomeLead
	outcomeRefund
	outcomeNone
)

// step is one event to come. Rendering is a pure function of conversation and step, so a duplicate
// is byte for byte the same.
type step struct {
	atMS   int64  // as its writer's clock says
	emitMS int64  // when it is sent
	vary   uint64 // seeds whatever rendering chooses
	value  int32
	ord    uint16 // place in the true order: gives id and seq
	ref    uint16 // ord of the event it points at
	kind   kind
	a      uint8
	flags  stepFlags
}

type stepFlags uint8

const (
	flagDuplicate stepFlags = 1 << iota
	flagDisplaced
	flagFarLate
	flagSkewed
	flagSecond // by the agent who took over
	flagSystem // by the system, where otherwise an agent acts
)

// conversation is an open conversation: who, where, and the steps to come. Its slices are reused by
// the next one in the slot.
type conversation struct {
	seed    uint64
	tenant  *tenant
	steps   []step
	next    int
	id      []byte // conversation id; an agent's for agent_status
	common  []byte // the members that every event of it carries
	startMS int64
	number  uint64 // of the conversation, for customer and order numbers
	visit   uint16
	agent   int
	second  int // who takes over after a transfer
	lang    uint8
	line    uint8
	queue   uint8
	label   Label
	roster  bool
}

// reset makes c the conversation that begins at b.
func (c *conversation) reset(cfg *Config, tenants []tenant, b begin) {
	t := &tenants[b.tenant]
	seed := mix(cfg.Seed+0x51ed) ^ mix(b.ordinal+1)
	if b.agent >= 0 {
		seed ^= mix(uint64(b.atMS))
	}
	r := rng(seed)
	*c = conversation{seed: r.next(), tenant: t, steps: c.steps[:0], id: c.id[:0],
		common: c.common[:0], startMS: b.atMS, number: b.ordinal, visit: cfg.Visit,
		agent: r.below(t.agents)}
	c.second = (c.agent + 1 + r.below(max(t.agents-1, 1))) % t.agents
	c.lang = uint8(r.pick(t.langs[:]))
	c.line = uint8(c.pickLine(&r))
	c.queue = uint8(r.below(len(t.queues)))
	c.label = Label(1 + r.pick([]int{38, 40, 22}))
	if b.agent >= 0 {
		c.agent = b.agent
		c.id = appendAgent(c.id, t, b.agent)
		c.common = append(append(append(c.common, `,"tenant":"`...), t.name...), '"')
		return
	}
	c.id = c.appendID(c.id, &r)
	c.common = append(append(append(c.common, `,"conversation_id":"`...), c.id...), '"')
	c.common = append(append(append(c.common, `,"tenant":"`...), t.name...), '"')
	c.common = append(append(append(c.common, `,"channel":"`...), t.lines[c.line].channel...), '"')
	if t.lines[c.line].voice {
		c.common = append(c.common, `,"modality":"voice"`...)
	}
	c.common = append(append(append(c.common, `,"lang":"`...), languages[c.lang]...), '"')
}

func (c *conversation) pickLine(r *rng) int {
	at := r.below(100)
	for i, l := range c.tenant.lines {
		if at -= l.share; at < 0 {
			return i
		}
	}
	return len(c.tenant.lines) - 1
}

// appendID writes the conversation id: unique by the ordinal, unguessable looking by the tail. Some
// messengers use the customer's phone number; those ids must never leave usher as they are.
func (c *conversation) appendID(dst []byte, r *rng) []byte {
	if c.tenant.phoneIDs && c.tenant.lines[c.line].channel == "whatsapp" && r.chance(300) {
		dst = append(dst, "+3712"...)
		for unit := uint64(1_000_000); unit > 1 && c.number < unit; unit /= 10 {
			dst = append(dst, '0')
		}
		return strconv.AppendUint(dst, c.number, 10)
	}
	dst = append(dst, "c-"...)
	dst = strconv.AppendUint(dst, c.number, 36)
	dst = append(dst, '-')
	return appendBase32(dst, r.next(), 8)
}

func appendAgent(dst []byte, t *tenant, agent int) []byte {
	dst = append(append(dst, t.name...), "-a"...)
	return strconv.AppendInt(dst, int64(agent)+1, 10)
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func appendBase32(dst []byte, bits uint64, digits int) []byte {
	for range digits {
		dst = append(dst, crockford[bits&31])
		bits >>= 5
	}
	return dst
}
