package sim

import (
	"fmt"
	"time"

	"usher/features/calendar"
	"usher/features/conversation"
)

// saying is what happens in a talk.
type saying uint8

const (
	asks saying = iota // the customer
	replies
	botReplies
	pending
	snoozed
	opened
	closed
	sayings
)

// said is one event of a talk.
type said struct {
	atMS, sentMS int64
	what         saying
}

// talk is a conversation in the true order of its events.
type talk struct {
	tenant, id, channel string
	said                []said
}

// promised names what a policy promises once.
type promised struct {
	tenant, conversation string
	cycle, turn          int64
	metric               string
}

func (p promised) String() string {
	return fmt.Sprintf("%s %d of cycle %d of %s/%s", p.metric, p.turn, p.cycle, p.tenant, p.conversation)
}

// outcome is what becomes of a promise: how it ends and when, by which policy, and when a warning of
// it is due. Zero times: never.
type outcome struct {
	policy, status string
	atMS, soonMS   int64
}

// clock is a promise's time: the spans in which it runs.
type clock struct {
	about  promised
	policy *conversation.Policy
	spans  [][2]int64
	runs   bool
	endMS  int64
	status string // when it ends in time
}

func (c *clock) start(atMS int64) {
	if c != nil && !c.runs && c.endMS == 0 {
		c.runs = true
		c.spans = append(c.spans, [2]int64{atMS, farMS})
	}
}

func (c *clock) stop(atMS int64) {
	if c != nil && c.runs {
		c.runs = false
		c.spans[len(c.spans)-1][1] = atMS
	}
}

func (c *clock) end(atMS int64, status string) {
	if c != nil && c.endMS == 0 {
		c.stop(atMS)
		c.endMS, c.status = atMS, status
	}
}

// farMS is later than any world lasts: what is not due by then is never due.
const farMS = startMS + 3*3_600_000

// teller goes through a talk from its beginning to its end, and starts and stops clocks.
type teller struct {
	talk                 *talk
	policies             []conversation.Policy
	clocks               []*clock
	reply, wait, toClose *clock
	cycle, turn          int64
	open, asked          bool
}

// clocksOf are all promises of a talk, from the text of the contract: a cycle is opened by a customer
// or a status; a wait begins with the customer's first message that nobody has answered, and any
// reply ends it; pending and snoozed stop every clock until the customer writes or the status says open.
func clocksOf(t *talk, policies []conversation.Policy) []*clock {
	l := &teller{talk: t, policies: policies}
	for _, s := range t.said {
		l.tell(s)
	}
	return l.clocks
}

func (l *teller) tell(s said) {
	switch s.what {
	case asks:
		l.opens(s.atMS)
		l.resumes(s.atMS)
		l.waits(s.atMS)
	case replies, botReplies:
		l.answered(s.atMS, "met")
	case pending, snoozed:
		for _, c := range []*clock{l.reply, l.wait, l.toClose} {
			c.stop(s.atMS)
		}
	case opened:
		l.opens(s.atMS)
		l.resumes(s.atMS)
	case closed:
		l.answered(s.atMS, "cancelled")
		l.wait.end(s.atMS, "met")
		l.toClose.end(s.atMS, "met")
		l.open, l.wait, l.toClose = false, nil, nil
	}
}

func (l *teller) opens(atMS int64) {
	if !l.open {
		l.cycle++
		l.open, l.turn = true, 0
		l.toClose = l.promise("time_to_close", 0, atMS)
	}
}

func (l *teller) resumes(atMS int64) {
	l.toClose.start(atMS)
	if l.asked {
		l.reply.start(atMS)
		l.wait.start(atMS)
	}
}

func (l *teller) waits(atMS int64) {
	if l.asked {
		return
	}
	l.asked = true
	l.turn++
	if l.turn == 1 {
		l.wait = l.promise("requester_wait", 0, atMS)
		l.reply = l.promise("first_reply", l.turn, atMS)
		return
	}
	l.wait.start(atMS)
	l.reply = l.promise("next_reply", l.turn, atMS)
}

func (l *teller) answered(atMS int64, status string) {
	if l.open && l.asked {
		l.reply.end(atMS, status)
		l.wait.stop(atMS)
		l.asked, l.reply = false, nil
	}
}

// promise begins what the first policy that fits promises, if it does.
func (l *teller) promise(metric string, turn, atMS int64) *clock {
	p := l.policy()
	if p == nil || targetOf(p, metric) == 0 {
		return nil
	}
	c := &clock{policy: p, about: promised{l.talk.tenant, l.talk.id, l.cycle, turn, metric}}
	c.start(atMS)
	l.clocks = append(l.clocks, c)
	return c
}

func (l *teller) policy() *conversation.Policy {
	fits := func(list []string, name string) bool {
		for _, x := range list {
			if x == name {
				return true
			}
		}
		return len(list) == 0
	}
	for i := range l.policies {
		p := &l.policies[i]
		if fits(p.Tenants, l.talk.tenant) && fits(p.Channels, l.talk.channel) {
			return p
		}
	}
	return nil
}

func targetOf(p *conversation.Policy, metric string) int64 {
	for m, target := range p.TargetMS {
		if conversation.Metric(m).String() == metric {
			return target
		}
	}
	return 0
}

// outcome walks the clock to the end of its target.
func (c *clock) outcome(h *hours) outcome {
	if !c.policy.Business {
		h = nil
	}
	target := targetOf(c.policy, c.about.metric)
	out := outcome{policy: c.policy.Name}
	if s := c.policy.DueSoon; s > 0 {
		out.soonMS = h.reach(c.spans, int64(float64(target)*s))
	}
	if at := h.reach(c.spans, target); at != 0 {
		out.status, out.atMS = "breached", at
	} else if c.endMS != 0 {
		out.status, out.atMS = c.status, c.endMS
	}
	return out
}

// hours are a calendar as its text says it; nil is open around the clock.
type hours struct {
	zone *time.Location
	def  calendar.Definition
}

// reach is when so much open time has passed within the spans, minute by minute of the wall clock; 0:
// never.
func (h *hours) reach(spans [][2]int64, leftMS int64) int64 {
	const minuteMS = 60_000
	for _, s := range spans {
		for at := s[0]; at < s[1]; {
			next := min((at/minuteMS+1)*minuteMS, s[1])
			if h.open(at) {
				if leftMS <= next-at {
					return at + leftMS
				}
				leftMS -= next - at
			}
			at = next
		}
	}
	return 0
}

func (h *hours) open(ms int64) bool {
	if h == nil {
		return true
	}
	t := time.UnixMilli(ms).In(h.zone)
	spans, ok := h.def.Dates[t.Format(time.DateOnly)]
	if !ok {
		spans = h.def.Week[(int(t.Weekday())+6)%7]
	}
	minute := t.Hour()*60 + t.Minute()
	for _, s := range spans {
		if s.FromMin <= minute && minute < s.ToMin {
			return true
		}
	}
	return false
}
