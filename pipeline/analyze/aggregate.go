// Package analyze computes the service figures of a set of conversations without any server: the
// same line as the router's, the same definitions as the KPI views (KPIS section 0), folded here in
// place of SQL.
package analyze

import (
	"slices"

	"usher/features/conversation"
	"usher/pipeline/event"
)

// positiveShare is the share of the scale from which a rating is positive (CONTRACT, csat).
const positiveShare = 0.8

// Events that a KPI needs before it says anything about a tenant (KPIS section 0, "needs").
type needs uint8

const (
	sentMove    needs = 1 << iota // escalate, assign or transfer
	sentOutcome                   // outcome
)

// tenantFigures are the parts of rates that wait until the tenant has sent what they need.
type tenantFigures struct {
	sent                  needs
	cycles, escalated     int64
	withCustomer, convert int64
}

// agentFigures are one agent's waits.
type agentFigures struct {
	first, next []int64 // ms
}

// aggregate folds facts into figures. Conversations come whole, one after the other.
type aggregate struct {
	report  Report
	tenants map[string]*tenantFigures
	agents  map[string]*agentFigures

	firstAny, firstHuman, next, nextHuman []int64 // ms

	withCustomer, judged, missed, dropped int64
	rated, positive                       int64

	// Of the conversation being folded.
	turns, human map[int64]conversation.Turn // by since offset
	cycles       map[int64]conversation.Cycle
	seen         map[string]bool // tenants
}

func newAggregate() *aggregate {
	return &aggregate{
		tenants: map[string]*tenantFigures{}, agents: map[string]*agentFigures{},
		turns: map[int64]conversation.Turn{}, human: map[int64]conversation.Turn{},
		cycles: map[int64]conversation.Cycle{}, seen: map[string]bool{},
	}
}

// event counts one accepted event.
func (a *aggregate) event(ev *event.Event, flags conversation.Flags) {
	a.report.Events++
	count := func(n *int64, flag conversation.Flags) {
		if flags&flag != 0 {
			*n++
		}
	}
	count(&a.report.Skewed, conversation.FlagClockSkew)
	count(&a.report.Late, conversation.FlagLate)
	count(&a.report.Duplicates, conversation.FlagDuplicate)
	t := a.tenant(ev.Tenant)
	switch ev.Type {
	case event.TypeEscalate, event.TypeAssign, event.TypeTransfer:
		t.sent |= sentMove
	case event.TypeOutcome:
		t.sent |= sentOutcome
	}
}

func (a *aggregate) tenant(name []byte) *tenantFigures {
	t := a.tenants[string(name)]
	if t == nil {
		t = &tenantFigures{}
		a.tenants[string(name)] = t
	}
	return t
}

// facts takes in what events of one conversation changed. A correction withdraws a row before it
// writes the new one, so the last sign of an identity says whether it stands.
func (a *aggregate) facts(f *conversation.Facts) {
	apply := func(to map[int64]conversation.Turn, rows []conversation.Turn) {
		for i := range rows {
			if rows[i].Sign > 0 {
				to[rows[i].SinceOffset] = rows[i]
			} else {
				delete(to, rows[i].SinceOffset)
			}
		}
	}
	apply(a.turns, f.Turns)
	apply(a.human, f.TurnsHuman)
	for i := range f.Cycles {
		a.cycles[f.Cycles[i].CycleOffset] = f.Cycles[i]
	}
}

// conversation ends one conversation, or several of one id in different tenants: a cycle that is
// gone leaves no trace, one that was voided only counts as a conversation.
func (a *aggregate) conversation() {
	clear(a.seen)
	for _, c := range a.cycles {
		if c.Gone {
			continue
		}
		a.seen[c.Tenant] = true
		if !c.Voided {
			a.report.Cycles++
			a.cycle(&c)
		}
	}
	a.report.Conversations += int64(len(a.seen))
	a.waits(a.turns, &a.next, true)
	a.waits(a.human, &a.nextHuman, false)
	clear(a.turns)
	clear(a.human)
	clear(a.cycles)
}

// stands reports whether a turn's cycle is in the KPIs.
func (a *aggregate) stands(t *conversation.Turn) bool {
	c, ok := a.cycles[t.CycleOffset]
	return ok && !c.Gone && !c.Voided
}

// waits takes the ended waits: a reply ended them, and they are not the cycle's first by that stamp.
func (a *aggregate) waits(turns map[int64]conversation.Turn, to *[]int64, anyStamp bool) {
	for _, t := range turns {
		replied := t.EndedBy == conversation.EndedByAgent || t.EndedBy == conversation.EndedByBot
		if !replied || t.IsFirst || !a.stands(&t) {
			continue
		}
		*to = append(*to, t.WaitMS)
		if !anyStamp && t.AgentID != "" {
			g := a.agent(t.AgentID)
			g.next = append(g.next, t.WaitMS)
		}
	}
}

func (a *aggregate) agent(id string) *agentFigures {
	g := a.agents[id]
	if g == nil {
		g = &agentFigures{}
		a.agents[string([]byte(id))] = g // the table's string does not outlive it
	}
	return g
}

// cycle folds one cycle that counts.
func (a *aggregate) cycle(c *conversation.Cycle) {
	t := a.tenant([]byte(c.Tenant))
	t.cycles++
	if c.EscalatedAny || c.TransferredUp {
		t.escalated++
	}
	if c.FirstReplyAnyMS >= 0 {
		a.firstAny = append(a.firstAny, c.FirstReplyAnyMS)
	}
	if c.FirstReplyHumanMS >= 0 {
		a.firstHuman = append(a.firstHuman, c.FirstReplyHumanMS)
		if c.FirstReplyHumanAgent != "" {
			g := a.agent(c.FirstReplyHumanAgent)
			g.first = append(g.first, c.FirstReplyHumanMS)
		}
	}
	if c.CSATAtMS != 0 {
		a.rated++
		if c.CSATScale > 0 && c.CSATScore/c.CSATScale >= positiveShare {
			a.positive++
		}
	}
	if c.FirstCustomerAtMS == 0 {
		return
	}
	a.withCustomer++
	t.withCustomer++
	switch c.Outcome {
	case event.OutcomeBooking, event.OutcomeSale, event.OutcomeLead:
		t.convert++
	}
	a.report.Unanswered += one(c.HumanReplies+c.BotReplies == 0)
	if c.Judged {
		a.judged++
		a.missed += one(c.Missed)
		a.dropped += one(c.Dropped)
	}
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// finish turns the sums into the report.
func (a *aggregate) finish() *Report {
	r := &a.report
	var moves, outcomes tenantFigures
	for _, t := range a.tenants {
		if t.sent&sentMove != 0 {
			moves.cycles += t.cycles
			moves.escalated += t.escalated
		}
		if t.sent&sentOutcome != 0 {
			outcomes.withCustomer += t.withCustomer
			outcomes.convert += t.convert
		}
	}
	r.UnansweredRate = rate(r.Unanswered, a.withCustomer)
	r.FirstReplyMedianMS, r.FirstReplyP90MS = spread(a.firstHuman)
	r.FirstReplyAnyMedianMS, r.FirstReplyAnyP90MS = spread(a.firstAny)
	r.NextReplyMedianMS, r.NextReplyP90MS = spread(a.next)
	r.NextReplyHumanMedianMS, r.NextReplyHumanP90MS = spread(a.nextHuman)
	r.MissedRate = rate(a.missed, a.judged)
	r.DroppedRate = rate(a.dropped, a.judged)
	r.EscalationRate = rate(moves.escalated, moves.cycles)
	r.ConversionRate = rate(outcomes.convert, outcomes.withCustomer)
	r.SatisfactionRate = rate(a.positive, a.rated)
	r.PerAgent = make([]Agent, 0, len(a.agents))
	for id, g := range a.agents {
		x := Agent{AgentID: id, FirstReplies: len(g.first), NextReplies: len(g.next)}
		x.FirstReplyMedianMS, x.FirstReplyP90MS = spread(g.first)
		x.NextReplyMedianMS, x.NextReplyP90MS = spread(g.next)
		r.PerAgent = append(r.PerAgent, x)
	}
	slices.SortFunc(r.PerAgent, byReplies)
	return r
}

// rate is null when nothing was counted.
func rate(num, den int64) *float64 {
	if den == 0 {
		return nil
	}
	x := float64(num) / float64(den)
	return &x
}

// spread returns median and 90th percentile, null when there is none.
func spread(values []int64) (median, p90 *int64) {
	if len(values) == 0 {
		return nil, nil
	}
	slices.Sort(values)
	return quantileExact(values, 0.5), quantileExact(values, 0.9)
}

// quantileExact is ClickHouse's function of that name: the element at index floor(level × n) of the
// sorted values, the last at most (QuantileExact::get).
func quantileExact(sorted []int64, level float64) *int64 {
	i := min(int(level*float64(len(sorted))), len(sorted)-1)
	v := sorted[i]
	return &v
}
