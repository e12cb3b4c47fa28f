package redact

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// What stands in the place of what was masked. None of them holds a digit or '@', so masking twice
// changes nothing.
const (
	MaskEmail = "<email>"
	MaskPhone = "<phone>"
	MaskCard  = "<card>"
	MaskIBAN  = "<iban>"
)

// digitsMin is the fewest digits that anything masked by its digits has.
const digitsMin = 7

// passesMax bounds how often Text looks again at what it has masked: a mask beside a number can
// make it stand free. Two passes are enough for what people write.
const passesMax = 8

// Text appends src to dst with e-mail addresses, telephone numbers, payment card numbers and IBANs
// replaced by their masks. Nearly all texts have neither '@' nor seven digits and are only looked
// through.
func (r *Redactor) Text(dst, src []byte) []byte {
	k := 0 // a pass reads from the other buffer than it writes to
	for range passesMax {
		emails, numbers := false, false
		if bytes.IndexByte(src, '@') >= 0 {
			r.passes[k], emails = maskEmails(r.passes[k][:0], src)
			src, k = r.passes[k], 1-k
		}
		if hasDigits(src) {
			r.passes[k], numbers = maskNumbers(r.passes[k][:0], src)
			src, k = r.passes[k], 1-k
		}
		if !emails && !numbers {
			break
		}
	}
	return append(dst, src...)
}

// suspicious reports whether Text could change src.
func suspicious(src []byte) bool {
	return bytes.IndexByte(src, '@') >= 0 || hasDigits(src)
}

// hasDigits reports whether src has digitsMin ASCII digits, eight bytes at a time: a byte is one
// when its high nibble is 3 and adding 6 to its low nibble does not carry.
func hasDigits(src []byte) bool {
	const low, tops = 0x0f0f0f0f0f0f0f0f, 0x8080808080808080
	n := 0
	for len(src) >= 8 {
		x := binary.LittleEndian.Uint64(src)
		miss := (x&^low ^ 0x3030303030303030) | ((x&low)+0x0606060606060606)&0x1010101010101010
		miss |= (miss &^ tops) + (tops - 0x0101010101010101) // sets the top bit of each non-zero byte
		if n += bits.OnesCount64(^miss & tops); n >= digitsMin {
			return true
		}
		src = src[8:]
	}
	for _, c := range src {
		if isDigit(c) {
			n++
		}
	}
	return n >= digitsMin
}

func isDigit(c byte) bool  { return c-'0' <= 9 }
func isLetter(c byte) bool { return c|0x20-'a' < 26 }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }

// maskEmails appends src to dst with e-mail addresses masked, and tells whether there were any.
func maskEmails(dst, src []byte) (out []byte, masked bool) {
	from := 0
	for at := bytes.IndexByte(src, '@'); at >= 0; {
		start, end := emailAt(src, from, at)
		if end > 0 {
			dst = append(append(dst, src[from:start]...), MaskEmail...)
			from = end
		}
		next := bytes.IndexByte(src[max(at+1, from):], '@')
		if next < 0 {
			break
		}
		at = max(at+1, from) + next
	}
	return append(dst, src[from:]...), from > 0
}

// emailAt finds the address around the '@' at src[at], not before from; end is 0 when there is
// none. A part whose letter at the '@' is ASCII is ASCII as a whole, so that scripts written
// without spaces are not swallowed.
func emailAt(src []byte, from, at int) (start, end int) {
	start = at
	wide := at > from && src[at-1] >= utf8.RuneSelf
	for start > from && isLocal(src[start-1], wide) {
		start--
	}
	for start < at && !isAlnum(src[start]) && src[start] < utf8.RuneSelf && src[start] != '_' {
		start++ // an opening quote or star is no part of it
	}
	if start == at {
		return 0, 0
	}
	return start, domainEnd(src, at+1)
}

func isLocal(c byte, wide bool) bool {
	if c >= utf8.RuneSelf {
		return wide
	}
	return isAlnum(c) || bytes.IndexByte([]byte("._%+-'!#$&*^`{|}~"), c) >= 0
}

// domainEnd is the end of the host name at src[i]: labels joined by dots, the last of two letters
// or more; 0 when there is none.
func domainEnd(src []byte, i int) int {
	wide := i < len(src) && src[i] >= utf8.RuneSelf
	end, label, dots := 0, i, 0
	for ; ; i++ {
		if i < len(src) && (isAlnum(src[i]) || src[i] == '-' || wide && src[i] >= utf8.RuneSelf) {
			continue
		}
		if i == label {
			break
		}
		if dots > 0 && i-label >= 2 && !isDigit(src[label]) {
			end = i
		}
		if i >= len(src) || src[i] != '.' {
			break
		}
		dots++
		label = i + 1
	}
	return end
}
