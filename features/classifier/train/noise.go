package train

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"usher/features/classifier/corpus"
)

// Noise adds copies of training rows with faults that real messages have. Shares are of the rows,
// from 0 to 1; the zero value adds nothing.
type Noise struct {
	Typos float64 `json:"typos"` // with letters swapped, dropped, doubled or mistaken
	Latin float64 `json:"latin"` // Russian in Latin letters, Latvian and Polish without marks
}

func (n Noise) validate() error {
	for _, share := range []float64{n.Typos, n.Latin} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("cannot train: noise of %v typos and %v latin; give shares from 0 to 1",
				n.Typos, n.Latin)
		}
	}
	return nil
}

// lettersPerTypo is how seldom a typo is.
const lettersPerTypo = 12

// add appends the copies. Each depends on the seed and its row's place alone.
func (n Noise) add(rows []corpus.Row, seed uint64) []corpus.Row {
	if n.Typos == 0 && n.Latin == 0 {
		return rows
	}
	out := append([]corpus.Row(nil), rows...)
	for i, r := range rows {
		rng := rand.New(rand.NewPCG(seed^0x6e6f697365, uint64(i)))
		typos, latin := rng.Float64() < n.Typos, rng.Float64() < n.Latin
		if typos {
			noisy := r
			noisy.Text = mistype(r.Text, rng)
			out = append(out, noisy)
		}
		if latin {
			noisy := r
			if noisy.Text = Latin(r.Text); noisy.Text != r.Text {
				out = append(out, noisy)
			}
		}
	}
	return out
}

// mistype makes at least one typo, more in longer texts.
func mistype(text string, rng *rand.Rand) string {
	letters := []rune(text)
	for range 1 + len(letters)/lettersPerTypo/2 {
		at := rng.IntN(max(len(letters), 1))
		if at+1 >= len(letters) || !unicode.IsLetter(letters[at]) || !unicode.IsLetter(letters[at+1]) {
			continue // a typo outside a word changes nothing or joins two
		}
		switch rng.IntN(4) {
		case 0:
			letters[at], letters[at+1] = letters[at+1], letters[at]
		case 1:
			letters = append(letters[:at], letters[at+1:]...)
		case 2:
			letters = append(letters[:at+1], letters[at:]...)
		default: // a letter that the text has, so that the script stays
			if other := letters[rng.IntN(len(letters))]; unicode.IsLetter(other) {
				letters[at] = other
			}
		}
	}
	return string(letters)
}

// Latin writes Russian as people do who have no Cyrillic keys, and takes the marks off the letters
// of Latvian and Polish. Other letters stay.
func Latin(text string) string {
	var b strings.Builder
	for _, r := range text {
		to, ok := latinOf(unicode.ToLower(r))
		switch {
		case !ok:
			b.WriteRune(r)
		case unicode.IsUpper(r) && to != "":
			first, size := utf8.DecodeRuneInString(to)
			b.WriteRune(unicode.ToUpper(first))
			b.WriteString(to[size:])
		default:
			b.WriteString(to)
		}
	}
	return b.String()
}

// cyrillic are а to я.
const cyrillic = "a b v g d e zh z i y k l m n o p r s t u f h c ch sh sch _ y _ e yu ya"

func latinOf(r rune) (string, bool) {
	if r >= 'а' && r <= 'я' {
		at, part := int(r-'а'), cyrillic
		for ; at > 0; at-- {
			_, part, _ = strings.Cut(part, " ")
		}
		part, _, _ = strings.Cut(part, " ")
		return strings.TrimPrefix(part, "_"), true
	}
	if r == 'ё' {
		return "e", true
	}
	const marked, plain = "āčēģīķļņšūžąćęłńóśźż", "acegiklnsuzacelnoszz"
	if i := strings.IndexRune(marked, r); i >= 0 {
		at := utf8.RuneCountInString(marked[:i])
		return plain[at : at+1], true
	}
	return "", false
}
