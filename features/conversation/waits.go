package conversation

import "usher/pipeline/event"

// startAny begins the wait that any reply ends, if none runs; held is a handoff's.
func (m *machine) startAny(s *state, e *entry, held bool) {
	if s.waitSince == 0 {
		s.turnsAny++
		s.waitSince = e.time()
		if s.pauseAt == 0 {
			m.resume(&s.toWait, e.time())
		}
		s.any = wait{offset: e.offset(), turn: s.turnsAny, cal: m.calendarOf(e)}
	}
	s.any.held = s.any.held || held
}

// startHuman begins the wait that only a person ends.
func (m *machine) startHuman(s *state, e *entry) {
	if s.humanSince == 0 {
		s.turnsHuman++
		s.humanSince = e.time()
		s.human = wait{offset: e.offset(), turn: s.turnsHuman, cal: m.calendarOf(e)}
	}
}

// span measures a wait that e ends: its time is never negative, and pauses are no longer than it.
func (m *machine) span(s *state, w *wait, since int64, e *entry, by EndedBy) (time, paused int64) {
	now := e.time()
	m.skewed = m.skewed || skewed(since, now, by)
	time = max(0, now-since)
	return time, min(time, w.paused+pausedSince(s, since, now))
}

// skewed: a reply that follows its question in the order but is dated before it.
func skewed(since, now int64, by EndedBy) bool { return by != EndedByClose && now < since }

// ended is the fact of a wait that e ends.
func (m *machine) ended(s *state, w *wait, since int64, e *entry, by EndedBy) turn {
	t := turn{
		offset: w.offset, cycleOffset: s.offset, since: since, endedAt: e.time(),
		dims: s.dims, ordinal: s.ordinal, turn: w.turn,
		team: m.teamOf(s, e), queue: s.queueNow(), agent: m.actorOf(e),
		label: s.label, variant: s.variant,
		cal: w.cal, endedBy: by, first: w.turn == 1, final: true, skewed: skewed(since, e.time(), by),
	}
	if t.agent == 0 {
		t.agent = s.assignee
	}
	return t
}

// pausedSince is the overlap of the running pause with a wait up to now.
func pausedSince(s *state, since, now int64) int64 {
	if s.pauseAt == 0 {
		return 0
	}
	return max(0, now-max(s.pauseAt, since))
}

func (m *machine) endAny(s *state, e *entry, by EndedBy, out *found) {
	if s.waitSince == 0 {
		return
	}
	time, paused := m.span(s, &s.any, s.waitSince, e, by)
	business, businessPaused := m.businessSpan(s, &s.any, s.waitSince, e)
	if out != nil {
		t := m.ended(s, &s.any, s.waitSince, e, by)
		t.wait, t.paused, t.business, t.businessPaused = time, paused, business, businessPaused
		out.turns = append(out.turns, t)
	}
	status := SLAMet
	if by == EndedByClose {
		status = SLACancelled
	}
	m.keepPromise(s, &s.toReply, e, status, out)
	m.halt(&s.toWait, e.time())
	s.endedWaits++
	s.requesterWait += time - paused
	s.requesterBusiness += business - businessPaused
	s.requesterWaitAt = e.time()
	s.cycle.paused += paused
	s.waitSince, s.any = 0, wait{}
}

func (m *machine) endHuman(s *state, e *entry, by EndedBy, out *found) {
	if s.humanSince == 0 {
		return
	}
	time, paused := m.span(s, &s.human, s.humanSince, e, by)
	if out != nil {
		t := m.ended(s, &s.human, s.humanSince, e, by)
		t.wait, t.paused = time, paused
		t.business, t.businessPaused = m.businessSpan(s, &s.human, s.humanSince, e)
		out.human = append(out.human, t)
	}
	s.humanSince, s.human = 0, wait{}
}

// status: pending and snoozed pause, every other status ends the pause; hold is waiting time but
// not handling time.
func (m *machine) status(s *state, e *entry) {
	m.setStatus(s, event.StatusTo(e.sub()), e.time())
}

func (m *machine) setStatus(s *state, to event.StatusTo, t int64) {
	pauses := to == event.StatusPending || to == event.StatusSnoozed
	switch {
	case pauses && s.pauseAt == 0:
		s.pauseAt = t
		m.pausePromises(s, true, t)
	case !pauses && s.pauseAt != 0:
		if s.waitSince != 0 {
			m.addPause(s, &s.any, s.waitSince, t)
		}
		if s.humanSince != 0 {
			m.addPause(s, &s.human, s.humanSince, t)
		}
		s.pauseAt = 0
		m.pausePromises(s, false, t)
	}
	s.status = to
	handle(s, t)
}

// handle keeps the time assigned to an agent with status open: called when either may have changed.
func handle(s *state, t int64) {
	on := s.assignee != 0 && s.status == event.StatusOpen
	if s.assignee != 0 {
		s.handle = max(0, s.handle)
	}
	switch {
	case on && s.heldAt == 0:
		s.heldAt = t
	case !on && s.heldAt != 0:
		s.handle += max(0, t-s.heldAt)
		s.heldAt = 0
	}
}

// provisional adds what s holds but has not settled: waits that a session_end judged, the current
// handoff, the latest cycle.
func (m *machine) provisional(s *state, out *found) {
	if s.ordinal == 0 {
		return
	}
	if s.waitSince != 0 && s.any.judged {
		out.turns = append(out.turns, m.judgedTurn(s, &s.any, s.waitSince))
	}
	if s.humanSince != 0 && s.human.judged {
		out.human = append(out.human, m.judgedTurn(s, &s.human, s.humanSince))
	}
	m.running(s, out)
	settleCycle(s, out)
}

func (m *machine) judgedTurn(s *state, w *wait, since int64) turn {
	t := turn{
		offset: w.offset, cycleOffset: s.offset, since: since, endedAt: s.judgedAt,
		dims: s.dims, ordinal: s.ordinal, turn: w.turn, team: s.team, queue: s.queueNow(),
		agent: s.judge, label: s.label, variant: s.variant, cal: w.cal,
		first: w.turn == 1,
	}
	if t.agent == 0 {
		t.agent = s.assignee
	}
	t.wait = max(0, t.endedAt-since)
	t.paused = min(t.wait, w.before)
	t.business = m.cals[w.cal].Business(since, t.endedAt)
	t.businessPaused = min(t.business, w.beforeBusiness)
	return t
}
