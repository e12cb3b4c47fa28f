package conversation

import "usher/pipeline/event"

// Which of a tuple's six are words.
const (
	dimsWords     = 1<<6 - 1
	targetWords   = 1<<toAgent | 1<<toTeam | 1<<toQueue | 1<<moveReason | 1<<fromQueue
	actorWords    = 1<<actorID | 1<<actorTeam | 1<<actorCalendar | 1<<actorPolicies
	decisionWords = 1<<decisionLabel | 1<<decisionVariant | 1<<decisionQueue |
		1<<decisionPrio
	ratingWords = 0
)

// conversation walks the slot and its window, which lies in w.
func (c *coder) conversation(s *slot, w *window, conv []byte) []byte {
	c.words(&s.tenant, &s.owner)
	id := c.bytes(conv)
	c.u32s(&s.revision, &s.hour)
	c.int(&s.fired)
	c.bools(&w.byTime, &s.backfill)
	n := uint8(w.n)
	c.small(&n)
	if n > windowLen {
		c.bad, n = true, 0
	}
	w.n = int(n)
	for i := range w.entries[:w.n] {
		c.entry(&w.entries[i], &w.seqs[i])
	}
	return id
}

func (c *coder) entry(e *entry, seq *int64) {
	time, k, flags := e.time(), uint8(e.kind()), uint32(e.head&0xffff)
	offset, dims := e.offset(), e.dims()
	c.int(&time)
	c.small(&k)
	c.u32(&flags)
	c.uint(&e.id)
	c.int(&offset)
	if time>>timeBits != 0 || offset>>offsetBits != 0 || flags>>16 != 0 || k >= uint8(kindCount) {
		c.bad = true
		return
	}
	c.tuple(&dims, dimsWords)
	c.tuple(&e.actor, actorWords)
	switch kind(k) {
	case kindAssign, kindTransfer, kindEscalate:
		c.tuple(&e.arg, targetWords)
	case kindCustomer:
		c.tuple(&e.arg, decisionWords)
	case kindCSAT:
		c.tuple(&e.arg, ratingWords)
	case kindBotReply, kindBotFallback, kindBotGreeting, kindVoid:
		c.word(&e.arg)
	}
	if flags&flagSeq != 0 {
		c.int(seq)
	}
	e.head, e.where = packHead(time, kind(k), uint64(flags)), packWhere(offset, dims)
}

// state walks a base; one that is still empty is a single zero.
func (c *coder) state(s *state) {
	c.u32(&s.ordinal)
	if s.ordinal == 0 {
		return
	}
	c.cycle(&s.cycle)
	c.wait(&s.any)
	c.wait(&s.human)
	c.ints(&s.pauseAt, &s.heldAt)
	for i := range s.actions {
		c.int(&s.actions[i].at)
		c.word(&s.actions[i].agent)
	}
	c.u32s(&s.turnsAny, &s.turnsHuman, &s.unanswered)
	c.words(&s.judge, &s.intent)
	c.small((*uint8)(&s.status))
	c.small(&s.role)
	c.bools(&s.pending, &s.byTransfer, &s.answered, &s.humanSpoke, &s.botFailed)
	c.escalation(&s.esc)
	c.int(&s.lastAt)
	c.word(&s.priority)
	for _, p := range s.all() {
		c.promise(p)
	}
}

func (c *coder) promise(p *promise) {
	c.bools(&p.on, &p.runs, &p.warned, &p.broken, &p.business)
	if !p.on {
		return
	}
	c.ints(&p.due, &p.soon, &p.soonDue, &p.from, &p.begun, &p.target, &p.offset)
	c.tupleFields(&p.dims, dimsWords)
	c.words(&p.label, &p.variant, &p.policy, &p.cal, &p.atSoon.team, &p.atSoon.queue,
		&p.atSoon.agent, &p.atDue.team, &p.atDue.queue, &p.atDue.agent)
	c.u32(&p.turn)
	c.small((*uint8)(&p.metric))
	c.bad = c.bad || p.metric >= metrics
}

func (c *coder) cycle(s *cycle) {
	c.ints(&s.offset, &s.prev, &s.openedAt, &s.closedAt, &s.waitSince, &s.humanSince,
		&s.firstCustomerAt, &s.firstAnyAt, &s.firstHumanAt, &s.firstAfterAt,
		&s.requesterWait, &s.requesterWaitAt, &s.paused, &s.toClose, &s.toOutcome,
		&s.firstHandoffAt, &s.firstEscalatedAt, &s.escalatedByBotAt, &s.botCycleAt,
		&s.reassignedAt, &s.flowedOutAt, &s.judgedAt, &s.abandonedAt,
		&s.contactAt, &s.askedAt, &s.askedReplyAt,
		&s.outcomeAt, &s.csatAt, &s.csatFirstAt, &s.voidAt, &s.handle, &s.active,
		&s.requesterBusiness)
	c.tupleFields(&s.dims, dimsWords)
	c.words(&s.label, &s.variant, &s.team, &s.queue, &s.inbox, &s.assignee, &s.replier, &s.closer,
		&s.firstAnyAgent, &s.firstHumanAgent, &s.firstAfterAgent, &s.voidReason, &s.cal)
	c.u32s(&s.fromCustomer, &s.fromAgent, &s.fromBot, &s.botReplies, &s.botFallbacks,
		&s.humanReplies, &s.endedWaits, &s.escalations, &s.offered, &s.accepted, &s.declined,
		&s.humanRuns, &s.reassigned)
	c.tuple(&s.csat, ratingWords)
	c.tuple(&s.csatFirst, ratingWords)
	c.small((*uint8)(&s.resolution))
	c.small((*uint8)(&s.outcome))
	c.bools(&s.open, &s.judged, &s.missed, &s.dropped, &s.moved, &s.contact, &s.disclosed,
		&s.csatAsked, &s.voided, &s.escalatedAny, &s.transferredUp)
	c.small((*uint8)(&s.mood))
	c.bad = c.bad || s.mood>>6 != 0 || s.resolution > event.ResolutionSpam || s.outcome > event.OutcomeNone
}

func (c *coder) wait(w *wait) {
	c.ints(&w.offset, &w.paused, &w.before, &w.pausedBusiness, &w.beforeBusiness)
	c.u32(&w.turn)
	c.word(&w.cal)
	c.bools(&w.held, &w.judged)
}

func (c *coder) escalation(x *escalation) {
	c.int(&x.at)
	if x.at == 0 {
		return
	}
	c.ints(&x.offset, &x.cycleOffset, &x.offered, &x.accepted, &x.declined, &x.humanReply)
	c.tupleFields(&x.dims, dimsWords)
	c.u32(&x.ordinal)
	c.words(&x.team, &x.queue, &x.agent, &x.label, &x.variant, &x.reason, &x.intent,
		&x.fromQueue, &x.toQueue, &x.toTeam, &x.toAgent, &x.cal)
	c.small((*uint8)(&x.by))
	c.bools(&x.already)
}
