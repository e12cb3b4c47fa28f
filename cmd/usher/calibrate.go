package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"usher/features/classifier"
	"usher/features/classifier/accept"
	"usher/pipeline/route"
)

// measureOptions are what the commands have in common that judge a model on labelled messages.
type measureOptions struct {
	model, split, tenant string
	in, leaveOut         []string
}

// flags adds them to a command; it is called with its name for the errors.
func (o *measureOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.model, "model", "", "the model's `file`")
	f.StringSliceVar(&o.in, "in", nil, "labelled messages: TSV `file`s")
	f.StringVar(&o.split, "split", "", "use only the rows of this split")
	f.StringSliceVar(&o.leaveOut, "leave-out", nil, "labels to leave out, as ambiguous")
	f.StringVar(&o.tenant, "tenant", "", "with this tenant's cut-offs")
}

func (o *measureOptions) check(name string, args []string) error {
	o.in = append(o.in, args...)
	if o.model == "" || len(o.in) == 0 {
		return usagef("%s needs --model MODEL and --in FILE…", name)
	}
	return nil
}

// judge loads what the options name; the caller closes the model.
func (a *app) judge(o *measureOptions) (*classifier.Model, *route.Cutoffs, []judged, error) {
	m, err := loadModelFile(o.model)
	if err != nil {
		return nil, nil, nil, err
	}
	all, err := cutoffs(a.cfg, m)
	if err == nil {
		cut, ok := all[o.tenant]
		if !ok {
			cut = all[""]
		}
		var messages []judged
		rows, readErr := readRows(o.in)
		if err = readErr; err == nil {
			messages, err = judgeRows(judging{Model: m, Cutoffs: cut, Split: o.split},
				leaveOut(rows, o.leaveOut))
			if err == nil {
				return m, cut, messages, nil
			}
		}
	}
	_ = m.Close()
	return nil, nil, nil, err
}

func (a *app) calibrateCommand() *cobra.Command {
	o := measureOptions{}
	precision := 0.95
	c := &cobra.Command{
		Use:   "calibrate --model MODEL --in FILE…",
		Short: "Find the cut-offs for a wanted precision",
		Long: `Find, for each label, and for each label and language where the rows name more than one, the lowest
cut-off whose exact lower 95 % bound of precision reaches --precision: it covers most. The result is a
block for usher.yaml. Where no cut-off is shown to do, auto is switched off. The cut-offs are chosen on
these messages, so show them on others with usher accept.`,
		Example: `  usher calibrate --model intent.usher --in labelled.tsv --precision 0.95
  usher calibrate --model intent.usher --in labelled.tsv --split test >> usher.yaml`,
		RunE: a.do(func(_ *cobra.Command, args []string) error {
			if err := o.check("calibrate", args); err != nil {
				return err
			}
			if err := accept.CheckPrecision(precision); err != nil {
				return usagef("--%w", err)
			}
			m, cut, messages, err := a.judge(&o)
			if err != nil {
				return err
			}
			defer m.Close()
			printCalibration(a.out, calibration{m.Heads()[0].Labels, cut, messages, precision})
			return nil
		}),
	}
	o.flags(c)
	c.Flags().Float64Var(&precision, "precision", precision, "the wanted precision")
	return c
}

type calibration struct {
	labels    []string
	cut       *route.Cutoffs
	messages  []judged
	precision float64
}

// langsMax bounds the block: a column of nonsense would make one entry a row.
const langsMax = 50

func printCalibration(w io.Writer, c calibration) {
	langs := map[string]bool{}
	for i := range c.messages {
		if lang := c.messages[i].row.Lang; lang != "" {
			langs[lang] = true
		}
	}
	fmt.Fprintf(w, "# %d messages; a cut-off holds when its lower 95 %% bound reaches %g\n", len(c.messages),
		c.precision)
	fmt.Fprintf(w, "classifier:\n  thresholds:\n    labels:\n")
	c.print(w, "", "      ")
	if len(langs) < 2 || len(langs) > langsMax {
		return
	}
	fmt.Fprintf(w, "    langs:\n")
	for _, lang := range slices.Sorted(maps.Keys(langs)) {
		fmt.Fprintf(w, "      %s:\n        labels:\n", yamlName(lang))
		c.print(w, lang, "          ")
	}
}

// print writes the labels' lines for one language, or for all when lang is empty.
func (c *calibration) print(w io.Writer, lang, indent string) {
	total, on := 0, ""
	if lang != "" {
		on = "auto: true, " // though the label may be off for all languages together
	}
	per := make([][]accept.Scored, len(c.labels))
	for i := range c.messages {
		x := &c.messages[i]
		if lang != "" && x.row.Lang != lang {
			continue
		}
		total++
		at := c.cut.At(x.best, []byte(x.row.Lang))
		if x.margin >= at.MinMargin && x.scope >= at.MinScope {
			per[x.best] = append(per[x.best], accept.Scored{Score: x.score, Right: x.right})
		}
	}
	for i, label := range c.labels {
		floor := c.cut.At(i, []byte(lang)).SuggestAt
		p, ok := accept.Cutoff(per[i], c.precision, floor)
		if !ok {
			fmt.Fprintf(w, "%s%s: {auto: false}  # not shown by %d messages\n", indent, yamlName(label),
				len(per[i]))
			continue
		}
		fmt.Fprintf(w, "%s%s: {%sauto_at: %.4f}  # %d of %d right, at least %.4f; %.1f %% of all messages\n",
			indent, yamlName(label), on, p.AutoAt, p.Right, p.N, p.Low, 100*float64(p.N)/float64(total))
	}
}

// yamlName quotes what YAML would read as something else than a name.
func yamlName(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off", "true", "false", "null", "y", "n":
		plain = false
	}
	if plain && s != "" && (s[0] < '0' || s[0] > '9') && s[0] != '-' {
		return s
	}
	return fmt.Sprintf("%q", s)
}
