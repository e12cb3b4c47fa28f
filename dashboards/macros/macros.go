// Package macros expands a board's SQL as Grafana and its ClickHouse plugin do, so that tests (and
// later the preview page) run exactly what Grafana would run.
package macros

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Window is what the time picker and the panel's width give a query.
type Window struct {
	From, To time.Time
	Interval time.Duration // of one bucket
}

// expansion is one macro: its number of arguments and what it becomes.
type expansion struct {
	arguments int
	expand    func(w Window, args []string) (string, error)
}

func fixed(text func(w Window) string) expansion {
	return expansion{0, func(w Window, _ []string) (string, error) { return text(w), nil }}
}

func ofColumn(text func(w Window, column string) string) expansion {
	return expansion{1, func(w Window, args []string) (string, error) { return text(w, args[0]), nil }}
}

func seconds(at time.Time) string { return fmt.Sprintf("toDateTime(%d)", at.Unix()) }

func millis(at time.Time) string {
	return fmt.Sprintf("fromUnixTimestamp64Milli(%d)", at.UnixMilli())
}

func date(at time.Time) string { return "toDate('" + at.UTC().Format(time.DateOnly) + "')" }

// between is column ≥ from AND column ≤ to, both written by instant.
func between(instant func(time.Time) string, w Window, column string) string {
	return column + " >= " + instant(w.From) + " AND " + column + " <= " + instant(w.To)
}

func dateAndTime(w Window, args []string) (string, error) {
	return "(" + between(date, w, args[0]) + ") AND (" + between(seconds, w, args[1]) + ")", nil
}

// group turns a period such as 5m into the start of its interval.
func group(_ Window, args []string) (string, error) {
	period, err := time.ParseDuration(args[1])
	if err != nil {
		return "", fmt.Errorf("cannot read the period of $__timeGroup: %w", err)
	}
	return fmt.Sprintf("toStartOfInterval(toDateTime(%s), INTERVAL %d second)", args[0],
		int64(period/time.Second)), nil
}

// expansions are the macros of the plugin and those that Grafana replaces before it.
func expansions() map[string]expansion {
	return map[string]expansion{
		"timeFilter": ofColumn(func(w Window, c string) string { return between(seconds, w, c) }),
		"timeFilter_ms": ofColumn(func(w Window, c string) string {
			return between(millis, w, c)
		}),
		"dateFilter":     ofColumn(func(w Window, c string) string { return between(date, w, c) }),
		"dateTimeFilter": {2, dateAndTime},
		"dt":             {2, dateAndTime},
		"timeInterval": ofColumn(func(w Window, c string) string {
			return fmt.Sprintf("toStartOfInterval(toDateTime(%s), INTERVAL %d second)", c,
				max(int64(w.Interval/time.Second), 1))
		}),
		"timeInterval_ms": ofColumn(func(w Window, c string) string {
			return fmt.Sprintf("toStartOfInterval(toDateTime64(%s, 3), INTERVAL %d millisecond)", c,
				max(w.Interval.Milliseconds(), 1))
		}),
		"timeGroup":   {2, group},
		"timeFrom":    ofColumn(func(w Window, c string) string { return c + " >= " + seconds(w.From) }),
		"timeTo":      ofColumn(func(w Window, c string) string { return c + " <= " + seconds(w.To) }),
		"fromTime":    fixed(func(w Window) string { return seconds(w.From) }),
		"toTime":      fixed(func(w Window) string { return seconds(w.To) }),
		"fromTime_ms": fixed(func(w Window) string { return millis(w.From) }),
		"toTime_ms":   fixed(func(w Window) string { return millis(w.To) }),
		"interval_s": fixed(func(w Window) string {
			return strconv.FormatInt(max(int64(w.Interval/time.Second), 1), 10)
		}),
		"interval_ms": fixed(func(w Window) string {
			return strconv.FormatInt(w.Interval.Milliseconds(), 10)
		}),
		"interval": fixed(func(w Window) string { return shortDuration(w.Interval) }),
	}
}

// shortDuration writes an interval as Grafana does: one number, one unit.
func shortDuration(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// Expand replaces every macro in sql, also inside string literals, as the plugin does; comments
// become blanks first. A macro that the plugin does not know is left for ClickHouse to refuse.
func Expand(sql string, w Window) (string, error) {
	sql = blankComments(sql)
	known := expansions()
	var out strings.Builder
	for {
		at := strings.Index(sql, "$__")
		if at < 0 {
			out.WriteString(sql)
			return out.String(), nil
		}
		out.WriteString(sql[:at])
		sql = sql[at:]
		name := nameOf(sql[3:])
		e, ok := known[name]
		if !ok {
			out.WriteString(sql[:3+len(name)])
			sql = sql[3+len(name):]
			continue
		}
		args, length := arguments(sql[3+len(name):])
		if len(args) != e.arguments && e.arguments > 0 {
			return "", fmt.Errorf("macro $__%s: expected %d argument(s), received %d", name,
				e.arguments, len(args))
		}
		text, err := e.expand(w, args)
		if err != nil {
			return "", err
		}
		out.WriteString(text)
		sql = sql[3+len(name)+length:]
	}
}

// nameOf is the run of word characters at the start of text.
func nameOf(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		return text
	}
	return text[:end]
}

// arguments reads a parenthesised list at the start of text, parentheses nested inside kept whole,
// and cuts it at every comma as the plugin does, also at one inside an argument's own parentheses.
func arguments(text string) (args []string, length int) {
	if !strings.HasPrefix(text, "(") {
		return nil, 0
	}
	depth := 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth > 0 {
			continue
		}
		inside := strings.TrimSpace(text[1:i])
		if inside == "" {
			return nil, i + 1
		}
		for part := range strings.SplitSeq(inside, ",") {
			args = append(args, strings.TrimSpace(part))
		}
		return args, i + 1
	}
	return nil, 0
}

// blankComments puts spaces in the place of line and block comments outside string literals.
func blankComments(sql string) string {
	text := []byte(sql)
	for i := 0; i < len(text); i++ {
		rest := string(text[i:])
		end := 0
		switch {
		case text[i] == '\'':
			i += max(literalLength(rest), 1) - 1
			continue
		case strings.HasPrefix(rest, "--"):
			if end = strings.IndexByte(rest, '\n'); end < 0 {
				end = len(rest)
			}
		case strings.HasPrefix(rest, "/*"):
			if end = strings.Index(rest, "*/") + 2; end < 2 {
				end = len(rest)
			}
		default:
			continue
		}
		for k := i; k < i+end; k++ {
			if text[k] != '\n' {
				text[k] = ' '
			}
		}
		i += end - 1
	}
	return string(text)
}

// literalLength is the length of the string literal at the start of text.
func literalLength(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return len(text)
}

// Value is what a variable stands for. List is a multi-value variable: its values are put between
// quotes without escaping. Raw is written as it is, as a custom "All" value is.
type Value struct {
	Raw  string
	List []string
}

var variable = regexp.MustCompile(`\$(\w+)|\$\{(\w+)\}`)

// Interpolate replaces $name and ${name} as Grafana does in the browser, before the plugin sees the
// SQL. Names that it does not know, macros among them, stay.
func Interpolate(sql string, values map[string]Value) string {
	return variable.ReplaceAllStringFunc(sql, func(match string) string {
		v, ok := values[strings.Trim(match, "${}")]
		switch {
		case !ok:
			return match
		case v.List != nil:
			return "'" + strings.Join(v.List, "','") + "'"
		}
		return v.Raw
	})
}

// Names lists the variables that sql uses, in order of name, macros left out.
func Names(sql string) []string {
	var names []string
	for _, match := range variable.FindAllString(sql, -1) {
		if name := strings.Trim(match, "${}"); !strings.HasPrefix(name, "__") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
