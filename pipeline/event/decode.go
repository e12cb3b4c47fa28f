package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/valyala/fastjson"
)

// Limits of CONTRACT sections 1 and 2. A zero field means its default.
type Limits struct {
	RecordBytes int // a longer value is too_large; default RecordBytesMax
	Depth       int // deeper nesting is too_deep, the top-level object being 1; default DepthMax
}

// The limits of the contract. They hold for every record, whoever wrote it.
const (
	RecordBytesMax = 1 << 20
	DepthMax       = 64
	IDBytesMax     = 128
	AttrsMax       = 32
	ListMax        = 1024     // entries of kinds and kb_ids
	HeaderBytesMax = 8 << 10  // headers beyond it are not looked at
	errorBytesMax  = 16 << 10 // longer records are checked with encoding/json first
	keepBytesMax   = 64 << 10 // a longer record's parser is not kept: it has grown with it
)

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Envelope is what surrounds a value.
type Envelope struct {
	NowMS   int64    // the worker's clock, frozen by the transaction; bounds time from above
	Headers []Header // CloudEvents binary mode: ce_* may stand in for missing fields
}

// Decoder decodes events one after another without allocating. It is not for concurrent use.
type Decoder struct {
	limits Limits
	parser *fastjson.Parser
	mended []byte // the document with what text may not hold replaced
	arena  []byte // numbers, booleans and header values; reset by every Decode
	number []byte // scratch for one number
	attrs  []Attr
	lists  [][]byte
	visits visitors

	// The record in hand.
	ev       *Event
	env      Envelope
	rej      *Reject
	escapes  bool // an id may hold an escaped control character
	replaced bool // an id may hold what mend replaced
	outer    string
	inner    string // names of the objects around the field in hand, for Reject.Reason
	seen     uint64 // keys met in the object in hand
	party    *Party
	body     [len(typeNames)]*fastjson.Value // nil between records
	hasV     bool
	hasTime  bool
}

// visitor takes one key of an object.
type visitor = func(key []byte, v *fastjson.Value)

// visitors are bound once, so that a Visit allocates no closure.
type visitors struct {
	top, actor, party, attr, ignore visitor

	payload [len(typeNames)]visitor
}

// NewDecoder makes a decoder that keeps to limits.
func NewDecoder(limits Limits) *Decoder {
	if limits.RecordBytes <= 0 {
		limits.RecordBytes = RecordBytesMax
	}
	if limits.Depth <= 0 {
		limits.Depth = DepthMax
	}
	d := &Decoder{limits: limits, parser: new(fastjson.Parser)}
	d.visits.top, d.visits.actor, d.visits.party = d.onTop, d.onActor, d.onParty
	d.visits.attr, d.visits.ignore = d.onAttr, d.onIgnored
	for t, v := range map[Type]visitor{
		TypeMessage: d.onMessage, TypeBotAnswer: d.onMessage, TypeOpen: d.onOpen,
		TypeReopen: d.onOpen, TypeClose: d.onClose, TypeStatus: d.onStatus, TypeAssign: d.onMove,
		TypeTransfer: d.onMove, TypeEscalate: d.onEscalate, TypeContactProvided: d.onContact,
		TypeSessionEnd: d.onSessionEnd, TypeNote: d.onTarget, TypeReaction: d.onTarget,
		TypeEdit: d.onTarget, TypeDelete: d.onTarget, TypeRead: d.onTarget, TypeCSAT: d.onCSAT,
		TypeOutcome: d.onOutcome, TypeFeedback: d.onFeedback, TypeLabel: d.onLabel,
		TypeAgentStatus: d.onAgentStatus, TypeLink: d.onLink, TypeMerge: d.onLink,
		TypeVoid: d.onVoid,
	} {
		d.visits.payload[t] = v
	}
	return d
}

// Decode fills ev from a record's value, or says why the record is a dead letter; ev is then of no
// use. A nil value is a tombstone. value may be reused once Decode has returned.
func (d *Decoder) Decode(value []byte, in Envelope, ev *Event) *Reject {
	d.reset(in, ev)
	root, rej := d.parse(value)
	if rej != nil {
		return rej
	}
	object, err := root.Object()
	if err != nil {
		return &Reject{Code: FieldType, Reason: "the record must be a JSON object"}
	}
	object.Visit(d.visits.top)
	d.cloudEvents()
	d.payload()
	d.require()
	d.ev = nil
	return d.rej
}

// reset forgets the record before.
func (d *Decoder) reset(in Envelope, ev *Event) {
	*ev = Event{}
	d.ev, d.env, d.rej = ev, in, nil
	d.arena, d.attrs, d.lists = d.arena[:0], d.attrs[:0], d.lists[:0]
	d.escapes, d.replaced, d.hasV, d.hasTime = false, false, false, false
	d.outer, d.inner, d.seen = "", "", 0
}

// parse checks the limits, then the syntax.
func (d *Decoder) parse(value []byte) (*fastjson.Value, *Reject) {
	switch {
	case value == nil:
		return nil, &Reject{Code: Tombstone, Reason: "the record has no value"}
	case len(value) > d.limits.RecordBytes:
		return nil, &Reject{Code: TooLarge, Reason: "the record is longer than " +
			strconv.Itoa(d.limits.RecordBytes) + " bytes"}
	case tooDeep(value, d.limits.Depth):
		return nil, &Reject{Code: TooDeep, Reason: "the record nests deeper than " +
			strconv.Itoa(d.limits.Depth)}
	}
	f := inspect(value)
	if f.badAt >= 0 {
		return nil, &Reject{Code: JSONSyntax, Reason: "no JSON escape at byte " +
			strconv.Itoa(f.badAt)}
	}
	d.escapes = f.escapes
	doc := value
	if f.mend {
		d.mended, d.replaced = mend(d.mended[:0], value)
		doc = d.mended
	}
	// fastjson's error repeats the rest of the document at every level: 600 MB for one bad record
	// of 1 MiB. A long record is therefore known to be JSON before fastjson sees it.
	if len(doc) > errorBytesMax && !json.Valid(doc) {
		return nil, &Reject{Code: JSONSyntax, Reason: syntaxReason(value)}
	}
	root, err := d.parser.ParseBytes(doc)
	if len(value) > keepBytesMax {
		// What was parsed stays valid: the event keeps it alive, the decoder does not.
		d.parser, d.mended = new(fastjson.Parser), nil
	}
	if err != nil { // its text quotes the record, so it goes no further
		return nil, &Reject{Code: JSONSyntax, Reason: syntaxReason(value)}
	}
	return root, nil
}

// syntaxReason finds where a document that does not parse goes wrong; slow, and off the good path.
func syntaxReason(value []byte) string {
	var syntax *json.SyntaxError
	var raw json.RawMessage
	if err := json.Unmarshal(value, &raw); errors.As(err, &syntax) {
		return "no JSON from byte " + strconv.FormatInt(syntax.Offset, 10) + " on"
	}
	return "no JSON"
}

// onTop takes a field of the record itself.
func (d *Decoder) onTop(key []byte, v *fastjson.Value) {
	ev := d.ev
	switch string(key) {
	case "v":
		d.version(v)
	case "id":
		ev.ID = d.id(1, "id", v)
	case "type":
		ev.TypeName = d.id(2, "type", v)
	case "time":
		ev.TimeMS, d.hasTime = d.instant(3, "time", v)
	case "conversation_id":
		ev.ConversationID = d.id(4, "conversation_id", v)
	case "tenant":
		ev.Tenant = d.id(5, "tenant", v)
	case "source":
		ev.Source = d.id(6, "source", v)
	case "seq":
		ev.Seq, ev.HasSeq = d.integer(7, "seq", v)
	case "channel":
		ev.Channel = d.id(8, "channel", v)
	case "modality":
		ev.Modality = d.oneOf(9, "modality", v, modalityNames[:])
	case "customer_id":
		ev.CustomerID = d.id(10, "customer_id", v)
	case "actor":
		d.object(11, "actor", v, d.visits.actor)
	case "lang":
		ev.Lang = d.id(12, "lang", v)
	case "region":
		ev.Region = d.id(13, "region", v)
	case "inbox":
		ev.Inbox = d.id(14, "inbox", v)
	case "ai_disclosed":
		ev.AIDisclosed, ev.HasAIDisclosed = d.boolean(15, "ai_disclosed", v)
	case "attrs":
		d.attributes(16, v)
	default:
		d.keepBody(key, v)
	}
}

// firstBodyBit is the first bit of Decoder.seen that stands for a payload object at top level.
const firstBodyBit = 20

// keepBody keeps an object named like a type until the type is known: keys come in any order.
func (d *Decoder) keepBody(key []byte, v *fastjson.Value) {
	t := payloadType(key)
	if t == Unknown {
		d.onIgnored(nil, v)
		return
	}
	if d.once(firstBodyBit+uint(t), t.String()) {
		d.body[t] = v
	}
}

func (d *Decoder) version(v *fastjson.Value) {
	n, ok := d.integer(0, "v", v)
	if !ok {
		return
	}
	d.hasV = true
	if n != 1 {
		d.fail(FieldValue, "v", "must be 1")
	}
}

func (d *Decoder) onActor(key []byte, v *fastjson.Value) {
	a := &d.ev.Actor
	switch string(key) {
	case "kind":
		a.Kind = ActorKind(d.setIndex(0, "kind", v, actorNames[:]))
	case "id":
		a.ID = d.id(1, "id", v)
	case "team":
		a.Team = d.id(2, "team", v)
	case "role":
		a.Role = d.id(3, "role", v)
	default:
		d.onIgnored(nil, v)
	}
}

// attributes takes the flat attrs object.
func (d *Decoder) attributes(bit uint, v *fastjson.Value) {
	if o := v.GetObject(); o != nil && o.Len() > AttrsMax {
		d.fail(FieldValue, "attrs", "must not have more than 32 entries")
		return
	}
	d.object(bit, "attrs", v, d.visits.attr)
	if len(d.attrs) > 0 {
		d.ev.Attrs = d.attrs
	}
}

// onAttr takes one entry of attrs. Its keys are the sender's, not the schema's: the last of two
// equal ones holds, as in encoding/json.
func (d *Decoder) onAttr(key []byte, v *fastjson.Value) {
	var value []byte
	start := len(d.arena)
	switch v.Type() {
	case fastjson.TypeString:
		value = v.GetStringBytes()
	case fastjson.TypeTrue:
		d.arena = append(d.arena, "true"...)
		value = d.arena[start:len(d.arena):len(d.arena)]
	case fastjson.TypeFalse:
		d.arena = append(d.arena, "false"...)
		value = d.arena[start:len(d.arena):len(d.arena)]
	case fastjson.TypeNumber:
		d.arena = v.MarshalTo(d.arena)
		value = d.arena[start:len(d.arena):len(d.arena)]
		if numberClass(value) == notNumber {
			d.fail(NumberSyntax, "", "a value is no JSON number")
		}
	case fastjson.TypeNull:
	default:
		d.fail(FieldType, "", "must be flat: a value is an object or array")
	}
	for i := range d.attrs {
		if bytes.Equal(d.attrs[i].Key, key) {
			d.attrs = append(d.attrs[:i], d.attrs[i+1:]...)
			break
		}
	}
	if len(value) > 0 {
		d.attrs = append(d.attrs, Attr{Key: key, Value: value})
	}
}
