package route

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The defaults of CONTRACT section 3.
const (
	DefaultAutoAt         = 0.90
	DefaultSuggestAt      = 0.50
	DefaultSuggestFloor   = 0.02
	DefaultMaxSuggestions = 3
)

// maxLangBytes bounds the language tag that is looked up; longer tags have no cut-offs of their own.
const maxLangBytes = 16

// Cutoff is one layer's say about a label; nil means "as in the layer below".
type Cutoff struct {
	AutoAt    *float64 `json:"auto_at,omitempty" yaml:"auto_at" koanf:"auto_at"`
	SuggestAt *float64 `json:"suggest_at,omitempty" yaml:"suggest_at" koanf:"suggest_at"`
	MinMargin *float64 `json:"min_margin,omitempty" yaml:"min_margin" koanf:"min_margin"`
	MinScope  *float64 `json:"min_scope,omitempty" yaml:"min_scope" koanf:"min_scope"`
	Auto      *bool    `json:"auto,omitempty" yaml:"auto" koanf:"auto"` // false: never act alone
}

// Layer is what one place (the model file, the configuration, a tenant) says. Inside a layer the
// more exact wins: language and label, then language, then label, then the layer's own Cutoff.
type Layer struct {
	Cutoff `yaml:",inline" koanf:",squash"`
	Labels map[string]Cutoff    `json:"labels,omitempty" yaml:"labels" koanf:"labels"`
	Langs  map[string]LangLayer `json:"langs,omitempty" yaml:"langs" koanf:"langs"`
}

// LangLayer is what a layer says about one language.
type LangLayer struct {
	Cutoff `yaml:",inline" koanf:",squash"`
	Labels map[string]Cutoff `json:"labels,omitempty" yaml:"labels" koanf:"labels"`
}

// Limits bound the list of suggestions.
type Limits struct {
	SuggestFloor   float64
	MaxSuggestions int
}

// DefaultLimits are those of CONTRACT section 3.
func DefaultLimits() Limits {
	return Limits{SuggestFloor: DefaultSuggestFloor, MaxSuggestions: DefaultMaxSuggestions}
}

// Cutoffs are the compiled cut-offs of one head: immutable, safe to share between workers, and
// replaced as a whole when the configuration changes.
type Cutoffs struct {
	labels []string
	limits Limits
	head   resolved
	any    []resolved // per label, for a language without entries of its own
	langs  map[string][]resolved
}

type resolved struct {
	autoAt, suggestAt, minMargin, minScope float64
	off                                    bool
}

// NewCutoffs compiles the layers, later ones over earlier ones, for the labels of one head, in the
// order in which the model scores them.
func NewCutoffs(labels []string, limits Limits, layers ...Layer) (*Cutoffs, error) {
	if len(labels) == 0 {
		return nil, fmt.Errorf("cannot compile thresholds: the head has no labels")
	}
	if limits.MaxSuggestions < 0 || !unit(limits.SuggestFloor) {
		return nil, fmt.Errorf("cannot compile thresholds: max_suggestions is %d and suggest_floor %v; "+
			"give at least 0 and a number from 0 to 1", limits.MaxSuggestions, limits.SuggestFloor)
	}
	c := &Cutoffs{labels: slices.Clone(labels), limits: limits, langs: map[string][]resolved{}}
	for _, l := range layers {
		if err := c.check(l); err != nil {
			return nil, err
		}
		for lang := range l.Langs {
			c.langs[strings.ToLower(lang)] = nil
		}
	}
	var err error
	if c.any, err = c.resolve(layers, ""); err != nil {
		return nil, err
	}
	for lang := range c.langs {
		if c.langs[lang], err = c.resolve(layers, lang); err != nil {
			return nil, err
		}
	}
	c.head = defaults()
	for _, l := range layers {
		c.head.over(l.Cutoff)
	}
	return c, nil
}

func defaults() resolved { return resolved{autoAt: DefaultAutoAt, suggestAt: DefaultSuggestAt} }

// check refuses labels that the head does not have: a misspelt one would silently do nothing.
func (c *Cutoffs) check(l Layer) error {
	known := func(where string, m map[string]Cutoff) error {
		for label := range m {
			if !slices.Contains(c.labels, label) {
				return fmt.Errorf("cannot compile thresholds: %slabels names %q, but the model has %s; "+
					"correct the name or remove the entry", where, label, listed(c.labels))
			}
		}
		return nil
	}
	if err := known("", l.Labels); err != nil {
		return err
	}
	for lang, ll := range l.Langs {
		if err := known("langs."+lang+".", ll.Labels); err != nil {
			return err
		}
	}
	return nil
}

// listed prints label names for an error, the first few of many.
func listed(labels []string) string {
	const shown = 12
	if len(labels) > shown {
		return strings.Join(labels[:shown], ", ") + fmt.Sprintf(" and %d more", len(labels)-shown)
	}
	return strings.Join(labels, ", ")
}

func (c *Cutoffs) resolve(layers []Layer, lang string) ([]resolved, error) {
	out := make([]resolved, len(c.labels))
	for i, label := range c.labels {
		r := defaults()
		for _, l := range layers {
			r.over(l.Cutoff)
			r.over(l.Labels[label])
			for name, ll := range l.Langs {
				if strings.ToLower(name) == lang {
					r.over(ll.Cutoff)
					r.over(ll.Labels[label])
				}
			}
		}
		if err := r.valid(label, lang); err != nil {
			return nil, err
		}
		out[i] = r
	}
	return out, nil
}

func (r *resolved) over(c Cutoff) {
	set := func(to *float64, from *float64) {
		if from != nil {
			*to = *from
		}
	}
	set(&r.autoAt, c.AutoAt)
	set(&r.suggestAt, c.SuggestAt)
	set(&r.minMargin, c.MinMargin)
	set(&r.minScope, c.MinScope)
	if c.Auto != nil {
		r.off = !*c.Auto
	}
}

func (r *resolved) valid(label, lang string) error {
	at := "label " + label
	if lang != "" {
		at += ", language " + lang
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"auto_at", r.autoAt}, {"suggest_at", r.suggestAt}, {"min_margin", r.minMargin},
		{"min_scope", r.minScope}} {
		if !unit(v.value) {
			return fmt.Errorf("cannot compile thresholds: %s of %s is %v; give a number from 0 to 1",
				v.name, at, v.value)
		}
	}
	if r.suggestAt > r.autoAt {
		return fmt.Errorf("cannot compile thresholds: suggest_at %v of %s lies above auto_at %v; "+
			"lower it or raise auto_at", r.suggestAt, at, r.autoAt)
	}
	return nil
}

func unit(x float64) bool { return x >= 0 && x <= 1 }

// Labels are the labels of the head, in scoring order. Do not change them.
func (c *Cutoffs) Labels() []string { return c.labels }

// of finds the cut-offs of a label and a language ("pt-BR" falls back to "pt"); label −1 is the head.
func (c *Cutoffs) of(label int, lang []byte) *resolved {
	if label < 0 {
		return &c.head
	}
	if len(c.langs) > 0 && len(lang) > 0 && len(lang) <= maxLangBytes {
		var low [maxLangBytes]byte
		cut := len(lang)
		for i, b := range lang {
			if 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			if (b == '-' || b == '_') && cut == len(lang) {
				cut = i
			}
			low[i] = b
		}
		if per, ok := c.langs[string(low[:len(lang)])]; ok {
			return &per[label]
		}
		if per, ok := c.langs[string(low[:cut])]; ok {
			return &per[label]
		}
	}
	return &c.any[label]
}

// Point is what is in force for one label and language.
type Point struct {
	AutoAt, SuggestAt, MinMargin, MinScope float64
	Off                                    bool // auto is switched off
}

// At is what is in force for a label (its place in Labels; −1: the head) and a language.
func (c *Cutoffs) At(label int, lang []byte) Point {
	r := c.of(label, lang)
	return Point{r.autoAt, r.suggestAt, r.minMargin, r.minScope, r.off}
}

// Gate names everything that decides when a label gets auto, in every language: a proof of precision
// holds for one gate only. Equal gates read alike.
func (c *Cutoffs) Gate(label int) string {
	gate := func(r *resolved) string {
		return fmt.Sprintf("%g/%g/%g", r.autoAt, r.minMargin, r.minScope)
	}
	all := gate(&c.any[label])
	out := all
	for _, lang := range slices.Sorted(maps.Keys(c.langs)) {
		if own := gate(&c.langs[lang][label]); own != all {
			out += " " + lang + ":" + own
		}
	}
	return out
}
