package pipeline

import (
	"usher/features/classifier"
	"usher/features/conversation"
	"usher/pipeline/event"
	"usher/pipeline/route"
)

// A model's first head gives the label. What these heads say is used too, when a model has them.
const (
	headSentiment = "sentiment"
	headUrgency   = "urgency"
	headLang      = "lang"

	labelUrgent = "urgent"
)

// heads are the places of those heads in the model, −1 for none, and what their model says about
// cut-offs. They are found once per model.
type heads struct {
	sentiment, urgency, lang, articles int

	// From these scores on the priority goes up: auto_at, because nobody is asked.
	negativeAt, urgentAt float64
	langs                [][]byte
	langAt, langScope    []float64 // per language: from this score and scope on it is believed
	kb                   route.Articles
}

// findHeads looks for the heads of m. The deciding head is none of them, whatever its name is.
func findHeads(m *classifier.Model) heads {
	h := heads{sentiment: -1, urgency: -1, lang: -1, articles: -1}
	for i := range m.Heads()[1:] {
		meta := &m.Heads()[i+1]
		own := func(label string) classifier.Resolved { return meta.Thresholds.Resolve(label, "") }
		switch {
		case meta.Kind == classifier.OneVsAll:
			if h.articles < 0 {
				h.articles = i + 1
				h.kb = route.Articles{Labels: meta.Labels, Least: own("").SuggestAt}
			}
		case meta.Name == headSentiment:
			negative := conversation.SentimentNegative.String()
			h.sentiment, h.negativeAt = i+1, own(negative).AutoAt
		case meta.Name == headUrgency:
			h.urgency, h.urgentAt = i+1, own(labelUrgent).AutoAt
		case meta.Name == headLang:
			h.lang = i + 1
			for _, label := range meta.Labels {
				h.langs = append(h.langs, []byte(label))
				h.langAt = append(h.langAt, own(label).AutoAt)
				h.langScope = append(h.langScope, own(label).MinScope)
			}
		}
	}
	return h
}

// others takes from the scores what the heads beside the first say. A model that only looks on
// (shadow) raises nothing.
func (l *Line) others(ev *event.Event, d *route.Decision) {
	h, in := &l.heads, &l.inputs
	acts := d.Model.Mode != route.Shadow
	best := func(head int) route.Suggestion {
		s := &l.scores.Heads[head]
		return route.Suggestion{ID: l.brain.Model.Heads()[head].Labels[s.Best], Score: s.Probs[s.Best]}
	}
	if h.sentiment >= 0 {
		d.Sentiment = best(h.sentiment)
		in.Negative = acts && d.Sentiment.Score >= h.negativeAt &&
			d.Sentiment.ID == conversation.SentimentNegative.String()
	}
	if h.urgency >= 0 {
		d.Urgency = best(h.urgency)
		in.Urgent = acts && d.Urgency.Score >= h.urgentAt && d.Urgency.ID == labelUrgent
	}
	if h.articles >= 0 {
		h.kb.Scores = l.scores.Heads[h.articles].Probs
		in.Articles = &h.kb
	}
	if h.lang >= 0 && len(ev.Lang) == 0 {
		s := &l.scores.Heads[h.lang]
		if s.Probs[s.Best] >= h.langAt[s.Best] && s.Scope >= h.langScope[s.Best] {
			d.Lang = h.langs[s.Best]
		}
	}
}
