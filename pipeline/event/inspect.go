package event

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// What the look before parsing found. fastjson keeps escapes it does not know, lone surrogates and
// raw control characters as they are, so they are found, and mended, before it sees the document.
type findings struct {
	escapes bool // some backslash: an id may hold an escaped control character
	mend    bool // something must be replaced before parsing
	badAt   int  // byte of an escape that JSON does not have, or -1
}

// inspect looks at a document in a few vectorised passes; a clean one (nearly all) costs no walk
// byte by byte.
func inspect(s []byte) findings {
	f := findings{badAt: -1}
	control, high := scanBytes(s)
	f.mend = control
	if high && (!utf8.Valid(s) || hasC1(s)) {
		f.mend = true
	}
	for i := bytes.IndexByte(s, '\\'); i >= 0; {
		f.escapes = true
		n, special := escapeAt(s, i)
		if n == 0 {
			f.badAt = i
			return f
		}
		f.mend = f.mend || special
		next := bytes.IndexByte(s[i+n:], '\\')
		if next < 0 {
			break
		}
		i += n + next
	}
	return f
}

// scanBytes reports whether s has a byte below 0x20 or 0x7f, and whether it has one above 0x7f;
// eight bytes at a time (the "hasless" and "haszero" tests of Anderson's Bit Twiddling Hacks,
// exact for the question whether there is any).
func scanBytes(s []byte) (control, high bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	var ctl, hi uint64
	for len(s) >= 32 { // four at a time, independent of each other
		a, b := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:16])
		c, d := binary.LittleEndian.Uint64(s[16:24]), binary.LittleEndian.Uint64(s[24:32])
		ae, be, ce, de := a^ones*0x7f, b^ones*0x7f, c^ones*0x7f, d^ones*0x7f
		ctl |= (a-ones*0x20)&^a | (ae-ones)&^ae | (b-ones*0x20)&^b | (be-ones)&^be
		ctl |= (c-ones*0x20)&^c | (ce-ones)&^ce | (d-ones*0x20)&^d | (de-ones)&^de
		hi |= a | b | c | d
		s = s[32:]
	}
	for len(s) >= 8 {
		x := binary.LittleEndian.Uint64(s)
		del := x ^ ones*0x7f
		ctl |= (x-ones*0x20)&^x | (del-ones)&^del
		hi |= x
		s = s[8:]
	}
	control, high = ctl&tops != 0, hi&tops != 0
	for _, c := range s {
		control = control || c < 0x20 || c == 0x7f
		high = high || c >= 0x80
	}
	return control, high
}

// hasC1 reports whether s, valid UTF-8, holds a control character of U+0080 to U+009F.
func hasC1(s []byte) bool {
	for {
		i := bytes.IndexByte(s, 0xc2)
		if i < 0 || i+1 >= len(s) {
			return false
		}
		if s[i+1] < 0xa0 {
			return true
		}
		s = s[i+2:]
	}
}

// escapeAt measures the escape at s[i]: its length, a valid surrogate pair being one of 12 bytes,
// or 0 when JSON has no such escape. special means that it stands for something text may not hold:
// a lone surrogate, or a control character other than line feed, carriage return and tab.
func escapeAt(s []byte, i int) (n int, special bool) {
	if i+1 >= len(s) {
		return 0, false
	}
	switch s[i+1] {
	case '"', '\\', '/', 'n', 'r', 't':
		return 2, false
	case 'b', 'f':
		return 2, true
	case 'u':
	default:
		return 0, false
	}
	r, ok := hex4(s, i+2)
	if !ok {
		return 0, false
	}
	switch {
	case r < 0xd800 || r > 0xdfff:
		return 6, isControl(r) && r != '\n' && r != '\r' && r != '\t'
	case r < 0xdc00 && i+7 < len(s) && s[i+6] == '\\' && s[i+7] == 'u':
		if low, ok := hex4(s, i+8); ok && low >= 0xdc00 && low <= 0xdfff {
			return 12, false
		}
	}
	return 6, true
}

// hex4 reads four hexadecimal digits at s[i].
func hex4(s []byte, i int) (r rune, ok bool) {
	if i+4 > len(s) {
		return 0, false
	}
	for _, c := range s[i : i+4] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// isControl is Unicode's category Cc.
func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// hasControl reports whether the valid UTF-8 of s holds a control character.
func hasControl(s []byte) bool {
	control, high := scanBytes(s)
	return control || high && hasC1(s)
}

const replacement = "\uFFFD"

// mend appends s to dst with everything that no text may hold replaced by U+FFFD: invalid UTF-8,
// raw control characters inside strings, lone surrogates and escaped control characters. Escapes
// have been checked. replaced tells an id's reader to look for U+FFFD.
func mend(dst, s []byte) (out []byte, replaced bool) {
	inString := false
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"':
			inString = !inString
		case c == '\\': // outside a string it is a syntax error whatever follows
			n, special := escapeAt(s, i)
			if special {
				dst, replaced = append(dst, replacement...), true
			} else {
				dst = append(dst, s[i:i+n]...)
			}
			i += n
			continue
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && n == 1 || isControl(r) && inString {
				dst, replaced = append(dst, replacement...), true
			} else {
				dst = append(dst, s[i:i+n]...)
			}
			i += n
			continue
		case inString && (c < 0x20 || c == 0x7f):
			dst, replaced = append(dst, replacement...), true
			i++
			continue
		}
		dst = append(dst, c)
		i++
	}
	return dst, replaced
}

// tooDeep reports whether containers nest beyond limit; brackets inside strings do not count.
func tooDeep(s []byte, limit int) bool {
	if bytes.Count(s, []byte{'{'})+bytes.Count(s, []byte{'['}) <= limit {
		return false // not enough of them, wherever they are
	}
	depth, inString := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
