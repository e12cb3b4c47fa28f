// Package event is the one type that travels through usher left of the sinks, and the strict JSON
// codec that makes it (CONTRACT section 2 is kept by this package alone).
//
// # What an event must have
//
// Every event: v, id, type, time, conversation_id. And what its type means nothing without:
//
//	message        actor.kind (the message object may be absent: media, no text)
//	agent_status   actor.id, and no conversation_id
//	status         status.to
//	csat           csat.score, or csat.asked true
//	outcome        outcome.kind
//	label          label.target, label.label
//	feedback       feedback.decision_id or .target; feedback.verdict or .true_label
//	link           link.to_conversation
//
// All other fields of all other types may be absent: a close without a resolution lets the state
// decide, an escalate without a reason is still a handoff, a merge without a target still ends its
// cycle. null and the empty string mean absent, an empty payload object too. What is absent is
// field_missing when it is needed.
//
// # What a field must be
//
// Whatever is there must be right, needed or not. A name (every field but those named here) is a
// string of at most 128 bytes (id_too_long) of UTF-8 without control characters (utf8).
// message.text, message.media, the reason of assign and transfer, and keys and values of attrs are
// texts: of any length, and what they may not hold (control characters but line feed, carriage
// return and tab; lone surrogates; invalid UTF-8) has become U+FFFD. A raw control character, which
// JSON forbids, counts as one of these and never as line feed.
//
// Closed sets (field_value): modality, actor.kind, close.resolution, status.to, outcome.kind,
// feedback.verdict and the reason of escalate, session_end and void. Open: channel, kinds,
// initiated_by, currency and the rest.
//
// seq, message.len and agent_status.capacity are 64-bit integers, the last two not negative; score,
// scale (above 0), confidence and value are finite numbers. A number spelled as JSON does not
// (NaN, +1, 007, 1e) is number_syntax wherever it stands, in unknown fields too. time is RFC 3339
// with offset or integer milliseconds, from 2000-01-01 to 24 h after the worker's clock
// (time_range); status.until to 2100. attrs has at most 32 entries (field_value), strings, numbers
// or booleans (nested: field_type), numbers and booleans keeping their JSON spelling; of two equal
// keys the last holds. Any other key of the schema that is there twice, escaped or not, is dup_key.
//
// Unknown fields, payloads of other types and ce_ headers beyond the first 8 KiB are ignored. An
// unknown type is Unknown with its TypeName.
package event
