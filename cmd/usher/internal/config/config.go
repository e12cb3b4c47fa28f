// Package config is usher's configuration: one typed struct with every key of usher.yaml, filled
// from defaults, the file and the environment, in this order, strictly.
package config

// Config is the whole configuration. Field comments say what a key does; defaults.yaml holds what
// is left out. Every key is also an environment variable: USHER_ and the path in capitals with
// underscores, so kafka.brokers is USHER_KAFKA_BROKERS.
type Config struct {
	Kafka      Kafka      `yaml:"kafka"`
	ClickHouse ClickHouse `yaml:"clickhouse"`
	// Instance names this process in transactional ids; empty: kept in the data directory.
	Instance     string              `yaml:"instance"`
	Sources      []Source            `yaml:"sources"`
	Topics       Topics              `yaml:"topics"`
	Tenants      map[string]Tenant   `yaml:"tenants"`
	Calendars    map[string]Calendar `yaml:"calendars"`
	SLA          []SLA               `yaml:"sla"`
	ServiceLevel ServiceLevel        `yaml:"service_level"`
	Classifier   Classifier          `yaml:"classifier"`
	Rules        Rules               `yaml:"rules"`
	Estimates    Estimates           `yaml:"estimates"`
	Targets      []Target            `yaml:"targets"`
	Privacy      Privacy             `yaml:"privacy"`
	Limits       Limits              `yaml:"limits"`
	State        State               `yaml:"state"`
	// CommitInterval ends a router's transaction at the latest, CommitRecords earlier.
	CommitInterval Duration `yaml:"commit_interval"`
	CommitRecords  int      `yaml:"commit_records"`
	// RestoreTimeout bounds the wait for the changelog to reach the committed offset.
	RestoreTimeout Duration `yaml:"restore_timeout"`
	// FlushInterval closes a range of the sink at the latest.
	FlushInterval Duration `yaml:"flush_interval"`
	Admin         Admin    `yaml:"admin"`
	Log           Log      `yaml:"log"`
}

// Kafka says how to reach the brokers.
type Kafka struct {
	Brokers []string `yaml:"brokers"`
	TLS     TLS      `yaml:"tls"`
	SASL    SASL     `yaml:"sasl"`
}

// TLS is off unless Enabled or a file is named.
type TLS struct {
	Enabled    bool   `yaml:"enabled,omitempty"`
	CAFile     string `yaml:"ca_file,omitempty"`
	CertFile   string `yaml:"cert_file,omitempty"`
	KeyFile    string `yaml:"key_file,omitempty"`
	ServerName string `yaml:"server_name,omitempty"`
}

// On reports whether TLS is wanted.
func (t TLS) On() bool {
	return t.Enabled || t.CAFile != "" || t.CertFile != "" || t.ServerName != ""
}

// SASL is off unless a mechanism is named.
type SASL struct {
	Mechanism    string `yaml:"mechanism,omitempty"` // plain, scram-sha-256, scram-sha-512
	User         string `yaml:"user,omitempty"`
	PasswordFile string `yaml:"password_file,omitempty"`
	Password     Secret `yaml:"password,omitempty"`
}

// ClickHouse says how to reach the store, over HTTP.
type ClickHouse struct {
	Addr         string `yaml:"addr"`
	Database     string `yaml:"database"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	Password     Secret `yaml:"password,omitempty"`
	TLS          TLS    `yaml:"tls"`
}

// Source is one input topic.
type Source struct {
	Topic       string                       `yaml:"topic"`
	Format      string                       `yaml:"format"` // usher, cloudevents, map
	Map         map[string]string            `yaml:"map,omitempty"`
	Values      map[string]map[string]string `yaml:"values,omitempty"`
	Defaults    map[string]string            `yaml:"defaults,omitempty"`
	ApplyRules  string                       `yaml:"apply_rules,omitempty"` // true, false, shadow
	Partitioner string                       `yaml:"partitioner,omitempty"` // murmur2, crc32, any
}

// Topics names and makes the topics.
type Topics struct {
	Prefix string            `yaml:"prefix"`
	Create bool              `yaml:"create"`
	Names  map[string]string `yaml:"names"`
}

// Tenant is what differs from tenant to tenant; what it leaves out is `default`'s.
type Tenant struct {
	Zone        string               `yaml:"zone,omitempty"`
	Calendar    string               `yaml:"calendar,omitempty"`
	Roles       []string             `yaml:"roles,omitempty"`
	Containment map[string]Duration  `yaml:"containment,omitempty"`
	IdleCap     Duration             `yaml:"idle_cap,omitempty"`
	Auto        *bool                `yaml:"auto,omitempty"`
	Labels      map[string]Threshold `yaml:"labels,omitempty"`
}

// Calendar holds working hours: a day or a run of days (mon, mon-fri) with a list of HH:MM-HH:MM,
// a date (2026-12-24) with hours of its own, and `closed` with a list of dates.
type Calendar map[string][]string

// SLA is one policy; the first whose `when` fits applies.
type SLA struct {
	Name          string              `yaml:"name"`
	When          map[string][]string `yaml:"when,omitempty"`
	FirstReply    Duration            `yaml:"first_reply,omitempty"`
	NextReply     Duration            `yaml:"next_reply,omitempty"`
	RequesterWait Duration            `yaml:"requester_wait,omitempty"`
	TimeToClose   Duration            `yaml:"time_to_close,omitempty"`
	DueSoon       float64             `yaml:"due_soon,omitempty"`
	Clock         string              `yaml:"clock,omitempty"` // wall, business
}

// ServiceLevel sets the Y of "answered within Y".
type ServiceLevel struct {
	Within       []Duration `yaml:"within"`
	ShortAbandon Duration   `yaml:"short_abandon"`
}

// Classifier says which models score and when a score counts.
type Classifier struct {
	Auto       bool       `yaml:"auto"`
	Models     []Model    `yaml:"models"`
	Thresholds Thresholds `yaml:"thresholds"`
}

// Model is one head. With no models the one in the binary serves.
type Model struct {
	Name string `yaml:"name"`
	File string `yaml:"file"`
	Mode string `yaml:"mode"` // live, shadow, unproven
}

// Thresholds are the cut-offs of CONTRACT section 3.
type Thresholds struct {
	AutoAt         float64                  `yaml:"auto_at"`
	SuggestAt      float64                  `yaml:"suggest_at"`
	MinMargin      float64                  `yaml:"min_margin"`
	SuggestFloor   float64                  `yaml:"suggest_floor"`
	MaxSuggestions int                      `yaml:"max_suggestions"`
	Labels         map[string]Threshold     `yaml:"labels"`
	Langs          map[string]LangThreshold `yaml:"langs"`
}

// Threshold overrides the cut-offs of one label or language; nil leaves one as it is.
type Threshold struct {
	Auto      *bool    `yaml:"auto,omitempty"`
	AutoAt    *float64 `yaml:"auto_at,omitempty"`
	SuggestAt *float64 `yaml:"suggest_at,omitempty"`
	MinMargin *float64 `yaml:"min_margin,omitempty"`
	MinScope  *float64 `yaml:"min_scope,omitempty"`
}

// LangThreshold overrides the cut-offs of one language, and there of single labels.
type LangThreshold struct {
	Auto      *bool                `yaml:"auto,omitempty"`
	AutoAt    *float64             `yaml:"auto_at,omitempty"`
	SuggestAt *float64             `yaml:"suggest_at,omitempty"`
	MinMargin *float64             `yaml:"min_margin,omitempty"`
	MinScope  *float64             `yaml:"min_scope,omitempty"`
	Labels    map[string]Threshold `yaml:"labels,omitempty"`
}

// All is what holds for every label of the language.
func (l LangThreshold) All() Threshold {
	return Threshold{l.Auto, l.AutoAt, l.SuggestAt, l.MinMargin, l.MinScope}
}

// Rules names the rule file; empty: no rules.
type Rules struct {
	File string `yaml:"file"`
}

// Estimates are the figures behind `savings` and `triage_minutes`; without them there are none.
type Estimates struct {
	CostPerContact *Money   `yaml:"cost_per_contact,omitempty"`
	TriageMinutes  *float64 `yaml:"triage_minutes,omitempty"`
}

// Target is what a KPI should reach over its last days: a value, or a change of its baseline.
type Target struct {
	KPI      string            `yaml:"kpi"`
	Stat     string            `yaml:"stat,omitempty"` // p50, p90, mean; rate
	When     map[string]string `yaml:"when,omitempty"` // one dimension
	Baseline *Amount           `yaml:"baseline,omitempty"`
	Target   *Amount           `yaml:"target,omitempty"`
	Change   *Amount           `yaml:"change,omitempty"` // +15 %: a share of the baseline
	Over     Duration          `yaml:"over,omitempty"`
}

// Money is an amount in one currency.
type Money struct {
	Value    float64 `yaml:"value"`
	Currency string  `yaml:"currency"`
}

// Privacy says what may leave the process.
type Privacy struct {
	KeyFile         string `yaml:"key_file"`
	Key             Secret `yaml:"key,omitempty"`
	StoreText       bool   `yaml:"store_text"`
	ConversationIDs string `yaml:"conversation_ids"` // auto, keep, pseudonym
}

// Limits bound a record.
type Limits struct {
	RecordBytes Bytes `yaml:"record_bytes"`
	TextBytes   Bytes `yaml:"text_bytes"`
	Depth       int   `yaml:"depth"`
}

// State says how long and where conversations are kept; neither changes a KPI but Keep.
type State struct {
	Keep     Duration `yaml:"keep"`
	HotBytes Bytes    `yaml:"hot_bytes"`
	ColdDir  string   `yaml:"cold_dir"`
}

// Admin is the HTTP side: metrics, health, preview. Beyond loopback it needs a token.
type Admin struct {
	Addr      string `yaml:"addr"`
	TokenFile string `yaml:"token_file"`
	Token     Secret `yaml:"token,omitempty"`
}

// Log shapes the log on standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// Tenant returns the settings of a tenant, completed from `default`.
func (c *Config) Tenant(name string) Tenant {
	t, base := c.Tenants[name], c.Tenants["default"]
	if t.Zone == "" {
		t.Zone = base.Zone
	}
	if t.Calendar == "" {
		t.Calendar = base.Calendar
	}
	if t.Roles == nil {
		t.Roles = base.Roles
	}
	if t.Containment == nil {
		t.Containment = base.Containment
	}
	if t.IdleCap == 0 {
		t.IdleCap = base.IdleCap
	}
	if t.Auto == nil {
		t.Auto = base.Auto
	}
	if t.Labels == nil {
		t.Labels = base.Labels
	}
	return t
}

// Topic returns the name in use of one of usher's topics: its entry under topics.names, else the
// prefix and the standard name.
func (c *Config) Topic(standard string) string {
	if name, ok := c.Topics.Names[standard]; ok {
		return name
	}
	return c.Topics.Prefix + standard
}

// SourceTopic returns the name in use of an input topic; the standard events topic follows
// topics.names and topics.prefix, any other name is taken as it stands.
func (c *Config) SourceTopic(s *Source) string {
	if s.Topic == EventsTopic {
		return c.Topic(EventsTopic)
	}
	return s.Topic
}

// The topics of CONTRACT section 1.
const (
	EventsTopic      = "chat.events.v1"
	DecisionsTopic   = "chat.decisions.v1"
	SLATopic         = "chat.sla.v1"
	DeadLettersTopic = "chat.deadletters.v1"
	RowsTopic        = "usher.rows.v1"
	StateTopic       = "usher.state.v1"
)
