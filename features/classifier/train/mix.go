package train

import (
	"math/rand/v2"

	"usher/features/classifier/corpus"
)

// The copies that mix makes of a row with a sign, and the most plain messages that one goes among.
const (
	mixCopies = 2
	mixPlain  = 3
)

// mix adds longer messages to rows of a head whose labels but one, plain, are signs that may stand
// anywhere: one angry sentence makes a message angry, however much else it says. Each row with a
// sign is put among one to three plain ones of its language, several times; as many messages of
// plain ones alone are added, so that length is no sign. The result depends on the seed alone.
func mix(rows []corpus.Row, plain string, seed uint64) []corpus.Row {
	byLang := map[string][]string{}
	for _, r := range rows {
		if r.Label == plain {
			byLang[r.Lang] = append(byLang[r.Lang], r.Text)
		}
	}
	out := append([]corpus.Row(nil), rows...)
	for i, r := range rows {
		others := byLang[r.Lang]
		if r.Label == plain || len(others) == 0 {
			continue
		}
		rng := rand.New(rand.NewPCG(seed^0x6d6978, uint64(i)))
		for range mixCopies {
			signed, calm := r, r
			n := 1 + rng.IntN(mixPlain)
			at := rng.IntN(n + 1)
			signed.Text, calm.Text, calm.Label = "", others[rng.IntN(len(others))], plain
			for j := range n + 1 {
				if j == at {
					signed.Text += r.Text + ". "
				}
				if j < n {
					signed.Text += others[rng.IntN(len(others))] + ". "
					calm.Text += ". " + others[rng.IntN(len(others))]
				}
			}
			out = append(out, signed, calm)
		}
	}
	return out
}
