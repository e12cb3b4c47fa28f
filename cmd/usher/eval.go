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
	"usher/features/classifier/eval"
	"usher/pipeline/route"
)

type evalOptions struct {
	model, split, head string
	in                 []string
	by                 string
	leaveOut           []string
	asJSON             bool
}

func (a *app) evalCommand() *cobra.Command {
	o := evalOptions{}
	c := &cobra.Command{
		Use:   "eval --model MODEL --in FILE…",
		Short: "Measure a model on labelled messages",
		Long: `Measure a model on TSV files (see usher train): accuracy, macro F1, calibration, and for each band
how many messages it takes and how often it is right, with the 95 % interval of that share. The
cut-offs are the configuration's. Rows whose label the model does not have are counted as skipped.`,
		Example: `  usher eval --model intent.usher --in test.tsv.gz
  usher eval --model intent.usher --in messages.tsv --split test --by lang --json`,
		RunE: a.do(func(_ *cobra.Command, args []string) error {
			o.in = append(o.in, args...)
			if len(o.in) == 0 || o.model == "" {
				return usagef("eval needs --model MODEL and --in FILE…")
			}
			if !slices.Contains([]string{"", "lang", "label", "split"}, o.by) {
				return usagef("--by must be lang, label or split, got %q", o.by)
			}
			return a.eval(o)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.model, "model", "", "the model's `file`")
	f.StringSliceVar(&o.in, "in", nil, "labelled messages: TSV `file`s")
	f.StringVar(&o.split, "split", "", "measure only the rows of this split")
	f.StringVar(&o.head, "head", "", "measure this head (default: the first)")
	f.StringVar(&o.by, "by", "", "also by lang, label or split")
	f.StringSliceVar(&o.leaveOut, "leave-out", nil, "labels to leave out, as ambiguous")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

func (a *app) eval(o evalOptions) error {
	m, err := loadModelFile(o.model)
	if err != nil {
		return err
	}
	defer m.Close()
	rows, err := readRows(o.in)
	if err != nil {
		return err
	}
	kept := rows[:0]
	for _, r := range rows {
		if !slices.Contains(o.leaveOut, r.Label) {
			kept = append(kept, r)
		}
	}
	cfg := eval.Config{Head: o.head, Split: o.split, By: o.by}
	if cfg.Redact, err = masks(); err != nil {
		return err
	}
	if o.head == "" || o.head == m.Heads()[0].Name {
		if cfg.Band, err = bands(a.cfg, m); err != nil {
			return err
		}
	}
	report, err := eval.Run(m, kept, cfg)
	if err != nil {
		return err
	}
	if o.asJSON {
		return json.NewEncoder(a.out).Encode(report)
	}
	a.printEval(report, "")
	for _, name := range slices.Sorted(maps.Keys(report.By)) {
		part := report.By[name]
		a.printEval(&part, o.by+" "+name)
	}
	return nil
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
