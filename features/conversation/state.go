package conversation

import "usher/pipeline/event"

// cycle is all that a row of conversations shows of one cycle, in numbers: when it differs, a row
// goes out. Instants are ms, 0 = has not come; words and tuples by number. Wide fields lie first,
// so that comparing two is one pass over memory.
type cycle struct {
	offset, prev                           int64
	openedAt, closedAt                     int64
	waitSince, humanSince                  int64
	firstCustomerAt                        int64
	firstAnyAt, firstHumanAt, firstAfterAt int64
	requesterWait, requesterWaitAt, paused int64
	toClose, toOutcome                     int64
	firstHandoffAt, firstEscalatedAt       int64
	escalatedByBotAt, botCycleAt           int64
	reassignedAt, flowedOutAt              int64
	judgedAt, abandonedAt                  int64
	contactAt, askedAt, askedReplyAt       int64
	outcomeAt, csatAt, csatFirstAt, voidAt int64
	handle, active                         int64
	requesterBusiness                      int64
	ordinal                                uint32
	dims                                   tuple
	label, variant, team, queue, inbox     uint32 // inbox: of the opening event
	assignee, replier, closer              uint32
	firstAnyAgent, firstHumanAgent         uint32
	firstAfterAgent                        uint32
	fromCustomer, fromAgent, fromBot       uint32
	botReplies, botFallbacks, humanReplies uint32
	endedWaits, escalations                uint32
	offered, accepted, declined            uint32
	humanRuns, reassigned                  uint32
	csat, csatFirst                        uint32 // tuples: see rating
	voidReason                             uint32
	cal                                    uint32 // calendar in force at the opening event
	resolution                             event.Resolution
	outcome                                event.OutcomeKind
	open, judged, missed, dropped          bool
	moved, contact, disclosed, csatAsked   bool
	voided, escalatedAny, transferredUp    bool
	mood                                   mood
}

// mood holds the sentiments of a cycle's first and latest decided customer messages and the lowest
// of all, two bits each: it costs a conversation no byte.
type mood uint8

const (
	moodLowest = 2 // shifts
	moodLast   = 4
)

func (m mood) first() Sentiment  { return Sentiment(m & 3) }
func (m mood) lowest() Sentiment { return Sentiment(m >> moodLowest & 3) }
func (m mood) last() Sentiment   { return Sentiment(m >> moodLast & 3) }

// then is the mood after a message of sentiment s.
func (m mood) then(s Sentiment) mood {
	if s == SentimentUnknown {
		return m
	}
	first, lowest := m.first(), m.lowest()
	if first == SentimentUnknown {
		first, lowest = s, s
	}
	return mood(first) | mood(min(lowest, s))<<moodLowest | mood(s)<<moodLast
}

// wait is one of the two stamps beside its start, which the cycle shows.
type wait struct {
	offset         int64 // of the event that began it
	paused         int64 // of pauses that ended during it
	before         int64 // paused up to the session_end that judged it
	pausedBusiness int64 // the same two in business time
	beforeBusiness int64
	turn           uint32
	cal            uint32 // calendar in force at the event that began it
	held           bool   // by a handoff: only a person ends it
	judged         bool   // a session_end came while it ran
}

// action is an agent's latest action in the cycle.
type action struct {
	at    int64
	agent uint32
	_     uint32
}

// activeAgents bounds whose successive actions are followed at once (active handling); of more, the
// one idle longest is forgotten.
const activeAgents = 4

// state is a conversation folded up to some place in its order. No pointers: it is copied to fold.
type state struct {
	cycle
	esc     escalation // the cycle's current handoff; at == 0: none
	any     wait
	human   wait
	pauseAt int64 // start of the running pause, 0 = none
	heldAt  int64 // since when an agent is assigned with status open, 0 = not
	actions [activeAgents]action

	toReply, toWait, toBeClosed promise
	lastAt                      int64 // latest instant of the cycle's events

	turnsAny, turnsHuman uint32
	priority             uint32 // word: of the last decided customer message of the cycle
	judge                uint32 // word: actor of the session_end that judged
	intent               uint32 // word: of the latest bot message that named one
	unanswered           uint32 // customer messages since the last reply
	noted                uint32 // tuple of dimensions noted last: a saving, not in the changelog
	status               event.StatusTo
	role                 uint8 // rank+1 of the latest to.role, 0 = none
	pending              bool  // esc waits for a person
	byTransfer           bool  // esc is a bot's transfer, not an escalate
	answered             bool  // the last customer message was
	humanSpoke           bool  // a person replied since the last customer message
	botFailed            bool  // the latest bot message was a fallback
	_                    bool
}

// escalation is a row of escalations in numbers.
type escalation struct {
	offset, cycleOffset                 int64
	at, offered, accepted, declined     int64
	humanReply                          int64
	dims                                tuple
	ordinal                             uint32
	team, queue, agent, label, variant  uint32
	reason, intent                      uint32
	fromQueue, toQueue, toTeam, toAgent uint32
	cal                                 uint32
	by                                  By
	already                             bool
	_                                   [2]bool
}

// turn is a row of turns or turns_human in numbers.
type turn struct {
	offset, cycleOffset, since, endedAt int64
	wait, paused                        int64
	business, businessPaused            int64
	dims                                tuple
	ordinal, turn                       uint32
	team, queue, agent, label, variant  uint32
	cal                                 uint32
	endedBy                             EndedBy
	first, skewed, final                bool
}

// void is a row of voids in numbers.
type void struct {
	cycleOffset, at                    int64
	dims                               tuple
	ordinal, reason                    uint32
	team, queue, agent, label, variant uint32
	_                                  uint32
}

// The places of a tuple of dimensions.
const (
	dimChannel = iota
	dimLang
	dimRegion
	dimInbox
	dimSource
	dimCustomer
)

// The places of a move's target.
const (
	toAgent = iota
	toTeam
	toQueue // to.queue, for an escalate else queue, else to.team
	moveReason
	fromQueue
	moveRanks // rank+1 of to.role | of from.role << 8, as configured on arrival | moveNames
)

const moveNames = 1 << 16 // the move names anyone or any queue

// The places of an actor and of a decision.
const (
	actorID = iota
	actorTeam
	actorRank     // rank+1 of actor.role
	actorCalendar // version of the tenant's calendar when the event arrived, for every actor
	actorPolicies // version of the SLA policies then, for every actor

	decisionLabel   = 0
	decisionVariant = 1
	decisionQueue   = 2
	decisionPrio    = 3
	decisionMood    = 4 // a Sentiment
)

// The places of a rating: score and scale as float64 bits, high and low half.
const (
	scoreHigh = iota
	scoreLow
	scaleHigh
	scaleLow
)

func (s *state) messages() int64 {
	return int64(s.fromCustomer) + int64(s.fromAgent) + int64(s.fromBot)
}

func (s *state) replied() bool { return s.humanReplies+s.botReplies > 0 }
