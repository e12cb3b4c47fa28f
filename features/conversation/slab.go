package conversation

// chunkBits sets how many elements a slab's chunk holds: small enough that an idle partition costs
// little, large enough that a million conversations are a few thousand allocations.
const chunkBits = 8

const chunkLen = 1 << chunkBits

// slab is a chunked arena of equal elements addressed by number, 1-based: 0 means none. It grows by
// whole chunks and never moves an element, so growth is no pause and a *T stays valid.
type slab[T any] struct {
	chunks []*[chunkLen]T
	used   uint32
	free   []uint32
}

func (s *slab[T]) alloc() uint32 {
	if n := len(s.free); n > 0 {
		id := s.free[n-1]
		s.free = s.free[:n-1]
		return id
	}
	if int(s.used)>>chunkBits == len(s.chunks) {
		s.chunks = append(s.chunks, new([chunkLen]T))
	}
	s.used++
	return s.used
}

func (s *slab[T]) at(id uint32) *T {
	i := id - 1
	return &s.chunks[i>>chunkBits][i&(chunkLen-1)]
}

// release clears the element, so that alloc always hands out a zero one.
func (s *slab[T]) release(id uint32) {
	var zero T
	*s.at(id) = zero
	s.free = append(s.free, id)
}

func (s *slab[T]) chunkCount() int64 { return int64(len(s.chunks)) * chunkLen }

// runs is a slab whose elements are runs of so many values. The zero value has no size: see newRuns.
type runs[T any] struct {
	size   int
	chunks [][]T
	used   uint32
	free   []uint32
}

// newRuns makes a store of runs by class.
func newRuns[T any](sizes []int) []runs[T] {
	classes := make([]runs[T], len(sizes))
	for i, size := range sizes {
		classes[i].size = size
	}
	return classes
}

func (r *runs[T]) alloc() uint32 {
	if n := len(r.free); n > 0 {
		id := r.free[n-1]
		r.free = r.free[:n-1]
		return id
	}
	if int(r.used)>>chunkBits == len(r.chunks) {
		r.chunks = append(r.chunks, make([]T, chunkLen*r.size))
	}
	r.used++
	return r.used
}

func (r *runs[T]) at(id uint32) []T {
	i := int(id - 1)
	from := i & (chunkLen - 1) * r.size
	return r.chunks[i>>chunkBits][from : from+r.size]
}

func (r *runs[T]) release(id uint32) {
	clear(r.at(id))
	r.free = append(r.free, id)
}

// values is how many values there is room for.
func (r *runs[T]) values() int64 { return int64(len(r.chunks)) * chunkLen * int64(r.size) }

// indexSegments splits an index so that growing it is a short pause however large it is.
const indexSegments = 256

// segmentCellsMin is the size of a segment that holds anything; a power of two.
const segmentCellsMin = 8

// index finds a number by hash: open addressing with linear probing in segments that double one by
// one. A cell is tag<<32 | number; the caller compares what the number stands for.
type index struct {
	segments [indexSegments]segment
	count    int
}

type segment struct {
	cells []uint64
	used  int
}

func (x *index) reserve(n int) {
	size := segmentCellsMin
	for size*3/4 < n/indexSegments {
		size *= 2
	}
	for i := range x.segments {
		x.segments[i].cells = make([]uint64, size)
	}
}

// probe starts a search for h: call next until it says no more.
func (x *index) probe(h uint64) probe {
	seg := &x.segments[h%indexSegments]
	tag := uint32(h >> 32)
	return probe{cells: seg.cells, tag: tag, at: tag}
}

type probe struct {
	cells []uint64
	tag   uint32
	at    uint32
}

// next returns the next number whose tag equals, 0 when there is none.
func (p *probe) next() uint32 {
	if len(p.cells) == 0 {
		return 0
	}
	mask := uint32(len(p.cells) - 1)
	for {
		cell := p.cells[p.at&mask]
		p.at++
		if cell == 0 {
			return 0
		}
		if uint32(cell>>32) == p.tag {
			return uint32(cell)
		}
	}
}

// insert adds number under h; the caller has looked that it is not there.
func (x *index) insert(h uint64, number uint32) {
	seg := &x.segments[h%indexSegments]
	if seg.used*4 >= len(seg.cells)*3 {
		seg.grow()
	}
	seg.put(h>>32<<32 | uint64(number))
	seg.used++
	x.count++
}

func (s *segment) put(cell uint64) {
	mask := uint32(len(s.cells) - 1)
	at := uint32(cell >> 32)
	for s.cells[at&mask] != 0 {
		at++
	}
	s.cells[at&mask] = cell
}

func (s *segment) grow() {
	old := s.cells
	s.cells = make([]uint64, max(segmentCellsMin, 2*len(old)))
	for _, cell := range old {
		if cell != 0 {
			s.put(cell)
		}
	}
}

// remove takes number under h out and closes the gap, so that probes need no tombstones.
func (x *index) remove(h uint64, number uint32) {
	seg := &x.segments[h%indexSegments]
	mask := uint32(len(seg.cells) - 1)
	hole := uint32(h >> 32)
	for uint32(seg.cells[hole&mask]) != number {
		hole++
	}
	for at := hole + 1; seg.cells[at&mask] != 0; at++ {
		home := uint32(seg.cells[at&mask] >> 32)
		if (at-home)&mask >= (at-hole)&mask {
			seg.cells[hole&mask] = seg.cells[at&mask]
			hole = at
		}
	}
	seg.cells[hole&mask] = 0
	seg.used--
	x.count--
}

func (x *index) bytes() int64 {
	n := 0
	for i := range x.segments {
		n += len(x.segments[i].cells)
	}
	return int64(n) * 8
}
