package conversation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"usher/pipeline/event"
)

// changelogVersion is the first byte of every value; another one is refused.
const changelogVersion = 4

// ErrChangelog says that a changelog value cannot be this codec's: rebuild the changelog from the
// input, or run the version that wrote it.
var ErrChangelog = errors.New("not a conversation of this codec version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumBytes end every value.
const checksumBytes = 4

// Changelog calls emit once for every conversation touched since BeginTransaction, in the order in
// which they were first touched; before them once for every calendar, and the policies, that are new to the changelog. value is valid during the call; nil means a tombstone.
func (t *Table) Changelog(emit func(key Key, value []byte)) {
	t.emitCalendars(emit)
	t.emitPolicies(emit)
	for _, id := range t.touched {
		s := t.slots.at(id)
		emit(s.key, t.encode(s))
	}
}

// encode writes the slot: strings inline at their first use, because numbers are the process's own.
func (t *Table) encode(s *slot) []byte {
	c := &t.coder
	c.begin(t, append(c.buf[:0], changelogVersion))
	t.store.load(s, &t.scratch)
	c.conversation(s, &t.scratch, t.convs.raw(s.conv))
	base := &t.scratchBase
	t.machine.owner, t.machine.tenant = s.owner, s.tenant
	t.settled(s, base)
	c.state(base)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, crc32.Checksum(c.buf, castagnoli))
	return c.buf
}

// Restore applies one changelog record: the newest of a key counts, a nil value removes it. An
// error leaves the table as it was.
func (t *Table) Restore(key Key, value []byte) error {
	if isCalendarKey(key) {
		return t.restoreCalendar(value)
	}
	if isPoliciesKey(key) {
		return t.restorePolicies(value)
	}
	id := t.find(&key)
	if len(value) == 0 {
		if id != 0 {
			t.forget(id)
		}
		return nil
	}
	var s slot
	base := &t.scratchBase
	*base = state{}
	conv, err := t.decode(value, &s, base)
	if err != nil {
		return fmt.Errorf("cannot restore a conversation from %d bytes: %w", len(value), err)
	}
	if id == 0 {
		id = t.newSlot(key)
	}
	old := t.slots.at(id)
	if string(conv) != t.convs.str(old.conv) {
		old.conv = t.convs.add(conv)
	}
	old.tenant, old.revision, old.hour = s.tenant, s.revision, s.hour
	old.fired, old.backfill, old.timer = s.fired, s.backfill, 0
	t.timers.unseen = true
	old.owner, old.ownerSum = s.owner, 0
	if s.owner != 0 {
		old.ownerSum = t.dims.sum(t.words.raw(s.owner))
	}
	t.store.save(old, &t.scratch)
	t.keepBase(old, base)
	t.hot.forget(id)
	return nil
}

// keepBase: a base without a cycle is the same as none.
func (t *Table) keepBase(s *slot, base *state) {
	t.bases.drop(s)
	if base.ordinal != 0 {
		t.bases.put(s, base)
	}
}

// forget removes a conversation; rows of it must have been taken before.
func (t *Table) forget(id uint32) {
	s := t.slots.at(id)
	if s.touched != 0 {
		panic("BUG: tombstone restored inside a transaction")
	}
	t.drop(id)
}

func (t *Table) decode(value []byte, s *slot, base *state) (conv []byte, err error) {
	n := len(value) - checksumBytes
	if n < 1 || value[0] != changelogVersion {
		return nil, ErrChangelog
	}
	if crc32.Checksum(value[:n], castagnoli) != binary.LittleEndian.Uint32(value[n:]) {
		return nil, fmt.Errorf("%w: checksum", ErrChangelog)
	}
	c := &t.coder
	c.begin(t, nil)
	c.in = value[1:n]
	t.scratch = window{}
	conv = c.conversation(s, &t.scratch, nil)
	c.state(base)
	if c.bad || len(c.in) != 0 || !plausible(&t.scratch, base) {
		return nil, fmt.Errorf("%w: content", ErrChangelog)
	}
	return conv, nil
}

// subsMax is the largest sub of each kind.
var subsMax = [kindCount]uint8{
	kindStatus: uint8(event.StatusSnoozed), kindSessionEnd: 1, kindCSAT: 1,
	kindClose: uint8(event.ResolutionSpam), kindOutcome: uint8(event.OutcomeNone),
}

// plausible checks what later steps rely on.
func plausible(w *window, s *state) bool {
	for i := range w.entries[:w.n] {
		e := &w.entries[i]
		if e.sub() > subsMax[e.kind()] || e.by() > event.ActorSystem {
			return false
		}
		if e.head&0xffff&^flagKnown != 0 || !w.byTime && !e.has(flagSeq) {
			return false
		}
		if i == 0 {
			continue
		}
		if w.byTime && !w.entries[i-1].before(e) || !w.byTime && w.seqs[i-1] >= w.seqs[i] {
			return false
		}
	}
	return s.esc.by <= ByRule && s.status <= event.StatusClosed
}

// coder writes and reads a conversation by one walk over its fields, so that the two cannot differ.
// Reading when in is set; the first fault sets bad and everything after reads as zero.
type coder struct {
	table   *Table
	reading bool
	buf     []byte
	in      []byte
	bad     bool
	local   []uint32 // words (and separately tuples) in order of first use
	packed  []uint32
}

func (c *coder) begin(t *Table, buf []byte) {
	c.table, c.buf, c.in, c.bad = t, buf, nil, false
	c.reading = buf == nil
	c.local, c.packed = c.local[:0], c.packed[:0]
}

func (c *coder) uint(v *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	x, n := binary.Uvarint(c.in)
	if n <= 0 || c.bad {
		c.bad, c.in, *v = true, nil, 0
		return
	}
	*v, c.in = x, c.in[n:]
}

func (c *coder) int(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	c.uint(&u)
	*v = int64(u>>1) ^ -int64(u&1)
}

func (c *coder) ints(vs ...*int64) {
	for _, v := range vs {
		c.int(v)
	}
}

func (c *coder) u32(v *uint32) {
	u := uint64(*v)
	c.uint(&u)
	c.bad = c.bad || u > 1<<32-1
	*v = uint32(u)
}

func (c *coder) u32s(vs ...*uint32) {
	for _, v := range vs {
		c.u32(v)
	}
}

func (c *coder) bytes(b []byte) []byte {
	n := uint64(len(b))
	c.uint(&n)
	if !c.reading {
		c.buf = append(c.buf, b...)
		return b
	}
	if n > uint64(len(c.in)) || n > stringBytesMax {
		c.bad = true
		return nil
	}
	b, c.in = c.in[:n], c.in[n:]
	return b
}

// use answers the local number of a table's number: known, or next when it is new.
func use(local *[]uint32, id uint32) (n uint64, isNew bool) {
	for i, other := range *local {
		if other == id {
			return uint64(i) + 1, false
		}
	}
	*local = append(*local, id)
	return uint64(len(*local)), true
}

// word codes the number of a string: 0 the empty one, else its place in the value's dictionary,
// followed by the string when it is the next new one.
func (c *coder) word(v *uint32) {
	if !c.reading {
		c.writeWord(*v)
		return
	}
	var n uint64
	c.uint(&n)
	switch {
	case n == 0 || c.bad:
		*v = 0
	case n <= uint64(len(c.local)):
		*v = c.local[n-1]
	case n == uint64(len(c.local))+1:
		b := c.bytes(nil)
		if c.bad = c.bad || len(b) == 0; c.bad {
			return
		}
		*v = c.table.words.number(b)
		c.local = append(c.local, *v)
	default:
		c.bad, *v = true, 0
	}
}

func (c *coder) writeWord(id uint32) {
	n, isNew := uint64(0), false
	if id != 0 {
		n, isNew = use(&c.local, id)
	}
	c.uint(&n)
	if isNew {
		n = uint64(len(c.table.words.str(id)))
		c.uint(&n)
		c.buf = append(c.buf, c.table.words.str(id)...)
	}
}

func (c *coder) words(vs ...*uint32) {
	for _, v := range vs {
		c.word(v)
	}
}

// tuple codes the number of a tuple the same way; wordMask says which of the six are words (bit i).
// It is part of the dictionary's key: equal numbers may mean different things.
func (c *coder) tuple(v *uint32, wordMask uint8) {
	if c.reading {
		c.readTuple(v, wordMask)
		return
	}
	n, isNew := uint64(0), false
	if *v != 0 {
		n, isNew = use(&c.packed, *v|uint32(wordMask)<<dimsBits)
	}
	c.uint(&n)
	if isNew {
		fields := c.table.tuples.get(*v)
		c.tupleFields(&fields, wordMask)
	}
}

func (c *coder) readTuple(v *uint32, wordMask uint8) {
	var n uint64
	c.uint(&n)
	known := uint64(len(c.packed))
	*v = 0
	switch {
	case n == 0 || c.bad:
	case n <= known:
		*v = c.packed[n-1] & (1<<dimsBits - 1)
		c.bad = c.packed[n-1]>>dimsBits != uint32(wordMask)
	case n == known+1:
		var fields tuple
		c.tupleFields(&fields, wordMask)
		if !c.bad {
			*v = c.table.tuples.number(fields)
			c.packed = append(c.packed, *v|uint32(wordMask)<<dimsBits)
		}
	default:
		c.bad = true
	}
}

func (c *coder) tupleFields(f *tuple, wordMask uint8) {
	for i := range f {
		if wordMask>>i&1 == 1 {
			c.word(&f[i])
		} else {
			c.u32(&f[i])
		}
	}
}

func (c *coder) bools(vs ...*bool) {
	var bits uint64
	for i, v := range vs {
		if *v {
			bits |= 1 << i
		}
	}
	c.uint(&bits)
	c.bad = c.bad || bits>>len(vs) != 0
	for i, v := range vs {
		*v = bits>>i&1 == 1
	}
}

func (c *coder) small(v *uint8) {
	u := uint64(*v)
	c.uint(&u)
	c.bad = c.bad || u > 255
	*v = uint8(u)
}
