package event

// Event is one decoded chat event. Every []byte points into the decoder's buffers: it is valid
// until the next Decode on the same Decoder, and whoever keeps it copies it. An absent optional
// field is a nil slice, a zero number with its Has flag false, or the zero of its closed set.
type Event struct {
	Type     Type
	TypeName []byte // as sent; the only name an unknown type has

	ID             []byte // deduplication identity inside the conversation, ≤ 128 bytes
	ConversationID []byte // the Kafka key; empty for agent_status
	Tenant         []byte // never empty: "default" when absent
	Source         []byte
	Channel        []byte
	Modality       []byte
	CustomerID     []byte // raw until redact puts the customer_key there
	Lang           []byte
	Region         []byte
	Inbox          []byte

	TimeMS int64 // milliseconds since 1970, UTC
	Seq    int64 // the source's own order; meaningful when HasSeq
	HasSeq bool

	Actor Actor

	AIDisclosed    bool
	HasAIDisclosed bool

	Attrs []Attr // flat, ≤ 32; numbers and booleans in their JSON spelling

	Message        Message     // message, bot_answer
	Resolution     Resolution  // close, resolve
	InitiatedBy    []byte      // open, reopen
	Status         Status      // status
	Move           Move        // assign, transfer, escalate
	Reason         []byte      // session_end, escalate, void: a closed set; assign, transfer
	Kinds          [][]byte    // contact_provided
	Target         []byte      // note, reaction, edit, delete, read, feedback, label
	CSAT           CSAT        // csat
	Outcome        Outcome     // outcome
	Verdict        []byte      // feedback: accepted, edited, rejected
	TrueLabel      []byte      // feedback
	DecisionID     []byte      // feedback, assign, transfer
	Label          Label       // label
	AgentStatus    AgentStatus // agent_status
	ToConversation []byte      // link, merge
}

// Actor is who acted. Kind is ActorNone when the event named nobody.
type Actor struct {
	Kind           ActorKind
	ID, Team, Role []byte
}

// Attr is one entry of the flat attrs object.
type Attr struct{ Key, Value []byte }

// Message is the payload of message and bot_answer.
type Message struct {
	Text       []byte // as sent, invalid UTF-8 and control characters already U+FFFD; redacted later
	TextHash   []byte
	Len        int64 // bytes of Text as sent; the sender's own figure when HasLen
	HasLen     bool
	Public     bool // true when absent
	Automated  bool
	Echo       bool // sent from the vendor's own app: a human reply
	TemplateID []byte
	Media      []byte

	Intent        []byte // bot_answer only, as are the following
	Confidence    float64
	HasConfidence bool
	KBIDs         [][]byte
	Fallback      bool
	Greeting      bool
}

// Party names who or what a conversation moves to or from.
type Party struct{ Agent, Team, Role, Queue []byte }

// Empty reports whether p names nobody and nothing.
func (p *Party) Empty() bool {
	return len(p.Agent)+len(p.Team)+len(p.Role)+len(p.Queue) == 0
}

// Move is the payload of assign, transfer and escalate.
type Move struct {
	To, From Party
	By       []byte
	Queue    []byte // escalate.queue
}

// Status is the payload of status.
type Status struct {
	To      StatusTo
	UntilMS int64 // 0 when absent; stored only
}

// CSAT is a rating; positive when Score/Scale ≥ 0.8.
type CSAT struct {
	Score    float64
	HasScore bool
	Scale    float64 // 5 when absent
	Asked    bool
}

// Outcome is what the conversation led to.
type Outcome struct {
	Kind     OutcomeKind
	Value    float64
	HasValue bool
	Currency []byte
}

// Label is a training label for one message.
type Label struct{ Head, Name, Annotator []byte }

// AgentStatus is the payload of agent_status.
type AgentStatus struct {
	Status      []byte
	Capacity    int64
	HasCapacity bool
}

// Type is the event type; Unknown types are stored and touch nothing else.
type Type uint8

// The event types of CONTRACT section 2. Resolve is decoded as Close.
const (
	Unknown Type = iota
	TypeMessage
	TypeBotAnswer
	TypeOpen
	TypeReopen
	TypeClose
	TypeStatus
	TypeAssign
	TypeTransfer
	TypeEscalate
	TypeHandoffOffered
	TypeHandoffAccepted
	TypeHandoffDeclined
	TypeContactProvided
	TypeSessionEnd
	TypeNote
	TypeReaction
	TypeEdit
	TypeDelete
	TypeRead
	TypeCSAT
	TypeOutcome
	TypeFeedback
	TypeLabel
	TypeAgentStatus
	TypeLink
	TypeMerge
	TypeVoid
)

// ActorKind is the closed set of actors.
type ActorKind uint8

// The actor kinds.
const (
	ActorNone ActorKind = iota
	ActorCustomer
	ActorAgent
	ActorBot
	ActorSystem
)

// StatusTo is the closed set of states that a status event moves to.
type StatusTo uint8

// The states of a conversation.
const (
	StatusNone StatusTo = iota
	StatusOpen
	StatusPending
	StatusHold
	StatusSnoozed
	StatusClosed
)

// Resolution is how a close settled the matter.
type Resolution uint8

// The resolutions; ResolutionNone means the state decides (CONTRACT, close).
const (
	ResolutionNone Resolution = iota
	ResolutionConfirmed
	ResolutionAssumed
	ResolutionUnresolved
	ResolutionSpam
)

// OutcomeKind is the closed set of outcomes.
type OutcomeKind uint8

// The outcome kinds; booking, sale and lead convert.
const (
	OutcomeAbsent OutcomeKind = iota
	OutcomeBooking
	OutcomeSale
	OutcomeLead
	OutcomeRefund
	OutcomeNone
)

// Code is the closed set of dead-letter codes of CONTRACT section 1.
type Code string

// The dead-letter codes.
const (
	JSONSyntax   Code = "json_syntax"
	TooLarge     Code = "too_large"
	TooDeep      Code = "too_deep"
	NumberSyntax Code = "number_syntax"
	FieldMissing Code = "field_missing"
	FieldType    Code = "field_type"
	FieldValue   Code = "field_value"
	UTF8         Code = "utf8"
	DupKey       Code = "dup_key"
	TimeRange    Code = "time_range"
	IDTooLong    Code = "id_too_long"
	Tombstone    Code = "tombstone"
	Panic        Code = "panic"
)

// Reject says why a record is a dead letter. Reason names field and rule, never a value.
type Reject struct {
	Code   Code
	Reason string
}

// Error makes a Reject an error that is safe to log.
func (r *Reject) Error() string { return string(r.Code) + ": " + r.Reason }
