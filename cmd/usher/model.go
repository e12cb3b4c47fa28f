package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"usher/features/classifier"
	"usher/pipeline/route"
)

func (a *app) modelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model show|diff",
		Short: "Look into model files",
		Long: `show prints what a model file says about itself: version, labels, thresholds, temperature, the
quality on messages that it never saw, and its card. diff tells two files apart, and with --in on which
share of those messages they would decide otherwise.`,
		Example: `  usher model show intent.usher
  usher model diff old.usher new.usher --in messages.tsv`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no usher model %s; use show or diff", args[0])
			}
			return cmd.Help()
		}),
	}
	c.AddCommand(a.modelShowCommand(), a.modelDiffCommand())
	return c
}

func (a *app) modelShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "show MODEL",
		Short:   "Print what a model file says about itself",
		Example: `  usher model show intent.usher --json | jq .heads[0].quality`,
		RunE: a.do(func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("model show needs one MODEL")
			}
			m, err := loadModelFile(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			if asJSON {
				return json.NewEncoder(a.out).Encode(map[string]any{
					"name": m.Name(), "version": m.Version(), "checksum": m.Checksum(), "bytes": m.Bytes(),
					"rows": m.Rows(), "features": m.Features(), "heads": m.Heads(), "card": m.Card(),
				})
			}
			a.showModel(m)
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// labelsShown of a head are printed; a head of hundreds would fill the screen.
const labelsShown = 100

func (a *app) showModel(m *classifier.Model) {
	fmt.Fprintf(a.out, "%s %s\nsha256 %s\n%d n-grams known, %d bytes\n", m.Name(), m.Version(), m.Checksum(),
		m.Rows(), m.Bytes())
	for _, h := range m.Heads() {
		q := h.Quality
		labels := h.Labels[:min(labelsShown, len(h.Labels))]
		fmt.Fprintf(a.out, "\nhead %s (%s): %d labels: %s\n", h.Name, h.Kind, len(h.Labels),
			strings.Join(labels, ", "))
		fmt.Fprintf(a.out, "  temperature %.4f, thresholds %s\n", h.Temperature, asJSONText(h.Thresholds))
		if q.N > 0 {
			fmt.Fprintf(a.out, "  on %s (%d messages): accuracy %.4f, macro F1 %.4f, ECE %.4f; auto: "+
				"coverage %.4f, precision %.4f\n", q.On, q.N, q.Accuracy, q.MacroF1, q.ECE, q.AutoCoverage,
				q.AutoPrecision)
		}
	}
	var card bytes.Buffer
	if json.Indent(&card, m.Card(), "", "  ") == nil && card.Len() > 0 {
		fmt.Fprintf(a.out, "\ncard\n%s\n", card.String())
	}
}

// asJSONText is a value on one line.
func asJSONText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (a *app) modelDiffCommand() *cobra.Command {
	var in []string
	c := &cobra.Command{
		Use:     "diff OLD NEW",
		Short:   "Tell two model files apart",
		Example: `  usher model diff old.usher new.usher --in messages.tsv`,
		RunE: a.do(func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("model diff needs OLD and NEW")
			}
			old, err := loadModelFile(args[0])
			if err != nil {
				return err
			}
			defer old.Close()
			next, err := loadModelFile(args[1])
			if err != nil {
				return err
			}
			defer next.Close()
			a.diffModels(old, next)
			if len(in) == 0 {
				return nil
			}
			return a.diffDecisions(old, next, in)
		}),
	}
	c.Flags().StringSliceVar(&in, "in", nil, "messages to compare their decisions on: TSV `file`s")
	return c
}

func (a *app) diffModels(old, next *classifier.Model) {
	same := true
	line := func(what string, before, after any) {
		x, y := asJSONText(before), asJSONText(after)
		if x != y {
			same = false
			fmt.Fprintf(a.out, "%s: %s → %s\n", what, x, y)
		}
	}
	line("name", old.Name(), next.Name())
	line("version", old.Version(), next.Version())
	line("checksum", old.Checksum(), next.Checksum())
	line("n-grams", old.Rows(), next.Rows())
	line("features", old.Features(), next.Features())
	for _, h := range next.Heads() {
		at := old.Head(h.Name)
		if at < 0 {
			same = false
			fmt.Fprintf(a.out, "head %s: new\n", h.Name)
			continue
		}
		was := old.Heads()[at]
		line("head "+h.Name+": labels gone", without(was.Labels, h.Labels), []string{})
		line("head "+h.Name+": labels new", []string{}, without(h.Labels, was.Labels))
		line("head "+h.Name+": temperature", was.Temperature, h.Temperature)
		line("head "+h.Name+": thresholds", was.Thresholds, h.Thresholds)
		line("head "+h.Name+": quality", was.Quality, h.Quality)
	}
	for _, h := range old.Heads() {
		if next.Head(h.Name) < 0 {
			same = false
			fmt.Fprintf(a.out, "head %s: gone\n", h.Name)
		}
	}
	if same {
		fmt.Fprintln(a.out, "the files are the same")
	}
}

// without are the members of a that b lacks.
func without(a, b []string) []string {
	out := []string{}
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

// diffDecisions counts where the two would decide otherwise, each with its own cut-offs.
func (a *app) diffDecisions(old, next *classifier.Model, in []string) error {
	rows, err := readRows(in)
	if err != nil {
		return err
	}
	var both [2][]judged
	for i, m := range []*classifier.Model{old, next} {
		all, err := cutoffs(a.cfg, m)
		if err != nil {
			return err
		}
		if both[i], err = judgeRows(judging{Model: m, Cutoffs: all[""]}, rows); err != nil {
			return err
		}
	}
	if len(both[0]) != len(both[1]) {
		return fmt.Errorf("BUG: the models read %d and %d of the same messages", len(both[0]), len(both[1]))
	}
	label, band, mended, spoilt := 0, 0, 0, 0
	auto := [2]int{}
	for i := range both[0] {
		x, y := &both[0][i], &both[1][i]
		count := func(n *int, is bool) {
			if is {
				*n++
			}
		}
		count(&label, x.label != y.label)
		count(&band, x.band != y.band)
		count(&mended, !x.right && y.right)
		count(&spoilt, x.right && !y.right)
		count(&auto[0], x.band == route.BandAuto)
		count(&auto[1], y.band == route.BandAuto)
	}
	fmt.Fprintf(a.out, "on %d messages: another label for %d, another band for %d; %d wrong ones are right "+
		"now, %d right ones wrong; auto %d → %d\n", len(both[0]), label, band, mended, spoilt, auto[0], auto[1])
	return nil
}
