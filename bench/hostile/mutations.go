package hostile

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// mutation is one kind of damage. apply owns b and may return other memory.
type mutation struct {
	name  string
	apply func(m *Mutator, b []byte) []byte
}

// mutations, some of them twice because they reach further.
var mutations = []mutation{
	{"bits flipped", flip}, {"bits flipped", flip},
	{"cut", cut}, {"spliced", splice}, {"run removed", remove}, {"run repeated", repeat},
	{"piece put in", insert}, {"piece put in", insert},
	{"number", number}, {"number", number},
	{"string", text}, {"string", text}, {"string", text},
	{"key twice", twice}, {"key renamed", rename}, {"type changed", retype},
	{"id", hostileID}, {"id", hostileID},
	{"time", hostileTime},
	{"second document", trail}, {"nested", nested}, {"noise", noise},
}

// pieces are put into texts, ids, headers and between tokens: escapes, broken UTF-8, look-alikes,
// other languages' syntax.
var pieces = []string{
	"", `\u0000`, `\ud800`, `\udfff\ud800`, `\ud83d\ude00`, `\u0`, `\x41`, `\`, `\"`, `"`, `\\"`, `'`,
	"\x00", "\x1f", "\x7f", "\n", "\r\n", "\u0085", "\u2028", "\u202e", "\u200b", "\ufeff", "\ufffe",
	"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf0\x9f", "é", "e\u0301",
	"{", "}", "[", "]", ":", ",", "null", "true", "NaN", "Infinity", "-", "1e", "/*", "//", "#",
	"'); DROP TABLE events; --", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "../../etc/passwd", "%00%n%s",
	"<script>alert(1)</script>", "=cmd|' /C calc'!A0", "+371 26 123 456", "someone@example.com",
	"4111 1111 1111 1111", "default", "c-42", "__proto__", "constructor", "ﷺ", "𝕳𝖊𝖑𝖑𝖔", "\U0010ffff",
}

var numbers = []string{
	"0", "-0", "-1", "1", "2", "007", "+1", "1.", ".5", "1e", "1e5", "1E+400", "-1e-400", "0x10", "NaN", "-inf",
	"1.0", "0.1", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
	"18446744073709551616", "99999999999999999999999999", "1793181662", "1793181662345",
	"1793181662345000", "1793181662345000000", "253402300800000", "-62135596800000", "1_000", "1 2",
	"١٢٣", "１２３", "true", "null", `"1"`, "[1]", "{}", "2147483648", "4294967296", "3.4e38", "1e308",
}

var times = []string{
	`"2026-11-02T10:00:00Z"`, `"2026-11-02T10:00:60Z"`, `"2026-02-30T10:00:00Z"`, `"2026-11-02"`,
	`"2026-11-02T10:00:00"`, `"2026-11-02T10:00:00+25:00"`, `"0000-00-00T00:00:00Z"`,
	`"9999-12-31T23:59:59.999999999Z"`, `"-0001-01-01T00:00:00Z"`, `"1999-12-31T23:59:59.999Z"`,
	`"2026-11-02t10:00:00z"`, `"2026-11-02 10:00:00Z"`, `" 2026-11-02T10:00:00Z"`, `""`,
	`"2026-11-02T10:00:00.123456789123456789Z"`, `"２０２６-11-02T10:00:00Z"`, `"now"`,
}

// fields are keys that the schema reads.
var fields = []string{
	"v", "id", "type", "time", "conversation_id", "actor", "kind", "tenant", "seq", "channel", "lang",
	"message", "text", "customer_id", "attrs", "csat", "score", "outcome", "value", "currency", "to",
	"reason", "from", "queue", "label", "target", "template_id", "kb_ids", "confidence", "close",
}

func flip(m *Mutator, b []byte) []byte {
	for range 1 + m.r.IntN(8) {
		if len(b) > 0 {
			b[m.r.IntN(len(b))] ^= 1 << m.r.IntN(8)
		}
	}
	return b
}

func cut(m *Mutator, b []byte) []byte { return b[:m.r.IntN(len(b)+1)] }

// splice ends one record with the end of another.
func splice(m *Mutator, b []byte) []byte {
	other := m.corpus[m.r.IntN(len(m.corpus))]
	return append(b[:m.r.IntN(len(b)+1)], other[m.r.IntN(len(other)+1):]...)
}

func (m *Mutator) run(b []byte) (from, to int) {
	from = m.r.IntN(len(b) + 1)
	return from, from + m.r.IntN(min(len(b)-from, 64)+1)
}

func remove(m *Mutator, b []byte) []byte {
	from, to := m.run(b)
	return slices.Delete(b, from, to)
}

func repeat(m *Mutator, b []byte) []byte {
	from, to := m.run(b)
	return slices.Insert(b, to, bytes.Repeat(b[from:to], 1+m.r.IntN(4))...)
}

func insert(m *Mutator, b []byte) []byte {
	return slices.Insert(b, m.r.IntN(len(b)+1), []byte(pieces[m.r.IntN(len(pieces))])...)
}

// at finds a token that begins with one of set, from a random place on.
func (m *Mutator) at(b []byte, set string) int {
	if len(b) == 0 {
		return -1
	}
	start := m.r.IntN(len(b))
	if i := bytes.IndexAny(b[start:], set); i >= 0 {
		return start + i
	}
	return bytes.IndexAny(b, set)
}

// number replaces a number by one that parsers disagree on.
func number(m *Mutator, b []byte) []byte {
	from := m.at(b, "0123456789")
	if from < 0 {
		return b
	}
	to := from
	for to < len(b) && strings.IndexByte("0123456789.eE+-", b[to]) >= 0 {
		to++
	}
	return slices.Replace(b, from, to, []byte(numbers[m.r.IntN(len(numbers))])...)
}

// text puts a piece into a string, or replaces it.
func text(m *Mutator, b []byte) []byte {
	from := m.at(b, `"`)
	if from < 0 {
		return b
	}
	piece := []byte(pieces[m.r.IntN(len(pieces))])
	end := bytes.IndexByte(b[from+1:], '"')
	if end < 0 || m.r.IntN(2) == 0 {
		return slices.Insert(b, from+1, piece...)
	}
	return slices.Replace(b, from+1, from+1+end, piece...)
}

// value finds the value of a schema key, as a range of b.
func (m *Mutator) value(b []byte, key string) (from, to int) {
	i := bytes.Index(b, []byte(`"`+key+`":`))
	if i < 0 {
		return -1, -1
	}
	from = i + len(key) + 3
	to = from
	quoted := false
	for ; to < len(b); to++ {
		if b[to] == '"' {
			quoted = !quoted
		} else if !quoted && (b[to] == ',' || b[to] == '}') {
			break
		}
	}
	return from, to
}

func (m *Mutator) setValue(b []byte, key, value string) []byte {
	from, to := m.value(b, key)
	if from < 0 {
		return b
	}
	return slices.Replace(b, from, to, []byte(value)...)
}

func (m *Mutator) field() string { return fields[m.r.IntN(len(fields))] }

// twice repeats a member, plainly or with its key escaped.
func twice(m *Mutator, b []byte) []byte {
	key := m.field()
	at := bytes.IndexByte(b, '{')
	if at < 0 {
		return b
	}
	name := key
	if m.r.IntN(2) == 0 {
		name = `\u00` + strconv.FormatInt(int64(key[0]), 16) + key[1:]
	}
	return slices.Insert(b, at+1, []byte(`"`+name+`":`+numbers[m.r.IntN(len(numbers))]+`,`)...)
}

func rename(m *Mutator, b []byte) []byte {
	return bytes.Replace(b, []byte(`"`+m.field()+`":`), []byte(`"`+m.field()+`":`), 1)
}

func retype(m *Mutator, b []byte) []byte {
	other := []string{
		"null", "true", "[]", "{}", "0", `""`, `"x"`, "[[]]", `{"a":1}`, `["a",null,{}]`, "1.5", "-1",
	}
	return m.setValue(b, m.field(), other[m.r.IntN(len(other))])
}

// hostileID gives an id field a length at the limit, or something that is none.
func hostileID(m *Mutator, b []byte) []byte {
	names := []string{
		"id", "conversation_id", "customer_id", "tenant", "channel", "lang", "queue", "team", "region",
	}
	id := pieces[m.r.IntN(len(pieces))]
	switch m.r.IntN(3) {
	case 0:
		id = strings.Repeat("i", 127+m.r.IntN(3))
	case 1: // 126 to 130 bytes, of which the last cut a letter in two
		id = strings.Repeat("я", 63) + strings.Repeat("z", m.r.IntN(5))
	}
	return m.setValue(b, names[m.r.IntN(len(names))], `"`+id+`"`)
}

func hostileTime(m *Mutator, b []byte) []byte {
	if m.r.IntN(2) == 0 {
		return m.setValue(b, "time", numbers[m.r.IntN(len(numbers))])
	}
	return m.setValue(b, "time", times[m.r.IntN(len(times))])
}

func trail(m *Mutator, b []byte) []byte {
	return append(b, m.corpus[m.r.IntN(len(m.corpus))]...)
}

func nested(m *Mutator, b []byte) []byte { return deep(b, m.r.IntN(80)) }

func noise(m *Mutator, b []byte) []byte {
	from, to := m.run(b)
	return slices.Replace(b, from, to, m.noise(m.r.IntN(32))...)
}
