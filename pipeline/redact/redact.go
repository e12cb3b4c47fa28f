// Package redact decides what of an event may leave the process (CONTRACT section 2, "What leaves
// the process"): it masks personal data in texts and puts keyed pseudonyms in the place of
// customers. It is pure: the same key and the same input give the same output on every machine.
//
// Customers become pseudonyms always. A conversation id becomes one when it looks like a telephone
// number or an e-mail address (ConversationIDs decides). In texts (message.text, message.media, the
// reason of assign and transfer, values of attrs, entries of kinds) e-mail addresses, telephone
// numbers, payment card numbers and IBANs are masked. Names, postal addresses and what is written
// out in words are not recognised: text is stored only when its switch is on.
package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/dchest/siphash"

	"usher/pipeline/event"
)

// KeyBytesMin is the shortest privacy key that New accepts.
const KeyBytesMin = 16

// TextBytesMax is the longest text that is kept, unless Config says less.
const TextBytesMax = 64 << 10

// PseudonymBytes is the length of a pseudonym: 128 bits in hexadecimal.
const PseudonymBytes = 32

// Mode says which conversation ids are replaced.
type Mode string

// The modes of privacy.conversation_ids.
const (
	Auto      Mode = "auto"      // those that look like a telephone number or an e-mail address
	Keep      Mode = "keep"      // none
	Pseudonym Mode = "pseudonym" // all
)

// Config is the part of the configuration that this package needs. Zero values are the defaults.
type Config struct {
	ConversationIDs Mode // default Auto
	TextBytes       int  // longer texts are cut; default TextBytesMax
}

// Kind keeps pseudonyms of different things apart: equal ids of two kinds have different ones.
type Kind uint8

// The kinds of pseudonym.
const (
	Customer Kind = iota
	Conversation
	kinds
)

// Redactor holds the derived keys and the buffers of the event in hand. Not for concurrent use.
type Redactor struct {
	cfg     Config
	keys    [kinds]sipKey
	state   sipKey
	passes  [2][]byte // a text between two passes
	message []byte    // what is hashed
	out     []byte    // what Apply put into the event
}

type sipKey struct{ k0, k1 uint64 }

// New derives what it needs from the privacy key, which may be of any length from KeyBytesMin on.
func New(key []byte, cfg Config) (*Redactor, error) {
	if len(key) < KeyBytesMin {
		return nil, fmt.Errorf("cannot use the privacy key: it has %d bytes and needs %d; "+
			"make one with: openssl rand -hex 32", len(key), KeyBytesMin)
	}
	switch cfg.ConversationIDs {
	case "":
		cfg.ConversationIDs = Auto
	case Auto, Keep, Pseudonym:
	default:
		return nil, errors.New("cannot use privacy.conversation_ids: it must be auto, keep or pseudonym")
	}
	if cfg.TextBytes <= 0 {
		cfg.TextBytes = TextBytesMax
	}
	r := &Redactor{cfg: cfg, state: derive(key, "state")}
	r.keys[Customer] = derive(key, "customer")
	r.keys[Conversation] = derive(key, "conversation")
	return r, nil
}

// derive makes a key of its own for one purpose, so that no value computed for one tells anything
// about another. The label is versioned: pseudonyms in stored rows depend on it.
func derive(key []byte, purpose string) sipKey {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("usher/1/" + purpose))
	sum := mac.Sum(nil)
	return sipKey{binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])}
}

// hash is SipHash-2-4 with 128 bits over tenant and id; the tenant's length keeps the two apart.
func (r *Redactor) hash(key sipKey, tenant, id []byte) [16]byte {
	r.message = binary.AppendUvarint(r.message[:0], uint64(len(tenant)))
	r.message = append(append(r.message, tenant...), id...)
	low, high := siphash.Hash128(key.k0, key.k1, r.message)
	var sum [16]byte
	binary.LittleEndian.PutUint64(sum[:], low)
	binary.LittleEndian.PutUint64(sum[8:], high)
	return sum
}

// Key is the identity of a conversation in state: keyed, so that nobody without the key can make
// two conversations share one. Take it from the id as sent, before Apply.
func (r *Redactor) Key(tenant, conversationID []byte) [16]byte {
	return r.hash(r.state, tenant, conversationID)
}

// Pseudonym appends the pseudonym of id, PseudonymBytes of lower-case hexadecimal, to dst.
func (r *Redactor) Pseudonym(dst []byte, kind Kind, tenant, id []byte) []byte {
	sum := r.hash(r.keys[kind], tenant, id)
	return hex.AppendEncode(dst, sum[:])
}

// ConversationID returns id, or its pseudonym appended to buf when the mode asks for it.
func (r *Redactor) ConversationID(buf, tenant, id []byte) []byte {
	if len(id) == 0 || r.cfg.ConversationIDs == Keep ||
		r.cfg.ConversationIDs == Auto && !LooksPersonal(id) {
		return id
	}
	return r.Pseudonym(buf, Conversation, tenant, id)
}

// Apply redacts ev in place; what it puts there is valid until the next Apply. It reports whether
// the message's text was cut. After it, CustomerID holds the customer_key: the pseudonym of the
// customer, taken from customer_id or else from the id of a customer who acts.
func (r *Redactor) Apply(ev *event.Event) (truncated bool) {
	r.out = r.out[:0]
	r.people(ev)
	ev.ConversationID = r.conversation(ev.Tenant, ev.ConversationID)
	ev.ToConversation = r.conversation(ev.Tenant, ev.ToConversation)
	m := &ev.Message
	m.Text = r.mask(m.Text)
	if len(m.Text) > r.cfg.TextBytes { // after masking: half a card number is not recognised
		m.Text, truncated = cut(m.Text, r.cfg.TextBytes), true
	}
	m.Media = r.mask(m.Media)
	ev.Reason = r.mask(ev.Reason)
	for i := range ev.Attrs {
		ev.Attrs[i].Value = r.mask(ev.Attrs[i].Value)
	}
	for i := range ev.Kinds {
		ev.Kinds[i] = r.mask(ev.Kinds[i])
	}
	return truncated
}

// people puts pseudonyms in the place of customers.
func (r *Redactor) people(ev *event.Event) {
	acts := ev.Actor.Kind == event.ActorCustomer && len(ev.Actor.ID) > 0
	if len(ev.CustomerID) > 0 {
		ev.CustomerID = r.pseudonym(Customer, ev.Tenant, ev.CustomerID)
	}
	if acts {
		ev.Actor.ID = r.pseudonym(Customer, ev.Tenant, ev.Actor.ID)
		if len(ev.CustomerID) == 0 {
			ev.CustomerID = ev.Actor.ID
		}
	}
}

// conversation is ConversationID with its bytes in the buffer of this event.
func (r *Redactor) conversation(tenant, id []byte) []byte {
	var hexed [PseudonymBytes]byte
	replaced := r.ConversationID(hexed[:0], tenant, id)
	if len(replaced) == 0 || &replaced[0] != &hexed[0] {
		return id
	}
	start := len(r.out)
	r.out = append(r.out, replaced...)
	return r.out[start:len(r.out):len(r.out)]
}

func (r *Redactor) pseudonym(kind Kind, tenant, id []byte) []byte {
	start := len(r.out)
	r.out = r.Pseudonym(r.out, kind, tenant, id)
	return r.out[start:len(r.out):len(r.out)]
}

// mask returns text as it is when there is nothing to mask, else its masked copy.
func (r *Redactor) mask(text []byte) []byte {
	if !suspicious(text) {
		return text
	}
	start := len(r.out)
	r.out = r.Text(r.out, text)
	return r.out[start:len(r.out):len(r.out)]
}

// cut shortens text to at most limit bytes without cutting a rune.
func cut(text []byte, limit int) []byte {
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
