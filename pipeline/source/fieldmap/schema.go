// Package fieldmap turns somebody else's JSON object into an usher event: the map language of
// `usher import --map` and of sources with `format: map`. It knows names and shapes only; whether
// the event that comes out is legal is for the event decoder to say.
package fieldmap

import (
	"sort"
	"strings"
)

// kind is the JSON shape that the event schema wants for a field.
type kind uint8

const (
	kindString kind = iota
	kindNumber
	kindBool
	kindTime
	kindStrings // an array of strings
	kindAttrs   // the flat object of free keys
)

// field is one leaf of the event schema.
type field struct {
	path string // dotted, as in CONTRACT section 2: actor.kind
	kind kind
}

// schema lists every field that an event may have, in the order in which they are written; fields
// of one object stand together. It is CONTRACT section 2; TestSchemaMatchesDecoder holds it to the
// decoder. v and id are missing: id may be derived from all the others.
var schema = []field{
	{"type", kindString}, {"time", kindTime}, {"conversation_id", kindString},
	{"tenant", kindString}, {"source", kindString}, {"seq", kindNumber},
	{"channel", kindString}, {"modality", kindString}, {"customer_id", kindString},
	{"actor.kind", kindString}, {"actor.id", kindString},
	{"actor.team", kindString}, {"actor.role", kindString},
	{"lang", kindString}, {"region", kindString}, {"inbox", kindString},
	{"ai_disclosed", kindBool}, {attrsPath, kindAttrs},
	{textPath, kindString}, {"message.text_hash", kindString}, {"message.len", kindNumber},
	{"message.public", kindBool}, {"message.automated", kindBool}, {"message.echo", kindBool},
	{"message.template_id", kindString}, {"message.media", kindString},
	{"message.intent", kindString}, {"message.confidence", kindNumber},
	{"message.kb_ids", kindStrings}, {"message.fallback", kindBool},
	{"message.greeting", kindBool},
	{"open.initiated_by", kindString}, {"reopen.initiated_by", kindString},
	{"close.resolution", kindString},
	{"status.to", kindString}, {"status.until", kindTime},
	{"assign.to.agent", kindString}, {"assign.to.team", kindString},
	{"assign.to.role", kindString}, {"assign.to.queue", kindString},
	{"assign.from.agent", kindString}, {"assign.from.team", kindString},
	{"assign.from.role", kindString}, {"assign.from.queue", kindString},
	{"assign.by", kindString}, {"assign.reason", kindString}, {"assign.decision_id", kindString},
	{"transfer.to.agent", kindString}, {"transfer.to.team", kindString},
	{"transfer.to.role", kindString}, {"transfer.to.queue", kindString},
	{"transfer.from.agent", kindString}, {"transfer.from.team", kindString},
	{"transfer.from.role", kindString}, {"transfer.from.queue", kindString},
	{"transfer.by", kindString}, {"transfer.reason", kindString},
	{"transfer.decision_id", kindString},
	{"escalate.reason", kindString},
	{"escalate.from.agent", kindString}, {"escalate.from.team", kindString},
	{"escalate.from.role", kindString}, {"escalate.from.queue", kindString},
	{"escalate.to.agent", kindString}, {"escalate.to.team", kindString},
	{"escalate.to.role", kindString}, {"escalate.to.queue", kindString},
	{"escalate.queue", kindString},
	{"contact_provided.kinds", kindStrings}, {"session_end.reason", kindString},
	{"note.target", kindString}, {"reaction.target", kindString}, {"edit.target", kindString},
	{"delete.target", kindString}, {"read.target", kindString},
	{"csat.score", kindNumber}, {"csat.scale", kindNumber}, {"csat.asked", kindBool},
	{"outcome.kind", kindString}, {"outcome.value", kindNumber}, {"outcome.currency", kindString},
	{"feedback.decision_id", kindString}, {"feedback.target", kindString},
	{"feedback.verdict", kindString}, {"feedback.true_label", kindString},
	{"label.target", kindString}, {"label.head", kindString}, {"label.label", kindString},
	{"label.annotator", kindString},
	{"agent_status.status", kindString}, {"agent_status.capacity", kindNumber},
	{"link.to_conversation", kindString}, {"merge.to_conversation", kindString},
	{"void.reason", kindString},
}

// typeRule is the place of type in the schema.
const typeRule = 0

const (
	idPath    = "id"
	vPath     = "v"
	attrsPath = "attrs"
	textPath  = "message.text"
)

// Fields returns the dotted names that may stand on the left of a map, sorted. attrs.<key> may too.
func Fields() []string {
	names := []string{vPath, idPath}
	for _, f := range schema {
		names = append(names, f.path)
	}
	sort.Strings(names)
	return names
}

// leaf finds the shape of a dotted name; attrs.<key> is a string of the sender's own.
func leaf(path string) (kind, bool) {
	if path == idPath {
		return kindString, true
	}
	if path == vPath {
		return kindNumber, true
	}
	for _, f := range schema {
		if f.path == path {
			return f.kind, true
		}
	}
	key, isAttr := strings.CutPrefix(path, attrsPath+".")
	return kindString, isAttr && key != ""
}

// isObject reports whether path names an object of the schema, such as actor or assign.to.
func isObject(path string) bool {
	for _, f := range schema {
		if strings.HasPrefix(f.path, path+".") {
			return true
		}
	}
	return false
}
