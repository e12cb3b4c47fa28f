package fieldmap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Config says how a source's objects become events.
type Config struct {
	// Map holds the source's dotted path for an usher field. A field that is not in it is looked up
	// under its own name. An object's name (actor=author) moves all its fields.
	Map map[string]string
	// Values translates a field's values: {actor.kind: {operator: agent}}. What is not listed stays.
	Values map[string]map[string]string
	// Defaults fills fields that are absent, null or empty: {tenant: salon7, channel: web}.
	Defaults map[string]string
	// Zone is the time zone of times that carry no offset; nil rejects them.
	Zone *time.Location
}

// ParseMap reads the form of the command line, time=ts,actor.kind=role.
func ParseMap(list string) (map[string]string, error) {
	parsed := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		to, from, found := strings.Cut(pair, "=")
		to, from = strings.TrimSpace(to), strings.TrimSpace(from)
		if !found || to == "" || from == "" {
			return nil, fmt.Errorf(
				"cannot read the map at %q: write usher's field, =, the source's, as in time=ts", pair)
		}
		if _, twice := parsed[to]; twice {
			return nil, fmt.Errorf("cannot read the map: %s is mapped twice, leave one of them out", to)
		}
		parsed[to] = from
	}
	return parsed, nil
}

// New checks the configuration and compiles it.
func New(cfg Config) (*Mapper, error) {
	for _, to := range slices.Sorted(maps.Keys(cfg.Map)) {
		if _, known := leaf(to); !known && !isObject(to) {
			return nil, unknownField("map", to)
		}
	}
	m := &Mapper{zone: cfg.Zone}
	for _, to := range slices.Sorted(maps.Keys(cfg.Values)) {
		shape, known := leaf(to)
		if !known {
			return nil, unknownField("values", to)
		}
		if shape != kindString {
			return nil, fmt.Errorf(
				"cannot translate the values of %s: only fields that hold text are translated", to)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(cfg.Defaults)) {
		if _, known := leaf(to); !known || to == attrsPath {
			return nil, unknownField("defaults", to)
		}
	}
	var err error
	compileOne := func(path string, shape kind) rule {
		r, failed := compile(cfg, path, shape)
		if failed != nil && err == nil {
			err = failed
		}
		return r
	}
	m.id, m.v = compileOne(idPath, kindString), compileOne(vPath, kindNumber)
	for _, f := range schema {
		m.rules = append(m.rules, compileOne(f.path, f.kind))
	}
	for _, to := range slices.Sorted(maps.Keys(attrFields(cfg))) {
		m.attrs = append(m.attrs, compileOne(to, kindString))
	}
	return m, err
}

// attrFields collects every attrs.<key> that the configuration names one by one.
func attrFields(cfg Config) map[string]bool {
	named := map[string]bool{}
	note := func(path string) {
		if strings.HasPrefix(path, attrsPath+".") {
			named[path] = true
		}
	}
	for to := range cfg.Map {
		note(to)
	}
	for to := range cfg.Values {
		note(to)
	}
	for to := range cfg.Defaults {
		note(to)
	}
	return named
}

// compile makes the rule of one field: where it is read, how its values are translated.
func compile(cfg Config, path string, shape kind) (rule, error) {
	r := rule{path: path, kind: shape, from: path, values: cfg.Values[path]}
	for prefix := path; prefix != ""; {
		if from, mapped := cfg.Map[prefix]; mapped {
			r.from = from + path[len(prefix):]
			break
		}
		cut := strings.LastIndexByte(prefix, '.')
		prefix = prefix[:max(cut, 0)]
	}
	if value, has := cfg.Defaults[path]; has && value != "" {
		fallback, ok := typed(nil, quote(nil, value), shape)
		if !ok {
			return r, fmt.Errorf("cannot use the default of %s: it must be %s", path, shape)
		}
		r.fallback = fallback
	}
	return r, nil
}

// String names the shape for people.
func (k kind) String() string {
	return [...]string{
		"a text", "a number", "true or false", "a time", "a list of texts", "an object",
	}[k]
}

// unknownField says what is wrong with a name and which name was probably meant.
func unknownField(where, name string) error {
	best, distance := "", len(name)/2+1
	for _, known := range Fields() {
		if d := editDistance(name, known); d < distance {
			best, distance = known, d
		}
	}
	for _, f := range slices.Backward(schema) {
		if strings.HasSuffix(f.path, "."+name) { // the last part alone: kind for actor.kind
			best = f.path
		}
	}
	hint := "docs/events.md lists the fields; usher's stand on the left, the source's on the right"
	if best != "" {
		hint = "did you mean " + best + "? Usher's field stands on the left, the source's on the right"
	}
	return fmt.Errorf("cannot use %q in %s: an event has no such field; %s", name, where, hint)
}

// editDistance is Levenshtein's, over bytes, in one row.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
