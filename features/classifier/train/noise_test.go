package train

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

func TestLatin(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := Latin(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("Сколько стоит стрижка?", "Skolko stoit strizhka?")
	f("ещё щука, объём, Юля и Яша", "esche schuka, obem, Yulya i Yasha")
	f("абвгдежзийклмнопрстуфхцчшщъыьэюя", "abvgdezhziyklmnoprstufhcchshschyeyuya")
	f("Cik maksā frizūra? Ļoti ātri, ķēde, Žagars", "Cik maksa frizura? Loti atri, kede, Zagars")
	f("āčēģīķļņšūž", "acegiklnsuz")
	f("Proszę o zwrot pieniędzy, łąka, źdźbło, ńóść", "Prosze o zwrot pieniedzy, laka, zdzblo, nosc")
	f("plain text, 退款 ok", "plain text, 退款 ok")
	f("", "")
}

func TestNoise(t *testing.T) {
	rows := made(2000)
	rows[0].Text = "退款"
	if got := (Noise{}).add(rows, 1); len(got) != len(rows) {
		t.Errorf("%d rows without noise", len(got))
	}
	got := Noise{Typos: 0.4}.add(rows, 1)
	if share := float64(len(got)-len(rows)) / 2000; math.Abs(share-0.4) > 0.04 {
		t.Errorf("copies of %v of the rows", share)
	}
	if !slices.Equal(got[:len(rows)], rows) {
		t.Error("the rows themselves changed")
	}
	same := 0
	texts := map[string]string{}
	for _, r := range rows {
		texts[r.Text] = r.Label
	}
	for _, r := range got[len(rows):] {
		if !utf8.ValidString(r.Text) || r.Label == "" {
			t.Errorf("copy %q", r.Text)
		}
		if texts[r.Text] != "" {
			same++
		}
	}
	if copies := len(got) - len(rows); same > copies/2 {
		t.Errorf("%d of %d copies have no fault", same, copies)
	}
	if !slices.Equal(got, Noise{Typos: 0.4}.add(rows, 1)) {
		t.Error("the same seed gives other faults")
	}
	if slices.Equal(got, Noise{Typos: 0.4}.add(rows, 2)) {
		t.Error("another seed gives the same faults")
	}
	cyrillic := []corpus.Row{{Text: "Сколько стоит?", Label: "a", Lang: "ru"}, {Text: "how much", Label: "a"}}
	latin := Noise{Latin: 1}.add(cyrillic, 1)
	if len(latin) != 3 || latin[2].Text != "Skolko stoit?" || latin[2].Label != "a" || latin[2].Lang != "ru" {
		t.Errorf("%+v", latin)
	}
	for _, n := range []Noise{{Typos: 1.1}, {Latin: -0.1}, {Typos: math.NaN()}} {
		if n.validate() == nil {
			t.Errorf("%+v is accepted", n)
		}
	}
}

// TestNoiseHelps: a model that has seen Latin letters understands Russian written so.
func TestNoiseHelps(t *testing.T) {
	var rows []corpus.Row
	words := map[string][]string{"deal": {"записаться", "купить", "заказать"},
		"claim": {"жалоба", "сломалось", "верните"}}
	for _, label := range []string{"deal", "claim"} {
		for _, w := range words[label] {
			for _, rest := range []string{"пожалуйста", "завтра", "срочно", "здравствуйте", "у вас", "мне"} {
				rows = append(rows, corpus.Row{Text: w + " " + rest, Label: label},
					corpus.Row{Text: rest + " " + w, Label: label})
			}
		}
	}
	right := func(n Noise) (right int) {
		cfg := quick()
		cfg.Holdout, cfg.Calibrate, cfg.Noise = 0, 0, n
		_, m := run(t, cfg, rows)
		for label, list := range words {
			for _, w := range list {
				probs, _ := score(t, m, 0, Latin(w))
				if probs[slices.Index(m.Heads()[0].Labels, label)] > 0.5 {
					right++
				}
			}
		}
		return right
	}
	if with, without := right(Noise{Latin: 1}), right(Noise{}); with != 6 || without == 6 {
		t.Errorf("right of 6: %d with, %d without", with, without)
	}
}

// TestMix: every message with a sign comes among plain ones of its language too, as many plain ones
// are added, and pairs of words across the seams are no features.
func TestMix(t *testing.T) {
	rows := []corpus.Row{
		{Text: "awful", Label: "negative", Lang: "en"}, {Text: "ужас", Label: "negative", Lang: "ru"},
		{Text: "the price list", Label: "neutral", Lang: "en"}, {Text: "opening hours", Label: "neutral", Lang: "en"},
	}
	out := mix(rows, "neutral", 7)
	if len(out) != len(rows)+2*mixCopies {
		t.Fatalf("%d messages of %d", len(out), len(rows))
	}
	for i, r := range out[len(rows):] {
		signed := i%2 == 0
		if strings.Contains(r.Text, "awful") != signed || (r.Label == "negative") != signed || r.Lang != "en" ||
			strings.Contains(r.Text, "ужас") {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if diff := cmp.Diff(out, mix(rows, "neutral", 7)); diff != "" {
		t.Errorf("not the same again: %s", diff)
	}
	cfg := Default("m")
	cfg.MinCount, cfg.Noise = 1, Noise{}
	h := &headRun{Head: Head{Name: "m", Kind: classifier.Softmax, Plain: "neutral"},
		parts: &parts{labels: []string{"negative", "neutral"}, kind: classifier.Softmax}}
	plain := newSet(&cfg, h.parts, rows, span{})
	mixed := h.set(&cfg, rows)
	if len(mixed.keys) != len(plain.keys) || len(mixed.docs) <= len(plain.docs) || h.report.Mixed == 0 {
		t.Errorf("%d features of %d messages, %d of %d without the mixed ones", len(mixed.keys),
			len(mixed.docs), len(plain.keys), len(plain.docs))
	}
}
