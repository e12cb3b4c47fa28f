package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// checker gathers problems and remembers in which line of the file a key stands.
type checker struct {
	file     string
	lines    map[string]int
	env      map[string]string // path → variable that set it
	problems []string
}

func newChecker() *checker { return &checker{lines: map[string]int{}, env: map[string]string{}} }

// add notes a problem with the key at path.
func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, c.where(path)+path+": "+fmt.Sprintf(format, args...))
}

// where names the place that set path, or its nearest parent.
func (c *checker) where(path string) string {
	for p := path; p != ""; p = parent(p) {
		if name, ok := c.env[p]; ok {
			return name + ": "
		}
		if line, ok := c.lines[p]; ok {
			return fmt.Sprintf("%s:%d: ", c.file, line)
		}
	}
	return ""
}

func parent(path string) string {
	i := strings.LastIndexAny(path, ".[")
	if i < 0 {
		return ""
	}
	return path[:i]
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// tree checks a whole document.
func (c *checker) tree(root *yaml.Node) {
	if root.Kind != yaml.DocumentNode || len(root.Content) == 0 {
		return // an empty file
	}
	c.node(root.Content[0], reflect.TypeFor[Config](), "")
}

var (
	secretType = reflect.TypeFor[Secret]()
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// node checks that n can become a t.
func (c *checker) node(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.env[path] == "" && n.Line > 0 {
		c.lines[path] = n.Line
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
	case t == secretType && c.env[path] == "":
		c.add(path, "a secret does not belong into the file; name a file in %s_file or set %s",
			path, EnvName(path))
	case reflect.PointerTo(t).Implements(textType):
		c.scalar(n, t, path)
	case t.Kind() == reflect.Struct:
		c.structure(n, t, path)
	case t.Kind() == reflect.Map:
		c.pairs(n, path, func(key string, v *yaml.Node) { c.node(v, t.Elem(), join(path, key)) })
	case t.Kind() == reflect.Slice:
		c.list(n, t, path)
	default:
		c.scalar(n, t, path)
	}
}

func (c *checker) structure(n *yaml.Node, t reflect.Type, path string) {
	known := fields(t)
	c.pairs(n, path, func(key string, v *yaml.Node) {
		i := slices.IndexFunc(known, func(f field) bool { return f.key == key })
		if i >= 0 {
			c.node(v, known[i].t, join(path, key))
			return
		}
		c.lines[join(path, key)] = v.Line
		c.add(join(path, key), "is no key of usher's%s", suggestKey(known, path, key))
	})
}

// pairs walks a mapping.
func (c *checker) pairs(n *yaml.Node, path string, visit func(string, *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		c.add(orElse(path, "the file"), "must be a mapping (key: value)")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			if value.Kind == yaml.AliasNode {
				c.pairs(value.Alias, path, visit)
			}
			continue
		}
		if seen[key.Value] {
			c.lines[join(path, key.Value)] = key.Line
			c.add(join(path, key.Value), "is set twice")
		}
		seen[key.Value] = true
		visit(key.Value, value)
	}
}

func (c *checker) list(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.SequenceNode {
		c.add(path, "must be a list ([a, b])")
		return
	}
	for i, item := range n.Content {
		c.node(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
	}
}

// scalar tries the value on its type, so that a wrong one is reported with its line.
func (c *checker) scalar(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.ScalarNode {
		c.add(path, "must be %s", kindName(t))
		return
	}
	v := reflect.New(t)
	if u, ok := v.Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			c.add(path, "%v", err)
		}
		return
	}
	if err := n.Decode(v.Interface()); err != nil {
		c.add(path, "%q is not %s", n.Value, kindName(t))
	}
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		if t == reflect.TypeFor[Duration]() {
			return "a duration as in 100ms, 24h or 400d"
		}
		if t == reflect.TypeFor[Bytes]() {
			return "a size as in 64KiB or 4GiB"
		}
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "a single value"
	}
}

// field is one key of a struct.
type field struct {
	key string
	t   reflect.Type
}

// fields lists the keys of a struct in its order.
func fields(t reflect.Type) []field {
	out := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		out = append(out, field{key: key, t: f.Type})
	}
	return out
}

// leaves lists every path that needs no name of the user's own, composites included.
func leaves(t reflect.Type, path string) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == secretType {
		return []string{path}
	}
	var out []string
	if path != "" {
		out = append(out, path)
	}
	for _, f := range fields(t) {
		out = append(out, leaves(f.t, join(path, f.key))...)
	}
	return out
}

// suggestKey says which key may have been meant: a near one here, or the same name elsewhere.
func suggestKey(known []field, path, key string) string {
	best, distance := "", len(key)/2+1
	for _, f := range known {
		if d := editDistance(key, f.key); d < distance {
			best, distance = join(path, f.key), d
		}
	}
	if best == "" {
		for _, p := range leaves(reflect.TypeFor[Config](), "") {
			if strings.HasSuffix(p, "."+key) {
				best = p
				break
			}
		}
	}
	if best == "" {
		names := make([]string, len(known))
		for i, f := range known {
			names[i] = f.key
		}
		return "; here stand " + strings.Join(names, ", ")
	}
	return "; did you mean " + best + "?"
}

// editDistance is Levenshtein's, with a swap of neighbours as one edit.
func editDistance(a, b string) int {
	prev2, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}
