package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

//go:embed defaults.yaml
var defaultsYAML []byte

// DefaultFile is read when no file is named and it exists.
const DefaultFile = "usher.yaml"

// delim joins paths inside koanf; a byte that no key can hold, because topics have dots in theirs.
const delim = "\x1f"

// problemsShownMax bounds an error message.
const problemsShownMax = 20

// Error is everything that is wrong with a configuration, each with its place.
type Error struct{ Problems []string }

// Error lists the problems, one a line.
func (e *Error) Error() string {
	shown := e.Problems
	if len(shown) > problemsShownMax {
		shown = append(slices.Clone(shown[:problemsShownMax]),
			fmt.Sprintf("and %d more", len(e.Problems)-problemsShownMax))
	}
	return "the configuration does not hold:\n  " + strings.Join(shown, "\n  ")
}

// Options say where a configuration comes from.
type Options struct {
	File    string   // named by --config or USHER_CONFIG; must exist. Empty: DefaultFile, if there
	Environ []string // os.Environ()
}

// layer is one source of settings; it is a koanf.Provider.
type layer map[string]any

// Read hands the settings over.
func (l layer) Read() (map[string]any, error) { return l, nil }

// ReadBytes is not how a layer is read.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.New("BUG: a layer has no bytes") }

// Load reads defaults, file and environment and validates what they make together. Secrets that
// lie in files are left there: LoadSecrets. The error of a wrong configuration is an *Error.
func Load(o Options) (*Config, error) {
	check := newChecker()
	file, err := readFile(o, check)
	if err != nil {
		return nil, err
	}
	env := readEnviron(o.Environ, check)
	if len(check.problems) > 0 {
		return nil, &Error{Problems: check.problems}
	}
	defaults, err := parseLayer(defaultsYAML)
	if err != nil {
		return nil, fmt.Errorf("BUG: cannot read the defaults: %w", err)
	}
	merged := koanf.NewWithConf(koanf.Conf{Delim: delim, StrictMerge: false})
	for _, l := range []layer{defaults, file, env} {
		if err := merged.Load(l, nil); err != nil {
			return nil, fmt.Errorf("cannot merge the configuration: %w", err)
		}
	}
	text, err := yaml.Marshal(merged.Raw())
	if err != nil {
		return nil, fmt.Errorf("cannot merge the configuration: %w", err)
	}
	c := &Config{}
	if err := yaml.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("cannot read the merged configuration: %w", err)
	}
	c.fill()
	c.validate(check)
	if len(check.problems) > 0 {
		return nil, &Error{Problems: check.problems}
	}
	return c, nil
}

// Default returns the configuration of an empty file and environment.
func Default() *Config {
	c := &Config{}
	if err := yaml.Unmarshal(defaultsYAML, c); err != nil {
		panic("BUG: cannot read the defaults: " + err.Error())
	}
	c.fill()
	return c
}

// readFile returns the file's settings, checked key by key.
func readFile(o Options, check *checker) (layer, error) {
	name, must := o.File, o.File != ""
	if !must {
		name = DefaultFile
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return layer{}, nil
	}
	if err != nil {
		return nil, &Error{Problems: []string{fmt.Sprintf("cannot read the file: %v", err)}}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, &Error{Problems: []string{fmt.Sprintf("%s is no YAML: %v", name, err)}}
	}
	check.file = name
	check.tree(&root)
	if len(check.problems) > 0 {
		return layer{}, nil
	}
	return parseLayer(text)
}

// parseLayer decodes a document that was checked, or that is usher's own.
func parseLayer(text []byte) (layer, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 {
		return layer{}, nil
	}
	m, ok := nodeValue(root.Content[0], reflect.TypeFor[Config]()).(map[string]any)
	if !ok {
		return layer{}, nil
	}
	return m, nil
}

// nodeValue turns a checked node into what koanf merges: mappings, lists and scalars as their type
// in Config reads them, so that a date or a number meant as text stays text. A key without a value
// says nothing and is dropped, so that it does not wipe out a default.
func nodeValue(n *yaml.Node, t reflect.Type) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil
	case reflect.PointerTo(t).Implements(textType) || t.Kind() == reflect.String:
		return n.Value
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		out := map[string]any{}
		new(checker).pairs(n, "", func(key string, v *yaml.Node) {
			if value := nodeValue(v, elementType(t, key)); value != nil {
				out[key] = value
			}
		})
		return out
	case t.Kind() == reflect.Slice:
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			out = append(out, nodeValue(item, t.Elem()))
		}
		return out
	}
	v := reflect.New(t)
	if err := n.Decode(v.Interface()); err != nil {
		return n.Value
	}
	return v.Elem().Interface()
}

func elementType(t reflect.Type, key string) reflect.Type {
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	for _, f := range fields(t) {
		if f.key == key {
			return f.t
		}
	}
	return reflect.TypeFor[string]()
}

// fill completes entries of lists, which defaults.yaml cannot reach.
func (c *Config) fill() {
	for i := range c.Sources {
		s := &c.Sources[i]
		s.Format = orElse(s.Format, "usher")
		s.Partitioner = orElse(s.Partitioner, "murmur2")
		s.ApplyRules = orElse(s.ApplyRules, "true")
	}
	for i := range c.Classifier.Models {
		c.Classifier.Models[i].Mode = orElse(c.Classifier.Models[i].Mode, "live")
	}
	for i := range c.SLA {
		c.SLA[i].Clock = orElse(c.SLA[i].Clock, "wall")
		if c.SLA[i].DueSoon == 0 {
			c.SLA[i].DueSoon = 0.8
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// YAML prints the configuration with its secrets hidden.
func (c *Config) YAML() ([]byte, error) {
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("cannot print the configuration: %w", err)
	}
	return []byte(b.String()), nil
}

// LoadSecrets reads the secrets that lie in files; one from the environment goes first. A file
// that only the defaults name may be absent.
func (c *Config) LoadSecrets() error {
	d := Default()
	ch := &c.ClickHouse
	for _, s := range []struct {
		path, file, standard string
		into                 *Secret
	}{
		{"clickhouse.password_file", ch.PasswordFile, d.ClickHouse.PasswordFile, &ch.Password},
		{"kafka.sasl.password_file", c.Kafka.SASL.PasswordFile, "", &c.Kafka.SASL.Password},
		{"privacy.key_file", c.Privacy.KeyFile, d.Privacy.KeyFile, &c.Privacy.Key},
		{"admin.token_file", c.Admin.TokenFile, "", &c.Admin.Token},
	} {
		if s.into.IsSet() || s.file == "" {
			continue
		}
		text, err := os.ReadFile(s.file)
		if errors.Is(err, fs.ErrNotExist) && s.file == s.standard {
			continue
		}
		if err != nil {
			return &Error{Problems: []string{fmt.Sprintf(
				"%s: cannot read the secret: %v; mend the path or set %s", s.path, err,
				EnvName(strings.TrimSuffix(s.path, "_file")))}}
		}
		*s.into = NewSecret(strings.TrimRight(string(text), "\r\n"))
	}
	return nil
}
