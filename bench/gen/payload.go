package gen

import "strconv"

// appendPayload writes the actor and the type's own object.
func (g *Generator) appendPayload(b []byte, c *conversation, s *step) []byte {
	r := rng(s.vary)
	switch {
	case s.kind <= stepSystem:
		return g.appendMessage(b, c, s, &r)
	case s.kind <= stepSessionEnd:
		return g.appendFlow(b, c, s, &r)
	default:
		return g.appendSide(b, c, s, &r)
	}
}

func (c *conversation) appendCustomer(b []byte) []byte {
	// Fewer customers than conversations: about a third come back.
	customer := mix(c.seed) % (c.number*2/3 + 40)
	b = append(b, `,"customer_id":"u`...)
	b = strconv.AppendUint(b, customer, 10)
	return append(b, `","actor":{"kind":"customer"}`...)
}

// appendAgentActor writes who of the people acts in s.
func (c *conversation) appendAgentActor(b []byte, s *step) []byte {
	if s.flags&flagSystem != 0 {
		return append(b, systemActor...)
	}
	agent := c.agent
	if s.flags&flagSecond != 0 {
		agent = c.second
	}
	b = append(b, `,"actor":{"kind":"agent","id":"`...)
	b = appendAgent(b, c.tenant, agent)
	b = append(append(append(b, `","team":"`...), c.tenant.queues[c.queue]...), '"')
	return append(b, '}')
}

const (
	botActor    = `,"actor":{"kind":"bot","id":"bot-1"}`
	systemActor = `,"actor":{"kind":"system"}`
)

func (g *Generator) appendMessage(b []byte, c *conversation, s *step, r *rng) []byte {
	switch s.kind {
	case stepCustomer, stepCustomerMore, stepCustomerBye, stepCustomerHuman, stepCustomerMedia:
		b = c.appendCustomer(b)
	case stepBotGreeting, stepBotAnswer, stepBotMessage, stepBotFallback:
		b = append(b, botActor...)
		if c.tenant.business != "shop" {
			b = append(b, `,"ai_disclosed":true`...)
		}
	case stepSystem:
		b = append(b, systemActor...)
	default:
		b = c.appendAgentActor(b, s)
	}
	if s.kind == stepCustomerMedia {
		media := [...]string{"image", "voice", "document"}[r.below(3)]
		return append(append(append(b, `,"message":{"media":"`...), media...), `"}`...)
	}
	b = append(b, `,"message":{"text":"`...)
	from := len(b)
	b = g.appendText(b, c, s, r)
	g.stats.Texts++
	g.stats.TextBytes += int64(len(b) - from)
	b = append(b, '"')
	switch s.kind {
	case stepAgentEcho:
		b = append(b, `,"echo":true`...)
	case stepAgentAuto, stepSystem:
		b = append(b, `,"automated":true`...)
	case stepAgentPrivate:
		b = append(b, `,"public":false`...)
	case stepAgentOffer:
		b = append(append(b, `,"template_id":"offer-`...), languages[c.lang]...)
		b = append(b, '"')
	case stepBotGreeting:
		b = append(b, `,"greeting":true`...)
	case stepBotFallback:
		b = append(b, `,"fallback":true,"confidence":0.`...)
		b = strconv.AppendInt(b, int64(r.in(11, 48)), 10)
	case stepBotAnswer:
		b = append(append(append(b, `,"intent":"`...), c.label.String()...), `","confidence":0.`...)
		b = strconv.AppendInt(b, int64(r.in(51, 99)), 10)
		b = strconv.AppendInt(append(b, `,"kb_ids":["kb-`...), int64(r.in(1, 60)), 10)
		b = append(b, `"]`...)
	}
	return append(b, '}')
}

// appendText writes one to three sentences: greeting, matter, an afterthought.
func (g *Generator) appendText(b []byte, c *conversation, s *step, r *rng) []byte {
	book := g.books[c.lang]
	kind := textMore
	switch s.kind {
	case stepCustomer:
		if r.chance(600) {
			b = append(g.appendSentence(b, c, textHello, r), book.space...)
		}
		kind = textDeal + textKind(s.a) - textKind(Deal)
		if Label(s.a) == Unlabelled {
			kind = textMore
		}
		b = g.appendSentence(b, c, kind, r)
		for r.chance(600) {
			b = append(b, book.space...)
			b = g.appendSentence(b, c, [...]textKind{kind, kind, textTail}[r.below(3)], r)
		}
		return b
	case stepCustomerBye:
		kind = textBye
	case stepCustomerHuman:
		kind = textHuman
	case stepAgent, stepAgentEcho:
		first := r.below(len(book.sentences[textAgent]))
		b = g.appendTemplate(b, c, &book.sentences[textAgent][first], r)
		if r.chance(850) { // another one
			sentences := book.sentences[textAgent]
			next := (first + 1 + r.below(len(sentences)-1)) % len(sentences)
			b = g.appendTemplate(append(b, book.space...), c, &sentences[next], r)
		}
		if r.chance(350) {
			b = g.appendSentence(append(b, book.space...), c, textOffer, r)
		}
		return b
	case stepAgentOffer:
		kind = textOffer
	case stepAgentAuto, stepSystem:
		kind = textAuto
	case stepAgentPrivate:
		kind = textNote
	case stepBotGreeting:
		kind = textGreeting
	case stepBotAnswer, stepBotMessage:
		kind = textBot
	case stepBotFallback:
		kind = textFallback
	}
	return g.appendSentence(b, c, kind, r)
}

func (g *Generator) appendSentence(b []byte, c *conversation, kind textKind, r *rng) []byte {
	sentences := g.books[c.lang].sentences[kind]
	return g.appendTemplate(b, c, &sentences[r.below(len(sentences))], r)
}

// appendTemplate fills in a sentence's slots.
func (g *Generator) appendTemplate(b []byte, c *conversation, s *sentence, r *rng) []byte {
	book := g.books[c.lang]
	for i, literal := range s.literals {
		b = append(b, literal...)
		switch s.slots[i] {
		case 's':
			services := book.services[c.tenant.business]
			b = append(b, services[c.number%uint64(len(services))]...)
		case 'd':
			days := book.sentences[textDay]
			b = append(b, days[r.below(len(days))].literals[0]...)
		case 'n':
			b = strconv.AppendUint(append(b, "A-"...), 10_000+c.seed%90_000, 10)
		case 'p':
			b = strconv.AppendInt(b, int64(r.in(100, 999)), 10)
		case 'm':
			b = strconv.AppendInt(b, int64(r.in(c.tenant.amountLow, c.tenant.amountHigh)), 10)
			b = append(append(b, ' '), c.tenant.currency...)
		}
	}
	return b
}

// appendFlow writes what moves a conversation.
func (g *Generator) appendFlow(b []byte, c *conversation, s *step, r *rng) []byte {
	queues := c.tenant.queues
	switch s.kind {
	case stepOpen:
		if s.a == 1 {
			return append(c.appendAgentActor(b, s), `,"open":{"initiated_by":"agent"}`...)
		}
		return append(append(b, systemActor...), `,"open":{"initiated_by":"customer"}`...)
	case stepReopen:
		return append(append(b, systemActor...), `,"reopen":{"initiated_by":"customer"}`...)
	case stepClose, stepResolve:
		b = c.appendAgentActor(b, s)
		if s.a == resolutionAbsent {
			return append(b, `,"close":{}`...)
		}
		b = append(append(b, `,"close":{"resolution":"`...), resolutionNames[s.a]...)
		return append(b, `"}`...)
	case stepStatus:
		b = append(append(c.appendAgentActor(b, s), `,"status":{"to":"`...), statusNames[s.a]...)
		b = append(b, '"')
		if s.a == statusSnoozed {
			b = strconv.AppendInt(append(b, `,"until":`...), s.atMS+int64(r.in(1, 48))*hourMS, 10)
		}
		return append(b, '}')
	case stepAssign:
		b = append(append(b, systemActor...), `,"assign":{"to":{"agent":"`...)
		b = appendAgent(b, c.tenant, c.agent)
		b = append(append(append(b, `","queue":"`...), queues[c.queue]...), `"},"by":"router"}`...)
		return b
	case stepTransfer:
		to := c.second
		if s.flags&flagSecond != 0 {
			to = c.agent
		}
		b = append(c.appendAgentActor(b, s), `,"transfer":{"to":{"agent":"`...)
		b = appendAgent(b, c.tenant, to)
		b = append(append(b, `","role":"senior","queue":"`...), queues[s.a]...)
		b = append(append(b, `"},"from":{"queue":"`...), queues[c.queue]...)
		return append(b, `"},"reason":"skill"}`...)
	case stepBotTransfer:
		b = append(append(b, botActor...), `,"transfer":{"to":{"queue":"`...)
		return append(append(b, queues[c.queue]...), `"}}`...)
	case stepEscalate:
		b = append(append(b, botActor...), `,"escalate":{"reason":"`...)
		b = append(append(append(b, reasonNames[s.a]...), `","queue":"`...), queues[c.queue]...)
		return append(b, `"}`...)
	case stepOffered:
		return append(b, botActor...)
	case stepAccepted, stepDeclined:
		return c.appendCustomer(b)
	case stepContact:
		kinds := [...]string{`["email"]`, `["phone"]`, `["email","phone"]`}[r.below(3)]
		b = append(c.appendCustomer(b), `,"contact_provided":{"kinds":`...)
		return append(append(b, kinds...), '}')
	default: // stepSessionEnd
		b = append(append(b, systemActor...), `,"session_end":{"reason":"`...)
		return append(append(b, endNames[s.a]...), `"}`...)
	}
}

// appendSide writes amendments and what stands beside the flow.
func (g *Generator) appendSide(b []byte, c *conversation, s *step, r *rng) []byte {
	switch s.kind {
	case stepNote, stepEdit, stepDelete:
		return c.appendTarget(c.appendAgentActor(b, s), stepTypes[s.kind].name, s.ref)
	case stepReaction, stepRead:
		return c.appendTarget(c.appendCustomer(b), stepTypes[s.kind].name, s.ref)
	case stepCSAT:
		b = append(c.appendCustomer(b), `,"csat":{"asked":true`...)
		if s.value > 0 {
			b = strconv.AppendInt(append(b, `,"score":`...), int64(s.value), 10)
		}
		return append(b, '}')
	case stepOutcome:
		b = append(append(b, systemActor...), `,"outcome":{"kind":"`...)
		b = append(append(b, outcomeNames[s.a]...), '"')
		if s.value > 0 {
			b = strconv.AppendInt(append(b, `,"value":`...), int64(s.value)/100, 10)
			b = append(b, '.', byte('0'+s.value/10%10), byte('0'+s.value%10))
			b = append(append(append(b, `,"currency":"`...), c.tenant.currency...), '"')
		}
		return append(b, '}')
	case stepFeedback:
		verdict := [...]string{"accepted", "edited", "rejected"}[r.pick([]int{80, 12, 8})]
		b = append(c.appendAgentActor(b, s), `,"feedback":{"target":"`...)
		b = append(append(append(appendEventID(b, c, s.ref), `","verdict":"`...), verdict...), '"')
		b = append(append(b, `,"true_label":"`...), Label(s.a).String()...)
		return append(b, `"}`...)
	case stepLabel:
		b = append(append(b, systemActor...), `,"label":{"target":"`...)
		b = append(appendEventID(b, c, s.ref), `","head":"intent","label":"`...)
		b = append(b, Label(s.a).String()...)
		b = strconv.AppendInt(append(b, `","annotator":"ann-`...), int64(r.in(1, 4)), 10)
		return append(b, `"}`...)
	case stepAgentStatus:
		b = append(append(append(b, `,"actor":{"kind":"agent","id":"`...), c.id...), '"')
		b = append(append(b, `},"agent_status":{"status":"`...), presenceNames[s.a]...)
		return append(b, `","capacity":5}`...)
	case stepLink, stepMerge:
		name := stepTypes[s.kind].name
		b = append(append(append(b, systemActor...), `,"`...), name...)
		b = append(b, `":{"to_conversation":"c-`...)
		b = append(strconv.AppendUint(b, c.number/2, 36), '-')
		return append(appendBase32(b, c.seed, 8), `"}`...)
	case stepVoid:
		b = append(append(append(b, systemActor...), `,"void":{"reason":"`...), voidNames[s.a]...)
		return append(b, `"}`...)
	default: // stepUnknownType
		return append(c.appendCustomer(b), `,"typing_started":{"device":"mobile"}`...)
	}
}

func (c *conversation) appendTarget(b []byte, name string, ref uint16) []byte {
	b = append(append(append(b, `,"`...), name...), `":{"target":"`...)
	return append(appendEventID(b, c, ref), `"}`...)
}
