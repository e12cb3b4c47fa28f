package preview

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"usher/dashboards/macros"
)

// What a request may ask for.
const (
	rangeMax      = 400 * 24 * time.Hour
	pointsMin     = 10
	pointsMax     = 2000
	valuesMax     = 100 // of one variable
	valueBytesMax = 256
	yearMax       = 2100
)

// all is Grafana's name for "All" in the value of a variable.
const all = "$__all"

// ask is a validated question: a time range, a width and the values of the board's variables.
type ask struct {
	window macros.Window
	points int
	values map[string]macros.Value
}

// badRequest is the reader's mistake, in words for him.
type badRequest struct{ text string }

func (e *badRequest) Error() string { return e.text }

func refuse(format string, args ...any) error { return &badRequest{fmt.Sprintf(format, args...)} }

// readAsk validates the parameters of a request: from and to in milliseconds since 1970, points,
// and var-NAME, which may be repeated.
func readAsk(b *board, q url.Values) (*ask, error) {
	from, errFrom := strconv.ParseInt(q.Get("from"), 10, 64)
	to, errTo := strconv.ParseInt(q.Get("to"), 10, 64)
	if errFrom != nil || errTo != nil {
		return nil, refuse("from and to must be milliseconds since 1970")
	}
	a := &ask{values: map[string]macros.Value{}, points: pointsMin}
	a.window.From, a.window.To = time.UnixMilli(from).UTC(), time.UnixMilli(to).UTC()
	switch {
	case from < 0 || a.window.To.Year() > yearMax:
		return nil, refuse("the time range must lie between 1970 and %d", yearMax)
	case from >= to:
		return nil, refuse("the time range must end after it begins")
	case a.window.To.Sub(a.window.From) > rangeMax:
		return nil, refuse("the time range must not be longer than %d days", rangeMax/(24*time.Hour))
	}
	if text := q.Get("points"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < pointsMin || n > pointsMax {
			return nil, refuse("points must be a number from %d to %d", pointsMin, pointsMax)
		}
		a.points = n
	}
	return a, a.readVariables(b, q)
}

func (a *ask) readVariables(b *board, q url.Values) error {
	for key, values := range q {
		name, ok := strings.CutPrefix(key, "var-")
		switch {
		case key == "from" || key == "to" || key == "points":
		case !ok:
			return refuse("there is no parameter %q", key)
		case b.variable(name) == nil:
			return refuse("this board has no variable %q", name)
		case len(values) > valuesMax:
			return refuse("choose at most %d values of %s, or All", valuesMax, name)
		}
	}
	for i := range b.Templating.List {
		v := &b.Templating.List[i]
		value, err := v.value(q["var-"+v.Name])
		if err != nil {
			return err
		}
		a.values[v.Name] = value
	}
	return nil
}

// value is what the variable stands for in SQL when these values were chosen.
func (v *variable) value(chosen []string) (macros.Value, error) {
	for _, c := range chosen {
		if err := plain(c); err != nil {
			return macros.Value{}, refuse("%s: %v", v.Name, err)
		}
		if v.closed() && !slices.Contains(v.listed(), c) && c != all {
			return macros.Value{}, refuse("%s has no value %q", v.Name, c)
		}
	}
	if len(chosen) == 0 {
		chosen = v.first()
	}
	if slices.Contains(chosen, all) && v.AllValue != "" {
		return macros.Value{Raw: v.AllValue}, nil
	}
	escaped := make([]string, 0, len(chosen))
	for _, c := range chosen {
		escaped = append(escaped, literal(c))
	}
	switch {
	case v.Multi:
		return macros.Value{List: escaped}, nil
	case len(escaped) == 0:
		return macros.Value{}, nil
	}
	return macros.Value{Raw: escaped[0]}, nil
}

// first is what the board has chosen.
func (v *variable) first() []string {
	if v.IncludeAll {
		return []string{all}
	}
	switch value := v.Current.Value.(type) {
	case string:
		return []string{value}
	case []any:
		var out []string
		for _, one := range value {
			out = append(out, fmt.Sprint(one))
		}
		return out
	}
	return nil
}

// plain refuses what can be no name.
func plain(value string) error {
	switch {
	case len(value) > valueBytesMax:
		return fmt.Errorf("a value is longer than %d bytes", valueBytesMax)
	case !utf8.ValidString(value):
		return errors.New("a value is not UTF-8")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("a value holds a control character")
	}
	return nil
}

// sql is the statement as Grafana and its plugin would send it.
func (a *ask) sql(text string, least time.Duration) (string, error) {
	w := a.window
	w.Interval = bucket(w.To.Sub(w.From), a.points, least)
	return macros.Expand(macros.Interpolate(text, a.values), w)
}
