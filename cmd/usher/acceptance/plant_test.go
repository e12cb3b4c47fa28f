package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds every wait of these tests; a busy machine is slow, and no test is about time.
const patience = 15 * time.Minute

// plant is a router and a sink as processes of their own, between a broker and an engine that are
// processes too and keep their addresses, so that each can be taken away and brought back.
type plant struct {
	t                *testing.T
	config           string
	brokerDir        string
	engineDir        string
	brokerAt, engine string              // addresses
	admin            map[string]string   // of route and sink
	procs            map[string]*process // by name: broker, engine, route, sink
}

// process is a running program of a plant.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // children of usher live while it is open
	logs  *bytes.Buffer
	ended chan error
}

// newPlant makes topics and schema; nothing runs afterwards. The engine keeps its data in engineDir,
// the broker in brokerDir.
func newPlant(t *testing.T, engineDir, brokerDir string) *plant {
	t.Helper()
	needEngine(t)
	p := &plant{
		t: t, config: filepath.Join(t.TempDir(), "usher.yaml"), brokerDir: brokerDir, engineDir: engineDir,
		engine: freeAddress(t), admin: map[string]string{"route": freeAddress(t), "sink": freeAddress(t)},
		procs: make(map[string]*process),
	}
	p.startBroker()
	p.startEngine()
	writeLines(t, p.config, []string{
		fmt.Sprintf("kafka: {brokers: [%q]}", p.brokerAt),
		fmt.Sprintf("clickhouse: {addr: %q, database: usher, user: default, password_file: ''}", p.engine),
		"instance: plant", "privacy: {key_file: ''}",
	})
	p.usher("topics", "--apply", "--partitions", "4", "--rows-partitions", "2", "--replication", "1")
	p.usher("schema", "--apply")
	t.Cleanup(func() {
		for _, name := range []string{"route", "sink", "engine", "broker"} {
			p.kill(name)
		}
	})
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (p *plant) usher(args ...string) string {
	p.t.Helper()
	return string(usher(p.t, append(args, "--config", p.config)...))
}

func (p *plant) start(name string, env []string, args ...string) {
	p.t.Helper()
	x := &process{cmd: exec.Command(binary, args...), logs: &bytes.Buffer{}, ended: make(chan error, 1)}
	x.cmd.Env = append(append(os.Environ(), testKey), env...)
	x.cmd.Stderr = x.logs
	var err error
	if x.stdin, err = x.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if err := x.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { x.ended <- x.cmd.Wait() }()
	p.procs[name] = x
}

func (p *plant) startEngine() {
	p.t.Helper()
	p.start("engine", nil, "engine", "--data", p.engineDir, "--addr", p.engine)
	p.until("engine", func() bool {
		resp, err := http.Get("http://" + p.engine + "/ping")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
}

// startBroker starts the broker, which keeps its port.
func (p *plant) startBroker() {
	p.t.Helper()
	p.start("broker", nil, "broker", "--data", p.brokerDir)
	pid := p.procs["broker"].cmd.Process.Pid
	p.until("broker", func() bool {
		b, err := os.ReadFile(filepath.Join(p.brokerDir, "broker.json"))
		var info struct {
			Addr string
			PID  int
		}
		if err != nil || json.Unmarshal(b, &info) != nil || info.PID != pid {
			return false
		}
		if p.brokerAt != "" && p.brokerAt != info.Addr {
			p.t.Fatalf("the broker has moved from %s to %s", p.brokerAt, info.Addr)
		}
		p.brokerAt = info.Addr
		return true
	})
}

// run starts `usher run --only` one stage.
func (p *plant) run(only string) {
	p.t.Helper()
	p.start(only, []string{"USHER_ADMIN_ADDR=" + p.admin[only]}, "run", "--only", only, "--config", p.config)
}

// kill ends a program at once; it may have ended before.
func (p *plant) kill(name string) {
	if x := p.procs[name]; x != nil {
		_ = x.cmd.Process.Kill()
		<-x.ended
		delete(p.procs, name)
	}
}

// stop ends a stage in order and says how long that took.
func (p *plant) stop(name string) time.Duration {
	p.t.Helper()
	x, began := p.procs[name], time.Now()
	if err := x.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-x.ended:
		if err != nil {
			p.t.Errorf("%s ended with %v\n%s", name, err, tail(x.logs.Bytes()))
		}
	case <-time.After(patience):
		p.t.Fatalf("%s does not end\n%s", name, tail(x.logs.Bytes()))
	}
	if !strings.Contains(x.logs.String(), "usher has ended") {
		p.t.Errorf("%s does not say that it has ended:\n%s", name, tail(x.logs.Bytes()))
	}
	if strings.Contains(x.logs.String(), "with a transaction in doubt") {
		p.t.Logf("%s left a transaction in doubt: the broker did not answer in time", name)
	}
	delete(p.procs, name)
	return time.Since(began)
}

func (p *plant) until(what string, there func() bool) {
	p.t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		if there() {
			return
		}
	}
	var logs strings.Builder
	for name, x := range p.procs {
		fmt.Fprintf(&logs, "-- %s\n%s\n", name, tail(x.logs.Bytes()))
	}
	p.t.Fatalf("no %s\n%s", what, &logs)
}

// unready is why a stage is not ready, empty when it is.
func (p *plant) unready(only string) string {
	resp, err := http.Get("http://" + p.admin[only] + "/readyz")
	if err != nil {
		return "does not answer"
	}
	defer resp.Body.Close()
	var body struct{ Reason string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return err.Error()
	}
	return body.Reason
}

// says waits until a stage names a reason; an empty one waits until it is ready.
func (p *plant) says(only, reason string) {
	p.t.Helper()
	p.until(only+" that says "+strconv.Quote(reason), func() bool {
		why := p.unready(only)
		return reason == "" && why == "" || reason != "" && strings.Contains(why, reason)
	})
}

// metric sums a metric of a stage over its labels.
func (p *plant) metric(only, name string) (sum float64) {
	p.t.Helper()
	resp, err := http.Get("http://" + p.admin[only] + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			p.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// committed sums the offsets that a group has committed, and the ends of its topic.
func (p *plant) committed(topic, group string) (at, end int64) {
	p.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokerAt), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		p.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(p.t.Context(), topic)
	if err != nil {
		p.t.Fatal(err)
	}
	have, err := adm.FetchOffsets(p.t.Context(), group)
	if err != nil {
		return 0, 1 // a coordinator that is just loading
	}
	ends.Each(func(o kadm.ListedOffset) {
		end += o.Offset
		if x, ok := have.Lookup(topic, o.Partition); ok {
			at += max(0, x.At)
		}
	})
	return at, end
}

// routed waits until the router has processed everything.
func (p *plant) routed() {
	p.t.Helper()
	p.until("end of routing", func() bool {
		at, end := p.committed("chat.events.v1", "usher.router")
		return at >= end
	})
}

// balanced waits until all is stored, and holds it to the number of input lines.
func (p *plant) balanced(lines int) {
	p.t.Helper()
	p.routed()
	p.until("end of storing", func() bool {
		at, end := p.committed("usher.rows.v1", "usher.sink")
		return at+2 >= end // the last offset of each partition is a transaction's marker
	})
	p.usher("audit")
	s := &store{t: p.t, addr: p.engine}
	got := s.number("SELECT (SELECT count() FROM events) + (SELECT count() FROM dead_letters)")
	once := s.number("SELECT uniqExact(_src_partition, _src_offset) FROM (SELECT _src_partition, _src_offset " +
		"FROM events UNION ALL SELECT _src_partition, _src_offset FROM dead_letters)")
	if got != float64(lines) || once != got {
		p.t.Errorf("%v events and dead letters of %v offsets, %d lines were produced", got, once, lines)
	}
}

// produce publishes lines, at a rate a second (0: at once).
func (p *plant) produce(lines []string, rate int) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "events.jsonl")
	writeLines(p.t, file, lines)
	p.usher("produce", "--input", file, "--rate", strconv.Itoa(rate))
}
