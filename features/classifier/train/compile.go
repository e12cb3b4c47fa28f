package train

import (
	"math"
	"slices"
	"sort"

	"usher/features/classifier"
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

// squeezed is one head after pruning and quantisation, its rows without padding.
type squeezed struct {
	labels int
	keys   []uint64
	rows   []int8
	scale  float64
	bias   []float64
}

func squeeze(cfg *Config, h *headRun, keys []uint64, w *weights) *squeezed {
	if h.Kind == classifier.Softmax {
		centre(w)
	}
	q := &squeezed{labels: w.labels, scale: scaleOf(w), bias: make([]float64, w.labels)}
	line := make([]int8, w.labels)
	for _, row := range prune(w, cfg.MaxRows) {
		if quantise(w.w[row*w.labels:(row+1)*w.labels], q.scale, line) {
			q.keys = append(q.keys, keys[row])
			q.rows = append(q.rows, line...)
		}
	}
	for i, b := range w.bias {
		q.bias[i] = math.Round(float64(b)*1e6) / 1e6
	}
	return q
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

// alone is a model of one candidate of one head, to judge it by.
func (h *headRun) alone(cfg *Config, q *squeezed) (*classifier.Model, error) {
	one := *h
	one.squeezed = q
	return assemble(cfg, []*headRun{&one}, nil)
}

// assemble puts the heads side by side: a feature that any of them knows is one row of the file.
func assemble(cfg *Config, runs []*headRun, qualities []classifier.Quality) (*classifier.Model, error) {
	file, err := encode(cfg, runs, qualities)
	if err != nil {
		return nil, err
	}
	return classifier.FromBytes(file)
}

func encode(cfg *Config, runs []*headRun, qualities []classifier.Quality) ([]byte, error) {
	meta := classifier.Meta{Name: cfg.Name, Version: cfg.Version, Features: cfg.Features, Card: cfg.Card}
	columns := 0
	for i, h := range runs {
		head := classifier.HeadMeta{Name: h.Name, Kind: h.Kind, Labels: h.parts.labels, From: columns,
			Scale: h.squeezed.scale, Bias: h.squeezed.bias, Temperature: h.temperature,
			KnownTypical: h.typical, Thresholds: h.Thresholds}
		if qualities != nil {
			head.Quality = qualities[i]
		}
		columns += len(h.parts.labels)
		meta.Heads = append(meta.Heads, head)
	}
	meta.Stride = strideOf(columns)
	number := map[uint64]int{}
	var keys []uint64
	var rows []int8
	empty := make([]int8, meta.Stride)
	from := 0
	for _, h := range runs {
		q := h.squeezed
		for i, key := range q.keys {
			at, ok := number[key]
			if !ok {
				at = len(keys)
				number[key] = at
				keys = append(keys, key)
				rows = append(rows, empty...)
			}
			copy(rows[at*meta.Stride+from:], q.rows[i*q.labels:(i+1)*q.labels])
		}
		from += q.labels
	}
	return classifier.Encode(meta, keys, rows)
}

// compile writes the file and measures the quality of each head on it: on its held-out slice or,
// without one, on its calibration slice, and it says so.
func compile(cfg *Config, runs []*headRun) ([]byte, error) {
	m, err := assemble(cfg, runs, nil)
	if err != nil {
		return nil, err
	}
	qualities := make([]classifier.Quality, len(runs))
	for i, h := range runs {
		h.report.Kept = len(h.squeezed.keys)
		on, rows := "held-out slice", h.parts.holdout
		if len(rows) == 0 {
			on, rows = "calibration slice", h.parts.calibrate
			if cfg.refits(h) {
				on += ", learned from"
			}
		}
		if !h.knows(rows) {
			continue
		}
		if qualities[i], err = quality(m, h.Name, rows, on); err != nil {
			return nil, err
		}
	}
	return encode(cfg, runs, qualities)
}
