package train

import (
	"math"
	"slices"
	"sort"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// strideOf pads rows to what the scorer adds fastest: four columns, or a multiple of eight.
func strideOf(labels int) int {
	if labels <= 4 {
		return 4
	}
	return (labels + 7) / 8 * 8
}

// int8Max is the largest weight of a compiled row.
const int8Max = 127

// compile prunes, quantises, and only then fits the temperature, because the first two change the
// scores. Quality is measured on the finished file.
func compile(cfg *Config, keys []uint64, w *weights, p *parts, report *Report) ([]byte, error) {
	labels := p.labels
	centre(w)
	rows := prune(w, cfg.MaxRows)
	scale := scaleOf(w)
	stride := strideOf(len(labels))
	var kept []uint64
	var out []int8
	line := make([]int8, stride)
	for _, row := range rows {
		if quantise(w.w[row*w.labels:(row+1)*w.labels], scale, line) {
			kept = append(kept, keys[row])
			out = append(out, line...)
		}
	}
	report.Kept = len(kept)
	head := classifier.HeadMeta{Name: cfg.Head, Kind: classifier.Softmax, Labels: labels, Scale: scale,
		Bias: make([]float64, len(labels)), Temperature: 1, Thresholds: cfg.Thresholds}
	for i, b := range w.bias {
		head.Bias[i] = math.Round(float64(b)*1e6) / 1e6
	}
	meta := classifier.Meta{Name: cfg.Name, Version: cfg.Version, Features: cfg.Features, Stride: stride,
		Heads: []classifier.HeadMeta{head}, Card: cfg.Card}
	if err := calibrated(&meta, kept, out, p); err != nil {
		return nil, err
	}
	return classifier.Encode(meta, kept, out)
}

// centre takes the mean out of each row: softmax does not see it, and int8 has more room without.
func centre(w *weights) {
	centreRow(w.bias)
	for at := 0; at < len(w.w); at += w.labels {
		centreRow(w.w[at : at+w.labels])
	}
}

func centreRow(row []float32) {
	mean := float32(0)
	for _, x := range row {
		mean += x
	}
	mean /= float32(len(row))
	for i := range row {
		row[i] -= mean
	}
}

// prune lists the rows to keep, in their order: all, or the most with the largest weights.
func prune(w *weights, most int) []int {
	n := len(w.w) / w.labels
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	if most == 0 || n <= most {
		return rows
	}
	size := make([]float32, n)
	for i := range size {
		for _, x := range w.w[i*w.labels : (i+1)*w.labels] {
			size[i] += float32(x * x)
		}
	}
	sort.SliceStable(rows, func(a, b int) bool { return size[rows[a]] > size[rows[b]] })
	rows = rows[:most]
	slices.Sort(rows)
	return rows
}

// scaleOf is the weight of one int8 step, so that the largest weight just fits.
func scaleOf(w *weights) float64 {
	top := float32(0)
	for _, x := range w.w {
		top = max(top, x, -x)
	}
	if top == 0 {
		return 1
	}
	return float64(top) / int8Max
}

// quantise rounds one row into line and says whether anything is left of it.
func quantise(row []float32, scale float64, line []int8) bool {
	some := false
	for i, x := range row {
		line[i] = int8(math.Round(float64(x) / scale))
		some = some || line[i] != 0
	}
	return some
}

// calibrated fills what is measured on rows outside training: temperature and the typical share
// of known features (on the calibration slice), quality (on the held-out one; without one, on the
// calibration slice, and it says so).
func calibrated(meta *classifier.Meta, keys []uint64, rows []int8, p *parts) error {
	head := &meta.Heads[0]
	if len(p.calibrate) > 0 {
		m, err := build(meta, keys, rows)
		if err != nil {
			return err
		}
		head.Temperature, head.KnownTypical = temperature(m, p.calibrate)
	}
	measure, on := p.holdout, "held-out slice"
	if len(measure) == 0 {
		measure, on = p.calibrate, "calibration slice"
	}
	if len(measure) == 0 {
		return nil
	}
	m, err := build(meta, keys, rows)
	if err != nil {
		return err
	}
	head.Quality, err = quality(m, measure, on)
	return err
}

func build(meta *classifier.Meta, keys []uint64, rows []int8) (*classifier.Model, error) {
	file, err := classifier.Encode(*meta, keys, rows)
	if err != nil {
		return nil, err
	}
	return classifier.FromBytes(file)
}

// The range in which the temperature is sought, as natural logarithms, and the steps of the search.
const (
	minLogT, maxLogT = -4.0, 4.0
	searchSteps      = 60
)

// temperature is the T that makes the rows likeliest (Guo et al. 2017), and the median share of
// known features.
func temperature(m *classifier.Model, rows []corpus.Row) (t, known float64) {
	meta := &m.Heads()[0]
	x, err := features.New(m.Features())
	if err != nil {
		panic("BUG: the model was checked: " + err.Error())
	}
	var v features.Vector
	out := m.NewScores()
	var logits [][]float64
	var truth []int
	var shares []float64
	for _, r := range rows {
		i := slices.Index(meta.Labels, r.Label)
		if i < 0 {
			continue
		}
		x.Fill([]byte(r.Text), nil, &v)
		m.Score(&v, out)
		logits = append(logits, slices.Clone(out.Heads[0].Logits()))
		truth = append(truth, i)
		shares = append(shares, out.KnownShare)
	}
	if len(truth) == 0 {
		return 1, 0
	}
	slices.Sort(shares)
	return likeliest(logits, truth), shares[len(shares)/2]
}

// likeliest searches by golden section on the logarithm of T, for the likelihood has one top.
func likeliest(logits [][]float64, truth []int) float64 {
	const golden = 0.6180339887498949
	a, b := minLogT, maxLogT
	for range searchSteps {
		c, d := b-golden*(b-a), a+golden*(b-a)
		if surprise(logits, truth, classifier.Exp(c)) < surprise(logits, truth, classifier.Exp(d)) {
			b = d
		} else {
			a = c
		}
	}
	return math.Round(classifier.Exp((a+b)/2)*1e4) / 1e4
}

// surprise is the negative log likelihood.
func surprise(logits [][]float64, truth []int, t float64) float64 {
	sum := 0.0
	for i, row := range logits {
		top := slices.Max(row)
		total := 0.0
		for _, l := range row {
			total += classifier.Exp((l - top) / t)
		}
		sum += math.Log(total) - (row[truth[i]]-top)/t
	}
	return sum
}
