package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// load reads a configuration from text and variables.
func load(t *testing.T, text string, environ ...string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Options{File: file, Environ: environ})
}

// contractYAML is the block of the contract, word for word but for its comment.
const contractYAML = `
kafka: {brokers: ["localhost:9092"], tls: {}, sasl: {}}        # embedded commands need neither
clickhouse: {addr: "localhost:8123", database: usher, user: usher, password_file: secrets/clickhouse}
instance: router-1
sources: [{topic: chat.events.v1, format: usher}]
topics: {prefix: "", create: false, names: {}}               # names: {chat.decisions.v1: other}
tenants:
  default: {zone: UTC, roles: [consultant, senior, manager], containment: {default: 24h, email: 72h}, idle_cap: 5m}
  salon7: {zone: Europe/Riga, calendar: salon, labels: {deal: {auto_at: 0.95}}}
calendars:
  salon: {mon-fri: ["10:00-14:00", "15:00-20:00"], sat: ["11:00-18:00"], closed: ["2026-12-25"]}
sla: [{name: chat, when: {channel: [web, whatsapp]}, first_reply: 3m, next_reply: 10m, requester_wait: 2h, time_to_close: 24h, due_soon: 0.8, clock: business}]
service_level: {within: [3m, 15m], short_abandon: 10s}
classifier:
  auto: true
  models: [{name: intent, file: models/intent.usher, mode: live}]
  thresholds: {auto_at: 0.90, suggest_at: 0.50, min_margin: 0, suggest_floor: 0.02, max_suggestions: 3, labels: {}, langs: {}}
rules: {file: rules.yaml}
estimates: {cost_per_contact: {value: 3.5, currency: EUR}, triage_minutes: 2}
privacy: {key_file: secrets/usher-key, store_text: false, conversation_ids: auto}
limits: {record_bytes: 1048576, text_bytes: 65536, depth: 64}
state: {keep: 400d, hot_bytes: 4GiB, cold_dir: data/cold}
commit_interval: 100ms
commit_records: 5000
restore_timeout: 60s
flush_interval: 1s
admin: {addr: "127.0.0.1:9464", token_file: ""}
log: {level: info, format: text}
`

func TestContractBlockLoads(t *testing.T) {
	c, err := load(t, contractYAML)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Tenant("salon7"); got.Zone != "Europe/Riga" || *got.Labels["deal"].AutoAt != 0.95 ||
		got.IdleCap.Std() != 5*time.Minute || got.Containment["email"].Std() != 72*time.Hour {
		t.Errorf("tenant salon7 = %+v", got)
	}
	if c.State.Keep.Std() != 400*24*time.Hour || c.State.HotBytes != 4<<30 {
		t.Errorf("state = %+v", c.State)
	}
	week, closed, err := c.Calendars["salon"].Parse()
	want := [7][]Hours{5: {{660, 1080}}}
	for day := range 5 {
		want[day] = []Hours{{600, 840}, {900, 1200}}
	}
	if diff := cmp.Diff(want, week); diff != "" || err != nil || len(closed) != 1 {
		t.Errorf("calendar: %s %v %v", diff, closed, err)
	}
}

func TestDatesThatDiffer(t *testing.T) {
	c, err := load(t, `calendars: {c: {mon-fri: ["09:00-17:00"], closed: ["2026-12-25"],
  "2026-12-24": ["10:00-13:00", "09:00-09:30"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Hours{"2026-12-25": nil, "2026-12-24": {{540, 570}, {600, 780}}}
	if diff := cmp.Diff(want, c.Calendars["c"].Dates()); diff != "" {
		t.Error(diff)
	}
	for text, say := range map[string]string{
		`calendars: {c: {"2026-12-24": ["13:00-10:00"]}}`:                         "no span of hours",
		`calendars: {c: {"2026-12-24": ["10:00-13:00"], closed: ["2026-12-24"]}}`: "is also closed",
		`calendars: {c: {"2026-02-30": ["10:00-13:00"]}}`:                         "is neither a day",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestEveryContractKeyPrints(t *testing.T) {
	c, err := load(t, contractYAML)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := load(t, string(text))
	if err != nil {
		t.Fatalf("what is printed does not load: %v\n%s", err, text)
	}
	secrets := cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(c, again, secrets); diff != "" {
		t.Errorf("print and load: %s", diff)
	}
	var want, got map[string]any
	if err := yaml.Unmarshal([]byte(contractYAML), &want); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for key := range want {
		if _, ok := got[key]; !ok {
			t.Errorf("key %s is not printed", key)
		}
	}
}

// The page for users shows the defaults: what it says is what holds.
func TestDocumentedDefaults(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(page), "```yaml\n")
	block, _, ok2 := strings.Cut(block, "```")
	if !ok || !ok2 {
		t.Fatal("docs/configuration.md has no block of YAML")
	}
	c, err := load(t, block)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c, cmp.Comparer(func(a, b Secret) bool { return a == b })); diff != "" {
		t.Errorf("the page differs from the defaults: %s", diff)
	}
	for _, f := range fields(reflect.TypeFor[Config]()) {
		if !strings.Contains(block, "\n"+f.key+":") && !strings.HasPrefix(block, f.key+":") {
			t.Errorf("%s is not on the page", f.key)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := "flush_interval: 3s\ncommit_records: 7\ntenants: {default: {zone: Europe/Riga}}\n"
	c, err := load(t, file, "USHER_COMMIT_RECORDS=9", "USHER_KAFKA_BROKERS=a:1, b:2",
		"USHER_TENANTS_SALON7_ZONE=Asia/Tokyo", "USHER_CLASSIFIER_THRESHOLDS={auto_at: 0.8}",
		"USHER_TOPICS_NAMES={chat.decisions.v1: other}", "USHER_CLASSIFIER_AUTO=off",
		"USHER_LOG_LEVEL=", "USHER_SERVICE_HOST=10.0.0.1", "USHER_PORT=tcp://10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"the default stands":         c.RestoreTimeout.Std() == time.Minute,
		"the file beats the default": c.FlushInterval.Std() == 3*time.Second,
		"a variable beats the file":  c.CommitRecords == 9,
		"lists by comma":             cmp.Equal(c.Kafka.Brokers, []string{"a:1", "b:2"}),
		"an entry by its name":       c.Tenants["salon7"].Zone == "Asia/Tokyo",
		"a section merges":           c.Classifier.Thresholds.AutoAt == 0.8 && c.Classifier.Thresholds.SuggestAt == 0.5,
		"a key with dots":            c.Topic(DecisionsTopic) == "other" && c.Topic(RowsTopic) == RowsTopic,
		"off is false":               !c.Classifier.Auto,
		"an empty one is unset":      c.Log.Level == "info",
		"the file merges in depth":   c.Tenants["default"].Zone == "Europe/Riga" && len(c.Tenants["default"].Roles) == 3,
	} {
		if !ok {
			t.Errorf("not so: %s", name)
		}
	}
}

func TestEveryVariableResolves(t *testing.T) {
	for _, v := range Variables() {
		path, _, ok := resolve(reflect.TypeFor[Config](), strings.TrimPrefix(v[0], EnvPrefix))
		if !ok || strings.Join(path, ".") != v[1] {
			t.Errorf("%s stands for %v, want %s", v[0], path, v[1])
		}
	}
	if len(Variables()) < 60 {
		t.Errorf("only %d variables", len(Variables()))
	}
}

func TestWrongConfigurations(t *testing.T) {
	fails := func(text, want string, environ ...string) {
		t.Helper()
		_, err := load(t, text, environ...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %v:\n got %v\nwant …%s…", text, environ, err, want)
		}
	}
	fails("kafka: {brokrs: [a:1]}", "usher.yaml:1: kafka.brokrs: is no key of usher's; did you mean kafka.brokers?")
	fails("log: {level: info}\nbrokers: [a:1]", "usher.yaml:2: brokers: is no key of usher's; did you mean kafka.brokers?")
	fails("comit_interval: 1s", "did you mean commit_interval?")
	fails("xyzzyplugh: 1", "here stand kafka, clickhouse")
	fails("commit_records: 1\ncommit_records: 2", "usher.yaml:2: commit_records: is set twice")
	fails("a: [1", "no YAML")
	fails("- a", "must be a mapping")
	fails("commit_records: many", `usher.yaml:1: commit_records: "many" is not a whole number`)
	fails("commit_records: [1]", "commit_records: must be a whole number")
	fails("commit_records: 0", "commit_records: 0 must lie between 1 and")
	fails("flush_interval: 5", `flush_interval: "5" is no duration: write a number and a unit`)
	fails("flush_interval: 0s", "flush_interval: 0s must be longer than 0")
	fails("state: {hot_bytes: 4 gigs}", `state.hot_bytes: "4 gigs" is no size`)
	fails("tenants: {salon7: {zone: Europe/Rigga}}", `tenants.salon7.zone: "Europe/Rigga" is no time zone`)
	fails("tenants: {salon7: {calendar: salon}}", `there is no "salon" under calendars`)
	fails("calendars: {c: {mon-fry: [\"10:00-11:00\"]}}", "calendars.c.mon-fry: is neither a day")
	fails("calendars: {c: {mon: [\"10:00-25:00\"]}}", "no span of hours")
	fails("calendars: {c: {mon: [\"10:00-12:00\", \"11:00-13:00\"]}}", "overlap")
	fails("calendars: {c: {mon-wed: [\"10:00-12:00\"], tue: []}}", "tue is set twice")
	fails("calendars: {c: {closed: [2026-13-01]}}", "no date")
	fails("classifier: {thresholds: {auto_at: 1.5}}", "classifier.thresholds.auto_at: 1.5 must lie between 0 and 1")
	fails("classifier: {thresholds: {suggest_at: 0.95}}", "must not exceed auto_at")
	fails("classifier: {thresholds: {labels: {deal: {auto_at: -1}}}}", "classifier.thresholds.labels.deal.auto_at: -1")
	fails("sources: []", "sources: must name at least one topic")
	fails("sources: [{topic: a b}]", `sources[0].topic: "a b" is no topic name`)
	fails("sources: [{topic: a}, {topic: a}]", "listed twice")
	fails("sources: [{topic: a, format: xml}]", `sources[0].format: "xml" is not one of usher, cloudevents, map`)
	fails("topics: {names: {chat.event.v1: x}}", "topics.names.chat.event.v1: is no topic of usher's")
	fails("kafka: {brokers: [localhost]}", `kafka.brokers[0]: "localhost" is no address`)
	fails("kafka: {sasl: {mechanism: gssapi}}", "kafka.sasl.mechanism")
	fails("clickhouse: {database: a-b}", "clickhouse.database")
	fails("clickhouse: {password: hunter2}", "a secret does not belong into the file; name a file in clickhouse.password_file or set USHER_CLICKHOUSE_PASSWORD")
	fails("privacy: {key: hunter2}", "USHER_PRIVACY_KEY")
	fails("admin: {addr: \"0.0.0.0:9464\"}", "is not loopback and needs admin.token_file")
	fails("privacy: {conversation_ids: maybe}", "not one of auto, keep, pseudonym")
	fails("", "USHER_KAFKA_BROKRES: is no setting of usher's; did you mean USHER_KAFKA_BROKERS?", "USHER_KAFKA_BROKRES=a:1")
	fails("", `USHER_COMMIT_RECORDS: commit_records: "x" is not a whole number`, "USHER_COMMIT_RECORDS=x")
	fails("", "kafka.tls.cafile: is no key", "USHER_KAFKA_TLS={cafile: x}")
}

func TestMissingFile(t *testing.T) {
	if _, err := Load(Options{File: filepath.Join(t.TempDir(), "none.yaml")}); err == nil {
		t.Error("a named file that is not there must be an error")
	}
	t.Chdir(t.TempDir())
	if _, err := Load(Options{}); err != nil {
		t.Errorf("no usher.yaml: %v", err)
	}
}

func TestNullsAndDatesKeepTheirMeaning(t *testing.T) {
	c, err := load(t, "kafka:\ninstance: 007\nlog: {level: }\ncalendars: {c: {closed: [2026-12-25]}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Kafka.Brokers) != 1 || c.Instance != "007" || c.Log.Level != "info" ||
		c.Calendars["c"]["closed"][0] != "2026-12-25" {
		t.Errorf("got %+v %q %+v %v", c.Kafka, c.Instance, c.Log, c.Calendars)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pw")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "clickhouse: {password_file: "+file+"}", "USHER_PRIVACY_KEY=k3y")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LoadSecrets(); err != nil || c.ClickHouse.Password.Reveal() != "hunter2" ||
		c.Privacy.Key.Reveal() != "k3y" {
		t.Errorf("secrets: %v", err)
	}
	c, err = load(t, "clickhouse: {password_file: "+file+".none}")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LoadSecrets(); err == nil || !strings.Contains(err.Error(), "USHER_CLICKHOUSE_PASSWORD") {
		t.Errorf("a named secret that is not there: %v", err)
	}
}

func TestSecretNeverShows(t *testing.T) {
	const secret = "hunter2"
	c, err := load(t, "", "USHER_CLICKHOUSE_PASSWORD="+secret, "USHER_PRIVACY_KEY="+secret,
		"USHER_KAFKA_SASL_PASSWORD="+secret, "USHER_ADMIN_TOKEN="+secret)
	if err != nil {
		t.Fatal(err)
	}
	type foreign struct{ inner Secret } // fmt calls no methods on unexported fields
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", c, *c, foreign{c.Privacy.Key})
		fmt.Fprintf(&out, verb+"\n", c.Privacy.Key)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "config", c, "secret", c.Privacy.Key, "at", &c.Privacy.Key,
			"clickhouse", c.ClickHouse)
	}
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	hex := fmt.Sprintf("%x", secret)
	if s := out.String(); strings.Contains(s, secret) || strings.Contains(s, hex) {
		t.Errorf("the secret shows in:\n%s", s)
	}
	if n := strings.Count(string(text), hidden); n != 4 {
		t.Errorf("%d secrets marked as hidden, want 4:\n%s", n, text)
	}
}

func TestUnits(t *testing.T) {
	duration := func(in string, want time.Duration, printed string) {
		t.Helper()
		got, err := ParseDuration(in)
		if err != nil || got.Std() != want || got.String() != printed {
			t.Errorf("%s: %v %s %v", in, got.Std(), got, err)
		}
	}
	duration("100ms", 100*time.Millisecond, "100ms")
	duration("1h30m", 90*time.Minute, "90m")
	duration("400d", 9600*time.Hour, "400d")
	duration("2w", 336*time.Hour, "14d")
	duration("0.5d", 12*time.Hour, "12h")
	size := func(in string, want Bytes, printed string) {
		t.Helper()
		got, err := ParseBytes(in)
		if err != nil || got != want || got.String() != printed {
			t.Errorf("%s: %d %s %v", in, int64(got), got, err)
		}
	}
	size("4GiB", 4<<30, "4GiB")
	size("1048576", 1<<20, "1048576")
	size("900kB", 900_000, "900000")
	size("1.5 MiB", 3<<19, "1572864")
	for _, bad := range []string{"", "d", "NaNd", "1e300d", "3 parsecs"} {
		if _, err := ParseDuration(bad); err == nil {
			t.Errorf("%q is taken as a duration", bad)
		}
	}
	for _, bad := range []string{"", "-1", "GiB", "nan", "1e300TiB"} {
		if _, err := ParseBytes(bad); err == nil {
			t.Errorf("%q is taken as a size", bad)
		}
	}
}

func TestTargets(t *testing.T) {
	c, err := load(t, "targets: [{kpi: next_reply, target: 3m, baseline: 90s, over: 14d}, "+
		"{kpi: missed, target: 3 %}, {kpi: conversion, change: +15 %, when: {channel: web}}]")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Targets) != 3 || *c.Targets[0].Target != 180_000 || *c.Targets[0].Baseline != 90_000 ||
		*c.Targets[1].Target != 0.03 || *c.Targets[2].Change != 0.15 {
		t.Errorf("targets: %+v", c.Targets)
	}
	if preset := Default().Targets; len(preset) != 4 || *preset[0].Target != 180_000 ||
		*preset[1].Baseline != 0.12 || *preset[1].Target != 0.03 || *preset[2].Change != 0.15 {
		t.Errorf("preset: %+v", preset)
	}
	for text, want := range map[string]string{
		"targets: [{kpi: missed}]":                                            "either a target or a change",
		"targets: [{kpi: missed, target: 3 %, change: 1 %}]":                  "either a target or a change",
		"targets: [{kpi: missed, target: soon}]":                              "no amount",
		"targets: [{kpi: missed, target: 1, over: 36h}]":                      "whole days",
		"targets: [{kpi: missed, target: 1, when: {lang: lv, channel: web}}]": "one dimension",
		"targets: [{kpi: missed, target: 1}, {kpi: missed, target: 2}]":       "set twice",
		"targets: [{kpi: missed, target: 1, overr: 7d}]":                      "no key",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
