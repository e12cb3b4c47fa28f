package features

import (
	"unicode"
	"unicode/utf8"
)

// tableRunes: runes below it are classified by a table (Latin, Greek, Cyrillic, Armenian, Hebrew).
const tableRunes = 0x600

// Classes of characters; any other value of the table is the normalised rune itself.
const (
	separator = 0
	ignored   = 1 // zero width: splits nothing, leaves nothing
)

type kind uint8

const (
	word   kind = iota // letters and digits: a word, with character n-grams
	single             // one CJK character, one pictogram, ? or !: a word without them
)

// token is a piece of the normalised text; the bytes before and after it are spaces.
type token struct {
	start, end uint32
	kind       kind
	ascii      bool
}

// newClasses builds the table; it is part of the Extractor, so that nothing global can change.
func newClasses() (t [tableRunes]uint16) {
	for r := rune(0); r < tableRunes; r++ {
		switch {
		case r == 0xad: // soft hyphen
			t[r] = ignored
		case r == '?' || r == '!' || r == '\'':
			t[r] = uint16(r)
		case r == 'ё' || r == 'Ё':
			t[r] = 'е'
		case wordRune(r):
			t[r] = uint16(unicode.ToLower(r))
		}
	}
	return t
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// classify gives the normalised rune and whether it stands alone as a word.
func (x *Extractor) classify(r rune) (out rune, alone bool) {
	if r >= 0xff01 && r <= 0xff5e { // full-width forms of ASCII
		r -= 0xff01 - '!'
	}
	if r < tableRunes {
		out = rune(x.classes[r])
		return out, out == '?' || out == '!'
	}
	switch {
	case ideograph(r):
		return r, true
	case r == 0x2019 || r == 0x02bc: // typographic apostrophes
		return '\'', false
	case zeroWidth(r):
		return ignored, false
	case wordRune(r):
		out = unicode.ToLower(r)
		if out < ' ' { // no such letter is known; a separator is harmless
			return separator, false
		}
		return out, false
	case unicode.Is(unicode.So, r):
		return r, true
	}
	return separator, false
}

// ideograph: one such character is one word, because these scripts put no spaces between words.
func ideograph(r rune) bool {
	return r >= 0x3400 && r <= 0x9fff || r >= 0x3040 && r <= 0x30ff || r == 0x3005 ||
		r >= 0xf900 && r <= 0xfaff || r >= 0x20000 && r <= 0x3ffff || r >= 0xff66 && r <= 0xff9f
}

// zeroWidth: joiners, bidirectional marks and variation selectors.
func zeroWidth(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x2069 ||
		r >= 0xfe00 && r <= 0xfe0f || r == 0xfeff
}

// normalise writes text into x.text (lower case, one space around every word) and lists its tokens.
// Of a text longer than the configured bytes it reads both ends and reports true; half a character
// at a cut is no UTF-8 and separates words like anything else that is none.
func (x *Extractor) normalise(text []byte) (cut bool) {
	x.text = append(x.text[:0], ' ')
	x.tokens = x.tokens[:0]
	if len(text) <= x.config.HeadBytes+x.config.TailBytes {
		x.read(text)
	} else {
		cut = true
		x.read(text[:x.config.HeadBytes])
		x.read(text[len(text)-x.config.TailBytes:])
	}
	x.text = append(x.text, padding[:]...)
	return cut
}

// padding lets 8-byte loads run over the end of the text.
var padding [24]byte

func (x *Extractor) read(text []byte) {
	buf := x.text
	start, ascii := len(buf), true
	for i := 0; i < len(text); {
		var r rune
		var alone bool
		if c := text[i]; c < utf8.RuneSelf {
			class := x.classes[c]
			i++
			if class >= '0' && class != '?' { // a letter or a digit, as nearly all are
				buf = append(buf, byte(class))
				continue
			}
			r, alone = rune(class), c == '?' || c == '!'
		} else {
			var size int
			r, size = utf8.DecodeRune(text[i:])
			i += size
			if r == utf8.RuneError {
				r = separator
			} else {
				r, alone = x.classify(r)
			}
		}
		switch {
		case r == ignored:
		case r == separator:
			buf, start, ascii = x.endWord(buf, start, ascii)
		case alone:
			buf, start, _ = x.endWord(buf, start, ascii)
			buf = utf8.AppendRune(buf, r)
			x.tokens = append(x.tokens, token{uint32(start), uint32(len(buf)), single, r < utf8.RuneSelf})
			buf = append(buf, ' ')
			start, ascii = len(buf), true
		case r == '\'' && len(buf) == start: // an opening quote
		case r < utf8.RuneSelf:
			buf = append(buf, byte(r))
		default:
			buf = utf8.AppendRune(buf, r)
			ascii = false
		}
	}
	x.text, _, _ = x.endWord(buf, start, ascii)
}

// endWord closes the word that began at start, if there is one, and opens the next.
func (x *Extractor) endWord(buf []byte, start int, ascii bool) ([]byte, int, bool) {
	for len(buf) > start && buf[len(buf)-1] == '\'' { // a closing quote
		buf = buf[:len(buf)-1]
	}
	if len(buf) == start {
		return buf, start, true
	}
	x.tokens = append(x.tokens, token{uint32(start), uint32(len(buf)), word, ascii})
	buf = append(buf, ' ')
	return buf, len(buf), true
}
