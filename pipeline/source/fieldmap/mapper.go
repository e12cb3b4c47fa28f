package fieldmap

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"usher/pipeline/event"
)

// maxDepth is the nesting of CONTRACT section 2; the source's own objects keep to it too, because
// nothing legal comes from deeper.
const maxDepth = 64

// Mapper maps objects of one source. It is not safe for concurrent use: one per reader.
type Mapper struct {
	parser fastjson.Parser
	zone   *time.Location
	id, v  rule
	rules  []rule // in the order of schema
	attrs  []rule // attrs.<key> named one by one

	top  []member // of the object being mapped
	body []byte   // all but v and id of the event being written
	cell []byte   // one value
	dup  string   // the field whose source key came twice
}

// rule is how one field is filled.
type rule struct {
	path     string
	kind     kind
	from     string
	values   map[string]string
	fallback []byte // raw JSON
}

// Map appends the event made from one source object to dst. fallbackID (may be nil) becomes the id
// of an event whose source names none; without it the id is derived, so that the same line gives
// the same id in every import. The result aliases only dst. The error names fields, never values.
func (m *Mapper) Map(dst, src, fallbackID []byte) ([]byte, *event.Reject) {
	if depthOf(src) > maxDepth {
		return dst, &event.Reject{Code: event.TooDeep, Reason: "nested deeper than 64 levels"}
	}
	parsed, err := m.parser.ParseBytes(src) // syntax only: its error text may hold the payload
	if err != nil {
		return dst, &event.Reject{Code: event.JSONSyntax, Reason: "the line is not one JSON value"}
	}
	if parsed.Type() != fastjson.TypeObject {
		return dst, &event.Reject{Code: event.FieldType, Reason: "the line must be a JSON object"}
	}
	m.dup = ""
	m.top = members(m.top[:0], src)
	if rejected := m.fill(); rejected != nil {
		return dst, rejected
	}
	return m.finish(dst, fallbackID)
}

// fill writes every field but v and id into m.body, each with a comma before it. A line that names
// no type but has a text is a message, also when the text is empty (a picture, a deleted post).
func (m *Mapper) fill() *event.Reject {
	m.body = m.body[:0]
	open := path{}
	for i := range m.rules {
		r := &m.rules[i]
		raw, rejected := m.value(r)
		if rejected != nil {
			return rejected
		}
		if len(raw) == 0 && i == typeRule && m.has(textPath) {
			raw = append(m.cell[:0], `"message"`...)
		}
		if len(raw) == 0 {
			continue
		}
		m.body = open.to(m.body, r.path)
		m.body = append(m.body, raw...)
	}
	m.body = open.to(m.body, "")
	return nil
}

// has reports whether the source sends the field; null is not sent.
func (m *Mapper) has(field string) bool {
	for i := range m.rules {
		if r := &m.rules[i]; r.path == field {
			raw := m.lookup(m.top, r.from, r.path)
			return len(raw) > 0 && string(raw) != "null"
		}
	}
	return false
}

// finish puts v and id before the body. The derived id covers what makes the event itself: its
// place in the conversation when the source counts, else all that the mapped event says.
func (m *Mapper) finish(dst, fallbackID []byte) ([]byte, *event.Reject) {
	v, rejected := m.value(&m.v)
	if rejected != nil {
		return dst, rejected
	}
	dst = append(dst, `{"v":`...)
	if len(v) == 0 {
		dst = append(dst, '1')
	} else {
		dst = append(dst, v...)
	}
	id, rejected := m.value(&m.id)
	if rejected != nil {
		return dst, rejected
	}
	dst = append(dst, `,"id":`...)
	switch {
	case len(id) > 0:
		dst = append(dst, id...)
	case fallbackID != nil:
		dst = quote(dst, string(fallbackID))
	default:
		dst = m.derive(dst)
	}
	dst = append(dst, m.body...)
	return append(dst, '}'), nil
}

// derive appends the first 128 bits of a SHA-256 as an id: over conversation and seq where the
// event has both, else over the whole event.
func (m *Mapper) derive(dst []byte) []byte {
	var conversation, seq []byte
	whole := append([]byte{'{'}, bytes.TrimPrefix(m.body, []byte{','})...)
	whole = append(whole, '}')
	for _, member := range members(nil, whole) {
		switch string(member.key) {
		case "conversation_id":
			conversation = member.value
		case "seq":
			seq = member.value
		}
	}
	of := whole
	if conversation != nil && seq != nil {
		of = append(append(append([]byte("seq\x00"), decode(conversation)...), 0), seq...)
	}
	sum := sha256.Sum256(of)
	return append(append(append(dst, '"'), hex.EncodeToString(sum[:16])...), '"')
}

// value returns the raw JSON of one field, empty when it is absent. It lives until the next call.
func (m *Mapper) value(r *rule) ([]byte, *event.Reject) {
	raw := m.lookup(m.top, r.from, r.path)
	if m.dup != "" {
		return nil, &event.Reject{Code: event.DupKey, Reason: m.dup + " is in the line twice"}
	}
	if r.kind == kindAttrs {
		return m.attributes(raw)
	}
	if absent(raw) {
		return r.fallback, nil
	}
	if r.values != nil {
		if to, listed := r.values[decode(raw)]; listed {
			if to == "" {
				return r.fallback, nil // translated to nothing: as if it had not been sent
			}
			m.cell = quote(m.cell[:0], to)
			return m.cell, nil
		}
	}
	if r.kind == kindTime {
		return m.instant(raw, r.path)
	}
	cell, _ := typed(m.cell[:0], raw, r.kind) // what does not fit is the decoder's to reject
	m.cell = cell
	return cell, nil
}

// attributes merges the source's own object with the entries that the map names one by one.
func (m *Mapper) attributes(raw []byte) ([]byte, *event.Reject) {
	if len(m.attrs) == 0 || (!absent(raw) && raw[0] != '{') {
		if absent(raw) {
			return nil, nil
		}
		return raw, nil
	}
	merged := []byte{'{'}
	add := func(key string, value []byte) {
		if len(merged) > 1 {
			merged = append(merged, ',')
		}
		merged = append(append(quote(merged, key), ':'), value...)
	}
	named := map[string]bool{}
	for i := range m.attrs {
		value, rejected := m.value(&m.attrs[i])
		if rejected != nil {
			return nil, rejected
		}
		if len(value) > 0 {
			key := m.attrs[i].path[len(attrsPath)+1:]
			named[key] = true
			add(key, value)
		}
	}
	for _, member := range members(nil, raw) {
		if !named[string(member.key)] {
			add(string(member.key), member.value)
		}
	}
	if len(merged) == 1 {
		return nil, nil
	}
	return append(merged, '}'), nil
}

// lookup follows a dotted path. At every object a key that equals the whole rest wins, because
// flattened exports have dots in their keys. A key of the path that comes twice is noted in m.dup.
func (m *Mapper) lookup(object []member, from, to string) []byte {
	first, rest, nested := strings.Cut(from, ".")
	var whole, inner *member
	for i := range object {
		switch entry := &object[i]; {
		case string(entry.key) == from:
			m.twice(whole != nil, to)
			whole = entry
		case nested && string(entry.key) == first:
			m.twice(inner != nil, to)
			inner = entry
		}
	}
	switch {
	case whole != nil:
		return whole.value
	case inner != nil:
		return m.lookup(inner.object(), rest, to)
	}
	return nil
}

func (m *Mapper) twice(seen bool, field string) {
	if seen {
		m.dup = field
	}
}

// path writes nested objects from dotted names whose siblings come one after the other.
type path struct{ open []string }

// to closes and opens objects until the next value of name may be appended; "" closes all.
func (p *path) to(dst []byte, name string) []byte {
	var parts []string
	if name != "" {
		parts = strings.Split(name, ".")
	}
	parents := max(len(parts)-1, 0)
	same := 0
	for same < parents && same < len(p.open) && p.open[same] == parts[same] {
		same++
	}
	for range len(p.open) - same {
		dst = append(dst, '}')
	}
	p.open = p.open[:same]
	if name == "" {
		return dst
	}
	for i, part := range parts[same:] {
		if dst = comma(dst); i < parents-same {
			dst = append(append(append(dst, '"'), part...), `":{`...)
			p.open = append(p.open, part)
			continue
		}
		dst = append(append(append(dst, '"'), part...), `":`...)
	}
	return dst
}

// comma appends the separator that stands before a member, unless the member is its object's first.
func comma(dst []byte) []byte {
	if len(dst) > 0 && dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}
