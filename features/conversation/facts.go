package conversation

import "usher/pipeline/event"

// Dims are the dimensions of a fact, as known at its moment in the conversation's order: per field
// the first non-empty value among the cycle's events up to there (so arrival does not matter).
// Strings belong to the table's interner; copy what must outlive the table.
type Dims struct {
	Tenant, ConversationID               string
	Channel, Lang, Region, Inbox, Source string
	CustomerKey                          string // pseudonym, empty when never sent
	Team, Queue, AgentID                 string // AgentID ended the fact, else the assignee
	Label, Variant                       string // of the last decided customer message of the cycle
}

// EndedBy says what ended a wait.
type EndedBy uint8

// The ends of a wait. EndedByNone is a provisional judgement by a session_end.
const (
	EndedByNone EndedBy = iota
	EndedByAgent
	EndedByBot
	EndedByClose
)

// String is the value of turns.ended_by.
func (e EndedBy) String() string {
	return [...]string{"none", "agent", "bot", "close"}[e&3]
}

// By says who escalated; the first five equal event.ActorKind.
type By uint8

// ByRule is a routing rule that forced the escalation; other values are event.ActorKind's.
const ByRule By = 5

// String is the value of escalations.by; empty when the event named nobody.
func (b By) String() string {
	if b > ByRule {
		return ""
	}
	return [...]string{"", "customer", "agent", "bot", "system", "rule"}[b]
}

// Turn is a wait that ended or was provisionally judged: one row of turns or turns_human. Its
// identity is SinceOffset. Instants are milliseconds since 1970 UTC.
type Turn struct {
	Dims
	SrcOffset      int64 // the input record that caused the row
	Cycle          uint32
	CycleOffset    int64 // the opener's offset: the cycle's identity
	Turn           uint32
	WaitingSinceMS int64
	EndedAtMS      int64
	WaitMS         int64 // never negative
	PausedMS       int64 // overlap of the wait with pending and snoozed, ≤ WaitMS
	// The same two in the business time of the calendar that was in force when the wait began;
	// without a calendar they are equal to them.
	BusinessWaitMS   int64
	BusinessPausedMS int64
	CalendarVersion  string // empty: around the clock
	SinceOffset      int64  // of the event that began the wait
	EndedBy          EndedBy
	IsFirst          bool // the cycle's first wait by this stamp
	Skewed           bool // ended by a reply that is dated before the wait's start
	Final            bool // false for a provisional row
	Revision         uint32
	Sign             int8
}

// Escalation is one row of escalations. Its identity is SinceOffset: the offset of the escalate,
// the bot's transfer or the message on which a rule forced it. 0 = an instant that has not come.
type Escalation struct {
	Dims
	SrcOffset                               int64
	SinceOffset                             int64
	Cycle                                   uint32
	CycleOffset                             int64
	AtMS                                    int64
	OfferedAtMS, AcceptedAtMS, DeclinedAtMS int64
	HumanReplyAtMS                          int64
	By                                      By
	PendingAlready                          bool // another was unanswered: no wait of its own
	Reason, Intent                          string
	FromQueue, ToQueue, ToTeam, ToAgent     string
	BusinessWaitMS                          int64 // AtMS to HumanReplyAtMS; −1: no reply
	CalendarVersion                         string
	Revision                                uint32
	Sign                                    int8
}

// SLAEvent is one row of sla_events. Its identity is SinceOffset, the offset of the event that began
// the promise, with Metric and Status; of the terminal ones exactly one stands.
type SLAEvent struct {
	Dims                  // when it was due (soon) or ended
	SrcOffset       int64 // −1: a timer
	SinceOffset     int64
	Cycle           uint32
	CycleOffset     int64
	Turn            uint32 // of the wait, 0 for what concerns the whole cycle
	BegunAtMS       int64
	Policy          string
	Metric          Metric
	Status          SLAStatus
	TargetMS        int64
	DueAtMS         int64 // moved by pauses
	AtMS            int64 // due_soon, breached: when it was; met, cancelled: the end
	Business        bool  // the policy's clock
	CalendarVersion string
	Revision        uint32
	Sign            int8
}

// Void takes a cycle out of every KPI: one row of voids, at most one a cycle.
type Void struct {
	Dims
	SrcOffset   int64
	Cycle       uint32
	CycleOffset int64
	Reason      string // spam, test, duplicate, erasure, merge; empty when the event gave none
	AtMS        int64
	Revision    uint32
	Sign        int8
}

// Correction says that a fact written before as final was withdrawn: one row of corrections.
type Correction struct {
	Dims
	SrcOffset   int64
	Cycle       uint32
	CycleOffset int64
	KPI         string     // first_reply_any, next_reply, the same …_human, escalation, void, sla
	Cause       event.Type // of the event that corrected it
	AtMS        int64      // its time
	Revision    uint32
}

// Cycle is the newest row of one cycle: one row of conversations. Counts are of public messages
// that are not automated. 0 = an instant that has not come, −1 = a duration or number not known.
type Cycle struct {
	Dims
	SrcOffset       int64
	Cycle           uint32
	CycleOffset     int64
	PrevCycleOffset int64 // −1: the first cycle (or the one before was forgotten)

	OpenedAtMS, ClosedAtMS                               int64
	WaitingSinceMS, WaitingHumanSinceMS                  int64
	FirstCustomerAtMS                                    int64
	FirstReplyAnyMS, FirstReplyAnyAtMS                   int64
	FirstReplyHumanMS, FirstReplyHumanAtMS               int64
	FirstReplyAfterHandoffMS, FirstReplyAfterHandoffAtMS int64
	FirstReplyAnyAgent, FirstReplyHumanAgent             string // actor.id of that reply
	FirstReplyAfterHandoffAgent                          string

	// Business time by the calendar in force at the opening; of RequesterWaitMS each wait by its own.
	BusinessFirstReplyAnyMS          int64
	BusinessFirstReplyHumanMS        int64
	BusinessFirstReplyAfterHandoffMS int64
	BusinessRequesterWaitMS          int64
	OutOfHours                       bool // opened outside the calendar
	CalendarVersion                  string

	RequesterWaitMS      int64 // Σ (wait − pauses) over the ended waits of the any-stamp
	RequesterWaitAtMS    int64 // end of the latest of them
	EndedWaits           uint32
	PausedMS             int64 // Σ pauses of those waits
	MessagesCustomer     uint32
	MessagesAgent        uint32
	MessagesBot          uint32
	MessagesToClose      int64 // all sides, opening to close; −1 while open
	BotReplies           uint32
	BotFallbacks         uint32
	HumanReplies         uint32
	Escalations          uint32 // rows of escalations
	EscalatedByBot       bool   // by a bot, or by a rule before the first human reply
	EscalatedAny         bool   // any escalate, bot transfer or forced rule
	TransferredUp        bool   // transfer to a later entry of the tenant's roles
	FirstHandoffAtMS     int64
	FirstEscalatedAtMS   int64 // of what first set EscalatedAny or TransferredUp
	EscalatedByBotAtMS   int64 // of what first set EscalatedByBot
	HandoffsOffered      uint32
	HandoffsAccepted     uint32
	HandoffsDeclined     uint32
	BotCycle             bool
	BotCycleAtMS         int64  // its first public bot message but greetings
	HumanRuns            uint32 // runs of human replies with no customer message between
	Reassigned           uint32
	ReassignedAtMS       int64 // first
	Assigned             bool  // an assign, transfer or escalate came
	FlowedOut            bool  // by a person or the system, before a human reply
	FlowedOutAtMS        int64
	SentimentFirst       Sentiment        // of the first decided customer message
	SentimentLowest      Sentiment        // of all of them
	SentimentLast        Sentiment        // of the latest
	Resolution           event.Resolution // decided when absent; ResolutionNone while open
	Judged               bool
	JudgedAtMS           int64
	Missed, Dropped      bool
	Abandoned            bool
	AbandonedAtMS        int64
	Offered              bool // assign, transfer, escalate or an inbox
	ContactGiven         bool
	ContactAtMS          int64
	AIDisclosed          bool              // on one of the bot's replies
	AskedHumanAtMS       int64             // first escalate with reason asked_human
	AskedHumanReplyAtMS  int64             // first human reply after it
	Outcome              event.OutcomeKind // first that converts, else first of all
	OutcomeAtMS          int64
	MessagesToOutcome    int64 // −1: none, or not known any more when it came
	CSATAsked            bool
	CSATScore, CSATScale float64 // last rating; CSATAtMS 0 = unrated
	CSATAtMS             int64
	CSATFirstScore       float64
	CSATFirstScale       float64
	CSATFirstAtMS        int64
	Voided               bool
	VoidReason           string
	HandleMS             int64 // assigned to an agent with status open; −1: never assigned
	ActiveHandleMS       int64 // Σ min(gap, idle cap) between an agent's successive actions

	Final            bool  // the cycle ended
	Gone             bool  // this identity ceased to exist
	ReplacedByOffset int64 // with Gone: the cycle that its opener lies in now, −1 none
	Revision         uint32
}

// Facts are what changed since BeginTransaction, in the order of arrival. Slices and strings are
// the table's: valid until the next Arrive or BeginTransaction.
type Facts struct {
	Turns       []Turn
	TurnsHuman  []Turn
	Escalations []Escalation
	Voids       []Void
	Corrections []Correction
	SLA         []SLAEvent
	Cycles      []Cycle // one per changed cycle, newest; gone rows too
}
