package event

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// Append appends ev to dst as canonical JSON: one line, fields in the order of the contract, time
// in milliseconds, what is absent left out, attrs as strings. Decoding it gives ev again.
func Append(dst []byte, ev *Event) []byte {
	o := object{dst: append(dst, `{"v":1`...), some: true}
	o.str("id", ev.ID)
	o.str("type", ev.typeName())
	o.int("time", ev.TimeMS)
	o.str("conversation_id", ev.ConversationID)
	if string(ev.Tenant) != "default" {
		o.str("tenant", ev.Tenant)
	}
	o.str("source", ev.Source)
	if ev.HasSeq {
		o.int("seq", ev.Seq)
	}
	o.str("channel", ev.Channel)
	o.str("modality", ev.Modality)
	o.str("customer_id", ev.CustomerID)
	actor := o.open("actor")
	o.str("kind", []byte(ev.Actor.Kind.String()))
	o.str("id", ev.Actor.ID)
	o.str("team", ev.Actor.Team)
	o.str("role", ev.Actor.Role)
	o.close(actor)
	o.str("lang", ev.Lang)
	o.str("region", ev.Region)
	o.str("inbox", ev.Inbox)
	if ev.HasAIDisclosed {
		o.bool("ai_disclosed", ev.AIDisclosed)
	}
	attrs := o.open("attrs")
	for i := range ev.Attrs {
		o.key(ev.Attrs[i].Key)
		o.dst = appendString(o.dst, ev.Attrs[i].Value)
	}
	o.close(attrs)
	o.payload(ev)
	return append(o.dst, '}')
}

// typeName is the name as sent, or the type's own for an event that was made and not decoded.
func (ev *Event) typeName() []byte {
	if len(ev.TypeName) > 0 {
		return ev.TypeName
	}
	return []byte(ev.Type.String())
}

// payload writes the object named like the type.
func (o *object) payload(ev *Event) {
	from := ev.Type
	if from == TypeBotAnswer {
		from = TypeMessage
	}
	mark := o.open(from.String())
	switch ev.Type {
	case TypeMessage, TypeBotAnswer:
		o.message(ev)
	case TypeOpen, TypeReopen:
		o.str("initiated_by", ev.InitiatedBy)
	case TypeClose:
		o.str("resolution", []byte(ev.Resolution.String()))
	case TypeStatus:
		o.str("to", []byte(ev.Status.To.String()))
		if ev.Status.UntilMS != 0 {
			o.int("until", ev.Status.UntilMS)
		}
	case TypeAssign, TypeTransfer, TypeEscalate:
		o.move(ev)
	case TypeContactProvided:
		o.list("kinds", ev.Kinds)
	case TypeSessionEnd, TypeVoid:
		o.str("reason", ev.Reason)
	case TypeNote, TypeReaction, TypeEdit, TypeDelete, TypeRead:
		o.str("target", ev.Target)
	case TypeCSAT:
		o.csat(&ev.CSAT)
	case TypeOutcome:
		o.outcome(&ev.Outcome)
	case TypeFeedback:
		o.str("decision_id", ev.DecisionID)
		o.str("target", ev.Target)
		o.str("verdict", ev.Verdict)
		o.str("true_label", ev.TrueLabel)
	case TypeLabel:
		o.str("target", ev.Target)
		o.str("head", ev.Label.Head)
		o.str("label", ev.Label.Name)
		o.str("annotator", ev.Label.Annotator)
	case TypeAgentStatus:
		o.str("status", ev.AgentStatus.Status)
		if ev.AgentStatus.HasCapacity {
			o.int("capacity", ev.AgentStatus.Capacity)
		}
	case TypeLink, TypeMerge:
		o.str("to_conversation", ev.ToConversation)
	}
	o.close(mark)
}

func (o *object) message(ev *Event) {
	m := &ev.Message
	o.str("text", m.Text)
	o.str("text_hash", m.TextHash)
	if m.HasLen {
		o.int("len", m.Len)
	}
	if !m.Public {
		o.bool("public", false)
	}
	o.flag("automated", m.Automated)
	o.flag("echo", m.Echo)
	o.str("template_id", m.TemplateID)
	o.str("media", m.Media)
	if ev.Type != TypeBotAnswer {
		return
	}
	o.str("intent", m.Intent)
	if m.HasConfidence {
		o.float("confidence", m.Confidence)
	}
	o.list("kb_ids", m.KBIDs)
	o.flag("fallback", m.Fallback)
	o.flag("greeting", m.Greeting)
}

func (o *object) move(ev *Event) {
	o.party("to", &ev.Move.To)
	o.party("from", &ev.Move.From)
	o.str("reason", ev.Reason)
	if ev.Type == TypeEscalate {
		o.str("queue", ev.Move.Queue)
		return
	}
	o.str("by", ev.Move.By)
	o.str("decision_id", ev.DecisionID)
}

func (o *object) party(name string, p *Party) {
	mark := o.open(name)
	o.str("agent", p.Agent)
	o.str("team", p.Team)
	o.str("role", p.Role)
	o.str("queue", p.Queue)
	o.close(mark)
}

func (o *object) csat(c *CSAT) {
	if c.HasScore {
		o.float("score", c.Score)
	}
	if c.Scale != 0 && c.Scale != 5 {
		o.float("scale", c.Scale)
	}
	o.flag("asked", c.Asked)
}

func (o *object) outcome(c *Outcome) {
	o.str("kind", []byte(c.Kind.String()))
	if c.HasValue {
		o.float("value", c.Value)
	}
	o.str("currency", c.Currency)
}

// object appends the fields of the JSON object in hand.
type object struct {
	dst  []byte
	some bool // the object has a field already
}

// mark is the place before an inner object, to which an empty one is taken back.
type mark struct {
	before, start int
	some          bool
}

func (o *object) key(name []byte) {
	if o.some {
		o.dst = append(o.dst, ',')
	}
	o.some = true
	o.dst = append(appendString(o.dst, name), ':')
}

func (o *object) name(name string) {
	if o.some {
		o.dst = append(o.dst, ',')
	}
	o.some = true
	o.dst = append(o.dst, '"')
	o.dst = append(o.dst, name...)
	o.dst = append(o.dst, '"', ':')
}

func (o *object) open(name string) mark {
	m := mark{before: len(o.dst), some: o.some}
	o.name(name)
	o.dst = append(o.dst, '{')
	o.some = false
	m.start = len(o.dst)
	return m
}

func (o *object) close(m mark) {
	if len(o.dst) == m.start { // empty: as if it had not been opened
		o.dst, o.some = o.dst[:m.before], m.some
		return
	}
	o.dst = append(o.dst, '}')
	o.some = true
}

func (o *object) str(name string, s []byte) {
	if len(s) > 0 {
		o.name(name)
		o.dst = appendString(o.dst, s)
	}
}

func (o *object) int(name string, n int64) {
	o.name(name)
	o.dst = strconv.AppendInt(o.dst, n, 10)
}

// float writes the shortest number that reads back the same. JSON has no NaN and no infinity.
func (o *object) float(name string, x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	o.name(name)
	o.dst = strconv.AppendFloat(o.dst, x, 'g', -1, 64)
}

func (o *object) bool(name string, b bool) {
	o.name(name)
	o.dst = strconv.AppendBool(o.dst, b)
}

// flag writes what is false when absent.
func (o *object) flag(name string, b bool) {
	if b {
		o.bool(name, true)
	}
}

func (o *object) list(name string, entries [][]byte) {
	if len(entries) == 0 {
		return
	}
	o.name(name)
	for i, e := range entries {
		o.dst = append(o.dst, "[,"[min(i, 1)])
		o.dst = appendString(o.dst, e)
	}
	o.dst = append(o.dst, ']')
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, as it would on reading.
func appendString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		n := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, n = utf8.DecodeRune(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c >= utf8.RuneSelf:
			dst = append(dst, replacement...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i += n
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
