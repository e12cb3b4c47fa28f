package pipeline

import (
	"fmt"
	"sync/atomic"

	"usher/features"
	"usher/features/classifier"
	"usher/pipeline/route"
)

// Brain is everything that a decision depends on beside its event and its conversation. It is
// immutable: a new model, other cut-offs, a switch or a proof make a new Brain, so that every
// decision is made, and named, by one of them as a whole.
type Brain struct {
	Model    *classifier.Model // nil: every decision says no_model
	Mode     route.Mode
	Cutoffs  map[string]*route.Cutoffs // by tenant; "" for all others; needs Model
	AutoOff  map[string]bool           // by tenant; "" for all
	Rules    *route.Rules              // nil: none
	Unproven map[string][]bool         // by tenant, per label of Cutoffs; absent: as Mode says for all
}

// Brains hands the Brain in force to all lines of a process. Set may be called at any time: a line
// looks before each decision.
type Brains struct{ now atomic.Pointer[Brain] }

// NewBrains begins with b.
func NewBrains(b *Brain) (*Brains, error) {
	brains := &Brains{}
	return brains, brains.Set(b)
}

// Set puts b in force, or says why it cannot be and leaves the old one.
func (s *Brains) Set(b *Brain) error {
	if b.Model != nil {
		if _, err := features.New(b.Model.Features()); err != nil {
			return fmt.Errorf("cannot prepare the features of model %s: %w", b.Model.Name(), err)
		}
		if b.Cutoffs[""] == nil {
			return fmt.Errorf("cannot use model %s: it has no cut-offs", b.Model.Name())
		}
		for tenant, unproven := range b.Unproven {
			if labels := b.CutoffsOf(tenant).Labels(); len(unproven) != len(labels) {
				return fmt.Errorf("cannot use model %s: tenant %s has proofs for %d labels of %d",
					b.Model.Name(), tenant, len(unproven), len(labels))
			}
		}
	}
	if b.Rules == nil {
		rules, err := route.NewRules(nil)
		if err != nil {
			return fmt.Errorf("cannot make an empty rule table: %w", err)
		}
		with := *b
		with.Rules = rules
		b = &with
	}
	s.now.Store(b)
	return nil
}

// Now is the Brain in force. Do not change it.
func (s *Brains) Now() *Brain { return s.now.Load() }

// CutoffsOf are the cut-offs of a tenant; nil without a model.
func (b *Brain) CutoffsOf(tenant string) *route.Cutoffs {
	if c, ok := b.Cutoffs[tenant]; ok {
		return c
	}
	return b.Cutoffs[""]
}

// Info is how decisions name the model.
func (b *Brain) Info() route.ModelInfo {
	if b.Model == nil {
		return route.ModelInfo{}
	}
	return route.ModelInfo{
		Name: b.Model.Name(), Version: b.Model.Version(), Checksum: b.Model.Checksum(),
		Variant: "A", Mode: b.Mode,
	}
}

// Brain is what the configuration says a decision depends on.
func (c *LineConfig) Brain() *Brain {
	return &Brain{
		Model: c.Model, Mode: c.Mode, Cutoffs: c.Cutoffs, AutoOff: c.AutoOff, Rules: c.Rules,
	}
}

// look takes over the Brain in force, when it is another one than before.
func (l *Line) look() {
	b := l.brains.Now()
	if b == l.brain {
		return
	}
	if b.Model != nil && (l.brain == nil || l.brain.Model != b.Model) {
		x, err := features.New(b.Model.Features())
		if err != nil {
			panic("BUG: Set has tried these features: " + err.Error())
		}
		l.extractor, l.scores, l.heads = x, b.Model.NewScores(), findHeads(b.Model)
	}
	l.brain, l.model = b, b.Info()
}
