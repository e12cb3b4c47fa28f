package features

import (
	"slices"
	"strings"
	"testing"
)

// Every feature of a text has a name, so the names know every hash of Fill.
func TestNames(t *testing.T) {
	x := extractor(t, nil)
	var v Vector
	for _, text := range []string{"How much?", "Сколько стоит стрижка, мастер?", "价格是多少 hello", "a", "ёлка 12:30!",
		strings.Repeat("длинный text 長い ", 300)} {
		x.Fill([]byte(text), nil, &v)
		names := x.Names([]byte(text), &v)
		if len(names) != len(v.Keys) || slices.Contains(names, "(conversation)") {
			t.Errorf("%.20q: %d names of %d features, some unknown: %q", text, len(names), len(v.Keys), names)
		}
	}
	x.Fill([]byte("How much?"), nil, &v)
	names := x.Names([]byte("How much?"), &v)
	for _, want := range []string{"how", "much", "how much", "^ how", "…_how…", "…uch…"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %q among %q", want, names)
		}
	}
	slots := extractor(t, func(c *Config) { c.Slots = SlotChannel })
	slots.Fill([]byte("hi"), &Conversation{Channel: []byte("web")}, &v)
	if names := slots.Names([]byte("hi"), &v); names[len(names)-1] != "(conversation)" {
		t.Errorf("the slot is called %q", names[len(names)-1])
	}
}
