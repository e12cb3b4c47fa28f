// Package features turns a message, and what is known of its conversation, into a sparse vector of
// hashed features: word 1-2-grams, character 3-4-grams and conversation slots. Training and
// scoring share this code, so a model never sees a text in another shape than the one it learned.
// It knows no clock, no Kafka and no flags.
package features

import (
	"fmt"
	"math/bits"
)

// The defaults of the recipe.
const (
	DefaultHeadBytes = 2048 // of a long text only the first 2 KiB
	DefaultTailBytes = 1024 // and the last 1 KiB are read
	DefaultTermCap   = 1    // a repeated n-gram counts once: stuffing buys no confidence
	maxInputBytes    = 64 << 10
	maxTermCap       = 15 // so that int8 weights × counts cannot overflow 32 bits
	minCharGram      = 3
	maxCharGram      = 4
)

// Slot names a feature of the conversation. A Config switches each on or off.
type Slot uint32

// The conversation slots.
const (
	SlotTurn Slot = 1 << iota
	SlotWaiting
	SlotPrevLabel
	SlotBotFailed
	SlotRepeats
	SlotBusinessHours
	SlotChannel
	SlotLang

	allSlots = SlotLang<<1 - 1
)

// Config fixes how a text becomes features. It is stored in the model file: a model only works
// with the configuration that it was trained with.
type Config struct {
	Seed      uint64 `json:"seed"`       // of every hash; the model's, never the process's
	HeadBytes int    `json:"head_bytes"` // read from the start of the text
	TailBytes int    `json:"tail_bytes"` // and from the end of a longer one
	TermCap   int    `json:"term_cap"`   // most that one n-gram counts
	CharMin   int    `json:"char_min"`   // shortest character n-gram: 3 or 4
	CharMax   int    `json:"char_max"`   // longest: 3 or 4; 0: no character n-grams
	WordMax   int    `json:"word_max"`   // 2: words and pairs, 1: words
	Slots     Slot   `json:"slots"`      // conversation slots that are switched on
}

// Default is the recipe with the given seed and no conversation slots.
func Default(seed uint64) Config {
	return Config{Seed: seed, HeadBytes: DefaultHeadBytes, TailBytes: DefaultTailBytes,
		TermCap: DefaultTermCap, CharMin: minCharGram, CharMax: maxCharGram, WordMax: 2}
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.HeadBytes < 1 || c.TailBytes < 0 || c.HeadBytes+c.TailBytes > maxInputBytes:
		return fmt.Errorf("cannot use feature configuration: head_bytes %d and tail_bytes %d; give at "+
			"least 1 and 0, together at most %d", c.HeadBytes, c.TailBytes, maxInputBytes)
	case c.TermCap < 1 || c.TermCap > maxTermCap:
		return fmt.Errorf("cannot use feature configuration: term_cap %d; give 1 to %d",
			c.TermCap, maxTermCap)
	case c.CharMax != 0 &&
		(c.CharMin < minCharGram || c.CharMax > maxCharGram || c.CharMin > c.CharMax):
		return fmt.Errorf("cannot use feature configuration: characters %d to %d; give %d to %d, or 0 "+
			"as the longest for none", c.CharMin, c.CharMax, minCharGram, maxCharGram)
	case c.WordMax < 1 || c.WordMax > 2:
		return fmt.Errorf("cannot use feature configuration: word_max %d; give 1 or 2", c.WordMax)
	case c.Slots&^allSlots != 0:
		return fmt.Errorf("cannot use feature configuration: slots %d has bits that this version does "+
			"not know; use a newer usher", c.Slots)
	}
	return nil
}

// Vector is a message as features: Keys[i] occurs Counts[i] times, at most Config.TermCap. Every
// key occurs once. It is filled anew by each Fill and valid until the next one.
type Vector struct {
	Keys   []uint64
	Counts []uint8
	Text   int  // the first Text keys come from the text, the others from the conversation
	Square int  // sum of the squared counts: the squared length of the vector
	Cut    bool // the text was longer than HeadBytes + TailBytes, its middle was not read
}

// Conversation is what slots are made of. The zero value of a member means unknown.
type Conversation struct {
	Turn          int
	WaitingMS     int64
	PrevLabel     string
	BotFailed     bool
	Repeats       int
	BusinessHours int8 // 0 unknown, 1 yes, −1 no
	Channel, Lang []byte
}

// keys of the hashes, all derived from the model's seed.
type hashKeys struct {
	word       uint64    // seed of xxhash64
	pair       [2]uint64 // of two word hashes
	gram       [2][3]uint64
	slot       [2]uint64
	start, end uint64 // stand for the borders of the text in pairs
}

func newHashKeys(seed uint64) hashKeys {
	s := seed
	next := func() uint64 { // splitmix64 (Steele, Lea, Flood 2014)
		s += 0x9e3779b97f4a7c15
		z := s
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	k := hashKeys{word: next(), pair: [2]uint64{next(), next()}}
	for i := range k.gram {
		k.gram[i] = [3]uint64{next(), next() | 1, next()}
	}
	k.slot = [2]uint64{next(), next() | 1}
	k.start, k.end = next(), next()
	return k
}

// fold multiplies to 128 bits and folds the halves: the "multiply-shift" of the character n-grams.
// Both halves are needed, because the table takes slots from the low bits and fingerprints from
// the high ones.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
