package conversation

import (
	"slices"
	"unsafe"
)

// window is a conversation's entries in their order, with room for one more than it keeps. It is
// the table's scratch: a slot keeps the same in the smallest class that fits.
type window struct {
	n       int
	entries [windowLen + 1]entry
	seqs    [windowLen + 1]int64 // meaningful where the entry has flagSeq
	byTime  bool                 // an event came without seq: for ever by (time, rank, hash)
}

// toTimeOrder sorts the entries by time once, when the first event without a seq comes.
func (w *window) toTimeOrder() {
	w.byTime = true
	for i := 1; i < w.n; i++ {
		for j := i; j > 0 && w.entries[j].before(&w.entries[j-1]); j-- {
			w.entries[j], w.entries[j-1] = w.entries[j-1], w.entries[j]
			w.seqs[j], w.seqs[j-1] = w.seqs[j-1], w.seqs[j]
		}
	}
}

// position is where e belongs.
func (w *window) position(e *entry, seq int64) int {
	at := w.n
	for at > 0 {
		if w.byTime && !e.before(&w.entries[at-1]) || !w.byTime && seq >= w.seqs[at-1] {
			break
		}
		at--
	}
	return at
}

// duplicateOf is the place of an entry with the id or the seq of e, −1 when there is none.
func (w *window) duplicateOf(e *entry, seq int64) int {
	hasSeq := e.has(flagSeq)
	for i := range w.entries[:w.n] {
		o := &w.entries[i]
		if o.id == e.id || hasSeq && o.has(flagSeq) && w.seqs[i] == seq {
			return i
		}
	}
	return -1
}

func (w *window) insert(at int, e *entry, seq int64) {
	copy(w.entries[at+1:w.n+1], w.entries[at:w.n])
	copy(w.seqs[at+1:w.n+1], w.seqs[at:w.n])
	w.entries[at], w.seqs[at] = *e, seq
	w.n++
}

// dropFirst forgets the oldest entry, which the base has taken in.
func (w *window) dropFirst() {
	copy(w.entries[:w.n-1], w.entries[1:w.n])
	copy(w.seqs[:w.n-1], w.seqs[1:w.n])
	w.n--
}

func (w *window) anySeq() bool {
	return slices.ContainsFunc(w.entries[:w.n], func(e entry) bool { return e.has(flagSeq) })
}

// slot is what a table keeps of a conversation beside its entries and its base.
type slot struct {
	key      Key
	conv     place  // conversation id as it may leave the process
	tenant   uint32 // word
	owner    uint32 // word: customer key of the first event that had one; see flagOwner
	ownerSum uint64 // its hash, keyed anew in every process
	revision uint32 // grows with each arrival that changed a fact
	entries  uint32 // in the slab of its class
	seqs     uint32 // the same, 0 = no entry carries a seq
	base     uint32 // in the store of bases, 0 = none yet
	lag      uint32 // the same: entries that have left the window, 0 = none ever
	touched  uint32 // 1 + place in the table's list of the transaction, 0 = clean
	timer    int64  // when the earliest promise is due, 0 = none; see timers
	fired    int64  // latest due time that the watermark has passed
	hour     uint32 // of the latest arrival, since 1970: what state.keep will look at
	class    uint8
	n        uint8
	byTime   bool
	backfill bool // what arrived last was imported
}

// windowLens are the sizes that a slot's window may have, by class.
func windowLens() []int { return []int{2, 4, 6, 8, 12, windowLen} }

// entryStore keeps windows by class.
type entryStore struct {
	windows []runs[entry]
	numbers []runs[int64] // seqs
}

func newEntryStore() entryStore {
	return entryStore{windows: newRuns[entry](windowLens()), numbers: newRuns[int64](windowLens())}
}

func (st *entryStore) entries(class uint8, id uint32) []entry { return st.windows[class].at(id) }

func (st *entryStore) seqs(class uint8, id uint32) []int64 { return st.numbers[class].at(id) }

func (st *entryStore) release(s *slot) {
	if s.entries != 0 {
		st.windows[s.class].release(s.entries)
	}
	if s.seqs != 0 {
		st.numbers[s.class].release(s.seqs)
	}
	s.entries, s.seqs = 0, 0
}

// load copies the slot's entries into w.
func (st *entryStore) load(s *slot, w *window) {
	w.n, w.byTime = int(s.n), s.byTime
	if s.entries == 0 {
		return
	}
	copy(w.entries[:w.n], st.entries(s.class, s.entries))
	if s.seqs != 0 {
		copy(w.seqs[:w.n], st.seqs(s.class, s.seqs))
	}
}

// save writes w back, in the smallest class that fits.
func (st *entryStore) save(s *slot, w *window) {
	class := uint8(0)
	for w.n > st.windows[class].size {
		class++
	}
	if s.entries != 0 && class < s.class {
		class = s.class
	}
	if s.entries == 0 || class != s.class {
		st.release(s)
		s.class = class
		s.entries = st.windows[class].alloc()
	}
	if s.seqs == 0 && w.anySeq() {
		s.seqs = st.numbers[class].alloc()
	}
	s.n, s.byTime = uint8(w.n), w.byTime
	copy(st.entries(class, s.entries), w.entries[:w.n])
	if s.seqs != 0 {
		copy(st.seqs(class, s.seqs), w.seqs[:w.n])
	}
}

func (st *entryStore) bytes() int64 {
	n := int64(0)
	for i := range st.windows {
		n += st.windows[i].values()*int64(unsafe.Sizeof(entry{})) + st.numbers[i].values()*8
	}
	return n
}
