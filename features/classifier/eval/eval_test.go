package eval

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// words makes a model that knows one word per label: its score is set by the bias alone.
func words(t *testing.T, weights map[string][]int8) *classifier.Model {
	t.Helper()
	cfg := features.Default(1)
	cfg.WordMax, cfg.CharMax = 1, 0
	x, err := features.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var keys []uint64
	var flat []int8
	var v features.Vector
	for _, word := range slices.Sorted(keysOf(weights)) {
		x.Fill([]byte(word), nil, &v)
		keys, flat = append(keys, v.Keys[0]), append(flat, weights[word]...)
	}
	quarter, wide := 0.25, 0.9
	meta := classifier.Meta{Name: "m", Version: "1", Features: cfg, Stride: 4,
		Heads: []classifier.HeadMeta{{Name: "h", Kind: classifier.Softmax, Scale: 0.1, Temperature: 1,
			Labels: []string{"a", "b", "c", "d"}, Bias: make([]float64, 4), KnownTypical: 1,
			Thresholds: classifier.Thresholds{Langs: map[string]classifier.LangCutoff{
				"xx": {Cutoff: classifier.Cutoff{MinScope: &quarter}},
				"mm": {Cutoff: classifier.Cutoff{MinMargin: &wide}}}}}}}
	file, err := classifier.Encode(meta, keys, flat)
	if err != nil {
		t.Fatal(err)
	}
	m, err := classifier.FromBytes(file)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func keysOf(m map[string][]int8) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// The scores of these words, by hand: with the weight w·0.1 on one label and 0 on the others it is
// e^(0.1w) / (e^(0.1w) + 3): sure 0.9933 (w 61), likely 0.7112 (w 20), weak 0.4117 (w 7.4…).
func sample(t *testing.T) (*classifier.Model, []corpus.Row) {
	m := words(t, map[string][]int8{"sure": {61, 0, 0, 0}, "likely": {20, 0, 0, 0}, "weak": {7, 0, 0, 0},
		"other": {0, 61, 0, 0}})
	rows := []corpus.Row{}
	add := func(n int, text, label, lang string) {
		for range n {
			rows = append(rows, corpus.Row{Text: text, Label: label, Lang: lang, Split: "s" + lang})
		}
	}
	add(6, "sure", "a", "xx")
	add(2, "sure", "b", "xx")
	add(3, "likely", "a", "yy")
	add(1, "likely", "c", "yy")
	add(4, "weak", "a", "yy")
	add(1, "weak", "d", "yy")
	add(3, "other", "b", "xx")
	add(5, "sure", "ambiguous", "xx")
	return m, rows
}

func TestReport(t *testing.T) {
	m, rows := sample(t)
	got, err := Run(m, rows, Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := func(x float64) *float64 { return &x }
	// 20 rows: right are 6 sure, 3 likely, 4 weak, 3 other = 16. By label: a is given 17 times, right
	// 13 of 13; b given 3, right 3 of 5; c and d never given. F1: a 26/30, b 6/8, c 0, d 0.
	// Top 3 in label order among equals: the wrong b, c count, the d is fourth: 19 of 20.
	want := &Report{N: 20, Accuracy: 0.8, MacroF1: round4((26.0/30 + 6.0/8) / 4), Top3: 0.95,
		ECE: got.ECE, Skipped: map[string]int{"ambiguous": 5},
		Bands: map[string]Band{
			Auto:    {N: 11, Coverage: 0.55, Precision: p(0.8182), Low: p(0.523), High: p(0.9486)},
			Suggest: {N: 4, Coverage: 0.2, Precision: p(0.75), Low: p(0.3006), High: p(0.9544)},
			None:    {N: 5, Coverage: 0.25, Precision: p(0.8), Low: p(0.3755), High: p(0.9638)}},
		Labels: map[string]Label{"a": {N: 13, Precision: p(0.7647), Recall: p(1)},
			"b": {N: 5, Precision: p(1), Recall: p(0.6)}, "c": {N: 1, Recall: p(0)},
			"d": {N: 1, Recall: p(0)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Three bins: 11 rows at 0.9933 of which 9 right; 4 at 0.7112, 3 right; 5 at 0.4016, 4 right.
	score := func(w float64) float64 { return math.Exp(w) / (math.Exp(w) + 3) }
	ece := (math.Abs(11*score(6.1)-9) + math.Abs(4*score(2)-3) + math.Abs(5*score(0.7)-4)) / 20
	if math.Abs(got.ECE-ece) > 0.0001 {
		t.Errorf("ece %v, want %v", got.ECE, ece)
	}
}

func TestJSONKeys(t *testing.T) {
	m, rows := sample(t)
	r, err := Run(m, rows, Config{By: "lang"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"n", "accuracy", "macro_f1", "top3", "ece", "bands", "labels"} {
		if _, ok := got[key]; !ok {
			t.Errorf("no %s", key)
		}
	}
	auto := got["bands"].(map[string]any)["auto"].(map[string]any)
	for _, key := range []string{"coverage", "precision", "low", "high"} {
		if _, ok := auto[key].(float64); !ok {
			t.Errorf("no bands.auto.%s", key)
		}
	}
	c := got["labels"].(map[string]any)["c"].(map[string]any)
	if c["n"] != 1.0 || c["precision"] != nil || c["recall"] != 0.0 {
		t.Errorf("labels.c is %v", c)
	}
	if r.By["xx"].N != 11 || r.By["yy"].N != 9 {
		t.Errorf("by language: %d and %d", r.By["xx"].N, r.By["yy"].N)
	}
	if got := r.SortedLabels(); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("labels %v", got)
	}
}

func TestConfigured(t *testing.T) {
	m, rows := sample(t)
	n := func(cfg Config, band string) int {
		t.Helper()
		r, err := Run(m, rows, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return r.Bands[band].N
	}
	if got := n(Config{Split: "sxx"}, Auto); got != 11 {
		t.Errorf("%d in split sxx", got)
	}
	if got := n(Config{Split: "syy"}, Auto); got != 0 {
		t.Errorf("%d in split syy", got)
	}
	if got := n(Config{Band: func(*Verdict) string { return Suggest }}, Suggest); got != 20 {
		t.Errorf("%d with a band of one's own", got)
	}
	// The redactor's output is scored: a word that nobody knows has no score above 0.25.
	if got := n(Config{Redact: func([]byte) []byte { return []byte("mask") }}, None); got != 20 {
		t.Errorf("%d behind a redactor", got)
	}
}

func TestGates(t *testing.T) {
	m, _ := sample(t)
	band := ownBand(&m.Heads()[0])
	f := func(want string, lang string, scope float64, scores ...float64) {
		t.Helper()
		v := &Verdict{Labels: []string{"a", "b", "c", "d"}, Scores: scores, Scope: scope, Lang: lang}
		for i, s := range scores {
			if s > scores[v.Best] {
				v.Best = i
			}
		}
		if got := band(v); got != want {
			t.Errorf("%v scope %v %s: %s, want %s", scores, scope, lang, got, want)
		}
	}
	f(None, "", 1, 0.4999, 0.1, 0, 0)
	f(Suggest, "", 1, 0.5, 0.1, 0, 0)
	f(Suggest, "", 1, 0.8999, 0.1, 0, 0)
	f(Auto, "", 1, 0.9, 0.1, 0, 0)
	f(Auto, "", 0, 0.1, 0.9001, 0, 0)
	f(Auto, "xx", 0.25, 0.95, 0.05, 0, 0)
	f(Suggest, "xx", 0.2499, 0.95, 0.05, 0, 0)
	f(Auto, "mm", 1, 0.95, 0.05, 0, 0)
	f(Suggest, "mm", 1, 0.9499, 0.05, 0, 0)
}

// TestLabelNeverTrue: a label that was only given counts in macro F1, with 0; one that was neither
// given nor the truth does not.
func TestLabelNeverTrue(t *testing.T) {
	m, _ := sample(t)
	r, err := Run(m, []corpus.Row{{Text: "sure", Label: "a"}, {Text: "other", Label: "a"}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if want := round4((2.0 / 3) / 2); r.MacroF1 != want {
		t.Errorf("macro F1 %v, want %v", r.MacroF1, want)
	}
}

func TestErrors(t *testing.T) {
	m, rows := sample(t)
	f := func(want string, rows []corpus.Row, cfg Config) {
		t.Helper()
		if _, err := Run(m, rows, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(`no head "x"`, rows, Config{Head: "x"})
	f(`by "day"; use one of lang, label, split, channel, region`, rows, Config{By: "day"})
	f(`no row has a label of the model in split "z"; its labels are ["a" "b" "c" "d"]`, rows, Config{Split: "z"})
	f("no row has a label of the model;", nil, Config{})
}

// TestWilson: the figures of CLASSIFIER.md, and the borders.
func TestWilson(t *testing.T) {
	f := func(right, n int, low, high float64) {
		t.Helper()
		l, h := Wilson(right, n)
		if math.Abs(l-low) > 0.0005 || math.Abs(h-high) > 0.0005 {
			t.Errorf("%d of %d: [%.4f, %.4f], want [%.3f, %.3f]", right, n, l, h, low, high)
		}
	}
	f(95, 100, 0.888, 0.978)
	f(285, 300, 0.919, 0.969)
	f(0, 10, 0, 0.2775)
	f(10, 10, 0.7225, 1)
}

// TestOtherIsNeverAuto, as in route.
func TestOtherIsNeverAuto(t *testing.T) {
	band := ownBand(&classifier.HeadMeta{Labels: []string{"deal", classifier.Other}})
	for best, want := range []string{Auto, Suggest} {
		scores := []float64{0, 0}
		scores[best] = 1
		got := band(&Verdict{Labels: []string{"deal", classifier.Other}, Scores: scores, Best: best, Scope: 1})
		if got != want {
			t.Errorf("label %d: %s, want %s", best, got, want)
		}
	}
}
