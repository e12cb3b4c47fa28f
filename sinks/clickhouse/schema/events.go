package schema

// Flags of Event.Flags: what was known of the event on arrival.
const (
	FlagLate        = "late"
	FlagDuplicate   = "duplicate"
	FlagMisplaced   = "misplaced"
	FlagTruncated   = "truncated"
	FlagClockSkew   = "clock_skew"
	FlagClockAhead  = "clock_ahead"
	FlagUnknownType = "unknown_type"
	FlagRetired     = "retired"
)

// Event is one input record that parses.
type Event struct {
	Source
	Dims
	Cycle
	ID         string     `ch:"id"`
	Type       string     `ch:"type" type:"lc"`
	Time       Instant    `ch:"time"`
	Seq        Opt[int64] `ch:"seq"`
	ReceivedAt Instant    `ch:"received_at"`
	// EventDay is the day of Time in the tenant's zone.
	EventDay    Day       `ch:"day"`
	Modality    string    `ch:"modality" type:"lc"`
	ActorKind   string    `ch:"actor_kind" type:"lc"`
	ActorID     string    `ch:"actor_id"` // a customer's is a pseudonym
	ActorTeam   string    `ch:"actor_team" type:"lc"`
	ActorRole   string    `ch:"actor_role" type:"lc"`
	AIDisclosed Opt[bool] `ch:"ai_disclosed"`
	Attrs       []Pair    `ch:"attrs"`
	Flags       []string  `ch:"flags"`

	Text       string       `ch:"text"`     // empty unless privacy.store_text is on
	TextLen    uint32       `ch:"text_len"` // bytes
	TextHash   string       `ch:"text_hash"`
	Public     Opt[bool]    `ch:"public"` // NULL where the event has no message object
	Automated  bool         `ch:"automated"`
	Echo       bool         `ch:"echo"`
	TemplateID string       `ch:"template_id"`
	Media      string       `ch:"media"`
	Intent     string       `ch:"intent" type:"lc"`
	Confidence Opt[float64] `ch:"confidence"`
	KBIDs      []string     `ch:"kb_ids"`
	Fallback   bool         `ch:"fallback"`
	Greeting   bool         `ch:"greeting"`

	InitiatedBy string       `ch:"initiated_by" type:"lc"`
	Resolution  string       `ch:"resolution" type:"lc"`
	Status      string       `ch:"status" type:"lc"` // status.to
	StatusUntil Opt[Instant] `ch:"status_until"`

	ToAgent       string `ch:"to_agent" type:"lc"`
	ToTeam        string `ch:"to_team" type:"lc"`
	ToRole        string `ch:"to_role" type:"lc"`
	ToQueue       string `ch:"to_queue" type:"lc"`
	FromAgent     string `ch:"from_agent" type:"lc"`
	FromTeam      string `ch:"from_team" type:"lc"`
	FromRole      string `ch:"from_role" type:"lc"`
	FromQueue     string `ch:"from_queue" type:"lc"`
	MovedBy       string `ch:"moved_by" type:"lc"`       // assign.by, transfer.by
	EscalateQueue string `ch:"escalate_queue" type:"lc"` // escalate.queue
	Reason        string `ch:"reason" type:"lc"`

	Kinds  []string `ch:"kinds"`
	Target string   `ch:"target"`

	CSATScore Opt[float64] `ch:"csat_score"`
	CSATScale Opt[float64] `ch:"csat_scale"`
	CSATAsked Opt[bool]    `ch:"csat_asked"`

	OutcomeKind     string       `ch:"outcome_kind" type:"lc"`
	OutcomeValue    Opt[float64] `ch:"outcome_value"`
	OutcomeCurrency string       `ch:"outcome_currency" type:"lc"`

	DecisionID string `ch:"decision_id"`
	Verdict    string `ch:"verdict" type:"lc"`
	TrueLabel  string `ch:"true_label" type:"lc"`
	Head       string `ch:"head" type:"lc"`
	GivenLabel string `ch:"given_label" type:"lc"` // label.label
	Annotator  string `ch:"annotator" type:"lc"`

	AgentStatus    string     `ch:"agent_status" type:"lc"`
	Capacity       Opt[int64] `ch:"capacity"`
	ToConversation string     `ch:"to_conversation"`
}

// Decision is CONTRACT section 3, flat. Strings that were not computed are NULL.
type Decision struct {
	Source
	Dims // Label and Variant: as Label below and ModelVariant, "" when NULL there
	Cycle
	ID               string  `ch:"id"`
	Time             Instant `ch:"time"`
	TriggerEventID   string  `ch:"trigger_event_id"`
	TriggerTopic     string  `ch:"trigger_topic" type:"lc"`
	TriggerPartition int32   `ch:"trigger_partition"`
	TriggerOffset    int64   `ch:"trigger_offset"`

	ModelName     string `ch:"model_name" type:"lcnull"`
	ModelVersion  string `ch:"model_version" type:"lcnull"`
	ModelChecksum string `ch:"model_checksum" type:"lcnull"`
	ModelVariant  string `ch:"model_variant" type:"lcnull"`
	ModelMode     string `ch:"model_mode" type:"lcnull"`

	Score             Opt[float64] `ch:"score"`
	Margin            Opt[float64] `ch:"margin"`
	Scope             Opt[float64] `ch:"scope"`
	Band              string       `ch:"band" type:"lc"`
	BandReason        string       `ch:"band_reason" type:"lcnull"`
	ThresholdsSuggest Opt[float64] `ch:"thresholds_suggest"`
	ThresholdsAuto    Opt[float64] `ch:"thresholds_auto"`

	SuggestionsKind  []string  `ch:"suggestions_kind"`
	SuggestionsID    []string  `ch:"suggestions_id"`
	SuggestionsScore []float64 `ch:"suggestions_score"`

	SentimentLabel string       `ch:"sentiment_label" type:"lcnull"`
	SentimentScore Opt[float64] `ch:"sentiment_score"`
	UrgencyLabel   string       `ch:"urgency_label" type:"lcnull"`
	UrgencyScore   Opt[float64] `ch:"urgency_score"`
	Escalate       bool         `ch:"escalate"`
	Priority       string       `ch:"priority" type:"lcnull"`

	RuleID       string `ch:"rule_id" type:"lcnull"`
	RuleSet      string `ch:"rule_set" type:"lcnull"`
	RouteQueue   string `ch:"route_queue" type:"lcnull"`
	RouteRole    string `ch:"route_role" type:"lcnull"`
	RouteAgent   string `ch:"route_agent" type:"lcnull"`
	RouteService string `ch:"route_service" type:"lcnull"`
	RouteScript  string `ch:"route_script" type:"lcnull"`

	RecommendedAction string       `ch:"recommended_action" type:"lcnull"`
	Actions           []string     `ch:"actions"`
	SLAPolicy         string       `ch:"sla_policy" type:"lcnull"`
	SLAFirstReplyDue  Opt[Instant] `ch:"sla_first_reply_due"`

	FeaturesTurn          Opt[uint32]  `ch:"features_turn"`
	FeaturesWaitingMS     Opt[int64]   `ch:"features_waiting_ms"`
	FeaturesBusinessHours Opt[bool]    `ch:"features_business_hours"`
	FeaturesPrevLabel     string       `ch:"features_prev_label" type:"lcnull"`
	FeaturesBotFailed     Opt[bool]    `ch:"features_bot_failed"`
	FeaturesRepeats       Opt[uint32]  `ch:"features_repeats"`
	FeaturesKnownShare    Opt[float64] `ch:"features_known_share"`

	EmittedAt Instant `ch:"emitted_at"`
	LatencyUS int64   `ch:"latency_us"`
	// Acted: the decision was executed (an auto decision in live mode, not late).
	Acted bool `ch:"acted"`
	// Day is the day of Time in the tenant's zone.
	DecidedDay Day `ch:"day"`
}

// LabelRow is a label or feedback event.
type LabelRow struct {
	Source
	Dims
	Cycle
	Time       Instant `ch:"time"`
	LabeledDay Day     `ch:"day"`
	Type       string  `ch:"type" type:"lc"` // label, feedback
	Target     string  `ch:"target"`
	DecisionID string  `ch:"decision_id"`
	Head       string  `ch:"head" type:"lc"`
	Given      string  `ch:"given_label" type:"lc"` // what the annotator or the feedback says
	Predicted  string  `ch:"predicted" type:"lcnull"`
	Verdict    string  `ch:"verdict" type:"lc"`
	Annotator  string  `ch:"annotator" type:"lc"`
}
