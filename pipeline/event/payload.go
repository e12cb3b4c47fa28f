package event

import (
	"bytes"
	"math/bits"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// payload decodes the object named like the type, and holds the numbers of the others to JSON.
func (d *Decoder) payload() {
	ev := d.ev
	ev.Type = ParseType(ev.TypeName)
	if ev.Tenant == nil {
		d.arena = append(d.arena, "default"...)
		ev.Tenant = d.arena[len(d.arena)-len("default"):]
	}
	from := ev.Type
	switch ev.Type {
	case TypeBotAnswer:
		from = TypeMessage
		ev.Message.Public = true
	case TypeMessage:
		ev.Message.Public = true
	case TypeCSAT:
		ev.CSAT.Scale = 5
	}
	for rest := d.seen >> firstBodyBit >> 1; rest != 0; rest &= rest - 1 {
		t := Type(bits.TrailingZeros64(rest)) + 1
		if v := d.body[t]; t != from || d.visits.payload[ev.Type] == nil {
			d.onIgnored(nil, v)
		} else {
			d.visit(t.String(), v, d.visits.payload[ev.Type])
		}
		d.body[t] = nil // so that it does not keep a dropped parser
	}
	if !ev.Message.HasLen {
		ev.Message.Len = int64(len(ev.Message.Text))
	}
}

func (d *Decoder) onMessage(key []byte, v *fastjson.Value) {
	m := &d.ev.Message
	switch string(key) {
	case "text":
		m.Text = d.text(0, "text", v)
	case "text_hash":
		m.TextHash = d.id(1, "text_hash", v)
	case "len":
		m.Len, m.HasLen = d.integer(2, "len", v)
		if m.Len < 0 {
			d.fail(FieldValue, "len", "must not be negative")
		}
	case "public":
		public, has := d.boolean(3, "public", v)
		m.Public = public || !has
	case "automated":
		m.Automated, _ = d.boolean(4, "automated", v)
	case "echo":
		m.Echo, _ = d.boolean(5, "echo", v)
	case "template_id":
		m.TemplateID = d.id(6, "template_id", v)
	case "media":
		m.Media = d.text(7, "media", v)
	default:
		d.onBotAnswer(key, v)
	}
}

// onBotAnswer takes the fields that bot_answer has beside those of message; in a message they are
// unknown fields.
func (d *Decoder) onBotAnswer(key []byte, v *fastjson.Value) {
	if d.ev.Type != TypeBotAnswer {
		d.onIgnored(key, v)
		return
	}
	m := &d.ev.Message
	switch string(key) {
	case "intent":
		m.Intent = d.id(8, "intent", v)
	case "confidence":
		m.Confidence, m.HasConfidence = d.float(9, "confidence", v)
	case "kb_ids":
		m.KBIDs = d.list(10, "kb_ids", v)
	case "fallback":
		m.Fallback, _ = d.boolean(11, "fallback", v)
	case "greeting":
		m.Greeting, _ = d.boolean(12, "greeting", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onOpen(key []byte, v *fastjson.Value) {
	if string(key) == "initiated_by" {
		d.ev.InitiatedBy = d.id(0, "initiated_by", v)
		return
	}
	d.onIgnored(key, v)
}

func (d *Decoder) onClose(key []byte, v *fastjson.Value) {
	if string(key) == "resolution" {
		d.ev.Resolution = Resolution(d.setIndex(0, "resolution", v, resolutionNames[:]))
		return
	}
	d.onIgnored(key, v)
}

func (d *Decoder) onStatus(key []byte, v *fastjson.Value) {
	switch string(key) {
	case "to":
		d.ev.Status.To = StatusTo(d.setIndex(0, "to", v, statusNames[:]))
	case "until":
		d.ev.Status.UntilMS, _ = d.instant(1, "until", v)
	default:
		d.onIgnored(key, v)
	}
}

// onMove takes assign and transfer.
func (d *Decoder) onMove(key []byte, v *fastjson.Value) {
	switch string(key) {
	case "to":
		d.onPartyObject(0, "to", v, &d.ev.Move.To)
	case "from":
		d.onPartyObject(1, "from", v, &d.ev.Move.From)
	case "by":
		d.ev.Move.By = d.id(2, "by", v)
	case "reason":
		d.ev.Reason = d.text(3, "reason", v)
	case "decision_id":
		d.ev.DecisionID = d.id(4, "decision_id", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onEscalate(key []byte, v *fastjson.Value) {
	switch string(key) {
	case "to":
		d.onPartyObject(0, "to", v, &d.ev.Move.To)
	case "from":
		d.onPartyObject(1, "from", v, &d.ev.Move.From)
	case "reason":
		d.ev.Reason = d.oneOf(2, "reason", v, escalateReasons[:])
	case "queue":
		d.ev.Move.Queue = d.id(3, "queue", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onPartyObject(bit uint, field string, v *fastjson.Value, p *Party) {
	d.party = p
	d.object(bit, field, v, d.visits.party)
}

func (d *Decoder) onParty(key []byte, v *fastjson.Value) {
	switch string(key) {
	case "agent":
		d.party.Agent = d.id(0, "agent", v)
	case "team":
		d.party.Team = d.id(1, "team", v)
	case "role":
		d.party.Role = d.id(2, "role", v)
	case "queue":
		d.party.Queue = d.id(3, "queue", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onContact(key []byte, v *fastjson.Value) {
	if string(key) == "kinds" {
		d.ev.Kinds = d.list(0, "kinds", v)
		return
	}
	d.onIgnored(key, v)
}

func (d *Decoder) onSessionEnd(key []byte, v *fastjson.Value) {
	if string(key) == "reason" {
		d.ev.Reason = d.oneOf(0, "reason", v, sessionReasons[:])
		return
	}
	d.onIgnored(key, v)
}

func (d *Decoder) onVoid(key []byte, v *fastjson.Value) {
	if string(key) == "reason" {
		d.ev.Reason = d.oneOf(0, "reason", v, voidReasons[:])
		return
	}
	d.onIgnored(key, v)
}

func (d *Decoder) onTarget(key []byte, v *fastjson.Value) {
	if string(key) == "target" {
		d.ev.Target = d.id(0, "target", v)
		return
	}
	d.onIgnored(key, v)
}

func (d *Decoder) onLink(key []byte, v *fastjson.Value) {
	if string(key) == "to_conversation" {
		d.ev.ToConversation = d.id(0, "to_conversation", v)
		return
	}
	d.onIgnored(key, v)
}

func (d *Decoder) onCSAT(key []byte, v *fastjson.Value) {
	c := &d.ev.CSAT
	switch string(key) {
	case "score":
		c.Score, c.HasScore = d.float(0, "score", v)
	case "scale":
		if scale, has := d.float(1, "scale", v); has {
			c.Scale = scale
			if scale <= 0 { // score/scale would mean nothing
				d.fail(FieldValue, "scale", "must be above 0")
			}
		}
	case "asked":
		c.Asked, _ = d.boolean(2, "asked", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onOutcome(key []byte, v *fastjson.Value) {
	o := &d.ev.Outcome
	switch string(key) {
	case "kind":
		o.Kind = OutcomeKind(d.setIndex(0, "kind", v, outcomeNames[:]))
	case "value":
		o.Value, o.HasValue = d.float(1, "value", v)
	case "currency":
		o.Currency = d.id(2, "currency", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onFeedback(key []byte, v *fastjson.Value) {
	switch string(key) {
	case "decision_id":
		d.ev.DecisionID = d.id(0, "decision_id", v)
	case "target":
		d.ev.Target = d.id(1, "target", v)
	case "verdict":
		d.ev.Verdict = d.oneOf(2, "verdict", v, verdictNames[:])
	case "true_label":
		d.ev.TrueLabel = d.id(3, "true_label", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onLabel(key []byte, v *fastjson.Value) {
	switch string(key) {
	case "target":
		d.ev.Target = d.id(0, "target", v)
	case "head":
		d.ev.Label.Head = d.id(1, "head", v)
	case "label":
		d.ev.Label.Name = d.id(2, "label", v)
	case "annotator":
		d.ev.Label.Annotator = d.id(3, "annotator", v)
	default:
		d.onIgnored(key, v)
	}
}

func (d *Decoder) onAgentStatus(key []byte, v *fastjson.Value) {
	a := &d.ev.AgentStatus
	switch string(key) {
	case "status":
		a.Status = d.id(0, "status", v)
	case "capacity":
		a.Capacity, a.HasCapacity = d.integer(1, "capacity", v)
		if a.Capacity < 0 {
			d.fail(FieldValue, "capacity", "must not be negative")
		}
	default:
		d.onIgnored(key, v)
	}
}

// cloudEvents lets the headers of CloudEvents' Kafka binary mode stand in for fields that the body
// does not have.
func (d *Decoder) cloudEvents() {
	budget, found := HeaderBytesMax, false
	for _, h := range d.env.Headers {
		if budget -= len(h.Key) + len(h.Value); budget < 0 {
			break
		}
		if len(h.Key) < len("ce_id") || h.Key[:3] != "ce_" {
			continue
		}
		found = true
		if len(h.Value) > 0 {
			d.standIn(h)
		}
	}
	d.hasV = d.hasV || found && d.rej == nil
}

// standIn takes one ce_ header; the first of two equal ones holds, and the body before both.
func (d *Decoder) standIn(h Header) {
	ev := d.ev
	switch h.Key {
	case "ce_id":
		d.headerID(h, h.Value, &ev.ID)
	case "ce_type":
		d.headerID(h, h.Value[bytes.LastIndexByte(h.Value, '.')+1:], &ev.TypeName)
	case "ce_subject":
		d.headerID(h, h.Value, &ev.ConversationID)
	case "ce_time":
		if d.hasTime {
			return
		}
		if ev.TimeMS, d.hasTime = d.instantText(h.Key, h.Value); d.hasTime {
			d.checkRange(h.Key, ev.TimeMS)
		}
	}
}

func (d *Decoder) headerID(h Header, value []byte, field *[]byte) {
	if *field != nil || len(value) == 0 {
		return
	}
	if !utf8.Valid(value) || hasControl(value) {
		d.fail(UTF8, h.Key, "must be valid UTF-8 without control characters")
	}
	d.checkID(h.Key, value)
	start := len(d.arena)
	d.arena = append(d.arena, value...)
	*field = d.arena[start:len(d.arena):len(d.arena)]
}

// require is the table of the package comment: what an event cannot do without.
func (d *Decoder) require() {
	ev := d.ev
	d.need(d.hasV, "v")
	d.need(ev.ID != nil, "id")
	d.need(ev.TypeName != nil, "type")
	d.need(d.hasTime, "time")
	d.need(ev.ConversationID != nil || ev.Type == TypeAgentStatus, "conversation_id")
	switch ev.Type {
	case TypeMessage:
		d.need(ev.Actor.Kind != ActorNone, "actor.kind")
	case TypeAgentStatus:
		d.need(ev.Actor.ID != nil, "actor.id")
	case TypeStatus:
		d.need(ev.Status.To != StatusNone, "status.to")
	case TypeCSAT:
		d.need(ev.CSAT.HasScore || ev.CSAT.Asked, "csat.score")
	case TypeOutcome:
		d.need(ev.Outcome.Kind != OutcomeAbsent, "outcome.kind")
	case TypeFeedback:
		d.need(ev.DecisionID != nil || ev.Target != nil, "feedback.decision_id or feedback.target")
		d.need(ev.Verdict != nil || ev.TrueLabel != nil, "feedback.verdict or feedback.true_label")
	case TypeLabel:
		d.need(ev.Target != nil, "label.target")
		d.need(ev.Label.Name != nil, "label.label")
	case TypeLink:
		d.need(ev.ToConversation != nil, "link.to_conversation")
	}
}

func (d *Decoder) need(there bool, field string) {
	if !there {
		d.fail(FieldMissing, field, "is required")
	}
}
