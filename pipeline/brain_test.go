package pipeline

import (
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"usher/features"
	"usher/features/classifier"
	"usher/features/conversation"
	"usher/pipeline/route"
)

// constant is a model that gives its first label to every text: its features are known to nobody,
// so the bias decides.
func constant(t testing.TB, name string, labels ...string) *Brain {
	t.Helper()
	bias := make([]float64, len(labels))
	bias[0] = 10
	file, err := classifier.Encode(classifier.Meta{
		Name: name, Version: "1", Features: features.Default(1), Stride: 8,
		Heads: []classifier.HeadMeta{{
			Name: "intent", Kind: classifier.Softmax, Labels: labels, Scale: 1, Temperature: 1, Bias: bias,
		}},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := classifier.FromBytes(file)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := route.NewCutoffs(labels, route.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return &Brain{Model: m, Cutoffs: map[string]*route.Cutoffs{"": cut}}
}

// thinker processes one customer's message at a time, each in a conversation of its own.
type thinker struct {
	line  *Line
	table *conversation.Table
	n     int
}

func newThinker(t testing.TB, brains *Brains) *thinker {
	t.Helper()
	line, err := NewLine(LineConfig{Key: testKey, Brains: brains}, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	return &thinker{line: line, table: conversation.NewTable(line.cfg.State)}
}

func (h *thinker) decide(t testing.TB, tenant string, change func(*Record)) *Result {
	h.n++
	rec := &Record{Topic: "t", Offset: int64(h.n), NowMS: 1793181662345, Value: fmt.Appendf(nil,
		`{"v":1,"id":"%d","type":"message","time":1793181662345,"tenant":%q,"conversation_id":"c%d",`+
			`"actor":{"kind":"customer"},"message":{"text":"hello there"}}`, h.n, tenant, h.n)}
	if change != nil {
		change(rec)
	}
	r := &Result{}
	if err := h.line.Process(h.table, rec, r); err != nil || r.Reject != nil || r.Decision == nil {
		t.Errorf("no decision: %v, %v", err, r.Reject)
	}
	h.table.BeginTransaction()
	return r
}

// Under load, every decision is made by one model and names it; none is made without a model.
func TestModelsChangeUnderLoad(t *testing.T) {
	first, second := constant(t, "first", "a", "b"), constant(t, "second", "x", "y", "z")
	brains, err := NewBrains(first)
	if err != nil {
		t.Fatal(err)
	}
	const lines, messages = 3, 3000
	stop := make(chan struct{})
	var load, switching sync.WaitGroup
	switching.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := brains.Set([]*Brain{second, first}[i%2]); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var seen [lines]map[string]int
	for i := range lines {
		h := newThinker(t, brains)
		seen[i] = map[string]int{}
		load.Go(func() {
			for range messages {
				d := h.decide(t, "default", nil).Decision
				seen[i][d.Model.Name+" "+d.Model.Checksum+" "+d.Label+" "+d.Band.String()]++
			}
		})
	}
	load.Wait()
	close(stop)
	switching.Wait()
	one := "first " + first.Model.Checksum() + " a auto"
	two := "second " + second.Model.Checksum() + " x auto"
	var both [2]int
	for _, counts := range seen {
		both[0], both[1] = both[0]+counts[one], both[1]+counts[two]
	}
	if both[0]+both[1] != lines*messages || both[0] == 0 || both[1] == 0 {
		t.Errorf("%d and %d of %d decisions are whole: %v", both[0], both[1], lines*messages, seen)
	}
}

func TestBadBrainLeavesTheOld(t *testing.T) {
	good := constant(t, "good", "a", "b")
	brains, err := NewBrains(good)
	if err != nil {
		t.Fatal(err)
	}
	noCutoffs := *good
	noCutoffs.Cutoffs = nil
	otherLabels := *good
	otherLabels.Unproven = map[string][]bool{"salon7": {true}}
	for _, bad := range []*Brain{&noCutoffs, &otherLabels} {
		if err := brains.Set(bad); err == nil {
			t.Error("a bad brain was taken")
		}
	}
	if d := newThinker(t, brains).decide(t, "default", nil).Decision; d.Model.Name != "good" {
		t.Errorf("the model is %q", d.Model.Name)
	}
}

// A label that was proven for a tenant acts alone there, and nowhere else.
func TestProofIsPerTenantAndLabel(t *testing.T) {
	brain := *constant(t, "m", "a", "b")
	brain.Mode = route.Unproven
	brain.Unproven = map[string][]bool{"salon7": {false, true}, "clinic": {true, false}}
	check := func(tenant string, executed bool, want string) {
		t.Helper()
		brains, err := NewBrains(&brain)
		if err != nil {
			t.Fatal(err)
		}
		r := newThinker(t, brains).decide(t, tenant, nil)
		d := r.Decision
		got := d.Band.String() + " " + d.BandReason.String() + " " + d.Model.Mode.String()
		if got != want || r.Executed != executed {
			t.Errorf("%s: %q, executed %v; want %q, %v", tenant, got, r.Executed, want, executed)
		}
	}
	check("salon7", true, "auto  live")
	check("clinic", false, "suggest unproven unproven")
	check("other", false, "suggest unproven unproven")
	brain.AutoOff = map[string]bool{"salon7": true}
	check("salon7", false, "suggest disabled live")
	brain.Mode, brain.AutoOff = route.Shadow, nil
	check("salon7", false, "auto  shadow")
	check("other", false, "auto  shadow")
}

// apply_rules: with false the rule table is not asked, with shadow nothing is executed.
func TestApplyRules(t *testing.T) {
	rules, err := route.NewRules([]route.Rule{
		{ID: "r-a", When: route.When{Label: route.Words{"a"}}, Then: route.Then{Queue: "sales"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	brain := *constant(t, "m", "a", "b")
	brain.Rules = rules
	brains, err := NewBrains(&brain)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, rule, queue string, executed bool, change func(*Record)) {
		t.Helper()
		r := newThinker(t, brains).decide(t, "default", change)
		d := r.Decision
		if d.Rule.ID != rule || d.Route.Queue != queue || r.Executed != executed {
			t.Errorf("%s: rule %q, queue %q, executed %v; want %q, %q, %v", name, d.Rule.ID, d.Route.Queue,
				r.Executed, rule, queue, executed)
		}
	}
	check("true", "r-a", "sales", true, nil)
	check("false", "", route.DefaultQueue, true, func(r *Record) { r.NoRules = true })
	check("shadow", "r-a", "sales", false, func(r *Record) { r.Shadow = true })
}
