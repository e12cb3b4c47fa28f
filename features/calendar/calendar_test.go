package calendar

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func make1(t testing.TB, name string, d Definition) *Calendar {
	t.Helper()
	d.Zone = name
	c, err := New(zone(t, name), d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// salon has split shifts, a short Saturday, a day that differs and closed days.
func salon() Definition {
	split := []Span{{10 * 60, 14 * 60}, {15 * 60, 20 * 60}}
	return Definition{
		Week: [7][]Span{split, split, split, split, split, {{11 * 60, 18 * 60}}},
		Dates: map[string][]Span{
			"2026-12-24": {{10 * 60, 13 * 60}}, "2026-12-25": nil, "2026-12-26": {},
		},
	}
}

// night has hours across midnight and within the hours that clocks skip and repeat.
func night() Definition {
	spans := []Span{{0, 95}, {2*60 + 10, 3*60 + 30}, {22 * 60, 24 * 60}}
	return Definition{
		Week:  [7][]Span{spans, spans, nil, spans, spans, spans, {{1*60 + 45, 4 * 60}}},
		Dates: map[string][]Span{"2026-03-29": {{3*60 + 30, 6 * 60}}},
	}
}

// openByClock asks the wall clock alone.
func openByClock(t time.Time, d *Definition) bool {
	spans, ok := d.Dates[t.Format(time.DateOnly)]
	if !ok {
		spans = d.Week[(int(t.Weekday())+6)%7]
	}
	minute := t.Hour()*60 + t.Minute()
	for _, s := range spans {
		if minute >= s.FromMin && minute < s.ToMin {
			return true
		}
	}
	return false
}

var zones = []string{
	"Europe/Riga", "Europe/Moscow", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe",
}

// TestAgainstMinutes holds Business, Open and Add to counting minute by minute, on sampled spans of
// ten years. Every change of a clock in them is the middle of a span.
func TestAgainstMinutes(t *testing.T) {
	for _, name := range zones {
		for label, d := range map[string]Definition{"salon": salon(), "night": night()} {
			t.Run(name+"/"+label, func(t *testing.T) {
				c, rng := make1(t, name, d), rand.New(rand.NewPCG(7, 11))
				begin := time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)
				for _, at := range changes(zone(t, name), begin, begin.AddDate(10, 0, 0)) {
					againstMinutes(t, c, &d, at.Add(-20*time.Hour), 3*24*60)
				}
				for range 25 {
					from := begin.Add(time.Duration(rng.Int64N(10*365*24*60)) * time.Minute)
					againstMinutes(t, c, &d, from, 1+rng.IntN(6*24*60))
				}
				againstMinutes(t, c, &d, time.Date(2026, 12, 22, 3, 7, 0, 0, time.UTC), 14*24*60)
			})
		}
	}
}

func changes(loc *time.Location, from, until time.Time) (out []time.Time) {
	for t := from.In(loc); ; {
		_, next := t.ZoneBounds()
		if next.IsZero() || next.After(until) {
			return out
		}
		out, t = append(out, next), next.In(loc)
	}
}

func againstMinutes(t *testing.T, c *Calendar, d *Definition, from time.Time, minutes int) {
	t.Helper()
	start, open := from.UnixMilli(), int64(0)
	for i := range minutes {
		at := from.Add(time.Duration(i) * time.Minute)
		is := openByClock(at.In(c.zone), d)
		if c.Open(at.UnixMilli()) != is {
			t.Fatalf("Open at %s = %v, the clock says %v", at.In(c.zone), !is, is)
		}
		if is {
			open += minuteMS
		}
		end := at.UnixMilli() + minuteMS
		if i%7 == 0 || i == minutes-1 {
			if got := c.Business(start, end); got != open {
				t.Fatalf("Business from %s for %d min = %d, counted %d", from, i+1, got, open)
			}
		}
		if is && i%11 == 0 {
			if due, err := c.Add(start, open-30_000); err != nil || due != end-30_000 {
				t.Fatalf("Add %d to %s = %d %v, want %d", open-30_000, from, due, err, end-30_000)
			}
		}
	}
}

func instant(t *testing.T, s string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

// TestClockTraps are the two traps of KPIS edge case 8, and a zone that lost a whole day.
func TestClockTraps(t *testing.T) {
	day := func(date string, spans ...Span) Definition {
		return Definition{Dates: map[string][]Span{date: spans}}
	}
	for _, x := range []struct {
		name, zone, date, from, to string
		span                       Span
		want                       time.Duration
	}{
		{"wall 02:59 to 04:00 is one minute", "Europe/Riga", "2026-03-29", "2026-03-29T00:59:00Z",
			"2026-03-29T01:00:00Z", Span{0, 1440}, time.Minute},
		{"03:30 does not exist: open from 04:00", "Europe/Riga", "2026-03-29", "2026-03-28T12:00:00Z",
			"2026-03-29T12:00:00Z", Span{210, 360}, 2 * time.Hour},
		{"a day of 23 hours", "Europe/Riga", "2026-03-29", "2026-03-28T12:00:00Z",
			"2026-03-30T12:00:00Z", Span{0, 1440}, 23 * time.Hour},
		{"03:30 comes twice: open both times", "Europe/Riga", "2026-10-25", "2026-10-24T12:00:00Z",
			"2026-10-25T12:00:00Z", Span{180, 210}, time.Hour},
		{"a day of 25 hours", "Europe/Riga", "2026-10-25", "2026-10-24T12:00:00Z",
			"2026-10-26T12:00:00Z", Span{0, 1440}, 25 * time.Hour},
		{"the office is not an hour late afterwards", "Europe/Riga", "2026-10-26",
			"2026-10-26T07:00:00Z", "2026-10-26T08:00:00Z", Span{540, 600}, time.Hour},
		{"half an hour", "Australia/Lord_Howe", "2026-04-05", "2026-04-04T00:00:00Z",
			"2026-04-06T00:00:00Z", Span{60, 180}, 150 * time.Minute},
		{"a day that did not exist", "Pacific/Apia", "2011-12-30", "2011-12-28T00:00:00Z",
			"2012-01-02T00:00:00Z", Span{0, 1440}, 0},
	} {
		c := make1(t, x.zone, day(x.date, x.span))
		got := c.Business(instant(t, x.from), instant(t, x.to))
		if got != x.want.Milliseconds() {
			t.Errorf("%s: %d ms, want %s", x.name, got, x.want)
		}
	}
}

// TestAdd: Friday 16:30 and one hour, office hours 9 to 17, is Monday 09:30 (Chatwoot #13392).
func TestAdd(t *testing.T) {
	office := []Span{{9 * 60, 17 * 60}}
	c := make1(t, "Europe/Riga", Definition{Week: [7][]Span{office, office, office, office, office}})
	due, err := c.Add(instant(t, "2026-03-27T16:30:00+02:00"), 3600_000)
	if want := instant(t, "2026-03-30T09:30:00+03:00"); err != nil || due != want {
		t.Errorf("got %d %v, want %d", due, err, want)
	}
	due, err = c.Add(instant(t, "2026-12-31T16:00:00+02:00"), 2*3600_000)
	if want := instant(t, "2027-01-01T10:00:00+02:00"); err != nil || due != want {
		t.Errorf("over the year: got %d %v, want %d", due, err, want)
	}
	if _, err = make1(t, "UTC", Definition{}).Add(0, 1); !errors.Is(err, ErrNeverOpen) {
		t.Errorf("never open: %v", err)
	}
}

// TestOutOfHours: a reply out of hours to a message out of hours took no business time, and without
// a calendar all time counts (edge case 10).
func TestOutOfHours(t *testing.T) {
	c := make1(t, "Europe/Riga", salon())
	from, to := instant(t, "2026-12-25T12:00:00+02:00"), instant(t, "2026-12-26T23:00:00+02:00")
	if got := c.Business(from, to); got != 0 || c.Open(from) {
		t.Errorf("got %d ms, open %v", got, c.Open(from))
	}
	var none *Calendar
	due, err := none.Add(from, 5)
	if none.Business(from, to) != to-from || !none.Open(from) || none.Version() != "" ||
		due != from+5 || err != nil || none.Business(to, from) != 0 {
		t.Error("no calendar is not around the clock")
	}
}

func TestVersion(t *testing.T) {
	a, b := make1(t, "Europe/Riga", salon()), make1(t, "Europe/Riga", salon())
	if a.Version() != b.Version() || len(a.Version()) != 16 {
		t.Errorf("equal definitions: %q %q", a.Version(), b.Version())
	}
	text, err := a.Definition().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(text)
	if err != nil || make1(t, d.Zone, d).Version() != a.Version() {
		t.Errorf("a definition that was written and read: %v", err)
	}
	d = salon()
	d.Week[0] = d.Week[0][:1]
	if make1(t, "Europe/Riga", d).Version() == a.Version() ||
		make1(t, "Europe/Vilnius", salon()).Version() == a.Version() {
		t.Error("other hours or another zone have the same version")
	}
}

func TestBadDefinitions(t *testing.T) {
	for name, d := range map[string]Definition{
		"backwards": {Week: [7][]Span{{{600, 540}}}}, "empty": {Week: [7][]Span{{{600, 600}}}},
		"beyond the day": {Week: [7][]Span{{{600, 1441}}}}, "negative": {Week: [7][]Span{{{-1, 5}}}},
		"overlap": {Week: [7][]Span{{{600, 700}, {650, 800}}}},
		"no date": {Dates: map[string][]Span{"2026-02-30": nil}},
		"date":    {Dates: map[string][]Span{"2026-02-03": {{5, 4}}}},
	} {
		if _, err := New(time.UTC, d); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkBusiness(b *testing.B) {
	c := make1(b, "Europe/Riga", salon())
	from := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for b.Loop() {
		c.Business(from, from+3*dayMS)
	}
}
