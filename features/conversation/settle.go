package conversation

import "slices"

// Settle must follow every Arrive; d may be nil. It writes the decision into the entry, adds what
// the event changed to the facts, and keeps the new state.
func (t *Table) Settle(d *Decided) {
	c := &t.cur
	if !c.active {
		panic("BUG: Settle without Arrive")
	}
	c.active = false
	if c.how == nothing {
		return
	}
	if d != nil && c.how != amended {
		t.decide(d)
	}
	switch c.how {
	case inOrder:
		t.settleLast()
	case inserted:
		t.settleInserted()
	case amended:
		t.settleAmended()
	}
	t.commit()
}

// decide writes d into the entry. On what is no customer message only a forced escalation counts.
func (t *Table) decide(d *Decided) {
	e := &t.cur.entry
	w := &t.words
	if d.Escalate {
		e.head |= flagForced
	}
	if !t.cur.decide {
		return
	}
	e.arg = t.tuples.number(tuple{
		decisionLabel:   w.numberString(d.Label),
		decisionVariant: w.numberString(d.Variant),
		decisionQueue:   w.numberString(d.Queue),
		decisionPrio:    w.numberString(d.Priority),
		decisionMood:    uint32(d.Sentiment),
	})
	if d.Executed {
		e.head |= flagExecuted
	}
}

// settleLast: Arrive has made the step but for the decision.
func (t *Table) settleLast() {
	c := &t.cur
	if c.decide {
		t.machine.decided(&c.now, &c.entry, &t.after)
	} else {
		t.machine.forced(&c.now, &c.entry, &t.after)
	}
	t.machine.provisional(&c.now, &t.after)
	c.old.insert(c.old.n, &c.entry, c.seq)
}

func (t *Table) settleInserted() {
	c := &t.cur
	t.foldBefore()
	if c.flipped {
		c.old = c.win
	}
	c.old.insert(c.at, &c.entry, c.seq)
	c.now = *t.base()
	t.fold(&c.now, &c.old, &t.after, t.visited)
}

func (t *Table) settleAmended() {
	c := &t.cur
	t.foldBefore()
	t.machine.amend(t.base(), &c.entry, &t.after)
	t.bases.put(t.slots.at(c.slot), &c.base)
	c.now = c.base
	t.fold(&c.now, &c.old, &t.after, t.visited)
}

func (t *Table) foldBefore() {
	t.before.reset()
	t.after.reset()
	t.cur.now = *t.base()
	t.fold(&t.cur.now, &t.cur.old, &t.before, nil)
}

// commit writes the scratch back to the slot and the difference to the rows.
func (t *Table) commit() {
	c := &t.cur
	if c.slot == 0 {
		c.slot = t.newSlot(c.key)
		s := t.slots.at(c.slot)
		s.tenant, s.conv = c.tenant, t.convs.add(c.conv)
	}
	s := t.slots.at(c.slot)
	t.touch(c.slot)
	s.backfill = c.backfill
	s.owner, s.ownerSum = c.owner, c.ownerSum
	s.hour = uint32(max(0, c.nowMS) / hourMS)
	m := meta{slot: c.slot, revision: s.revision + 1, offset: c.entry.offset()}
	if t.difference(&m) {
		s.revision++
	}
	if c.how != amended { // which changes the base only
		t.keep(s)
	}
	t.hot.put(c.slot, &c.now)
	t.schedule(c.slot, &c.now, c.nowMS)
}

func (t *Table) touch(id uint32) {
	s := t.slots.at(id)
	if s.touched == 0 {
		t.touched = append(t.touched, id)
		s.touched = uint32(len(t.touched))
	}
}

// keep saves the window. What it has no room for goes into the base, once the difference is made:
// until then the event may still be a correction.
func (t *Table) keep(s *slot) {
	c := &t.cur
	if c.old.n > windowLen {
		t.leave(s, &c.old.entries[0])
		c.old.dropFirst()
	}
	t.store.save(s, &c.old)
}

// meta is what rows of one arrival share.
type meta struct {
	offset   int64
	slot     uint32
	revision uint32
}

type signed[T any] struct {
	fact T
	meta
	sign int8
}

type cycleRow struct {
	cycle
	meta
	replacedBy int64
	gone       bool
}

type correction struct {
	meta
	slotDims    // of the fact withdrawn
	cycleOffset int64
	at          int64
	ordinal     uint32
	kpi         kpi
	cause       uint8
}

// slotDims are the dimensions of a fact in numbers.
type slotDims struct {
	dims                               tuple
	team, queue, agent, label, variant uint32
}

// rows are the facts since BeginTransaction, still in numbers.
type rows struct {
	turns, human []signed[turn]
	escs         []signed[escalation]
	voids        []signed[void]
	slas         []signed[promised]
	corrections  []correction
	cycles       []cycleRow
	cycleAt      map[int64]int32 // opener's offset → place in cycles
}

func (r *rows) reset() {
	r.turns, r.human, r.escs = r.turns[:0], r.human[:0], r.escs[:0]
	r.slas = r.slas[:0]
	r.voids, r.corrections, r.cycles = r.voids[:0], r.corrections[:0], r.cycles[:0]
	clear(r.cycleAt)
}

// difference appends what before and after do not share: −1 for what is no longer true, +1 for what
// has become so. It reports whether there was any.
func (t *Table) difference(m *meta) bool {
	b, a, r := &t.before, &t.after, &t.rows
	nt, nh, ne, nv, ns := len(r.turns), len(r.human), len(r.escs), len(r.voids), len(r.slas)
	r.turns = diff(r.turns, b.turns, a.turns, m)
	r.human = diff(r.human, b.human, a.human, m)
	r.escs = diff(r.escs, b.escs, a.escs, m)
	r.voids = diff(r.voids, b.voids, a.voids, m)
	r.slas = diff(r.slas, b.slas, a.slas, m)
	changed := len(r.turns)+len(r.human)+len(r.escs)+len(r.voids)+len(r.slas) > nt+nh+ne+nv+ns
	if t.cur.how != inOrder && changed {
		t.correct(nt, nh, ne, nv)
		t.correctSLA(ns)
	}
	for i := range a.cycles {
		if j := cycleIn(b.cycles, a.cycles[i].offset); j < 0 || b.cycles[j] != a.cycles[i] {
			t.putCycle(cycleRow{cycle: a.cycles[i], meta: *m, replacedBy: -1})
			changed = true
		}
	}
	for i := range b.cycles {
		if cycleIn(a.cycles, b.cycles[i].offset) < 0 {
			gone := cycleRow{cycle: b.cycles[i], meta: *m, gone: true}
			gone.replacedBy = t.cycleOfEntry(b.cycles[i].offset)
			t.putCycle(gone)
			changed = true
		}
	}
	return changed
}

func cycleIn(cycles []cycle, offset int64) int {
	for i := range cycles {
		if cycles[i].offset == offset {
			return i
		}
	}
	return -1
}

// cycleOfEntry is the cycle in which the event of that offset lies now, −1 when it is in none. An
// opener that was in the base cannot lose its cycle.
func (t *Table) cycleOfEntry(offset int64) int64 {
	for i := range t.cur.old.entries[:t.cur.old.n] {
		if t.cur.old.entries[i].offset() == offset {
			return t.visited[i]
		}
	}
	return -1
}

// putCycle keeps one row per cycle and transaction, the newest.
func (t *Table) putCycle(row cycleRow) {
	r := &t.rows
	if at, ok := r.cycleAt[row.cycle.offset]; ok {
		r.cycles[at] = row
		return
	}
	r.cycleAt[row.cycle.offset] = int32(len(r.cycles))
	r.cycles = append(r.cycles, row)
}

// diff trims what both sides share at their ends, then what they share between, and appends the
// rest: withdrawn facts first.
func diff[T comparable](to []signed[T], before, after []T, m *meta) []signed[T] {
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	for i := range before {
		if !slices.Contains(after, before[i]) {
			to = append(to, signed[T]{fact: before[i], meta: *m, sign: -1})
		}
	}
	for i := range after {
		if !slices.Contains(before, after[i]) {
			to = append(to, signed[T]{fact: after[i], meta: *m, sign: 1})
		}
	}
	return to
}
