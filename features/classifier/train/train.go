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

	Features features.Config
	Epochs   int     // passes over the rows
	Rate     float64 // first learning rate; falls linearly to 0
	Dropout  float64 // share of a message's features that one step does not see

	// Rank of the product that the weights are learned as: FullRank for free rows, 0 to try both on
	// the calibration slice where there are labels enough and keep what finds it likelier.
	Rank          int
	ProductRate   float64 // first learning rate of a product
	HiddenDropout float64 // share of its hidden numbers that one step does not see
	Members       int     // models of different seeds whose mean is taken; they run side by side

	// Refit learns once more from the training rows and those of the calibration slice together,
	// after that has given rank, temperature and typical share. The held-out slice stays unseen.
	Refit bool
	Noise Noise // copies of the rows with the faults of real messages

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
		Dropout: 0.5, ProductRate: 0.7, HiddenDropout: 0.5, Members: 2, Refit: true, MinCount: 2,
		Holdout: 0.1, Calibrate: 0.1, Seed: seed}
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

// DemoThresholds are the cut-offs of the demo model's other heads. A language is believed as surely
// as a label, and never of a text that is foreign to the model: of a language that it does not know
// it would take the nearest.
func DemoThresholds(head string) classifier.Thresholds {
	if head != "lang" {
		return classifier.Thresholds{}
	}
	return Demo().Thresholds
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
	Refitted   int            `json:"refitted"`    // of those, learned from afterwards
	Mixed      int            `json:"mixed"`       // longer messages made of several, learned from
	Noisy      int            `json:"noisy"`       // copies with faults, learned from
	Rank       int            `json:"rank"`        // of the product; -1: free rows
	HeldOut    int            `json:"held_out"`    // quality was measured on
	OtherSplit int            `json:"other_split"` // left out by Split
	BothSides  int            `json:"both_sides"`  // left out: the text is on another side too
	Blank      int            `json:"blank"`       // no word in the text
	Labels     map[string]int `json:"labels"`
	Features   int            `json:"features"` // seen often enough
	Kept       int            `json:"kept"`     // in the file
	Loss       float64        `json:"loss"`
}

// Result is a trained model: the file, and the rows that it never saw, redacted. Report and HeldOut
// are those of the first head; Heads has all.
type Result struct {
	File    []byte
	Report  Report
	HeldOut []corpus.Row
	Heads   []HeadResult
}

// HeadResult is what became of one head's rows.
type HeadResult struct {
	Name    string
	Report  Report
	HeldOut []corpus.Row
}

// Run trains a model with one head, of labels that exclude each other.
func Run(cfg Config, rows []corpus.Row) (*Result, error) {
	return RunHeads(cfg, []Head{{Name: cfg.Head, Rows: rows, Thresholds: cfg.Thresholds}})
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
	case c.Rank < FullRank || c.Members < 1 || !(c.ProductRate > 0) || !share(c.HiddenDropout):
		return fmt.Errorf("cannot train: rank %d, %d members, product_rate %v, hidden_dropout %v; give "+
			"-1, 0 or a rank, at least 1, above 0, and a share from 0 to below 1", c.Rank, c.Members,
			c.ProductRate, c.HiddenDropout)
	case !share(c.Dropout) || !share(c.Holdout) || !share(c.Calibrate) || c.Holdout+c.Calibrate > 0.9:
		return fmt.Errorf("cannot train: dropout %v, holdout %v, calibrate %v; give shares from 0 to "+
			"below 1 that leave a tenth to train on", c.Dropout, c.Holdout, c.Calibrate)
	}
	if err := c.Noise.validate(); err != nil {
		return err
	}
	return c.Features.Validate()
}

// labelsOf sorts the labels, so that the order of the rows does not matter to the file.
func (h *Head) labelsOf(rows []corpus.Row, report *Report) ([]string, error) {
	for _, r := range rows {
		report.Labels[r.Label]++
	}
	labels := make([]string, 0, len(report.Labels))
	for l := range report.Labels {
		if l != Other || h.Kind == classifier.Softmax {
			labels = append(labels, l)
		}
	}
	sort.Strings(labels)
	least := 2
	if h.Kind == classifier.OneVsAll {
		least = 1
	}
	if len(labels) < least {
		return nil, fmt.Errorf("cannot train head %s: the rows to train on have %d labels; give at least "+
			"%d", h.Name, len(labels), least)
	}
	return labels, nil
}

// fingerprint names a version by what it was made from.
func fingerprint(cfg *Config, heads []*headRun) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v %d %v %v %d %v %v %d %v %+v %d %d %d\n", cfg.Features, cfg.Epochs, cfg.Rate,
		cfg.Dropout, cfg.Rank, cfg.ProductRate, cfg.HiddenDropout, cfg.Members, cfg.Refit, cfg.Noise,
		cfg.MinCount, cfg.MaxRows, cfg.Seed)
	for _, head := range heads {
		fmt.Fprintf(h, "%q %q %q\n", head.Name, head.Kind, head.Plain)
		for _, r := range head.parts.fit {
			fmt.Fprintf(h, "%q %q\n", r.Text, r.Label)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// quality measures one head of the file on rows that it never saw.
func quality(m *classifier.Model, head string, rows []corpus.Row, on string) (classifier.Quality,
	error) {
	r, err := eval.Run(m, rows, eval.Config{Head: head})
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
