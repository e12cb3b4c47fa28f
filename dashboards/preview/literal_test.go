package preview

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ends is a reading of ClickHouse's string literals that shares nothing with the code under test: the
// place after the closing quote.
func ends(text string) int {
	escaped := false
	for i, r := range text[1:] {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '\'':
			return i + 2
		}
	}
	return -1
}

func TestLiteralStaysBetweenItsQuotes(t *testing.T) {
	alphabet := []rune(`ab'\$-/* x2` + "\"`")
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom(alphabet))).Draw(t, "value")
		got := literal(value)
		if whole := "'" + got + "'"; ends(whole) != len(whole) {
			t.Fatalf("%q leaves its quotes as %s", value, whole)
		}
		for _, risky := range []string{"$", "--", "/*"} {
			if strings.Contains(got, risky) {
				t.Fatalf("%q keeps %s", value, risky)
			}
		}
		if literal(got) != got {
			t.Fatalf("%q is escaped twice", value)
		}
	})
}

// The sizes are what Grafana's own rounding gives.
func TestBucket(t *testing.T) {
	check := func(span time.Duration, points int, least, want time.Duration) {
		t.Helper()
		if got := bucket(span, points, least); got != want {
			t.Errorf("%v in %d points, at least %v: %v, want %v", span, points, least, got, want)
		}
	}
	const day = 24 * time.Hour
	check(time.Hour, 1000, 0, 5*time.Second)
	check(time.Hour, 1000, 10*time.Minute, 10*time.Minute)
	check(6*time.Hour, 1000, 0, 20*time.Second)
	check(7*day, 1000, 0, 10*time.Minute)
	check(7*day, 200, 0, time.Hour)
	check(30*day, 500, 0, time.Hour)
	check(90*day, 50, 0, day)
	check(400*day, 1, 0, 365*day)
	check(time.Second, 2000, 0, time.Millisecond)
	for text, want := range map[string]time.Duration{"10m": 10 * time.Minute, ">1h": time.Hour,
		"2d": 2 * day, "": 0, "often": 0} {
		if got := interval(text); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}
