package gen

import (
	"bytes"
	"strconv"

	"usher/pipeline/event"
)

// fault turns a good event into a record that must be rejected with its code. b is the good value
// without its closing brace; the result is the whole value.
type fault struct {
	code  event.Code
	apply func(b []byte, r *rng) []byte
}

// faults holds every dead-letter class that a producer can cause (panic cannot be caused from
// outside), most of them in several forms.
var faults = []fault{
	{event.JSONSyntax, func(b []byte, r *rng) []byte { return b[:len(b)-1-r.below(len(b)/2)] }},
	{event.JSONSyntax, func(b []byte, _ *rng) []byte { return append(b, `}{"v":1}`...) }},
	{event.JSONSyntax, func(b []byte, _ *rng) []byte {
		return append([]byte("\xef\xbb\xbf"), append(b, '}')...)
	}},
	{event.JSONSyntax, func(b []byte, _ *rng) []byte { return append(b, `,}`...) }},
	{event.TooDeep, nest},
	{event.NumberSyntax, replaceNumber("007")},
	{event.NumberSyntax, replaceNumber("NaN")},
	{event.NumberSyntax, replaceNumber("1e")},
	{event.NumberSyntax, replaceNumber("+1")},
	{event.FieldMissing, drop("id")},
	{event.FieldMissing, drop("type")},
	{event.FieldMissing, drop("v")},
	{event.FieldMissing, drop("time")},
	{event.FieldMissing, drop("conversation_id")},
	{event.FieldType, func(b []byte, _ *rng) []byte {
		return append(append([]byte{'['}, b...), `}]`...)
	}},
	{event.FieldType, func(b []byte, _ *rng) []byte { return replaceMember(b, "v", `"1"`) }},
	{event.FieldType, func(b []byte, _ *rng) []byte { return replaceMember(b, "id", `17`) }},
	{event.FieldType, func(b []byte, _ *rng) []byte {
		return append(dropMember(b, "region"), `,"region":["x"]}`...)
	}},
	{event.FieldValue, tooManyAttrs},
	{event.FieldValue, func(b []byte, _ *rng) []byte { return replaceMember(b, "v", `2`) }},
	{event.UTF8, func(b []byte, _ *rng) []byte { return replaceMember(b, "id", "\"a\xffb\"") }},
	{event.UTF8, func(b []byte, _ *rng) []byte { return replaceMember(b, "id", `"a\ud800b"`) }},
	{event.UTF8, func(b []byte, _ *rng) []byte { return replaceMember(b, "id", `"a\u0007b"`) }},
	{event.DupKey, func(b []byte, _ *rng) []byte { return append(b, `,"id":"again"}`...) }},
	{event.DupKey, func(b []byte, _ *rng) []byte { return append(b, `,"\u0069d":"again"}`...) }},
	{event.TimeRange, replaceTime("1763659321")},
	{event.TimeRange, replaceTime("1763659321123456")},
	{event.TimeRange, replaceTime("-1")},
	{event.TimeRange, replaceTime(`"1969-07-20T20:17:40Z"`)},
	{event.TimeRange, replaceTime(`"2199-01-01T00:00:00+01:00"`)},
	{event.IDTooLong, func(b []byte, _ *rng) []byte {
		return replaceMember(b, "id", `"`+string(bytes.Repeat([]byte{'x'}, 129))+`"`)
	}},
	{event.Tombstone, func([]byte, *rng) []byte { return nil }},
}

// oversizedBytes is just beyond the limit of 1,048,576.
const oversizedBytes = 1<<20 + 1

// ruin makes the record that follows the one last rendered: a broken copy of it.
func (g *Generator) ruin(rec *Record) {
	g.broken = append(g.broken[:0], g.value[:len(g.value)-1]...)
	rec.Key, rec.Duplicate, rec.Label = g.key, false, Unlabelled
	if g.stats.BrokenBy[event.TooLarge] < int64(g.cfg.Oversized) {
		b := append(g.broken, `,"padding":"`...)
		b = append(b, bytes.Repeat([]byte{'.'}, oversizedBytes-len(b)-2)...)
		rec.Value, rec.Code = append(b, `"}`...), event.TooLarge
		return
	}
	f := faults[g.chaos.below(len(faults))]
	rec.Value, rec.Code = f.apply(g.broken, &g.chaos), f.code
}

// nest hides 70 levels in a field that nobody reads: the limit holds all the same.
func nest(b []byte, _ *rng) []byte {
	b = append(b, `,"debug":`...)
	b = append(b, bytes.Repeat([]byte{'['}, 70)...)
	b = append(b, bytes.Repeat([]byte{']'}, 70)...)
	return append(b, '}')
}

func tooManyAttrs(b []byte, _ *rng) []byte {
	b = append(dropMember(b, "attrs"), `,"attrs":{`...)
	for i := range 33 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, `"k`...), int64(i), 10), `":1`...)
	}
	return append(b, `}}`...)
}

func replaceNumber(number string) func([]byte, *rng) []byte {
	return func(b []byte, _ *rng) []byte {
		return append(append(append(dropMember(b, "seq"), `,"seq":`...), number...), '}')
	}
}

func replaceTime(value string) func([]byte, *rng) []byte {
	return func(b []byte, _ *rng) []byte { return replaceMember(b, "time", value) }
}

func drop(name string) func([]byte, *rng) []byte {
	return func(b []byte, _ *rng) []byte { return append(dropMember(b, name), '}') }
}

// replaceMember gives a top-level member another value and closes the object.
func replaceMember(b []byte, name, value string) []byte {
	from, to := member(b, name)
	if from < 0 {
		panic("BUG: a generated event without " + name)
	}
	out := append([]byte(nil), b[:from]...)
	out = append(append(append(append(out, '"'), name...), `":`...), value...)
	return append(append(out, b[to:]...), '}')
}

// dropMember removes a top-level member and its comma, if it is there.
func dropMember(b []byte, name string) []byte {
	from, to := member(b, name)
	switch {
	case from < 0:
		return b
	case from == 1 && to < len(b):
		to++
	case from > 1:
		from--
	}
	return append(append([]byte(nil), b[:from]...), b[to:]...)
}

// member finds a top-level member of an object that this package wrote: from its opening quote to
// behind its value. from is −1 when there is none.
func member(b []byte, name string) (from, to int) {
	depth, quoted := 0, false
	key := `"` + name + `":`
	from = -1
	for i := 0; i < len(b); i++ {
		switch ch := b[i]; {
		case quoted && ch == '\\':
			i++
		case quoted:
			quoted = ch != '"'
		case ch == '"':
			if depth == 1 && from < 0 && bytes.HasPrefix(b[i:], []byte(key)) {
				from = i
				i += len(key) - 1
				continue
			}
			quoted = true
		case ch == '{' || ch == '[':
			depth++
		case ch == '}' || ch == ']':
			depth--
		case ch == ',' && depth == 1 && from >= 0:
			return from, i
		}
	}
	return from, len(b)
}
