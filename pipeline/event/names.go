package event

// The spellings of the closed sets. An array's index is the constant's value; the empty string at
// index 0 is "absent" and never matches.

var typeNames = [...]string{
	Unknown:             "",
	TypeMessage:         "message",
	TypeBotAnswer:       "bot_answer",
	TypeOpen:            "open",
	TypeReopen:          "reopen",
	TypeClose:           "close",
	TypeStatus:          "status",
	TypeAssign:          "assign",
	TypeTransfer:        "transfer",
	TypeEscalate:        "escalate",
	TypeHandoffOffered:  "handoff_offered",
	TypeHandoffAccepted: "handoff_accepted",
	TypeHandoffDeclined: "handoff_declined",
	TypeContactProvided: "contact_provided",
	TypeSessionEnd:      "session_end",
	TypeNote:            "note",
	TypeReaction:        "reaction",
	TypeEdit:            "edit",
	TypeDelete:          "delete",
	TypeRead:            "read",
	TypeCSAT:            "csat",
	TypeOutcome:         "outcome",
	TypeFeedback:        "feedback",
	TypeLabel:           "label",
	TypeAgentStatus:     "agent_status",
	TypeLink:            "link",
	TypeMerge:           "merge",
	TypeVoid:            "void",
}

var (
	actorNames      = [...]string{"", "customer", "agent", "bot", "system"}
	statusNames     = [...]string{"", "open", "pending", "hold", "snoozed", "closed"}
	resolutionNames = [...]string{"", "confirmed", "assumed", "unresolved", "spam"}
	outcomeNames    = [...]string{"", "booking", "sale", "lead", "refund", "none"}
	modalityNames   = [...]string{"", "text", "voice", "email"}
	escalateReasons = [...]string{
		"", "no_knowledge", "low_confidence", "asked_human", "policy", "error"}
	sessionReasons = [...]string{"", "left", "timeout", "moved_to_email"}
	voidReasons    = [...]string{"", "spam", "test", "duplicate", "erasure"}
	verdictNames   = [...]string{"", "accepted", "edited", "rejected"}
)

// String is the type's name in JSON; empty for Unknown.
func (t Type) String() string { return typeNames[t] }

// String is the kind's name in JSON; empty for ActorNone.
func (k ActorKind) String() string { return actorNames[k] }

// String is the state's name in JSON; empty for StatusNone.
func (s StatusTo) String() string { return statusNames[s] }

// String is the resolution's name in JSON; empty for ResolutionNone.
func (r Resolution) String() string { return resolutionNames[r] }

// String is the outcome's name in JSON; empty for OutcomeAbsent.
func (k OutcomeKind) String() string { return outcomeNames[k] }

// ParseType names the type that a JSON name means; Unknown for a name usher does not know.
// "resolve" is the same type as "close".
func ParseType(name []byte) Type {
	switch string(name) { // compiled to a search by length and content, without a copy
	case "message":
		return TypeMessage
	case "bot_answer":
		return TypeBotAnswer
	case "close", "resolve":
		return TypeClose
	}
	if i := indexOf(typeNames[:], name); i > 0 {
		return Type(i)
	}
	return Unknown
}

// payloadType names the type whose payload lies in an object called name; Unknown when no payload
// is called so (bot_answer uses message, resolve uses close, the handoff types have none).
func payloadType(name []byte) Type {
	switch t := ParseType(name); t {
	case TypeBotAnswer, TypeHandoffOffered, TypeHandoffAccepted, TypeHandoffDeclined:
		return Unknown
	case TypeClose:
		if len(name) != len("close") {
			return Unknown
		}
		return t
	default:
		return t
	}
}

// indexOf is the place of word in names, 0 when it is not there.
func indexOf(names []string, word []byte) int {
	for i := 1; i < len(names); i++ {
		if names[i] == string(word) {
			return i
		}
	}
	return 0
}
