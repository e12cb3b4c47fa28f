package conversation

import "usher/pipeline/event"

// kpi names what a correction concerns.
type kpi uint8

const (
	kpiFirstAny kpi = iota
	kpiNextAny
	kpiFirstHuman
	kpiNextHuman
	kpiEscalation
	kpiVoid
	kpiSLA
)

var kpiNames = [...]string{
	"first_reply_any", "next_reply", "first_reply_human", "next_reply_human", "escalation", "void",
	"sla",
}

// correct notes every final fact that this arrival withdrew; n.. are where its rows begin.
func (t *Table) correct(nt, nh, ne, nv int) {
	r := &t.rows
	for _, x := range r.turns[nt:] {
		if f := &x.fact; x.sign < 0 && f.final {
			t.note(x.meta, f.slotDims(), f.cycleOffset, f.ordinal, nextIf(kpiFirstAny, f))
		}
	}
	for _, x := range r.human[nh:] {
		if f := &x.fact; x.sign < 0 && f.final {
			t.note(x.meta, f.slotDims(), f.cycleOffset, f.ordinal, nextIf(kpiFirstHuman, f))
		}
	}
	for _, x := range r.escs[ne:] {
		if f := &x.fact; x.sign < 0 {
			t.note(x.meta, f.slotDims(), f.cycleOffset, f.ordinal, kpiEscalation)
		}
	}
	for _, x := range r.voids[nv:] {
		if f := &x.fact; x.sign < 0 {
			t.note(x.meta, f.slotDims(), f.cycleOffset, f.ordinal, kpiVoid)
		}
	}
}

func nextIf(k kpi, f *turn) kpi {
	if f.first {
		return k
	}
	return k + 1
}

// correctSLA notes every terminal SLA event that this arrival withdrew.
func (t *Table) correctSLA(ns int) {
	for _, x := range t.rows.slas[ns:] {
		if f := &x.fact; x.sign < 0 && f.status != SLADueSoon {
			t.note(x.meta, f.slotDims(), f.cycleOffset, f.ordinal, kpiSLA)
		}
	}
}

func (f *promised) slotDims() slotDims {
	return slotDims{f.dims, f.team, f.queue, f.agent, f.label, f.variant}
}

func (t *Table) slaFact(x *signed[promised]) SLAEvent {
	f := &x.fact
	return SLAEvent{
		Dims: t.dimsOf(x.slot, f.slotDims()), SrcOffset: x.meta.offset, SinceOffset: f.offset,
		Cycle: f.ordinal, CycleOffset: f.cycleOffset, Turn: f.turn, BegunAtMS: f.begun,
		Policy: t.words.str(f.policy), Metric: f.metric, Status: f.status, TargetMS: f.target,
		DueAtMS: f.due, AtMS: f.at, Business: f.business, CalendarVersion: t.words.str(f.cal),
		Revision: x.revision, Sign: x.sign,
	}
}

func (t *Table) note(m meta, d slotDims, cycleOffset int64, ordinal uint32, k kpi) {
	t.rows.corrections = append(t.rows.corrections, correction{
		meta: m, slotDims: d, cycleOffset: cycleOffset, ordinal: ordinal, kpi: k,
		at: t.cur.entry.time(), cause: uint8(t.cur.cause),
	})
}

func (f *turn) slotDims() slotDims {
	return slotDims{f.dims, f.team, f.queue, f.agent, f.label, f.variant}
}

func (f *escalation) slotDims() slotDims {
	return slotDims{f.dims, f.team, f.queue, f.agent, f.label, f.variant}
}

func (f *void) slotDims() slotDims {
	return slotDims{f.dims, f.team, f.queue, f.agent, f.label, f.variant}
}

// Facts shows what changed since BeginTransaction. It writes names for numbers: call it once a
// transaction, not once an event.
func (t *Table) Facts() *Facts {
	r, f := &t.rows, &t.facts
	f.Turns, f.TurnsHuman = f.Turns[:0], f.TurnsHuman[:0]
	f.Escalations, f.Voids = f.Escalations[:0], f.Voids[:0]
	f.Corrections, f.Cycles, f.SLA = f.Corrections[:0], f.Cycles[:0], f.SLA[:0]
	for i := range r.turns {
		f.Turns = append(f.Turns, t.turnFact(&r.turns[i]))
	}
	for i := range r.human {
		f.TurnsHuman = append(f.TurnsHuman, t.turnFact(&r.human[i]))
	}
	for i := range r.escs {
		f.Escalations = append(f.Escalations, t.escalationFact(&r.escs[i]))
	}
	for i := range r.voids {
		f.Voids = append(f.Voids, t.voidFact(&r.voids[i]))
	}
	for i := range r.corrections {
		f.Corrections = append(f.Corrections, t.correctionFact(&r.corrections[i]))
	}
	for i := range r.slas {
		f.SLA = append(f.SLA, t.slaFact(&r.slas[i]))
	}
	for i := range r.cycles {
		f.Cycles = append(f.Cycles, Cycle{})
		t.cycleFact(&r.cycles[i], &f.Cycles[i])
	}
	return f
}

func (t *Table) dimsOf(slotID uint32, d slotDims) Dims {
	s, w := t.slots.at(slotID), &t.words
	return Dims{
		Tenant: w.str(s.tenant), ConversationID: t.convs.str(s.conv),
		Channel: w.str(d.dims[dimChannel]), Lang: w.str(d.dims[dimLang]),
		Region: w.str(d.dims[dimRegion]), Inbox: w.str(d.dims[dimInbox]),
		Source: w.str(d.dims[dimSource]), CustomerKey: w.str(d.dims[dimCustomer]),
		Team: w.str(d.team), Queue: t.queueName(d.queue), AgentID: w.str(d.agent),
		Label: w.str(d.label), Variant: w.str(d.variant),
	}
}

func (t *Table) turnFact(x *signed[turn]) Turn {
	f := &x.fact
	return Turn{
		Dims: t.dimsOf(x.slot, f.slotDims()), SrcOffset: x.offset,
		Cycle: f.ordinal, CycleOffset: f.cycleOffset, Turn: f.turn,
		WaitingSinceMS: f.since, EndedAtMS: f.endedAt, WaitMS: f.wait, PausedMS: f.paused,
		BusinessWaitMS: f.business, BusinessPausedMS: f.businessPaused,
		CalendarVersion: t.words.str(f.cal),
		SinceOffset:     f.offset, EndedBy: f.endedBy,
		IsFirst: f.first, Skewed: f.skewed, Final: f.final,
		Revision: x.revision, Sign: x.sign,
	}
}

func (t *Table) escalationFact(x *signed[escalation]) Escalation {
	f, w := &x.fact, &t.words
	return Escalation{
		Dims: t.dimsOf(x.slot, f.slotDims()), SrcOffset: x.meta.offset, SinceOffset: f.offset,
		Cycle: f.ordinal, CycleOffset: f.cycleOffset, AtMS: f.at,
		OfferedAtMS: f.offered, AcceptedAtMS: f.accepted, DeclinedAtMS: f.declined,
		HumanReplyAtMS: f.humanReply, By: f.by, PendingAlready: f.already,
		Reason: w.str(f.reason), Intent: w.str(f.intent),
		FromQueue: t.queueName(f.fromQueue), ToQueue: w.str(f.toQueue),
		ToTeam: w.str(f.toTeam), ToAgent: w.str(f.toAgent),
		BusinessWaitMS:  t.businessSince(f.cal, f.at, f.humanReply),
		CalendarVersion: w.str(f.cal),
		Revision:        x.revision, Sign: x.sign,
	}
}

func (t *Table) voidFact(x *signed[void]) Void {
	f := &x.fact
	return Void{
		Dims: t.dimsOf(x.slot, f.slotDims()), SrcOffset: x.offset, Cycle: f.ordinal,
		CycleOffset: f.cycleOffset, Reason: t.words.str(f.reason), AtMS: f.at,
		Revision: x.revision, Sign: x.sign,
	}
}

func (t *Table) correctionFact(x *correction) Correction {
	return Correction{
		Dims: t.dimsOf(x.slot, x.slotDims), SrcOffset: x.offset, Cycle: x.ordinal,
		CycleOffset: x.cycleOffset, KPI: kpiNames[x.kpi], Cause: event.Type(x.cause),
		AtMS: x.at, Revision: x.revision,
	}
}

// since is a duration that is known once both instants are; a reply dated before its question is 0.
func since(from, to int64) int64 {
	if from == 0 || to == 0 {
		return -1
	}
	return max(0, to-from)
}

// agentOf is the actor that closed the cycle, else the assignee, else the latest person to reply.
func (c *cycle) agentOf() uint32 {
	for _, id := range [...]uint32{c.closer, c.assignee, c.replier} {
		if id != 0 {
			return id
		}
	}
	return 0
}

func (t *Table) cycleFact(x *cycleRow, f *Cycle) {
	c, w := &x.cycle, &t.words
	queue := c.queue
	if queue == 0 {
		queue = c.inbox
	}
	f.Dims = t.dimsOf(x.slot, slotDims{c.dims, c.team, queue, c.agentOf(), c.label, c.variant})
	f.SrcOffset, f.Revision = x.meta.offset, x.revision
	f.Cycle, f.CycleOffset, f.PrevCycleOffset = c.ordinal, c.offset, c.prev
	f.OpenedAtMS, f.ClosedAtMS = c.openedAt, c.closedAt
	f.WaitingSinceMS, f.WaitingHumanSinceMS = c.waitSince, c.humanSince
	f.FirstCustomerAtMS = c.firstCustomerAt
	f.FirstReplyAnyMS, f.FirstReplyAnyAtMS = since(c.firstCustomerAt, c.firstAnyAt), c.firstAnyAt
	f.FirstReplyHumanMS = since(c.firstCustomerAt, c.firstHumanAt)
	f.FirstReplyHumanAtMS = c.firstHumanAt
	f.FirstReplyAfterHandoffMS = since(c.firstHandoffAt, c.firstAfterAt)
	f.FirstReplyAfterHandoffAtMS = c.firstAfterAt
	f.FirstReplyAnyAgent, f.FirstReplyHumanAgent = w.str(c.firstAnyAgent), w.str(c.firstHumanAgent)
	f.FirstReplyAfterHandoffAgent = w.str(c.firstAfterAgent)
	f.RequesterWaitMS, f.RequesterWaitAtMS = c.requesterWait, c.requesterWaitAt
	f.EndedWaits, f.PausedMS = c.endedWaits, c.paused
	t.cycleBusiness(c, f)
	t.cycleCounts(c, f)
	t.cycleJudgement(c, f)
	f.Gone, f.ReplacedByOffset = x.gone, x.replacedBy
}

func (t *Table) cycleCounts(c *cycle, f *Cycle) {
	f.MessagesCustomer, f.MessagesAgent, f.MessagesBot = c.fromCustomer, c.fromAgent, c.fromBot
	f.MessagesToClose, f.MessagesToOutcome = c.toClose, c.toOutcome
	f.BotReplies, f.BotFallbacks, f.HumanReplies = c.botReplies, c.botFallbacks, c.humanReplies
	f.HumanRuns = c.humanRuns
	f.Escalations, f.EscalatedAny = c.escalations, c.escalatedAny
	f.EscalatedByBot, f.EscalatedByBotAtMS = c.escalatedByBotAt != 0, c.escalatedByBotAt
	f.TransferredUp, f.FirstEscalatedAtMS = c.transferredUp, c.firstEscalatedAt
	f.FirstHandoffAtMS = c.firstHandoffAt
	f.HandoffsOffered, f.HandoffsAccepted, f.HandoffsDeclined = c.offered, c.accepted, c.declined
	f.BotCycle, f.BotCycleAtMS = c.botCycleAt != 0, c.botCycleAt
	f.Reassigned, f.ReassignedAtMS = c.reassigned, c.reassignedAt
	f.FlowedOut, f.FlowedOutAtMS = c.flowedOutAt != 0, c.flowedOutAt
	f.HandleMS, f.ActiveHandleMS = c.handle, c.active
}

func (t *Table) cycleJudgement(c *cycle, f *Cycle) {
	f.Resolution, f.Final = c.resolution, !c.open
	f.Judged, f.JudgedAtMS, f.Missed, f.Dropped = c.judged, c.judgedAt, c.missed, c.dropped
	f.Abandoned, f.AbandonedAtMS = c.abandonedAt != 0, c.abandonedAt
	f.Assigned, f.Offered = c.moved, c.moved || c.dims[dimInbox] != 0
	f.ContactGiven, f.ContactAtMS, f.AIDisclosed = c.contact, c.contactAt, c.disclosed
	f.AskedHumanAtMS, f.AskedHumanReplyAtMS = c.askedAt, c.askedReplyAt
	f.Outcome, f.OutcomeAtMS = c.outcome, c.outcomeAt
	f.CSATAsked, f.CSATAtMS, f.CSATFirstAtMS = c.csatAsked, c.csatAt, c.csatFirstAt
	f.CSATScore, f.CSATScale, f.CSATFirstScore, f.CSATFirstScale = 0, 0, 0, 0
	if c.csatAt != 0 {
		f.CSATScore, f.CSATScale = ratingOf(t.tuples.get(c.csat))
		f.CSATFirstScore, f.CSATFirstScale = ratingOf(t.tuples.get(c.csatFirst))
	}
	f.SentimentFirst, f.SentimentLowest = c.mood.first(), c.mood.lowest()
	f.SentimentLast = c.mood.last()
	f.Voided, f.VoidReason = c.voided, t.words.str(c.voidReason)
}

// BeginTransaction forgets facts and the list of touched conversations: call it after a commit.
func (t *Table) BeginTransaction() {
	emitted := len(t.touched) > 0
	for _, id := range t.touched {
		t.slots.at(id).touched = 0
	}
	t.touched = t.touched[:0]
	t.cals.fresh = t.cals.fresh[:0]
	t.policiesFresh = t.policiesFresh && !emitted
	t.rows.reset()
}
