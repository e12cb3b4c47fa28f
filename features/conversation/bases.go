package conversation

import (
	"math/bits"
	"unsafe"
)

// What has left a window is kept in two parts: the base, a state with only its words that are not
// zero, and up to lagLen entries that are still to be folded into it. So the base is taken apart and
// put together once in lagLen+1 events of a long conversation, and not at every one.

// lagLen is how many entries may wait. More would cost memory, fewer time.
const lagLen = 4

const (
	stateWords  = int(unsafe.Sizeof(state{}) / 8)
	bitmapWords = (stateWords + 63) / 64
	packedWords = bitmapWords + stateWords // of a state without a zero
)

// packed is a state in words: a bitmap of those that are not zero, then these.
type packed [packedWords]uint64

// raw is a state as words. States hold no pointers, so their words are their value.
func raw(s *state) *[stateWords]uint64 { return (*[stateWords]uint64)(unsafe.Pointer(s)) }

// pack answers how many words it takes.
func (p *packed) pack(s *state) int {
	words := raw(s)
	n := bitmapWords
	for b := range bitmapWords {
		var bitmap uint64
		for i, x := range words[b*64 : min(b*64+64, stateWords)] {
			p[n] = x
			if x != 0 {
				bitmap |= 1 << i
				n++
			}
		}
		p[b] = bitmap
	}
	return n
}

// unpack is the inverse of pack.
func unpack(s *state, p []uint64) {
	*s = state{}
	words := raw(s)
	n := bitmapWords
	for b := range bitmapWords {
		for bitmap := p[b]; bitmap != 0; bitmap &= bitmap - 1 {
			words[b*64+bits.TrailingZeros64(bitmap)] = p[n]
			n++
		}
	}
}

// baseLens are the sizes that a packed state may have, by class.
func baseLens() []int { return []int{24, 32, 40, 48, 56, 72, 96, packedWords} }

// baseStore keeps packed states by class, and the entries that wait for them. The number of a base
// has its class above baseBits, that of entries their count.
type baseStore struct {
	states []runs[uint64]
	lags   slab[[lagLen]entry]
	packed packed // scratch
}

func newBaseStore() baseStore { return baseStore{states: newRuns[uint64](baseLens())} }

const baseBits = 28

const baseMask = 1<<baseBits - 1

func (st *baseStore) words(base uint32) []uint64 {
	return st.states[base>>baseBits].at(base & baseMask)
}

func (st *baseStore) alloc(class int) uint32 {
	id := st.states[class].alloc()
	if id > baseMask {
		panic("BUG: more conversations than a table may hold")
	}
	return uint32(class)<<baseBits | id
}

func (st *baseStore) release(base uint32) { st.states[base>>baseBits].release(base & baseMask) }

// put writes s as the slot's base, which nothing waits for then.
func (st *baseStore) put(to *slot, s *state) {
	n := st.packed.pack(s)
	class := 0
	for st.states[class].size < n {
		class++
	}
	if to.base != 0 && int(to.base>>baseBits) != class {
		st.release(to.base)
		to.base = 0
	}
	if to.base == 0 {
		to.base = st.alloc(class)
	}
	copy(st.words(to.base), st.packed[:n])
	to.lag &= baseMask
}

// drop forgets the slot's base and what waits for it.
func (st *baseStore) drop(s *slot) {
	if s.base != 0 {
		st.release(s.base)
	}
	if s.lag != 0 {
		st.lags.release(s.lag & baseMask)
	}
	s.base, s.lag = 0, 0
}

// lagging are the entries that wait for the slot's base, the oldest first.
func (st *baseStore) lagging(s *slot) []entry {
	if s.lag>>baseBits == 0 {
		return nil
	}
	return st.lags.at(s.lag & baseMask)[:s.lag>>baseBits]
}

// wait lets e wait for the slot's base; false when there is no room.
func (st *baseStore) wait(s *slot, e *entry) bool {
	n := s.lag >> baseBits
	if n == lagLen {
		return false
	}
	if s.lag == 0 {
		s.lag = st.lags.alloc()
	}
	st.lags.at(s.lag & baseMask)[n] = *e
	s.lag = s.lag&baseMask | (n+1)<<baseBits
	return true
}

func (st *baseStore) bytes() int64 {
	n := st.lags.chunkCount() * lagLen * int64(unsafe.Sizeof(entry{}))
	for i := range st.states {
		n += st.states[i].values() * 8
	}
	return n
}

// settled writes to base what has left the slot's window.
func (t *Table) settled(s *slot, base *state) {
	if s.base != 0 {
		unpack(base, t.bases.words(s.base))
	} else {
		*base = state{}
	}
	waiting := t.bases.lagging(s)
	for i := range waiting {
		t.machine.step(base, &waiting[i], nil)
	}
}

// leave takes the entry that leaves the slot's window.
func (t *Table) leave(s *slot, e *entry) {
	if t.bases.wait(s, e) {
		return
	}
	t.settled(s, &t.scratchBase)
	t.machine.step(&t.scratchBase, e, nil)
	t.bases.put(s, &t.scratchBase)
}
