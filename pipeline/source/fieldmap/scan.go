package fieldmap

import (
	"bytes"
	"encoding/json"
)

// The functions of this file cut JSON that a parser has already accepted into raw spans, so that a
// value reaches the event byte for byte: re-encoding would lose how a number was written and mend a
// lone surrogate that the decoder must see.

// skipSpace returns the position of the first byte at or after i that is no white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the position behind the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// skipValue returns the position behind the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of a bare literal inside its parent
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// depthOf returns the nesting of a document; the top level counts as 1.
func depthOf(b []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
		i++
	}
	return deepest
}

// member is one entry of an object: its key with escapes resolved, its value as written.
type member struct {
	key, value []byte
	inner      []member // of a value that is an object, once somebody asked
	scanned    bool
}

// object returns the members of a value and keeps them; none when it is no object.
func (m *member) object() []member {
	if !m.scanned {
		m.inner, m.scanned = members(m.inner[:0], m.value), true
	}
	return m.inner
}

// members appends the entries of the object b to dst; b that is no object has none. They alias b.
func members(dst []member, b []byte) []member {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return dst
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; {
		end := skipString(b, i)
		key := b[i+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(decode(b[i:end]))
		}
		i = skipSpace(b, skipSpace(b, end)+1) // over the colon
		end = skipValue(b, i)
		dst = append(dst, member{key: key, value: b[i:end]})
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return dst
}

// decode returns what a raw scalar says: a string without quotes and escapes, another literal as it
// is written.
func decode(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return string(raw)
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw[1 : len(raw)-1])
	}
	return s
}

// quote appends s as a JSON string.
func quote(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string that cannot be JSON: " + err.Error())
	}
	return append(dst, quoted...)
}

// absent reports whether a raw value counts as not sent.
func absent(raw []byte) bool {
	return len(raw) == 0 || string(raw) == "null" || string(raw) == `""`
}
