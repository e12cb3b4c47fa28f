package train

import (
	"math"
	"slices"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// temper takes temperature and typical share of known features of every head from its
// calibration slice, scored by the finished rows.
func temper(cfg *Config, runs []*headRun) error {
	m, err := assemble(cfg, runs, nil)
	if err != nil {
		return err
	}
	for i, h := range runs {
		if l := collect(m, i, h.parts.calibrate); len(l.truth) > 0 {
			h.temperature, h.typical = l.likeliest(), l.known
		}
	}
	return nil
}

// knows says whether any row has a label of the head.
func (h *headRun) knows(rows []corpus.Row) bool {
	return slices.ContainsFunc(rows, func(r corpus.Row) bool {
		return slices.Contains(h.parts.labels, r.Label)
	})
}

// likelihood is what the temperature is sought on: the logits of rows whose label is known.
type likelihood struct {
	logits [][]float64
	truth  []int // −1: none of the labels (one against the rest)
	each   bool  // one against the rest
	known  float64
}

func collect(m *classifier.Model, head int, rows []corpus.Row) *likelihood {
	meta := &m.Heads()[head]
	l := &likelihood{each: meta.Kind == classifier.OneVsAll}
	x, err := features.New(m.Features())
	if err != nil {
		panic("BUG: the model was checked: " + err.Error())
	}
	var v features.Vector
	out := m.NewScores()
	var shares []float64
	for _, r := range rows {
		i := slices.Index(meta.Labels, r.Label)
		if i < 0 && !(l.each && r.Label == Other) {
			continue
		}
		x.Fill([]byte(r.Text), nil, &v)
		m.Score(&v, out)
		l.logits = append(l.logits, slices.Clone(out.Heads[head].Logits()))
		l.truth = append(l.truth, i)
		shares = append(shares, out.KnownShare)
	}
	if len(shares) > 0 {
		slices.Sort(shares)
		l.known = shares[len(shares)/2]
	}
	return l
}

// The range in which the temperature is sought, as natural logarithms, and the steps of the search.
const (
	minLogT, maxLogT = -4.0, 4.0
	searchSteps      = 60
)

// likeliest is the T that makes the rows likeliest (Guo et al. 2017), by golden section on its
// logarithm, for the likelihood has one top; 1 without rows.
func (l *likelihood) likeliest() float64 {
	if len(l.truth) == 0 {
		return 1
	}
	const golden = 0.6180339887498949
	a, b := minLogT, maxLogT
	for range searchSteps {
		c, d := b-golden*(b-a), a+golden*(b-a)
		if l.surprise(classifier.Exp(c)) < l.surprise(classifier.Exp(d)) {
			b = d
		} else {
			a = c
		}
	}
	return math.Round(classifier.Exp((a+b)/2)*1e4) / 1e4
}

// surprise is the negative log likelihood of targets that are not quite certain: of n answers of
// which none was wrong, Laplace's rule of succession says that the next is wrong with probability
// 1/(n+2) (Platt 1999 fits his sigmoids to such targets). Without it a slice that has no error, as
// where rows come from templates, would drive T towards 0 and every probability to 1.
func (l *likelihood) surprise(t float64) float64 {
	if l.each {
		return l.surpriseEach(t)
	}
	doubt := 1 / float64(len(l.logits)+2)
	sum := 0.0
	for i, row := range l.logits {
		top := slices.Max(row)
		total, mean := 0.0, 0.0
		for _, x := range row {
			total += classifier.Exp((x - top) / t)
			mean += x
		}
		truth := row[l.truth[i]]
		others := truth // of a head with one label
		if n := len(row) - 1; n > 0 {
			others = (mean - truth) / float64(n)
		}
		sum += math.Log(total) - (truth+float64(doubt*(others-truth))-top)/t
	}
	return sum
}

// surpriseEach is that of independent questions, yes and no each with the doubt of its number:
// −log of 1/(1+e^∓x), without overflow.
func (l *likelihood) surpriseEach(t float64) float64 {
	yes, no := 0, 0
	for i, row := range l.logits {
		if l.truth[i] >= 0 {
			yes++
			no--
		}
		no += len(row)
	}
	doubtYes, doubtNo := 1/float64(yes+2), 1/float64(no+2)
	sum := 0.0
	for i, row := range l.logits {
		for c, x := range row {
			x /= t
			doubt := doubtNo
			if c == l.truth[i] {
				x, doubt = -x, doubtYes
			}
			sum += max(x, 0) + math.Log1p(classifier.Exp(-math.Abs(x))) - float64(doubt*x)
		}
	}
	return sum
}
