package conversation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"usher/pipeline/event"
)

// Defaults of Config.
const (
	DefaultMaxConversations = baseMask
	DefaultIdleCapMS        = 5 * 60 * 1000
)

// ErrFull says that a table holds MaxConversations: raise the bound or add partitions.
var ErrFull = errors.New("conversation table is full")

const hourMS = 3600 * 1000

// Table keeps the conversations of one input partition. It is not safe for concurrent use. On an
// aborted transaction throw it away and restore from the changelog.
type Table struct {
	cfg     Config
	cals    calendars
	timers  timers
	words   words
	tuples  tuples
	machine machine
	convs   arena
	index   index
	slots   slab[slot]
	store   entryStore
	bases   baseStore
	hot     presents
	roles   map[uint32][]string // by tenant's word; nil entry = the default's
	memo    memo
	dims    dimsCache

	policiesNow   uint32 // version in force
	policiesFresh bool   // the changelog does not hold it yet

	touched []uint32 // slots changed since BeginTransaction
	rows    rows
	facts   Facts
	cur     arrival
	before  found
	after   found
	visited []int64 // fold: cycle that each entry lies in

	coder       coder
	scratch     window
	scratchBase state
}

// NewTable makes an empty table.
func NewTable(cfg Config) *Table {
	if cfg.MaxConversations == 0 || cfg.MaxConversations > DefaultMaxConversations {
		cfg.MaxConversations = DefaultMaxConversations // the most that bases can be numbered
	}
	if cfg.IdleCapMS == 0 {
		cfg.IdleCapMS = DefaultIdleCapMS
	}
	t := &Table{cfg: cfg, words: newWords(), tuples: newTuples(), dims: newDimsCache(),
		store: newEntryStore(), bases: newBaseStore(),
		roles: map[uint32][]string{}}
	t.cals = newCalendars(cfg)
	t.machine = machine{
		tuples: &t.tuples, cals: t.cals.known, idleCapMS: cfg.IdleCapMS,
		mergeWord:  t.words.numberString("merge"),
		spamWord:   t.words.numberString("spam"),
		policyWord: t.words.numberString("policy"),
		policies:   map[uint32]*policySet{},
	}
	t.usePolicies()
	if cfg.InitialConversations > 0 {
		t.index.reserve(cfg.InitialConversations)
	}
	t.visited = make([]int64, windowLen+1)
	t.rows.cycleAt = map[int64]int32{}
	return t
}

// Len is the number of conversations.
func (t *Table) Len() int { return t.index.count }

// Bytes is the memory that the state holds, free room in its chunks included.
func (t *Table) Bytes() int64 {
	return t.slots.chunkCount()*int64(unsafe.Sizeof(slot{})) + t.store.bytes() + t.index.bytes() +
		t.bases.bytes() + t.hot.bytes() + t.convs.bytes() +
		t.words.bytes() + t.tuples.bytes() + t.dims.bytes()
}

// Overflows counts strings and tuples that were dropped because an interning table was full.
func (t *Table) Overflows() int64 { return t.words.overflows + t.tuples.overflows }

func keyHash(k *Key) uint64 { return binary.LittleEndian.Uint64(k[:8]) }

// find is the number of the key's slot, 0 when there is none.
func (t *Table) find(k *Key) uint32 {
	p := t.index.probe(keyHash(k))
	for id := p.next(); id != 0; id = p.next() {
		if t.slots.at(id).key == *k {
			return id
		}
	}
	return 0
}

func (t *Table) newSlot(k Key) uint32 {
	id := t.slots.alloc()
	t.slots.at(id).key = k
	t.index.insert(keyHash(&k), id)
	return id
}

func (t *Table) drop(id uint32) {
	s := t.slots.at(id)
	t.index.remove(keyHash(&s.key), id)
	t.store.release(s)
	t.bases.drop(s)
	t.hot.forget(id)
	t.slots.release(id)
}

// how says what Settle has to do with the event that arrived.
type how uint8

const (
	nothing  how = iota
	inOrder      // strictly last: one step on the present
	inserted     // somewhere before: two folds and their difference
	amended      // older than a full window: changes the base's cycle only
)

// arrival is what Arrive hands to Settle.
type arrival struct {
	active   bool
	how      how
	slot     uint32 // 0 = to be made
	key      Key
	kind     kind
	decide   bool
	cause    event.Type
	entry    entry
	seq      int64
	at       int
	backfill bool
	flipped  bool
	nowMS    int64
	tenant   uint32
	conv     []byte

	owner    uint32
	ownerSum uint64
	old      window // as the slot has it
	win      window // with a flip done, without the new entry
	based    bool   // base is the slot's
	base     state  // see Table.base
	now      state  // the present
}

// Arrive locates the conversation, judges late and duplicate, and shows the event's place. Settle
// must follow. An error names no content; the table is unchanged by it and Settle not needed.
func (t *Table) Arrive(in *Input, out *Arrival) error {
	c := &t.cur
	if c.active {
		panic("BUG: Arrive before Settle of the event before")
	}
	*out = Arrival{CycleOffset: -1}
	if in.Event.TimeMS > in.NowMS {
		out.Flags |= FlagClockAhead
	}
	if in.Offset < 0 || in.Offset >= 1<<offsetBits {
		return fmt.Errorf("cannot place event: offset %d is outside 0..2^%d", in.Offset, offsetBits)
	}
	k, sub, inWindow := classify(in.Event)
	c.how, c.kind, c.key, c.nowMS, c.cause = nothing, k, in.Key, in.NowMS, in.Event.Type
	c.slot = t.find(&in.Key)
	if c.slot == 0 && inWindow && t.Len() >= t.cfg.MaxConversations {
		return fmt.Errorf("cannot keep conversation %d: %w (state.hot_bytes)", t.Len()+1, ErrFull)
	}
	c.active = true
	if c.slot == 0 && !inWindow {
		return nil
	}
	t.load(in, k, sub, inWindow)
	switch {
	case !inWindow:
		t.lookUp(out)
	default:
		t.judge(out)
	}
	out.Decide = k == kindCustomer && inWindow && out.Flags&FlagDuplicate == 0
	c.decide = out.Decide
	return nil
}

// load fills the scratch: the new entry and what the slot holds.
func (t *Table) load(in *Input, k kind, sub uint8, inWindow bool) {
	c := &t.cur
	c.old.n, c.old.byTime = 0, false
	c.based = false
	c.owner, c.ownerSum = 0, 0
	c.tenant = t.memo.word(&t.words, memoTenant, in.Event.Tenant)
	if c.slot != 0 {
		s := t.slots.at(c.slot)
		t.store.load(s, &c.old)
		c.owner, c.ownerSum = s.owner, s.ownerSum
	} else {
		c.conv = append(c.conv[:0], cut(in.ConversationID)...)
	}
	ms := min(max(min(in.Event.TimeMS, in.NowMS), 0), 1<<timeBits-1)
	c.seq = in.Event.Seq
	c.entry = entry{id: idHash(in.Event.ID)}
	if inWindow {
		t.fill(in, k, &c.entry)
	}
	t.machine.owner, t.machine.tenant, t.machine.fired = c.owner, c.tenant, 0
	if c.slot != 0 {
		t.machine.fired = t.slots.at(c.slot).fired
	}
	c.backfill = in.Backfill
	flags := c.entry.head | uint64(sub)<<flagSubShift | uint64(in.Event.Actor.Kind)&flagActorMask
	if in.Event.HasSeq {
		flags |= flagSeq
	}
	c.entry.head = packHead(ms, k, flags)
	c.entry.where = packWhere(in.Offset, uint32(c.entry.where))
}

// lookUp answers for events outside the window: which cycle they fall into, by the order.
func (t *Table) lookUp(out *Arrival) {
	c := &t.cur
	w := &c.old
	at := w.n
	if !w.byTime && c.entry.has(flagSeq) {
		for at > 0 && w.seqs[at-1] > c.seq {
			at--
		}
	} else {
		for at > 0 && w.entries[at-1].time() > c.entry.time() {
			at--
		}
	}
	t.foldTo(&c.now, w, at)
	t.showCycle(&c.now, out)
	t.view(&c.now, out)
}

// judge finds the place of an event of the window and what it is on arrival.
func (t *Table) judge(out *Arrival) {
	c := &t.cur
	if d := c.old.duplicateOf(&c.entry, c.seq); d >= 0 {
		out.Flags |= FlagDuplicate
		t.foldTo(&c.now, &c.old, d+1)
		t.showCycle(&c.now, out)
		t.view(&c.now, out)
		return
	}
	hasSeq := c.entry.has(flagSeq)
	w := &c.old
	c.flipped = !hasSeq && !w.byTime
	if c.flipped {
		c.win = c.old
		c.win.toTimeOrder()
		w = &c.win
	}
	c.at = w.position(&c.entry, c.seq)
	if c.at == 0 && w.n == windowLen {
		t.late(out)
		return
	}
	if c.flipped && c.old.n > 0 && sameOrder(&c.old, &c.win) {
		c.flipped = false
		c.old.byTime = true
		w = &c.old
	} else if c.flipped && c.old.n == 0 {
		c.flipped = false
		c.old.byTime = true
		w = &c.old
	}
	if c.at == w.n && !c.flipped {
		t.last(out)
		return
	}
	c.how = inserted
	t.foldTo(&c.now, w, c.at)
	t.tryOut(&c.now, out, nil)
}

func sameOrder(a, b *window) bool {
	for i := range a.entries[:a.n] {
		if a.entries[i].id != b.entries[i].id {
			return false
		}
	}
	return true
}

// last is the fast path: the event is strictly last.
func (t *Table) last(out *Arrival) {
	c := &t.cur
	c.how = inOrder
	t.foldTo(&c.now, &c.old, c.old.n)
	t.before.reset()
	t.after.reset()
	t.machine.provisional(&c.now, &t.before)
	t.tryOut(&c.now, out, &t.after)
}

// tryOut steps the event, undecided as yet, on its place and shows what is known there.
func (t *Table) tryOut(s *state, out *Arrival, facts *found) {
	t.machine.step(s, &t.cur.entry, facts)
	if t.machine.skewed {
		out.Flags |= FlagClockSkew
	}
	t.showCycle(s, out)
	t.view(s, out)
}

// late: older than a full window. It changes nothing, unless it amends the base's cycle and no
// other has opened since.
func (t *Table) late(out *Arrival) {
	c := &t.cur
	out.Flags |= FlagLate
	base := t.base()
	if base.ordinal == 0 || base.openedAt > c.entry.time() {
		return
	}
	t.showCycle(base, out)
	t.view(base, out)
	out.View.FirstInCycle = false
	k := c.kind
	if k != kindCSAT && k != kindOutcome && k != kindVoid {
		return
	}
	t.foldTo(&c.now, &c.old, c.old.n)
	if c.now.ordinal == base.ordinal {
		c.how = amended
	}
}

// base is what lies before the window of the event in hand.
func (t *Table) base() *state {
	c := &t.cur
	if !c.based {
		c.based = true
		if c.slot == 0 {
			c.base = state{}
		} else {
			t.settled(t.slots.at(c.slot), &c.base)
		}
	}
	return &c.base
}

// foldTo sets s to the first n entries of w over the slot's base.
func (t *Table) foldTo(s *state, w *window, n int) {
	if w == &t.cur.old && n == w.n {
		if hot := t.hot.get(t.cur.slot); hot != nil {
			*s = *hot
			return
		}
	}
	*s = *t.base()
	for i := range w.entries[:n] {
		t.machine.step(s, &w.entries[i], nil)
	}
}

// fold is foldTo over the whole window with its facts; cycles, when not nil, takes the opener's
// offset of the cycle that each entry lies in.
func (t *Table) fold(s *state, w *window, out *found, cycles []int64) {
	for i := range w.entries[:w.n] {
		t.machine.step(s, &w.entries[i], out)
		if cycles != nil {
			cycles[i] = s.offset
		}
	}
	t.machine.provisional(s, out)
}

func (t *Table) showCycle(s *state, out *Arrival) {
	if s.ordinal > 0 {
		out.Cycle, out.CycleOffset = s.ordinal, s.offset
	}
}

func (t *Table) view(s *state, out *Arrival) {
	v := &out.View
	v.Turn, v.Waiting = s.turnsAny, s.waitSince != 0
	if v.Waiting {
		v.WaitingMS = max(0, t.cur.entry.time()-s.waitSince)
	}
	v.PrevLabel = t.words.str(s.label)
	v.BotFailed = s.botFailed
	v.Repeats = s.unanswered - min(s.unanswered, 1)
	v.Messages, v.CustomerMessages = uint32(s.messages()), s.fromCustomer
	v.FirstInCycle = t.cur.kind == kindCustomer && s.fromCustomer == 1
	v.Escalated, v.ContactGiven = s.escalatedAny, s.contact
	v.Queue = t.queueName(s.queueNow())
	v.Team, v.Agent = t.words.str(s.team), t.words.str(s.assignee)
}

const defaultQueue = "default"

func (t *Table) queueName(id uint32) string {
	if id == 0 {
		return defaultQueue
	}
	return t.words.str(id)
}
