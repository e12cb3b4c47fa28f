package gen

// planner writes the script of one conversation: what would happen, in true order. Disorder is put
// on top by disturb.
type planner struct {
	rng
	c     *conversation
	nowMS int64
	endMS int64
	asked uint16    // ord of the last customer message with a label
	said  uint16    // ord of the last message of any side
	by    stepFlags // flagSecond once the conversation has moved
	order []step    // scratch of disturb
}

// stepsMax bounds a script: the longest conversations have about 120 events.
const stepsMax = 400

// plan fills c.steps. What would happen after the end of the stream is cut off, so the last
// conversations are still open, some of them waiting.
func (p *planner) plan(c *conversation, cfg *Config) {
	p.rng, p.c, p.nowMS, p.endMS = rng(c.seed), c, c.startMS, cfg.EndMS
	p.asked, p.said, p.by = 0, 0, 0
	switch {
	case p.chance(25):
		p.junk()
	case p.chance(70):
		p.abandoned()
	case p.chance(30):
		p.proactive()
	default:
		p.conversation()
	}
	p.disturb(cfg)
}

// add appends a step at the present moment, unless the stream is over by then.
func (p *planner) add(kind kind, a uint8) *step {
	if p.nowMS >= p.endMS || len(p.c.steps) >= stepsMax {
		return &step{}
	}
	p.c.steps = append(p.c.steps, step{atMS: p.nowMS, emitMS: p.nowMS, vary: p.next(),
		ord: uint16(len(p.c.steps)), kind: kind, a: a, flags: p.by})
	return &p.c.steps[len(p.c.steps)-1]
}

// after lets a wait with the given median pass.
func (p *planner) after(medianMS int64) *planner {
	p.nowMS += p.delayMS(medianMS)
	return p
}

// customer adds a turn of the customer: the matter itself and up to three short messages, as people
// write in bursts.
func (p *planner) customer(label Label) {
	s := p.add(stepCustomer, uint8(label))
	p.asked, p.said = s.ord, s.ord
	if p.chance(30) {
		p.after(8*secondMS).add(stepCustomerMedia, 0)
	}
	p.more(1000)
	if label != Unlabelled && p.chance(25) {
		p.after(3*minuteMS).add(stepLabel, uint8(label)).ref = p.asked
	}
}

// more adds short messages; first is the chance of one, per mille.
func (p *planner) more(first int) {
	for chance := first * 62 / 100; chance > 60 && p.chance(chance); chance = chance * 55 / 100 {
		p.said = p.after(11*secondMS).add(stepCustomerMore, 0).ord
	}
}

// answer adds a turn of the customer inside a conversation that goes on.
func (p *planner) answer() {
	p.after(50 * secondMS)
	if p.chance(480) {
		p.customer(p.c.label)
		return
	}
	p.said = p.add(stepCustomerMore, 0).ord
	p.more(900)
}

// person lets the time pass until somebody at work gets to it.
func (p *planner) person() {
	wait := p.delayMS(p.c.tenant.replyMS)
	open := p.c.tenant.nextOpen(p.nowMS)
	if open > p.nowMS {
		if p.c.tenant.lines[p.c.line].channel != "email" && p.chance(400) {
			p.nowMS += 2 * secondMS
			p.add(stepAgentAuto, 0)
		}
		wait += int64(p.below(int(25 * minuteMS)))
	}
	p.nowMS = max(open, p.nowMS) + wait
}

// reply adds an agent's turn and what an agent does beside it.
func (p *planner) reply() {
	p.person()
	switch {
	case p.chance(40):
		p.said = p.add(stepAgentEcho, 0).ord
	default:
		p.said = p.add(stepAgent, 0).ord
	}
	if p.chance(180) {
		p.said = p.after(20*secondMS).add(stepAgent, 0).ord
	}
	if p.chance(50) {
		p.after(9*secondMS).add(stepRead, 0).ref = p.said
	}
	if p.chance(25) {
		p.after(6*secondMS).add(stepReaction, 0).ref = p.said
	}
	if p.chance(35) {
		p.after(15*secondMS).add(stepNote, 0).ref = p.asked
	}
	if p.chance(8) {
		p.after(20*secondMS).add(stepEdit, 0).ref = p.said
	}
	if p.chance(5) {
		p.after(20*secondMS).add(stepDelete, 0).ref = p.said
	}
	if p.chance(10) {
		p.add(stepAgentPrivate, 0)
	}
}

// conversation is the usual case: a bot first where there is one, then people, then perhaps once
// more after the close.
func (p *planner) conversation() {
	if p.chance(250) {
		p.add(stepOpen, 0)
		p.nowMS += int64(p.in(200, 4000))
	}
	p.customer(p.c.label)
	if p.c.tenant.lines[p.c.line].bot && !p.bot() {
		return
	}
	p.people()
	for again := 0; again < 3 && p.chance(110); again++ {
		p.after(14 * hourMS)
		if p.chance(200) {
			p.add(stepReopen, 0)
			p.nowMS += secondMS
		}
		p.customer(Claim)
		p.people()
	}
}

// bot plays the assistant and reports whether people have to go on.
func (p *planner) bot() bool {
	if p.chance(450) {
		p.nowMS += int64(p.in(400, 1500))
		p.add(stepBotGreeting, 0)
	}
	escalated := p.chance(p.c.tenant.escalates)
	for turn := 0; ; turn++ {
		p.nowMS += int64(p.in(700, 4000))
		kind := stepBotAnswer
		switch {
		case p.chance(150) || escalated && p.chance(300):
			kind = stepBotFallback
		case p.chance(250):
			kind = stepBotMessage
		}
		p.said = p.add(kind, 0).ord
		if p.chance(30) {
			p.after(30*secondMS).add(stepFeedback, uint8(p.c.label)).ref = p.asked
		}
		if turn == 2 || !p.chance(550) {
			break
		}
		p.answer()
	}
	if escalated {
		return p.handoff()
	}
	if p.chance(350) {
		p.after(25*secondMS).add(stepCustomerBye, 0)
	}
	switch {
	case p.chance(500):
		p.after(4*minuteMS).add(stepClose, resolutionConfirmed).flags |= flagSystem
	case p.chance(600):
		p.after(30*minuteMS).add(stepClose, resolutionAbsent).flags |= flagSystem
	default:
		p.after(20*minuteMS).add(stepSessionEnd, endTimeout)
	}
	p.rate(120)
	p.converted(p.c.tenant.converts / 3)
	return false
}

// handoff plays the way from bot to people, and reports whether anybody is left to answer.
func (p *planner) handoff() bool {
	reason := uint8(p.pick([]int{34, 24, 26, 11, 5}))
	if reason == reasonAskedHuman {
		p.said = p.after(20*secondMS).add(stepCustomerHuman, 0).ord
	}
	if p.chance(500) {
		p.nowMS += secondMS
		p.add(stepOffered, 0)
		if p.after(15 * secondMS); p.chance(120) {
			p.add(stepDeclined, 0)
			p.after(10*minuteMS).add(stepSessionEnd, endLeft)
			return false
		}
		p.add(stepAccepted, 0)
	}
	p.nowMS += int64(p.in(100, 900))
	if p.chance(70) {
		p.add(stepBotTransfer, reason)
	} else {
		p.add(stepEscalate, reason)
	}
	if p.chance(90) {
		p.after(5*minuteMS).add(stepContact, 0)
		p.after(minuteMS).add(stepSessionEnd, endMoved)
	}
	return true
}

// people plays agents until the matter is settled or dropped.
func (p *planner) people() {
	if p.chance(700) {
		p.nowMS += int64(p.in(500, 9000))
		p.by = 0
		p.add(stepAssign, 0)
	}
	rounds := 1
	for rounds < 5 && p.chance(560) {
		rounds++
	}
	if p.chance(12) {
		rounds = p.in(10, 26)
	}
	for round := range rounds {
		p.reply()
		if round == 0 && p.chance(80) {
			p.after(2*minuteMS).add(stepTransfer, uint8(p.below(len(p.c.tenant.queues))))
			p.by ^= flagSecond
		}
		if p.chance(50) {
			p.pause()
		}
		if round < rounds-1 || p.chance(500) {
			p.answer()
			p.more(650)
		}
	}
	p.finish()
}

// pause plays a status that stops the clock, and its end.
func (p *planner) pause() {
	p.after(30*secondMS).add(stepStatus, uint8(p.pick([]int{0, 60, 15, 25})))
	if p.chance(600) {
		p.after(2*hourMS).add(stepStatus, statusOpen)
	}
}

// finish ends a cycle that people worked on.
func (p *planner) finish() {
	if p.chance(60) { // dropped: the customer's last question stays open
		p.answer()
		p.after(20*hourMS).add(stepClose, resolutionUnresolved)
		return
	}
	if p.c.label == Deal && p.chance(600) {
		p.person()
		p.said = p.add(stepAgentOffer, 0).ord
	} else if p.chance(500) {
		p.reply()
	}
	if p.chance(600) {
		p.after(40*secondMS).add(stepCustomerBye, 0)
	}
	if p.chance(90) {
		p.after(20*secondMS).add(stepContact, 0)
	}
	p.converted(p.c.tenant.converts)
	switch p.pick([]int{30, 40, 10, 12, 8}) {
	case 0:
		p.after(5*minuteMS).add(stepClose, resolutionConfirmed)
	case 1:
		p.after(20*minuteMS).add(stepClose, resolutionAbsent)
	case 2:
		p.after(20*minuteMS).add(stepResolve, resolutionAssumed)
	case 3:
		p.after(30*minuteMS).add(stepStatus, statusClosed)
	default: // never closed: inactivity ends nothing
	}
	p.rate(260)
}

// converted adds an outcome; deals convert, other matters rarely do.
func (p *planner) converted(perMille int) {
	if p.c.label != Deal {
		perMille /= 8
	}
	if !p.chance(perMille) {
		return
	}
	p.after(6 * minuteMS)
	outcome := uint8(p.pick([]int{0, 78, 14, 0, 8}))
	if p.c.tenant.business == "salon" || p.c.tenant.business == "clinic" {
		outcome = uint8(p.pick([]int{80, 4, 8, 0, 8}))
	}
	s := p.add(stepOutcome, outcome)
	if outcome < outcomeLead {
		low, high := p.c.tenant.amountLow*100, p.c.tenant.amountHigh*100
		s.value = int32(low + min(p.below(high-low), p.below(high-low)))
		if p.chance(40) {
			amount := s.value
			p.after(2*dayMS).add(stepOutcome, outcomeRefund).value = amount
		}
	}
}

// rate adds a survey; most are not answered.
func (p *planner) rate(perMille int) {
	if !p.chance(perMille) {
		return
	}
	score := int32(1 + p.pick([]int{9, 5, 9, 27, 50}))
	if p.c.label == Claim {
		score = int32(1 + p.pick([]int{30, 18, 16, 20, 16}))
	}
	if p.chance(200) {
		score = 0
	}
	p.after(8*minuteMS).add(stepCSAT, 0).value = score
}

// abandoned plays a customer whom nobody answers.
func (p *planner) abandoned() {
	p.customer(p.c.label)
	if p.chance(200) {
		p.add(stepAssign, 0)
	}
	if p.chance(400) {
		p.after(7*minuteMS).add(stepCustomerMore, 0)
	}
	switch p.pick([]int{40, 25, 35}) {
	case 0:
		p.after(9*minuteMS).add(stepSessionEnd, endLeft)
	case 1:
		p.after(25*minuteMS).add(stepSessionEnd, endTimeout)
	}
	if p.chance(300) {
		p.after(20*hourMS).add(stepClose, resolutionUnresolved).flags |= flagSystem
	}
}

// proactive plays a conversation that an agent begins: there is no wait until the customer writes.
func (p *planner) proactive() {
	p.add(stepOpen, 1)
	p.nowMS += secondMS
	p.add(stepAgentOffer, 0)
	if p.chance(600) {
		p.after(40 * minuteMS)
		p.customer(p.c.label)
		p.people()
	}
}

// junk plays what must not count: spam, tests, merged and linked conversations, unknown types.
func (p *planner) junk() {
	p.customer(Unlabelled)
	switch p.below(5) {
	case 0:
		p.after(hourMS).add(stepClose, resolutionSpam)
	case 1:
		p.after(hourMS).add(stepVoid, 0).a = uint8(p.below(len(voidNames) - 1))
	case 2:
		p.after(hourMS).add(stepMerge, 0)
	case 3:
		p.add(stepLink, 0)
		p.people()
	default:
		p.add(stepUnknownType, 0)
		p.add(stepSystem, 0)
		p.people()
	}
}
