package conversation

import "usher/features/calendar"

// never is the due time of what no open time is left for.
const never = 1<<62 - 1

// where is who had the conversation at some moment.
type where struct{ team, queue, agent uint32 }

// promise is one metric of a policy that has begun. Its times move with its pauses and stay once
// they have passed: a pause after the due time moves nothing.
type promise struct {
	due, soon int64 // instants while it runs or when they have passed, else ms of its clock until then
	soonDue   int64 // due as it was when soon had passed
	from      int64 // since when it runs
	begun     int64
	target    int64
	offset    int64 // of the event that began it
	dims      tuple
	label     uint32
	variant   uint32
	atSoon    where
	atDue     where
	policy    uint32
	cal       uint32
	turn      uint32
	metric    Metric
	on        bool
	runs      bool
	warned    bool // soon has passed and stays
	broken    bool // due has passed and stays
	business  bool
	_         [2]bool
}

// promised is a row of sla_events in numbers.
type promised struct {
	offset, cycleOffset         int64
	begun, target, due, at      int64
	dims                        tuple
	ordinal, turn               uint32
	team, queue, agent          uint32
	label, variant, policy, cal uint32
	metric                      Metric
	status                      SLAStatus
	business                    bool
	_                           bool
}

func (m *machine) policiesOf(e *entry) uint32 { return m.tuples.get(e.actor)[actorPolicies] }

// clockOf is the calendar that moves p, nil by the wall clock.
func (m *machine) clockOf(p *promise) *calendar.Calendar {
	if !p.business {
		return nil
	}
	return m.cals[p.cal]
}

func until(c *calendar.Calendar, now, at int64) int64 {
	if at == never || c == nil {
		return at - now
	}
	return c.Business(now, at)
}

func after(c *calendar.Calendar, now, left int64) int64 {
	if left >= never/2 {
		return never
	}
	at, err := c.Add(now, left)
	if err != nil {
		return never
	}
	return at
}

// promises are begun at the end of a step, when queue and priority are settled; doing it again for
// the same event, once it is decided, does it anew. Then what is known so far is noted.
func (m *machine) promises(s *state, e *entry) {
	if len(m.policies) == 0 || s.ordinal == 0 {
		return
	}
	offset := e.offset()
	if s.open && s.offset == offset {
		m.promise(s, e, &s.toBeClosed, MetricTimeToClose, 0)
	}
	if s.waitSince != 0 && s.any.offset == offset {
		metric := MetricNextReply
		if s.any.turn == 1 {
			metric = MetricFirstReply
			m.promise(s, e, &s.toWait, MetricRequesterWait, 0)
		}
		m.promise(s, e, &s.toReply, metric, s.any.turn)
	}
	now := where{s.team, s.queueNow(), s.assignee}
	for _, p := range s.all() {
		if !p.on {
			continue
		}
		if !p.warned && !(p.runs && e.time() > p.soon) {
			p.atSoon = now
		}
		if !p.broken && !(p.runs && e.time() > p.due) {
			p.atDue = now
		}
	}
}

func (s *state) all() [3]*promise { return [...]*promise{&s.toReply, &s.toWait, &s.toBeClosed} }

func (m *machine) promise(s *state, e *entry, p *promise, metric Metric, turn uint32) {
	*p = promise{}
	set := m.policies[m.policiesOf(e)]
	if set == nil {
		return
	}
	queue, priority := s.queueNow(), s.priority
	if queue == 0 {
		queue = m.defaultQ
	}
	if priority == 0 {
		priority = m.normal
	}
	c := set.match(m.tenant, queue, s.dims[dimChannel], priority)
	if c == nil || c.target[metric] <= 0 {
		return
	}
	*p = promise{
		begun: e.time(), target: c.target[metric], due: c.target[metric], soon: c.soon[metric],
		offset: e.offset(), dims: s.dims, label: s.label, variant: s.variant, policy: c.name,
		cal: m.calendarOf(e), turn: turn, metric: metric, on: true, business: c.business,
	}
	if p.soon == 0 {
		p.soon = never
	}
	if s.pauseAt == 0 {
		m.resume(p, e.time())
	} else {
		p.from = e.time()
	}
}

// resume lets p run from now on.
func (m *machine) resume(p *promise, now int64) {
	if !p.on || p.runs {
		return
	}
	c := m.clockOf(p)
	if !p.warned {
		p.soon = after(c, now, p.soon)
	}
	if !p.broken {
		p.due = after(c, now, p.due)
	}
	p.from, p.runs = now, true
}

// halt stops p: what has passed by now stays.
func (m *machine) halt(p *promise, now int64) {
	if !p.on || !p.runs {
		return
	}
	now = max(now, p.from)
	c := m.clockOf(p)
	if !p.warned && now > p.soon {
		p.warned, p.soonDue = true, p.due
	}
	if !p.warned {
		p.soon = until(c, now, p.soon)
	}
	p.broken = p.broken || now > p.due
	if !p.broken {
		p.due = until(c, now, p.due)
	}
	p.from, p.runs = now, false
}

// pausePromises follows a status: pending and snoozed stop every clock.
func (m *machine) pausePromises(s *state, pauses bool, now int64) {
	if pauses {
		for _, p := range s.all() {
			m.halt(p, now)
		}
		return
	}
	m.resume(&s.toBeClosed, now)
	if s.waitSince != 0 {
		m.resume(&s.toReply, now)
		m.resume(&s.toWait, now)
	}
}

// keepPromise ends p at e. Who is in time gets the status given.
func (m *machine) keepPromise(s *state, p *promise, e *entry, status SLAStatus, out *found) {
	if !p.on {
		return
	}
	m.halt(p, e.time())
	if out != nil {
		m.passed(s, p, -1, out)
		if !p.broken {
			x := p.fact(s, status)
			x.due, x.at = after(m.clockOf(p), p.from, p.due), e.time()
			x.team, x.queue, x.agent = m.teamOf(s, e), s.queueNow(), m.actorOf(e)
			if x.agent == 0 {
				x.agent = s.assignee
			}
			out.slas = append(out.slas, x)
		}
	}
	*p = promise{}
}

// passed adds what is past by the horizon, an instant: due_soon and breached.
func (m *machine) passed(s *state, p *promise, horizon int64, out *found) {
	if p.on && (p.warned || p.runs && p.soon <= horizon) {
		x := p.fact(s, SLADueSoon)
		x.at, x.due = p.soon, p.due
		if p.warned {
			x.due = p.soonDue
		}
		x.team, x.queue, x.agent = p.atSoon.team, p.atSoon.queue, p.atSoon.agent
		out.slas = append(out.slas, x)
	}
	if p.on && (p.broken || p.runs && p.due <= horizon) {
		x := p.fact(s, SLABreached)
		x.at, x.due = p.due, p.due
		x.team, x.queue, x.agent = p.atDue.team, p.atDue.queue, p.atDue.agent
		out.slas = append(out.slas, x)
	}
}

func (p *promise) fact(s *state, status SLAStatus) promised {
	return promised{
		offset: p.offset, cycleOffset: s.offset, begun: p.begun, target: p.target, dims: p.dims,
		ordinal: s.ordinal, turn: p.turn, label: p.label, variant: p.variant, policy: p.policy,
		cal: p.cal, metric: p.metric, status: status, business: p.business,
	}
}

// horizon is how far time has come for the conversation: its own latest event, or the latest due
// time that the partition's watermark has passed.
func (m *machine) horizon(s *state) int64 { return max(m.fired, s.lastAt-1) }

// running adds what is past in the promises that still run.
func (m *machine) running(s *state, out *found) {
	for _, p := range s.all() {
		m.passed(s, p, m.horizon(s), out)
	}
}

// nextDue is the first instant after the horizon at which something becomes due soon or due; 0: none.
func (m *machine) nextDue(s *state) int64 {
	next, from := int64(never), m.horizon(s)
	for _, p := range s.all() {
		if !p.on || !p.runs {
			continue
		}
		if !p.warned && p.soon > from {
			next = min(next, p.soon)
		}
		if !p.broken && p.due > from {
			next = min(next, p.due)
		}
	}
	if next == never {
		return 0
	}
	return next
}
