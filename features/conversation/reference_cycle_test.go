package conversation

import (
	"cmp"
	"slices"

	"usher/pipeline/event"
)

var refRoles = []string{"consultant", "senior", "manager"}

func refRole(b []byte) int { return slices.Index(refRoles, string(b)) }

func (c *refCycle) escalations() []Escalation {
	var out []Escalation
	for k, h := range c.handoffs() {
		e := c.all[h.at]
		x := Escalation{
			Dims: c.dims(h.at-1, false), SinceOffset: e.offset, Cycle: c.n,
			CycleOffset: c.all[0].offset, AtMS: e.at, By: h.by, PendingAlready: h.pending,
			Reason: "policy",
		}
		if h.by == ByRule { // the decision on the message is known when its rule fires
			x.Dims = c.dims(h.at, false)
		} else {
			at := c.dims(h.at, false) // dimensions of the event itself count, its target does not
			at.Team, at.Queue, at.AgentID = x.Team, x.Queue, x.AgentID
			x.Dims = at
		}
		seen := c.live()[:h.at]
		if h.by == ByRule {
			seen = c.live()[:h.at+1]
		}
		for _, b := range seen {
			if refSide(b) == "bot" && !b.ev.Message.Greeting && len(b.ev.Message.Intent) > 0 {
				x.Intent = string(b.ev.Message.Intent)
			}
		}
		x.FromQueue = x.Queue
		if h.by != ByRule {
			if e.ev.Type == event.TypeEscalate {
				x.Reason = string(e.ev.Reason)
			}
			if len(e.ev.Move.From.Queue) > 0 {
				x.FromQueue = string(e.ev.Move.From.Queue)
			}
			x.ToQueue, _ = refTo(e)
			x.ToTeam, x.ToAgent = string(e.ev.Move.To.Team), string(e.ev.Move.To.Agent)
		}
		if !h.pending {
			c.follow(&x, h.at, c.handoffs()[k+1:])
		}
		x.BusinessWaitMS, x.CalendarVersion = -1, e.cal.Version()
		if x.HumanReplyAtMS != 0 {
			x.BusinessWaitMS = refBusiness(e.cal, x.AtMS, x.HumanReplyAtMS)
		}
		out = append(out, x)
	}
	return out
}

// follow finds what came of a handoff until the next one that is its own.
func (c *refCycle) follow(x *Escalation, at int, later []refHandoff) {
	until := len(c.live())
	for _, h := range later {
		if !h.pending {
			until = h.at + 1 // what answers the one may force the next
			break
		}
	}
	for _, e := range c.live()[at+1 : until] {
		switch {
		case e.ev.Type == event.TypeHandoffOffered && x.OfferedAtMS == 0:
			x.OfferedAtMS = e.at
		case e.ev.Type == event.TypeHandoffAccepted && x.AcceptedAtMS == 0:
			x.AcceptedAtMS = e.at
		case e.ev.Type == event.TypeHandoffDeclined && x.DeclinedAtMS == 0:
			x.DeclinedAtMS = e.at
		case refSide(e) == "agent" && x.HumanReplyAtMS == 0:
			x.HumanReplyAtMS = e.at
			if a := refActor(e); a != "" {
				x.AgentID = a
			}
		}
	}
}

// voidedBy is the place of the event that took the cycle out of the KPIs, −1 when none did.
func (c *refCycle) voidedBy() (int, string) {
	for i, e := range c.all {
		switch {
		case e.ev.Type == event.TypeVoid:
			return i, string(e.ev.Reason)
		case e.ev.Type == event.TypeMerge:
			return i, "merge"
		case i == c.end && e.ev.Type == event.TypeClose && e.ev.Resolution == event.ResolutionSpam:
			return i, "spam"
		}
	}
	return -1, ""
}

// find is the instant and actor of the first event from place i on that f accepts.
func (c *refCycle) find(i int, f func(*refEvent) bool) (int64, string) {
	for _, e := range c.live()[min(max(i, 0), len(c.live())):] {
		if f(e) {
			return e.at, refActor(e)
		}
	}
	return 0, ""
}

func (c *refCycle) place(f func(*refEvent) bool) int { return slices.IndexFunc(c.live(), f) }

func (c *refCycle) count(f func(*refEvent) bool) uint32 {
	n := uint32(0)
	for _, e := range c.live() {
		if f(e) {
			n++
		}
	}
	return n
}

func refDuration(from, to int64) int64 {
	if from == 0 || to == 0 {
		return -1
	}
	return max(0, to-from)
}

func refIs(side string) func(*refEvent) bool {
	return func(e *refEvent) bool { return refSide(e) == side }
}

func refType(t event.Type) func(*refEvent) bool {
	return func(e *refEvent) bool { return e.ev.Type == t }
}

func (c *refCycle) row() Cycle {
	r := Cycle{Dims: c.dims(len(c.all)-1, false), Cycle: c.n, CycleOffset: c.all[0].offset,
		PrevCycleOffset: -1, ReplacedByOffset: -1, OpenedAtMS: c.all[0].at,
		MessagesToClose: -1, MessagesToOutcome: -1, HandleMS: -1}
	if c.prev != nil {
		r.PrevCycleOffset = c.prev.all[0].offset
	}
	c.replies(&r)
	c.waitSums(&r)
	c.messageCounts(&r)
	c.moveCounts(&r)
	c.judgement(&r)
	c.amendments(&r)
	c.handling(&r)
	c.moods(&r)
	if c.end >= 0 {
		r.ClosedAtMS, r.Final = c.all[c.end].at, true
		if a := refActor(c.all[c.end]); a != "" {
			r.AgentID = a
		}
	}
	if r.AgentID == "" {
		for _, e := range c.live() {
			if a := refActor(e); refSide(e) == "agent" && a != "" {
				r.AgentID = a
			}
		}
	}
	return r
}

func (c *refCycle) moods(r *Cycle) {
	var said []Sentiment
	for _, e := range c.live() {
		if e.dec != nil && e.dec.Sentiment != SentimentUnknown {
			said = append(said, e.dec.Sentiment)
		}
	}
	if n := len(said); n > 0 {
		r.SentimentFirst, r.SentimentLowest, r.SentimentLast = said[0], slices.Min(said), said[n-1]
	}
}

func (c *refCycle) replies(r *Cycle) {
	q := c.place(refIs("customer"))
	if q >= 0 {
		r.FirstCustomerAtMS = c.all[q].at
		r.FirstReplyAnyAtMS, r.FirstReplyAnyAgent = c.find(q, refReply)
		r.FirstReplyHumanAtMS, r.FirstReplyHumanAgent = c.find(q, refIs("agent"))
	}
	if hs := c.handoffs(); len(hs) > 0 {
		r.FirstHandoffAtMS = c.all[hs[0].at].at
		at, who := c.find(hs[0].at+1, refIs("agent"))
		r.FirstReplyAfterHandoffAtMS, r.FirstReplyAfterHandoffAgent = at, who
	}
	r.FirstReplyAnyMS = refDuration(r.FirstCustomerAtMS, r.FirstReplyAnyAtMS)
	r.FirstReplyHumanMS = refDuration(r.FirstCustomerAtMS, r.FirstReplyHumanAtMS)
	r.FirstReplyAfterHandoffMS = refDuration(r.FirstHandoffAtMS, r.FirstReplyAfterHandoffAtMS)
	cal := c.all[0].cal
	business := func(from, to int64) int64 {
		if from == 0 || to == 0 {
			return -1
		}
		return refBusiness(cal, from, to)
	}
	r.BusinessFirstReplyAnyMS = business(r.FirstCustomerAtMS, r.FirstReplyAnyAtMS)
	r.BusinessFirstReplyHumanMS = business(r.FirstCustomerAtMS, r.FirstReplyHumanAtMS)
	r.BusinessFirstReplyAfterHandoffMS = business(r.FirstHandoffAtMS, r.FirstReplyAfterHandoffAtMS)
	r.OutOfHours, r.CalendarVersion = !cal.Open(c.all[0].at), cal.Version()
	asked := c.place(func(e *refEvent) bool {
		return e.ev.Type == event.TypeEscalate && string(e.ev.Reason) == "asked_human"
	})
	if asked >= 0 {
		r.AskedHumanAtMS = c.all[asked].at
		r.AskedHumanReplyAtMS, _ = c.find(asked, refIs("agent"))
	}
}

func (c *refCycle) waitSums(r *Cycle) {
	for _, t := range c.turns(false) {
		if t.Final {
			r.EndedWaits++
			r.RequesterWaitMS += t.WaitMS - t.PausedMS
			r.BusinessRequesterWaitMS += t.BusinessWaitMS - t.BusinessPausedMS
			r.PausedMS += t.PausedMS
			r.RequesterWaitAtMS = t.EndedAtMS
		}
	}
	if ws := c.waits(false); len(ws) > 0 && ws[len(ws)-1].to < 0 {
		r.WaitingSinceMS = c.all[ws[len(ws)-1].from].at
	}
	if ws := c.waits(true); len(ws) > 0 && ws[len(ws)-1].to < 0 {
		r.WaitingHumanSinceMS = c.all[ws[len(ws)-1].from].at
	}
}

func (c *refCycle) messageCounts(r *Cycle) {
	for _, e := range c.all {
		switch refSide(e) {
		case "customer":
			r.MessagesCustomer++
		case "agent":
			r.MessagesAgent++
		case "bot":
			r.MessagesBot++
		}
	}
	if c.end >= 0 {
		r.MessagesToClose = int64(c.count(func(e *refEvent) bool { return refSide(e) != "" }))
	}
	bot := func(e *refEvent) bool { return refSide(e) == "bot" && !e.ev.Message.Greeting }
	r.HumanReplies = c.count(refIs("agent"))
	r.BotReplies = c.count(func(e *refEvent) bool { return refSide(e) == "bot" && refReply(e) })
	r.BotFallbacks = c.count(func(e *refEvent) bool { return bot(e) && e.ev.Message.Fallback })
	r.BotCycleAtMS, _ = c.find(0, bot)
	r.BotCycle = r.BotCycleAtMS != 0
	r.AIDisclosed = c.place(func(e *refEvent) bool {
		return refSide(e) == "bot" && refReply(e) && e.ev.AIDisclosed
	}) >= 0
	last := ""
	for _, e := range c.live() {
		if s := refSide(e); s == "customer" || s == "agent" {
			if s == "agent" && last != "agent" {
				r.HumanRuns++
			}
			last = s
		}
	}
}

// toAnother says whether the assign or transfer at i names another agent than the one before.
func (c *refCycle) toAnother(i int, replier string) bool {
	had, e := cmp.Or(c.assignee(i-1), replier), c.all[i]
	agent := string(e.ev.Move.To.Agent)
	return e.ev.Type != event.TypeEscalate && agent != "" && had != "" && had != agent
}

func (c *refCycle) moveCounts(r *Cycle) {
	var up, byBot int64
	role, humans := -1, 0
	replier := ""
	for i, e := range c.live() {
		if refSide(e) == "agent" {
			humans++
			if a := refActor(e); a != "" {
				replier = a
			}
		}
		if !refMoves(e) {
			continue
		}
		r.Assigned = true
		to, from := refRole(e.ev.Move.To.Role), refRole(e.ev.Move.From.Role)
		if from < 0 {
			from = role
		}
		if from < 0 && e.ev.Actor.Kind != event.ActorCustomer {
			from = refRole(e.ev.Actor.Role)
		}
		if e.ev.Type == event.TypeTransfer && to > max(0, from) && up == 0 {
			up = e.at
		}
		if to >= 0 {
			role = to
		}
		queue, _ := refTo(e)
		before := "default"
		if i > 0 {
			before = c.queue(i - 1)
		}
		if e.ev.Type == event.TypeTransfer && e.ev.Actor.Kind != event.ActorBot && queue != "" &&
			queue != before && humans == 0 && r.FlowedOutAtMS == 0 {
			r.FlowedOut, r.FlowedOutAtMS = true, e.at
		}
		if humans > 0 && c.toAnother(i, replier) {
			r.Reassigned++
			r.ReassignedAtMS = cmp.Or(r.ReassignedAtMS, e.at)
		}
	}
	hs := c.handoffs()
	for _, h := range hs {
		human := slices.ContainsFunc(c.live()[:h.at+1], refIs("agent"))
		if byBot == 0 && (h.by == By(event.ActorBot) || h.by == ByRule && !human) {
			byBot = c.all[h.at].at
		}
	}
	r.Escalations, r.EscalatedAny = uint32(len(hs)), len(hs) > 0
	r.TransferredUp = up != 0
	r.EscalatedByBot, r.EscalatedByBotAtMS = byBot != 0, byBot
	r.FirstEscalatedAtMS = r.FirstHandoffAtMS
	if up != 0 {
		upAt := c.place(func(e *refEvent) bool {
			return e.ev.Type == event.TypeTransfer && e.at == up
		})
		if len(hs) == 0 || upAt < hs[0].at {
			r.FirstEscalatedAtMS = up
		}
	}
	r.HandoffsOffered = c.count(refType(event.TypeHandoffOffered))
	r.HandoffsAccepted = c.count(refType(event.TypeHandoffAccepted))
	r.HandoffsDeclined = c.count(refType(event.TypeHandoffDeclined))
	r.Offered = r.Assigned || r.Inbox != ""
}

// waitingAt says whether somebody waits just before place i.
func (c *refCycle) waitingAt(i int) bool {
	return slices.ContainsFunc(c.waits(false), func(w refWait) bool {
		return w.from < i && (w.to < 0 || w.to >= i)
	})
}

func (c *refCycle) judgement(r *Cycle) {
	at := c.judgedBy()
	if c.end >= 0 {
		at = c.end
	}
	if at >= 0 {
		r.Judged, r.JudgedAtMS = true, c.all[at].at
		waiting := c.waitingAt(at)
		replied := slices.ContainsFunc(c.live()[:at], refReply)
		asked := slices.ContainsFunc(c.live()[:at], refIs("customer"))
		r.Missed, r.Dropped = waiting && asked && !replied, waiting && asked && replied
	}
	for i, e := range c.live() {
		after := c.live()[i+1:]
		came := slices.ContainsFunc(after, func(e *refEvent) bool {
			return refReply(e) || refSide(e) == "customer"
		})
		if refLeaves(e) && c.waitingAt(i) && !came && !slices.ContainsFunc(c.live()[:i], refReply) {
			r.Abandoned, r.AbandonedAtMS = true, e.at
			break
		}
	}
	if c.end < 0 {
		return
	}
	e := c.all[c.end]
	if !refIsClose(e) {
		return
	}
	r.Resolution = e.ev.Resolution
	if e.ev.Type == event.TypeStatus {
		r.Resolution = event.ResolutionNone
	}
	if r.Resolution == event.ResolutionNone {
		r.Resolution = event.ResolutionUnresolved
		asked, answered := false, false
		for _, e := range c.live() {
			if refSide(e) == "customer" {
				asked, answered = true, false
			}
			answered = answered || asked && refReply(e)
		}
		if answered && !c.waitingAt(c.end) {
			r.Resolution = event.ResolutionAssumed
		}
	}
}

func (c *refCycle) amendments(r *Cycle) {
	r.ContactAtMS, _ = c.find(0, refType(event.TypeContactProvided))
	r.ContactGiven = r.ContactAtMS != 0
	converts := func(k event.OutcomeKind) bool {
		return k == event.OutcomeBooking || k == event.OutcomeSale || k == event.OutcomeLead
	}
	messages := int64(0)
	for _, e := range c.all {
		if refSide(e) != "" {
			messages++
		}
		if e.ev.Type == event.TypeOutcome &&
			(r.OutcomeAtMS == 0 || converts(e.ev.Outcome.Kind) && !converts(r.Outcome)) {
			r.Outcome, r.OutcomeAtMS, r.MessagesToOutcome = e.ev.Outcome.Kind, e.at, messages
		}
		if e.ev.Type == event.TypeCSAT {
			r.CSATAsked = r.CSATAsked || e.ev.CSAT.Asked
			if e.ev.CSAT.HasScore {
				r.CSATScore, r.CSATScale, r.CSATAtMS = e.ev.CSAT.Score, e.ev.CSAT.Scale, e.at
				if r.CSATFirstAtMS == 0 {
					r.CSATFirstScore, r.CSATFirstScale = r.CSATScore, r.CSATScale
					r.CSATFirstAtMS = e.at
				}
			}
		}
	}
	at, reason := c.voidedBy()
	r.Voided, r.VoidReason = at >= 0, reason
}

func (c *refCycle) handling(r *Cycle) {
	status := event.StatusOpen
	on := -1
	for i, e := range c.live() {
		if e.ev.Type == event.TypeStatus && !refIsClose(e) {
			status = e.ev.Status.To
		}
		paused := status == event.StatusPending || status == event.StatusSnoozed
		if refSide(e) == "customer" && paused {
			status = event.StatusOpen
		}
		assigned := c.assignee(i) != ""
		if assigned {
			r.HandleMS = max(r.HandleMS, 0)
		}
		now := assigned && status == event.StatusOpen && i != c.end
		if now && on < 0 {
			on = i
		} else if !now && on >= 0 {
			r.HandleMS += max(0, e.at-c.all[on].at)
			on = -1
		}
	}
	latest := map[string]int64{}
	for _, e := range c.live() {
		if a := string(e.ev.Actor.ID); e.ev.Actor.Kind == event.ActorAgent && a != "" {
			if t, ok := latest[a]; ok {
				r.ActiveHandleMS += min(max(0, e.at-t), 5*60*1000)
			}
			latest[a] = e.at
		}
	}
}

// reference computes every fact of one conversation from its whole log.
func reference(conv string, log []*refEvent) refFacts {
	refSort(log)
	var f refFacts
	for _, c := range refCycles(conv, log) {
		f.turns = append(f.turns, c.turns(false)...)
		f.human = append(f.human, c.turns(true)...)
		f.escs = append(f.escs, c.escalations()...)
		if at, reason := c.voidedBy(); at >= 0 {
			f.voids = append(f.voids, Void{Dims: c.dims(at, true), Cycle: c.n,
				CycleOffset: c.all[0].offset, Reason: reason, AtMS: c.all[at].at})
		}
		f.cycles = append(f.cycles, c.row())
	}
	return f
}
