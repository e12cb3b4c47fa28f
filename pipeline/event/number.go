package event

// The spellings of a number.
const (
	notNumber = iota
	integerNumber
	fractionNumber // has a fraction or an exponent
)

// numberClass holds s to the number grammar of RFC 8259 section 6.
func numberClass(s []byte) int {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	n := digitRun(s)
	if n == 0 || n > 1 && s[0] == '0' {
		return notNumber
	}
	class := integerNumber
	s = s[n:]
	if len(s) > 0 && s[0] == '.' {
		n = digitRun(s[1:])
		if n == 0 {
			return notNumber
		}
		class = fractionNumber
		s = s[1+n:]
	}
	if len(s) > 0 && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n = digitRun(s)
		if n == 0 {
			return notNumber
		}
		class = fractionNumber
		s = s[n:]
	}
	if len(s) > 0 {
		return notNumber
	}
	return class
}

// digitRun counts the digits at the start of s.
func digitRun(s []byte) int {
	n := 0
	for n < len(s) && s[n]-'0' <= 9 {
		n++
	}
	return n
}

// parseInt reads a JSON integer; false when s is no integer or does not fit 64 bits.
func parseInt(s []byte) (n int64, ok bool) {
	digits, negative := s, false
	if len(s) > 0 && s[0] == '-' {
		digits, negative = s[1:], true
	}
	if len(digits) == 0 || len(digits) > len("9223372036854775808") {
		return 0, false
	}
	var u uint64 // 19 digits fit
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	if negative {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u < 1<<63
}
