package pipeline

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/features"
	"usher/features/classifier"
	"usher/features/conversation"
	"usher/pipeline/route"
)

// wordy is a model that knows a handful of words, each of which speaks for one label of one head.
func wordy(t testing.TB, mode route.Mode) *Brain {
	t.Helper()
	cfg := features.Default(1)
	cfg.CharMax, cfg.WordMax = 0, 1
	heads := []classifier.HeadMeta{
		{Name: "intent", Kind: classifier.Softmax, Labels: []string{"claim", "request"}},
		{Name: "sentiment", Kind: classifier.Softmax, Labels: []string{"negative", "neutral", "positive"}},
		{Name: "urgency", Kind: classifier.Softmax, Labels: []string{"normal", "urgent"}},
		{Name: "lang", Kind: classifier.Softmax, Labels: []string{"en", "ru"}},
		{Name: "kb", Kind: classifier.OneVsAll, Labels: []string{"a1", "a2", "a3", "a4"}},
	}
	speak := map[string][]int{ // columns
		"broken": {0, 9, 10, 11}, "price": {1}, "terrible": {2}, "ok": {3}, "thanks": {4}, "calm": {5},
		"now": {6}, "hello": {7}, "привет": {8},
	}
	columns := 0
	for i := range heads {
		h := &heads[i]
		h.From, h.Scale, h.Temperature = columns, 0.2, 1
		h.Bias = make([]float64, len(h.Labels))
		columns += len(h.Labels)
	}
	heads[1].Bias[1], heads[2].Bias[0] = 3, 3 // neutral and normal, when nothing is said
	for i := range heads[4].Bias {
		heads[4].Bias[i] = -5
	}
	x, err := features.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var keys []uint64
	var weights []int8
	var v features.Vector
	for word, columns := range speak {
		x.Fill([]byte(word), nil, &v)
		row := make([]int8, 16)
		for _, c := range columns {
			row[c] = 100
		}
		keys, weights = append(keys, v.Keys...), append(weights, row...)
	}
	file, err := classifier.Encode(classifier.Meta{Name: "words", Version: "1", Features: cfg, Stride: 16,
		Heads: heads}, keys, weights)
	if err != nil {
		t.Fatal(err)
	}
	m, err := classifier.FromBytes(file)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := route.NewCutoffs(heads[0].Labels, route.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return &Brain{Model: m, Mode: mode, Cutoffs: map[string]*route.Cutoffs{"": cut}}
}

// said is what one message of conversation c comes to.
func (h *thinker) said(t testing.TB, c, text, lang string) *Result {
	t.Helper()
	h.n++
	r := &Result{}
	err := h.line.Process(h.table, &Record{Topic: "t", Offset: int64(h.n), NowMS: 1793181662345 + int64(h.n),
		Value: fmt.Appendf(nil, `{"v":1,"id":"%d","type":"message","time":%d,"conversation_id":%q,"lang":%q,`+
			`"actor":{"kind":"customer"},"message":{"text":%q}}`, h.n, 1793181662345+h.n, c, lang, text)}, r)
	if err != nil || r.Decision == nil {
		t.Fatalf("no decision: %v, %v", err, r.Reject)
	}
	return r
}

func TestHeadsDecide(t *testing.T) {
	brains, err := NewBrains(wordy(t, route.Live))
	if err != nil {
		t.Fatal(err)
	}
	h := newThinker(t, brains)
	f := func(text, lang string, want ...string) {
		t.Helper()
		d := h.said(t, fmt.Sprint("c", h.n), text, lang).Decision
		got := []string{d.Label, d.Sentiment.ID, d.Urgency.ID, string(d.Lang), d.Priority}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	f("hello price", "", "request", "neutral", "normal", "en", "normal")
	f("terrible", "", "claim", "negative", "normal", "", "high") // no word tells the language
	f("broken now", "", "claim", "neutral", "urgent", "", "high")
	f("terrible now", "", "claim", "negative", "urgent", "", "urgent")
	f("привет thanks", "", "claim", "positive", "normal", "ru", "normal")
	f("привет thanks", "pl", "claim", "positive", "normal", "pl", "normal") // the producer knows better
	d := h.said(t, "kb", "broken", "").Decision
	kb := 0
	for _, s := range d.Suggestions {
		if s.Kind == "kb" && s.Score > 0.5 {
			kb++
		}
	}
	if kb != 3 {
		t.Errorf("%d articles are suggested, want 3: %v", kb, d.Suggestions)
	}
}

// TestShadowRaisesNothing: a model that only looks on says what it hears and changes nothing.
func TestShadowRaisesNothing(t *testing.T) {
	brains, err := NewBrains(wordy(t, route.Shadow))
	if err != nil {
		t.Fatal(err)
	}
	d := newThinker(t, brains).said(t, "c", "terrible now", "").Decision
	if d.Sentiment.ID != "negative" || d.Urgency.ID != "urgent" || d.Priority != route.DefaultPriority {
		t.Errorf("%v %v %s", d.Sentiment, d.Urgency, d.Priority)
	}
}

// TestConversationKeepsSentiment: first, lowest and latest, and none of another cycle or of a message
// that nothing judged.
func TestConversationKeepsSentiment(t *testing.T) {
	brains, err := NewBrains(wordy(t, route.Live))
	if err != nil {
		t.Fatal(err)
	}
	h := newThinker(t, brains)
	f := func(text string, first, lowest, last conversation.Sentiment) {
		t.Helper()
		h.said(t, "c", text, "")
		c := h.table.Facts().Cycles[0]
		got := []conversation.Sentiment{c.SentimentFirst, c.SentimentLowest, c.SentimentLast}
		if diff := cmp.Diff([]conversation.Sentiment{first, lowest, last}, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	const negative, neutral = conversation.SentimentNegative, conversation.SentimentNeutral
	const positive = conversation.SentimentPositive
	f("ok", neutral, neutral, neutral)
	f("thanks", neutral, neutral, positive)
	f("terrible", neutral, negative, negative)
	f("   ", neutral, negative, negative)
	f("thanks", neutral, negative, positive)
}
