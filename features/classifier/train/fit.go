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

// fit is multinomial logistic regression by stochastic gradient descent: AdaGrad per feature row
// (one step size per row, not per weight: rows of rare features move fast, and a row costs one
// number), feature dropout, a rate that falls linearly, and the mean of the weights over the last
// third of the epochs. Every product is rounded to float32 on its own, so that no compiler fuses
// it into an addition and the same rows give the same weights on every processor.
func fit(cfg *Config, s *set, labels int) (*weights, float64) {
	t := &trainer{cfg: cfg, set: s, labels: labels,
		w: make([]float32, len(s.keys)*labels), square: make([]float32, len(s.keys)),
		bias: make([]float32, labels), biasSquare: 1,
		probs: make([]float32, labels),
		rng:   rand.New(rand.NewPCG(cfg.Seed, 0x75736865722e7472))}
	order := make([]int, len(s.docs))
	for i := range order {
		order[i] = i
	}
	sum := &weights{labels: labels, w: make([]float32, len(t.w)), bias: make([]float32, labels)}
	from := cfg.Epochs - (cfg.Epochs+2)/3
	loss := 0.0
	for epoch := range cfg.Epochs {
		t.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss = 0
		for n, i := range order {
			done := (float64(epoch) + float64(n)/float64(len(order))) / float64(cfg.Epochs)
			loss += t.step(i, float32(cfg.Rate*(1-done)))
		}
		loss /= float64(len(order))
		if epoch >= from {
			addTo(sum.w, t.w)
			addTo(sum.bias, t.bias)
		}
		cfg.progress(Progress{Stage: "train", Done: epoch + 1, Total: cfg.Epochs, Loss: loss})
	}
	scale := 1 / float32(cfg.Epochs-from)
	for i := range sum.w {
		sum.w[i] *= scale
	}
	for i := range sum.bias {
		sum.bias[i] *= scale
	}
	return sum, loss
}

func addTo(to, from []float32) {
	for i, x := range from {
		to[i] += x
	}
}

type trainer struct {
	cfg    *Config
	set    *set
	labels int

	w, square  []float32
	bias       []float32
	biasSquare float32
	probs      []float32
	active     []int32   // features that dropout left
	values     []float32 // of those
	rng        *rand.Rand
}

// epsilon keeps the first step of a row finite.
const epsilon = 1e-6

// step learns from one message and returns its loss.
func (t *trainer) step(i int, rate float32) float64 {
	t.drop(&t.set.docs[i])
	k := t.labels
	copy(t.probs, t.bias)
	for n, id := range t.active {
		x := t.values[n]
		row := t.w[int(id)*k : int(id)*k+k]
		for c, w := range row {
			t.probs[c] += float32(w * x)
		}
	}
	truth := t.set.truth[i]
	loss := t.gradient(truth)
	length := float32(0)
	for _, g := range t.probs {
		length += float32(g * g)
	}
	for n, id := range t.active {
		x := t.values[n]
		t.square[id] += float32(float32(length*x) * x)
		step := float32(rate*x) / float32(math.Sqrt(float64(t.square[id]+epsilon)))
		row := t.w[int(id)*k : int(id)*k+k]
		for c, g := range t.probs {
			row[c] -= float32(step * g)
		}
	}
	t.biasSquare += length
	step := rate / float32(math.Sqrt(float64(t.biasSquare)))
	for c, g := range t.probs {
		t.bias[c] -= float32(step * g)
	}
	return loss
}

// drop leaves each feature out with the dropout's probability and makes up for it in the others.
func (t *trainer) drop(d *doc) {
	t.active, t.values = t.active[:0], t.values[:0]
	keep := 1 - t.cfg.Dropout
	below := uint32(keep * (1<<32 - 1))
	value := float32(float64(d.norm) / keep)
	for n, id := range d.ids {
		if t.cfg.Dropout > 0 && t.rng.Uint32() > below {
			continue
		}
		t.active = append(t.active, id)
		t.values = append(t.values, float32(value*float32(d.counts[n])))
	}
}

// gradient turns the logits in t.probs into the loss's gradient: softmax minus truth.
func (t *trainer) gradient(truth int32) float64 {
	top := t.probs[0]
	for _, l := range t.probs {
		top = max(top, l)
	}
	total := 0.0
	for c, l := range t.probs {
		e := classifier.Exp(float64(l - top))
		t.probs[c] = float32(e)
		total += e
	}
	for c := range t.probs {
		t.probs[c] = float32(float64(t.probs[c]) / total)
	}
	loss := -math.Log(max(float64(t.probs[truth]), 1e-12))
	t.probs[truth]--
	return loss
}
