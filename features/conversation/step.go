package conversation

import (
	"usher/features/calendar"
	"usher/pipeline/event"
)

// outcomeWindowMS is how long after its opening a cycle still owns an outcome (CONTRACT, Cycles).
const outcomeWindowMS = 30 * 24 * 3600 * 1000

// found collects the facts of a fold in the order in which they are settled.
type found struct {
	turns, human []turn
	escs         []escalation
	voids        []void
	slas         []promised
	cycles       []cycle
}

func (f *found) reset() {
	f.turns, f.human, f.escs = f.turns[:0], f.human[:0], f.escs[:0]
	f.voids, f.cycles, f.slas = f.voids[:0], f.cycles[:0], f.slas[:0]
}

// machine is the one place where an event changes a conversation; base, window and difference all
// go through step. It is pure but for skewed, which reports on the latest step.
type machine struct {
	tuples     *tuples
	cals       map[uint32]*calendar.Calendar // by version; 0 is missing: around the clock
	policies   map[uint32]*policySet         // by version
	tenant     uint32                        // the conversation's slot.tenant
	fired      int64                         // slot.fired
	mergeWord  uint32
	spamWord   uint32
	policyWord uint32
	normal     uint32 // the priority of what no rule has given another
	defaultQ   uint32
	idleCapMS  int64
	owner      uint32 // the conversation's slot.owner
	skewed     bool   // the latest step ended a wait that began after it
}

// step folds e into s and adds what it settled to out, which may be nil.
func (m *machine) step(s *state, e *entry, out *found) {
	m.skewed = false
	if !s.open && opens(e) {
		m.begin(s, e, out)
	}
	if !belongs(s, e) {
		return
	}
	s.lastAt = max(s.lastAt, e.time())
	m.note(s, e)
	m.act(s, e, out)
	if e.kind() == kindCustomer {
		m.decided(s, e, out)
	} else {
		m.forced(s, e, out)
	}
}

// act is what the event itself does, without what a decision on it adds.
func (m *machine) act(s *state, e *entry, out *found) {
	switch e.kind() {
	case kindCustomer:
		m.customer(s, e)
	case kindStatus:
		m.status(s, e)
	case kindContact:
		s.contact = true
		first(&s.contactAt, e.time())
	case kindOffered:
		s.offered++
		first(&s.esc.offered, e.time(), s.esc.at != 0)
	case kindAccepted:
		s.accepted++
		first(&s.esc.accepted, e.time(), s.esc.at != 0)
	case kindDeclined:
		s.declined++
		first(&s.esc.declined, e.time(), s.esc.at != 0)
	case kindBotReply, kindBotFallback, kindBotGreeting:
		m.bot(s, e, out)
	case kindEscalate, kindAssign, kindTransfer:
		m.moveOn(s, e, out)
	case kindAgentReply:
		m.agent(s, e, out)
	case kindSessionEnd:
		m.sessionEnd(s, e)
	case kindClose:
		m.close(s, e, out)
	case kindMerge:
		m.leave(s, e, m.mergeWord, out)
	case kindVoid:
		m.leave(s, e, e.arg, out)
	case kindCSAT:
		rate(s, e)
	case kindOutcome:
		outcome(s, e)
	}
}

// first sets an instant that has not come yet; with conditions only when all hold.
func first(at *int64, t int64, when ...bool) {
	for _, ok := range when {
		if !ok {
			return
		}
	}
	if *at == 0 {
		*at = t
	}
}

// opens reports whether e opens a cycle where none is open; nothing else does.
func opens(e *entry) bool {
	switch e.kind() {
	case kindCustomer, kindOpen:
		return true
	case kindStatus:
		return event.StatusTo(e.sub()) == event.StatusOpen
	}
	return false
}

// belongs reports whether e touches the latest cycle: everything while it is open, afterwards only
// public messages, which are counted, and amendments.
func belongs(s *state, e *entry) bool {
	if s.ordinal == 0 {
		return false
	}
	switch e.kind() {
	case kindOutcome:
		return e.time()-s.openedAt <= outcomeWindowMS
	case kindCSAT, kindNote, kindVoid, kindMerge:
		return true
	case kindAgentReply, kindBotReply, kindBotFallback, kindBotGreeting:
		return true
	}
	return s.open
}

// begin opens the next cycle; the one before is settled. Queue, assignee and role start anew.
func (m *machine) begin(s *state, e *entry, out *found) {
	prev := int64(-1)
	if s.ordinal > 0 {
		settleCycle(s, out)
		prev = s.offset
	}
	n := s.ordinal + 1
	*s = state{status: event.StatusOpen}
	s.offset, s.prev, s.ordinal, s.openedAt, s.open = e.offset(), prev, n, e.time(), true
	s.toClose, s.toOutcome, s.handle = -1, -1, -1
	s.cal = m.calendarOf(e)
}

func settleCycle(s *state, out *found) {
	if out == nil {
		return
	}
	if s.esc.at != 0 {
		out.escs = append(out.escs, s.esc)
	}
	out.cycles = append(out.cycles, s.cycle)
}

// note takes what every event of a cycle tells: dimensions (the first that is not empty stays) and
// that an agent acted.
func (m *machine) note(s *state, e *entry) {
	if id := e.dims(); id != s.noted {
		s.noted = id
		d := m.tuples.get(id)
		for i := range d {
			if s.dims[i] == 0 {
				s.dims[i] = d[i]
			}
		}
		if e.offset() == s.offset {
			s.inbox = d[dimInbox]
		}
	}
	if e.has(flagOwner) && s.dims[dimCustomer] == 0 {
		s.dims[dimCustomer] = m.owner
	}
	if s.open && e.by() == event.ActorAgent && e.actor != 0 {
		m.acted(s, m.tuples.get(e.actor)[actorID], e.time())
	}
}

// acted adds the gap since the same agent's action before, up to the idle cap.
func (m *machine) acted(s *state, agent uint32, t int64) {
	if agent == 0 {
		return
	}
	oldest := 0
	for i := range s.actions {
		a := &s.actions[i]
		if a.agent == agent {
			s.active += min(max(0, t-a.at), m.idleCapMS)
			a.at = t
			return
		}
		if a.at < s.actions[oldest].at {
			oldest = i
		}
	}
	s.actions[oldest] = action{at: t, agent: agent}
}

// customer: a public customer message that is not automated.
func (m *machine) customer(s *state, e *entry) {
	t := e.time()
	s.fromCustomer++
	first(&s.firstCustomerAt, t)
	if s.pauseAt != 0 {
		m.setStatus(s, event.StatusOpen, t)
	}
	m.startAny(s, e, false)
	m.startHuman(s, e)
	s.unanswered++
	s.answered, s.humanSpoke = false, false
	clearJudged(s)
}

// decided is what a decision adds to a customer message: last, so that it can follow the rest once
// the router has spoken.
func (m *machine) decided(s *state, e *entry, out *found) {
	if e.arg != 0 {
		d := m.tuples.get(e.arg)
		s.label, s.variant = d[decisionLabel], d[decisionVariant]
		s.priority = d[decisionPrio]
		s.mood = s.mood.then(Sentiment(d[decisionMood] & 3))
		if e.has(flagExecuted) && d[decisionQueue] != 0 {
			s.queue = d[decisionQueue]
		}
	}
	m.forced(s, e, out)
}

// forced begins the handoff of a rule that fired on e; an escalate or transfer is one already.
func (m *machine) forced(s *state, e *entry, out *found) {
	is := e.kind()
	if e.has(flagForced) && s.open && belongs(s, e) && is != kindEscalate && is != kindTransfer {
		m.handoff(s, e, ByRule, tuple{}, out)
	}
	m.promises(s, e)
}

func (m *machine) bot(s *state, e *entry, out *found) {
	t := e.time()
	s.fromBot++
	if !s.open || e.kind() == kindBotGreeting {
		return
	}
	first(&s.botCycleAt, t)
	if e.arg != 0 {
		s.intent = e.arg
	}
	s.botFailed = e.kind() == kindBotFallback
	if s.botFailed {
		s.botFallbacks++
		return
	}
	s.botReplies++
	s.disclosed = s.disclosed || e.has(flagDisclosed)
	m.reply(s, e)
	if !s.any.held {
		m.endAny(s, e, EndedByBot, out)
	}
}

// agent: a public message by a person, an echo too. After the end it is only counted.
func (m *machine) agent(s *state, e *entry, out *found) {
	t := e.time()
	s.fromAgent++
	who := m.tuples.get(e.actor)[actorID]
	if !s.open {
		return
	}
	s.humanReplies++
	if !s.humanSpoke {
		s.humanRuns++
	}
	s.humanSpoke = true
	m.reply(s, e)
	if s.firstCustomerAt != 0 && s.firstHumanAt == 0 {
		s.firstHumanAt, s.firstHumanAgent = t, who
	}
	if s.firstHandoffAt != 0 && s.firstAfterAt == 0 {
		s.firstAfterAt, s.firstAfterAgent = t, who
	}
	first(&s.askedReplyAt, t, s.askedAt != 0)
	m.endAny(s, e, EndedByAgent, out)
	m.endHuman(s, e, EndedByAgent, out)
	if s.pending {
		s.esc.humanReply, s.pending = t, false
		if who != 0 {
			s.esc.agent = who
		}
	}
	if who != 0 {
		s.replier = who
	}
}

// reply is what a bot's and a person's answer have in common.
func (m *machine) reply(s *state, e *entry) {
	s.answered, s.unanswered = s.firstCustomerAt != 0, 0
	if s.firstCustomerAt != 0 && s.firstAnyAt == 0 {
		s.firstAnyAt, s.firstAnyAgent = e.time(), m.tuples.get(e.actor)[actorID]
	}
	clearJudged(s)
}

func clearJudged(s *state) {
	s.judged, s.missed, s.dropped, s.judgedAt, s.judge = false, false, false, 0, 0
	s.abandonedAt = 0
	s.any.judged, s.human.judged = false, false
}

// sessionEnd judges provisionally: a close, an answer or a customer message takes it back. The
// latest one counts, but abandoned is since the first.
func (m *machine) sessionEnd(s *state, e *entry) {
	if e.sub() == 0 {
		return
	}
	waiting := s.waitSince != 0
	s.judged, s.judgedAt = true, e.time()
	s.judge = m.actorOf(e)
	s.any.judged, s.human.judged = waiting, s.humanSince != 0
	m.judgePause(s, &s.any, s.waitSince, e.time())
	m.judgePause(s, &s.human, s.humanSince, e.time())
	judge(s, waiting)
	first(&s.abandonedAt, e.time(), waiting, !s.replied())
}

// judge: missed is a cycle that ends waiting without any reply, dropped one that had a reply.
func judge(s *state, waiting bool) {
	asked := waiting && s.firstCustomerAt != 0
	s.missed, s.dropped = asked && !s.replied(), asked && s.replied()
}

func (m *machine) close(s *state, e *entry, out *found) {
	s.resolution = event.Resolution(e.sub())
	if s.resolution == event.ResolutionNone {
		s.resolution = event.ResolutionUnresolved
		if s.answered && s.waitSince == 0 {
			s.resolution = event.ResolutionAssumed
		}
	}
	m.finish(s, e, SLAMet, out)
	if s.resolution == event.ResolutionSpam {
		m.voidCycle(s, e, m.spamWord, out)
	}
}

// leave takes the latest cycle out of every KPI (void, merge) and ends it when it is open.
func (m *machine) leave(s *state, e *entry, reason uint32, out *found) {
	if s.open {
		m.finish(s, e, SLACancelled, out)
	}
	m.voidCycle(s, e, reason, out)
}

func (m *machine) voidCycle(s *state, e *entry, reason uint32, out *found) {
	if s.voided {
		return
	}
	s.voided, s.voidReason, s.voidAt = true, reason, e.time()
	if out == nil {
		return
	}
	agent := m.actorOf(e)
	if agent == 0 {
		agent = s.assignee
	}
	out.voids = append(out.voids, void{
		cycleOffset: s.offset, at: s.voidAt, dims: s.dims, ordinal: s.ordinal, reason: reason,
		team: m.teamOf(s, e), queue: s.queueNow(), agent: agent, label: s.label, variant: s.variant,
	})
}

// finish ends the open cycle: by close, merge or void. Promises about the whole cycle get status if
// they were in time.
func (m *machine) finish(s *state, e *entry, status SLAStatus, out *found) {
	t := e.time()
	judge(s, s.waitSince != 0)
	s.judged, s.judgedAt = true, t
	m.endAny(s, e, EndedByClose, out)
	m.endHuman(s, e, EndedByClose, out)
	m.keepPromise(s, &s.toWait, e, status, out)
	m.keepPromise(s, &s.toBeClosed, e, status, out)
	m.setStatus(s, event.StatusClosed, t)
	s.open, s.closedAt, s.closer = false, t, m.actorOf(e)
	s.toClose = s.messages()
	s.pending = false
}

func rate(s *state, e *entry) {
	s.csatAsked = s.csatAsked || e.sub() == 1
	if e.arg == 0 {
		return
	}
	if s.csatFirstAt == 0 {
		s.csatFirst, s.csatFirstAt = e.arg, e.time()
	}
	s.csat, s.csatAt = e.arg, e.time()
}

// outcome keeps the first that converts, else the first of the others; values lie in events.
func outcome(s *state, e *entry) {
	k := event.OutcomeKind(e.sub())
	if s.outcomeAt == 0 || converts(k) && !converts(s.outcome) {
		s.outcome, s.outcomeAt, s.toOutcome = k, e.time(), s.messages()
	}
}

func converts(k event.OutcomeKind) bool {
	return k == event.OutcomeBooking || k == event.OutcomeSale || k == event.OutcomeLead
}

// amend applies a csat, outcome or void older than a full window to the last cycle. It is outside
// the order, so ratings and outcomes are compared by time, and a void marks the cycle without
// cutting it: cutting would change KPIs of events that are settled.
func (m *machine) amend(s *state, e *entry, out *found) {
	t := e.time()
	switch e.kind() {
	case kindVoid:
		m.voidCycle(s, e, e.arg, out)
	case kindOutcome:
		k := event.OutcomeKind(e.sub())
		if t-s.openedAt > outcomeWindowMS {
			return
		}
		better := converts(k) && !converts(s.outcome)
		same := converts(k) == converts(s.outcome)
		if s.outcomeAt == 0 || better || same && t < s.outcomeAt {
			// How many messages came before it is no longer known.
			s.outcome, s.outcomeAt, s.toOutcome = k, t, -1
		}
	case kindCSAT:
		s.csatAsked = s.csatAsked || e.sub() == 1
		if e.arg == 0 {
			return
		}
		if s.csatFirstAt == 0 || t < s.csatFirstAt {
			s.csatFirst, s.csatFirstAt = e.arg, t
		}
		if s.csatAt == 0 || t >= s.csatAt {
			s.csat, s.csatAt = e.arg, t
		}
	}
}
