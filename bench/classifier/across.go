package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/train"
	"usher/pipeline/route"
)

// acrossClients trains on one client's messages and measures on the others': what a model is worth
// where nobody has accepted it.
func (o *options) acrossClients() error {
	var sets []*set
	for _, name := range []string{"map-banking77", "map-multidogo", "map-bitext"} {
		src, err := find(name)
		if err != nil {
			return err
		}
		s, err := src.load(o.data)
		if err != nil {
			return err
		}
		sets = append(sets, s)
	}
	for _, from := range sets {
		m, trained, err := o.train(from)
		if err != nil {
			return err
		}
		for _, to := range sets {
			if to == from {
				continue
			}
			l := *trained
			l.Set = from.name + " -> " + to.name
			if err := l.measure(m, to.test); err != nil {
				return err
			}
			if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// gate is one way to hold messages back that belong to no label.
type gate struct {
	name          string
	scope, margin float64
	score         float64
}

var gates = []gate{
	{name: "score 0.90", score: 0.9},
	{name: "score 0.90, scope 0.80", score: 0.9, scope: 0.8},
	{name: "score 0.90, scope 0.90", score: 0.9, scope: 0.9},
	{name: "score 0.90, scope 1.00", score: 0.9, scope: 1},
	{name: "score 0.90, margin 0.90", score: 0.9, margin: 0.9},
	{name: "score 0.95", score: 0.95},
	{name: "score 0.95, scope 0.90", score: 0.95, scope: 0.9},
	{name: "score 0.98", score: 0.98},
}

// outOfScope measures on clinc150's validation split how many messages that belong to no label
// would be acted on alone, and what holding them back costs those that do: without and with the
// training split's hundred out-of-scope messages as the label other.
func (o *options) outOfScope() error {
	src, err := find("clinc150")
	if err != nil {
		return err
	}
	s, err := src.load(o.data)
	if err != nil {
		return err
	}
	all := *src
	all.skip = nil
	with, err := all.load(o.data)
	if err != nil {
		return err
	}
	foreign := with.test
	foreign = slices.DeleteFunc(slices.Clone(foreign), func(r corpus.Row) bool {
		return r.Label != outOfScope
	})
	negatives := *s
	negatives.name = "clinc150+other"
	negatives.train = slices.Clone(with.train)
	for i := range negatives.train {
		if negatives.train[i].Label == outOfScope {
			negatives.train[i].Label = train.Other
		}
	}
	for _, part := range []*set{s, &negatives} {
		m, _, err := o.train(part)
		if err != nil {
			return err
		}
		own, err := scored(m, s.test)
		if err != nil {
			return err
		}
		strange, err := scored(m, foreign)
		if err != nil {
			return err
		}
		for _, g := range gates {
			in, right := g.open(own)
			out, _ := g.open(strange)
			fmt.Printf("%-15s %-24s in scope: coverage %.4f precision %.4f (%d); "+
				"out of scope acted on: %.4f (%d of %d)\n", part.name, g.name, float64(in)/float64(len(own)),
				float64(right)/float64(max(in, 1)), len(own), float64(out)/float64(len(strange)), out,
				len(strange))
		}
	}
	return nil
}

// verdict is the answer to one message.
type verdict struct {
	label, truth         string
	score, margin, scope float64
}

func scored(m *classifier.Model, rows []corpus.Row) ([]verdict, error) {
	x, err := newScorer(m)
	if err != nil {
		return nil, err
	}
	var out []verdict
	for _, r := range rows {
		h := x.score(r.Text)
		second := 0.0
		for i, p := range h.Probs {
			if i != h.Best {
				second = max(second, p)
			}
		}
		out = append(out, verdict{label: m.Heads()[0].Labels[h.Best], truth: r.Label,
			score: h.Probs[h.Best], margin: route.Round4(h.Probs[h.Best] - second), scope: h.Scope})
	}
	return out, nil
}

// open counts the messages that would be acted on alone, and those of them that are right.
func (g *gate) open(list []verdict) (open, right int) {
	for _, v := range list {
		if v.label == train.Other || v.score < g.score || v.margin < g.margin || v.scope < g.scope {
			continue
		}
		open++
		if v.label == v.truth {
			right++
		}
	}
	return open, right
}
