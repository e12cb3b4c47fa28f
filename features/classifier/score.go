package classifier

import (
	"encoding/binary"
	"math"

	"usher/features"
)

// Scores is the answer to one message: one entry per head. It owns its buffers; one per worker,
// made by NewScores, filled by Score, valid until the next Score.
type Scores struct {
	Heads      []HeadScores
	KnownShare float64 // share of the text's features that the model knows, 4 decimals

	sums  []int32  // one per column
	lanes []uint64 // four columns each, see sumEights
	found []found
}

// HeadScores are the probabilities of one head's labels, rounded to 4 decimals, the index of the
// best (the first of equals), and how much the text is like the training text, 0 to 1.
type HeadScores struct {
	Probs []float64
	Best  int
	Scope float64

	logits []float64
}

// NewScores makes room for the answers of m.
func (m *Model) NewScores() *Scores {
	s := &Scores{sums: make([]int32, m.meta.Stride), lanes: make([]uint64, m.meta.Stride/8*2),
		Heads: make([]HeadScores, len(m.meta.Heads))}
	for i := range m.meta.Heads {
		n := len(m.meta.Heads[i].Labels)
		s.Heads[i] = HeadScores{Probs: make([]float64, n), logits: make([]float64, n)}
	}
	return s
}

// scoreSteps: probabilities have 4 decimals (CONTRACT section 3).
const scoreSteps = 10000

// Score computes out from v. The vector must come from an Extractor with m.Features().
func (m *Model) Score(v *features.Vector, out *Scores) {
	known := m.accumulate(v, out)
	out.KnownShare = 0
	if v.Text > 0 {
		out.KnownShare = round4(float64(known) / float64(v.Text))
	}
	norm := 0.0
	if v.Square > 0 {
		norm = 1 / math.Sqrt(float64(v.Square))
	}
	for i := range m.meta.Heads {
		m.meta.Heads[i].finish(out.sums, norm, out.KnownShare, &out.Heads[i])
	}
}

// Logits are the head's values before the temperature, of the last Score. The trainer fits the
// temperature on them.
func (h *HeadScores) Logits() []float64 { return h.logits }

// accumulate adds the rows of the features that are known and counts those of the text. It finds
// all rows first, so that the processor waits for several cache lines at once.
func (m *Model) accumulate(v *features.Vector, out *Scores) (known int) {
	out.found = out.found[:0]
	for i, key := range v.Keys {
		if row := m.row(key); row >= 0 {
			out.found = append(out.found, found{row: uint32(row), count: uint32(v.Counts[i])})
		}
		if i == v.Text-1 {
			known = len(out.found)
		}
	}
	clear(out.sums)
	switch stride := m.meta.Stride; {
	case stride == 4:
		sumFour(m.rows, out)
	case stride%8 == 0:
		sumEights(m.rows, stride, out)
	default:
		sumPlain(m.rows, stride, out)
	}
	return known
}

// found is a known feature: its row and how often it occurs.
type found struct{ row, count uint32 }

// sumPlain is for the strides that no trainer writes. Counts are at most 15 and a text has at most
// 2^18 features: 127·15·2^18 < 2^31.
func sumPlain(rows []byte, stride int, out *Scores) {
	for _, f := range out.found {
		at := int(f.row) * stride
		for c, w := range rows[at : at+stride] {
			out.sums[c] += int32(int8(w)) * int32(f.count)
		}
	}
}

// The sums below hold four 16-bit lanes in a uint64. Weights are taken as w + 128, 0 to 255, so that
// no lane borrows from its neighbour; after occurrences of at most laneRoom the lanes are spilled
// into 32 bits, and what was added too much is taken off again.
const (
	flip     = 0x8080808080808080 // w + 128, for eight weights at once
	lanes    = 0x00ff00ff00ff00ff // every other byte
	laneRoom = 65535 / 255
)

// sumFour is for rows of four columns: up to four labels.
func sumFour(rows []byte, out *Scores) {
	var acc uint64
	var used uint32
	for _, f := range out.found {
		if used+f.count > laneRoom {
			spillFour(acc, used, out.sums)
			acc, used = 0, 0
		}
		used += f.count
		x := uint64(binary.LittleEndian.Uint32(rows[int(f.row)*4:]) ^ flip&0xffffffff)
		acc += (x&0x00ff00ff | x>>8&0x00ff00ff<<32) * uint64(f.count)
	}
	spillFour(acc, used, out.sums)
}

// spillFour adds the lanes, which hold the columns 0, 2, 1, 3.
func spillFour(acc uint64, used uint32, sums []int32) {
	for c, shift := range [4]int{0, 32, 16, 48} {
		sums[c] += int32(acc>>shift&0xffff) - int32(128*used)
	}
}

// sumEights is for rows of a multiple of eight columns.
func sumEights(rows []byte, stride int, out *Scores) {
	acc := out.lanes
	clear(acc)
	var used uint32
	for _, f := range out.found {
		if used+f.count > laneRoom {
			spillEights(acc, used, out.sums)
			used = 0
		}
		used += f.count
		n := uint64(f.count)
		row := rows[int(f.row)*stride : int(f.row)*stride+stride]
		for j := 0; j+2 <= len(acc) && len(row) >= 8; j += 2 {
			x := binary.LittleEndian.Uint64(row) ^ flip
			acc[j] += x & lanes * n
			acc[j+1] += x >> 8 & lanes * n
			row = row[8:]
		}
	}
	spillEights(acc, used, out.sums)
}

// spillEights adds the lanes to the sums and empties them: acc[2j] holds the columns 0, 2, 4, 6 of
// the j-th eight, acc[2j+1] the others.
func spillEights(acc []uint64, used uint32, sums []int32) {
	for i, lane := range acc {
		at := i/2*8 + i%2
		for c := range 4 {
			sums[at+2*c] += int32(lane>>(16*c)&0xffff) - int32(128*used)
		}
	}
	clear(acc)
}

// row finds a feature's row, or −1. A foreign feature is taken for a known one only if its
// fingerprint is the same, once in four thousand million per slot probed.
func (m *Model) row(key uint64) int {
	mask := uint64(m.meta.Slots - 1)
	for at := key & mask; ; at = (at + 1) & mask {
		slot := binary.LittleEndian.Uint64(m.table[at*slotBytes:])
		if uint32(slot) == 0 {
			return -1
		}
		if slot>>32 == key>>32 {
			return int(uint32(slot)) - 1
		}
	}
}

func (h *HeadMeta) finish(sums []int32, norm, known float64, out *HeadScores) {
	out.Scope = 1
	if h.KnownTypical > 0 {
		out.Scope = round4(min(1, known/h.KnownTypical))
	}
	out.Best = 0
	for i := range h.Labels {
		l := float64(float64(sums[h.From+i])*(h.Scale*norm)) + h.Bias[i]
		out.logits[i] = l
		if l > out.logits[out.Best] {
			out.Best = i
		}
	}
	if h.Kind == OneVsAll {
		for i, l := range out.logits {
			out.Probs[i] = round4(1 / (1 + Exp(-l/h.Temperature)))
		}
		return
	}
	softmax(out.logits, h.Temperature, out.Probs)
	for i, p := range out.Probs {
		out.Probs[i] = round4(p)
	}
	// Two logits that differ may round to one probability: the first of equals is the best.
	for i, p := range out.Probs {
		if p == out.Probs[out.Best] {
			out.Best = i
			break
		}
	}
}

func softmax(logits []float64, temperature float64, probs []float64) {
	top := math.Inf(-1)
	for _, l := range logits {
		top = max(top, l)
	}
	total := 0.0
	for i, l := range logits {
		probs[i] = Exp((l - top) / temperature)
		total += probs[i]
	}
	for i := range probs {
		probs[i] /= total
	}
}

func round4(p float64) float64 { return math.Round(p*scoreSteps) / scoreSteps }

// Exp is e to the x by a polynomial, within 1e-9 of math.Exp (relative), for x from −700 to 700;
// below that it is 0. It is several times faster, and the same on every processor: every product is
// rounded on its own, so no compiler fuses it into an addition.
func Exp(x float64) float64 {
	const (
		log2e = 1 / math.Ln2
		ln2Hi = 6.93147180369123816490e-01 // ln 2 in two parts, so that x − n·ln 2 stays exact
		ln2Lo = 1.90821492927058770002e-10
	)
	switch {
	case math.IsNaN(x):
		return x
	case x < -700:
		return 0
	case x > 700:
		x = 700
	}
	n := math.Floor(float64(x*log2e) + 0.5)
	r := x - float64(n*ln2Hi)
	r -= float64(n * ln2Lo)
	// Taylor to the 9th power on |r| ≤ ln 2 / 2: the rest is below 0.35^10/10! = 8e-12.
	p := 1.0 / 362880
	for _, c := range [...]float64{1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6,
		0.5, 1, 1} {
		p = float64(p*r) + c
	}
	return p * math.Float64frombits(uint64(int64(n)+1023)<<52)
}
