package conversation

import "usher/pipeline/event"

// queueNow is the latest queue in the order, else the opening event's inbox; 0 stands for the
// default queue.
func (s *state) queueNow() uint32 {
	if s.queue != 0 {
		return s.queue
	}
	return s.inbox
}

// actorOf is the actor's id as rows may name it: never a customer's (its tuple is empty).
func (m *machine) actorOf(e *entry) uint32 { return m.tuples.get(e.actor)[actorID] }

// teamOf is the team of the actor of e, else the team the cycle was moved to.
func (m *machine) teamOf(s *state, e *entry) uint32 {
	if team := m.tuples.get(e.actor)[actorTeam]; team != 0 {
		return team
	}
	return s.team
}

// moveOn: assign, transfer, escalate. A bot's transfer that names anyone or any queue is a handoff,
// unless one that an escalate or a rule began is still pending.
func (m *machine) moveOn(s *state, e *entry, out *found) {
	to := m.tuples.get(e.arg)
	t := e.time()
	s.moved = true
	names := to[moveRanks]&moveNames != 0
	switch {
	case e.kind() == kindEscalate:
		m.handoff(s, e, By(e.by()), to, out)
		if e.has(flagHuman) {
			first(&s.askedAt, t)
		}
	case e.kind() == kindTransfer:
		m.transferUp(s, e, to)
		bot := e.by() == event.ActorBot
		if bot && names && (!s.pending || s.byTransfer) {
			m.handoff(s, e, byBot, to, out)
		}
		if !bot && to[toQueue] != 0 && to[toQueue] != s.queueNow() && s.humanReplies == 0 {
			first(&s.flowedOutAt, t)
		}
	}
	m.reassign(s, e, to, names)
}

// byBot: a bot escalated, by an escalate or by a transfer.
const byBot = By(event.ActorBot)

// reassign follows the move's target: agent, team, queue, role.
func (m *machine) reassign(s *state, e *entry, to tuple, names bool) {
	agent := to[toAgent]
	if agent != 0 && s.humanReplies > 0 && e.kind() != kindEscalate {
		before := s.assignee
		if before == 0 {
			before = s.replier
		}
		if before != 0 && before != agent {
			s.reassigned++
			first(&s.reassignedAt, e.time())
		}
	}
	if names && agent != s.assignee {
		s.assignee = agent
		handle(s, e.time())
	}
	if to[toTeam] != 0 {
		s.team = to[toTeam]
	}
	if to[toQueue] != 0 {
		s.queue = to[toQueue]
	}
	if rank := uint8(to[moveRanks]); rank != 0 {
		s.role = rank
	}
}

// transferUp compares the target's role with the one it comes from: from.role, else the role of the
// move before, else the actor's, else the lowest.
func (m *machine) transferUp(s *state, e *entry, to tuple) {
	target := uint8(to[moveRanks])
	from := uint8(to[moveRanks] >> 8)
	if from == 0 {
		from = s.role
	}
	if from == 0 {
		from = uint8(m.tuples.get(e.actor)[actorRank])
	}
	if target > max(1, from) {
		s.transferredUp = true
		first(&s.firstEscalatedAt, e.time())
	}
}

// handoff: a wait begins if none runs, and only a person ends it from here on. While one is pending
// another is a row, but no wait of its own.
func (m *machine) handoff(s *state, e *entry, by By, to tuple, out *found) {
	t := e.time()
	s.escalations++
	s.escalatedAny = true
	first(&s.firstEscalatedAt, t)
	first(&s.firstHandoffAt, t)
	if by == byBot || by == ByRule && s.humanReplies == 0 {
		first(&s.escalatedByBotAt, t)
	}
	x := m.describe(s, e, by, to)
	if s.pending {
		x.already = true
		if out != nil {
			out.escs = append(out.escs, x)
		}
	} else {
		if s.esc.at != 0 && out != nil {
			out.escs = append(out.escs, s.esc)
		}
		s.esc, s.pending, s.byTransfer = x, true, e.kind() == kindTransfer
	}
	m.startAny(s, e, true)
	m.startHuman(s, e)
}

func (m *machine) describe(s *state, e *entry, by By, to tuple) escalation {
	x := escalation{
		offset: e.offset(), cycleOffset: s.offset, ordinal: s.ordinal, at: e.time(), by: by,
		dims: s.dims, team: s.team, queue: s.queueNow(), agent: s.assignee,
		label: s.label, variant: s.variant, intent: s.intent, cal: m.calendarOf(e),
		reason: to[moveReason], fromQueue: to[fromQueue],
		toQueue: to[toQueue], toTeam: to[toTeam], toAgent: to[toAgent],
	}
	if e.kind() != kindEscalate {
		x.reason = m.policyWord
	}
	if x.fromQueue == 0 {
		x.fromQueue = s.queueNow()
	}
	return x
}
