package config

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvPrefix begins every variable that is a setting.
const EnvPrefix = "USHER_"

// FileVariable names the configuration file as --config does.
const FileVariable = "USHER_CONFIG"

// EnvName is the variable of a path: kafka.brokers → USHER_KAFKA_BROKERS.
func EnvName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// typoDistanceMax is how far a variable may lie from a setting's and still be taken for a slip.
// Farther ones belong to something else: Kubernetes alone sets USHER_PORT and five more for a
// service called usher.
const typoDistanceMax = 2

// readEnviron turns USHER_… variables into settings. An empty one counts as unset. A scalar is
// taken as it is; a list may be separated by commas; lists, mappings and whole sections may be
// written as YAML. An entry of a mapping can be reached by its name in lower case:
// USHER_TENANTS_SALON7_ZONE.
func readEnviron(environ []string, check *checker) layer {
	out := layer{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(name, EnvPrefix)
		if !ours || value == "" || name == FileVariable {
			continue
		}
		path, t, ok := resolve(reflect.TypeFor[Config](), rest)
		if !ok {
			if near := nearVariable(name); near != "" {
				check.problems = append(check.problems,
					name+": is no setting of usher's; did you mean "+near+"?")
			}
			continue
		}
		dotted := strings.Join(path, ".")
		check.env[dotted] = name
		before := len(check.problems)
		node := envNode(value, t)
		check.node(node, t, dotted)
		if len(check.problems) == before {
			put(out, path, nodeValue(node, t))
		}
	}
	return out
}

// resolve finds the path that a variable's name (without the prefix) stands for.
func resolve(t reflect.Type, name string) (path []string, leaf reflect.Type, ok bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct && t != secretType:
		for _, f := range fields(t) {
			upper := strings.ToUpper(f.key)
			if name == upper {
				return []string{f.key}, f.t, true
			}
			if rest, cut := strings.CutPrefix(name, upper+"_"); cut {
				if path, leaf, ok = resolve(f.t, rest); ok {
					return append([]string{f.key}, path...), leaf, true
				}
			}
		}
	case t.Kind() == reflect.Map:
		for i := range name {
			if name[i] != '_' || i == 0 {
				continue
			}
			if path, leaf, ok = resolve(t.Elem(), name[i+1:]); ok {
				return append([]string{strings.ToLower(name[:i])}, path...), leaf, true
			}
		}
	}
	return nil, nil, false
}

// envNode parses a variable's value as far as its type asks for.
func envNode(value string, t reflect.Type) *yaml.Node {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text := reflect.PointerTo(t).Implements(textType)
	composite := !text && (t.Kind() == reflect.Struct || t.Kind() == reflect.Map ||
		t.Kind() == reflect.Slice)
	if t.Kind() == reflect.Slice && !strings.HasPrefix(strings.TrimSpace(value), "[") {
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range strings.Split(value, ",") {
			list.Content = append(list.Content, envNode(strings.TrimSpace(item), t.Elem()))
		}
		return list
	}
	if composite {
		var root yaml.Node
		if err := yaml.Unmarshal([]byte(value), &root); err == nil && len(root.Content) == 1 {
			clearLines(root.Content[0])
			return root.Content[0]
		}
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	if text || t.Kind() == reflect.String {
		n.Tag = "!!str"
	}
	return n
}

func clearLines(n *yaml.Node) {
	n.Line = 0
	for _, c := range n.Content {
		clearLines(c)
	}
}

func put(m map[string]any, path []string, v any) {
	for _, key := range path[:len(path)-1] {
		next, ok := m[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[key] = next
		}
		m = next
	}
	last := path[len(path)-1]
	into, okInto := m[last].(map[string]any)
	from, okFrom := v.(map[string]any)
	if okInto && okFrom {
		for k, v := range from {
			into[k] = v
		}
		return
	}
	m[last] = v
}

// nearVariable returns the setting's variable that name is likely a slip of, or "".
func nearVariable(name string) string {
	best, distance := "", typoDistanceMax+1
	for _, path := range leaves(reflect.TypeFor[Config](), "") {
		known := EnvName(path)
		if len(known) <= len(EnvPrefix)+4 {
			continue // too short for a slip to mean anything
		}
		if d := editDistance(name, known); d < distance {
			best, distance = known, d
		}
	}
	return best
}

// Variables lists every variable with its path, in the order of the configuration.
func Variables() [][2]string {
	var out [][2]string
	for _, path := range leaves(reflect.TypeFor[Config](), "") {
		out = append(out, [2]string{EnvName(path), path})
	}
	return out
}
