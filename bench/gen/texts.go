package gen

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed texts/*.tsv
var textFiles embed.FS

// Label is the true intent of a customer's message, as the sentence was written.
type Label uint8

// The labels; Unlabelled marks messages that say nothing by themselves ("ok", thanks, an answer).
const (
	Unlabelled Label = iota
	Deal
	Request
	Claim
	labels
)

// String is the name that usher's own model uses.
func (l Label) String() string { return [...]string{"", "deal", "request", "claim"}[l] }

// textKind is a line's first column.
type textKind uint8

const (
	textHello textKind = iota
	textTail
	textDeal
	textRequest
	textClaim
	textMore
	textBye
	textHuman
	textAgent
	textOffer
	textBot
	textGreeting
	textFallback
	textAuto
	textNote
	textDay
	textKinds
)

var textKindNames = [textKinds]string{"hello", "tail", "deal", "request", "claim", "more", "bye",
	"human", "agent", "offer", "bot", "greeting", "fallback", "auto", "note", "d"}

// languages in the order of the tenants' shares.
var languages = [...]string{"en", "ru", "pl", "lv", "zh"}

const (
	langEN = iota
	langRU
	langPL
	langLV
	langZH
)

// sentence is a template cut at its slots; literals are JSON-escaped already, so that rendering is
// nothing but appends. slots[i] follows literals[i]; a zero slot ends the sentence.
type sentence struct {
	literals [][]byte
	slots    []byte
}

// phrasebook holds one language.
type phrasebook struct {
	sentences [textKinds][]sentence
	services  map[string][][]byte // by the tenant's business
	space     string              // between two sentences
}

// readPhrasebooks parses the embedded sentences; an error here is a fault of this package's files.
func readPhrasebooks() ([len(languages)]*phrasebook, error) {
	var books [len(languages)]*phrasebook
	for i, lang := range languages {
		name := "texts/" + lang + ".tsv"
		file, err := textFiles.ReadFile(name)
		if err != nil {
			return books, fmt.Errorf("cannot read the sentences: %w", err)
		}
		if books[i], err = parsePhrasebook(string(file)); err != nil {
			return books, fmt.Errorf("cannot parse %s: %w", name, err)
		}
		books[i].space = " "
		if i == langZH {
			books[i].space = ""
		}
	}
	return books, nil
}

func parsePhrasebook(file string) (*phrasebook, error) {
	book := &phrasebook{services: map[string][][]byte{}}
	for number, line := range strings.Split(strings.TrimRight(file, "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, text, ok := strings.Cut(line, "\t")
		if !ok {
			return nil, fmt.Errorf("line %d has no tab between kind and text", number+1)
		}
		if business, ok := strings.CutPrefix(name, "s."); ok {
			book.services[business] = append(book.services[business], escape(text))
			continue
		}
		kind, ok := textKindOf(name)
		if !ok {
			return nil, fmt.Errorf("line %d: unknown kind %q, use one of %v or s.<business>",
				number+1, name, textKindNames)
		}
		book.sentences[kind] = append(book.sentences[kind], cut(text))
	}
	for kind, sentences := range book.sentences {
		if len(sentences) == 0 {
			return nil, fmt.Errorf("no sentence of kind %q", textKindNames[kind])
		}
	}
	return book, nil
}

func textKindOf(name string) (textKind, bool) {
	for kind, known := range textKindNames {
		if known == name {
			return textKind(kind), true
		}
	}
	return 0, false
}

// cut splits "a {s} b" into literals and slots.
func cut(text string) sentence {
	var s sentence
	for {
		at := strings.IndexByte(text, '{')
		if at < 0 || at+2 >= len(text) || text[at+2] != '}' {
			s.literals = append(s.literals, escape(text))
			s.slots = append(s.slots, 0)
			return s
		}
		s.literals = append(s.literals, escape(text[:at]))
		s.slots = append(s.slots, text[at+1])
		text = text[at+3:]
	}
}

// escape returns text as it stands between the quotes of a JSON string.
func escape(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("BUG: a string that cannot be marshalled: " + err.Error())
	}
	return quoted[1 : len(quoted)-1]
}
