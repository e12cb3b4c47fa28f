package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// weekdays are the names that a calendar knows, Monday first.
var weekdays = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// Hours is one span of a working day in minutes after midnight, wall time; To is exclusive.
type Hours struct{ FromMin, ToMin int }

// validate reports whatever is wrong with the calendar.
func (c Calendar) validate(k *checker, path string) {
	if _, _, problems := c.parse(); problems != nil {
		for _, p := range problems {
			k.add(path+"."+p.key, "%s", p.text)
		}
	}
}

type calendarProblem struct{ key, text string }

// Parse returns the hours of each weekday, Monday first, and the closed dates (YYYY-MM-DD). The
// calendar of a loaded Config always parses.
func (c Calendar) Parse() (week [7][]Hours, closed []string, err error) {
	week, closed, problems := c.parse()
	if problems != nil {
		return week, closed, fmt.Errorf("%s: %s", problems[0].key, problems[0].text)
	}
	return week, closed, nil
}

// Dates returns the dates (YYYY-MM-DD) that do not go by their weekday: the closed ones without
// hours, and those that are keys with hours of their own.
func (c Calendar) Dates() map[string][]Hours {
	out := make(map[string][]Hours)
	for _, date := range c["closed"] {
		out[date] = nil
	}
	for key, spans := range c {
		if _, err := time.Parse(time.DateOnly, key); err == nil {
			out[key], _ = parseHours(spans)
		}
	}
	return out
}

func (c Calendar) parse() (week [7][]Hours, closed []string, problems []calendarProblem) {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if key == "closed" {
			for _, date := range c[key] {
				if _, err := time.Parse(time.DateOnly, date); err != nil {
					problems = append(problems, calendarProblem{key, fmt.Sprintf(
						"%q is no date: write 2026-12-25", date)})
				}
			}
			closed = c[key]
			continue
		}
		if _, err := time.Parse(time.DateOnly, key); err == nil {
			if _, text := parseHours(c[key]); text != "" {
				problems = append(problems, calendarProblem{key, text})
			}
			if slices.Contains(c["closed"], key) {
				problems = append(problems, calendarProblem{key, "is also closed: say one of them"})
			}
			continue
		}
		from, to, ok := dayRange(key)
		if !ok {
			problems = append(problems, calendarProblem{key,
				"is neither a day (mon), a run of days (mon-fri), a date (2026-12-24) nor closed"})
			continue
		}
		hours, text := parseHours(c[key])
		if text != "" {
			problems = append(problems, calendarProblem{key, text})
			continue
		}
		for day := from; ; day = (day + 1) % 7 {
			if week[day] != nil {
				problems = append(problems, calendarProblem{key,
					weekdays[day] + " is set twice"})
			}
			week[day] = hours
			if day == to {
				break
			}
		}
	}
	return week, closed, problems
}

// dayRange reads mon or mon-fri; fri-mon runs over the weekend.
func dayRange(key string) (from, to int, ok bool) {
	first, last, run := strings.Cut(key, "-")
	if !run {
		last = first
	}
	from, to = slices.Index(weekdays[:], first), slices.Index(weekdays[:], last)
	return from, to, from >= 0 && to >= 0
}

// parseHours reads a day's spans, sorted; the text says what is wrong.
func parseHours(spans []string) ([]Hours, string) {
	out := []Hours{}
	for _, span := range spans {
		first, last, cut := strings.Cut(span, "-")
		from, ok1 := minuteOfDay(first)
		to, ok2 := minuteOfDay(last)
		if !cut || !ok1 || !ok2 || from >= to {
			return nil, fmt.Sprintf("%q is no span of hours: write 10:00-14:00; past midnight is "+
				"two spans, the first to 24:00", span)
		}
		out = append(out, Hours{FromMin: from, ToMin: to})
	}
	slices.SortFunc(out, func(a, b Hours) int { return cmp.Compare(a.FromMin, b.FromMin) })
	for i := 1; i < len(out); i++ {
		if out[i].FromMin < out[i-1].ToMin {
			return nil, "its spans overlap"
		}
	}
	return out, ""
}

func minuteOfDay(s string) (int, bool) {
	h, m, cut := strings.Cut(strings.TrimSpace(s), ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !cut || err1 != nil || err2 != nil || len(m) != 2 || hour < 0 || minute < 0 || minute > 59 {
		return 0, false
	}
	total := hour*60 + minute
	return total, total <= 24*60
}
