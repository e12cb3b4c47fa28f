package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time with its unit: what time.ParseDuration takes, and whole or broken
// days (400d) and weeks (2w), which are 24 and 168 hours.
type Duration time.Duration

// durationUnits are tried from the longest; a unit that divides the value prints it.
var durationUnits = []struct {
	name string
	unit time.Duration
}{
	{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
	{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
}

// daysFrom is the length from which whole days read better than hours (72h, 400d).
const daysFrom = 7 * 24 * time.Hour

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MS returns whole milliseconds.
func (d Duration) MS() int64 { return time.Duration(d).Milliseconds() }

// ParseDuration parses 100ms, 3m, 1h30m, 400d or 2w.
func ParseDuration(s string) (Duration, error) {
	text := strings.TrimSpace(s)
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		number, ok := strings.CutSuffix(text, suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(f) || math.Abs(f)*float64(unit) > math.MaxInt64/2 {
			break
		}
		return Duration(f * float64(unit)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write a number and a unit, as in 100ms, 3m, 24h or 400d", s)
	}
	return Duration(d), nil
}

// String prints d by the longest unit that divides it, days from a week on.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	for _, u := range durationUnits {
		if u.name == "d" && time.Duration(d) < daysFrom {
			continue
		}
		if time.Duration(d)%u.unit == 0 {
			return strconv.FormatInt(int64(d)/int64(u.unit), 10) + u.name
		}
	}
	return time.Duration(d).String()
}

// UnmarshalText parses d.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// MarshalText prints d.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalYAML prints d.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// Amount is a target's value in the unit of its KPI: a number, a share (3 %), or a length of time, which
// becomes milliseconds.
type Amount float64

// UnmarshalText parses 0.03, 3 %, +15 % or 3m.
func (a *Amount) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	number, share := strings.CutSuffix(text, "%")
	if f, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && !math.IsNaN(f) {
		if share {
			f /= 100
		}
		*a = Amount(f)
		return nil
	}
	d, err := ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no amount: write a number, a share or a length of time, as in 12, 3 %%, 3m",
			text)
	}
	*a = Amount(d.MS())
	return nil
}

// MarshalYAML prints the number.
func (a Amount) MarshalYAML() (any, error) { return float64(a), nil }

// Bytes is a size; in text with a binary (KiB, MiB, GiB, TiB) or decimal (kB, MB, GB, TB) unit, or
// a bare number of bytes.
type Bytes int64

// byteUnits are in the order of the longest suffix first.
var byteUnits = []struct {
	name string
	unit int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseBytes parses 4GiB, 900kB or 1048576.
func ParseBytes(s string) (Bytes, error) {
	text, unit := strings.TrimSpace(s), int64(1)
	for _, u := range byteUnits {
		if number, ok := cutSuffixFold(text, u.name); ok {
			text, unit = strings.TrimSpace(number), u.unit
			break
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f*float64(unit) > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is no size: write a number and a unit, as in 64KiB, 900kB or 4GiB", s)
	}
	return Bytes(math.Round(f * float64(unit))), nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if n := len(s) - len(suffix); n > 0 && strings.EqualFold(s[n:], suffix) {
		return s[:n], true
	}
	return s, false
}

// String prints b by the largest binary unit that divides it, plain below 1 MiB.
func (b Bytes) String() string {
	for _, u := range byteUnits[:3] {
		if b != 0 && int64(b)%u.unit == 0 && int64(b) > u.unit {
			return strconv.FormatInt(int64(b)/u.unit, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// UnmarshalText parses b.
func (b *Bytes) UnmarshalText(t []byte) (err error) {
	*b, err = ParseBytes(string(t))
	return err
}

// MarshalText prints b.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalYAML prints b: a number where it has no unit.
func (b Bytes) MarshalYAML() (any, error) {
	if text := b.String(); strings.HasSuffix(text, "B") {
		return text, nil
	}
	return int64(b), nil
}
