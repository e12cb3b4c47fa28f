package redact

// A run is a sequence of groups of digits with short separators between: a telephone number, a
// card number, a date, or several of them one after another.
type run struct {
	src    []byte
	groups [groupsMax]group
	n      int
}

const groupsMax = 24

// group is src[start:end], all digits; sep is what lies before it in its run.
type group struct {
	start, end int
	sep        byte // 0 for the first, else one of ' ', '-', '.', '/', '('
	date       bool // its chunk is a date
}

func (g *group) len() int { return g.end - g.start }

// maskNumbers appends src to dst with cards, IBANs and telephone numbers masked, and tells whether
// there were any.
func maskNumbers(dst, src []byte) (out []byte, masked bool) {
	var r run
	from := 0
	for i := 0; i < len(src); {
		if !isDigit(src[i]) {
			i++
			continue
		}
		r.read(src, i)
		i = r.groups[r.n-1].end
		for g := 0; g < r.n; {
			start, end, next, mask := r.match(g, from)
			if mask == "" {
				g++
				continue
			}
			dst = append(append(dst, src[from:start]...), mask...)
			from, g = end, next
			i = max(i, end)
		}
	}
	return append(dst, src[from:]...), from > 0
}

// match looks for something to mask that begins with group g: src[start:end], and the first group
// after it.
func (r *run) match(g, from int) (start, end, next int, mask string) {
	if start, end = ibanAt(r.src, r.groups[g].start); end > 0 && start >= from {
		for next = g; next < r.n && r.groups[next].start < end; next++ {
		}
		return start, end, next, MaskIBAN
	}
	start, next = r.phone(g)
	_, plus := prefix(r.src, r.groups[g].start)
	if card := r.card(g); card > 0 && (next == 0 || !plus) {
		return r.groups[g].start, r.groups[card-1].end, card, MaskCard
	}
	if next > 0 && start >= from {
		return start, r.groups[next-1].end, next, MaskPhone
	}
	return 0, 0, 0, ""
}

// read collects the run that begins at src[i], a digit. A group with a ':' and a digit after it is
// an hour, and one after such is a minute: they end the run.
func (r *run) read(src []byte, i int) {
	r.src, r.n = src, 0
	sep := byte(0)
	for r.n < groupsMax {
		g := group{start: i, sep: sep}
		for i < len(src) && isDigit(src[i]) {
			i++
		}
		g.end = i
		clock := i+1 < len(src) && src[i] == ':' && isDigit(src[i+1])
		if clock && r.n > 0 {
			break
		}
		r.groups[r.n] = g
		r.n++
		next, s := separator(src, i)
		if clock || next == i || next >= len(src) || !isDigit(src[next]) {
			break
		}
		i, sep = next, s
	}
	r.markDates()
}

// separatorBytes is the longest separator inside a number: ") - ".
const separatorBytes = 4

// separator is what may lie between two groups at src[i]; next is i when nothing does. One with a
// space counts as a space, whatever dash is in it; a full stop or slash with a space ends the run.
func separator(src []byte, i int) (next int, kind byte) {
	space, mark := false, byte(0)
	for next = i; next < len(src) && next-i < separatorBytes; {
		n, c := separatorAt(src[next:])
		switch {
		case n == 0:
			return next, joined(space, mark)
		case c == ' ':
			space = true
		case mark != 0 && mark != '(' && c != '(':
			return i, 0 // two of them: "1...2", "1--2"
		case mark != '(':
			mark = c
		}
		if space && (mark == '.' || mark == '/') {
			return i, 0
		}
		next += n
	}
	return next, joined(space, mark)
}

// joined is the kind of a separator with these parts; 0 only for an empty one.
func joined(space bool, mark byte) byte {
	if space && mark != '(' {
		return ' '
	}
	return mark
}

// separatorAt is the separator character that s begins with: its length and its plain form, ')'
// being '(' and every dash '-'.
func separatorAt(s []byte) (n int, c byte) {
	switch {
	case s[0] == ' ', s[0] == '-', s[0] == '.', s[0] == '/', s[0] == '(':
		return 1, s[0]
	case s[0] == ')':
		return 1, '('
	case s[0] == 0xc2 && len(s) > 1 && s[1] == 0xa0: // no-break space
		return 2, ' '
	case isDash(s): // U+2010 to U+2015
		return 3, '-'
	}
	return 0, 0
}

func isDash(s []byte) bool {
	return len(s) >= 3 && s[0] == 0xe2 && s[1] == 0x80 && s[2] >= 0x90 && s[2] <= 0x95
}

// markDates marks the groups of each chunk (what holds together without a space) that is a date.
func (r *run) markDates() {
	for a := 0; a < r.n; {
		b := a + 1
		for b < r.n && r.groups[b].sep != ' ' && r.groups[b].sep != '(' {
			b++
		}
		if isDate(r.src, r.groups[a:b]) {
			for i := a; i < b; i++ {
				r.groups[i].date = true
			}
		}
		a = b
	}
}

// isDate reports 2026-11-02, 02.11.2026, 2/11/26 and the like, in any order of day and month.
func isDate(src []byte, gs []group) bool {
	if len(gs) != 3 {
		return false
	}
	a, b, c := number(src, &gs[0]), number(src, &gs[1]), number(src, &gs[2])
	la, lb, lc := gs[0].len(), gs[1].len(), gs[2].len()
	switch {
	case la == 4 && lb <= 2 && lc <= 2:
		return isYear(a) && isDayMonth(b, c)
	case la <= 2 && lb <= 2 && lc == 4:
		return isYear(c) && isDayMonth(a, b)
	case la <= 2 && lb <= 2 && lc == 2:
		return isDayMonth(a, b)
	}
	return false
}

func isYear(n int) bool { return n >= 1900 && n < 2100 }

func isDayMonth(a, b int) bool {
	return a >= 1 && b >= 1 && (a <= 12 && b <= 31 || a <= 31 && b <= 12)
}

// number is a short group's value.
func number(src []byte, g *group) int {
	n := 0
	for _, c := range src[g.start:min(g.end, g.start+9)] {
		n = n*10 + int(c-'0')
	}
	return n
}

// card reports the group after the payment card number that begins with group g, 0 when none does.
// It may be written in one piece, or in groups of at least three digits (four, with dots) that are
// a whole chunk or several: no piece of a number joined by dashes.
func (r *run) card(g int) (next int) {
	var digits [cardDigitsMax]byte
	n := 0
	for h := g; h < r.n; h++ {
		gr := &r.groups[h]
		if n+gr.len() > cardDigitsMax || h > g && !gr.ofCard() {
			break
		}
		n += copy(digits[n:], r.src[gr.start:gr.end])
		apart := (g == 0 || r.groups[g].sep != '-') && (h+1 == r.n || r.groups[h+1].sep != '-')
		inWord := gr.end < len(r.src) && isLetter(r.src[gr.end])
		if n >= cardDigitsMin && !inWord && (h == g || apart) && isCard(digits[:n]) {
			next = h + 1
		}
	}
	return next
}

// ofCard reports whether a group can continue a card number.
func (g *group) ofCard() bool {
	switch g.sep {
	case ' ', '-':
		return g.len() >= 3
	case '.':
		return g.len() == 4
	}
	return false
}

// Lengths of payment card numbers, ISO/IEC 7812-1 with Maestro's short ones.
const (
	cardDigitsMin = 12
	cardDigitsMax = 19
)

// isCard holds digits to the issuers' prefixes and lengths, and to the check digit (ISO/IEC 7812-1
// annex B, known as Luhn).
func isCard(digits []byte) bool {
	return issuerLength(digits) && luhn(digits)
}

func issuerLength(d []byte) bool {
	n := len(d)
	two := int(d[0]-'0')*10 + int(d[1]-'0')
	four := two*100 + int(d[2]-'0')*10 + int(d[3]-'0')
	switch {
	case d[0] == '4':
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, two >= 22 && two <= 27 && four >= 2221 && four <= 2720:
		return n == 16
	case four >= 2200 && four <= 2204: // Mir
		return n >= 16
	case two == 34 || two == 37:
		return n == 15
	case two == 30 || two == 36 || two == 38 || two == 39: // Diners
		return n >= 14
	case two == 35: // JCB
		return n >= 16
	case four == 2131 || four == 1800: // JCB's older ones
		return n == 15
	case two == 81 || two == 82 || four == 9792: // RuPay, Troy
		return n == 16
	}
	return d[0] == '6' || two == 50 || two >= 56 && two <= 59 // Maestro, UnionPay, Discover
}

func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		n := int(digits[len(digits)-1-i] - '0')
		if i&1 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// Lengths of an IBAN, ISO 13616.
const (
	ibanMin = 15
	ibanMax = 34
)

// ibanAt finds the IBAN whose check digits are at src[i]: two letters before, letters and digits
// after, in one piece or in groups of four; end is 0 when there is none. The longest piece that
// passes modulo 97 and ends at a border is taken.
func ibanAt(src []byte, i int) (start, end int) {
	start = i - 2
	if start < 0 || i+1 >= len(src) || !isLetter(src[start]) || !isLetter(src[i-1]) ||
		!isDigit(src[i+1]) || start > 0 && isAlnum(src[start-1]) {
		return 0, 0
	}
	head, body := 0, 0
	for _, c := range src[start : i+2] {
		head = ibanDigit(head, c)
	}
	n := 4
	for j := i + 2; j < len(src) && n < ibanMax; j++ {
		if src[j] == ' ' && src[j-1] != ' ' && n%4 == 0 {
			continue
		}
		if !isAlnum(src[j]) {
			break
		}
		body = ibanDigit(body, src[j]) % 97
		n++
		border := j+1 == len(src) || !isAlnum(src[j+1])
		// The head moves behind the body: two letters of two digits and two check digits.
		if n >= ibanMin && border && (body*1_000_000+head)%97 == 1 {
			end = j + 1
		}
	}
	return start, end
}

// ibanDigit appends c to the number n as ISO 13616 reads it: A is 10.
func ibanDigit(n int, c byte) int {
	if isDigit(c) {
		return n*10 + int(c-'0')
	}
	return n*100 + int(c|0x20-'a') + 10
}
