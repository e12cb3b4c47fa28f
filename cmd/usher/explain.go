package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usher/cmd/usher/internal/config"
	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/demo"
)

// ngramsShown is how many n-grams explain shows for and against.
const ngramsShown = 10

type explainOptions struct {
	text, model, label, data string
	asJSON                   bool
}

func (a *app) explainCommand() *cobra.Command {
	o := explainOptions{}
	c := &cobra.Command{
		Use:   "explain DECISION | --text TEXT",
		Short: "Show what spoke for a label and what against",
		Long: `Show the ten n-grams that spoke most for the best label (or --label) and the ten that spoke most
against it. Each adds an exact amount to the label's logit; with the bias and the rest they sum to it.
DECISION is the id of a decision in the store: the message is read again from Kafka, masked as always,
while Kafka still keeps it. Without --model the configured model explains, or the one in the binary.`,
		Example: `  usher explain --text "How much is a haircut?"
  usher explain --text "Where is my refund?" --model intent.usher --label claim --json
  usher explain 4f1c0a52b1c94d6d8a3f5e7700112233`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == (o.text != "") {
				return usagef("explain needs one DECISION or --text TEXT")
			}
			return a.explain(cmd.Context(), o, args)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.text, "text", "", "explain this `message`")
	f.StringVar(&o.model, "model", "", "the model's `file`")
	f.StringVar(&o.label, "label", "", "explain this label (default: the best)")
	f.StringVar(&o.data, "data", "", "with DECISION: data `directory` of embedded store and broker")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

// explanation is what explain prints.
type explanation struct {
	Model    string  `json:"model"`
	Version  string  `json:"version"`
	Checksum string  `json:"checksum"`
	Label    string  `json:"label"`
	Score    float64 `json:"score"`
	Logit    float64 `json:"logit"` // before the temperature
	Bias     float64 `json:"bias"`
	Rest     float64 `json:"rest"` // of all n-grams that are not listed
	For      []ngram `json:"for"`
	Against  []ngram `json:"against"`
	Known    int     `json:"known"` // n-grams that the model knows
	Unknown  int     `json:"unknown"`
	Note     string  `json:"note,omitempty"`
}

type ngram struct {
	Text         string  `json:"ngram"`
	Contribution float64 `json:"contribution"`
}

// explainedModel is the one that a flag names, else the configured, else the one in the binary.
func explainedModel(c *config.Config, file string) (*classifier.Model, error) {
	switch {
	case file != "":
		return loadModelFile(file)
	case len(c.Classifier.Models) > 0:
		return loadModelFile(c.Classifier.Models[0].File)
	}
	return demo.Model()
}

func (a *app) explain(ctx context.Context, o explainOptions, args []string) error {
	m, err := explainedModel(a.cfg, o.model)
	if err != nil {
		return err
	}
	defer m.Close()
	text, note := []byte(o.text), ""
	if len(args) == 1 {
		if text, note, err = a.decidedText(ctx, args[0], o.data, m); err != nil {
			return err
		}
	}
	mask, err := masks()
	if err != nil {
		return err
	}
	e, err := explainText(m, mask(text), o.label)
	if err != nil {
		return err
	}
	e.Note = note
	if o.asJSON {
		enc := json.NewEncoder(a.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(e)
	}
	a.printExplanation(e)
	return nil
}

// explainText scores a masked text and takes the score apart.
func explainText(m *classifier.Model, text []byte, label string) (*explanation, error) {
	x, err := features.New(m.Features())
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the features of model %s: %w", m.Name(), err)
	}
	var v features.Vector
	if !x.Fill(text, nil, &v) {
		return nil, usagef("the text holds no word")
	}
	names := x.Names(text, &v)
	scores := m.NewScores()
	m.Score(&v, scores)
	head := &m.Heads()[0]
	at := scores.Heads[0].Best
	if label != "" {
		if at = slices.Index(head.Labels, label); at < 0 {
			return nil, usagef("the model has no label %q; it has %q", label, head.Labels)
		}
	}
	e := &explanation{
		Model: m.Name(), Version: m.Version(), Checksum: m.Checksum(), Label: head.Labels[at],
		Score: scores.Heads[0].Probs[at], Logit: scores.Heads[0].Logits()[at], Bias: head.Bias[at],
		For: []ngram{}, Against: []ngram{},
	}
	each, known := m.Contributions(&v, 0, at)
	all := make([]ngram, 0, len(each))
	for i := range each {
		if !known[i] {
			e.Unknown++
			continue
		}
		e.Known++
		all = append(all, ngram{names[i], each[i]})
	}
	slices.SortStableFunc(all, func(a, b ngram) int {
		return cmp.Compare(math.Abs(b.Contribution), math.Abs(a.Contribution))
	})
	for _, n := range all {
		switch {
		case n.Contribution > 0 && len(e.For) < ngramsShown:
			e.For = append(e.For, n)
		case n.Contribution < 0 && len(e.Against) < ngramsShown:
			e.Against = append(e.Against, n)
		default:
			e.Rest += n.Contribution
		}
	}
	return e, nil
}

func (a *app) printExplanation(e *explanation) {
	if e.Note != "" {
		fmt.Fprintf(a.err, "note: %s\n", e.Note)
	}
	fmt.Fprintf(a.out, "%s: score %.4f by %s %s\n", e.Label, e.Score, e.Model, e.Version)
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	list := func(title string, list []ngram) {
		fmt.Fprintf(a.out, "\n%s\n", title)
		for _, n := range list {
			fmt.Fprintf(t, "%+.4f\t%s\t\n", n.Contribution, n.Text)
		}
		_ = t.Flush()
	}
	list("for", e.For)
	list("against", e.Against)
	fmt.Fprintf(a.out, "\nthe rest %+.4f, bias %+.4f: logit %.4f (%d n-grams known, %d not)\n",
		e.Rest, e.Bias, e.Logit, e.Known, e.Unknown)
}
