package pipeline

import "time"

const dayMS = 24 * 60 * 60 * 1000

// dayZone turns instants into days of one IANA zone. It remembers the span of the latest offset, so
// that nearly every instant costs two comparisons; it is not safe for concurrent use.
type dayZone struct {
	loc             *time.Location
	fromMS, untilMS int64 // the span in which offsetMS holds
	offsetMS        int64
	known           bool
}

func newDayZone(loc *time.Location) *dayZone { return &dayZone{loc: loc} }

// day returns the day of ms in the zone, in days since 1970.
func (z *dayZone) day(ms int64) int32 {
	if !z.known || ms < z.fromMS || ms >= z.untilMS {
		z.look(ms)
	}
	return int32(floorDiv(ms+z.offsetMS, dayMS))
}

func (z *dayZone) look(ms int64) {
	t := time.UnixMilli(ms).In(z.loc)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	z.offsetMS = int64(offset) * 1000
	z.fromMS, z.untilMS = -1<<62, 1<<62
	if !start.IsZero() {
		z.fromMS = start.UnixMilli()
	}
	if !end.IsZero() {
		z.untilMS = end.UnixMilli()
	}
	z.known = true
}

// monthStart returns the first day of the UTC month of ms, in days since 1970.
func monthStart(ms int64) int32 {
	t := time.UnixMilli(ms).UTC()
	return int32(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
