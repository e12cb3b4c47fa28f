// Package calendar counts business time: working hours in a time zone, split shifts, closed dates
// and dates that differ, right across changes of the clock (KPIS section 2, edge cases 8 to 10).
//
// An instant is open when the wall clock of the zone, at that instant, shows a minute of that day's
// hours. So where the clock goes forward the skipped minutes do not exist, and hours that begin
// among them begin with the next minute that does; where it goes back the repeated minutes are open
// both times. Hours are expanded to UTC intervals a year at a time, once: no arithmetic on wall time
// is left when a wait is measured.
package calendar

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// Span is a part of a day in minutes after midnight by the wall clock; ToMin is exclusive and at
// most 1440. Past midnight is two spans.
type Span struct {
	FromMin int `json:"from"`
	ToMin   int `json:"to"`
}

// Definition is what a calendar says, beside its zone.
type Definition struct {
	Zone  string            `json:"zone"`            // IANA name, for the version and for messages
	Week  [7][]Span         `json:"week"`            // Monday first
	Dates map[string][]Span `json:"dates,omitempty"` // YYYY-MM-DD: instead of the weekday; none = closed
}

// MarshalBinary is the definition in its canonical form, from which Parse makes it again.
func (d Definition) MarshalBinary() ([]byte, error) { return json.Marshal(d) }

// Parse reads what MarshalBinary wrote.
func Parse(b []byte) (Definition, error) {
	var d Definition
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("cannot read a calendar's definition: %w", err)
	}
	return d, nil
}

// ErrNeverOpen says that Add found no open time within its horizon.
var ErrNeverOpen = errors.New("the calendar is not open long enough within twenty years")

const (
	dayMS    = 24 * 60 * 60 * 1000
	minuteMS = 60 * 1000
	// firstYear and lastYear bound the instants whose years are kept; outside, time is closed.
	firstYear, lastYear = 1970, 2199
	// horizonYears bounds how far Add looks for open time.
	horizonYears = 20
	// versionBytes of a SHA-256 name a definition.
	versionBytes = 8
)

// Calendar measures business time. Its methods are safe for concurrent use. A nil *Calendar is open
// around the clock (edge case 10) and has the version "".
type Calendar struct {
	zone    *time.Location
	def     Definition
	dates   map[int32][]Span
	version string
	years   [lastYear - firstYear + 1]atomic.Pointer[year]
}

// interval is open time in ms since 1970 UTC; before is the open time of the year until from.
type interval struct{ from, to, before int64 }

// year is the open time of one UTC year.
type year struct {
	open  []interval
	total int64
}

// New makes a calendar of hours in zone. An error says which hours cannot be.
func New(zone *time.Location, d Definition) (*Calendar, error) {
	c := &Calendar{zone: zone, dates: make(map[int32][]Span, len(d.Dates))}
	c.def.Zone = d.Zone
	for i, spans := range d.Week {
		if err := checkSpans(spans); err != nil {
			return nil, fmt.Errorf("cannot use hours of %s: %w", time.Weekday((i+1)%7), err)
		}
		c.def.Week[i] = hoursOf(spans)
	}
	for date, spans := range d.Dates {
		t, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return nil, fmt.Errorf("cannot use date %q: write it like 2026-12-25", date)
		}
		if err := checkSpans(spans); err != nil {
			return nil, fmt.Errorf("cannot use hours of %s: %w", date, err)
		}
		if c.def.Dates == nil {
			c.def.Dates = make(map[string][]Span, len(d.Dates))
		}
		c.def.Dates[date] = hoursOf(spans)
		c.dates[int32(t.Unix()*1000/dayMS)] = c.def.Dates[date]
	}
	text, err := c.def.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("cannot name the calendar's version: %w", err)
	}
	sum := sha256.Sum256(text)
	c.version = hex.EncodeToString(sum[:versionBytes])
	return c, nil
}

// hoursOf is a copy; a day without hours has one form, so that equal hours have equal versions.
func hoursOf(spans []Span) []Span {
	if len(spans) == 0 {
		return nil
	}
	return slices.Clone(spans)
}

func checkSpans(spans []Span) error {
	for i, s := range spans {
		if s.FromMin < 0 || s.ToMin > 24*60 || s.FromMin >= s.ToMin {
			return fmt.Errorf("minutes %d to %d are no part of a day", s.FromMin, s.ToMin)
		}
		if i > 0 && s.FromMin < spans[i-1].ToMin {
			return errors.New("spans overlap or are not in order")
		}
	}
	return nil
}

// Version names the definition: equal hours in equal zones have equal versions. 16 hex digits.
func (c *Calendar) Version() string {
	if c == nil {
		return ""
	}
	return c.version
}

// Definition is what the calendar was made from.
func (c *Calendar) Definition() Definition {
	if c == nil {
		return Definition{}
	}
	return c.def
}

// Open reports whether ms since 1970 UTC is business time.
func (c *Calendar) Open(ms int64) bool {
	if c == nil {
		return true
	}
	open := c.year(yearOf(ms)).open
	i := after(open, ms)
	return i > 0 && ms < open[i-1].to
}

// Business is the open time from fromMS until toMS in ms, 0 when toMS is not later.
func (c *Calendar) Business(fromMS, toMS int64) int64 {
	if toMS <= fromMS {
		return 0
	}
	if c == nil {
		return toMS - fromMS
	}
	a, b := yearOf(fromMS), yearOf(toMS)
	sum := c.year(b).until(toMS) - c.year(a).until(fromMS)
	for y := max(a, firstYear); y < min(b, lastYear+1); y++ {
		sum += c.year(y).total
	}
	return sum
}

// Add is the instant at which durationMS of open time from fromMS on have passed: the due time.
// The error is ErrNeverOpen.
func (c *Calendar) Add(fromMS, durationMS int64) (dueMS int64, err error) {
	if c == nil || durationMS <= 0 {
		return fromMS + max(0, durationMS), nil
	}
	first := yearOf(fromMS)
	left := durationMS + c.year(first).until(fromMS)
	for n := first; n <= first+horizonYears; n++ {
		y := c.year(n)
		if left <= y.total {
			i := sort.Search(len(y.open), func(i int) bool {
				return y.open[i].before+y.open[i].to-y.open[i].from >= left
			})
			return y.open[i].from + left - y.open[i].before, nil
		}
		left -= y.total
	}
	return 0, fmt.Errorf("cannot add %d ms of business time: %w", durationMS, ErrNeverOpen)
}

func yearOf(ms int64) int { return time.UnixMilli(ms).UTC().Year() }

// after is the number of intervals that begin at ms or before.
func after(open []interval, ms int64) int {
	return sort.Search(len(open), func(i int) bool { return open[i].from > ms })
}

// until is the open time of the year before ms.
func (y *year) until(ms int64) int64 {
	i := after(y.open, ms)
	if i == 0 {
		return 0
	}
	v := &y.open[i-1]
	return v.before + min(ms, v.to) - v.from
}

func (c *Calendar) year(n int) *year {
	if n < firstYear || n > lastYear {
		return &year{}
	}
	at := &c.years[n-firstYear]
	if y := at.Load(); y != nil {
		return y
	}
	y := c.expand(n) // another goroutine may do the same: the results are equal
	at.Store(y)
	return y
}

// expand turns the local days that touch the UTC year n into UTC intervals: each stretch of time
// with one offset from UTC on its own.
func (c *Calendar) expand(n int) *year {
	begin := time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	end := time.Date(n+1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	y := &year{}
	for from := begin; from < end; {
		t := time.UnixMilli(from).In(c.zone)
		_, seconds := t.Zone()
		offset, until := int64(seconds)*1000, end
		if _, next := t.ZoneBounds(); !next.IsZero() {
			until = min(end, next.UnixMilli())
		}
		for day := floorDiv(from+offset, dayMS); day*dayMS-offset < until; day++ {
			for _, s := range c.hours(day) {
				a := max(from, day*dayMS+int64(s.FromMin)*minuteMS-offset)
				b := min(until, day*dayMS+int64(s.ToMin)*minuteMS-offset)
				y.add(a, b)
			}
		}
		from = until
	}
	for i := range y.open {
		y.open[i].before = y.total
		y.total += y.open[i].to - y.open[i].from
	}
	return y
}

// hours are the spans of a local day, in days since 1970.
func (c *Calendar) hours(day int64) []Span {
	if spans, ok := c.dates[int32(day)]; ok {
		return spans
	}
	const mondayOfEpoch = 3 // 1970-01-01 was a Thursday
	return c.def.Week[((day+mondayOfEpoch)%7+7)%7]
}

func (y *year) add(from, to int64) {
	if from >= to {
		return
	}
	if n := len(y.open); n > 0 && y.open[n-1].to == from {
		y.open[n-1].to = to
		return
	}
	y.open = append(y.open, interval{from: from, to: to})
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
