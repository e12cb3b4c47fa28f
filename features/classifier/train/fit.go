package train

import (
	"math"
	"math/rand/v2"

	"usher/features/classifier"
)

// weights are one row of len(labels) per feature, then the bias row.
type weights struct {
	labels int
	w      []float32
	bias   []float32
}

// learner is a model while it learns.
type learner interface {
	step(i int, rate float32) float64 // learns from one message, returns its loss
	parameters() [][]float32          // what is averaged; changed in place
	weights() *weights                // of the parameters as they are
	random() *rand.Rand               // of order and dropout
}

// descend is stochastic gradient descent: a rate that falls linearly, and the mean of the parameters
// over the last third of the epochs. It runs on one core and depends on nothing but its arguments;
// other learners run beside it. after is called with each epoch's mean loss.
func descend(l learner, docs, epochs int, rate float64, after func(loss float64)) (*weights, float64) {
	order := make([]int, docs)
	for i := range order {
		order[i] = i
	}
	params := l.parameters()
	sums := make([][]float32, len(params))
	for i, p := range params {
		sums[i] = make([]float32, len(p))
	}
	from := epochs - (epochs+2)/3
	loss := 0.0
	for epoch := range epochs {
		l.random().Shuffle(docs, func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss = 0
		for n, i := range order {
			done := (float64(epoch) + float64(n)/float64(docs)) / float64(epochs)
			loss += l.step(i, float32(rate*(1-done)))
		}
		loss /= float64(docs)
		if epoch >= from {
			for i, p := range params {
				addTo(sums[i], p)
			}
		}
		after(loss)
	}
	scale := 1 / float32(epochs-from)
	for i, p := range params {
		for j, x := range sums[i] {
			p[j] = float32(x * scale)
		}
	}
	return l.weights(), loss
}

func addTo(to, from []float32) {
	for i, x := range from {
		to[i] += x
	}
}

// trainer is multinomial logistic regression (or, one against the rest, as many binary ones) with
// AdaGrad per feature row: one step size per row, not per weight, so rows of rare features move
// fast and a row costs one number. Every product is rounded to float32 on its own, so that no
// compiler fuses it into an addition and the same rows give the same weights on every processor.
type trainer struct {
	cfg    *Config
	set    *set
	labels int

	w, square  []float32
	bias       []float32
	biasSquare float32
	probs      []float32
	dropper    dropper
	rng        *rand.Rand
}

func newTrainer(cfg *Config, s *set, labels int, seed uint64) *trainer {
	rng := rand.New(rand.NewPCG(seed, 0x75736865722e7472))
	return &trainer{cfg: cfg, set: s, labels: labels,
		w: make([]float32, len(s.keys)*labels), square: make([]float32, len(s.keys)),
		bias: make([]float32, labels), biasSquare: 1,
		probs: make([]float32, labels), dropper: dropper{rng: rng}, rng: rng}
}

func (t *trainer) parameters() [][]float32 { return [][]float32{t.w, t.bias} }
func (t *trainer) random() *rand.Rand      { return t.rng }
func (t *trainer) weights() *weights {
	return &weights{labels: t.labels, w: t.w, bias: t.bias}
}

// epsilon keeps the first step of a row finite.
const epsilon = 1e-6

func (t *trainer) step(i int, rate float32) float64 {
	active, values := t.dropper.drop(&t.set.docs[i], t.cfg.Dropout)
	k := t.labels
	copy(t.probs, t.bias)
	for n, id := range active {
		axpy(t.probs, t.w[int(id)*k:int(id)*k+k], values[n])
	}
	loss := t.set.gradient(t.probs, i)
	length := dot(t.probs, t.probs)
	for n, id := range active {
		x := values[n]
		t.square[id] += float32(float32(length*x) * x)
		axpy(t.w[int(id)*k:int(id)*k+k], t.probs, -float32(rate*x)/root(t.square[id]))
	}
	t.biasSquare += length
	axpy(t.bias, t.probs, -rate/root(t.biasSquare))
	return loss
}

func root(square float32) float32 { return float32(math.Sqrt(float64(square + epsilon))) }

// dropper leaves each feature out with a probability and makes up for it in the others.
type dropper struct {
	rng    *rand.Rand
	active []int32   // features that are left
	values []float32 // of those
}

func (t *dropper) drop(d *doc, share float64) ([]int32, []float32) {
	t.active, t.values = t.active[:0], t.values[:0]
	keep := 1 - share
	below := uint32(keep * (1<<32 - 1))
	value := float32(float64(d.norm) / keep)
	for n, id := range d.ids {
		if share > 0 && t.rng.Uint32() > below {
			continue
		}
		t.active = append(t.active, id)
		t.values = append(t.values, float32(value*float32(d.counts[n])))
	}
	return t.active, t.values
}

// leastProb bounds the loss of one message.
const leastProb = 1e-12

// gradient turns the logits of message i into the gradient of its loss, which is probability minus
// truth, and returns the loss.
func (s *set) gradient(probs []float32, i int) float64 {
	if s.sets != nil {
		return oneVsRest(probs, s.sets[i])
	}
	top := probs[0]
	for _, l := range probs {
		top = max(top, l)
	}
	total := 0.0
	for c, l := range probs {
		e := classifier.Exp(float64(l - top))
		probs[c] = float32(e)
		total += e
	}
	for c := range probs {
		probs[c] = float32(float64(probs[c]) / total)
	}
	loss := -math.Log(max(float64(probs[s.truth[i]]), leastProb))
	probs[s.truth[i]]--
	return loss
}

// oneVsRest is the gradient of independent yes-or-no questions; true ones are listed in rising order.
func oneVsRest(probs []float32, truths []int32) float64 {
	loss := 0.0
	for c, l := range probs {
		p := 1 / (1 + classifier.Exp(-float64(l)))
		if len(truths) > 0 && truths[0] == int32(c) {
			truths = truths[1:]
			loss -= math.Log(max(p, leastProb))
			p--
		} else {
			loss -= math.Log(max(1-p, leastProb))
		}
		probs[c] = float32(p)
	}
	return loss
}

// axpy adds a·x to y.
func axpy(y, x []float32, a float32) {
	x = x[:len(y)]
	for len(y) >= 8 && len(x) >= 8 {
		y[0] += float32(a * x[0])
		y[1] += float32(a * x[1])
		y[2] += float32(a * x[2])
		y[3] += float32(a * x[3])
		y[4] += float32(a * x[4])
		y[5] += float32(a * x[5])
		y[6] += float32(a * x[6])
		y[7] += float32(a * x[7])
		y, x = y[8:], x[8:]
	}
	for i := range y {
		y[i] += float32(a * x[i])
	}
}

// dot has four sums, so that an addition need not wait for the one before.
func dot(x, y []float32) float32 {
	var a, b, c, d float32
	y = y[:len(x)]
	for len(x) >= 4 && len(y) >= 4 {
		a += float32(x[0] * y[0])
		b += float32(x[1] * y[1])
		c += float32(x[2] * y[2])
		d += float32(x[3] * y[3])
		x, y = x[4:], y[4:]
	}
	for i := range x {
		a += float32(x[i] * y[i])
	}
	return float32(a+b) + float32(c+d)
}
