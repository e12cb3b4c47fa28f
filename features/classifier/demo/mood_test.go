package demo

import (
	"bufio"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/labels"
)

// judged is a message of the sample as somebody labelled it, twice.
type judged struct {
	drawn
	labels [2]map[string]string // by head
}

// judgements reads sample.tsv, which holds places and labels, no text, and finds the texts.
func judgements(t *testing.T) (out []judged) {
	t.Helper()
	texts := map[string]drawn{}
	for _, d := range sample(t) {
		texts[d.set+" "+d.hash] = d
	}
	f, err := os.Open("sample.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		c := strings.Split(lines.Text(), "\t")
		if c[0] == "set" {
			continue
		}
		d, ok := texts[c[0]+" "+c[2]]
		if !ok {
			t.Fatalf("%s line %s is not drawn any more: another edition of the set?", c[0], c[1])
		}
		out = append(out, judged{d, [2]map[string]string{
			{"sentiment": c[4], "urgency": c[5]}, {"sentiment": c[6], "urgency": c[7]},
		}})
	}
	return out
}

// A plain lexicon: a message with one of these is urgent, negative or positive, in this order of
// preference. Stems, so that endings do not matter.
var lexicon = map[string][]string{
	"urgent": {"urgent", "asap", "as soon as possible", "immediate", "emergency", "right now", "right away",
		"hurry", "quickly", "срочн", "немедленно", "как можно скорее", "прямо сейчас", "быстрее"},
	"negative": {"angry", "annoy", "awful", "bad", "broken", "complain", "crap", "disappoint", "frustrat",
		"hate", "horrible", "never", "problem", "ridiculous", "scary", "terrible", "unacceptable", "unhappy",
		"upset", "useless", "worst", "wtf", "fuck", "безобраз", "кошмар", "надоел", "обман", "отврат", "плох",
		"проблем", "разочарован", "ужас", "хам", "худш"},
	"positive": {"amazing", "awesome", "excellent", "glad", "good", "great", "happy", "love", "perfect",
		"satisfied", "thank", "wonderful", "благодар", "довол", "замечательн", "отличн", "рад", "спасибо",
		"супер", "хорош"},
}

func byLexicon(text string, signs ...string) string {
	text = strings.ToLower(text)
	for _, sign := range signs[:len(signs)-1] {
		for _, stem := range lexicon[sign] {
			if strings.Contains(text, stem) {
				return sign
			}
		}
	}
	return signs[len(signs)-1]
}

// score compares answers with truths.
func score(truth, answer []string) Judged {
	right, kinds := 0, map[string]bool{}
	for i := range truth {
		kinds[truth[i]] = true
		if truth[i] == answer[i] {
			right++
		}
	}
	sum := 0.0
	for kind := range kinds {
		hit, given, there := 0.0, 0.0, 0.0
		for i := range truth {
			if truth[i] == kind {
				there++
			}
			if answer[i] == kind {
				given++
				if truth[i] == kind {
					hit++
				}
			}
		}
		sum += 2 * hit / (given + there)
	}
	four := func(x float64) float64 { return math.Round(x*1e4) / 1e4 }
	return Judged{N: len(truth), Accuracy: four(float64(right) / float64(len(truth))),
		MacroF1: four(sum / float64(len(kinds)))}
}

// measureMood measures one head; sign is the label that raises the priority, the last of signs is
// the label of what shows none.
func measureMood(t *testing.T, m *classifier.Model, head, about string, signs ...string) Mood {
	t.Helper()
	mask := masks(t)
	x, err := features.New(m.Features())
	if err != nil {
		t.Fatal(err)
	}
	var v features.Vector
	out, at := m.NewScores(), m.Head(head)
	meta := &m.Heads()[at]
	from := meta.Thresholds.Resolve(signs[0], "").AutoAt
	mood := Mood{About: about, Labels: map[string]int{}, HeadByLang: map[string]Judged{}}
	var pairs []labels.Judgement
	var truth, mine, common, lexical, lang []string
	raised, hit, there := 0.0, 0.0, 0.0
	for _, j := range judgements(t) {
		mood.N++
		first, second := j.labels[0][head], j.labels[1][head]
		pairs = append(pairs, labels.Judgement{Target: j.set + j.hash, Head: head, Annotator: "1", Label: first},
			labels.Judgement{Target: j.set + j.hash, Head: head, Annotator: "2", Label: second})
		if first != second {
			continue
		}
		x.Fill(mask([]byte(j.text)), nil, &v)
		m.Score(&v, out)
		h := &out.Heads[at]
		truth, lang = append(truth, first), append(lang, j.lang)
		mine = append(mine, meta.Labels[h.Best])
		common = append(common, signs[len(signs)-1])
		lexical = append(lexical, byLexicon(j.text, signs...))
		mood.Labels[first]++
		sign := first == signs[0]
		if sign {
			there++
		}
		if meta.Labels[h.Best] == signs[0] && h.Probs[h.Best] >= from {
			raised++
			if sign {
				hit++
			}
		}
	}
	mood.Alike = len(truth)
	mood.Kappa = math.Round(labels.Agreements(pairs)[0].Kappa*1e4) / 1e4
	mood.Head, mood.Majority, mood.Lexicon = score(truth, mine), score(truth, common), score(truth, lexical)
	for _, l := range []string{"en", "ru"} {
		pick := func(from []string) (out []string) {
			for i := range from {
				if lang[i] == l {
					out = append(out, from[i])
				}
			}
			return out
		}
		mood.HeadByLang[l] = score(pick(truth), pick(mine))
	}
	mood.Raises = map[string]float64{"n": raised, "precision": math.Round(hit/max(raised, 1)*1e4) / 1e4,
		"recall": math.Round(hit/there*1e4) / 1e4}
	return mood
}

func measureMoods(t *testing.T, m *classifier.Model) map[string]Mood {
	return map[string]Mood{
		"sentiment": measureMood(t, m, "sentiment", "negative: displeasure, anger, worry or distress can be "+
			"read in the words; a fault told calmly is neutral; positive: thanks, praise, pleasure",
			"negative", "positive", "neutral"),
		"urgency": measureMood(t, m, "urgency", "urgent: says that it cannot wait, or harm is being done now",
			"urgent", "normal"),
	}
}

// measureLanguages: of the sample's messages whose language the head is sure of.
func measureLanguages(t *testing.T, m *classifier.Model) (s Share) {
	x, err := features.New(m.Features())
	if err != nil {
		t.Fatal(err)
	}
	var v features.Vector
	out, at := m.NewScores(), m.Head("lang")
	meta := &m.Heads()[at]
	for _, j := range judgements(t) {
		x.Fill([]byte(j.text), nil, &v)
		m.Score(&v, out)
		h := &out.Heads[at]
		cut := meta.Thresholds.Resolve(meta.Labels[h.Best], "")
		if h.Probs[h.Best] < cut.AutoAt || h.Scope < cut.MinScope {
			continue
		}
		s.N++
		if meta.Labels[h.Best] == j.lang {
			s.Right++
		}
	}
	return s
}

// TestCardMoods draws the sample again and measures the committed model on it.
func TestCardMoods(t *testing.T) {
	card, m := committedCard(t), load(t, Bytes())
	if diff := cmp.Diff(card.Moods, measureMoods(t, m)); diff != "" {
		t.Errorf("moods, card against fresh:\n%s", diff)
	}
	if diff := cmp.Diff(card.Languages, measureLanguages(t, m)); diff != "" {
		t.Errorf("languages, card against fresh:\n%s", diff)
	}
	for head, mood := range card.Moods {
		if mood.N < 200 || mood.Kappa < 0.6 {
			t.Errorf("%s: %d messages, kappa %v; 200 and 0.6 wanted", head, mood.N, mood.Kappa)
		}
		if mood.Head.MacroF1 <= mood.Majority.MacroF1 {
			t.Errorf("%s: macro F1 %v, the majority class has %v", head, mood.Head.MacroF1,
				mood.Majority.MacroF1)
		}
	}
	if want := []string{"pl", "lv", "zh"}; !slices.Equal(card.Unproven, want) {
		t.Errorf("unproven: %v, want %v", card.Unproven, want)
	}
}
