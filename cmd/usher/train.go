package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/train"
	"usher/pipeline/redact"
)

type trainOptions struct {
	in               []string
	out, split, name string
	head, version    string
	epochs           int
	holdout          float64
	seed             uint64
	asJSON           bool

	also         []string
	articles     string
	rank, rows   int
	typos, latin float64
}

func (a *app) trainCommand() *cobra.Command {
	o := trainOptions{}
	c := &cobra.Command{
		Use:   "train --in FILE… --out MODEL",
		Short: "Train a classifier from labelled messages",
		Long: `Train the linear classifier from TSV files, plain, .gz or .zst: a header line, then one message a
line, no quoting. The columns text and label are required, lang and split optional. Texts are masked
like the pipeline masks them, so that the model sees in training what it will see at work. A part of
the rows is held out and the quality on it is printed and kept in the model.`,
		Example: `  usher train --in messages.tsv --out intent.usher --also sentiment=neutral,urgency=normal,lang
  usher train --in messages.tsv --out intent.usher --articles help.tsv
  usher train --in messages.tsv --out intent.usher
  usher train --in a.tsv.gz b.tsv.zst --out intent.usher --split train --name intent`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			o.in = append(o.in, args...)
			if len(o.in) == 0 || o.out == "" {
				return usagef("train needs --in FILE… and --out MODEL")
			}
			return a.train(cmd, o)
		}),
	}
	f := c.Flags()
	f.StringSliceVar(&o.in, "in", nil, "labelled messages: TSV `file`s")
	f.StringVar(&o.out, "out", "", "write the model to a `file`")
	f.StringVar(&o.split, "split", "", "train only on the rows of this split")
	f.StringVar(&o.name, "name", "", "the model's name (default: that of the file)")
	f.StringVar(&o.head, "head", "", "the name of its labels, as intent (default: the model's)")
	f.StringVar(&o.version, "version", "", "the model's version (default: a hash of rows and settings)")
	f.IntVar(&o.epochs, "epochs", 0, "passes over the rows (default: the recipe's)")
	f.Float64Var(&o.holdout, "holdout", -1, "share of the rows to measure on (default: the recipe's)")
	f.Uint64Var(&o.seed, "seed", 0, "order and dropout (default: the recipe's)")
	f.StringSliceVar(&o.also, "also", nil, "more heads, each a `column` of the files; NAME=LABEL when LABEL "+
		"is what shows nothing, as sentiment=neutral: then any other label anywhere in a message decides")
	f.StringVar(&o.articles, "articles", "", "a knowledge base, a TSV `file` with the columns id, title, "+
		"body: one more head, kb, each article on its own; messages labelled other belong to none")
	f.IntVar(&o.rank, "rank", 0, "rank of the product; -1: free rows (default: what validation chooses)")
	f.IntVar(&o.rows, "max-rows", 0, "keep so many features, those with the largest weights (default: all)")
	f.Float64Var(&o.typos, "typos", 0, "learn from so large a `share` of copies with typing errors too")
	f.Float64Var(&o.latin, "latin", 0, "and of copies in Latin letters without marks")
	f.BoolVar(&o.asJSON, "json", false, "print the result as one JSON object")
	return c
}

// readRows reads labelled messages; what is wrong with the files is the caller's to mend.
func readRows(files []string) ([]corpus.Row, error) { return readLabels(files, corpus.LabelColumn) }

// readLabels reads messages with the labels of a column.
func readLabels(files []string, column string) ([]corpus.Row, error) {
	rows, err := corpus.ReadColumn(files, column)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &usageError{err}
	}
	return rows, err
}

// modelName is the file's name without its extension.
func modelName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	return name
}

func (a *app) train(cmd *cobra.Command, o trainOptions) error {
	if o.name == "" {
		o.name = modelName(o.out)
	}
	if !cmd.Flags().Changed("seed") {
		o.seed = train.Default(o.name).Seed
	}
	cfg := o.config()
	heads, err := o.heads(&cfg)
	if err != nil {
		return err
	}
	if cfg.Redact, err = masks(); err != nil {
		return err
	}
	bar := a.newProgress("training", 100, false)
	defer bar.done()
	shown := 0
	cfg.Progress = func(p train.Progress) {
		if p.Stage == "train" && p.Total > 0 {
			percent := 100 * p.Done / p.Total
			bar.add(int64(percent - shown))
			shown = percent
		}
	}
	res, err := train.RunHeads(cfg, heads)
	bar.done()
	if err != nil {
		return err
	}
	if err := replaceFile(o.out, res.File); err != nil {
		return err
	}
	return a.printTrained(o, res)
}

// masks returns what the pipeline does to texts before it scores them. The masks need no key.
func masks() (func([]byte) []byte, error) {
	r, err := redact.New([]byte("masks need no key"), redact.Config{})
	if err != nil {
		return nil, fmt.Errorf("cannot make the redactor: %w", err)
	}
	var buf []byte
	return func(text []byte) []byte {
		buf = r.Text(buf[:0], text)
		return slices.Clone(buf)
	}, nil
}

// replaceFile writes content beside path and moves it there, so that nobody reads half of it.
func replaceFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("cannot write beside %s: %w", path, err)
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

func (a *app) printTrained(o trainOptions, res *train.Result) error {
	m, err := classifier.FromBytes(res.File)
	if err != nil {
		return fmt.Errorf("BUG: the model that was just written cannot be read: %w", err)
	}
	if o.asJSON {
		head := m.Heads()[0]
		var others []map[string]any
		for i, h := range m.Heads()[1:] {
			others = append(others, map[string]any{"head": h.Name, "labels": h.Labels,
				"report": res.Heads[i+1].Report, "quality": h.Quality})
		}
		return json.NewEncoder(a.out).Encode(map[string]any{
			"model": m.Name(), "version": m.Version(), "checksum": m.Checksum(), "file": o.out,
			"labels": head.Labels, "report": res.Report, "quality": head.Quality, "others": others,
		})
	}
	for i, h := range m.Heads() {
		r, q := res.Heads[i].Report, h.Quality
		name := m.Name() + " " + m.Version()
		if i > 0 {
			name = "head " + h.Name
		}
		fmt.Fprintf(a.out, "%s: %d labels, %d of %d messages trained on, %d features kept, %d bytes\n",
			name, len(h.Labels), r.Used, r.Rows, r.Kept, len(res.File))
		if q.N > 0 {
			fmt.Fprintf(a.out, "on %s (%d messages): accuracy %.4f, macro F1 %.4f, ECE %.4f; "+
				"auto: coverage %.4f, precision %.4f\n", q.On, q.N, q.Accuracy, q.MacroF1, q.ECE,
				q.AutoCoverage, q.AutoPrecision)
		}
	}
	fmt.Fprintf(a.out, "sha256 %s\n", m.Checksum())
	fmt.Fprintf(a.out, "written to %s; measure it: usher eval --model %s --in FILE\n", o.out, o.out)
	return nil
}

// loadModelFile loads a model that a flag names.
func loadModelFile(path string) (*classifier.Model, error) {
	m, err := classifier.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%w; train one with usher train --in FILE --out %s", err, path)
	}
	return m, err
}
