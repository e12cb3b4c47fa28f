package conversation

import (
	"hash/maphash"
	"unicode/utf8"
	"unsafe"
)

// Limits of what is interned: a string is cut, a table that is full answers 0 (the empty string,
// the empty tuple) and counts it, so hostile values cost memory only up to here.
const (
	stringBytesMax  = 128
	stringsMax      = 1 << 24
	tuplesMax       = 1<<24 - 1 // an entry has 24 bits for its dimensions
	arenaChunkBytes = 1 << 16
)

// arena keeps byte strings in chunks that are never moved or freed.
type arena struct {
	chunks [][]byte
}

// place is where a string lies: chunk<<24 | offset<<8 | length.
type place uint64

func (a *arena) add(b []byte) place {
	if len(b) == 0 {
		return 0
	}
	n := len(a.chunks)
	if n == 0 || len(a.chunks[n-1])+len(b) > arenaChunkBytes {
		a.chunks = append(a.chunks, make([]byte, 0, arenaChunkBytes))
		n++
	}
	at := len(a.chunks[n-1])
	a.chunks[n-1] = append(a.chunks[n-1], b...)
	return place(n-1)<<24 | place(at)<<8 | place(len(b))
}

// str is the string at p, without copying: arena bytes never change.
func (a *arena) str(p place) string {
	n := int(p & 0xff)
	if n == 0 {
		return ""
	}
	return unsafe.String(&a.chunks[p>>24][p>>8&0xffff], n)
}

// raw is the bytes at p, to be read only.
func (a *arena) raw(p place) []byte {
	n := int(p & 0xff)
	if n == 0 {
		return nil
	}
	at := int(p >> 8 & 0xffff)
	return a.chunks[p>>24][at : at+n]
}

func (a *arena) bytes() int64 { return int64(len(a.chunks)) * arenaChunkBytes }

// cut bounds b to stringBytesMax without splitting a character.
func cut(b []byte) []byte {
	if len(b) <= stringBytesMax {
		return b
	}
	n := stringBytesMax
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// words numbers strings, 0 being the empty one. Numbers are this process's own: they are compared
// for equality only and never leave it.
type words struct {
	arena     arena
	index     index
	places    []place
	max       int
	seed      maphash.Seed
	overflows int64
}

func newWords() words {
	return words{seed: maphash.MakeSeed(), places: make([]place, 1), max: stringsMax}
}

func (w *words) number(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	b = cut(b)
	h := maphash.Bytes(w.seed, b)
	p := w.index.probe(h)
	for id := p.next(); id != 0; id = p.next() {
		if w.str(id) == string(b) {
			return id
		}
	}
	if len(w.places) >= w.max {
		w.overflows++
		return 0
	}
	id := uint32(len(w.places))
	w.places = append(w.places, w.arena.add(b))
	w.index.insert(h, id)
	return id
}

// numberString is number for a string, which is only read.
func (w *words) numberString(s string) uint32 {
	return w.number(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func (w *words) str(id uint32) string { return w.arena.str(w.places[id]) }

// raw is str as bytes, to be read only.
func (w *words) raw(id uint32) []byte { return w.arena.raw(w.places[id]) }

func (w *words) bytes() int64 {
	return w.arena.bytes() + w.index.bytes() + int64(cap(w.places))*8
}

// tuple is six numbers that are kept once: the dimensions of an event, the target of a move, an
// actor, a decision, a rating. What the six mean is said where they are made.
type tuple [6]uint32

// tuples numbers tuples, 0 being the empty one.
type tuples struct {
	slab      slab[tuple]
	index     index
	max       uint32
	seed      maphash.Seed
	overflows int64
}

func newTuples() tuples { return tuples{seed: maphash.MakeSeed(), max: tuplesMax} }

func (t *tuples) number(v tuple) uint32 {
	if v == (tuple{}) {
		return 0
	}
	h := maphash.Bytes(t.seed, unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)))
	p := t.index.probe(h)
	for id := p.next(); id != 0; id = p.next() {
		if *t.slab.at(id) == v {
			return id
		}
	}
	if t.slab.used >= t.max {
		t.overflows++
		return 0
	}
	id := t.slab.alloc()
	*t.slab.at(id) = v
	t.index.insert(h, id)
	return id
}

func (t *tuples) get(id uint32) tuple {
	if id == 0 {
		return tuple{}
	}
	return *t.slab.at(id)
}

func (t *tuples) bytes() int64 {
	return t.slab.chunkCount()*int64(unsafe.Sizeof(tuple{})) + t.index.bytes()
}

// dimsCache finds the tuple of an event's dimensions by a 128-bit hash of their bytes, keyed anew
// in every process: two places in memory instead of two for each name and two for the tuple.
type dimsCache struct {
	seeds [2]maphash.Seed
	index index
	seals slab[seal]
	buf   []byte
}

type seal struct {
	hash uint64 // the second hash; the index compares half of the first
	id   uint32 // tuple
	half uint32 // the other half
}

func newDimsCache() dimsCache {
	return dimsCache{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

func (d *dimsCache) number(w *words, t *tuples, fields *[6][]byte) uint32 {
	d.buf = d.buf[:0]
	any := 0
	for _, f := range fields {
		f = cut(f)
		any += len(f)
		d.buf = append(append(d.buf, byte(len(f))), f...)
	}
	if any == 0 {
		return 0
	}
	h, second := maphash.Bytes(d.seeds[0], d.buf), maphash.Bytes(d.seeds[1], d.buf)
	p := d.index.probe(h)
	for n := p.next(); n != 0; n = p.next() {
		if s := d.seals.at(n); s.hash == second && s.half == uint32(h) {
			return s.id
		}
	}
	lost := w.overflows + t.overflows
	var v tuple
	for i, f := range fields {
		v[i] = w.number(f)
	}
	id := t.number(v)
	if w.overflows+t.overflows == lost { // else it is not remembered, and counted again
		n := d.seals.alloc()
		*d.seals.at(n) = seal{hash: second, id: id, half: uint32(h)}
		d.index.insert(h, n)
	}
	return id
}

// sum is the hash by which a slot knows its customer again.
func (d *dimsCache) sum(customer []byte) uint64 {
	return maphash.Bytes(d.seeds[0], cut(customer))
}

func (d *dimsCache) bytes() int64 {
	return d.seals.chunkCount()*int64(unsafe.Sizeof(seal{})) + d.index.bytes()
}
