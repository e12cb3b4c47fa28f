package event

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzDecode holds the decoder to encoding/json: what it accepts is JSON and has the same values;
// what it refuses for its syntax is no JSON. And the decoder reused through the whole run agrees
// with a fresh one, reasons are short, and encoding what was accepted gives it again.
func FuzzDecode(f *testing.F) {
	for name := range payloads {
		f.Add([]byte(full(name)))
	}
	for _, bad := range badDocuments() {
		if len(bad.value) < 4096 {
			f.Add([]byte(bad.value))
		}
	}
	for _, text := range []string{`\ud800\n`, "\x01\xff\u0085", `\q`, `\u00`, `😀\ud83d\ude00`} {
		f.Add([]byte(strings.Replace(full("message"), "Сколько", text, 1)))
		f.Add([]byte(strings.Replace(full("message"), "e-1", text, 1)))
	}
	reused := NewDecoder(Limits{})
	f.Fuzz(func(t *testing.T, value []byte) {
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
	})
}
