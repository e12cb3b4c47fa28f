package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/pipeline/route"
)

// headOptions choose a head of a model and where its labels stand.
type headOptions struct{ head, column string }

func (o *headOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.head, "head", "", "this head of the model (default: the first)")
	f.StringVar(&o.column, "column", corpus.LabelColumn, "its labels stand in this `column`")
}

// chosen is a head with the cut-offs in force.
type chosen struct {
	at  int
	cut *route.Cutoffs
}

// choose finds the head. The thresholds of the configuration are about the first head; another has
// the model's own.
func (a *app) choose(m *classifier.Model, o headOptions, tenant string) (chosen, error) {
	all, err := cutoffs(a.cfg, m)
	if err != nil {
		return chosen{}, err
	}
	c := chosen{cut: all[tenant]}
	if c.cut == nil {
		c.cut = all[""]
	}
	if o.head == "" || o.head == m.Heads()[0].Name {
		return c, nil
	}
	if c.at = m.Head(o.head); c.at < 0 {
		var names []string
		for i := range m.Heads() {
			names = append(names, m.Heads()[i].Name)
		}
		return chosen{}, usagef("the model has no head %q; it has %s", o.head, strings.Join(names, ", "))
	}
	var layer route.Layer
	own, err := json.Marshal(m.Heads()[c.at].Thresholds)
	if err == nil {
		err = json.Unmarshal(own, &layer)
	}
	if err != nil {
		return chosen{}, fmt.Errorf("cannot read the thresholds of head %s: %w", o.head, err)
	}
	c.cut, err = route.NewCutoffs(m.Heads()[c.at].Labels, route.DefaultLimits(), layer)
	return c, err
}
