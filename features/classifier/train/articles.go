package train

import (
	"bufio"
	"fmt"
	"io"
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

// ReadArticles reads a TSV: a header line that names the columns id, title and body, and lang if it is
// there, then one article a line, no quoting. name is for errors.
func ReadArticles(r io.Reader, name string) ([]Article, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxArticleBytes)
	var out []Article
	at := map[string]int{}
	seen := map[string]bool{}
	for line := 1; sc.Scan(); line++ {
		cells := strings.Split(strings.TrimRight(sc.Text(), "\r"), "\t")
		if line == 1 {
			for i, column := range cells {
				at[strings.TrimSpace(column)] = i + 1
			}
			if at["id"] == 0 || at["title"] == 0 || at["body"] == 0 {
				return nil, fmt.Errorf("cannot read %s: line 1 must name the columns, separated by tabs, id, "+
					"title and body among them", name)
			}
			continue
		}
		cell := func(column string) string {
			if i := at[column]; i > 0 && i <= len(cells) {
				return strings.TrimSpace(cells[i-1])
			}
			return ""
		}
		a := Article{ID: cell("id"), Title: cell("title"), Body: cell("body"), Lang: cell("lang")}
		if a.ID == "" || seen[a.ID] || a.Title+a.Body == "" {
			return nil, fmt.Errorf("cannot read %s: line %d has no id of its own, or neither title nor body",
				name, line)
		}
		seen[a.ID] = true
		out = append(out, a)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cannot read %s: it holds no article", name)
	}
	return out, nil
}

// maxArticleBytes bounds one line.
const maxArticleBytes = 16 << 20

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
