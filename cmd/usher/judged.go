package main

import (
	"fmt"
	"slices"
	"strings"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/pipeline/route"
)

// judged is one labelled message as the router would decide it, were the model proven.
type judged struct {
	row    *corpus.Row
	best   int // place of the best label
	label  string
	right  bool
	score  float64
	margin float64
	scope  float64
	band   route.Band
	probs  []float64
}

// judging says how to judge.
type judging struct {
	Model   *classifier.Model
	Head    int
	Cutoffs *route.Cutoffs
	Split   string // only rows of this split; empty: all
}

// judgeRows takes every row through the redactor, the features, the model and the cut-offs, as the
// stream does. A row whose label the model does not have is wrong whatever the model says.
func judgeRows(j judging, rows []corpus.Row) ([]judged, error) {
	mask, err := masks()
	if err != nil {
		return nil, err
	}
	x, err := features.New(j.Model.Features())
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the features of model %s: %w", j.Model.Name(), err)
	}
	rules, err := route.NewRules(nil)
	if err != nil {
		return nil, fmt.Errorf("cannot make an empty rule table: %w", err)
	}
	var v features.Vector
	var d route.Decision
	scores := j.Model.NewScores()
	head := &scores.Heads[j.Head]
	var out []judged
	for i := range rows {
		row := &rows[i]
		if j.Split != "" && row.Split != j.Split {
			continue
		}
		if !x.Fill(mask([]byte(row.Text)), nil, &v) {
			continue // no text, no decision about a label
		}
		j.Model.Score(&v, scores)
		d.Reset()
		d.Lang = []byte(row.Lang)
		route.Decide(&route.Inputs{
			HasText: true, Cutoffs: j.Cutoffs, Scores: head.Probs, Scope: head.Scope,
		}, rules, &d)
		out = append(out, judged{
			row: row, best: head.Best, label: d.Label, right: d.Label == row.Label, score: d.Score,
			margin: d.Margin, scope: d.Scope, band: d.Band, probs: slices.Clone(head.Probs),
		})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cannot judge the model: no message%s", inSplit(j.Split))
	}
	return out, nil
}

func inSplit(split string) string {
	if split == "" {
		return " in the files"
	}
	return fmt.Sprintf(" in split %q", split)
}

// fewDifferent warns when a sample repeats itself: what was seen twice proves little about what was
// not seen.
func fewDifferent(all []judged) string {
	texts := make(map[string]bool, len(all))
	for i := range all {
		texts[strings.TrimSpace(all[i].row.Text)] = true
	}
	if 2*len(texts) >= len(all) {
		return ""
	}
	return fmt.Sprintf("only %d of the %d messages differ: a sample that repeats itself proves less than "+
		"its size says", len(texts), len(all))
}
