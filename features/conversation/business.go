package conversation

import (
	"encoding/hex"
	"fmt"
	"time"

	"usher/features/calendar"
)

// calendarPrefix begins the changelog keys of calendars, followed by their version. Keys of
// conversations are keyed hashes: one of 2^64 looks like this.
const calendarPrefix = "calendar"

// calendars are those that some event of the table's arrived under. A calendar that is taken out of
// the configuration lives on here and in the changelog: what it measured must be measured the same
// when a late event folds those events again.
type calendars struct {
	cfg   Config
	known map[uint32]*calendar.Calendar // by the word of its version
	now   map[uint32]uint32             // by tenant's word: version
	fresh []uint32                      // versions that the changelog does not hold yet
}

func newCalendars(cfg Config) calendars {
	if cfg.Zone == nil {
		cfg.Zone = time.LoadLocation
	}
	return calendars{cfg: cfg, known: map[uint32]*calendar.Calendar{}, now: map[uint32]uint32{}}
}

// calendarNow is the version in force for a tenant: 0 around the clock.
func (t *Table) calendarNow(tenant uint32) uint32 {
	c := &t.cals
	if len(c.cfg.Calendars) == 0 {
		return 0
	}
	if v, ok := c.now[tenant]; ok {
		return v
	}
	cal, ok := c.cfg.Calendars[t.words.str(tenant)]
	if !ok {
		cal = c.cfg.Calendars["default"]
	}
	v := t.words.numberString(cal.Version())
	if v != 0 && c.known[v] == nil {
		c.known[v] = cal
		c.fresh = append(c.fresh, v)
	}
	if len(c.now) < calendarTenantsMax {
		c.now[tenant] = v
	}
	return v
}

// calendarTenantsMax bounds what is remembered by tenant: tenants come from the input.
const calendarTenantsMax = 4096

func (t *Table) emitCalendars(emit func(key Key, value []byte)) {
	for _, v := range t.cals.fresh {
		text, err := t.cals.known[v].Definition().MarshalBinary()
		var version []byte
		if err == nil {
			version, err = hex.DecodeString(t.words.str(v))
		}
		if err != nil {
			panic("BUG: a calendar cannot be written: " + err.Error())
		}
		emit(Key(append([]byte(calendarPrefix), version...)), text)
	}
}

func isCalendarKey(k Key) bool { return string(k[:len(calendarPrefix)]) == calendarPrefix }

func (t *Table) restoreCalendar(value []byte) error {
	if len(value) == 0 {
		return nil // calendars are few and stay
	}
	d, err := calendar.Parse(value)
	if err != nil {
		return fmt.Errorf("cannot restore a calendar from %d bytes: %w", len(value), err)
	}
	zone, err := t.cals.cfg.Zone(d.Zone)
	if err != nil {
		return fmt.Errorf("cannot restore a calendar of zone %s: %w", d.Zone, err)
	}
	cal, err := calendar.New(zone, d)
	if err != nil {
		return fmt.Errorf("cannot restore a calendar: %w", err)
	}
	t.cals.known[t.words.numberString(cal.Version())] = cal
	return nil
}

// calendarOf is the version that was in force when e arrived.
func (m *machine) calendarOf(e *entry) uint32 { return m.tuples.get(e.actor)[actorCalendar] }

// businessSpan is span in business time, by the wait's own calendar. Pauses are counted where they
// overlap business hours: a pause over night takes nothing away.
func (m *machine) businessSpan(s *state, w *wait, since int64, e *entry) (time, paused int64) {
	time = m.cals[w.cal].Business(since, e.time())
	return time, min(time, w.pausedBusiness+m.businessPause(s, w, since, e.time()))
}

// businessPause is pausedSince in business time.
func (m *machine) businessPause(s *state, w *wait, since, now int64) int64 {
	if s.pauseAt == 0 {
		return 0
	}
	return m.cals[w.cal].Business(max(s.pauseAt, since), now)
}

// addPause adds the pause that ends now to a running wait.
func (m *machine) addPause(s *state, w *wait, since, now int64) {
	w.paused += pausedSince(s, since, now)
	w.pausedBusiness += m.businessPause(s, w, since, now)
}

// judgePause keeps what was paused when a session_end judged.
func (m *machine) judgePause(s *state, w *wait, since, now int64) {
	w.before = w.paused + pausedSince(s, since, now)
	w.beforeBusiness = w.pausedBusiness + m.businessPause(s, w, since, now)
}

// businessSince is since in business time.
func (t *Table) businessSince(cal uint32, from, to int64) int64 {
	if from == 0 || to == 0 {
		return -1
	}
	return t.cals.known[cal].Business(from, to)
}

func (t *Table) cycleBusiness(c *cycle, f *Cycle) {
	f.BusinessFirstReplyAnyMS = t.businessSince(c.cal, c.firstCustomerAt, c.firstAnyAt)
	f.BusinessFirstReplyHumanMS = t.businessSince(c.cal, c.firstCustomerAt, c.firstHumanAt)
	f.BusinessFirstReplyAfterHandoffMS = t.businessSince(c.cal, c.firstHandoffAt, c.firstAfterAt)
	f.BusinessRequesterWaitMS = c.requesterBusiness
	f.OutOfHours = !t.cals.known[c.cal].Open(c.openedAt)
	f.CalendarVersion = t.words.str(c.cal)
}
