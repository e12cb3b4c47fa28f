package main

import (
	"fmt"
	"strconv"
	"strings"

	"usher/features/classifier/eval"
)

// gate is one condition on a result of usher eval.
type gate struct {
	text, name string
	atLeast    bool
	bound      float64
}

// parseGates reads name>=number and name<=number.
func parseGates(texts []string) ([]gate, error) {
	var out []gate
	for _, text := range texts {
		g := gate{text: text}
		name, number, ok := strings.Cut(text, ">=")
		if g.atLeast = ok; !ok {
			name, number, ok = strings.Cut(text, "<=")
		}
		bound, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if g.name, g.bound = strings.TrimSpace(name), bound; !ok || err != nil || g.name == "" {
			return nil, usagef("--gate %q is no condition; write one as accuracy>=0.9 or ece<=0.02", text)
		}
		if _, err := g.value(&eval.Report{}); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// value looks up what the gate is about; nil where the messages say nothing about it.
func (g *gate) value(r *eval.Report) (*float64, error) {
	n := float64(r.N)
	switch g.name {
	case "n":
		return &n, nil
	case "accuracy":
		return &r.Accuracy, nil
	case "macro_f1":
		return &r.MacroF1, nil
	case "top3":
		return &r.Top3, nil
	case "ece":
		return &r.ECE, nil
	}
	if rest, ok := strings.CutPrefix(g.name, "labels."); ok {
		at := strings.LastIndexByte(rest, '.')
		if at > 0 {
			l := r.Labels[rest[:at]]
			switch rest[at+1:] {
			case "precision":
				return l.Precision, nil
			case "recall":
				return l.Recall, nil
			}
		}
	}
	band, what, _ := strings.Cut(g.name, ".")
	if band == eval.Auto || band == eval.Suggest || band == eval.None {
		b := r.Bands[band]
		switch what {
		case "coverage":
			return &b.Coverage, nil
		case "precision":
			return b.Precision, nil
		case "low":
			return b.Low, nil
		case "high":
			return b.High, nil
		}
	}
	return nil, usagef("--gate %q: there is no %q; use n, accuracy, macro_f1, top3, ece, "+
		"auto.coverage, auto.precision, auto.low, auto.high (suggest and none too), labels.NAME.precision "+
		"or labels.NAME.recall", g.text, g.name)
}

// checkGates says which conditions do not hold. What is not known does not hold.
func checkGates(gates []gate, r *eval.Report) error {
	var failed []string
	for _, g := range gates {
		v, err := g.value(r)
		if err != nil {
			return err
		}
		switch {
		case v == nil:
			failed = append(failed, g.text+" (not known)")
		case g.atLeast && *v < g.bound, !g.atLeast && *v > g.bound:
			failed = append(failed, fmt.Sprintf("%s (it is %.4f)", g.text, *v))
		}
	}
	if len(failed) > 0 {
		return notHeldf("does not hold: %s", strings.Join(failed, ", "))
	}
	return nil
}
