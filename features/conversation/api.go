package conversation

import (
	"time"

	"usher/features/calendar"
	"usher/pipeline/event"
)

// Key identifies a conversation: a keyed 128-bit hash of tenant and conversation id.
type Key [16]byte

// Config bounds a Table. Initial sizes and bounds never change a fact.
type Config struct {
	MaxConversations     int                 // 0 = DefaultMaxConversations
	InitialConversations int                 // 0 = grow from small
	IdleCapMS            int64               // longest gap of active handling; 0 = 5 minutes
	Roles                map[string][]string // per tenant, lowest first; "default" for all others

	// Calendars are the tenants', "default" for all others; without one a tenant works around the
	// clock. Which of them was in force is kept with each event, so facts do not change with them.
	Calendars map[string]*calendar.Calendar
	// Policies promise times; the first that fits applies.
	Policies []Policy
	// Zone finds the zone of a calendar that is in the state and no longer configured; nil:
	// time.LoadLocation.
	Zone func(name string) (*time.Location, error)
}

// Input is one event on its way in. Every slice is read during Arrive only.
type Input struct {
	Key            Key
	Event          *event.Event // decoded and redacted
	ConversationID []byte       // as it may leave the process
	CustomerKey    []byte       // pseudonym, or nil
	Offset         int64        // source offset, ≥ 0: identity of cycles and waits
	NowMS          int64        // the worker's clock, frozen by the transaction (received_at)
	Backfill       bool         // imported: the conversation's own events tell the time
}

// Flags say what was known on arrival.
type Flags uint16

// The flags of an arrival that the state decides.
const (
	FlagLate       Flags = 1 << iota // older than a full window: changes no KPI but an amendment's
	FlagDuplicate                    // id or seq equals one in the window: changes nothing
	FlagClockSkew                    // a reply that ended a wait but is dated before its start
	FlagClockAhead                   // dated after NowMS, ordered and measured as NowMS
	FlagRetired                      // the conversation had been retired
)

// View is what features and the decision need, at the event's place in the order, the event
// included. Strings are the table's.
type View struct {
	Turn             uint32 // ordinal of the running (else last) wait in the cycle
	WaitingMS        int64  // since the oldest unanswered message or handoff; 0 when nobody waits
	Waiting          bool
	PrevLabel        string // of the customer message decided before this one in the cycle
	BotFailed        bool   // the cycle's latest bot message was a fallback
	Repeats          uint32 // customer messages before this one that are still unanswered
	Messages         uint32 // of the cycle, all sides
	CustomerMessages uint32
	FirstInCycle     bool // the first customer message of its cycle
	Escalated        bool
	ContactGiven     bool
	Queue            string
	Team             string
	Agent            string // assignee
}

// Arrival is what Arrive found out.
type Arrival struct {
	Flags       Flags
	Cycle       uint32 // ordinal known on arrival, 0 = none
	CycleOffset int64  // its opener's offset, −1 = none
	Decide      bool   // a public customer message that is neither automated nor a duplicate
	View        View
}

// Sentiment is how a customer's message sounds.
type Sentiment uint8

// The sentiments. Worse ones are lower numbers; unknown is none.
const (
	SentimentUnknown Sentiment = iota
	SentimentNegative
	SentimentNeutral
	SentimentPositive
)

// ParseSentiment is the sentiment of a label: negative, neutral or positive; any other is unknown.
func ParseSentiment(label string) Sentiment {
	for s := SentimentNegative; s <= SentimentPositive; s++ {
		if label == s.String() {
			return s
		}
	}
	return SentimentUnknown
}

// String is the label; empty when unknown.
func (s Sentiment) String() string {
	return [...]string{"", "negative", "neutral", "positive"}[s&3]
}

// Decided is what the router decided on an event; Label may be empty. Of a decision on what is no
// customer message (Arrival.Decide false) only Escalate counts, of a late or duplicate one nothing.
type Decided struct {
	Label, Variant string
	Queue          string // route.queue
	Priority       string
	Sentiment      Sentiment // of the message; SentimentUnknown when nothing judged it
	Escalate       bool      // a rule forces an escalation
	Executed       bool      // acted alone: Queue becomes the conversation's queue
}
