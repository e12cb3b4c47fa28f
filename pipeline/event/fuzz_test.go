package event

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// FuzzDecode holds the decoder to encoding/json: what it accepts is JSON and has the same values;
// what it refuses for its syntax is no JSON. And the decoder reused through the whole run agrees
// with a fresh one, reasons are short, and encoding what was accepted gives it again. The seeds
// under testdata are a good record of every type and DELIVERY's bad ones.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{`\ud800\n`, "\x01\xff\u0085", `\q`, `\u00`, `😀\ud83d\ude00`} {
		f.Add([]byte(strings.Replace(full("message"), "Сколько", text, 1)))
		f.Add([]byte(strings.Replace(full("message"), "e-1", text, 1)))
	}
	reused := NewDecoder(Limits{})
	f.Fuzz(func(t *testing.T, value []byte) { checkRecord(t, reused, value) })
}

// checkRecord compares one record's decoding with encoding/json's, reused being a decoder that has
// seen other records.
func checkRecord(t testing.TB, reused *Decoder, value []byte) {
	t.Helper()
	var ev, fresh Event
	before := string(value)
	rej := reused.Decode(value, testEnvelope, &ev)
	if string(value) != before {
		t.Fatal("the record was changed")
	}
	want := NewDecoder(Limits{}).Decode(value, testEnvelope, &fresh)
	if !reflect.DeepEqual(rej, want) || rej == nil && !reflect.DeepEqual(ev, fresh) {
		t.Fatalf("reused: %v, fresh: %v", rej, want)
	}
	if value == nil {
		return
	}
	doc, valid := syntaxValid(value)
	switch code(rej) {
	case "":
		if !valid {
			t.Fatalf("accepted what is no JSON: %q", value)
		}
		if got, want := seen(&ev), wanted(t, doc); got != want {
			t.Fatalf("%q\n got %s\nwant %s", value, got, want)
		}
		checkRoundTrip(t, &ev)
	case JSONSyntax, NumberSyntax:
		if valid {
			t.Fatalf("refused JSON: %v: %q", rej, value)
		}
	case Tombstone, Panic, TooLarge:
		t.Fatalf("%v: %q", rej, value)
	}
	if rej != nil && len(rej.Reason) > 100 {
		t.Fatalf("a reason of %d bytes", len(rej.Reason))
	}
}

// TestRandomRecords gives fields random values, most of them legal JSON, and holds the outcome to
// encoding/json as FuzzDecode does; it reaches what flipping bytes does not.
func TestRandomRecords(t *testing.T) {
	names := slices.Sorted(maps.Keys(payloads))
	pieces := rapid.SampledFrom([]string{"a", "я", "语", "😀", " ", `\n`, `\"`, `\\`, `\/`, `\u0041`,
		`\ud83d\ude00`,
		`\ud800`, `\udfff`, `\u0000`, `\b`,
		"\x01", "\x7f", "\u0085", "\xff", "\xe2\x82", "{", "]", ":", ","})
	quoted := rapid.Map(rapid.SliceOfN(pieces, 0, 6), func(parts []string) string {
		return `"` + strings.Join(parts, "") + `"`
	})
	values := rapid.OneOf(quoted, quoted, rapid.Map(rapid.Int64(), num),
		rapid.Map(rapid.Float64Range(-1e6, 1e6), flt),
		rapid.SampledFrom([]string{"null", "true", "false", `""`, "{}", "[]", `["a",null,"b\n"]`, "-0",
			"0.10", "1E3", "9007199254740993", "01", `"customer"`, `"none"`, `"open"`, `{"a":1,"a":[2]}`,
			`"2026-11-02T10:15:30.5-01:00"`, "1793613600000"}))
	reused := NewDecoder(Limits{})
	accepted := 0
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom(names).Draw(rt, "type")
		doc := full(name)
		for range rapid.IntRange(1, 3).Draw(rt, "changes") {
			f := rapid.SampledFrom(fields).Draw(rt, "field")
			if f.path != "type" && f.on(ParseType([]byte(name))) {
				doc = set(doc, f.at(name), values.Draw(rt, "value"))
			}
		}
		if reused.Decode([]byte(doc), testEnvelope, new(Event)) == nil {
			accepted++
		}
		checkRecord(t, reused, []byte(doc))
	})
	if accepted == 0 {
		t.Error("no random record was a good one")
	}
}
