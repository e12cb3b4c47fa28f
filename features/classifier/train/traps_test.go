package train

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// The traps that a trial of the recipe fell into, on the project's own sentences. Others have their
// tests where the code is: sums that overflow and foreign features in classifier, long texts and the
// model's own seed in features, gates in route.

func sentences(t *testing.T, lang string) []corpus.Row {
	t.Helper()
	rows, err := corpus.ReadFiles([]string{filepath.Join("data", lang+".tsv")})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// heldOut trains on three quarters and gives the accuracy on the rest.
func heldOut(t *testing.T, rows []corpus.Row, change func(*Config)) (accuracy float64, kept int) {
	t.Helper()
	cfg := quick()
	cfg.Epochs, cfg.Holdout, cfg.Calibrate = 12, 0.25, 0
	change(&cfg)
	res, m := run(t, cfg, rows)
	return m.Heads()[0].Quality.Accuracy, res.Report.Kept
}

func same(*Config) {}

func TestRussianNeedsCharacters(t *testing.T) {
	rows := sentences(t, "ru")
	with, _ := heldOut(t, rows, same)
	without, _ := heldOut(t, rows, func(c *Config) { c.Features.CharMax = 0 })
	if with < without+0.02 || with < 0.75 {
		t.Errorf("accuracy %v with characters, %v without", with, without)
	}
}

// TestChineseNeedsCharacters: each character is a word, so that pairs of them are features. When
// runs between marks are taken as words, hardly any is ever seen again.
func TestChineseNeedsCharacters(t *testing.T) {
	rows := sentences(t, "zh")
	runs := make([]corpus.Row, len(rows))
	for i, r := range rows {
		runs[i] = r
		words := strings.FieldsFunc(r.Text, func(r rune) bool { return !unicode.IsLetter(r) })
		for j, w := range words {
			words[j] = hex.EncodeToString([]byte(w)) // one word to the extractor
		}
		runs[i].Text = strings.Join(words, " ")
	}
	characters, _ := heldOut(t, rows, same)
	words, _ := heldOut(t, runs, func(c *Config) { c.Features.CharMax = 0 })
	single, _ := heldOut(t, rows, func(c *Config) { c.Features.WordMax = 1 })
	if characters < words+0.15 || characters < 0.8 || characters < single-0.01 {
		t.Errorf("accuracy %v with pairs of characters, %v with characters, %v with runs", characters,
			single, words)
	}
}

func TestSeenOnceIsNotMissed(t *testing.T) {
	rows := sentences(t, "zh")
	with, all := heldOut(t, rows, func(c *Config) { c.MinCount = 1 })
	without, some := heldOut(t, rows, same)
	if some*2 > all || without < with-0.02 {
		t.Errorf("%d rows at accuracy %v, without those seen once %d at %v", all, with, some, without)
	}
}

// TestStuffing: a word that is repeated two hundred times says no more than one that is repeated
// twice, and two hundred copies of a word do not turn a message about something else.
func TestStuffing(t *testing.T) {
	_, m := run(t, quick(), made(900))
	twice, _ := score(t, m, 0, "refund refund")
	often, _ := score(t, m, 0, strings.Repeat("refund ", 200))
	for i := range twice {
		if twice[i] != often[i] {
			t.Errorf("%v twice, %v two hundred times", twice, often)
		}
	}
	cfg := quick()
	cfg.Features.TermCap = 15
	_, loose := run(t, cfg, made(900))
	text := "order purchase book reserve subscribe " + strings.Repeat("hello refund ", 15)
	if got, stuffed := bestOf(t, m, text), bestOf(t, loose, text); got != "buy" || stuffed != "bad" {
		t.Errorf("best is %s with the cap, %s without", got, stuffed)
	}
}

func bestOf(t *testing.T, m *classifier.Model, text string) string {
	t.Helper()
	probs, _ := score(t, m, 0, text)
	best := 0
	for i, p := range probs {
		if p > probs[best] {
			best = i
		}
	}
	return m.Heads()[0].Labels[best]
}
