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
	v.Keys, v.Counts, v.Square = v.Keys[:0], v.Counts[:0], 0
	v.Cut = x.normalise(text)
	// A text of b bytes has at most b 3-grams and b 4-grams, a token two word features.
	x.clear(2*len(x.text) + 2*len(x.tokens) + maxSlots + 1)
	x.words(v)
	if x.config.CharMax > 0 {
		x.chars(v)
	}
	v.Text = len(v.Keys)
	if c != nil && x.config.Slots != 0 {
		x.slots(c, v)
	}
	v.Square += len(v.Keys) // the first occurrence of each; add counted the others
	return v.Text > 0
}

// clear makes room for n features, in a table at most half full.
func (x *Extractor) clear(n int) {
	size := 1 << bits.Len(uint(2*n))
	if size > len(x.seen) {
		x.seen = make([]uint32, size)
	} else {
		clear(x.seen[:size])
	}
	x.mask = uint32(size - 1)
}

// add counts one occurrence of a feature.
func (x *Extractor) add(key uint64, v *Vector) {
	for at := uint32(key) & x.mask; ; at = (at + 1) & x.mask {
		i := x.seen[at]
		if i == 0 {
			v.Keys = append(v.Keys, key)
			v.Counts = append(v.Counts, 1)
			x.seen[at] = uint32(len(v.Keys))
			return
		}
		if v.Keys[i-1] == key {
			if n := int(v.Counts[i-1]); n < x.config.TermCap {
				v.Counts[i-1]++
				v.Square += 2*n + 1 // (n+1)² − n²
			}
			return
		}
	}
}

// words adds each token and, with its borders, each pair of neighbours.
func (x *Extractor) words(v *Vector) {
	if len(x.tokens) == 0 {
		return
	}
	prev := x.keys.start
	for _, t := range x.tokens {
		x.digest.ResetWithSeed(x.keys.word)
		_, _ = x.digest.Write(x.text[t.start:t.end]) // never fails
		h := x.digest.Sum64()
		x.add(h, v)
		if x.config.WordMax > 1 {
			x.add(x.pair(prev, h), v)
			prev = h
		}
	}
	if x.config.WordMax > 1 {
		x.add(x.pair(prev, x.keys.end), v)
	}
}

func (x *Extractor) pair(a, b uint64) uint64 {
	return fold(a^x.keys.pair[0], bits.RotateLeft64(b, 32)^x.keys.pair[1])
}

// chars adds the character n-grams of every word, the space on either side included.
func (x *Extractor) chars(v *Vector) {
	for _, t := range x.tokens {
		switch {
		case t.kind == single:
		case t.ascii:
			x.charsASCII(int(t.start)-1, int(t.end)+1, v)
		default:
			x.charsWide(int(t.start)-1, int(t.end)+1, v)
		}
	}
}

// charsASCII: one load holds the 3-gram and the 4-gram that begin at a byte.
func (x *Extractor) charsASCII(from, to int, v *Vector) {
	g3, g4 := &x.keys.gram[0], &x.keys.gram[1]
	three, four := x.config.CharMin <= 3, x.config.CharMax >= 4
	for i := from; i+3 <= to; i++ {
		w := binary.LittleEndian.Uint64(x.text[i:])
		if three {
			x.add(fold(w&(1<<24-1)^g3[0], g3[1]), v)
		}
		if four && i+4 <= to {
			x.add(fold(w&(1<<32-1)^g4[0], g4[1]), v)
		}
	}
}

// charsWide walks with five markers, one per character border. An n-gram of up to 8 bytes (four
// letters of most alphabets) is one load, a longer one two.
func (x *Extractor) charsWide(from, to int, v *Vector) {
	three, four := x.config.CharMin <= 3, x.config.CharMax >= 4
	a := from
	b := a + 1 // the border space is one byte
	c := x.next(b)
	d := x.next(c)
	for d <= to {
		if three {
			x.add(x.gram(a, d, &x.keys.gram[0]), v)
		}
		e := x.next(d)
		if four && d < to {
			x.add(x.gram(a, e, &x.keys.gram[1]), v)
		}
		if d == to {
			return
		}
		a, b, c, d = b, c, d, e
	}
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
func (x *Extractor) slots(c *Conversation, v *Vector) {
	on := func(s Slot, value int64) {
		if x.config.Slots&s != 0 && value != 0 {
			x.add(fold(fold(uint64(s)^x.keys.slot[0], x.keys.slot[1]), uint64(value)^x.keys.slot[1]), v)
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
