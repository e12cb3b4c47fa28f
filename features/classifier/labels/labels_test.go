package labels

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestParseLine(t *testing.T) {
	parses := func(line, want string) {
		t.Helper()
		given, err := ParseLine(line)
		got := ""
		for _, g := range given {
			got += g.Head + "=" + g.Label + " "
		}
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.HasPrefix(got, want) || err == nil && strings.TrimSpace(got) != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
	parses("intent:[запись]; sentiment:[positive]; recommended_action:[ответ_шаблон]",
		"intent=booking sentiment=positive recommended_action=template_reply")
	parses("intent: вопрос; sentiment: neutral; recommended_action: уточнение",
		"intent=question sentiment=neutral recommended_action=clarify")
	parses(" INTENT:[ Жалоба ];Sentiment:[NEGATIVE];recommended_action:[Перенаправить]; ",
		"intent=complaint sentiment=negative recommended_action=redirect")
	parses("recommended_action:redirect;intent:other", "recommended_action=redirect intent=other")
	parses("intent:[прочее]", "intent=other")
	parses("intent:[продажа]; sentiment:[positive]", `error: intent has the unknown value "продажа"`)
	parses("intent:[запись|вопрос]", "error: intent has the unknown value")
	parses("mood:[positive]", "error: \"mood:[positive]\" is no part")
	parses("запись", "error: \"запись\" is no part")
	parses("intent:[other]; intent:[other]", "error: intent is there twice")
	parses(" ; ", "error: the line holds no label")
}

// A textbook table: both yes 20, both no 15, apart 5 and 10: observed 0.7, expected 0.5, kappa 0.4.
func TestAgreements(t *testing.T) {
	var all []Judgement
	n := 0
	say := func(times int, a, b string) {
		for range times {
			n++
			target := fmt.Sprint(n)
			all = append(all, Judgement{target, "intent", "ann", a}, Judgement{target, "intent", "bob", b})
		}
	}
	say(20, "yes", "yes")
	say(5, "yes", "no")
	say(10, "no", "yes")
	say(15, "no", "no")
	all = append(all, Judgement{"alone", "intent", "ann", "yes"}, Judgement{"1", "mood", "bob", "yes"})
	got := Agreements(all)
	if len(got) != 1 || got[0].N != 50 || math.Abs(got[0].Observed-0.7) > 1e-12 ||
		math.Abs(got[0].Kappa-0.4) > 1e-12 || got[0].A != "ann" || got[0].B != "bob" {
		t.Errorf("%+v", got)
	}
	one := Agreements([]Judgement{{"1", "h", "a", "x"}, {"1", "h", "b", "x"}})
	if len(one) != 1 || one[0].Kappa != 1 {
		t.Errorf("one label only: %+v", one)
	}
}
