package features

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// Extractor turns texts into vectors. It owns its buffers: one per worker, no locks, and no
// allocation once they have grown to the longest text.
type Extractor struct {
	config  Config
	keys    hashKeys
	classes [tableRunes]uint16
	digest  *xxhash.Digest

	text   []byte   // normalised, padded for 8-byte loads
	tokens []token  // of text
	seen   []uint32 // open addressing: index into Vector.Keys plus one, 0 is empty
	mask   uint32   // of the part of seen that this text uses
}

// New makes an Extractor for a configuration.
func New(config Config) (*Extractor, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Extractor{config: config, keys: newHashKeys(config.Seed), classes: newClasses(),
		digest: xxhash.New()}, nil
}

// Config is the configuration that x was made with.
func (x *Extractor) Config() Config { return x.config }

// Canonical gives the text as features see it: normalised words between single spaces. Two texts
// with the same canonical form have the same features. The bytes are valid until the next call.
func (x *Extractor) Canonical(text []byte) []byte {
	x.normalise(text)
	end := len(x.text) - len(padding)
	if end <= 1 {
		return nil
	}
	return x.text[1 : end-1]
}

// Fill makes v the features of a text and, with the slots that the configuration switches on, of
// its conversation (nil: none known). It reports whether the text held any word.
func (x *Extractor) Fill(text []byte, c *Conversation, v *Vector) bool {
	v.Cut = x.normalise(text)
	// A text of b bytes has at most b 3-grams and b 4-grams, a token two word features.
	most := 2*len(x.text) + 2*len(x.tokens) + maxSlots + 1
	x.clear(most)
	if cap(v.Keys) < most {
		v.Keys, v.Counts = make([]uint64, 0, most), make([]uint8, 0, most)
	}
	v.Keys, v.Counts, v.Square = v.Keys[:0], v.Counts[:0], 0
	v.Keys = x.words(v.Keys)
	if x.config.CharMax > 0 {
		v.Keys = x.chars(v.Keys)
	}
	x.unite(v)
	v.Text = len(v.Keys)
	if c != nil && x.config.Slots != 0 {
		v.Keys = x.slots(c, v.Keys)
		x.unite(v)
	}
	return v.Text > 0
}

// clear makes room for n features, in a table at most a quarter full: a feature that meets another
// one costs the processor a wrong guess, which is dearer than clearing more.
func (x *Extractor) clear(n int) {
	size := 1 << bits.Len(uint(4*n))
	if size > len(x.seen) {
		x.seen = make([]uint32, size)
	} else {
		clear(x.seen[:size])
	}
	x.mask = uint32(size - 1)
}

// unite counts the keys of v that have no count yet and leaves each of them in v once, in the order
// in which they came. Doing this after all hashes keeps both loops short and in registers.
func (x *Extractor) unite(v *Vector) {
	n := len(v.Counts) // united before
	keys, counts := v.Keys, v.Counts[:len(v.Keys)]
	seen := x.seen[:x.mask+1]
	square := len(v.Keys) - n // the first occurrence of each; what a cap leaves out is taken off
	for _, key := range keys[n:] {
		at := int(key) & (len(seen) - 1)
		for seen[at] != 0 && keys[seen[at]-1] != key {
			at = (at + 1) & (len(seen) - 1)
		}
		if i := seen[at]; i == 0 {
			keys[n], counts[n] = key, 1
			n++
			seen[at] = uint32(n)
		} else if c := int(counts[i-1]); c < x.config.TermCap {
			counts[i-1]++
			square += 2 * c // (c+1)² − c², of which 1 is there
		} else {
			square--
		}
	}
	v.Keys, v.Counts = keys[:n], counts[:n]
	v.Square += square
}

// words adds each token and, with its borders, each pair of neighbours.
func (x *Extractor) words(to []uint64) []uint64 {
	if len(x.tokens) == 0 {
		return to
	}
	prev := x.keys.start
	for i := range x.tokens {
		h := x.word(x.tokens[i].start, x.tokens[i].end)
		to = append(to, h)
		if x.config.WordMax > 1 {
			to = append(to, x.pair(prev, h))
			prev = h
		}
	}
	if x.config.WordMax > 1 {
		to = append(to, x.pair(prev, x.keys.end))
	}
	return to
}

// The constants of XXH64 and the length from which it works in blocks.
const (
	prime1     = 0x9e3779b185ebca87
	prime2     = 0xc2b2ae3d27d4eb4f
	prime3     = 0x165667b19e3779f9
	prime4     = 0x85ebca77c2b2ae63
	prime5     = 0x27d4eb2f165667c5
	blockBytes = 32
)

// word is XXH64 of a token with the model's seed. Nearly all words are shorter than a block: for
// those it is written out here, because the streaming hash costs several times as much.
func (x *Extractor) word(start, end uint32) uint64 {
	b := x.text[start:end]
	if len(b) >= blockBytes {
		x.digest.ResetWithSeed(x.keys.word)
		_, _ = x.digest.Write(b) // never fails
		return x.digest.Sum64()
	}
	seed := x.keys.word // a variable: constants may not overflow, the arithmetic shall
	h := seed + prime5 + uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		k := bits.RotateLeft64(binary.LittleEndian.Uint64(b)*prime2, 31) * prime1
		h = bits.RotateLeft64(h^k, 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*prime1, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

func (x *Extractor) pair(a, b uint64) uint64 {
	return fold(a^x.keys.pair[0], bits.RotateLeft64(b, 32)^x.keys.pair[1])
}

// chars adds the character n-grams of every word, the space on either side included.
func (x *Extractor) chars(to []uint64) []uint64 {
	for _, t := range x.tokens {
		switch {
		case t.kind == single:
		case t.ascii:
			to = x.charsASCII(int(t.start)-1, int(t.end)+1, to)
		default:
			to = x.charsWide(int(t.start)-1, int(t.end)+1, to)
		}
	}
	return to
}

// charsASCII: one load holds the 3-gram and the 4-gram that begin at a byte.
func (x *Extractor) charsASCII(from, to int, out []uint64) []uint64 {
	g3, g4 := x.keys.gram[0], x.keys.gram[1]
	three, four := x.config.CharMin <= 3, x.config.CharMax >= 4
	text := x.text[from : to+loadBytes-3] // so that 8 bytes can be loaded at the last 3-gram
	for ; len(text) >= loadBytes; text = text[1:] {
		w := binary.LittleEndian.Uint64(text)
		if three {
			out = append(out, fold(w&(1<<24-1)^g3[0], g3[1]))
		}
		if four && len(text) > loadBytes {
			out = append(out, fold(w&(1<<32-1)^g4[0], g4[1]))
		}
	}
	return out
}

// loadBytes are read at once; the text's padding has room for it.
const loadBytes = 8

// charsWide walks with five markers, one per character border. An n-gram of up to 8 bytes (four
// letters of most alphabets) is one load, a longer one two.
func (x *Extractor) charsWide(from, to int, out []uint64) []uint64 {
	three, four := x.config.CharMin <= 3, x.config.CharMax >= 4
	a := from
	b := a + 1 // the border space is one byte
	c := x.next(b)
	d := x.next(c)
	for d <= to {
		if three {
			out = append(out, x.gram(a, d, &x.keys.gram[0]))
		}
		e := x.next(d)
		if four && d < to {
			out = append(out, x.gram(a, e, &x.keys.gram[1]))
		}
		if d == to {
			break
		}
		a, b, c, d = b, c, d, e
	}
	return out
}

// next is the start of the character after the one at i; x.text is valid UTF-8.
func (x *Extractor) next(i int) int {
	switch c := x.text[i]; {
	case c < utf8.RuneSelf:
		return i + 1
	case c < 0xe0:
		return i + 2
	case c < 0xf0:
		return i + 3
	}
	return i + 4
}

func (x *Extractor) gram(from, to int, k *[3]uint64) uint64 {
	n := uint(to - from)
	w := binary.LittleEndian.Uint64(x.text[from:])
	if n <= 8 {
		return fold(w&(1<<(8*n)-1)^k[0], k[1]) // a shift by 64 gives 0, the mask is then full
	}
	rest := binary.LittleEndian.Uint64(x.text[from+8:]) & (1<<(8*(n-8)) - 1)
	return fold(fold(w^k[0], k[1])^k[2], rest|1<<63)
}

// maxSlots is how many slots can be on at once.
const maxSlots = 8

// slots adds one hashed feature per slot that is on and known.
func (x *Extractor) slots(c *Conversation, to []uint64) []uint64 {
	on := func(slot Slot, value int64) {
		if x.config.Slots&slot != 0 && value != 0 {
			to = append(to, fold(fold(uint64(slot)^x.keys.slot[0], x.keys.slot[1]),
				uint64(value)^x.keys.slot[1]))
		}
	}
	on(SlotTurn, bucket(int64(c.Turn)))
	on(SlotWaiting, bucket(c.WaitingMS/60000))
	on(SlotRepeats, bucket(int64(c.Repeats)))
	on(SlotBusinessHours, int64(c.BusinessHours))
	if c.BotFailed {
		on(SlotBotFailed, 1)
	}
	on(SlotPrevLabel, x.hashString(c.PrevLabel))
	on(SlotChannel, x.hashBytes(c.Channel))
	on(SlotLang, x.hashBytes(c.Lang))
	return to
}

// bucket is the number of bits: 1, 2-3, 4-7 …; 0 stays 0, which is no feature.
func bucket(n int64) int64 { return int64(bits.Len64(uint64(max(n, 0)))) }

func (x *Extractor) hashString(s string) int64 {
	if s == "" {
		return 0
	}
	x.digest.ResetWithSeed(x.keys.word)
	_, _ = x.digest.WriteString(s)
	return int64(x.digest.Sum64())
}

func (x *Extractor) hashBytes(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	x.digest.ResetWithSeed(x.keys.word)
	_, _ = x.digest.Write(b)
	return int64(x.digest.Sum64())
}
