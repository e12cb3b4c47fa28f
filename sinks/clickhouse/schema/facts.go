package schema

// Turn is a wait that ended, or was provisionally judged by a session_end. The same struct fills
// `turns` (cleared by any reply) and `turns_human` (which only a person clears).
type Turn struct {
	Source
	Dims
	Cycle
	Turn             uint32     `ch:"turn"`
	WaitingSince     Instant    `ch:"waiting_since"`
	EndedAt          Instant    `ch:"ended_at"`
	EndedBy          string     `ch:"ended_by" type:"lc"` // agent, bot, close, none
	WaitMS           int64      `ch:"wait_ms"`
	PausedMS         int64      `ch:"paused_ms"`
	BusinessWaitMS   Opt[int64] `ch:"business_wait_ms"`
	BusinessPausedMS Opt[int64] `ch:"business_paused_ms"`
	IsFirst          bool       `ch:"is_first"`
	SinceOffset      int64      `ch:"since_offset"` // of the event that began it: the wait's identity
	Skewed           bool       `ch:"skewed"`       // the reply is dated before its question
	WaitingSinceDay  Day        `ch:"waiting_since_day"`
	EndedDay         Day        `ch:"day"` // of EndedAt in the tenant's zone
	CalendarVersion  string     `ch:"calendar_version" type:"lc"`
	Final            bool       `ch:"final"`
	Revision         uint32     `ch:"revision"`
	Sign             int8       `ch:"sign"`
}

// Conversation is a changed cycle, coalesced over a transaction; the newest revision wins.
type Conversation struct {
	Source
	// OpenedMonth is the partition key: the first day of the month of OpenedAt in UTC, which never
	// changes for an id.
	OpenedMonth Day `ch:"_opened_month" codec:"ZSTD(1)"`
	Dims
	Cycle
	PrevCycleID string `ch:"prev_cycle_id"`

	OpenedAt           Instant      `ch:"opened_at"`
	OpenedDay          Day          `ch:"opened_day"`
	ClosedAt           Opt[Instant] `ch:"closed_at"`
	ClosedDay          Opt[Day]     `ch:"closed_day"`
	WaitingSince       Opt[Instant] `ch:"waiting_since"`
	WaitingHumanSince  Opt[Instant] `ch:"waiting_human_since"`
	FirstCustomerAt    Opt[Instant] `ch:"first_customer_at"`
	FirstCustomerDay   Opt[Day]     `ch:"first_customer_day"`
	FirstReplyAnyAt    Opt[Instant] `ch:"first_reply_any_at"`
	FirstReplyAnyDay   Opt[Day]     `ch:"first_reply_any_day"`
	FirstReplyAnyMS    Opt[int64]   `ch:"first_reply_any_ms"`
	FirstReplyHumanAt  Opt[Instant] `ch:"first_reply_human_at"`
	FirstReplyHumanDay Opt[Day]     `ch:"first_reply_human_day"`
	FirstReplyHumanMS  Opt[int64]   `ch:"first_reply_human_ms"`

	FirstReplyAfterHandoffAt  Opt[Instant] `ch:"first_reply_after_handoff_at"`
	FirstReplyAfterHandoffDay Opt[Day]     `ch:"first_reply_after_handoff_day"`
	FirstReplyAfterHandoffMS  Opt[int64]   `ch:"first_reply_after_handoff_ms"`

	// The actor.id of each first reply: agent_id of that fact, where AgentID is the assignee.
	FirstReplyAnyAgent          string `ch:"first_reply_any_agent" type:"lc"`
	FirstReplyHumanAgent        string `ch:"first_reply_human_agent" type:"lc"`
	FirstReplyAfterHandoffAgent string `ch:"first_reply_after_handoff_agent" type:"lc"`

	BusinessFirstReplyAnyMS          Opt[int64] `ch:"business_first_reply_any_ms"`
	BusinessFirstReplyHumanMS        Opt[int64] `ch:"business_first_reply_human_ms"`
	BusinessFirstReplyAfterHandoffMS Opt[int64] `ch:"business_first_reply_after_handoff_ms"`
	BusinessRequesterWaitMS          Opt[int64] `ch:"business_requester_wait_ms"`
	OutOfHours                       Opt[bool]  `ch:"out_of_hours"`
	CalendarVersion                  string     `ch:"calendar_version" type:"lc"`

	// RequesterWaitMS is the sum of the ended waits less pauses; NULL before the first has ended.
	RequesterWaitMS  Opt[int64]   `ch:"requester_wait_ms"`
	Waits            uint32       `ch:"waits"` // ended waits
	PausedMS         int64        `ch:"paused_ms"`
	LastWaitEndedAt  Opt[Instant] `ch:"last_wait_ended_at"`
	LastWaitEndedDay Opt[Day]     `ch:"last_wait_ended_day"`

	MessagesCustomer uint32 `ch:"messages_customer"` // public, not automated, as the next two
	MessagesAgent    uint32 `ch:"messages_agent"`
	MessagesBot      uint32 `ch:"messages_bot"`
	BotReplies       uint32 `ch:"bot_replies"`
	BotFallbacks     uint32 `ch:"bot_fallbacks"`
	HumanReplies     uint32 `ch:"human_replies"`
	HumanRuns        uint32 `ch:"human_runs"` // runs of human replies with no customer message between

	// BotCycle: has a public bot message that is neither automated nor a greeting.
	BotCycle          bool         `ch:"bot_cycle"`
	BotCycleAt        Opt[Instant] `ch:"bot_cycle_at"`
	BotCycleDay       Opt[Day]     `ch:"bot_cycle_day"`
	EscalatedByBotAt  Opt[Instant] `ch:"escalated_by_bot_at"`
	EscalatedByBotDay Opt[Day]     `ch:"escalated_by_bot_day"`
	TransferredUp     bool         `ch:"transferred_up"` // to a later entry of the tenant's roles
	FlowedOut         bool         `ch:"flowed_out"`     // to another queue before a human reply
	FlowedOutAt       Opt[Instant] `ch:"flowed_out_at"`
	ReassignedAt      Opt[Instant] `ch:"reassigned_at"` // the first
	ReassignedDay     Opt[Day]     `ch:"reassigned_day"`
	AbandonedAt       Opt[Instant] `ch:"abandoned_at"`
	AbandonedDay      Opt[Day]     `ch:"abandoned_day"`
	ContactAt         Opt[Instant] `ch:"contact_at"`
	AskedHumanAt      Opt[Instant] `ch:"asked_human_at"`
	AskedHumanReplyAt Opt[Instant] `ch:"asked_human_reply_at"`
	AskedHumanDay     Opt[Day]     `ch:"asked_human_day"` // of the reply, else of the request

	Escalations     uint32       `ch:"escalations"`
	EscalatedByBot  bool         `ch:"escalated_by_bot"` // or by a rule before the first human reply
	EscalatedAny    bool         `ch:"escalated_any"`    // any escalate, forced rule, transfer upwards
	EscalatedAt     Opt[Instant] `ch:"escalated_at"`     // the first of EscalatedAny
	EscalatedDay    Opt[Day]     `ch:"escalated_day"`
	Handoffs        uint32       `ch:"handoffs"`
	FirstHandoffAt  Opt[Instant] `ch:"first_handoff_at"`
	FirstHandoffDay Opt[Day]     `ch:"first_handoff_day"`
	// HandoffsOffered and its twins count the handoff_* events of the cycle.
	HandoffsOffered  uint32 `ch:"handoffs_offered"`
	HandoffsAccepted uint32 `ch:"handoffs_accepted"`
	HandoffsDeclined uint32 `ch:"handoffs_declined"`
	Reassigned       uint32 `ch:"reassigned"` // moves to another agent after the first human reply

	Reopened   bool         `ch:"reopened"` // this cycle reopens a closed conversation
	Resolution string       `ch:"resolution" type:"lc"`
	Judged     bool         `ch:"judged"`
	JudgedAt   Opt[Instant] `ch:"judged_at"` // close, or the session_end that judged it
	JudgedDay  Opt[Day]     `ch:"judged_day"`
	Missed     bool         `ch:"missed"`
	Dropped    bool         `ch:"dropped"`
	Abandoned  bool         `ch:"abandoned"`
	Offered    bool         `ch:"offered"` // assign, transfer, escalate or inbox

	ContactGiven bool `ch:"contact_given"`
	AIDisclosed  bool `ch:"ai_disclosed"` // on one of the bot's replies

	// The sentiment of the first decided customer message, the lowest, that of the latest, and the
	// change from first to latest in steps: −2 to 2.
	SentimentFirst  string    `ch:"sentiment_first" type:"lcnull"`
	SentimentLowest string    `ch:"sentiment_lowest" type:"lcnull"`
	SentimentLast   string    `ch:"sentiment_last" type:"lcnull"`
	SentimentChange Opt[int8] `ch:"sentiment_change"`

	Outcome           string       `ch:"outcome" type:"lc"` // the first that converts, else the first
	OutcomeAt         Opt[Instant] `ch:"outcome_at"`
	OutcomeDay        Opt[Day]     `ch:"outcome_day"`
	MessagesToOutcome Opt[uint32]  `ch:"messages_to_outcome"`
	MessagesToClose   Opt[uint32]  `ch:"messages_to_close"`

	CSATScore      Opt[float64] `ch:"csat_score"` // the last rating
	CSATScale      Opt[float64] `ch:"csat_scale"`
	CSATAt         Opt[Instant] `ch:"csat_at"`
	CSATDay        Opt[Day]     `ch:"csat_day"`
	CSATFirstScore Opt[float64] `ch:"csat_first_score"`
	CSATFirstScale Opt[float64] `ch:"csat_first_scale"`
	CSATAsked      bool         `ch:"csat_asked"`

	HandleMS       Opt[int64]   `ch:"handle_ms"`
	ActiveHandleMS Opt[int64]   `ch:"active_handle_ms"`
	Rubric         Opt[float64] `ch:"rubric"`
	// ContainmentMS is the W of containment for this tenant and channel.
	ContainmentMS int64 `ch:"containment_ms"`

	Voided     string `ch:"voided" type:"lc"` // reason when void, merge or spam took it out
	Gone       bool   `ch:"gone"`
	ReplacedBy string `ch:"replaced_by"`
	Final      bool   `ch:"final"`
	Revision   uint32 `ch:"revision"`
}

// Void is a cycle taken out of the KPIs by void, merge or spam (sign +1), or given back (−1).
type Void struct {
	Source
	Dims
	Cycle
	Time     Instant `ch:"time"`
	VoidDay  Day     `ch:"day"`
	Reason   string  `ch:"reason" type:"lc"`
	Revision uint32  `ch:"revision"`
	Sign     int8    `ch:"sign"`
}

// Escalation is an escalate, a handoff or a forced rule.
type Escalation struct {
	Source
	Dims
	Cycle
	Time           Instant      `ch:"time"`
	EscalatedDay   Day          `ch:"day"`
	SinceOffset    int64        `ch:"since_offset"` // of the event: the escalation's identity
	By             string       `ch:"by" type:"lc"` // customer, agent, bot, system, rule
	FromBot        bool         `ch:"from_bot"`
	Reason         string       `ch:"reason" type:"lc"`
	Intent         string       `ch:"intent" type:"lc"`
	FromQueue      string       `ch:"from_queue" type:"lc"`
	ToQueue        string       `ch:"to_queue" type:"lc"`
	ToTeam         string       `ch:"to_team" type:"lc"`
	ToAgent        string       `ch:"to_agent" type:"lc"`
	OfferedAt      Opt[Instant] `ch:"offered_at"`
	AcceptedAt     Opt[Instant] `ch:"accepted_at"`
	DeclinedAt     Opt[Instant] `ch:"declined_at"`
	HumanReplyAt   Opt[Instant] `ch:"human_reply_at"`
	HumanReplyDay  Opt[Day]     `ch:"human_reply_day"`
	BusinessWaitMS Opt[int64]   `ch:"business_wait_ms"`
	// Pending: an earlier handoff was still unanswered, so this one starts no other wait.
	Pending         bool   `ch:"pending"`
	CalendarVersion string `ch:"calendar_version" type:"lc"`
	Revision        uint32 `ch:"revision"`
	Sign            int8   `ch:"sign"`
}

// Correction is one fact that was corrected.
type Correction struct {
	Source
	Dims
	Cycle
	KPI      string  `ch:"kpi" type:"lc"`
	Reason   string  `ch:"reason" type:"lc"` // type of the event that caused it
	At       Instant `ch:"at"`
	AtDay    Day     `ch:"day"`
	Revision uint32  `ch:"revision"`
}
