// Command classifier measures usher's classifier on public sets, as bench/classifier/run.sh does:
//
//	go run ./bench/classifier -data DIR -set banking77
//	go run ./bench/classifier -data DIR -across
//	go run ./bench/classifier -data DIR -scope
//
// Each line that it prints is one measurement. With -export it writes the very rows that it trains
// and measures on, for other programs.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/eval"
	"usher/features/classifier/train"
)

type options struct {
	data, sets, export string
	across, scope      bool
	seed               uint64
	full               bool
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "../shared/data", "`directory` of the public data")
	flag.StringVar(&o.sets, "set", "", "sets to measure, with commas between; all: every one")
	flag.StringVar(&o.export, "export", "", "write train.tsv and test.tsv of each set below a `directory`")
	flag.BoolVar(&o.across, "across", false, "train on one client's mapped set, measure on the others'")
	flag.BoolVar(&o.scope, "scope", false, "measure the gates on clinc150's out-of-scope messages")
	flag.Uint64Var(&o.seed, "seed", 0, "of training; 0: the recipe's")
	flag.BoolVar(&o.full, "full-rank", false, "free rows instead of what validation chooses")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/classifier:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	names := strings.Split(o.sets, ",")
	if o.sets == "all" {
		names = nil
		for _, s := range sources {
			names = append(names, s.name)
		}
	} else if o.sets == "" {
		names = nil
	}
	for _, name := range names {
		if err := o.one(name); err != nil {
			return fmt.Errorf("cannot measure %s: %w", name, err)
		}
	}
	if o.across {
		if err := o.acrossClients(); err != nil {
			return err
		}
	}
	if o.scope {
		return o.outOfScope()
	}
	return nil
}

func (o *options) one(name string) error {
	src, err := find(name)
	if err != nil {
		return err
	}
	s, err := src.load(o.data)
	if err != nil {
		return err
	}
	if o.export != "" {
		dir := filepath.Join(o.export, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := write(filepath.Join(dir, "train.tsv"), s.train); err != nil {
			return err
		}
		if err := write(filepath.Join(dir, "test.tsv"), s.test); err != nil {
			return err
		}
	}
	m, line, err := o.train(s)
	if err != nil {
		return err
	}
	if err := line.measure(m, s.test); err != nil {
		return err
	}
	line.Nanos = speed(m, s.test)
	line.PerSecond = int(1e9 / line.Nanos)
	return json.NewEncoder(os.Stdout).Encode(line)
}

// write keeps the texts as they are; they hold neither tabs nor line ends.
func write(path string, rows []corpus.Row) error {
	var b strings.Builder
	b.WriteString("text\tlabel\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "%s\t%s\n", r.Text, r.Label)
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// line is one measurement. Macro F1, ECE (15 bins) and bands are those of package eval.
type line struct {
	System        string  `json:"system"`
	Set           string  `json:"set"`
	Train         int     `json:"train"`
	Dropped       int     `json:"train_texts_also_in_test_dropped"`
	Test          int     `json:"test"`
	Labels        int     `json:"labels"`
	Rank          int     `json:"rank"`
	Accuracy      float64 `json:"accuracy"`
	MacroF1       float64 `json:"macro_f1"`
	Top3          float64 `json:"top3"`
	ECE           float64 `json:"ece"`
	AutoCoverage  float64 `json:"auto_coverage"`
	AutoPrecision float64 `json:"auto_precision"`
	AutoLow       float64 `json:"auto_low"`
	AutoHigh      float64 `json:"auto_high"`
	Temperature   float64 `json:"temperature"`
	TrainSeconds  float64 `json:"train_wall_s"`
	TrainCPU      float64 `json:"train_cpu_s"`
	Nanos         float64 `json:"ns_per_message,omitempty"`
	PerSecond     int     `json:"messages_per_cpu_second,omitempty"`
	Bytes         int     `json:"bytes"`
}

func (o *options) config(name string) train.Config {
	cfg := train.Default(name)
	cfg.Holdout = 0 // the test rows are the held-out ones
	if o.seed != 0 {
		cfg.Seed, cfg.Features.Seed = o.seed, o.seed
	}
	if o.full {
		cfg.Rank = train.FullRank
	}
	return cfg
}

func (o *options) train(s *set) (*classifier.Model, *line, error) {
	start, cpu := time.Now(), cpuOf(process)
	res, err := train.Run(o.config(s.name), s.train)
	if err != nil {
		return nil, nil, err
	}
	m, err := classifier.FromBytes(res.File)
	if err != nil {
		return nil, nil, err
	}
	return m, &line{System: "usher", Set: s.name, Train: len(s.train), Dropped: s.dropped,
		Labels: len(m.Heads()[0].Labels), Rank: res.Report.Rank, Temperature: m.Heads()[0].Temperature,
		TrainSeconds: time.Since(start).Seconds(), TrainCPU: (cpuOf(process) - cpu).Seconds(),
		Bytes: len(res.File)}, nil
}

func (l *line) measure(m *classifier.Model, rows []corpus.Row) error {
	r, err := eval.Run(m, rows, eval.Config{})
	if err != nil {
		return err
	}
	l.Test, l.Accuracy, l.MacroF1, l.Top3, l.ECE = r.N, r.Accuracy, r.MacroF1, r.Top3, r.ECE
	auto := r.Bands[eval.Auto]
	l.AutoCoverage = auto.Coverage
	if auto.Precision != nil {
		l.AutoPrecision, l.AutoLow, l.AutoHigh = *auto.Precision, *auto.Low, *auto.High
	}
	return nil
}

// scorer is a model with what it needs to score.
type scorer struct {
	model  *classifier.Model
	x      *features.Extractor
	vector features.Vector
	scores *classifier.Scores
}

func newScorer(m *classifier.Model) (*scorer, error) {
	x, err := features.New(m.Features())
	if err != nil {
		return nil, err
	}
	return &scorer{model: m, x: x, scores: m.NewScores()}, nil
}

func (s *scorer) score(text string) *classifier.HeadScores {
	s.x.Fill([]byte(text), nil, &s.vector)
	s.model.Score(&s.vector, s.scores)
	return &s.scores.Heads[0]
}

// leastSeconds of processor time make a speed trustworthy.
const leastSeconds = 1.0

// speed is nanoseconds of one thread's processor time per message, from text to probabilities. It
// counts processor time, because other work on the machine takes from the clock but not from that.
func speed(m *classifier.Model, rows []corpus.Row) float64 {
	x, err := features.New(m.Features())
	if err != nil {
		panic("BUG: the model was checked: " + err.Error())
	}
	texts := make([][]byte, len(rows))
	for i, r := range rows {
		texts[i] = []byte(r.Text)
	}
	var v features.Vector
	out := m.NewScores()
	pass := func() {
		for _, text := range texts {
			x.Fill(text, nil, &v)
			m.Score(&v, out)
		}
	}
	pass()
	defer onOneThread()()
	n, start := 0, cpuOf(thread)
	for n == 0 || (cpuOf(thread)-start).Seconds() < leastSeconds {
		pass()
		n += len(texts)
	}
	return float64((cpuOf(thread) - start).Nanoseconds()) / float64(n)
}
