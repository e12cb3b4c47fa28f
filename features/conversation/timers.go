package conversation

// backfillGraceMS is how long nothing must have arrived for an imported conversation before the
// partition's watermark counts for it: until then its own events tell the time.
const backfillGraceMS = 60_000

// timer says that something of a slot becomes due; stale when the slot has another by now.
type timer struct {
	at   int64
	slot uint32
}

// timers is a binary heap, the earliest first. It is made from the state: a restart loses none.
type timers struct {
	heap   []timer
	unseen bool // slots were restored, and not looked at yet
}

func (h *timers) push(x timer) {
	h.heap = append(h.heap, x)
	for i := len(h.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if h.heap[up].at <= h.heap[i].at {
			return
		}
		h.heap[up], h.heap[i] = h.heap[i], h.heap[up]
		i = up
	}
}

func (h *timers) pop() timer {
	top, n := h.heap[0], len(h.heap)-1
	h.heap[0] = h.heap[n]
	h.heap = h.heap[:n]
	for i := 0; ; {
		least := i
		for _, c := range [...]int{2*i + 1, 2*i + 2} {
			if c < n && h.heap[c].at < h.heap[least].at {
				least = c
			}
		}
		if least == i {
			return top
		}
		h.heap[i], h.heap[least] = h.heap[least], h.heap[i]
		i = least
	}
}

// schedule sets the slot's timer from its present; notBefore holds back an imported conversation's.
func (t *Table) schedule(id uint32, now *state, notBefore int64) {
	s := t.slots.at(id)
	if len(t.machine.policies) == 0 {
		return
	}
	at := t.machine.nextDue(now)
	if at != 0 && s.backfill {
		at = max(at, notBefore+backfillGraceMS)
	}
	if at != s.timer && at != 0 {
		t.timers.push(timer{at, id})
	}
	s.timer = at
}

// NextDue is when the earliest promise becomes due soon or due, ms since 1970; 0: none. firedMS is
// how far the timers had come when the table was restored.
func (t *Table) NextDue(firedMS int64) int64 {
	if len(t.machine.policies) == 0 {
		return 0
	}
	h := &t.timers
	if h.unseen {
		h.unseen = false
		for id := uint32(1); id <= t.slots.used; id++ {
			if s := t.slots.at(id); s.timer == 0 && (s.entries != 0 || s.base != 0) {
				t.present(id)
				t.schedule(id, &t.cur.now, firedMS)
			}
		}
	}
	for len(h.heap) > 0 {
		if top := h.heap[0]; t.slots.at(top.slot).timer == top.at {
			return top.at
		}
		h.pop()
	}
	return 0
}

// Fire adds to the facts what has become due soon or due up to untilMS.
func (t *Table) Fire(untilMS int64) {
	for at := t.NextDue(untilMS); at != 0 && at <= untilMS; at = t.NextDue(untilMS) {
		id := t.timers.pop().slot
		t.fire(id, untilMS)
	}
}

func (t *Table) fire(id uint32, untilMS int64) {
	m, s := &t.machine, t.slots.at(id)
	t.present(id)
	c := &t.cur
	c.how = inOrder
	t.before.reset()
	t.after.reset()
	m.provisional(&c.now, &t.before)
	for next := m.nextDue(&c.now); next != 0 && next <= untilMS; next = m.nextDue(&c.now) {
		m.fired = next
	}
	s.fired = max(s.fired, m.fired)
	m.provisional(&c.now, &t.after)
	t.touch(id)
	row := meta{slot: id, revision: s.revision + 1, offset: -1}
	if t.difference(&row) {
		s.revision++
	}
	s.timer = 0
	t.schedule(id, &c.now, 0)
	if s.backfill && s.timer != 0 && s.timer < untilMS {
		panic("BUG: a timer was left behind")
	}
}

// present loads a slot and folds it; not between Arrive and Settle.
func (t *Table) present(id uint32) {
	c, s := &t.cur, t.slots.at(id)
	if c.active {
		panic("BUG: timers between Arrive and Settle")
	}
	t.store.load(s, &c.old)
	c.slot, c.based = id, false
	t.machine.owner, t.machine.tenant, t.machine.fired = s.owner, s.tenant, s.fired
	t.foldTo(&c.now, &c.old, c.old.n)
}

// SLA is the policy of the reply that the conversation of the latest Settle waits for, and when
// it is due if that is its cycle's first; 0 when not, or while a pause lasts.
func (t *Table) SLA() (policy string, firstReplyDueMS int64) {
	p := &t.cur.now.toReply
	if t.cur.how == nothing || !p.on {
		return "", 0
	}
	if p.metric == MetricFirstReply && (p.runs || p.broken) && p.due != never {
		firstReplyDueMS = p.due
	}
	return t.words.str(p.policy), firstReplyDueMS
}
