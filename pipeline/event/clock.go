package event

// Bounds of a plausible instant, in milliseconds since 1970 UTC.
const (
	timeMinMS   = 946684800000  // 2000-01-01T00:00:00Z; nothing earlier is a chat
	untilMaxMS  = 4102444800000 // 2100-01-01T00:00:00Z; bounds a snooze, fits every DateTime64
	timeAheadMS = 24 * 3600 * 1000
)

// parseRFC3339 reads the fixed-width form of RFC 3339 section 5.6 with its offset. Fractions are
// cut to milliseconds and a leap second counts as :59. It is strict where time.Parse is lenient and
// costs a third of it.
func parseRFC3339(s []byte) (ms int64, ok bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[13] != ':' ||
		s[16] != ':' || (s[10] != 'T' && s[10] != 't') {
		return 0, false
	}
	year := digits2(s[0], s[1])*100 + digits2(s[2], s[3])
	month, day := digits2(s[5], s[6]), digits2(s[8], s[9])
	hour, minute, second := digits2(s[11], s[12]), digits2(s[14], s[15]), digits2(s[17], s[18])
	if year > 9999 || month-1 > 11 || day-1 >= daysIn(year, month) || hour > 23 || minute > 59 ||
		second > 60 {
		return 0, false
	}
	if second == 60 {
		second = 59
	}
	millis, rest, ok := fraction(s[19:])
	if !ok {
		return 0, false
	}
	offset, ok := zoneOffset(rest)
	if !ok {
		return 0, false
	}
	days := daysSinceEpoch(int64(year), int64(month), int64(day))
	secs := days*86400 + int64(hour)*3600 + int64(minute)*60 + int64(second) - offset
	return secs*1000 + millis, true
}

// digits2 is the value of two decimal digits, and so large that every range check refuses it when
// one of them is none.
func digits2(a, b byte) uint {
	x, y := uint(a-'0'), uint(b-'0')
	if x > 9 || y > 9 {
		return 1 << 20
	}
	return x*10 + y
}

// fraction reads ".123…" at the start of s, if it is there.
func fraction(s []byte) (millis int64, rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s, true
	}
	i, scale := 1, int64(100)
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		millis += int64(s[i]-'0') * scale
		scale /= 10
	}
	return millis, s[i:], i > 1
}

// zoneOffset reads "Z" or "±hh:mm", seconds east of UTC; s must hold nothing else.
func zoneOffset(s []byte) (seconds int64, ok bool) {
	if len(s) == 1 && (s[0] == 'Z' || s[0] == 'z') {
		return 0, true
	}
	if len(s) != len("+00:00") || s[3] != ':' || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	h, m := digits2(s[1], s[2]), digits2(s[4], s[5])
	if h > 23 || m > 59 {
		return 0, false
	}
	seconds = int64(h)*3600 + int64(m)*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func daysIn(year, month uint) uint {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSinceEpoch counts days of the proleptic Gregorian calendar from 1970-01-01, with the year
// beginning in March so that the leap day is its last (Richards, Explanatory Supplement to the
// Astronomical Almanac, 15.11).
func daysSinceEpoch(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y
	if era < 0 {
		era -= 399
	}
	era /= 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}
