// Package labels reads labels that people and prompts write, and measures how far annotators agree.
package labels

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Heads of the line format, in its order.
const (
	Intent    = "intent"
	Sentiment = "sentiment"
	Action    = "recommended_action"
)

// words maps what may stand in a line to the label's name, per head.
func words(head string) map[string]string {
	switch head {
	case Intent:
		return map[string]string{
			"запись": "booking", "booking": "booking", "вопрос": "question", "question": "question",
			"жалоба": "complaint", "complaint": "complaint", "прочее": "other", "other": "other",
		}
	case Sentiment:
		return map[string]string{"positive": "positive", "neutral": "neutral", "negative": "negative"}
	case Action:
		return map[string]string{
			"ответ_шаблон": "template_reply", "template_reply": "template_reply",
			"уточнение": "clarify", "clarify": "clarify", "перенаправить": "redirect", "redirect": "redirect",
		}
	}
	return nil
}

// Given is one label of a line.
type Given struct{ Head, Label string }

// ParseLine reads intent:[…]; sentiment:[…]; recommended_action:[…]: brackets are optional, case does
// not matter, any part may be missing. An unknown part or value rejects the whole line, because half
// of an answer that was not understood is a guess.
func ParseLine(line string) ([]Given, error) {
	var out []Given
	for part := range strings.SplitSeq(line, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		head, value, ok := strings.Cut(part, ":")
		head = strings.ToLower(strings.TrimSpace(head))
		known := words(head)
		if !ok || known == nil {
			return nil, fmt.Errorf("%.40q is no part of a line; write intent:[…]; sentiment:[…]; "+
				"recommended_action:[…]", part)
		}
		value = strings.TrimSpace(value)
		if strings.HasPrefix(value, "[") && strings.HasSuffix(value, "]") {
			value = strings.TrimSpace(value[1 : len(value)-1])
		}
		label, ok := known[strings.ToLower(value)]
		if !ok {
			return nil, fmt.Errorf("%s has the unknown value %.40q; use one of %s", head, value,
				strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if slices.ContainsFunc(out, func(g Given) bool { return g.Head == head }) {
			return nil, fmt.Errorf("%s is there twice", head)
		}
		out = append(out, Given{head, label})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the line holds no label")
	}
	return out, nil
}

// Judgement is what one annotator says about one message under one head.
type Judgement struct{ Target, Head, Annotator, Label string }

// Agreement is how far two annotators agree.
type Agreement struct {
	Head     string  `json:"head"`
	A        string  `json:"a"`
	B        string  `json:"b"`
	N        int     `json:"n"` // messages that both have labelled
	Observed float64 `json:"observed"`
	Kappa    float64 `json:"kappa"`
}

// Agreements are those of every two annotators who share messages (Cohen 1960). Of an annotator who
// judged a message twice, the last one counts.
func Agreements(all []Judgement) []Agreement {
	type who struct{ head, annotator string }
	by := make(map[who]map[string]string)
	for _, j := range all {
		k := who{j.Head, j.Annotator}
		if by[k] == nil {
			by[k] = make(map[string]string)
		}
		by[k][j.Target] = j.Label
	}
	keys := slices.SortedFunc(maps.Keys(by), func(a, b who) int {
		return cmp.Or(cmp.Compare(a.head, b.head), cmp.Compare(a.annotator, b.annotator))
	})
	var out []Agreement
	for i, a := range keys {
		for _, b := range keys[i+1:] {
			if a.head != b.head {
				continue
			}
			if g := kappa(by[a], by[b]); g.N > 0 {
				g.Head, g.A, g.B = a.head, a.annotator, b.annotator
				out = append(out, g)
			}
		}
	}
	return out
}

// kappa is (observed − expected) ÷ (1 − expected) agreement; 1 when both only ever gave one label.
func kappa(a, b map[string]string) Agreement {
	g := Agreement{}
	same := 0
	left, right := map[string]int{}, map[string]int{}
	for target, x := range a {
		y, ok := b[target]
		if !ok {
			continue
		}
		g.N++
		left[x]++
		right[y]++
		if x == y {
			same++
		}
	}
	if g.N == 0 {
		return g
	}
	n := float64(g.N)
	g.Observed = float64(same) / n
	expected := 0
	for label, x := range left {
		expected += x * right[label]
	}
	if expected == g.N*g.N {
		g.Kappa = 1
		return g
	}
	chance := float64(expected) / (n * n)
	g.Kappa = (g.Observed - chance) / (1 - chance)
	return g
}
