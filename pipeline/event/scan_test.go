package event

import (
	"encoding/json"
	"strconv"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestNumberClass holds the grammar to encoding/json's, and integers to strconv's.
func TestNumberClass(t *testing.T) {
	numbers := rapid.OneOf(
		rapid.StringMatching(`-?[0-9]{0,20}(\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?`),
		rapid.StringMatching(`[0-9+.eE-]{0,8}`),
		rapid.Map(rapid.Int64(), func(n int64) string { return strconv.FormatInt(n, 10) }),
		rapid.SampledFrom([]string{"9223372036854775807", "9223372036854775808",
			"-9223372036854775808", "-9223372036854775809", "18446744073709551616", "NaN", "-0"}))
	rapid.Check(t, func(t *rapid.T) {
		s := numbers.Draw(t, "number")
		class := numberClass([]byte(s))
		if valid := json.Valid([]byte(s)); valid != (class != notNumber) {
			t.Fatalf("%q: class %d, encoding/json says %v", s, class, valid)
		}
		if class == notNumber {
			return
		}
		n, ok := parseInt([]byte(s))
		want, err := strconv.ParseInt(s, 10, 64)
		if ok != (err == nil) || ok && n != want {
			t.Fatalf("%q: %d %v, strconv says %d %v", s, n, ok, want, err)
		}
	})
}

// TestScanBytes holds the test of eight bytes at a time to one by one.
func TestScanBytes(t *testing.T) {
	bytes := rapid.OneOf(rapid.ByteRange(0x20, 0x7e), rapid.Byte(),
		rapid.SampledFrom([]byte{0, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff}))
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SliceOfN(bytes, 0, 80).Draw(t, "s")
		control, high := false, false
		for _, c := range s {
			control = control || c < 0x20 || c == 0x7f
			high = high || c >= 0x80
		}
		if c, h := scanBytes(s); c != control || h != high {
			t.Fatalf("%q: control %v, high %v", s, c, h)
		}
	})
}

func TestHasControl(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringN(0, 30, -1).Draw(t, "s")
		want := false
		for _, r := range s {
			want = want || unicode.Is(unicode.Cc, r)
		}
		if got := hasControl([]byte(s)); got != want {
			t.Fatalf("%q: %v", s, got)
		}
	})
}

// TestTooDeep against a parser's stack, on documents made of brackets, quotes and backslashes.
func TestTooDeep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := []byte(rapid.StringMatching(`[\[\]{}"\\a]{0,40}`).Draw(t, "s"))
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		depth, most := 0, 0
		for i := 0; i < len(s); i++ {
			switch s[i] {
			case '"':
				for i++; i < len(s) && s[i] != '"'; i++ {
					if s[i] == '\\' {
						i++
					}
				}
			case '[', '{':
				depth++
				most = max(most, depth)
			case ']', '}':
				depth--
			}
		}
		if got := tooDeep(s, limit); got != (most > limit) {
			t.Fatalf("%q, limit %d: %v, deepest %d", s, limit, got, most)
		}
	})
}

// TestMend: what comes out is valid UTF-8 and needs no mending, and a document that is fine stays.
func TestMend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "я", "\x01", "\x7f", "\u0085", "\xff",
			"\xe2\x82", `\n`, `\"`, `\\`, `\u0041`, `\ud800`, `\ud83d\ude00`, `\u0000`, `\b`, " "}),
			0, 12).Draw(t, "inner")
		doc := []byte(`{"k":"`)
		for _, s := range inner {
			doc = append(doc, s...)
		}
		doc = append(doc, `"}`...)
		f := inspect(doc)
		if f.badAt >= 0 {
			t.Fatalf("%q: no escape at %d", doc, f.badAt)
		}
		out, replaced := mend(nil, doc)
		if replaced != f.mend {
			t.Fatalf("%q: mend wanted %v, replaced %v", doc, f.mend, replaced)
		}
		if !replaced && string(out) != string(doc) {
			t.Fatalf("%q became %q", doc, out)
		}
		if !utf8.Valid(out) || inspect(out).mend || !json.Valid(out) {
			t.Fatalf("%q became %q", doc, out)
		}
	})
}
