package classifier

import "usher/features"

// Contributions say what each feature of v adds to one label's logit; an unknown feature adds 0 and
// is false in known. With the bias they sum to the logit, because the model is linear: each is the
// score of a text that has this feature alone, at the length of the whole. It is slow: scoring never
// calls it.
func (m *Model) Contributions(v *features.Vector, head, label int) (each []float64, known []bool) {
	each, known = make([]float64, len(v.Keys)), make([]bool, len(v.Keys))
	s := m.NewScores()
	for i := range v.Keys {
		m.Score(&features.Vector{
			Keys: v.Keys[i : i+1], Counts: v.Counts[i : i+1], Text: 1, Square: v.Square,
		}, s)
		if known[i] = s.KnownShare > 0; known[i] {
			each[i] = s.Heads[head].Logits()[label] - m.meta.Heads[head].Bias[label]
		}
	}
	return each, known
}
