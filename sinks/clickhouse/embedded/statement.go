package embedded

import "strings"

// insertHead is an INSERT whose data follows in a named format.
type insertHead struct {
	sql    string // the statement without its FORMAT clause
	format string
	data   int // offset in the text at which inline data begins
}

// parseInsert recognises an INSERT with a FORMAT clause. Everything else, INSERT … SELECT and
// INSERT … VALUES among it, goes to the engine as text.
func parseInsert(text string) (insertHead, bool) {
	s := scanner{text: text}
	first, _ := s.word()
	if !strings.EqualFold(first, "INSERT") {
		return insertHead{}, false
	}
	before := first
	for {
		w, at := s.word()
		if w == "" {
			return insertHead{}, false
		}
		// A table may be called format: what follows INTO, TABLE, FUNCTION or a dot is a name.
		name := before == "." || oneOf(before, "INTO", "TABLE", "FUNCTION") && !oneOf(w, "TABLE",
			"FUNCTION")
		before = w
		switch {
		case name:
		case oneOf(w, "SELECT", "VALUES", "WITH", "WATCH", "INFILE"):
			return insertHead{}, false
		case oneOf(w, "FORMAT"):
			format, _ := s.word()
			return insertHead{sql: strings.TrimSpace(text[:at]), format: format,
				data: s.dataStart()}, format != ""
		}
	}
}

func oneOf(w string, words ...string) bool {
	for _, o := range words {
		if strings.EqualFold(w, o) {
			return true
		}
	}
	return false
}

// formatOf returns the format that a statement's own FORMAT clause names, or "". The clause is the
// last of a statement, or the last but SETTINGS.
func formatOf(text string) string {
	s := scanner{text: text}
	for {
		w, _ := s.word()
		if w == "" {
			return ""
		}
		if !oneOf(w, "FORMAT") {
			continue
		}
		format, _ := s.word()
		after := s
		if next, _ := after.word(); next == "" || oneOf(next, "SETTINGS") {
			return format
		}
	}
}

// scanner walks over the words of a statement that lie outside of parentheses and comments. A
// quoted name or string, quotes included, is a word, and a full stop is one.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) word() (w string, at int) {
	depth := 0
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		switch {
		case s.skipComment():
		case c == '\'' || c == '"' || c == '`':
			at = s.pos
			if s.skipQuoted(c); depth <= 0 {
				return s.text[at:s.pos], at
			}
		case c == '(':
			depth++
			s.pos++
		case c == ')':
			depth--
			s.pos++
		case isWordByte(c):
			at = s.pos
			for s.pos < len(s.text) && isWordByte(s.text[s.pos]) {
				s.pos++
			}
			if depth <= 0 {
				return s.text[at:s.pos], at
			}
		case c == '.' && depth <= 0:
			s.pos++
			return ".", s.pos - 1
		default:
			s.pos++
		}
	}
	return "", len(s.text)
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
		c >= 0x80
}

func (s *scanner) skipComment() bool {
	rest := s.text[s.pos:]
	end := ""
	switch {
	case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "#!"), strings.HasPrefix(rest,
		"# "):
		end = "\n"
	case strings.HasPrefix(rest, "/*"):
		end = "*/"
	default:
		return false
	}
	if i := strings.Index(rest, end); i >= 0 {
		s.pos += i + len(end)
	} else {
		s.pos = len(s.text)
	}
	return true
}

func (s *scanner) skipQuoted(q byte) {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch s.text[s.pos] {
		case '\\':
			s.pos++
		case q:
			s.pos++
			return // a doubled quote begins the next quoted run
		}
	}
	s.pos = len(s.text)
}

// dataStart is where inline data begins after the format's name: after one line end, spaces before
// it left out.
func (s *scanner) dataStart() int {
	i := s.pos
	for i < len(s.text) && (s.text[i] == ' ' || s.text[i] == '\t' || s.text[i] == '\r') {
		i++
	}
	if i < len(s.text) && (s.text[i] == '\n' || s.text[i] == ';') {
		return i + 1
	}
	return i
}
