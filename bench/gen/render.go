package gen

import (
	"strconv"

	"usher/pipeline/event"
)

// render writes one step as a record.
func (g *Generator) render(rec *Record, c *conversation, s *step) {
	g.key = append(g.key[:0], c.id...)
	b := append(g.value[:0], `{"v":1,"id":"`...)
	b = appendEventID(b, c, s.ord)
	b = append(b, `","type":"`...)
	name := stepTypes[s.kind].name
	b = append(b, name...)
	b = append(b, `","time":`...)
	b = g.appendTime(b, c.tenant, s.atMS)
	b = append(b, c.common...)
	if c.tenant.seq && !c.roster {
		b = strconv.AppendUint(append(b, `,"seq":`...), c.place(s.ord)+1, 10)
	}
	if s.ord == 0 && !c.roster {
		b = c.appendFirst(b)
	}
	b = g.appendPayload(b, c, s)
	g.value = append(b, '}')

	*rec = Record{Key: g.key, Value: g.value, ConversationID: g.key, ArrivedMS: s.emitMS,
		Type: stepTypes[s.kind].typ, Duplicate: s.flags&flagDuplicate != 0}
	if c.roster {
		rec.ConversationID = nil
	}
	if s.kind == stepCustomer {
		rec.Label = Label(s.a)
	}
}

// stepTypes gives every kind its event type; unknown types have a name of their own.
var stepTypes = [stepKinds]struct {
	typ  event.Type
	name string
}{
	stepCustomer:      {event.TypeMessage, "message"},
	stepCustomerMore:  {event.TypeMessage, "message"},
	stepCustomerBye:   {event.TypeMessage, "message"},
	stepCustomerHuman: {event.TypeMessage, "message"},
	stepCustomerMedia: {event.TypeMessage, "message"},
	stepAgent:         {event.TypeMessage, "message"},
	stepAgentOffer:    {event.TypeMessage, "message"},
	stepAgentEcho:     {event.TypeMessage, "message"},
	stepAgentAuto:     {event.TypeMessage, "message"},
	stepAgentPrivate:  {event.TypeMessage, "message"},
	stepBotGreeting:   {event.TypeBotAnswer, "bot_answer"},
	stepBotAnswer:     {event.TypeBotAnswer, "bot_answer"},
	stepBotMessage:    {event.TypeMessage, "message"},
	stepBotFallback:   {event.TypeBotAnswer, "bot_answer"},
	stepSystem:        {event.TypeMessage, "message"},
	stepOpen:          {event.TypeOpen, "open"},
	stepReopen:        {event.TypeReopen, "reopen"},
	stepClose:         {event.TypeClose, "close"},
	stepResolve:       {event.TypeClose, "resolve"},
	stepStatus:        {event.TypeStatus, "status"},
	stepAssign:        {event.TypeAssign, "assign"},
	stepTransfer:      {event.TypeTransfer, "transfer"},
	stepBotTransfer:   {event.TypeTransfer, "transfer"},
	stepEscalate:      {event.TypeEscalate, "escalate"},
	stepOffered:       {event.TypeHandoffOffered, "handoff_offered"},
	stepAccepted:      {event.TypeHandoffAccepted, "handoff_accepted"},
	stepDeclined:      {event.TypeHandoffDeclined, "handoff_declined"},
	stepContact:       {event.TypeContactProvided, "contact_provided"},
	stepSessionEnd:    {event.TypeSessionEnd, "session_end"},
	stepNote:          {event.TypeNote, "note"},
	stepReaction:      {event.TypeReaction, "reaction"},
	stepEdit:          {event.TypeEdit, "edit"},
	stepDelete:        {event.TypeDelete, "delete"},
	stepRead:          {event.TypeRead, "read"},
	stepCSAT:          {event.TypeCSAT, "csat"},
	stepOutcome:       {event.TypeOutcome, "outcome"},
	stepFeedback:      {event.TypeFeedback, "feedback"},
	stepLabel:         {event.TypeLabel, "label"},
	stepAgentStatus:   {event.TypeAgentStatus, "agent_status"},
	stepLink:          {event.TypeLink, "link"},
	stepMerge:         {event.TypeMerge, "merge"},
	stepVoid:          {event.TypeVoid, "void"},
	stepUnknownType:   {event.Unknown, "typing_started"},
}

// appendFirst writes what only a conversation's first event carries.
func (c *conversation) appendFirst(b []byte) []byte {
	r := rng(c.seed ^ 0xf1)
	b = append(append(append(b, `,"source":"`...), c.tenant.source...), '"')
	b = append(append(append(b, `,"inbox":"`...), c.tenant.queues[c.queue]...), '"')
	region := [...]string{"LV-RIX", "PL-14", "DE-BE"}[r.below(3)]
	b = append(append(append(b, `,"region":"`...), region...), '"')
	if r.chance(300) {
		page := [...]string{"/prices", "/contacts", "/", "/help/returns"}[r.below(4)]
		b = append(append(append(b, `,"attrs":{"page":"`...), page...), `","visits":`...)
		b = strconv.AppendInt(b, int64(r.in(1, 30)), 10)
		b = append(b, `,"mobile":`...)
		b = append(strconv.AppendBool(b, r.chance(700)), '}')
	}
	return b
}

// appendEventID writes 64 bits: unique in the conversation, because mix is a bijection, and among
// five million events but for a chance of one in a million.
func appendEventID(b []byte, c *conversation, ord uint16) []byte {
	return appendBase32(append(b, "01K"...), mix(c.seed+c.place(ord)), 13)
}

// place is that of a step among all visits of the conversation.
func (c *conversation) place(ord uint16) uint64 { return uint64(c.visit)<<16 | uint64(ord) }

func (g *Generator) appendTime(b []byte, t *tenant, ms int64) []byte {
	switch t.form {
	case timeMillis:
		return strconv.AppendInt(b, ms, 10)
	case timeSeconds:
		b = g.appendClock(append(b, '"'), ms+int64(t.offsetHours)*hourMS)
		b = append(b, '+', '0', byte('0'+t.offsetHours), ':', '0', '0', '"')
		return b
	default:
		b = g.appendClock(append(b, '"'), ms)
		milli := ms % 1000
		b = append(b, '.', byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10))
		return append(b, 'Z', '"')
	}
}

// appendClock writes 2006-01-02T15:04:05; the day's ten bytes are kept, as neighbours share it.
func (g *Generator) appendClock(b []byte, ms int64) []byte {
	if day := ms / dayMS; day != g.day {
		g.day = day
		year, month, dayOfMonth := civil(day)
		g.dayText = [10]byte{byte('0' + year/1000), byte('0' + year/100%10), byte('0' + year/10%10),
			byte('0' + year%10), '-', byte('0' + month/10), byte('0' + month%10), '-',
			byte('0' + dayOfMonth/10), byte('0' + dayOfMonth%10)}
	}
	b = append(b, g.dayText[:]...)
	second := ms % dayMS / 1000
	hour, minute := second/3600, second/60%60
	second %= 60
	return append(b, 'T', byte('0'+hour/10), byte('0'+hour%10), ':', byte('0'+minute/10),
		byte('0'+minute%10), ':', byte('0'+second/10), byte('0'+second%10))
}

// civil turns days since 1970 into a Gregorian date; years are counted from March, so that the leap
// day is the last one (H. Hinnant, chrono-compatible low-level date algorithms).
func civil(day int64) (year, month, dayOfMonth int64) {
	day += 719468
	era := day / 146097
	ofEra := day % 146097
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	marched := (5*ofYear + 2) / 153
	dayOfMonth = ofYear - (153*marched+2)/5 + 1
	month = marched + 3
	if month > 12 {
		month -= 12
	}
	year = yearOfEra + era*400
	if month <= 2 {
		year++
	}
	return year, month, dayOfMonth
}
