package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPriorityGoesUp: one step for each reason, from what the rule says, to urgent at most.
func TestPriorityGoesUp(t *testing.T) {
	f := func(rule string, negative, urgent bool, want string) {
		t.Helper()
		var table []Rule
		if rule != "" {
			table = []Rule{{ID: "r", Then: Then{Priority: rule}}}
		}
		rules, err := NewRules(table)
		if err != nil {
			t.Fatal(err)
		}
		var d Decision
		Decide(&Inputs{HasText: true, Cutoffs: cutoffs(t), Scores: []float64{0.1, 0.2, 0.7}, Scope: 1,
			Negative: negative, Urgent: urgent}, rules, &d)
		if d.Priority != want {
			t.Errorf("rule %q, negative %v, urgent %v: %s, want %s", rule, negative, urgent, d.Priority, want)
		}
	}
	f("", false, false, "normal")
	f("", true, false, "high")
	f("", false, true, "high")
	f("", true, true, "urgent")
	f("low", false, true, "normal")
	f("low", true, true, "high")
	f("high", true, false, "urgent")
	f("high", true, true, "urgent")
	f("urgent", true, true, "urgent")
	f("urgent", false, false, "urgent")
}

func TestRuleAsksForUrgency(t *testing.T) {
	yes := true
	rules, err := NewRules([]Rule{{ID: "now", When: When{Urgent: &yes}, Then: Then{Queue: "now"}}})
	if err != nil {
		t.Fatal(err)
	}
	for urgent, want := range map[bool]string{true: "now", false: DefaultQueue} {
		var d Decision
		Decide(&Inputs{HasText: true, Cutoffs: cutoffs(t), Scores: []float64{0.1, 0.2, 0.7},
			Urgent: urgent}, rules, &d)
		if d.Route.Queue != want {
			t.Errorf("urgent %v: %s, want %s", urgent, d.Route.Queue, want)
		}
	}
}

// TestOtherNeverActsAlone: out of scope is out of scope, however sure the model is of it.
func TestOtherNeverActsAlone(t *testing.T) {
	rules, err := NewRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCutoffs([]string{"deal", OtherLabel}, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	f := func(score float64, band Band, reason Reason) {
		t.Helper()
		var d Decision
		Decide(&Inputs{HasText: true, Cutoffs: c, Scores: []float64{0, score}, Scope: 1,
			Unproven: []bool{false, false}}, rules, &d)
		if d.Label != OtherLabel || d.Band != band || d.BandReason != reason {
			t.Errorf("%v: %s %v %v, want %v %v", score, d.Label, d.Band, d.BandReason, band, reason)
		}
	}
	f(1, BandSuggest, ReasonOutOfScope)
	f(0.9, BandSuggest, ReasonOutOfScope)
	f(0.8999, BandSuggest, ReasonNone)
	f(0.4999, BandNone, ReasonNone)
}

// TestThreeArticlesAreThreeSuggestions: each article is scored on its own, so three can be likely at
// once; they stand behind the labels, and those below the cut-off are left out. Where nothing is
// suggested, no article is either.
func TestThreeArticlesAreThreeSuggestions(t *testing.T) {
	rules, err := NewRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	articles := &Articles{Labels: []string{"a", "b", "c", "d", "e"},
		Scores: []float64{0.51, 0.93, 0.4999, 0.5, 0.77}, Least: 0.5}
	f := func(score float64, want ...Suggestion) {
		t.Helper()
		var d Decision
		Decide(&Inputs{HasText: true, Cutoffs: cutoffs(t), Scores: []float64{0, 0.01, score}, Scope: 1,
			Articles: articles}, rules, &d)
		if diff := cmp.Diff(want, d.Suggestions); diff != "" && len(want)+len(d.Suggestions) > 0 {
			t.Errorf("%v:\n%s", score, diff)
		}
	}
	label := cutoffs(t).Labels()[2]
	f(0.6, Suggestion{"label", label, 0.6}, Suggestion{"kb", "b", 0.93}, Suggestion{"kb", "e", 0.77},
		Suggestion{"kb", "a", 0.51})
	f(0.4)
	articles.Scores = []float64{0.5, 0.2, 0.4999, 0.1, 0.01} // what is less likely than not is left out
	f(0.6, Suggestion{"label", label, 0.6}, Suggestion{"kb", "a", 0.5})
	articles.Scores = []float64{0.51, 0.93, 0.4999, 0.5, 0.77}

	own, err := NewCutoffs(articles.Labels, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var d Decision // a knowledge base that decides alone
	Decide(&Inputs{HasText: true, Cutoffs: own, Scores: articles.Scores, Scope: 1}, rules, &d)
	want := []Suggestion{{"label", "b", 0.93}, {"label", "e", 0.77}, {"label", "a", 0.51}}
	if diff := cmp.Diff(want, d.Suggestions); diff != "" {
		t.Error(diff)
	}
}
