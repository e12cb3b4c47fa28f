package train

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// TestHeadsShareAFile: two heads in one file give each message the logits that each gives alone.
func TestHeadsShareAFile(t *testing.T) {
	a, b := made(300), made(500)[250:]
	for i := range b {
		b[i].Label = map[string]string{"buy": "x", "ask": "y", "bad": "z"}[b[i].Label]
		b[i].Text += " zulu"
	}
	cfg := quick()
	cfg.Version = "1"
	res, err := RunHeads(cfg, []Head{{Name: "a", Rows: a},
		{Name: "b", Kind: classifier.OneVsAll, Rows: b}})
	if err != nil {
		t.Fatal(err)
	}
	both, err := classifier.FromBytes(res.File)
	if err != nil {
		t.Fatal(err)
	}
	for i, rows := range [][]corpus.Row{a, b} {
		head := Head{Name: string('a' + rune(i)), Rows: rows, Kind: both.Heads()[i].Kind}
		one, err := RunHeads(cfg, []Head{head})
		if err != nil {
			t.Fatal(err)
		}
		alone, err := classifier.FromBytes(one.File)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := both.Heads()[i].Temperature, alone.Heads()[0].Temperature; got != want {
			t.Errorf("head %d: temperature %v, alone %v", i, got, want)
		}
		for _, r := range rows[:50] {
			if diff := cmp.Diff(logits(t, alone, 0, r.Text), logits(t, both, i, r.Text)); diff != "" {
				t.Fatalf("head %d: %s", i, diff)
			}
		}
		if diff := cmp.Diff(one.Heads[0].HeldOut, res.Heads[i].HeldOut); diff != "" {
			t.Errorf("head %d holds out other rows: %s", i, diff)
		}
	}
}

func logits(t *testing.T, m *classifier.Model, head int, text string) []float64 {
	t.Helper()
	_, l := score(t, m, head, text)
	return l
}

func score(t *testing.T, m *classifier.Model, head int, text string) (probs, logits []float64) {
	t.Helper()
	x, err := features.New(m.Features())
	if err != nil {
		t.Fatal(err)
	}
	var v features.Vector
	out := m.NewScores()
	x.Fill([]byte(text), nil, &v)
	m.Score(&v, out)
	return out.Heads[head].Probs, out.Heads[head].Logits()
}

var help = []Article{
	{ID: "reset", Title: "Reset your password", Body: "Open the sign-in page and choose Forgot password. " +
		"We send a link to your e-mail address. The link is valid for one hour.\nIf your account is " +
		"locked after too many attempts, the same link unlocks it."},
	{ID: "locked", Title: "Locked account", Body: "After five wrong attempts the account is locked for an " +
		"hour. To unlock it at once, reset your password. If your account is locked after too many " +
		"attempts, the same link unlocks it."},
	{ID: "mail", Title: "Change your e-mail address", Body: "Your e-mail address is where we send links to " +
		"reset your password. Open settings and enter the new address. We send a link to confirm it."},
	{ID: "invoice", Title: "Download an invoice", Body: "Invoices are listed under billing. Choose a month " +
		"and download the file. Invoices of earlier years are archived."},
	{ID: "refund", Title: "Ask for a refund", Body: "A subscription can be refunded within fourteen days. " +
		"Write to billing with the number of the invoice. The money arrives within a week."},
	{ID: "dark", Title: "Dark mode", Body: "Open appearance and choose dark. The colours of charts change " +
		"too. The choice is kept for each device."},
}

// TestKnowledgeBase: articles are scored each on its own, from titles and bodies alone: three that
// fit are three above one half, the others are not, and a message about nothing has none.
func TestKnowledgeBase(t *testing.T) {
	var unrelated []corpus.Row
	for _, r := range made(60) {
		unrelated = append(unrelated, corpus.Row{Text: r.Text})
	}
	cfg := quick()
	cfg.Epochs, cfg.MinCount, cfg.Holdout, cfg.Calibrate = 30, 1, 0, 0
	res, err := RunHeads(cfg, []Head{KnowledgeBase("kb", help, unrelated)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := classifier.FromBytes(res.File)
	if err != nil {
		t.Fatal(err)
	}
	f := func(text string, want ...string) {
		t.Helper()
		probs, _ := score(t, m, 0, text)
		var got []string
		for i, p := range probs {
			if p >= 0.5 {
				got = append(got, m.Heads()[0].Labels[i])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s in %v", text, diff, probs)
		}
	}
	f("reset your password", "reset")
	f("where do I download an invoice", "invoice")
	f("can I get a refund for my subscription", "refund")
	f("about today that with hello")
	// One text in two articles belongs to both: neither may unlearn it for the other's sake.
	f("If your account is locked after too many attempts, the same link unlocks it.", "locked", "reset")
}

// TestThreeArticles: a text that three articles share is above one half in each.
func TestThreeArticles(t *testing.T) {
	const shared = "The link to confirm your e-mail address is valid for one hour."
	articles := append([]Article(nil), help...)
	for i := range 3 {
		articles[i].Body += "\n" + shared
	}
	cfg := quick()
	cfg.Epochs, cfg.MinCount, cfg.Holdout, cfg.Calibrate = 30, 1, 0, 0
	res, err := RunHeads(cfg, []Head{KnowledgeBase("kb", articles, nil)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := classifier.FromBytes(res.File)
	if err != nil {
		t.Fatal(err)
	}
	probs, _ := score(t, m, 0, shared)
	over, sum := 0, 0.0
	for _, p := range probs {
		sum += p
		if p >= 0.5 {
			over++
		}
	}
	if over != 3 || sum <= 1.5 {
		t.Errorf("%d articles above one half: %v of %v", over, probs, m.Heads()[0].Labels)
	}
}

func TestPassages(t *testing.T) {
	long := strings.Repeat("word ", 60)
	f := func(body string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, passages(body)); diff != "" {
			t.Errorf("%q: %s", body, diff)
		}
	}
	f("")
	f(" \n\n ")
	f("One. Two.", "One. Two.")
	f("One line\nanother 3.5 line", "One line", "another 3.5 line")
	f(strings.TrimSpace(long), strings.TrimSpace(long[:160]), strings.TrimSpace(long[160:]))
	f("A sentence that is long enough to stand on its own, or nearly so, because it goes on. Next one.",
		"A sentence that is long enough to stand on its own, or nearly so, because it goes on.", "Next one.")
	f("a\xffb", "a\xffb")
}

func TestOtherIsNoArticle(t *testing.T) {
	h := KnowledgeBase("kb", help[:1], []corpus.Row{{Text: "something else", Label: "x"}})
	last := h.Rows[len(h.Rows)-1]
	if last.Label != Other || h.Rows[0].Text != help[0].Title || h.Rows[0].Label != "reset" {
		t.Errorf("%+v", h.Rows)
	}
	report := Report{Labels: map[string]int{}}
	labels, err := h.labelsOf(h.Rows, &report)
	if err != nil || len(labels) != 1 || labels[0] != "reset" {
		t.Errorf("one against the rest: %v %v", labels, err)
	}
	h.Kind = classifier.Softmax
	report.Labels = map[string]int{}
	labels, err = h.labelsOf(h.Rows, &report)
	if err != nil || len(labels) != 2 {
		t.Errorf("labels that exclude each other: %v %v", labels, err)
	}
}

// TestHeldOutIsNotLearned: with refit, too, a file does not depend on the rows that are held out.
func TestHeldOutIsNotLearned(t *testing.T) {
	rows := made(400)
	cfg := quick()
	cfg.Refit, cfg.MinCount, cfg.Version = true, 1, "1"
	res, m := run(t, cfg, rows)
	var rest []corpus.Row
	for _, r := range rows {
		if !slices.Contains(res.HeldOut, r) {
			rest = append(rest, r)
		}
	}
	_, without := run(t, cfg, rest)
	for _, r := range res.HeldOut {
		if diff := cmp.Diff(logits(t, without, 0, r.Text), logits(t, m, 0, r.Text)); diff != "" {
			t.Fatal(diff)
		}
	}
	if len(res.HeldOut) < 20 || m.Heads()[0].Temperature != without.Heads()[0].Temperature {
		t.Errorf("%d held out", len(res.HeldOut))
	}
}

// TestSurpriseEach: by the definition, with the doubt of two yes and four no, and without overflow
// where the definition fails.
func TestSurpriseEach(t *testing.T) {
	l := likelihood{each: true, logits: [][]float64{{2, -3}, {0.5, 1}, {-1, -2}}, truth: []int{1, 0, -1}}
	want := 0.0
	for i, row := range l.logits {
		for c, x := range row {
			p := 1 / (1 + math.Exp(-x/2))
			target := 1.0 / 6
			if c == l.truth[i] {
				target = 1 - 1.0/4
			}
			want -= target*math.Log(p) + (1-target)*math.Log(1-p)
		}
	}
	if got := l.surprise(2); math.Abs(got-want) > 1e-8 {
		t.Errorf("%v, want %v", got, want)
	}
	far := likelihood{each: true, logits: [][]float64{{5000}}, truth: []int{-1}}
	if got := far.surprise(1); math.Abs(got-5000*(1-1.0/3)) > 1e-8 {
		t.Errorf("far off: %v", got)
	}
}
