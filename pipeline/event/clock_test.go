package event

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseRFC3339(t *testing.T) {
	for in, want := range map[string]string{ // want is the same instant as time.Parse takes it
		"2026-11-02T10:15:30Z":                                 "2026-11-02T10:15:30Z",
		"2026-11-02t10:15:30z":                                 "2026-11-02T10:15:30Z",
		"2026-11-02T10:15:30.9999999Z":                         "2026-11-02T10:15:30.999Z",
		"2026-11-02T10:15:30.1+02:00":                          "2026-11-02T08:15:30.1Z",
		"2026-11-02T00:15:30-09:30":                            "2026-11-02T09:45:30Z",
		"2026-11-02T10:15:30-00:00":                            "2026-11-02T10:15:30Z",
		"2024-02-29T23:59:59+23:59":                            "2024-02-29T00:00:59Z",
		"2016-12-31T23:59:60Z":                                 "2016-12-31T23:59:59Z",
		"2016-12-31T23:59:60.5Z":                               "2016-12-31T23:59:59.5Z",
		"2017-01-01T01:59:60+02:00":                            "2016-12-31T23:59:59Z",
		"0000-01-01T00:00:00Z":                                 "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59Z":                                 "9999-12-31T23:59:59Z",
		"1970-01-01T00:00:00Z":                                 "1970-01-01T00:00:00Z",
		"2026-11-02T10:15:30":                                  "",
		"2026-11-02 10:15:30Z":                                 "",
		"2026-11-02T10:15:30.Z":                                "",
		"2026-11-02T10:15:30,5Z":                               "",
		"2026-11-02T10:15:30+0200":                             "",
		"2026-11-02T10:15:30+02":                               "",
		"2026-11-02T10:15:30+24:00":                            "",
		"2026-11-02T10:15:30+02:60":                            "",
		"2026-11-02T10:15:30Zulu":                              "",
		"2026-11-02T24:00:00Z":                                 "",
		"2026-11-02T10:60:30Z":                                 "",
		"2026-11-02T10:15:61Z":                                 "",
		"2026-13-02T10:15:30Z":                                 "",
		"2026-00-02T10:15:30Z":                                 "",
		"2026-11-00T10:15:30Z":                                 "",
		"2026-11-31T10:15:30Z":                                 "",
		"2026-02-29T10:15:30Z":                                 "",
		"1900-02-29T10:15:30Z":                                 "",
		"2026-11-02T1:15:30Z ":                                 "",
		"+026-11-02T10:15:30Z":                                 "",
		"2026-11-02T10:15:30.5":                                "",
		"2026-11-02":                                           "",
		"2026/11/02T10:15:30Z":                                 "",
		"2026-11-02T10:15:3/Z":                                 "",
		"2026-11-02T10:15:30.٣Z":                               "",
		"Mon, 02 Nov 2026 10:15:30 GMT":                        "",
		"2026-11-02T10:15:30Z[Europe/Riga]":                    "",
		strings.Repeat("9", 20):                                "",
		"2026-11-02T10:15:30." + strings.Repeat("1", 40) + "Z": "2026-11-02T10:15:30.111Z",
	} {
		ms, ok := parseRFC3339([]byte(in))
		if ok != (want != "") {
			t.Errorf("%s: accepted %v", in, ok)
			continue
		}
		if at, _ := time.Parse(time.RFC3339Nano, want); ok && at.UnixMilli() != ms {
			t.Errorf("%s: %d, want %d", in, ms, at.UnixMilli())
		}
	}
}

// TestParseRFC3339IsTimeParse: any instant in any offset reads as the standard library reads it.
func TestParseRFC3339IsTimeParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(-62135596800000, 253402214400000).Draw(t, "ms"))
		offset := rapid.IntRange(-23*60, 23*60).Draw(t, "minutes")
		layout := rapid.SampledFrom([]string{time.RFC3339Nano, "2006-01-02T15:04:05.000000Z07:00"})
		s := at.In(time.FixedZone("", offset*60)).Format(layout.Draw(t, "layout"))
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			t.Skip("beyond year 0 to 9999 in this offset")
		}
		if ms, ok := parseRFC3339([]byte(s)); !ok || ms != at.UnixMilli() {
			t.Fatalf("%s: %d %v, want %d", s, ms, ok, at.UnixMilli())
		}
	})
}

// TestParseRFC3339IsNoMoreLenient: one byte changed, and what is still accepted is the same instant
// for the standard library, leap seconds and the case of T and Z apart.
func TestParseRFC3339IsNoMoreLenient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := []byte("2026-11-02T10:15:30.250+02:00")
		s[rapid.IntRange(0, len(s)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		ms, ok := parseRFC3339(s)
		want, err := time.Parse(time.RFC3339Nano, strings.ToUpper(string(s)))
		if string(s[17:19]) == "60" {
			t.Skip("a leap second")
		}
		if string(s[27:]) == "60" {
			t.Skip("the standard library takes an offset of 60 minutes, RFC 3339 does not")
		}
		if ok != (err == nil) && s[19] != ',' || ok && ms != want.UnixMilli() {
			t.Fatalf("%q: %d %v, the standard library %v %v", s, ms, ok, want, err)
		}
	})
}
