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

	sums  []int32 // one per column
	found []int   // where the rows of the known features begin
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
	s := &Scores{sums: make([]int32, m.meta.Stride),
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
	known = m.find(v.Keys[:v.Text], v.Counts, out)
	m.find(v.Keys[v.Text:], v.Counts[v.Text:], out)
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

// find lists where the rows of the known features begin, a row as often as its feature occurs, and
// says how many features are known. A foreign feature is taken for a known one only if its
// fingerprint is the same, once in four thousand million per slot probed.
func (m *Model) find(keys []uint64, counts []uint8, out *Scores) (known int) {
	table, found := m.table, out.found
	mask, stride := uint64(m.meta.Slots-1), m.meta.Stride
	for i, key := range keys {
		for at := key & mask; ; at = (at + 1) & mask {
			slot := binary.LittleEndian.Uint64(table[at*slotBytes:])
			if uint32(slot) == 0 {
				break
			}
			if slot>>32 == key>>32 {
				known++
				for range counts[i] {
					found = append(found, (int(uint32(slot))-1)*stride)
				}
				break
			}
		}
	}
	out.found = found
	return known
}

// sumPlain is for the strides that no trainer writes. A text has at most 2^18 features, each counted
// at most 15 times: 127·15·2^18 < 2^31.
func sumPlain(rows []byte, stride int, out *Scores) {
	for _, at := range out.found {
		for c, w := range rows[at : at+stride] {
			out.sums[c] += int32(int8(w))
		}
	}
}

// The sums below hold four 16-bit lanes in a uint64. Weights are taken as w + 128, 0 to 255, so that
// no lane borrows from its neighbour; after laneRoom rows the lanes are spilled into 32 bits, and
// what was added too much is taken off again.
const (
	flip     = 0x8080808080808080 // w + 128, for eight weights at once
	lanes    = 0x00ff00ff00ff00ff // every other byte
	laneRoom = 65535 / 255
)

// sumFour is for rows of four columns: up to four labels.
func sumFour(rows []byte, out *Scores) {
	for found := out.found; len(found) > 0; {
		part := found[:min(laneRoom, len(found))]
		found = found[len(part):]
		var even, odd uint32
		for _, at := range part {
			x := binary.LittleEndian.Uint32(rows[at:]) ^ flip&0xffffffff
			even += x & 0x00ff00ff
			odd += x >> 8 & 0x00ff00ff
		}
		much := int32(128 * len(part))
		out.sums[0] += int32(even&0xffff) - much
		out.sums[1] += int32(odd&0xffff) - much
		out.sums[2] += int32(even>>16) - much
		out.sums[3] += int32(odd>>16) - much
	}
}

// sumEights is for rows of a multiple of eight columns. It takes 32, then 16, then 8 columns of all
// rows at a time: the sums stay in registers, and the rows in the first cache. A sum pair holds the
// even columns in lanes of 16 bits and, beside it, everything shifted by a byte, which spill takes
// apart: that saves a mask for every eight weights.
func sumEights(rows []byte, stride int, out *Scores) {
	for found := out.found; len(found) > 0; {
		part := found[:min(laneRoom, len(found))]
		found = found[len(part):]
		c := 0
		for ; c+32 <= stride; c += 32 {
			sum32(rows[c:], part, out.sums[c:c+32])
		}
		if c+16 <= stride {
			sum16(rows[c:], part, out.sums[c:c+16])
			c += 16
		}
		if c < stride {
			sum8(rows[c:], part, out.sums[c:c+8])
		}
	}
}

func sum32(rows []byte, part []int, sums []int32) {
	var a, b, c, d, e, f, g, h uint64
	for _, at := range part {
		row := rows[at : at+32 : at+32]
		x, y := binary.LittleEndian.Uint64(row)^flip, binary.LittleEndian.Uint64(row[8:])^flip
		a += x & lanes
		b += x >> 8
		c += y & lanes
		d += y >> 8
		x, y = binary.LittleEndian.Uint64(row[16:])^flip, binary.LittleEndian.Uint64(row[24:])^flip
		e += x & lanes
		f += x >> 8
		g += y & lanes
		h += y >> 8
	}
	spill(a, b, len(part), sums[:8])
	spill(c, d, len(part), sums[8:16])
	spill(e, f, len(part), sums[16:24])
	spill(g, h, len(part), sums[24:32])
}

func sum16(rows []byte, part []int, sums []int32) {
	var a, b, c, d uint64
	for _, at := range part {
		row := rows[at : at+16 : at+16]
		x, y := binary.LittleEndian.Uint64(row)^flip, binary.LittleEndian.Uint64(row[8:])^flip
		a += x & lanes
		b += x >> 8
		c += y & lanes
		d += y >> 8
	}
	spill(a, b, len(part), sums[:8])
	spill(c, d, len(part), sums[8:16])
}

func sum8(rows []byte, part []int, sums []int32) {
	var a, b uint64
	for _, at := range part {
		x := binary.LittleEndian.Uint64(rows[at:]) ^ flip
		a += x & lanes
		b += x >> 8
	}
	spill(a, b, len(part), sums)
}

// spill adds the lanes of eight columns to their sums: even holds the columns 0, 2, 4 and 6, shifted
// the others and, a byte higher, the even ones from 2 on again. All is 128 too much per row.
func spill(even, shifted uint64, rows int, sums []int32) {
	odd := shifted - even&^0xffff>>8
	much := int32(128 * rows)
	_ = sums[7]
	for i := 0; i < 8; i += 2 {
		sums[i] += int32(even&0xffff) - much
		sums[i+1] += int32(odd&0xffff) - much
		even >>= 16
		odd >>= 16
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
	softmax(out.logits, out.logits[out.Best], h.Temperature, out.Probs)
	// Two logits that differ may round to one probability: the first of equals is the best.
	for i, p := range out.Probs[:out.Best] {
		if p == out.Probs[out.Best] {
			out.Best = i
			break
		}
	}
}

// softmax makes probs of logits, of which top is the highest.
func softmax(logits []float64, top, temperature float64, probs []float64) {
	total := 0.0
	inverse := 1 / temperature
	for i, l := range logits {
		e := exp(max((l-top)*inverse, -700))
		probs[i] = e
		total += e
	}
	share := scoreSteps / total
	for i, e := range probs {
		steps := float64(int(float64(e*share) + 0.5))
		if steps != 0 { // most labels are far off, and a division is dear
			steps /= scoreSteps
		}
		probs[i] = steps
	}
}

func round4(p float64) float64 { return math.Round(p*scoreSteps) / scoreSteps }

// Exp is e to the x by a polynomial, within 1e-9 of math.Exp (relative), for x from −700 to 700;
// below that it is 0. It is several times faster, and the same on every processor: every product is
// rounded on its own, so no compiler fuses it into an addition.
func Exp(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return x
	case x < -700:
		return 0
	case x > 700:
		x = 700
	}
	return exp(x)
}

// The parts of exp: ln 2 in two parts, so that x − n·ln 2 stays exact, and a number that is so large
// that adding it rounds to a whole one, which then lies in the lowest bits.
const (
	log2e = 1 / math.Ln2
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
	whole = 3 << 51
)

// exp is Exp for x that is known to be from −700 to 700.
func exp(x float64) float64 {
	shifted := float64(x*log2e) + whole
	n := shifted - whole
	r := x - float64(n*ln2Hi) - float64(n*ln2Lo)
	// Taylor to the 9th power on |r| ≤ ln 2 / 2: the rest is below 0.35^10/10! = 8e-12. Pairs of terms
	// are summed on their own, because a processor can do them at once.
	r2 := float64(r * r)
	r4 := float64(r2 * r2)
	low := 1 + r + float64(r2*(0.5+float64(r*(1.0/6))))
	mid := 1.0/24 + float64(r*(1.0/120)) + float64(r2*(1.0/720+float64(r*(1.0/5040))))
	high := 1.0/40320 + float64(r*(1.0/362880))
	p := low + float64(r4*(mid+float64(r4*high)))
	return p * math.Float64frombits((math.Float64bits(shifted)+1023)<<52)
}
