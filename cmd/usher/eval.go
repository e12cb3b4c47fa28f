package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usher/cmd/usher/internal/config"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/eval"
	"usher/pipeline/route"
)

type evalOptions struct {
	model, split string
	headOptions
	in       []string
	by       []string
	gate     []string
	leaveOut []string
	asJSON   bool
}

func (a *app) evalCommand() *cobra.Command {
	o := evalOptions{}
	c := &cobra.Command{
		Use:   "eval --model MODEL --in FILE…",
		Short: "Measure a model on labelled messages",
		Long: `Measure a model on TSV files (see usher train): accuracy, macro F1, calibration, and for each band
how many messages it takes and how often it is right, with the 95 % interval of that share. The
cut-offs are the configuration's. Rows whose label the model does not have are counted as skipped.
--by may name several columns; channel and region may be columns of the files too. --gate is a
condition on the result, as accuracy>=0.9, ece<=0.02, macro_f1, top3, n, auto.precision, auto.low,
auto.coverage, labels.NAME.recall; when one does not hold the exit code is 3.`,
		Example: `  usher eval --model intent.usher --in test.tsv.gz
  usher eval --model intent.usher --in messages.tsv --split test --by lang,label --json
  usher eval --model intent.usher --in test.tsv --gate 'accuracy>=0.9' --gate 'auto.low>=0.95'`,
		RunE: a.do(func(_ *cobra.Command, args []string) error {
			o.in = append(o.in, args...)
			if len(o.in) == 0 || o.model == "" {
				return usagef("eval needs --model MODEL and --in FILE…")
			}
			for _, by := range o.by {
				if !slices.Contains(eval.Groupings(), by) {
					return usagef("--by must be one of %s, got %q", strings.Join(eval.Groupings(), ", "), by)
				}
			}
			gates, err := parseGates(o.gate)
			if err != nil {
				return err
			}
			return a.eval(o, gates)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.model, "model", "", "the model's `file`")
	f.StringSliceVar(&o.in, "in", nil, "labelled messages: TSV `file`s")
	f.StringVar(&o.split, "split", "", "measure only the rows of this split")
	o.headOptions.flags(f)
	f.StringSliceVar(&o.by, "by", nil, "also by these `columns`: lang, label, split, channel, region")
	f.StringArrayVar(&o.gate, "gate", nil, "a `condition` that must hold, as accuracy>=0.9; may be repeated")
	f.StringSliceVar(&o.leaveOut, "leave-out", nil, "labels to leave out, as ambiguous")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

func (a *app) eval(o evalOptions, gates []gate) error {
	m, err := loadModelFile(o.model)
	if err != nil {
		return err
	}
	defer m.Close()
	rows, err := readLabels(o.in, o.column)
	if err != nil {
		return err
	}
	kept := leaveOut(rows, o.leaveOut)
	cfg := eval.Config{Head: o.head, Split: o.split}
	if cfg.Redact, err = masks(); err != nil {
		return err
	}
	if o.head == "" || o.head == m.Heads()[0].Name {
		if cfg.Band, err = bands(a.cfg, m); err != nil {
			return err
		}
	}
	report, err := evalBy(m, kept, cfg, o.by)
	if err != nil {
		return err
	}
	if o.asJSON {
		err = json.NewEncoder(a.out).Encode(report)
	} else {
		a.printEval(report, "")
		for _, name := range slices.Sorted(maps.Keys(report.By)) {
			part := report.By[name]
			title := name
			if len(o.by) == 1 {
				title = o.by[0] + " " + name
			}
			a.printEval(&part, title)
		}
		fmt.Fprintln(a.out, sampleSentence(report.N))
	}
	if err != nil {
		return err
	}
	return checkGates(gates, report)
}

// leaveOut drops the rows with one of the labels, as those that annotators call ambiguous.
func leaveOut(rows []corpus.Row, labels []string) []corpus.Row {
	return slices.DeleteFunc(rows, func(r corpus.Row) bool { return slices.Contains(labels, r.Label) })
}

// evalBy measures by each column in turn. One column names its parts by their values, several put
// the column before the value.
func evalBy(m *classifier.Model, rows []corpus.Row, cfg eval.Config, by []string) (*eval.Report, error) {
	if len(by) <= 1 {
		cfg.By = strings.Join(by, "")
		return eval.Run(m, rows, cfg)
	}
	var out *eval.Report
	parts := make(map[string]eval.Report)
	for _, column := range by {
		cfg.By = column
		var err error
		if out, err = eval.Run(m, rows, cfg); err != nil {
			return nil, err
		}
		for value, part := range out.By {
			parts[column+" "+value] = part
		}
	}
	out.By = parts
	return out, nil
}

// bands decides as the router does, with the configured cut-offs.
func bands(c *config.Config, m *classifier.Model) (func(*eval.Verdict) string, error) {
	all, err := cutoffs(c, m)
	if err != nil {
		return nil, err
	}
	rules, err := route.NewRules(nil)
	if err != nil {
		return nil, fmt.Errorf("cannot make an empty rule table: %w", err)
	}
	var d route.Decision
	return func(v *eval.Verdict) string {
		d.Reset()
		d.Lang, d.Model.Mode = []byte(v.Lang), route.Live
		route.Decide(&route.Inputs{
			HasText: true, Cutoffs: all[""], Scores: v.Scores, Scope: v.Scope,
		}, rules, &d)
		return d.Band.String()
	}, nil
}

func (a *app) printEval(r *eval.Report, title string) {
	if title != "" {
		fmt.Fprintf(a.out, "\n%s\n", title)
	}
	fmt.Fprintf(a.out, "n %d  accuracy %.4f  macro F1 %.4f  top 3 %.4f  ECE %.4f\n",
		r.N, r.Accuracy, r.MacroF1, r.Top3, r.ECE)
	skipped := make([]string, 0, len(r.Skipped))
	for _, label := range slices.Sorted(maps.Keys(r.Skipped)) {
		skipped = append(skipped, fmt.Sprintf("%s (%d)", label, r.Skipped[label]))
	}
	if len(skipped) > 0 {
		fmt.Fprintf(a.out, "skipped, the model has no such label: %s\n", strings.Join(skipped, ", "))
	}
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "band\tn\tcoverage\tprecision\tlow\thigh\t")
	for _, name := range []string{eval.Auto, eval.Suggest, eval.None} {
		b := r.Bands[name]
		fmt.Fprintf(t, "%s\t%d\t%.4f\t%s\t%s\t%s\t\n", name, b.N, b.Coverage,
			shareText(b.Precision), shareText(b.Low), shareText(b.High))
	}
	_ = t.Flush()
	fmt.Fprintln(t, "label\tn\tprecision\trecall\t")
	for _, name := range r.SortedLabels() {
		l := r.Labels[name]
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t\n", name, l.N, shareText(l.Precision), shareText(l.Recall))
	}
	_ = t.Flush()
}

// shareText prints a share that may be unknown.
func shareText(x *float64) string {
	if x == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", *x)
}
