package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The three rules: deal to sales, request to consultation, claim to complaints; a file of one's own
// that says the same is the same rule set.
func TestDefaultRules(t *testing.T) {
	const lines = "I want to book a haircut for tomorrow\nHow much is a haircut?\nI want my money back, this is a scandal\n"
	type answer struct {
		Label  string
		Rule   struct{ ID, Set *string }
		Route  struct{ Queue, Role, Service, Script *string }
		Action string `json:"recommended_action"`
	}
	ask := func(env ...string) (out []answer) {
		t.Helper()
		r := call{args: []string{"classify"}, stdin: lines, env: env}.good(t)
		dec := json.NewDecoder(strings.NewReader(r.stdout))
		for dec.More() {
			var a answer
			if err := dec.Decode(&a); err != nil {
				t.Fatal(err)
			}
			out = append(out, a)
		}
		return out
	}
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	got := ask("USHER_RULES_FILE=default")
	for i, want := range []string{"deal r-deal sales manager - offer template_reply",
		"request r-request consultation consultant general answer template_reply",
		"claim r-claim complaints senior - - redirect"} {
		a := got[i]
		have := a.Label + " " + text(a.Rule.ID) + " " + text(a.Route.Queue) + " " + text(a.Route.Role) + " " +
			text(a.Route.Service) + " " + text(a.Route.Script) + " " + a.Action
		if have != want {
			t.Errorf("line %d: %s, want %s", i+1, have, want)
		}
	}
	content, err := os.ReadFile("rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	own := ask("USHER_RULES_FILE=" + write(t, "rules.yaml", string(content)))
	if text(own[0].Rule.Set) != text(got[0].Rule.Set) {
		t.Errorf("rule sets %s and %s", text(own[0].Rule.Set), text(got[0].Rule.Set))
	}
	if none := ask(); none[0].Rule.ID != nil || text(none[0].Route.Queue) != "default" {
		t.Errorf("without rules: %+v", none[0])
	}
}
