package fieldmap

import (
	"strings"
	"time"

	"usher/pipeline/event"
)

// typed appends raw in the shape that the schema wants, where nothing has to be guessed for it: a
// number that stands for an id becomes a text, a text that is a number becomes one. ok is false
// when raw does not fit; it is then appended as it is, and the decoder names the field.
func typed(dst, raw []byte, want kind) (out []byte, ok bool) {
	isText := len(raw) > 1 && raw[0] == '"'
	inner := raw
	if isText {
		inner = raw[1 : len(raw)-1]
	}
	switch want {
	case kindString:
		if !isText && isNumber(raw) {
			return append(append(append(dst, '"'), raw...), '"'), true
		}
		ok = isText
	case kindNumber:
		if isText && isNumber(inner) {
			return append(dst, inner...), true
		}
		ok = isNumber(raw)
	case kindBool:
		literal := string(inner)
		if ok = literal == "true" || literal == "false"; ok {
			return append(dst, inner...), true
		}
	case kindStrings:
		if isText {
			return append(append(append(dst, '['), raw...), ']'), true
		}
		ok = raw[0] == '['
	case kindTime:
		ok = true // judged by instant, or by the decoder
	}
	return append(dst, raw...), ok
}

// isNumber reports whether b is a number as JSON writes it.
func isNumber(b []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	leading := i
	if !digits() || (b[leading] == '0' && i-leading > 1) {
		return false
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(b)
}

// localLayouts are the spellings of a time without an offset; seconds may have a fraction.
var localLayouts = []string{
	"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
	"2006-01-02",
}

// instant brings a time to one of the two forms of an event, RFC 3339 with offset or integer
// milliseconds. What is in one already passes untouched.
func (m *Mapper) instant(raw []byte, field string) ([]byte, *event.Reject) {
	if raw[0] != '"' {
		return raw, nil
	}
	text := strings.TrimSpace(decode(raw))
	if isNumber([]byte(text)) {
		m.cell = append(m.cell[:0], text...)
		return m.cell, nil
	}
	if len(text) > 10 && text[10] == ' ' && hasOffset(text) {
		text = text[:10] + "T" + strings.ReplaceAll(text[11:], " ", "")
	}
	if hasOffset(text) {
		m.cell = quote(m.cell[:0], fullOffset(text))
		return m.cell, nil
	}
	for _, layout := range localLayouts {
		parsed, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if m.zone == nil {
			return nil, &event.Reject{Code: event.FieldValue,
				Reason: field + " has no offset from UTC: say which zone it is in with --tz Europe/Riga"}
		}
		y, mo, d := parsed.Date()
		at := time.Date(y, mo, d, parsed.Hour(), parsed.Minute(), parsed.Second(),
			parsed.Nanosecond(), m.zone)
		m.cell = quote(m.cell[:0], at.Format("2006-01-02T15:04:05.999Z07:00"))
		return m.cell, nil
	}
	return raw, nil
}

// hasOffset reports whether the time of day in text is followed by Z, +hh, +hhmm or +hh:mm.
func hasOffset(text string) bool {
	if len(text) <= 11 {
		return false
	}
	clock := text[11:]
	return strings.ContainsAny(clock, "Zz+-")
}

// fullOffset writes the short offsets +hh and +hhmm in full, as RFC 3339 wants them.
func fullOffset(text string) string {
	sign := strings.LastIndexAny(text, "+-")
	if sign < 11 {
		return text
	}
	switch offset := text[sign+1:]; {
	case len(offset) == 2:
		return text + ":00"
	case len(offset) == 4 && !strings.Contains(offset, ":"):
		return text[:sign+3] + ":" + text[sign+3:]
	}
	return text
}
