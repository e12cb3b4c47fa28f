package train

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/eval"
)

// oneDoc is a set of one message with three of four features.
func oneDoc() *set {
	return &set{keys: make([]uint64, 4), truth: []int32{1},
		docs: []doc{{ids: []int32{0, 2, 3}, counts: []uint8{1, 2, 1}, norm: 0.4}}}
}

// slowLoss is the loss of the one message by the definition, in float64, from rows multiplied out.
func slowLoss(s *set, w *weights) float64 {
	d := s.docs[0]
	logits := make([]float64, w.labels)
	for c := range logits {
		logits[c] = float64(w.bias[c])
		for n, id := range d.ids {
			logits[c] += float64(w.w[int(id)*w.labels+c]) * float64(d.norm) * float64(d.counts[n])
		}
	}
	loss, total := 0.0, 0.0
	for c, l := range logits {
		total += math.Exp(l)
		if s.sets != nil {
			if slices.Contains(s.sets[0], int32(c)) {
				l = -l
			}
			loss += math.Log(1 + math.Exp(l))
		}
	}
	if s.sets != nil {
		return loss
	}
	return math.Log(total) - logits[s.truth[0]]
}

// TestProductGradient: one step, in which some hidden numbers are dropped, moves every number of both matrices against the
// numerical derivative of the loss of the multiplied rows, by the step that AdaGrad allows its row.
func TestProductGradient(t *testing.T) {
	f := func(sets [][]int32, dropped float64) {
		t.Helper()
		cfg := quick()
		cfg.Dropout, cfg.HiddenDropout = 0, dropped
		s := oneDoc()
		s.sets = sets
		start := func() *product {
			p := newProduct(&cfg, s, 3, 5, 4)
			rng := rand.New(rand.NewPCG(8, 8))
			for i := range p.out {
				p.out[i] = float32(rng.NormFloat64())
			}
			for i := range p.in {
				p.in[i] = float32(rng.NormFloat64())
			}
			return p
		}
		p, q := start(), start()
		got := p.step(0, 0.1)
		masked := func() *weights {
			r := *q
			r.out = slices.Clone(q.out)
			for i := range r.out {
				r.out[i] *= p.mask[i%5]
			}
			return r.weights()
		}
		if want := slowLoss(s, masked()); math.Abs(got-want) > 1e-5 {
			t.Errorf("loss %v, want %v", got, want)
		}
		for which, at := range [][]float32{q.in, q.out} {
			moved := [][]float32{p.in, p.out}[which]
			for row := 0; row < len(at); row += 5 {
				gradient, square := [5]float64{}, 0.0
				for j := range 5 {
					const h = 1e-2
					was := at[row+j]
					at[row+j] = was + h
					up := slowLoss(s, masked())
					at[row+j] = was - h
					down := slowLoss(s, masked())
					at[row+j] = was
					gradient[j] = (up - down) / (2 * h)
					square += gradient[j] * gradient[j]
				}
				for j, g := range gradient {
					want := float64(at[row+j])
					if square > 0 {
						want -= 0.1 * g / math.Sqrt(square+epsilon)
					}
					if got := float64(moved[row+j]); math.Abs(got-want) > 2e-3 {
						t.Errorf("matrix %d, number %d is %v, want %v", which, row+j, got, want)
					}
				}
			}
		}
	}
	f(nil, 0)
	f(nil, 0.4)
	f([][]int32{{0, 2}}, 0)
	f([][]int32{{}}, 0.4)
}

func TestHiddenDropout(t *testing.T) {
	cfg := quick()
	cfg.HiddenDropout = 0.25
	p := newProduct(&cfg, oneDoc(), 3, 1000, 1)
	left := 0
	for range 50 {
		for j := range p.hidden {
			p.hidden[j] = 1
		}
		p.dropHidden()
		for j, h := range p.hidden {
			if h != p.mask[j] || h != 0 && math.Abs(float64(h)-1/0.75) > 1e-6 {
				t.Fatalf("a number of 1 became %v under mask %v", h, p.mask[j])
			}
			if h != 0 {
				left++
			}
		}
	}
	if share := float64(left) / 50000; math.Abs(share-0.75) > 0.01 {
		t.Errorf("%.3f of the numbers are left, wanted 0.75", share)
	}
}

// TestVectors: axpy and dot at every length around their unrolling.
func TestVectors(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for n := range 40 {
		x, y := make([]float32, n), make([]float32, n)
		want, sum := make([]float64, n), 0.0
		for i := range n {
			x[i], y[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
			want[i] = float64(y[i]) + 0.5*float64(x[i])
			sum += float64(x[i]) * float64(y[i])
		}
		if got := float64(dot(x, y)); math.Abs(got-sum) > 1e-5 {
			t.Errorf("%d numbers: %v, want %v", n, got, sum)
		}
		axpy(y, x, 0.5)
		for i := range n {
			if math.Abs(float64(y[i])-want[i]) > 1e-6 {
				t.Errorf("%d numbers: number %d is %v, want %v", n, i, y[i], want[i])
			}
		}
	}
}

// TestCoresDoNotMatter: with candidates, members, refit, noise and two heads, any number of cores
// gives the same bytes.
func TestCoresDoNotMatter(t *testing.T) {
	cfg := quick()
	cfg.Members, cfg.Refit, cfg.Noise = 3, true, Noise{Typos: 0.3, Latin: 0.2}
	var many []corpus.Row
	for i, r := range made(400) {
		r.Label = fmt.Sprint(r.Label, i%4) // twelve labels: both ranks are tried
		many = append(many, r)
	}
	heads := []Head{{Name: "many", Rows: many},
		{Name: "three", Kind: classifier.OneVsAll, Rows: made(200)}}
	var first []byte
	for _, cores := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(cores)
		res, err := RunHeads(cfg, heads)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = res.File
		}
		if !bytes.Equal(first, res.File) {
			t.Errorf("%d cores change the file", cores)
		}
	}
}

func TestCandidates(t *testing.T) {
	f := func(rank, labels int, validated bool, want ...int) {
		t.Helper()
		cfg := Config{Rank: rank}
		if got := cfg.candidates(labels, validated); !slices.Equal(got, want) {
			t.Errorf("rank %d, %d labels, validated %v: %v, want %v", rank, labels, validated, got, want)
		}
	}
	f(0, 3, true, FullRank)
	f(0, 9, true, FullRank)
	f(0, 10, true, FullRank, 128)
	f(0, 29, false, FullRank)
	f(0, 30, false, 128)
	f(7, 3, true, 7)
	f(FullRank, 77, true, FullRank)
}

// TestMembers: the file of several members is the mean of theirs, and refit changes the rows that
// were learned from but never the held-out ones.
func TestMembers(t *testing.T) {
	a := &job{loss: 1, weights: &weights{labels: 1, w: []float32{1, 3}, bias: []float32{2}}}
	b := &job{loss: 3, weights: &weights{labels: 1, w: []float32{5, -3}, bias: []float32{4}}}
	w, loss := meanOf([]*job{a, b})
	if !slices.Equal(w.w, []float32{3, 0}) || w.bias[0] != 3 || loss != 2 {
		t.Errorf("%v %v %v", w.w, w.bias, loss)
	}
	rows := made(400)
	cfg := quick()
	plain, _ := run(t, cfg, rows)
	cfg.Refit = true
	again, m := run(t, cfg, rows)
	if again.Report.Refitted != again.Report.Calibrated || plain.Report.Refitted != 0 ||
		again.Report.Features <= plain.Report.Features || again.Report.Kept <= plain.Report.Kept {
		t.Errorf("refit %+v, without %+v", again.Report, plain.Report)
	}
	if !slices.Equal(plain.HeldOut, again.HeldOut) {
		t.Error("refit changes what is held out")
	}
	_, before := run(t, quick(), rows)
	if m.Heads()[0].Temperature != before.Heads()[0].Temperature {
		t.Error("the temperature is not the one that unseen rows gave")
	}
}

// TestProductLearns: a product of low rank learns what free rows learn.
func TestProductLearns(t *testing.T) {
	cfg := quick()
	cfg.Rank, cfg.Epochs = 4, 12
	res, m := run(t, cfg, made(900))
	r, err := eval.Run(m, res.HeldOut, eval.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Accuracy < 0.97 || res.Report.Rank != 4 {
		t.Errorf("accuracy %v at rank %d", r.Accuracy, res.Report.Rank)
	}
}
