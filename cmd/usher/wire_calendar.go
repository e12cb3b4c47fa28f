package main

import (
	"time"

	"usher/cmd/usher/internal/config"
	"usher/features/calendar"
)

// calendarOf makes the calendar of a tenant in its zone; nil when it has none.
func calendarOf(c *config.Config, t config.Tenant, zone *time.Location) (*calendar.Calendar, error) {
	hours, ok := c.Calendars[t.Calendar]
	if !ok {
		return nil, nil
	}
	week, _, err := hours.Parse()
	if err != nil {
		return nil, usagef("cannot use calendars.%s: %w", t.Calendar, err)
	}
	d := calendar.Definition{Zone: zone.String(), Dates: make(map[string][]calendar.Span)}
	for day, hours := range week {
		d.Week[day] = spansOf(hours)
	}
	for date, hours := range hours.Dates() {
		d.Dates[date] = spansOf(hours)
	}
	cal, err := calendar.New(zone, d)
	if err != nil {
		return nil, usagef("cannot use calendars.%s: %w", t.Calendar, err)
	}
	return cal, nil
}

func spansOf(hours []config.Hours) []calendar.Span {
	var out []calendar.Span
	for _, h := range hours {
		out = append(out, calendar.Span(h))
	}
	return out
}
