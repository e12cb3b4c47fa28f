package redact

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// filler is text around what is to be masked; it ends with a space.
var filler = rapid.StringMatching(`([a-zA-Zа-яā-ž一-龥,.!?()'"-]{0,12} ){0,4}`)

var emails = rapid.StringMatching(
	`[a-z0-9][a-z0-9._%+-]{0,20}@[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,8}){1,2}`)

// cards are numbers of a known issuer with a right check digit, in one of the usual groupings.
var cards = rapid.Custom(func(t *rapid.T) string {
	heads := []string{"4", "51", "55", "2221", "62", "6011", "35", "37"}
	head := rapid.SampledFrom(heads).Draw(t, "head")
	n := 16
	if head == "37" {
		n = 15
	}
	digits := head + rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), n-1-len(head),
		n-1-len(head), -1).Draw(t, "body")
	for check := 0; ; check++ {
		if full := digits + strconv.Itoa(check); luhnSlow(full) {
			return regroup(t, full)
		}
	}
})

func regroup(t *rapid.T, digits string) string {
	sep := rapid.SampledFrom([]string{"", " ", "-"}).Draw(t, "sep")
	sizes := []int{4, 4, 4, 4}
	if len(digits) == 15 {
		sizes = []int{4, 6, 5}
	}
	var parts []string
	for _, n := range sizes {
		parts = append(parts, digits[:n])
		digits = digits[n:]
	}
	return strings.Join(parts, sep)
}

// luhnSlow is the check of ISO/IEC 7812-1 annex B written from its text.
func luhnSlow(digits string) bool {
	sum := 0
	for i := len(digits) - 1; i >= 0; i-- {
		n, _ := strconv.Atoi(digits[i : i+1])
		if (len(digits)-i)%2 == 0 {
			n *= 2
		}
		sum += n/10 + n%10
	}
	return sum%10 == 0
}

var phones = rapid.StringMatching(`\+[1-9][0-9]{1,2}[ -]?[0-9]{2,3}[ -]?[0-9]{3}[ -]?[0-9]{2,4}`)

func TestNothingPersonalIsLeft(t *testing.T) {
	r := newRedactor(t, Config{})
	rapid.Check(t, func(t *rapid.T) {
		var in []byte
		var secrets []string
		for range rapid.IntRange(1, 4).Draw(t, "n") {
			s := rapid.OneOf(emails, cards, phones).Draw(t, "secret")
			secrets = append(secrets, s)
			in = append(in, filler.Draw(t, "filler")...)
			in = append(in, s...)
			in = append(in, rapid.SampledFrom([]string{" ", ", ", ". ", "\n", "; "}).Draw(t, "after")...)
		}
		out := r.Text(nil, in)
		for _, s := range secrets {
			if bytes.Contains(out, []byte(s)) {
				t.Fatalf("%q is left in %q", s, out)
			}
		}
		if again := r.Text(nil, out); !bytes.Equal(again, out) {
			t.Fatalf("masking %q again gives %q", out, again)
		}
	})
}

// TestWithoutPersonalDataNothingChanges: letters and few digits stay as they are.
func TestWithoutPersonalDataNothingChanges(t *testing.T) {
	r := newRedactor(t, Config{})
	rapid.Check(t, func(t *rapid.T) {
		in := []byte(rapid.StringMatching(`[^0-9@]{0,60}[0-9]{0,6}[^0-9@]{0,40}`).Draw(t, "text"))
		if out := r.Text(nil, in); !bytes.Equal(out, in) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}

// TestHasDigits holds the counting of eight bytes at a time to counting one by one.
func TestHasDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.OneOf(rapid.ByteRange('0', '9'), rapid.Byte()), 0, 30).Draw(t, "in")
		n := 0
		for _, c := range in {
			if c >= '0' && c <= '9' {
				n++
			}
		}
		if got := hasDigits(in); got != (n >= digitsMin) {
			t.Fatalf("hasDigits(%q) = %v with %d digits", in, got, n)
		}
	})
}

// FuzzText: any bytes give an end, a stable result and no panic.
func FuzzText(f *testing.F) {
	f.Add([]byte("bob@example.com +371 29 123 456 4111 1111 1111 1111 GB29NWBK60161331926819"))
	f.Add([]byte("(((1) 2-3.4/5 a@b@c 12:34 \xe2\x80\x91 \xc2"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newRedactor(t, Config{})
		out := r.Text(nil, in)
		if again := r.Text(nil, out); !bytes.Equal(again, out) {
			t.Fatalf("masking %q gives %q and then %q", in, out, again)
		}
		LooksPersonal(in)
	})
}
