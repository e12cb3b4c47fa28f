package classifier_test

import (
	"math"
	"testing"

	"usher/features"
	"usher/features/classifier/demo"
)

// The contributions and the bias sum to the logit that scoring computes with integers and lanes.
func TestContributionsSumToTheLogit(t *testing.T) {
	m, err := demo.Model()
	if err != nil {
		t.Fatal(err)
	}
	x, err := features.New(m.Features())
	if err != nil {
		t.Fatal(err)
	}
	var v features.Vector
	s := m.NewScores()
	for _, text := range []string{"How much is a haircut?", "Хочу записаться на завтра!", "我要投诉", "zzqx", ""} {
		x.Fill([]byte(text), nil, &v)
		m.Score(&v, s)
		for head := range m.Heads() {
			for label := range m.Heads()[head].Labels {
				sum := m.Heads()[head].Bias[label]
				each, known := m.Contributions(&v, head, label)
				for i, c := range each {
					sum += c
					if !known[i] && c != 0 {
						t.Errorf("%q: an unknown feature adds %v", text, c)
					}
				}
				if want := s.Heads[head].Logits()[label]; math.Abs(sum-want) > 1e-9 {
					t.Errorf("%q, label %d: the sum is %v, the logit %v", text, label, sum, want)
				}
			}
		}
	}
}
