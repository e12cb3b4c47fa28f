package train

import (
	"math"
	"math/rand/v2"
)

// product learns the logits as a product: a message's features give a hidden vector of rank
// numbers, linear in them, and that gives the logits. Because nothing between is bent, the product
// of the two matrices is one ordinary row per feature, and that is what gets compiled. Labels that
// share features share directions, so that with many labels and few messages of each it
// generalises better than free rows do (half of the hidden numbers are dropped at each step).
type product struct {
	cfg          *Config
	set          *set
	labels, rank int

	in, inSquare   []float32 // per feature: rank numbers, one AdaGrad sum
	out, outSquare []float32 // per label
	bias           []float32
	biasSquare     float32

	probs, hidden, mask, back []float32
	dropper                   dropper
	rng                       *rand.Rand
}

func newProduct(cfg *Config, s *set, labels, rank int, seed uint64) *product {
	rng := rand.New(rand.NewPCG(seed, 0x70726f6475637473))
	p := &product{cfg: cfg, set: s, labels: labels, rank: rank,
		in: make([]float32, len(s.keys)*rank), inSquare: make([]float32, len(s.keys)),
		out: make([]float32, labels*rank), outSquare: make([]float32, labels),
		bias: make([]float32, labels), biasSquare: 1,
		probs: make([]float32, labels), hidden: make([]float32, rank),
		mask: make([]float32, rank), back: make([]float32, rank),
		dropper: dropper{rng: rng}, rng: rng}
	// One side starts at random, in rows of length one in the mean, the other at nothing: the first
	// logits are 0 and the first gradients are not.
	spread := 1 / math.Sqrt(float64(rank))
	for i := range p.in {
		p.in[i] = float32(rng.NormFloat64() * spread)
	}
	return p
}

func (p *product) parameters() [][]float32 { return [][]float32{p.in, p.out, p.bias} }
func (p *product) random() *rand.Rand      { return p.rng }

func (p *product) step(i int, rate float32) float64 {
	ids, values := p.dropper.drop(&p.set.docs[i], p.cfg.Dropout)
	r := p.rank
	clear(p.hidden)
	for n, id := range ids {
		axpy(p.hidden, p.in[int(id)*r:int(id)*r+r], values[n])
	}
	p.dropHidden()
	for c := range p.probs {
		p.probs[c] = p.bias[c] + dot(p.out[c*r:c*r+r], p.hidden)
	}
	loss := p.set.gradient(p.probs, i)
	p.learn(ids, values, rate)
	return loss
}

// dropHidden leaves hidden numbers out and makes up for it in the others.
func (p *product) dropHidden() {
	keep := 1 - p.cfg.HiddenDropout
	below := uint32(keep * (1<<32 - 1))
	for j := range p.mask {
		p.mask[j] = 0
		if p.cfg.HiddenDropout == 0 || p.rng.Uint32() <= below {
			p.mask[j] = float32(1 / keep)
		}
		p.hidden[j] *= p.mask[j]
	}
}

// learn takes the step: p.probs is the gradient of the logits, p.back becomes that of the hidden
// numbers, through the rows of the labels as they were before the step.
func (p *product) learn(ids []int32, values []float32, rate float32) {
	r := p.rank
	hiddenSquare := dot(p.hidden, p.hidden)
	clear(p.back)
	total := float32(0)
	for c, g := range p.probs {
		row := p.out[c*r : c*r+r]
		axpy(p.back, row, g)
		square := float32(g * g)
		total += square
		p.outSquare[c] += float32(square * hiddenSquare)
		axpy(row, p.hidden, -float32(rate*g)/root(p.outSquare[c]))
	}
	for j := range p.back {
		p.back[j] *= p.mask[j]
	}
	backSquare := dot(p.back, p.back)
	for n, id := range ids {
		x := values[n]
		p.inSquare[id] += float32(float32(x*x) * backSquare)
		axpy(p.in[int(id)*r:int(id)*r+r], p.back, -float32(rate*x)/root(p.inSquare[id]))
	}
	p.biasSquare += total
	axpy(p.bias, p.probs, -rate/root(p.biasSquare))
}

// weights multiplies the product out.
func (p *product) weights() *weights {
	r := p.rank
	w := &weights{labels: p.labels, w: make([]float32, len(p.set.keys)*p.labels), bias: p.bias}
	for id := range p.set.keys {
		row := w.w[id*p.labels : (id+1)*p.labels]
		for c := range row {
			row[c] = dot(p.in[id*r:id*r+r], p.out[c*r:c*r+r])
		}
	}
	return w
}
