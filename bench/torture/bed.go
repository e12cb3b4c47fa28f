package torture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The partitions of the two topics that matter to the protocols: more than one process can take, so
// that partitions move, and what CONTRACT asks of the rows topic.
const (
	eventPartitions = 4
	rowPartitions   = 2
)

// eventsTopic is read by both runs, the tortured and the calm one.
const eventsTopic = "chat.events.v1"

// lineage is one run of usher over the log: its names and its database.
type lineage struct {
	prefix   string // of topics and groups
	database string
}

var (
	hurt = lineage{database: "usher"}
	calm = lineage{prefix: "calm-", database: "calm"}
)

// key makes pseudonyms equal in both runs.
const key = "USHER_PRIVACY_KEY=a key of the torture test, long enough"

// promised are calendars and SLA policies by both clocks, so that timers run in every conversation, as
// settings and their JSON: the members' configuration and bench/oracle's hold the same.
var promised = [][2]string{
	{"calendars", `{"salon": {"mon-fri": ["10:00-14:00", "15:00-20:00"], "sat": ["11:00-18:00"]}}`},
	{"tenants", `{"salon": {"zone": "UTC", "calendar": "salon"}}`},
	{"sla", `[{"name": "chat", "when": {"channel": ["web", "whatsapp"]}, "first_reply": "3m",
  "next_reply": "10m", "due_soon": 0.8, "clock": "wall"},
  {"name": "rest", "first_reply": "1h", "requester_wait": "2h", "time_to_close": "24h", "clock": "business"}]`},
}

// endWithin bounds every graceful end.
const endWithin = 30 * time.Second

// memberNames are the processes of usher: the first of each stage, and the one that comes and goes.
var memberNames = []string{"route-a", "route-b", "sink-a", "sink-b"}

// bed holds everything that runs.
type bed struct {
	cfg     Config
	broker  *broker
	engine  *process
	store   *store // the engine, beside the proxy
	wires   map[string]*wire
	members map[string]*process // by name
	adm     *kadm.Client
	client  *kgo.Client

	admin       map[string]string // where each member answers /readyz
	longestStop time.Duration     // of the ends in order
	restart     time.Duration     // to the first decision
	promises    []string          // that were not kept
	slow        []string          // those about time
}

// newBed starts broker, engine and proxies, and makes topics and tables.
func newBed(ctx context.Context, cfg Config) (b *bed, err error) {
	b = &bed{cfg: cfg, members: make(map[string]*process), admin: make(map[string]string)}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	ports, err := freePorts(4 + len(memberNames))
	if err != nil {
		return b, err
	}
	kafkaProxied, kafkaWire, engineAt, engineWire := ports[0], ports[1], ports[2], ports[3]
	b.broker = &broker{
		script: cfg.KafkaScript, dir: filepath.Join(cfg.Dir, "kafka"),
		ports: [2]int{kafkaProxied, kafkaWire},
	}
	b.wires, err = newWires(map[string][2]string{
		"kafka":  {loopback(kafkaWire), loopback(kafkaProxied)},
		"engine": {loopback(engineWire), loopback(engineAt)},
	})
	if err != nil {
		return b, err
	}
	if err = b.broker.start(); err != nil {
		return b, err
	}
	if b.client, err = kgo.NewClient(kgo.SeedBrokers(b.broker.addr),
		kgo.MetadataMinAge(100*time.Millisecond)); err != nil {
		return b, err
	}
	b.adm = kadm.NewClient(b.client)
	data := filepath.Join(cfg.Dir, "engine")
	b.engine = &process{
		name: "engine", logFile: filepath.Join(cfg.Dir, "engine.log"), ready: "embedded engine ready",
		command: func() *exec.Cmd {
			return exec.Command(cfg.Binary, "engine", "--data", data, "--addr", loopback(engineAt))
		},
	}
	if err = b.engine.start(); err != nil {
		return b, err
	}
	b.store = &store{addr: loopback(engineAt), database: hurt.database}
	if err = b.store.await(ctx, time.Minute); err != nil {
		return b, err
	}
	for i, name := range memberNames {
		b.members[name], b.admin[name] = b.member(name, hurt), loopback(ports[4+i])
	}
	return b, b.prepare(hurt)
}

// member describes a process of `usher run`; what it does is the first part of its name.
func (b *bed) member(name string, l lineage) *process {
	only, _, _ := strings.Cut(name, "-")
	config := filepath.Join(b.cfg.Dir, l.prefix+name+".yaml")
	return &process{
		name: l.prefix + name, logFile: filepath.Join(b.cfg.Dir, l.prefix+name+".log"),
		ready: "usher runs",
		command: func() *exec.Cmd {
			cmd := exec.Command(b.cfg.Binary, "run", "--only", only, "--config", config)
			cmd.Env = append(os.Environ(), key)
			return cmd
		},
	}
}

// prepare writes the configurations of a lineage and makes its topics and tables.
func (b *bed) prepare(l lineage) error {
	for _, name := range memberNames {
		path := filepath.Join(b.cfg.Dir, l.prefix+name+".yaml")
		if err := os.WriteFile(path, []byte(b.config(name, l)), 0o644); err != nil {
			return fmt.Errorf("cannot write a configuration: %w", err)
		}
	}
	_, err := b.usher(l, "topics", "--apply", "--partitions", fmt.Sprint(eventPartitions),
		"--rows-partitions", fmt.Sprint(rowPartitions), "--replication", "1")
	if err != nil {
		return err
	}
	_, err = b.usher(l, "schema", "--apply")
	return err
}

// config is a configuration whose way to both servers leads through the proxies; the calm run's
// proxies are whole by then.
func (b *bed) config(name string, l lineage) string {
	return strings.Join([]string{
		fmt.Sprintf("kafka: {brokers: [%q]}", b.wires["kafka"].proxy.Listen),
		fmt.Sprintf("clickhouse: {addr: %q, database: %s, user: default, password_file: ''}",
			b.wires["engine"].proxy.Listen, l.database),
		"instance: " + name, "privacy: {key_file: '', conversation_ids: keep}", fmt.Sprintf("admin: {addr: %q}", b.admin[name]),
		fmt.Sprintf("topics: {prefix: %q, names: {%s: %s}}", l.prefix, eventsTopic, eventsTopic),
		"restore_timeout: 300s", "",
	}, "\n") + promisedAs("%s: %s\n")
}

// promisedAs writes the settings one after the other.
func promisedAs(format string) (text string) {
	for _, setting := range promised {
		text += fmt.Sprintf(format, setting[0], setting[1])
	}
	return text
}

// usher runs a command of the binary to its end.
func (b *bed) usher(l lineage, args ...string) (string, error) {
	args = append(args, "--config", filepath.Join(b.cfg.Dir, l.prefix+"route-a.yaml"))
	cmd := exec.Command(b.cfg.Binary, args...)
	cmd.Env = append(os.Environ(), key)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("usher %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// heal makes the network whole and lets everything go on.
func (b *bed) heal() error {
	err := errors.Join(b.wires["kafka"].heal(), b.wires["engine"].heal())
	for _, p := range b.members {
		if p.running() {
			_ = p.signal(sigContinue)
		}
	}
	return err
}

// close ends everything that was started.
func (b *bed) close() {
	for _, p := range b.members {
		p.killForGood()
	}
	if b.client != nil {
		b.client.Close()
	}
	if b.engine != nil {
		b.engine.killForGood()
	}
	for _, w := range b.wires {
		w.cut()
	}
	if b.broker != nil {
		_ = b.broker.signal(sigContinue)
		if err := b.broker.stop(); err != nil {
			fmt.Fprintln(b.cfg.Out, err)
		}
	}
}
