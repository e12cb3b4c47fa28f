package event

import (
	"bytes"
	"strconv"
	"unsafe"

	"github.com/valyala/fastjson"
)

// Typed, strict access to one field. bit is the field's own in its object and finds repeated keys;
// field is its name in that object, a constant, so that naming it costs nothing on the good path.

// fail records the first thing wrong. Reason names field and rule, never a value.
func (d *Decoder) fail(code Code, field, rule string) {
	if d.rej != nil {
		return
	}
	name := field
	if d.inner != "" {
		name = join(d.inner, name)
	}
	if d.outer != "" {
		name = join(d.outer, name)
	}
	d.rej = &Reject{Code: code, Reason: name + ": " + rule}
}

func join(object, field string) string {
	if field == "" {
		return object
	}
	return object + "." + field
}

// once reports whether this is the first time that the object has the field. Two parsers would see
// two different events otherwise.
func (d *Decoder) once(bit uint, field string) bool {
	if d.seen&(1<<bit) != 0 {
		d.fail(DupKey, field, "the key is there twice")
		return false
	}
	d.seen |= 1 << bit
	return true
}

// chars returns a string, nil when it is null or empty.
func (d *Decoder) chars(field string, v *fastjson.Value) []byte {
	if v.Type() != fastjson.TypeString {
		d.wrongType(field, v, "must be a string")
		return nil
	}
	if s, _ := v.StringBytes(); len(s) > 0 {
		return s
	}
	return nil
}

// wrongType refuses v, unless it is null or empty and so absent. A number that is none has a code
// of its own whatever was wanted.
func (d *Decoder) wrongType(field string, v *fastjson.Value, rule string) {
	switch {
	case absent(v):
		return
	case v.Type() == fastjson.TypeNumber:
		d.anyNumber(v)
	}
	d.fail(FieldType, field, rule)
}

// text takes a free string: whatever it may not hold has become U+FFFD already.
func (d *Decoder) text(bit uint, field string, v *fastjson.Value) []byte {
	if !d.once(bit, field) {
		return nil
	}
	return d.chars(field, v)
}

// id takes a name: at most IDBytesMax bytes of clean UTF-8.
func (d *Decoder) id(bit uint, field string, v *fastjson.Value) []byte {
	if v.Type() == fastjson.TypeString && d.seen&(1<<bit) == 0 && !d.escapes && !d.replaced {
		if s, _ := v.StringBytes(); uint(len(s)-1) < IDBytesMax { // nearly always
			d.seen |= 1 << bit
			return s
		}
	}
	return d.idChecked(bit, field, v)
}

// idChecked is id in a record whose strings need a look, and for whatever is wrong.
func (d *Decoder) idChecked(bit uint, field string, v *fastjson.Value) []byte {
	if !d.once(bit, field) {
		return nil
	}
	s := d.chars(field, v)
	d.checkID(field, s)
	return s
}

func (d *Decoder) checkID(field string, s []byte) {
	if len(s) > IDBytesMax {
		d.fail(IDTooLong, field, "must not be longer than 128 bytes")
	}
	// In a record without escapes the look before parsing has seen every control character. When
	// something was replaced, an id that holds U+FFFD is taken to be what was.
	if d.escapes && hasControl(s) || d.replaced && bytes.Contains(s, []byte(replacement)) {
		d.fail(UTF8, field, "must be valid UTF-8 without control characters")
	}
}

// setIndex takes a word of a closed set and returns its place in names, 0 when absent.
func (d *Decoder) setIndex(bit uint, field string, v *fastjson.Value, names []string) int {
	s := d.id(bit, field, v)
	if s == nil {
		return 0
	}
	i := indexOf(names, s)
	if i == 0 {
		d.fail(FieldValue, field, "is not one of the allowed words")
	}
	return i
}

// oneOf takes a word of a closed set as it is.
func (d *Decoder) oneOf(bit uint, field string, v *fastjson.Value, names []string) []byte {
	s := d.id(bit, field, v)
	if s != nil && indexOf(names, s) == 0 {
		d.fail(FieldValue, field, "is not one of the allowed words")
	}
	return s
}

// list takes an array of names.
func (d *Decoder) list(bit uint, field string, v *fastjson.Value) [][]byte {
	if !d.once(bit, field) {
		return nil
	}
	if v.Type() != fastjson.TypeArray {
		d.wrongType(field, v, "must be an array of strings")
		return nil
	}
	entries := v.GetArray()
	if len(entries) > ListMax {
		d.fail(FieldValue, field, "has too many entries")
		return nil
	}
	start := len(d.lists)
	for _, e := range entries {
		s := d.chars(field, e)
		d.checkID(field, s)
		if s != nil {
			d.lists = append(d.lists, s)
		}
	}
	if len(d.lists) == start {
		return nil
	}
	return d.lists[start:len(d.lists):len(d.lists)]
}

func (d *Decoder) boolean(bit uint, field string, v *fastjson.Value) (value, has bool) {
	if !d.once(bit, field) {
		return false, false
	}
	switch v.Type() {
	case fastjson.TypeTrue:
		return true, true
	case fastjson.TypeFalse:
		return false, true
	}
	d.wrongType(field, v, "must be true or false")
	return false, false
}

// absent reports null and the empty string, which mean that a field is not there.
func absent(v *fastjson.Value) bool {
	return v.Type() == fastjson.TypeNull ||
		v.Type() == fastjson.TypeString && len(v.GetStringBytes()) == 0
}

// integer takes a 64-bit integer. A fraction, an exponent or an overflow is field_type.
func (d *Decoder) integer(bit uint, field string, v *fastjson.Value) (n int64, has bool) {
	raw := d.numberText(bit, field, v)
	if raw == nil {
		return 0, false
	}
	n, ok := parseInt(raw)
	if !ok {
		d.fail(FieldType, field, "must be a 64-bit integer")
		return 0, false
	}
	return n, true
}

// float takes a finite number.
func (d *Decoder) float(bit uint, field string, v *fastjson.Value) (x float64, has bool) {
	raw := d.numberText(bit, field, v)
	if raw == nil {
		return 0, false
	}
	if n, ok := parseInt(raw); ok && (n != 0 || raw[0] != '-') {
		return float64(n), true // rounds to nearest, as ParseFloat does
	}
	// The string lives no longer than the call, and d.number does not change meanwhile.
	x, err := strconv.ParseFloat(unsafe.String(&raw[0], len(raw)), 64)
	if err != nil {
		d.fail(FieldValue, field, "is too large a number")
		return 0, false
	}
	return x, true
}

// numberText returns a number as JSON spells it, valid until the next; nil when absent or wrong.
func (d *Decoder) numberText(bit uint, field string, v *fastjson.Value) []byte {
	if !d.once(bit, field) {
		return nil
	}
	if v.Type() != fastjson.TypeNumber {
		d.wrongType(field, v, "must be a number")
		return nil
	}
	d.number = v.MarshalTo(d.number[:0])
	if numberClass(d.number) == notNumber {
		d.fail(NumberSyntax, field, "is no JSON number")
		return nil
	}
	return d.number
}

// anyNumber checks the spelling of a number whose value is of no interest: fastjson takes NaN, inf,
// +1, 007 and 1e for numbers.
func (d *Decoder) anyNumber(v *fastjson.Value) {
	d.number = v.MarshalTo(d.number[:0])
	if numberClass(d.number) == notNumber {
		d.fail(NumberSyntax, "", "a value is no JSON number")
	}
}

// instant takes RFC 3339 with offset, or milliseconds since 1970, and holds it to the range.
func (d *Decoder) instant(bit uint, field string, v *fastjson.Value) (ms int64, has bool) {
	if v.Type() == fastjson.TypeString {
		if !d.once(bit, field) {
			return 0, false
		}
		ms, has = d.instantText(field, v.GetStringBytes())
	} else {
		ms, has = d.integer(bit, field, v)
	}
	if has {
		d.checkRange(field, ms)
	}
	return ms, has
}

func (d *Decoder) instantText(field string, s []byte) (ms int64, has bool) {
	if len(s) == 0 {
		return 0, false
	}
	ms, ok := parseRFC3339(s)
	if !ok {
		d.fail(FieldValue, field, "must be RFC 3339 with offset, or integer milliseconds since 1970")
	}
	return ms, ok
}

func (d *Decoder) checkRange(field string, ms int64) {
	latest, rule := d.env.NowMS+timeAheadMS, "must lie between 2000-01-01 and 24 h from now"
	if field == "until" {
		latest, rule = untilMaxMS, "must lie between 2000-01-01 and 2100-01-01"
	}
	if ms < timeMinMS || ms > latest {
		d.fail(TimeRange, field, rule+"; a number is milliseconds since 1970")
	}
}

// object visits an object; null means absent.
func (d *Decoder) object(bit uint, field string, v *fastjson.Value, visit visitor) {
	if d.once(bit, field) {
		d.visit(field, v, visit)
	}
}

func (d *Decoder) visit(field string, v *fastjson.Value, visit visitor) {
	if v.Type() != fastjson.TypeObject {
		d.wrongType(field, v, "must be an object")
		return
	}
	o := v.GetObject()
	seen, outer, inner := d.seen, d.outer, d.inner
	d.seen, d.outer, d.inner = 0, inner, field
	o.Visit(visit)
	d.seen, d.outer, d.inner = seen, outer, inner
}

// onIgnored takes a field that the schema does not know: only the spelling of its numbers counts.
func (d *Decoder) onIgnored(_ []byte, v *fastjson.Value) {
	switch v.Type() {
	case fastjson.TypeNumber:
		d.anyNumber(v)
	case fastjson.TypeObject:
		v.GetObject().Visit(d.visits.ignore)
	case fastjson.TypeArray:
		for _, e := range v.GetArray() {
			d.onIgnored(nil, e)
		}
	}
}
