package route

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func TestFirstMatchWins(t *testing.T) {
	table := rules(t,
		Rule{ID: "auto-request", When: When{Label: Words{"request"}, Band: Words{"auto"}},
			Then: Then{Queue: "front", Role: "consultant", Service: "styling", Script: "price",
				Priority: "high", Agent: "ann", Actions: []Action{{Do: "create", Object: "consultation"}}}},
		Rule{ID: "request", When: When{Label: Words{"request"}}, Then: Then{Role: "consultant"}},
		Rule{ID: "rest", Then: Then{Queue: "rest"}},
	)
	f := func(score float64, id string, want Target) *Decision {
		t.Helper()
		var d Decision
		if !Decide(scored(t, score), table, &d) {
			t.Error("no decision on a message")
		}
		if d.Rule != (RuleRef{ID: id, Set: table.Set()}) || d.Route != want {
			t.Errorf("%v: rule %+v route %+v, want %s %+v", score, d.Rule, d.Route, id, want)
		}
		return &d
	}
	d := f(0.95, "auto-request", Target{"front", "consultant", "ann", "styling", "price"})
	if d.Priority != "high" || len(d.Actions) != 1 || d.Actions[0].Object != "consultation" {
		t.Errorf("%+v", d)
	}
	d = f(0.6, "request", Target{Queue: DefaultQueue, Role: "consultant"})
	if d.Priority != "normal" || len(d.Actions) != 0 {
		t.Errorf("%+v", d)
	}
	in := scored(t, 0.95)
	in.Scores = []float64{0.95, 0.03, 0.02}
	d = &Decision{}
	Decide(in, table, d)
	if d.Rule.ID != "rest" {
		t.Errorf("a claim went to %s", d.Rule.ID)
	}
}

func TestConditions(t *testing.T) {
	f := func(when When, want bool) {
		t.Helper()
		in := scored(t, 0.7)
		in.Channel, in.Inbox = []byte("whatsapp"), []byte("shop")
		d := Decision{Lang: []byte("pt-BR"), Tenant: []byte("salon7"), Sentiment: Suggestion{ID: "negative"},
			Features: Features{Turn: 3, Repeats: 1, BusinessHours: No, PrevLabel: "deal", BotFailed: true}}
		Decide(in, rules(t, Rule{ID: "r", When: when}), &d)
		if got := d.Rule.ID == "r"; got != want {
			t.Errorf("%+v: %v, want %v", when, got, want)
		}
	}
	f(When{}, true)
	f(When{Label: Words{"request"}}, true)
	f(When{Label: Words{"deal", "request"}}, true)
	f(When{Label: Words{"deal"}}, false)
	f(When{Band: Words{"suggest"}}, true)
	f(When{Band: Words{"auto", "none"}}, false)
	f(When{Channel: Words{"whatsapp", "telegram"}}, true)
	f(When{Channel: Words{"email"}}, false)
	f(When{Lang: Words{"pt"}}, true)
	f(When{Lang: Words{"PT-br"}}, true)
	f(When{Lang: Words{"p"}}, false)
	f(When{Lang: Words{"pt-BR-x"}}, false)
	f(When{Lang: Words{"ru", "lv"}}, false)
	f(When{Tenant: Words{"salon7"}}, true)
	f(When{Tenant: Words{"salon8"}}, false)
	f(When{Inbox: Words{"shop"}}, true)
	f(When{Inbox: Words{"bank"}}, false)
	f(When{Sentiment: Words{"negative"}}, true)
	f(When{Sentiment: Words{"positive"}}, false)
	f(When{PrevLabel: Words{"deal"}}, true)
	f(When{PrevLabel: Words{"claim"}}, false)
	f(When{BusinessHours: ptr(false)}, true)
	f(When{BusinessHours: ptr(true)}, false)
	f(When{BotFailed: ptr(true)}, true)
	f(When{BotFailed: ptr(false)}, false)
	f(When{MinScore: 0.7}, true)
	f(When{MinScore: 0.7001}, false)
	f(When{MinTurn: 3}, true)
	f(When{MinTurn: 4}, false)
	f(When{MinRepeats: 1}, true)
	f(When{MinRepeats: 2}, false)
	f(When{Event: Words{"message"}}, true)
	f(When{Event: Words{"csat"}}, false)
	f(When{Label: Words{"request"}, Channel: Words{"email"}}, false) // all conditions must hold
}

// TestForced: a rule that escalates says so whatever the score was; on another event the decision
// is one of its own, and without such a rule there is none.
func TestForced(t *testing.T) {
	f := func(score float64, band Band) {
		t.Helper()
		var d Decision
		Decide(scored(t, score), rules(t, Rule{ID: "r", Then: Then{Escalate: true, Queue: "senior"}}), &d)
		if !d.Escalate || d.BandReason != ReasonForced || d.Band != band || d.Route.Queue != "senior" {
			t.Errorf("%v: %+v", score, d)
		}
	}
	f(0.95, BandAuto)
	f(0.6, BandSuggest)
	f(0.45, BandNone)
	table := rules(t, Rule{ID: "low-csat", When: When{Event: Words{"csat"}}, Then: Then{Escalate: true}})
	var d Decision
	if !Decide(&Inputs{Event: "csat"}, table, &d) || d.Rule.ID != "low-csat" || d.Label != "" ||
		d.Band != BandNone || d.BandReason != ReasonForced || !d.Escalate {
		t.Errorf("csat: %+v", d)
	}
	d = Decision{}
	if Decide(&Inputs{Event: "outcome"}, table, &d) {
		t.Errorf("an event that no rule names made a decision: %+v", d)
	}
	d = Decision{}
	if Decide(&Inputs{Event: "csat"}, rules(t, Rule{ID: "any"}), &d) {
		t.Error("a rule for messages matched another event")
	}
}

func TestRuleErrors(t *testing.T) {
	f := func(want string, list ...Rule) {
		t.Helper()
		_, err := NewRules(list)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("rule 1: its id is \"\"; give every rule an id of its own", Rule{})
	f("rule 2: its id is \"a\"", Rule{ID: "a"}, Rule{ID: "a"})
	f("rule 1 (a): when.band is \"car\"; use auto, suggest or none", Rule{ID: "a", When: When{Band: Words{"car"}}})
	f("then.action is \"reply\"; use template_reply", Rule{ID: "a", Then: Then{Action: "reply"}})
	f("then.priority is \"top\"; use low, normal, high or urgent", Rule{ID: "a", Then: Then{Priority: "top"}})
	f("when.min_score is 2; give a number from 0 to 1", Rule{ID: "a", When: When{MinScore: 2}})
	f("then.actions has an entry without do", Rule{ID: "a", Then: Then{Actions: []Action{{}}}})
}

func TestRuleSetName(t *testing.T) {
	a := rules(t, Rule{ID: "a", When: When{Label: Words{"deal"}}})
	if b := rules(t, Rule{ID: "a", When: When{Label: Words{"deal"}}}); b.Set() != a.Set() {
		t.Error("the same rules have two names")
	}
	for _, other := range []*Rules{noRules(t), rules(t, Rule{ID: "a", When: When{Label: Words{"claim"}}}),
		rules(t, Rule{ID: "b", When: When{Label: Words{"deal"}}}),
		rules(t, Rule{ID: "a", When: When{Label: Words{"deal"}}, Then: Then{Escalate: true}})} {
		if other.Set() == a.Set() || len(other.Set()) != 16 {
			t.Errorf("name %s", other.Set())
		}
	}
	if got := noRules(t).Set(); got != "4f53cda18c2baa0c" { // sha256 of "[]"
		t.Errorf("the empty table is %s", got)
	}
}

func TestRulesFromFiles(t *testing.T) {
	want := []Rule{{ID: "r", When: When{Label: Words{"deal"}, Channel: Words{"web", "app"},
		BotFailed: ptr(true), MinScore: 0.6}, Then: Then{Queue: "sales", Escalate: true,
		Actions: []Action{{Do: "create", Object: "interest"}}}}}
	f := func(format string, err error, got []Rule) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
	var y []Rule
	f("yaml", yaml.Unmarshal([]byte(`
- id: r
  when: {label: deal, channel: [web, app], bot_failed: true, min_score: 0.6}
  then: {queue: sales, escalate: true, actions: [{do: create, object: interest}]}
`), &y), y)
	var j []Rule
	f("json", json.Unmarshal([]byte(`[{"id":"r","when":{"label":"deal","channel":["web","app"],
"bot_failed":true,"min_score":0.6},"then":{"queue":"sales","escalate":true,
"actions":[{"do":"create","object":"interest"}]}}]`), &j), j)
	var layer Layer
	if err := yaml.Unmarshal([]byte("auto_at: 0.95\nlabels: {deal: {auto_at: 0.97}}\n"+
		"langs: {ru: {suggest_at: 0.6, labels: {claim: {auto: false}}}}"), &layer); err != nil {
		t.Fatal(err)
	}
	if *layer.AutoAt != 0.95 || *layer.Labels["deal"].AutoAt != 0.97 || *layer.Langs["ru"].SuggestAt != 0.6 ||
		*layer.Langs["ru"].Labels["claim"].Auto {
		t.Errorf("%+v", layer)
	}
}
