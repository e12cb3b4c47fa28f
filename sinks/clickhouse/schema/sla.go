package schema

// SLAEvent is what became of a promise of an SLA policy: it was due soon, or it ended. Of a promise
// one terminal row stands. The row carries the due time, never the time at which a timer fired.
type SLAEvent struct {
	Source // offset −1: a timer
	Dims
	Cycle
	Turn            uint32  `ch:"turn"` // of the wait, 0 for what concerns the whole cycle
	Policy          string  `ch:"policy" type:"lc"`
	Metric          string  `ch:"metric" type:"lc"` // first_reply, next_reply, requester_wait, time_to_close
	Status          string  `ch:"status" type:"lc"` // due_soon, breached, met, cancelled
	Clock           string  `ch:"clock" type:"lc"`  // wall, business
	TargetMS        int64   `ch:"target_ms"`
	StartedAt       Instant `ch:"started_at"`
	DueAt           Instant `ch:"due_at"` // moved by pauses
	At              Instant `ch:"at"`     // due_soon, breached: when it was; met, cancelled: the end
	AtDay           Day     `ch:"day"`
	SinceOffset     int64   `ch:"since_offset"` // of the event that began it: its identity, with metric
	CalendarVersion string  `ch:"calendar_version" type:"lc"`
	Revision        uint32  `ch:"revision"`
	Sign            int8    `ch:"sign"`
}
