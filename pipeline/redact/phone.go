package redact

import (
	"unicode"
	"unicode/utf8"
)

// Digits of a telephone number: ITU-T E.164 allows 15 with the country code; national numbers of
// fewer than 7 are not told from other numbers.
const (
	phoneDigitsMin    = 7
	phoneDigitsMax    = 15
	nationalDigitsMax = 13
)

// phone looks for a telephone number that begins with group g: where it begins, with its '+' or
// '(', and the group after its last; next is 0 when there is none.
func (r *run) phone(g int) (start, next int) {
	if g > 0 && r.groups[g].sep != ' ' && r.groups[g].sep != '(' {
		return 0, 0 // in the middle of something
	}
	start = r.groups[g].start
	start, plus := prefix(r.src, start)
	if !plus && !r.openLeft(start) || plus && start > 0 && isDigit(r.src[start-1]) {
		return 0, 0
	}
	digits := 0
	for h := g; h < r.n; h++ {
		if !plus && r.groups[h].date {
			break
		}
		if digits += r.groups[h].len(); digits > phoneDigitsMax {
			break
		}
		whole := h+1 == r.n || r.groups[h+1].sep == ' ' || r.groups[h+1].sep == '('
		if whole && digits >= phoneDigitsMin && r.openRight(h, plus) && r.shape(g, h+1, digits, plus) {
			next = h + 1
		}
	}
	return start, next
}

// prefix walks from the first digit back over "(" and "+".
func prefix(src []byte, start int) (at int, plus bool) {
	at = start
	if at > 0 && src[at-1] == '(' {
		at--
	}
	if at > 0 && src[at-1] == '+' {
		return at - 1, true
	}
	if at > 1 && src[at-1] == ' ' && src[at-2] == '+' {
		return at - 2, true
	}
	return at, false
}

// openLeft reports whether a number may begin at src[start]: not inside a word, a code, a path or a
// fraction, not after a currency sign, and not after a word that announces another kind of number.
func (r *run) openLeft(start int) bool {
	if start == 0 {
		return true
	}
	i := start
	before, n := utf8.DecodeLastRune(r.src[:i])
	switch before {
	case '/', '=', '_', '#', '@', '&', '\\':
		return false
	case '-', '.', ',', ':':
		if inner, _ := utf8.DecodeLastRune(r.src[:i-n]); before != ':' && isWord(inner) &&
			inner < utf8.RuneSelf || before == ':' && unicode.IsDigit(inner) {
			return false
		}
	}
	if before < utf8.RuneSelf && isAlnum(byte(before)) {
		return false
	}
	for i > 0 && r.src[i-1] == ' ' {
		i--
	}
	if before, _ = utf8.DecodeLastRune(r.src[:i]); unicode.Is(unicode.Sc, before) ||
		before == '№' || before == '#' {
		return false
	}
	return !wordBefore(r.src, i, otherNumbers[:]) && !wordBefore(r.src, i, currencies[:])
}

// openRight reports whether a number may end with group h: not inside a word or a fraction, and not
// before a unit.
func (r *run) openRight(h int, plus bool) bool {
	rest := r.src[r.groups[h].end:]
	if plus || len(rest) == 0 {
		return true
	}
	if isLetter(rest[0]) || rest[0] == '_' || rest[0] == '@' {
		return false
	}
	if len(rest) > 1 && (rest[0] == ',' || rest[0] == ':' || rest[0] == '.') && isDigit(rest[1]) {
		return false
	}
	for len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	if after, _ := utf8.DecodeRune(rest); unicode.Is(unicode.Sc, after) || after == '%' {
		return false
	}
	return !wordAfter(rest, currencies[:])
}

// shape reports whether groups g to next-1 are grouped as telephone numbers are.
func (r *run) shape(g, next, digits int, plus bool) bool {
	gs := r.groups[g:next]
	first := r.src[gs[0].start:gs[0].end]
	if plus {
		return true
	}
	if len(first) > 2 && first[0] == '0' && first[1] == '0' && digits >= 10 {
		return true // the international prefix of most countries
	}
	if digits > nationalDigitsMax {
		return false
	}
	if len(gs) == 1 {
		return contiguous(r.src, &gs[0])
	}
	for i := range gs {
		if gs[i].len() == 1 && (i > 0 || digits < 10) {
			return false
		}
	}
	return r.grouped(gs, digits)
}

// contiguous judges a number without any separator by its length and first digits. Numbers of other
// kinds have these lengths too: unix seconds begin with 1, dates are told by their value.
func contiguous(src []byte, g *group) bool {
	d := src[g.start:g.end]
	rest := group{start: g.start + 1, end: g.end}
	if sameDigits(src, &rest) {
		return false // 20000000
	}
	switch len(d) {
	case 8:
		return d[0] >= '2' && !compactDate(src, g)
	case 9:
		return d[0] == '0' || d[0] >= '2'
	case 10:
		return d[0] != '1'
	case 11:
		return d[0] != '1' || d[1] >= '2'
	case 12:
		return d[0] != '1'
	case 13:
		return d[0] == '8' && d[1] == '6' && d[2] == '1' // China; others are article numbers
	}
	return false
}

func sameDigits(src []byte, g *group) bool {
	for _, c := range src[g.start:g.end] {
		if c != src[g.start] {
			return false
		}
	}
	return true
}

// compactDate reports 20261102 and 02112026.
func compactDate(src []byte, g *group) bool {
	n := number(src, g)
	return isYear(n/10000) && isDayMonth(n/100%100, n%100) ||
		isYear(n%10000) && isDayMonth(n/1000000, n/10000%100)
}

// grouped judges two groups or more, none of them of one digit but perhaps the first.
func (r *run) grouped(gs []group, digits int) bool {
	last := &gs[len(gs)-1]
	kind := byte(' ')
	for i := 1; i < len(gs); i++ {
		switch s := gs[i].sep; {
		case s == '(' || r.src[gs[i].start-1] == '(':
			kind = '('
		case kind == ' ' || s == '.' || s == '/':
			kind = s
		}
	}
	switch {
	case r.parenthesised(gs):
		return gs[0].len() <= 5 && last.len() >= 2
	case kind == '(':
		return false
	case kind == '.':
		return dotted(gs)
	case kind == '/':
		return len(gs) == 2 && r.src[gs[0].start] == '0' && gs[0].len() >= 3 && last.len() >= 5
	case isDate(r.src, gs) || r.allYears(gs):
		return false
	case digits == phoneDigitsMin:
		return lengths(gs, 3, 4) || lengths(gs, 3, 2, 2)
	case len(gs) == 2:
		return gs[0].len() >= 2 && gs[0].len() <= 5 && last.len() >= 4 && !lengths(gs, 5, 4) &&
			!r.round(last)
	case r.thousands(gs):
		return gs[0].len() >= 2 && !r.round(last)
	}
	return gs[0].len() <= 5
}

// parenthesised reports whether one of the first two groups, the area code, is in brackets.
func (r *run) parenthesised(gs []group) bool {
	for i := range gs[:2] {
		g := &gs[i]
		if g.start > 0 && r.src[g.start-1] == '(' && g.end < len(r.src) && r.src[g.end] == ')' {
			return !isYear(number(r.src, g))
		}
	}
	return false
}

// dotted reports 01.84.17.61.18 and 905.674.3793; versions, amounts and addresses have other
// lengths.
func dotted(gs []group) bool {
	if lengths(gs, 3, 3, 4) || lengths(gs, 3, 4) {
		return true
	}
	for i := range gs {
		if gs[i].len() != 2 {
			return false
		}
	}
	return len(gs) >= 4
}

// thousands reports whether the groups look like an amount: 12 345 678.
func (r *run) thousands(gs []group) bool {
	for i := range gs {
		if i > 0 && (gs[i].len() != 3 || gs[i].sep != ' ') {
			return false
		}
	}
	return gs[0].len() <= 3
}

// round reports a group of zeros only.
func (r *run) round(g *group) bool {
	return r.src[g.end-1] == '0' && sameDigits(r.src, g)
}

func (r *run) allYears(gs []group) bool {
	for i := range gs {
		if gs[i].len() != 4 || !isYear(number(r.src, &gs[i])) {
			return false
		}
	}
	return true
}

// lengths reports whether the groups have just these lengths.
func lengths(gs []group, want ...int) bool {
	if len(gs) != len(want) {
		return false
	}
	for i := range gs {
		if gs[i].len() != want[i] {
			return false
		}
	}
	return true
}
