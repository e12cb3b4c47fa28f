// Package eval measures a model on labelled messages: how often it is right, how well its scores
// are calibrated, and what acting alone on them would cost.
package eval

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// ECEBins is the number of equal-width bins of the calibration error.
const ECEBins = 15

// The names of the bands (CONTRACT section 3).
const (
	Auto    = "auto"
	Suggest = "suggest"
	None    = "none"
)

// Verdict is what a Band function is asked about: the scores of one message.
type Verdict struct {
	Labels []string
	Scores []float64 // rounded to 4 decimals
	Best   int
	Scope  float64
	Lang   string
}

// Config says how to measure.
type Config struct {
	Head   string                // name; empty: the first
	Split  string                // measure only rows of this split; empty: all
	By     string                // also by one of Groupings; empty: not
	Redact func([]byte) []byte   // what the pipeline does to texts before it scores them; nil: nothing
	Band   func(*Verdict) string // nil: the model's own cut-offs
}

// Report is the JSON object of usher eval (CONTRACT section 5).
type Report struct {
	N        int               `json:"n"`
	Accuracy float64           `json:"accuracy"`
	MacroF1  float64           `json:"macro_f1"`
	Top3     float64           `json:"top3"`
	ECE      float64           `json:"ece"`
	Bands    map[string]Band   `json:"bands"`
	Labels   map[string]Label  `json:"labels"`
	Skipped  map[string]int    `json:"skipped,omitempty"` // rows whose label the model does not have
	By       map[string]Report `json:"by,omitempty"`
}

// Band is what a band would have done; precision and its Wilson 95 % bounds are null when nothing
// fell into it.
type Band struct {
	N         int      `json:"n"`
	Coverage  float64  `json:"coverage"`
	Precision *float64 `json:"precision"`
	Low       *float64 `json:"low"`
	High      *float64 `json:"high"`
}

// Label is one label's quality; precision is null when it was never given, recall when it never
// was the truth.
type Label struct {
	N         int      `json:"n"`
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
}

// Run measures m on the rows.
func Run(m *classifier.Model, rows []corpus.Row, cfg Config) (*Report, error) {
	head := 0
	if cfg.Head != "" {
		if head = m.Head(cfg.Head); head < 0 {
			return nil, fmt.Errorf("cannot evaluate: the model has no head %q", cfg.Head)
		}
	}
	by, err := grouping(cfg.By)
	if err != nil {
		return nil, err
	}
	x, err := features.New(m.Features())
	if err != nil {
		return nil, fmt.Errorf("cannot evaluate: %w", err)
	}
	meta := &m.Heads()[head]
	if cfg.Band == nil {
		cfg.Band = ownBand(meta)
	}
	index := map[string]int{}
	for i, l := range meta.Labels {
		index[l] = i
	}
	total := newTally(meta.Labels)
	groups := map[string]*tally{}
	var v features.Vector
	out := m.NewScores()
	for _, row := range rows {
		if cfg.Split != "" && row.Split != cfg.Split {
			continue
		}
		truth, ok := index[row.Label]
		if !ok {
			total.skipped[row.Label]++
			continue
		}
		text := []byte(row.Text)
		if cfg.Redact != nil {
			text = cfg.Redact(text)
		}
		x.Fill(text, nil, &v)
		m.Score(&v, out)
		h := &out.Heads[head]
		band := cfg.Band(&Verdict{Labels: meta.Labels, Scores: h.Probs, Best: h.Best, Scope: h.Scope,
			Lang: row.Lang})
		total.add(truth, h, band)
		if by != nil {
			name := by(&row)
			if groups[name] == nil {
				groups[name] = newTally(meta.Labels)
			}
			groups[name].add(truth, h, band)
		}
	}
	if total.n == 0 {
		return nil, fmt.Errorf("cannot evaluate: no row has a label of the model%s; its labels are %q",
			inSplit(cfg.Split), meta.Labels)
	}
	report := total.report()
	if by != nil {
		report.By = map[string]Report{}
		for name, t := range groups {
			report.By[name] = *t.report()
		}
	}
	return report, nil
}

func inSplit(split string) string {
	if split == "" {
		return ""
	}
	return fmt.Sprintf(" in split %q", split)
}

// Groupings are what Config.By may be.
func Groupings() []string { return []string{"lang", "label", "split", "channel", "region"} }

func grouping(by string) (func(*corpus.Row) string, error) {
	switch by {
	case "":
		return nil, nil
	case "lang":
		return func(r *corpus.Row) string { return r.Lang }, nil
	case "label":
		return func(r *corpus.Row) string { return r.Label }, nil
	case "split":
		return func(r *corpus.Row) string { return r.Split }, nil
	case "channel":
		return func(r *corpus.Row) string { return r.Channel }, nil
	case "region":
		return func(r *corpus.Row) string { return r.Region }, nil
	}
	return nil, fmt.Errorf("cannot evaluate by %q; use one of %s", by, strings.Join(Groupings(), ", "))
}

// ownBand tests the cut-offs that the model brings (CONTRACT section 3): on the best label only.
func ownBand(meta *classifier.HeadMeta) func(*Verdict) string {
	return func(v *Verdict) string {
		second := 0.0
		for i, s := range v.Scores {
			if i != v.Best {
				second = max(second, s)
			}
		}
		score := v.Scores[v.Best]
		cut := meta.Thresholds.Resolve(v.Labels[v.Best], v.Lang)
		sure := score >= cut.AutoAt && v.Labels[v.Best] != classifier.Other
		switch {
		case sure && round4(score-second) >= cut.MinMargin && v.Scope >= cut.MinScope:
			return Auto
		case score >= cut.SuggestAt:
			return Suggest
		}
		return None
	}
}

// tally counts; report turns the counts into rates.
type tally struct {
	labels       []string
	n, right     int
	top3         int
	given, truth []int
	hit          []int
	bands        map[string]*[2]int // messages, right ones
	bins         [ECEBins]bin
	skipped      map[string]int
}

type bin struct {
	n, right int
	score    float64
}

func newTally(labels []string) *tally {
	k := len(labels)
	return &tally{labels: labels, given: make([]int, k), truth: make([]int, k), hit: make([]int, k),
		bands:   map[string]*[2]int{Auto: {}, Suggest: {}, None: {}},
		skipped: map[string]int{}}
}

func (t *tally) add(truth int, h *classifier.HeadScores, band string) {
	t.n++
	t.truth[truth]++
	t.given[h.Best]++
	right := 0
	if h.Best == truth {
		right = 1
		t.hit[truth]++
	}
	t.right += right
	better := 0
	for i, p := range h.Probs {
		if p > h.Probs[truth] || p == h.Probs[truth] && i < truth {
			better++
		}
	}
	if better < 3 {
		t.top3++
	}
	if t.bands[band] == nil {
		t.bands[band] = &[2]int{}
	}
	t.bands[band][0]++
	t.bands[band][1] += right
	score := h.Probs[h.Best]
	b := &t.bins[min(int(score*ECEBins), ECEBins-1)]
	b.n++
	b.right += right
	b.score += score
}

func (t *tally) report() *Report {
	n := float64(t.n)
	r := &Report{N: t.n, Accuracy: round4(float64(t.right) / n), Top3: round4(float64(t.top3) / n),
		Bands: map[string]Band{}, Labels: map[string]Label{}}
	if len(t.skipped) > 0 {
		r.Skipped = t.skipped
	}
	for i := range t.bins {
		if b := &t.bins[i]; b.n > 0 {
			r.ECE += math.Abs(b.score-float64(b.right)) / n
		}
	}
	r.ECE = round4(r.ECE)
	for name, b := range t.bands {
		out := Band{N: b[0], Coverage: round4(float64(b[0]) / n)}
		if b[0] > 0 {
			low, high := Wilson(b[1], b[0])
			out.Precision = ratio(b[1], b[0])
			low, high = round4(low), round4(high)
			out.Low, out.High = &low, &high
		}
		r.Bands[name] = out
	}
	r.MacroF1 = t.labelled(r.Labels)
	return r
}

// labelled fills the labels and gives the mean F1 over those that were given or were the truth.
func (t *tally) labelled(to map[string]Label) float64 {
	sum, count := 0.0, 0
	for i, name := range t.labels {
		to[name] = Label{N: t.truth[i], Precision: ratio(t.hit[i], t.given[i]),
			Recall: ratio(t.hit[i], t.truth[i])}
		if t.truth[i]+t.given[i] > 0 {
			sum += 2 * float64(t.hit[i]) / float64(t.truth[i]+t.given[i])
			count++
		}
	}
	return round4(sum / float64(count))
}

func ratio(part, whole int) *float64 {
	if whole == 0 {
		return nil
	}
	x := round4(float64(part) / float64(whole))
	return &x
}

func round4(x float64) float64 { return math.Round(x*10000) / 10000 }

// Wilson is the 95 % score interval of a share (Wilson 1927).
func Wilson(right, n int) (low, high float64) {
	const z = 1.959963984540054
	p, m := float64(right)/float64(n), float64(n)
	mid := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, (mid-half)/(1+z*z/m)), min(1, (mid+half)/(1+z*z/m))
}

// SortedLabels are the labels of a report in alphabetical order, for printing.
func (r *Report) SortedLabels() []string {
	out := make([]string, 0, len(r.Labels))
	for name := range r.Labels {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
