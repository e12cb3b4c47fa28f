package train

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// Article is one of a knowledge base.
type Article struct {
	ID, Title, Body string
	Lang            string // empty: not told
}

// passageRunes is about how long a passage of a body is: as long as a message that asks for it.
const passageRunes = 160

// KnowledgeBase makes a head that scores each article on its own, so that several can be likely for
// one message. It learns from titles and bodies alone: the title by itself, and each passage of the
// body by itself and under the title. unrelated are messages that no article answers; without them
// the head knows what tells articles apart, but not what tells them from the rest.
func KnowledgeBase(name string, articles []Article, unrelated []corpus.Row) Head {
	h := Head{Name: name, Kind: classifier.OneVsAll}
	for _, a := range articles {
		add := func(text string) {
			if text = strings.TrimSpace(text); text != "" {
				h.Rows = append(h.Rows, corpus.Row{Text: text, Label: a.ID, Lang: a.Lang})
			}
		}
		add(a.Title)
		for _, p := range passages(a.Body) {
			add(p)
			if a.Title != "" {
				add(a.Title + ". " + p)
			}
		}
	}
	for _, r := range unrelated {
		r.Label = Other
		h.Rows = append(h.Rows, r)
	}
	return h
}

// passages cuts a body at the ends of sentences and lines; sentences that are short stay with the
// next one.
func passages(body string) (out []string) {
	from, runes := 0, 0
	for at, r := range body {
		runes++
		end := at + utf8.RuneLen(r)
		if r == utf8.RuneError { // may stand for a single byte
			continue
		}
		next, _ := utf8.DecodeRuneInString(body[end:])
		stop := r == '\n' || r == '。' || r == '！' || r == '？' ||
			(r == '.' || r == '!' || r == '?') && (end == len(body) || unicode.IsSpace(next))
		if stop && (runes >= passageRunes/2 || r == '\n') || runes >= passageRunes && unicode.IsSpace(r) {
			if p := strings.TrimSpace(body[from:end]); p != "" {
				out = append(out, p)
			}
			from, runes = end, 0
		}
	}
	if p := strings.TrimSpace(body[from:]); p != "" {
		out = append(out, p)
	}
	return out
}
