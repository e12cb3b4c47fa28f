// Package train makes model files, offline: multinomial logistic regression over hashed features,
// compiled to int8, then calibrated on messages that the weights never saw. It is deterministic:
// the same rows and the same Config give the same bytes, on any number of cores.
package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/eval"
)

// Config says how to train. Default gives a good one.
type Config struct {
	Name    string // of the model
	Version string // empty: from a hash of rows and configuration
	Head    string // of the labels, such as intent
	Split   string // train only on rows of this split; empty: on all

	Features  features.Config
	Epochs    int     // passes over the rows
	Rate      float64 // first learning rate; falls linearly to 0
	Dropout   float64 // share of a message's features that one step does not see
	MinCount  int     // features in fewer messages than this are dropped
	MaxRows   int     // features kept, those with the largest weights; 0: all
	Holdout   float64 // share of the rows that quality is measured on, never trained on
	Calibrate float64 // share of the rows that the temperature is fitted on, never trained on
	Seed      uint64  // of order and dropout

	Thresholds classifier.Thresholds // that the model brings along
	Card       json.RawMessage       // for people; nil: none

	Redact   func([]byte) []byte // what the pipeline does to texts; one call at a time; nil: nothing
	Progress func(Progress)      // called now and then; nil: never
}

// Default is the recipe for a model of the given name.
func Default(name string) Config {
	const seed = 20261120
	return Config{Name: name, Head: name, Features: features.Default(seed), Epochs: 30, Rate: 1.5,
		Dropout: 0.5, MinCount: 2, Holdout: 0.1, Calibrate: 0.1, Seed: seed}
}

// Demo is how the model inside the binary was made from the sentences under data: the default
// recipe with a fifth held out. A message of which it knows less than a third of the usual share
// (another script, another language) never gets auto.
func Demo() Config {
	minScope := 0.3
	cfg := Default("intent-demo")
	cfg.Head, cfg.Holdout = "intent", 0.2
	cfg.Thresholds.MinScope = &minScope
	return cfg
}

// Progress is how far the work is.
type Progress struct {
	Stage       string // read, train, compile
	Done, Total int
	Loss        float64 // mean of the last epoch, in train
}

// Report says what became of the rows.
type Report struct {
	Rows       int            `json:"rows"`        // given
	Used       int            `json:"used"`        // trained on
	Calibrated int            `json:"calibrated"`  // the temperature was fitted on
	HeldOut    int            `json:"held_out"`    // quality was measured on
	OtherSplit int            `json:"other_split"` // left out by Split
	BothSides  int            `json:"both_sides"`  // left out: the text is on another side too
	Blank      int            `json:"blank"`       // no word in the text
	Labels     map[string]int `json:"labels"`
	Features   int            `json:"features"` // seen often enough
	Kept       int            `json:"kept"`     // in the file
	Loss       float64        `json:"loss"`
}

// Result is a trained model: the file, and the rows that it never saw, redacted.
type Result struct {
	File    []byte
	Report  Report
	HeldOut []corpus.Row
}

// Run trains a model.
func Run(cfg Config, rows []corpus.Row) (*Result, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	res := &Result{Report: Report{Rows: len(rows), Labels: map[string]int{}}}
	rows = redacted(&cfg, rows)
	parts, err := divide(&cfg, rows, &res.Report)
	if err != nil {
		return nil, err
	}
	if parts.labels, err = labelsOf(parts.fit, &res.Report); err != nil {
		return nil, err
	}
	set := newSet(&cfg, parts)
	res.Report.Features = len(set.keys)
	weights, loss := fit(&cfg, set, len(parts.labels))
	res.Report.Loss = loss
	cfg.progress(Progress{Stage: "compile", Total: 1})
	if cfg.Version == "" {
		cfg.Version = fingerprint(&cfg, parts.fit)
	}
	file, err := compile(&cfg, set.keys, weights, parts, &res.Report)
	if err != nil {
		return nil, err
	}
	res.File, res.HeldOut = file, parts.holdout
	cfg.progress(Progress{Stage: "compile", Done: 1, Total: 1})
	return res, nil
}

// redacted runs every text through the redactor once, so that nothing after it sees a raw one.
func redacted(cfg *Config, rows []corpus.Row) []corpus.Row {
	if cfg.Redact == nil {
		return rows
	}
	out := slices.Clone(rows)
	for i := range out {
		out[i].Text = string(cfg.Redact([]byte(out[i].Text)))
	}
	return out
}

func (c *Config) progress(p Progress) {
	if c.Progress != nil {
		c.Progress(p)
	}
}

func (c *Config) validate() error {
	share := func(x float64) bool { return x >= 0 && x < 1 }
	switch {
	case c.Name == "" || c.Head == "":
		return fmt.Errorf("cannot train: the model needs a name and its head one too")
	case c.Epochs < 1 || !(c.Rate > 0) || c.MinCount < 1 || c.MaxRows < 0:
		return fmt.Errorf("cannot train: %d epochs, rate %v, min_count %d, max_rows %d; give at least 1, "+
			"above 0, at least 1, at least 0", c.Epochs, c.Rate, c.MinCount, c.MaxRows)
	case !share(c.Dropout) || !share(c.Holdout) || !share(c.Calibrate) || c.Holdout+c.Calibrate > 0.9:
		return fmt.Errorf("cannot train: dropout %v, holdout %v, calibrate %v; give shares from 0 to "+
			"below 1 that leave a tenth to train on", c.Dropout, c.Holdout, c.Calibrate)
	}
	return c.Features.Validate()
}

// labelsOf sorts the labels, so that the order of the rows does not matter to the file.
func labelsOf(rows []corpus.Row, report *Report) ([]string, error) {
	for _, r := range rows {
		report.Labels[r.Label]++
	}
	labels := make([]string, 0, len(report.Labels))
	for l := range report.Labels {
		labels = append(labels, l)
	}
	sort.Strings(labels)
	if len(labels) < 2 {
		return nil, fmt.Errorf("cannot train: the rows to train on have %d labels; give at least two",
			len(labels))
	}
	return labels, nil
}

// fingerprint names a version by what it was made from.
func fingerprint(cfg *Config, rows []corpus.Row) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v %d %v %v %d %d %d\n", cfg.Features, cfg.Epochs, cfg.Rate, cfg.Dropout,
		cfg.MinCount, cfg.MaxRows, cfg.Seed)
	for _, r := range rows {
		fmt.Fprintf(h, "%q %q\n", r.Text, r.Label)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// quality measures the file on rows that it never saw.
func quality(m *classifier.Model, rows []corpus.Row, on string) (classifier.Quality, error) {
	r, err := eval.Run(m, rows, eval.Config{})
	if err != nil {
		return classifier.Quality{}, err
	}
	q := classifier.Quality{On: on, N: r.N, Accuracy: r.Accuracy, MacroF1: r.MacroF1, ECE: r.ECE,
		AutoCoverage: r.Bands[eval.Auto].Coverage}
	if p := r.Bands[eval.Auto].Precision; p != nil {
		q.AutoPrecision = *p
	}
	return q, nil
}
