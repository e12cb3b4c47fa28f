package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ptr[T any](x T) *T { return &x }

func cutoffs(t *testing.T, layers ...Layer) *Cutoffs {
	t.Helper()
	c, err := NewCutoffs([]string{"claim", "deal", "request"}, DefaultLimits(), layers...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noRules(t *testing.T) *Rules { return rules(t) }

func rules(t *testing.T, list ...Rule) *Rules {
	t.Helper()
	r, err := NewRules(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// scored is a message on which the model says p for request and spreads the rest.
func scored(t *testing.T, p float64, layers ...Layer) *Inputs {
	t.Helper()
	return &Inputs{HasText: true, Cutoffs: cutoffs(t, layers...), Scope: 1,
		Scores: []float64{Round4((1 - p) * 0.75), Round4((1 - p) * 0.25), p}}
}

func TestBandBoundaries(t *testing.T) {
	f := func(score float64, want Band) {
		t.Helper()
		var d Decision
		Decide(scored(t, score), noRules(t), &d)
		if d.Band != want || d.BandReason != ReasonNone || d.Label != "request" || d.Score != score {
			t.Errorf("%v: band %v, reason %q, label %s %v; want %v", score, d.Band, d.BandReason, d.Label,
				d.Score, want)
		}
		if want == BandNone && len(d.Suggestions) != 0 {
			t.Errorf("%v: suggestions below the cut-off", score)
		}
	}
	f(0.4999, BandNone)
	f(0.5, BandSuggest)
	f(0.5001, BandSuggest)
	f(0.8999, BandSuggest)
	f(0.9, BandAuto)
	f(0.9001, BandAuto)
	f(1, BandAuto)
	// With a margin that is not reached, only auto is lost; just reached, nothing is.
	with := func(score, margin float64, want Band, reason Reason) {
		t.Helper()
		var d Decision
		Decide(scored(t, score, Layer{Cutoff: Cutoff{MinMargin: &margin}}), noRules(t), &d)
		if d.Band != want || d.BandReason != reason {
			t.Errorf("%v, margin %v of %v: %v %q, want %v %q", score, d.Margin, margin, d.Band, d.BandReason,
				want, reason)
		}
	}
	with(0.4999, 0.99, BandNone, ReasonNone)
	with(0.5, 0.99, BandSuggest, ReasonNone)
	with(0.8999, 0.99, BandSuggest, ReasonNone)
	with(0.9, 0.99, BandSuggest, ReasonMargin)
	with(0.9001, 0.99, BandSuggest, ReasonMargin)
	with(0.8999, 0.8248, BandSuggest, ReasonNone) // 0.8999 − 0.0751
	with(0.9, 0.825, BandAuto, ReasonNone)        // 0.9 − 0.075
	with(0.9, 0.8251, BandSuggest, ReasonMargin)
	with(0.9001, 0.8252, BandAuto, ReasonNone) // 0.9001 − 0.0749
	// Rounded before it is compared.
	f(Round4(0.89995), BandAuto)
	f(Round4(0.899949), BandSuggest)
	f(Round4(0.49995), BandSuggest)
	f(Round4(0.499949), BandNone)
}

func TestBandReasons(t *testing.T) {
	f := func(name string, change func(*Inputs, *Decision), band Band, reason Reason) {
		t.Helper()
		var d Decision
		in := scored(t, 0.93)
		change(in, &d)
		Decide(in, noRules(t), &d)
		if d.Band != band || d.BandReason != reason {
			t.Errorf("%s: %v %q, want %v %q", name, d.Band, d.BandReason, band, reason)
		}
		computed := reason != ReasonNoText && reason != ReasonNoModel && reason != ReasonTimeout
		if (d.Label != "") != computed || (len(d.Suggestions) > 0) != (band != BandNone) {
			t.Errorf("%s: label %q with %d suggestions", name, d.Label, len(d.Suggestions))
		}
	}
	layer := func(l Layer) func(*Inputs, *Decision) {
		return func(in *Inputs, _ *Decision) { in.Cutoffs = cutoffs(t, l) }
	}
	f("plain", func(*Inputs, *Decision) {}, BandAuto, ReasonNone)
	f("no text", func(in *Inputs, _ *Decision) { in.HasText = false }, BandNone, ReasonNoText)
	f("no model", func(in *Inputs, _ *Decision) { in.Cutoffs = nil }, BandNone, ReasonNoModel)
	f("timeout", func(in *Inputs, _ *Decision) { in.Timeout = true }, BandNone, ReasonTimeout)
	f("off", func(in *Inputs, _ *Decision) { in.AutoOff = true }, BandSuggest, ReasonDisabled)
	f("label off", layer(Layer{Labels: map[string]Cutoff{"request": {Auto: ptr(false)}}}), BandSuggest,
		ReasonDisabled)
	f("other label off", layer(Layer{Labels: map[string]Cutoff{"deal": {Auto: ptr(false)}}}), BandAuto,
		ReasonNone)
	f("unproven mode", func(_ *Inputs, d *Decision) { d.Model.Mode = Unproven }, BandSuggest,
		ReasonUnproven)
	f("shadow mode", func(_ *Inputs, d *Decision) { d.Model.Mode = Shadow }, BandAuto, ReasonNone)
	f("unproven label", func(in *Inputs, _ *Decision) { in.Unproven = []bool{false, false, true} },
		BandSuggest, ReasonUnproven)
	f("proven label of an unproven model", func(in *Inputs, d *Decision) {
		in.Unproven, d.Model.Mode = []bool{true, true, false}, Unproven
	}, BandAuto, ReasonNone)
	f("off before unproven", func(in *Inputs, d *Decision) {
		in.AutoOff, d.Model.Mode = true, Unproven
	}, BandSuggest, ReasonDisabled)
	// margin is 0.93 − 0.0525 = 0.8775
	f("margin reached", layer(Layer{Cutoff: Cutoff{MinMargin: ptr(0.8775)}}), BandAuto, ReasonNone)
	f("margin missed", layer(Layer{Cutoff: Cutoff{MinMargin: ptr(0.8776)}}), BandSuggest, ReasonMargin)
	f("scope closed", func(in *Inputs, _ *Decision) {
		in.Cutoffs, in.Scope = cutoffs(t, Layer{Cutoff: Cutoff{MinScope: ptr(0.5)}}), 0.49994
	}, BandSuggest, ReasonOutOfScope)
	f("scope open", func(in *Inputs, _ *Decision) {
		in.Cutoffs, in.Scope = cutoffs(t, Layer{Cutoff: Cutoff{MinScope: ptr(0.5)}}), 0.49995
	}, BandAuto, ReasonNone)
	f("below auto nothing is wrong", func(in *Inputs, _ *Decision) {
		in.Cutoffs, in.AutoOff, in.Scope = cutoffs(t, Layer{Cutoff: Cutoff{AutoAt: ptr(0.95)}}), true, 0
	}, BandSuggest, ReasonNone)
	f("text and no model", func(in *Inputs, _ *Decision) { in.HasText, in.Cutoffs = false, nil },
		BandNone, ReasonNoText)
}

func TestCutoffLayers(t *testing.T) {
	file := Layer{Cutoff: Cutoff{AutoAt: ptr(0.8)}, Labels: map[string]Cutoff{"deal": {AutoAt: ptr(0.85)}}}
	config := Layer{Langs: map[string]LangLayer{
		"ru":    {Cutoff: Cutoff{AutoAt: ptr(0.92)}, Labels: map[string]Cutoff{"deal": {AutoAt: ptr(0.97)}}},
		"PT":    {Cutoff: Cutoff{SuggestAt: ptr(0.6)}},
		"pt-br": {Cutoff: Cutoff{SuggestAt: ptr(0.7)}},
	}}
	tenant := Layer{Labels: map[string]Cutoff{"claim": {AutoAt: ptr(0.99)}}}
	c := cutoffs(t, file, config, tenant)
	f := func(label int, lang string, auto, suggest float64) {
		t.Helper()
		got := c.of(label, []byte(lang))
		if got.autoAt != auto || got.suggestAt != suggest {
			t.Errorf("label %d %q: auto %v suggest %v, want %v %v", label, lang, got.autoAt, got.suggestAt,
				auto, suggest)
		}
	}
	const claim, deal, request = 0, 1, 2
	f(-1, "ru", 0.8, 0.5)
	f(request, "", 0.8, 0.5)
	f(deal, "", 0.85, 0.5)
	f(claim, "", 0.99, 0.5)
	f(request, "ru", 0.92, 0.5)
	f(request, "RU", 0.92, 0.5)
	f(request, "ru-RU", 0.92, 0.5)
	f(request, "ru_RU", 0.92, 0.5)
	f(request, "rus", 0.8, 0.5)
	f(deal, "ru", 0.97, 0.5)
	f(claim, "ru", 0.99, 0.5) // the tenant's layer lies above the language of the configuration
	f(request, "pt", 0.8, 0.6)
	f(request, "pt-PT", 0.8, 0.6)
	f(request, "pt-BR", 0.8, 0.7)
	f(request, "pt-Latn-PT", 0.8, 0.6)
	f(request, "a-language-tag-that-is-too-long", 0.8, 0.5)
	var d Decision
	d.Lang = []byte("ru")
	in := scored(t, 0.91, config)
	Decide(in, noRules(t), &d)
	if d.Band != BandSuggest || d.Thresholds != (Thresholds{Suggest: 0.5, Auto: 0.92}) {
		t.Errorf("decision in ru: %v %+v", d.Band, d.Thresholds)
	}
}

func TestCutoffErrors(t *testing.T) {
	f := func(want string, limits Limits, layers ...Layer) {
		t.Helper()
		_, err := NewCutoffs([]string{"claim", "deal"}, limits, layers...)
		if err == nil || err.Error() != "cannot compile thresholds: "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	l := DefaultLimits()
	f(`labels names "del", but the model has claim, deal; correct the name or remove the entry`, l,
		Layer{Labels: map[string]Cutoff{"del": {}}})
	f(`langs.ru.labels names "x", but the model has claim, deal; correct the name or remove the entry`, l,
		Layer{Langs: map[string]LangLayer{"ru": {Labels: map[string]Cutoff{"x": {}}}}})
	f(`auto_at of label claim is 1.5; give a number from 0 to 1`, l, Layer{Cutoff: Cutoff{AutoAt: ptr(1.5)}})
	f(`min_margin of label deal is -1; give a number from 0 to 1`, l,
		Layer{Labels: map[string]Cutoff{"deal": {MinMargin: ptr(-1.0)}}})
	f(`suggest_at 0.95 of label claim, language ru lies above auto_at 0.9; lower it or raise auto_at`, l,
		Layer{Langs: map[string]LangLayer{"ru": {Cutoff: Cutoff{SuggestAt: ptr(0.95)}}}})
	f(`max_suggestions is -1 and suggest_floor 0.02; give at least 0 and a number from 0 to 1`,
		Limits{MaxSuggestions: -1, SuggestFloor: 0.02})
	if _, err := NewCutoffs(nil, l); err == nil {
		t.Error("a head without labels was taken")
	}
}

func TestSuggestions(t *testing.T) {
	labels := []string{"a", "b", "c", "d", "e"}
	f := func(limits Limits, scores []float64, want ...string) {
		t.Helper()
		c, err := NewCutoffs(labels, limits)
		if err != nil {
			t.Fatal(err)
		}
		var d Decision
		Decide(&Inputs{HasText: true, Cutoffs: c, Scores: scores}, noRules(t), &d)
		var got []string
		for i, s := range d.Suggestions {
			got = append(got, s.ID)
			if s.Kind != "label" || s.Score != scores[int(s.ID[0]-'a')] {
				t.Errorf("suggestion %d is %+v", i, s)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: %s", scores, diff)
		}
	}
	f(DefaultLimits(), []float64{0.1, 0.6, 0.2, 0.06, 0.04}, "b", "c", "a")
	f(DefaultLimits(), []float64{0.0199, 0.96, 0.02, 0.0001, 0}, "b", "c")
	f(DefaultLimits(), []float64{0.1, 0.1, 0.1, 0.6, 0.1}, "d", "a", "b") // equal ones in label order
	f(DefaultLimits(), []float64{0.05, 0.1, 0.15, 0.2, 0.5}, "e", "d", "c")
	f(DefaultLimits(), []float64{0.5, 0.5, 0, 0, 0}, "a", "b")
	f(DefaultLimits(), []float64{0.4999, 0.4999, 0, 0, 0})
	f(Limits{SuggestFloor: 0.02, MaxSuggestions: 1}, []float64{0.1, 0.2, 0.7, 0, 0}, "c")
	f(Limits{SuggestFloor: 0, MaxSuggestions: 0}, []float64{0, 0, 0, 0, 1})
	f(Limits{SuggestFloor: 0, MaxSuggestions: 9}, []float64{0, 0, 0, 0, 1}, "e", "a", "b", "c", "d")
	// Knowledge-base heads are scored one against the rest: several may pass, after the labels.
	c, err := NewCutoffs([]string{"kb-1", "kb-2", "kb-3"}, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	got := AppendSuggestions([]Suggestion{{Kind: "label", ID: "request", Score: 0.1}}, "kb", c,
		[]float64{0.5, 0.7, 0.9})
	want := []Suggestion{{"label", "request", 0.1}, {"kb", "kb-3", 0.9}, {"kb", "kb-2", 0.7},
		{"kb", "kb-1", 0.5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMargin(t *testing.T) {
	f := func(want float64, scores ...float64) {
		t.Helper()
		labels := []string{"a", "b", "c", "d"}[:len(scores)]
		c, err := NewCutoffs(labels, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		var d Decision
		Decide(&Inputs{HasText: true, Cutoffs: c, Scores: scores}, noRules(t), &d)
		if d.Margin != want {
			t.Errorf("%v: margin %v, want %v", scores, d.Margin, want)
		}
	}
	f(0.891, 0.931, 0.04, 0.029)
	f(0.891, 0.04, 0.029, 0.931)
	f(0, 0.5, 0.5)
	f(0.7, 0.7)
	f(0.1, 0.2, 0.3, 0.4)
	f(0.1, 0.4, 0.3, 0.2)
	f(0.1, 0.3, 0.4, 0.2)
}

func TestRecommendedAction(t *testing.T) {
	f := func(name string, score float64, then Then, change func(*Inputs), want RecommendedAction) {
		t.Helper()
		var d Decision
		in := scored(t, score)
		change(in)
		Decide(in, rules(t, Rule{ID: "r", Then: then}), &d)
		if d.Action != want {
			t.Errorf("%s: %v, want %v", name, d.Action, want)
		}
	}
	same := func(*Inputs) {}
	off := func(in *Inputs) { in.AutoOff = true }
	f("auto with a script", 0.95, Then{Script: "price"}, same, ActionTemplateReply)
	f("auto without one", 0.95, Then{Queue: "front"}, same, ActionRedirect)
	f("auto switched off, script", 0.95, Then{Script: "price"}, off, ActionTemplateReply)
	f("suggest", 0.7, Then{Script: "price"}, same, ActionClarify)
	f("none", 0.4, Then{Script: "price"}, same, ActionNone)
	f("no text", 0.95, Then{Script: "price"}, func(in *Inputs) { in.HasText = false }, ActionNone)
	f("escalate", 0.4, Then{Escalate: true, Script: "price"}, same, ActionRedirect)
	f("the rule says", 0.95, Then{Script: "price", Action: "none"}, same, ActionNone)
	f("the rule says over escalate", 0.4, Then{Escalate: true, Action: "clarify"}, same, ActionClarify)
}
