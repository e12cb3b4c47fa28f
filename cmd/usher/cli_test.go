package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"usher/pipeline/event"
)

// Every command explains itself with an example, hidden ones too.
func TestHelpOfEveryCommand(t *testing.T) {
	a := &app{log: slog.New(slog.DiscardHandler)}
	commands := a.rootCommand().Commands()
	if len(commands) < 18 {
		t.Errorf("only %d commands", len(commands))
	}
	for _, c := range commands {
		name := c.Name()
		r := usher(t, name, "--help")
		if r.code != exitDone || r.err != "" {
			t.Errorf("%s --help: exit code %d, standard error %q", name, r.code, r.err)
		}
		has(t, name+" --help", r.stdout, "Usage:\n  usher "+name)
		_, examples, ok := strings.Cut(r.stdout, "Examples:\n")
		if examples, _, _ = strings.Cut(examples, "Flags:"); !ok || !strings.Contains(examples, "usher "+name) {
			t.Errorf("%s --help has no example:\n%s", name, r.stdout)
		}
	}
	r := usher(t, "--help")
	at := 0
	for _, group := range []string{"Look:", "Run:", "Bring data:", "Model:", "Trust:"} {
		next := strings.Index(r.stdout, "\n"+group)
		if next < at {
			t.Errorf("group %s is missing or out of order:\n%s", group, r.stdout)
		}
		at = next
	}
	if strings.Contains(r.stdout, "engine") || strings.Contains(r.stdout, "Additional Commands") {
		t.Errorf("help lists what it should not:\n%s", r.stdout)
	}
}

// Wrong usage is 2, says what is wrong on standard error, and leaves standard output alone.
func TestWrongUsage(t *testing.T) {
	file := write(t, "events.jsonl", "")
	wrong := func(want string, args ...string) {
		t.Helper()
		r := usher(t, args...)
		if r.code != exitUsage || r.stdout != "" || !strings.Contains(r.err, want) {
			t.Errorf("usher %q: exit code %d, output %q, error %q; want 2 and %q", args, r.code, r.stdout, r.err, want)
		}
	}
	wrong(`unknown command "nosuch"`, "nosuch")
	wrong("unknown flag: --nosuch", "sql", "--nosuch")
	wrong("takes no argument", "version", "x")
	wrong("See `usher produce --help`", "produce")
	wrong("either --input FILE or --example", "produce", "--example", "--input", file)
	wrong("--rate must not be negative", "produce", "--input", file, "--rate", "-1")
	wrong("needs a format", "import")
	wrong("say where to", "import", "jsonl", file)
	wrong("say where to", "import", "jsonl", file, "--out", "x", "--kafka")
	wrong(`no import format "xml"`, "import", "xml", file, "--out", "x")
	wrong("no such file", "import", "jsonl", "none.jsonl", "--out", "x")
	wrong("did you mean actor.kind", "import", "jsonl", file, "--out", "x", "--map", "actor.knd=role")
	wrong("no time zone", "import", "jsonl", file, "--out", "x", "--tz", "Riga")
	wrong("no such file", "analyze", "none.jsonl")
	wrong("at least one file", "analyze")
	wrong("holds no .jsonl", "analyze", t.TempDir())
	wrong("needs --in FILE", "train", "--out", "x")
	wrong("no such file", "train", "--in", "none.tsv", "--out", "x")
	wrong("needs --model", "eval", "--in", file)
	wrong("usher train --in FILE", "eval", "--in", file, "--model", "none.usher")
	wrong("--by must be", "eval", "--in", file, "--model", "m", "--by", "moon")
	wrong("usher train --in FILE", "classify", "--model", "none.usher")
	wrong("either --print or --apply", "schema")
	wrong("either --print or --apply", "topics")
	wrong("must be at least 1", "topics", "--print", "--partitions", "0")
	wrong("belong to --kpi", "sql", "--by", "channel")
	wrong("leave out", "sql", "--kpi", "missed", "SELECT 1")
	wrong("there is no data directory", "sql", "--data", "none", "SELECT 1")
	wrong("needs --out", "dashboards")
	wrong("--only must be route or sink", "run", "--only", "act")
	wrong("refuses to start without the key", "run")
	wrong("--json needs --exit", "demo", "--json")
	wrong("--conversations must be at least 1", "demo", "--conversations", "0")
	wrong("--input plays a file", "demo", "--input", file, "--seed", "2")
	wrong("needs one file", "check", "events")
	wrong(`knows no "moon"`, "check", "moon")
	wrong("no such file", "check", "events", "none.jsonl")
	wrong("cannot read the file", "config", "--config", "none.yaml")
}

// What is in the way of the work, and not the caller's mistake, is 1.
func TestFailedWork(t *testing.T) {
	nobody := []string{"USHER_CLICKHOUSE_ADDR=127.0.0.1:1", "USHER_KAFKA_BROKERS=127.0.0.1:1"}
	for _, args := range [][]string{
		{"sql", "SELECT 1"}, {"schema", "--apply"},
	} {
		r := call{args: args, env: nobody}.run(t)
		if r.code != exitFailed || r.stdout != "" {
			t.Errorf("usher %q: exit code %d, output %q", args, r.code, r.stdout)
		}
		has(t, "the error", r.err, "cannot reach ClickHouse at 127.0.0.1:1", "clickhouse.addr")
	}
}

func TestConfigCommand(t *testing.T) {
	dir := t.TempDir()
	text := "flush_interval: 3s\ncommit_records: 7\n"
	if err := os.WriteFile(filepath.Join(dir, "usher.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	other := write(t, "other.yaml", "flush_interval: 4s\n")
	const secret = "hunter2-hunter2"
	read := func(c call) (out struct {
		CommitInterval string            `yaml:"commit_interval"`
		CommitRecords  int               `yaml:"commit_records"`
		FlushInterval  string            `yaml:"flush_interval"`
		ClickHouse     map[string]any    `yaml:"clickhouse"`
		Privacy        map[string]string `yaml:"privacy"`
	}) {
		t.Helper()
		c.dir = dir
		r := c.good(t)
		if strings.Contains(r.stdout+r.err, secret) {
			t.Errorf("the secret shows:\n%s%s", r.stdout, r.err)
		}
		if err := yaml.Unmarshal([]byte(r.stdout), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	got := read(call{args: []string{"config"}, env: []string{"USHER_COMMIT_RECORDS=9",
		"USHER_CLICKHOUSE_PASSWORD=" + secret, "USHER_PRIVACY_KEY=" + secret}})
	if got.CommitInterval != "100ms" || got.FlushInterval != "3s" || got.CommitRecords != 9 {
		t.Errorf("default, file and variable: %+v", got)
	}
	if got.ClickHouse["password"] != "[hidden]" || got.Privacy["key"] != "[hidden]" {
		t.Errorf("secrets that are set: %+v", got)
	}
	if got := read(call{args: []string{"config", "--config", other}}); got.FlushInterval != "4s" || got.CommitRecords != 5000 {
		t.Errorf("--config: %+v", got)
	}
	if got := read(call{args: []string{"config"}, env: []string{"USHER_CONFIG=" + other}}); got.FlushInterval != "4s" {
		t.Errorf("USHER_CONFIG: %+v", got)
	}
}

func TestWrongConfigurationIsUsage(t *testing.T) {
	file := write(t, "usher.yaml", "log: {level: info}\nkafka: {brokrs: [\"a:1\"]}\n")
	for _, args := range [][]string{{"config"}, {"analyze", "x"}, {"sql"}, {"run"}} {
		r := call{args: append(args, "--config", file)}.run(t)
		if r.code != exitUsage || r.stdout != "" {
			t.Errorf("usher %q: exit code %d, output %q", args, r.code, r.stdout)
		}
		has(t, "the error", r.err, "usher.yaml:2: kafka.brokrs", "did you mean kafka.brokers?")
	}
	// Whoever looks for help or the version gets it whatever lies around.
	dir := filepath.Dir(file)
	call{args: []string{"version"}, dir: dir}.good(t)
	call{args: []string{"sql", "--help"}, dir: dir}.good(t)
}

func TestRunRefusesWhatItCannotRoute(t *testing.T) {
	r := call{args: []string{"run"}, env: []string{"USHER_PRIVACY_KEY=a long enough key",
		"USHER_SOURCES=[{topic: crm, format: map}]"}}.run(t)
	if r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
	has(t, "the error", r.err, "sources[0].format: map", "usher import --map")
}

func TestVersionIsOneObject(t *testing.T) {
	r := call{args: []string{"version", "--json"}}.good(t)
	var v versionInfo
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil || v.Version == "" || v.Go == "" {
		t.Errorf("%q: %v", r.stdout, err)
	}
}

func TestExampleEventsAreLegal(t *testing.T) {
	r := call{args: []string{"produce", "--example", "--print"}}.good(t)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	dec := event.NewDecoder(event.Limits{})
	for _, line := range lines {
		var ev event.Event
		if rej := dec.Decode([]byte(line), event.Envelope{NowMS: 1 << 42}, &ev); rej != nil {
			t.Errorf("%s: %v", line, rej)
		}
	}
	file := write(t, "events.jsonl", r.stdout)
	a := call{args: []string{"analyze", "--json", file}}.good(t)
	has(t, "analyze", a.stdout, `"first_reply_median_ms":90000`, `"unanswered":0`)
}

func TestTopicsAndACLsPrint(t *testing.T) {
	r := call{args: []string{"topics", "--print", "--partitions", "24"}, env: []string{
		"USHER_TOPICS_PREFIX=eu.", "USHER_TOPICS_NAMES={chat.decisions.v1: decided}",
		"USHER_SOURCES=[{topic: chat.events.v1}, {topic: crm, format: map}]"}}.good(t)
	has(t, "the list", r.stdout, "eu.chat.events.v1 ", "crm ", "decided ", "eu.usher.rows.v1 ",
		"eu.usher.state.v1 ", "eu.usher.state.v1.crm ", "cleanup.policy=compact", " 24 ", "retention.ms=604800000")
	r = call{args: []string{"topics", "--acls"}, env: []string{"USHER_TOPICS_PREFIX=eu."}}.good(t)
	has(t, "the ACLs", r.stdout, "--transactional-id eu.usher. --resource-pattern-type prefixed",
		"--group eu.usher.router", "--allow-principal User:usher-sink")
}

func TestExitCodes(t *testing.T) {
	code := func(want int, err error, begun bool) {
		t.Helper()
		if got := exitCode(context.Background(), err, begun); got != want {
			t.Errorf("%v (begun %v): %d, want %d", err, begun, got, want)
		}
	}
	code(exitDone, nil, true)
	code(exitFailed, os.ErrClosed, true)
	code(exitFailed, context.Canceled, true) // nobody sent a signal: something broke
	code(exitUsage, os.ErrClosed, false)
	code(exitUsage, usagef("x"), true)
	code(exitNotHeld, notHeldf("x"), true)
}
