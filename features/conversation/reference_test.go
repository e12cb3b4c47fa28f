package conversation

import (
	"cmp"
	"slices"

	"usher/features/calendar"
	"usher/pipeline/event"
)

// The slow reference: the whole log of a conversation, sorted, cut into cycles, and every figure
// found by a scan of its own. It follows CONTRACT section 2 and KPIS section 0 and shares nothing
// with the fold but the exported row types and the hash that breaks ties.

type refEvent struct {
	ev       event.Event
	at       int64 // clamped to the clock
	offset   int64
	cust     string
	dec      *Decided           // on a customer message, nil: none
	forced   bool               // a rule forced an escalation
	cal      *calendar.Calendar // in force when it arrived
	policies []Policy           // the same
}

type refFacts struct {
	turns, human []Turn
	escs         []Escalation
	voids        []Void
	cycles       []Cycle
}

type refCycle struct {
	all  []*refEvent // what belongs to it, in order
	end  int         // place of the event that ended it, −1 while open
	conv string
	prev *refCycle
	n    uint32
}

func refPublic(e *refEvent) bool { return e.ev.Message.Public && !e.ev.Message.Automated }

func refIsMessage(e *refEvent) bool {
	return e.ev.Type == event.TypeMessage || e.ev.Type == event.TypeBotAnswer
}

// refSide says whose public, non-automated message e is: customer, agent, bot, or "".
func refSide(e *refEvent) string {
	if !refIsMessage(e) || !refPublic(e) {
		return ""
	}
	if e.ev.Actor.Kind == event.ActorCustomer && e.ev.Type == event.TypeMessage {
		return "customer"
	}
	if e.ev.Message.Echo || e.ev.Type == event.TypeMessage && e.ev.Actor.Kind == event.ActorAgent {
		return "agent"
	}
	if e.ev.Type == event.TypeBotAnswer || e.ev.Actor.Kind == event.ActorBot {
		return "bot"
	}
	return ""
}

func refReply(e *refEvent) bool {
	switch refSide(e) {
	case "agent":
		return true
	case "bot":
		return !e.ev.Message.Fallback && !e.ev.Message.Greeting
	}
	return false
}

func refRank(e *refEvent) int {
	switch e.ev.Type {
	case event.TypeOpen, event.TypeReopen:
		return 0
	case event.TypeMessage, event.TypeBotAnswer:
		if e.ev.Message.Echo && e.ev.Actor.Kind != event.ActorCustomer {
			return 6
		}
		if e.ev.Type == event.TypeBotAnswer {
			return 3
		}
		return map[event.ActorKind]int{event.ActorCustomer: 1, event.ActorBot: 3,
			event.ActorAgent: 6, event.ActorSystem: 2, event.ActorNone: 2}[e.ev.Actor.Kind]
	case event.TypeEscalate:
		return 4
	case event.TypeAssign, event.TypeTransfer:
		return 5
	case event.TypeSessionEnd:
		return 7
	case event.TypeClose:
		return 8
	case event.TypeStatus:
		if e.ev.Status.To == event.StatusClosed {
			return 8
		}
	case event.TypeMerge, event.TypeVoid:
		return 9
	case event.TypeCSAT, event.TypeOutcome, event.TypeNote:
		return 10
	}
	return 2
}

// refSort puts the log in CONTRACT's order.
func refSort(log []*refEvent) {
	bySeq := !slices.ContainsFunc(log, func(e *refEvent) bool { return !e.ev.HasSeq })
	slices.SortStableFunc(log, func(a, b *refEvent) int {
		if bySeq {
			return cmp.Compare(a.ev.Seq, b.ev.Seq)
		}
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(refRank(a), refRank(b)),
			cmp.Compare(idHash(a.ev.ID), idHash(b.ev.ID)))
	})
}

func refOpens(e *refEvent) bool {
	return e.ev.Type == event.TypeOpen || e.ev.Type == event.TypeReopen ||
		e.ev.Type == event.TypeStatus && e.ev.Status.To == event.StatusOpen ||
		refSide(e) == "customer"
}

func refIsClose(e *refEvent) bool {
	return e.ev.Type == event.TypeClose ||
		e.ev.Type == event.TypeStatus && e.ev.Status.To == event.StatusClosed
}

func refEnds(e *refEvent) bool {
	return refIsClose(e) || e.ev.Type == event.TypeMerge || e.ev.Type == event.TypeVoid
}

// refAmends: what still belongs to a cycle after its end.
func refAmends(e *refEvent) bool {
	switch e.ev.Type {
	case event.TypeCSAT, event.TypeOutcome, event.TypeNote, event.TypeVoid, event.TypeMerge:
		return true
	}
	return refSide(e) == "agent" || refSide(e) == "bot"
}

func refCycles(conv string, log []*refEvent) []*refCycle {
	var cycles []*refCycle
	var last *refCycle
	for _, e := range log {
		if (last == nil || last.end >= 0) && refOpens(e) {
			last = &refCycle{end: -1, conv: conv, prev: last, n: uint32(len(cycles) + 1)}
			cycles = append(cycles, last)
		}
		if last == nil || last.end >= 0 && !refAmends(e) {
			continue
		}
		if e.ev.Type == event.TypeOutcome && e.at-last.all[0].at > 30*86400*1000 {
			continue
		}
		last.all = append(last.all, e)
		if last.end < 0 && refEnds(e) {
			last.end = len(last.all) - 1
		}
	}
	return cycles
}

// live are the events up to the end.
func (c *refCycle) live() []*refEvent {
	if c.end < 0 {
		return c.all
	}
	return c.all[:c.end+1]
}

func refTo(e *refEvent) (queue string, names bool) {
	m := &e.ev.Move
	queue = string(m.To.Queue)
	if queue == "" && e.ev.Type == event.TypeEscalate {
		queue = string(m.Queue)
	}
	if queue == "" {
		queue = string(m.To.Team)
	}
	return queue, !m.To.Empty() || e.ev.Type == event.TypeEscalate && len(m.Queue) > 0
}

func refMoves(e *refEvent) bool {
	return e.ev.Type == event.TypeAssign || e.ev.Type == event.TypeTransfer ||
		e.ev.Type == event.TypeEscalate
}

func refActor(e *refEvent) string {
	if e.ev.Actor.Kind == event.ActorCustomer {
		return ""
	}
	return string(e.ev.Actor.ID)
}

func refFirst(evs []*refEvent, f func(*refEvent) []byte) string {
	for _, e := range evs {
		if s := f(e); len(s) > 0 {
			return string(s)
		}
	}
	return ""
}

// dims are those of a fact at place i of the cycle. team and agent come from the event at i when
// byEvent, else from the latest move.
func (c *refCycle) dims(i int, byEvent bool) Dims {
	evs := c.all[:i+1]
	live := c.live()
	d := Dims{Tenant: "t", ConversationID: c.conv, Queue: c.queue(i)}
	d.Channel = refFirst(evs, func(e *refEvent) []byte { return e.ev.Channel })
	d.Lang = refFirst(evs, func(e *refEvent) []byte { return e.ev.Lang })
	d.Region = refFirst(evs, func(e *refEvent) []byte { return e.ev.Region })
	d.Inbox = refFirst(evs, func(e *refEvent) []byte { return e.ev.Inbox })
	d.Source = refFirst(evs, func(e *refEvent) []byte { return e.ev.Source })
	d.CustomerKey = refFirst(evs, func(e *refEvent) []byte { return []byte(e.cust) })
	for _, e := range live[:min(i+1, len(live))] {
		if e.dec != nil {
			d.Label, d.Variant = e.dec.Label, e.dec.Variant
		}
		if refMoves(e) && len(e.ev.Move.To.Team) > 0 {
			d.Team = string(e.ev.Move.To.Team)
		}
	}
	d.AgentID = c.assignee(i)
	if byEvent {
		if a := refActor(c.all[i]); a != "" {
			d.AgentID = a
		}
		if e := c.all[i]; e.ev.Actor.Kind != event.ActorCustomer && len(e.ev.Actor.Team) > 0 {
			d.Team = string(e.ev.Actor.Team)
		}
	}
	return d
}

// queue is the latest queue after the event at i, without it when before.
func (c *refCycle) queue(i int) string {
	q := string(c.all[0].ev.Inbox)
	live := c.live()
	for _, e := range live[:min(i+1, len(live))] {
		if refMoves(e) {
			if to, _ := refTo(e); to != "" {
				q = to
			}
		}
		if e.dec != nil && e.dec.Executed && e.dec.Queue != "" {
			q = e.dec.Queue
		}
	}
	if q == "" {
		return "default"
	}
	return q
}

func (c *refCycle) assignee(i int) string {
	a := ""
	live := c.live()
	for _, e := range live[:min(i+1, len(live))] {
		if refMoves(e) {
			if _, names := refTo(e); names {
				a = string(e.ev.Move.To.Agent)
			}
		}
	}
	return a
}

type refWait struct {
	from, to int // places; to −1 = runs on
	by       EndedBy
	held     bool
	n        uint32
}

// handoffs are the places that begin or continue a handoff, with who did it.
type refHandoff struct {
	at      int
	by      By
	pending bool
}

// refForced: a rule's escalation counts on anything that is no handoff itself.
func refForced(e *refEvent) bool {
	return e.forced && e.ev.Type != event.TypeEscalate && e.ev.Type != event.TypeTransfer
}

func (c *refCycle) handoffs() []refHandoff {
	var hs []refHandoff
	pending, transfer := false, false
	for i, e := range c.live() {
		isTransfer := false
		if refSide(e) == "agent" {
			pending = false
		}
		h := refHandoff{at: i, pending: pending}
		switch {
		case refForced(e) && i != c.end:
			h.by = ByRule
		case e.ev.Type == event.TypeEscalate:
			h.by = By(e.ev.Actor.Kind)
		case e.ev.Type == event.TypeTransfer && e.ev.Actor.Kind == event.ActorBot:
			if _, names := refTo(e); !names || pending && !transfer {
				continue
			}
			h.by, isTransfer = By(event.ActorBot), true
		default:
			continue
		}
		if !pending {
			transfer = isTransfer
		}
		pending = true
		hs = append(hs, h)
	}
	return hs
}

// waits of a stamp: human is the one that only a person ends.
func (c *refCycle) waits(human bool) []refWait {
	var ws []refWait
	hand := map[int]bool{}
	for _, h := range c.handoffs() {
		hand[h.at] = true
	}
	running := func() *refWait {
		if n := len(ws); n > 0 && ws[n-1].to < 0 {
			return &ws[n-1]
		}
		return nil
	}
	for i, e := range c.live() {
		start := func() {
			if running() == nil {
				ws = append(ws, refWait{from: i, to: -1, n: uint32(len(ws) + 1)})
			}
		}
		if refSide(e) == "customer" {
			start()
		} else if w := running(); w != nil {
			switch {
			case refSide(e) == "agent":
				w.to, w.by = i, EndedByAgent
			case refReply(e) && !human && !w.held:
				w.to, w.by = i, EndedByBot
			case i == c.end:
				w.to, w.by = i, EndedByClose
			}
		}
		if hand[i] {
			start()
			running().held = true
		}
	}
	return ws
}

type refSpan struct{ from, to int }

func (c *refCycle) pauses() []refSpan {
	var ps []refSpan
	on := false
	for i, e := range c.live() {
		to := e.ev.Status.To
		isStatus := e.ev.Type == event.TypeStatus && to != event.StatusClosed
		pauses := isStatus && (to == event.StatusPending || to == event.StatusSnoozed)
		if pauses && !on {
			ps, on = append(ps, refSpan{i, -1}), true
		} else if on && (isStatus && !pauses || refSide(e) == "customer") {
			ps[len(ps)-1].to, on = i, false
		}
	}
	return ps
}

// paused is the overlap of the pauses with a wait that ends at place to.
func (c *refCycle) paused(from, to int) int64 {
	var sum int64
	for _, p := range c.pauses() {
		if p.from >= to || p.to >= 0 && p.to <= from {
			continue
		}
		hi := c.all[to].at
		if p.to >= 0 && p.to < to {
			hi = c.all[p.to].at
		}
		sum += max(0, hi-max(c.all[p.from].at, c.all[from].at))
	}
	return sum
}

// pausedBusiness is paused by the calendar of the wait's first event.
func (c *refCycle) pausedBusiness(from, to int) int64 {
	var sum int64
	for _, p := range c.pauses() {
		if p.from >= to || p.to >= 0 && p.to <= from {
			continue
		}
		hi := c.all[to].at
		if p.to >= 0 && p.to < to {
			hi = c.all[p.to].at
		}
		sum += refBusiness(c.all[from].cal, max(c.all[p.from].at, c.all[from].at), hi)
	}
	return sum
}

// refBusiness counts quarters of an hour, which all calendars of this test are made of.
func refBusiness(cal *calendar.Calendar, from, to int64) int64 {
	const quarter = 15 * 60 * 1000
	if cal == nil || to <= from {
		return max(0, to-from)
	}
	var sum int64
	for at := from - from%quarter; at < to; at += quarter {
		if cal.Open(at) {
			sum += min(to, at+quarter) - max(from, at)
		}
	}
	return sum
}

// judgedBy is the place of the session_end that judges the open cycle as of now, −1 when none does.
func (c *refCycle) judgedBy() int {
	at := -1
	for i, e := range c.live() {
		if refReply(e) || refSide(e) == "customer" {
			at = -1
		}
		if refLeaves(e) {
			at = i
		}
	}
	return at
}

func refLeaves(e *refEvent) bool {
	return e.ev.Type == event.TypeSessionEnd &&
		(string(e.ev.Reason) == "left" || string(e.ev.Reason) == "timeout")
}

func (c *refCycle) turns(human bool) []Turn {
	var ts []Turn
	for _, w := range c.waits(human) {
		to, final := w.to, true
		if to < 0 {
			to, final = c.judgedBy(), false
			if to <= w.from {
				continue
			}
		}
		from, end := c.all[w.from], c.all[to]
		t := Turn{
			Dims: c.dims(to, true), Cycle: c.n, CycleOffset: c.all[0].offset, Turn: w.n,
			WaitingSinceMS: from.at, EndedAtMS: end.at, WaitMS: max(0, end.at-from.at),
			SinceOffset: from.offset, EndedBy: w.by, IsFirst: w.n == 1, Final: final,
			Skewed: end.at < from.at && (w.by == EndedByAgent || w.by == EndedByBot),
		}
		t.PausedMS = min(t.WaitMS, c.paused(w.from, to))
		t.BusinessWaitMS = refBusiness(from.cal, from.at, end.at)
		t.BusinessPausedMS = min(t.BusinessWaitMS, c.pausedBusiness(w.from, to))
		t.CalendarVersion = from.cal.Version()
		if !final { // what was known later too: the row is provisional until it ends
			d := c.dims(len(c.all)-1, false)
			if a := refActor(end); a != "" {
				d.AgentID = a
			}
			t.Dims = d
		}
		ts = append(ts, t)
	}
	return ts
}
