package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// validate checks values whose types are right.
func (c *Config) validate(k *checker) {
	c.validateAddresses(k)
	c.validateSources(k)
	c.validateTenants(k)
	for name, calendar := range c.Calendars {
		calendar.validate(k, "calendars."+name)
	}
	c.validateSLA(k)
	c.validateClassifier(k)
	c.validateTargets(k)
	oneOf(k, "privacy.conversation_ids", c.Privacy.ConversationIDs, "auto", "keep", "pseudonym")
	oneOf(k, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(k, "log.format", c.Log.Format, "text", "json")
	c.validateLimits(k)
}

func oneOf(k *checker, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.add(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func within(k *checker, path string, v, low, high float64) {
	if !(v >= low && v <= high) {
		k.add(path, "%v must lie between %v and %v", v, low, high)
	}
}

func positive(k *checker, path string, d Duration) {
	if d <= 0 {
		k.add(path, "%s must be longer than 0", d)
	}
}

func address(k *checker, path, addr string) {
	host, port, err := net.SplitHostPort(addr)
	n, errPort := strconv.Atoi(port)
	if err != nil || errPort != nil || n < 0 || n > 65535 || strings.Contains(host, "/") {
		k.add(path, "%q is no address: write host:port, as in localhost:9092", addr)
	}
}

func (c *Config) validateAddresses(k *checker) {
	if len(c.Kafka.Brokers) == 0 {
		k.add("kafka.brokers", "must name at least one broker")
	}
	for i, broker := range c.Kafka.Brokers {
		address(k, fmt.Sprintf("kafka.brokers[%d]", i), broker)
	}
	oneOf(k, "kafka.sasl.mechanism", strings.ToLower(c.Kafka.SASL.Mechanism),
		"", "plain", "scram-sha-256", "scram-sha-512")
	if c.Kafka.SASL.Mechanism != "" && c.Kafka.SASL.User == "" {
		k.add("kafka.sasl.user", "is needed with a mechanism")
	}
	for path, t := range map[string]TLS{"kafka.tls": c.Kafka.TLS, "clickhouse.tls": c.ClickHouse.TLS} {
		if (t.CertFile == "") != (t.KeyFile == "") {
			k.add(path, "cert_file and key_file go together")
		}
	}
	address(k, "clickhouse.addr", c.ClickHouse.Addr)
	if !identifier(c.ClickHouse.Database) {
		k.add("clickhouse.database", "%q must be letters, digits and _, not begin with a digit",
			c.ClickHouse.Database)
	}
	address(k, "admin.addr", c.Admin.Addr)
	host, _, _ := net.SplitHostPort(c.Admin.Addr)
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	if !loopback && c.Admin.TokenFile == "" && !c.Admin.Token.IsSet() {
		k.add("admin.addr", "%q is not loopback and needs admin.token_file", c.Admin.Addr)
	}
	if strings.Trim(c.Instance, alphanumeric+"._-") != "" {
		k.add("instance", "%q may hold letters, digits, '.', '_' and '-'", c.Instance)
	}
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func identifier(s string) bool {
	return s != "" && strings.Trim(s, alphanumeric+"_") == "" && (s[0] < '0' || s[0] > '9')
}

// topicName follows Kafka's rule for legal names.
func topicName(k *checker, path, name string) {
	if name == "" || len(name) > 249 || name == "." || name == ".." ||
		strings.Trim(name, alphanumeric+"._-") != "" {
		k.add(path, "%q is no topic name: letters, digits, '.', '_', '-', at most 249", name)
	}
}

func (c *Config) validateSources(k *checker) {
	if len(c.Sources) == 0 {
		k.add("sources", "must name at least one topic")
	}
	seen := map[string]bool{}
	for i, s := range c.Sources {
		path := fmt.Sprintf("sources[%d]", i)
		topicName(k, path+".topic", s.Topic)
		if seen[s.Topic] {
			k.add(path+".topic", "%q is listed twice", s.Topic)
		}
		seen[s.Topic] = true
		oneOf(k, path+".format", s.Format, "usher", "cloudevents", "map")
		oneOf(k, path+".apply_rules", s.ApplyRules, "true", "false", "shadow")
		oneOf(k, path+".partitioner", s.Partitioner, "murmur2", "crc32", "any")
		if s.Format != "map" && len(s.Map)+len(s.Values)+len(s.Defaults) > 0 {
			k.add(path, "map, values and defaults need format: map")
		}
	}
	if c.Topics.Prefix != "" {
		topicName(k, "topics.prefix", c.Topics.Prefix)
	}
	standard := []string{EventsTopic, DecisionsTopic, SLATopic, DeadLettersTopic, RowsTopic, StateTopic}
	for from, to := range c.Topics.Names {
		path := "topics.names." + from
		if !slices.Contains(standard, from) && !strings.HasPrefix(from, StateTopic+".") {
			k.add(path, "is no topic of usher's; there are %s", strings.Join(standard, ", "))
		}
		topicName(k, path, to)
	}
}

func (c *Config) validateTenants(k *checker) {
	for name, t := range c.Tenants {
		path := "tenants." + name
		if len(name) > 128 {
			k.add(path, "a tenant's name has at most 128 bytes")
		}
		if _, err := time.LoadLocation(t.Zone); err != nil || t.Zone == "Local" {
			k.add(path+".zone", "%q is no time zone: write a name of the IANA list, as in Europe/Riga",
				t.Zone)
		}
		if _, ok := c.Calendars[t.Calendar]; !ok && t.Calendar != "" {
			k.add(path+".calendar", "there is no %q under calendars", t.Calendar)
		}
		for channel, d := range t.Containment {
			positive(k, path+".containment."+channel, d)
		}
		if t.IdleCap < 0 {
			positive(k, path+".idle_cap", t.IdleCap)
		}
		thresholdsOf(k, path+".labels", t.Labels)
	}
}

func thresholdsOf(k *checker, path string, m map[string]Threshold) {
	for name, t := range m {
		for key, v := range map[string]*float64{
			"auto_at": t.AutoAt, "suggest_at": t.SuggestAt, "min_margin": t.MinMargin,
			"min_scope": t.MinScope,
		} {
			if v != nil {
				within(k, path+"."+name+"."+key, *v, 0, 1)
			}
		}
	}
}

func (c *Config) validateSLA(k *checker) {
	names := map[string]bool{}
	for i, s := range c.SLA {
		path := fmt.Sprintf("sla[%d]", i)
		if s.Name == "" || names[s.Name] {
			k.add(path+".name", "must be there and differ from the others")
		}
		names[s.Name] = true
		within(k, path+".due_soon", s.DueSoon, 0, 1)
		oneOf(k, path+".clock", s.Clock, "wall", "business")
		for key, d := range map[string]Duration{"first_reply": s.FirstReply,
			"next_reply": s.NextReply, "requester_wait": s.RequesterWait,
			"time_to_close": s.TimeToClose} {
			if d < 0 {
				positive(k, path+"."+key, d)
			}
		}
	}
	for i, d := range c.ServiceLevel.Within {
		positive(k, fmt.Sprintf("service_level.within[%d]", i), d)
	}
	if c.ServiceLevel.ShortAbandon < 0 {
		k.add("service_level.short_abandon", "must not be negative")
	}
}

// validateTargets checks what needs no knowledge of KPIs.
func (c *Config) validateTargets(k *checker) {
	seen := map[string]bool{}
	for i, t := range c.Targets {
		path := fmt.Sprintf("targets[%d]", i)
		if (t.Target == nil) == (t.Change == nil) {
			k.add(path, "has either a target or a change of its baseline")
		}
		if len(t.When) > 1 {
			k.add(path+".when", "names one dimension")
		}
		if day := Duration(24 * time.Hour); t.Over < 0 || t.Over%day != 0 {
			k.add(path+".over", "%s is no number of whole days", t.Over)
		}
		key := fmt.Sprint(t.KPI, t.Stat, t.When)
		if seen[key] {
			k.add(path, "is set twice")
		}
		seen[key] = true
	}
}

func (c *Config) validateClassifier(k *checker) {
	for i, m := range c.Classifier.Models {
		path := fmt.Sprintf("classifier.models[%d]", i)
		if m.Name == "" {
			k.add(path+".name", "must be there")
		}
		if m.File == "" {
			k.add(path+".file", "must name a model that `usher train` wrote")
		}
		oneOf(k, path+".mode", m.Mode, "live", "shadow", "unproven")
	}
	t := c.Classifier.Thresholds
	within(k, "classifier.thresholds.auto_at", t.AutoAt, 0, 1)
	within(k, "classifier.thresholds.suggest_at", t.SuggestAt, 0, 1)
	within(k, "classifier.thresholds.min_margin", t.MinMargin, 0, 1)
	within(k, "classifier.thresholds.suggest_floor", t.SuggestFloor, 0, 1)
	within(k, "classifier.thresholds.max_suggestions", float64(t.MaxSuggestions), 0, 100)
	if t.SuggestAt > t.AutoAt {
		k.add("classifier.thresholds.suggest_at", "%v must not exceed auto_at (%v)",
			t.SuggestAt, t.AutoAt)
	}
	thresholdsOf(k, "classifier.thresholds.labels", t.Labels)
	for lang, l := range t.Langs {
		path := "classifier.thresholds.langs"
		thresholdsOf(k, path, map[string]Threshold{lang: l.All()})
		thresholdsOf(k, path+"."+lang+".labels", l.Labels)
	}
	if m := c.Estimates.CostPerContact; m != nil && len(m.Currency) != 3 {
		k.add("estimates.cost_per_contact.currency", "%q is no ISO 4217 code, as in EUR", m.Currency)
	}
}

func (c *Config) validateLimits(k *checker) {
	within(k, "limits.record_bytes", float64(c.Limits.RecordBytes), 1024, 1<<20)
	within(k, "limits.text_bytes", float64(c.Limits.TextBytes), 0, float64(c.Limits.RecordBytes))
	within(k, "limits.depth", float64(c.Limits.Depth), 2, 64)
	positive(k, "state.keep", c.State.Keep)
	within(k, "state.hot_bytes", float64(c.State.HotBytes), 1<<20, 1<<50)
	positive(k, "commit_interval", c.CommitInterval)
	positive(k, "restore_timeout", c.RestoreTimeout)
	positive(k, "flush_interval", c.FlushInterval)
	within(k, "commit_records", float64(c.CommitRecords), 1, 1e6)
}
