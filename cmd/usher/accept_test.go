package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/features/classifier"
	"usher/features/classifier/accept"
	"usher/features/classifier/demo"
	"usher/pipeline"
	"usher/pipeline/route"
	broker "usher/pipeline/source/kafka/embedded"
	"usher/sinks/clickhouse/embedded/embeddedtest"
)

// demoModel writes the model of the binary into a file.
func demoModel(t *testing.T) string { return write(t, "intent.usher", string(demo.Bytes())) }

// labelledPrices are n messages that the demo model is sure about, wrong of them labelled otherwise.
func labelledPrices(t *testing.T, n, wrong int) string {
	var b strings.Builder
	b.WriteString("text\tlabel\n")
	for i := range n {
		label := "request"
		if i < wrong {
			label = "unheard-of" // not even a label of the model
		}
		fmt.Fprintf(&b, "How much does a haircut cost, number %d?\t%s\n", i, label)
	}
	return write(t, "labelled.tsv", b.String())
}

func TestAcceptAtTheEdge(t *testing.T) {
	model := demoModel(t)
	accepts := func(n, wrong, code int, accepted bool) {
		t.Helper()
		r := usher(t, "accept", model, "--tenant", "salon7", "--in", labelledPrices(t, n, wrong),
			"--precision", "0.95", "--dry-run", "--json")
		var got acceptResult
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
			t.Fatalf("%v\n%s%s", err, r.stdout, r.err)
		}
		for _, v := range got.Labels {
			if v.Label == "request" && (v.N != n || v.Right != n-wrong || v.Accepted != accepted) {
				t.Errorf("%d messages, %d wrong: %+v", n, wrong, v)
			}
		}
		if r.code != code || got.Recorded || len(got.Labels) != 3 {
			t.Errorf("%d messages, %d wrong: exit code %d, want %d; %+v", n, wrong, r.code, code, got)
		}
	}
	accepts(58, 0, exitNotHeld, false)
	accepts(59, 0, exitDone, true)
	accepts(92, 1, exitNotHeld, false)
	accepts(93, 1, exitDone, true)
	file := labelledPrices(t, 59, 0)
	has(t, "the error", usher(t, "accept", model, "--in", file).err, "--tenant")
	has(t, "the error", usher(t, "accept", model, "--tenant", "a", "--in", file, "--precision", "95").err,
		"below 1, as 0.95")
	has(t, "the error", usher(t, "accept", model, "--tenant", "a", "--in", file, "--label", "x").err,
		"claim, deal, request")
}

// site is a broker, a store and a configuration.
type site struct {
	env    []string
	store  *store
	client *kgo.Client
	admin  string // host:port
}

func newSite(t *testing.T, model string) *site {
	t.Helper()
	addr := embeddedtest.Start(t)
	dir := t.TempDir()
	b, err := broker.Start(t.Context(), broker.StartConfig{
		DataDir: dir, Command: []string{usherBinary, "broker", "--data", dir},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := ln.Addr().String()
	_ = ln.Close()
	file := write(t, "usher.yaml", fmt.Sprintf(`kafka: {brokers: [%q]}
clickhouse: {addr: %q, user: default, password_file: ""}
classifier: {models: [{name: intent, file: %q}]}
admin: {addr: %q}
instance: test
`, b.Addr(), addr, model, admin))
	s := &site{
		admin: admin,
		env:   []string{"USHER_CONFIG=" + file, "USHER_PRIVACY_KEY=a key of the test, long enough"},
		store: &store{base: "http://" + addr + "/", database: "usher", client: &http.Client{},
			where: "the engine"},
	}
	call{args: []string{"schema", "--apply"}, env: s.env}.good(t)
	call{args: []string{"topics", "--apply", "--partitions", "1", "--rows-partitions", "1",
		"--replication", "1"}, env: s.env}.good(t)
	s.client, err = kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics(config.DecisionsTopic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	return s
}

// run keeps `usher run` alive for the test and gives its log.
func (s *site) run(t *testing.T, args ...string) (stop func() string, pid *os.Process) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(usherBinary, append([]string{"run"}, args...)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), s.env...), log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() string {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				t.Errorf("usher run ended with %v", err)
			}
		}
		text, _ := os.ReadFile(log.Name())
		return string(text)
	}
	t.Cleanup(func() {
		if text := stop(); t.Failed() {
			t.Log(text)
		}
	})
	return stop, cmd.Process
}

// decided is what the tests read of a decision.
type decided struct {
	Tenant string
	Band   string
	Reason *string `json:"band_reason"`
	Label  string
	Model  struct{ Checksum, Mode string }
}

func (d decided) String() string {
	reason := ""
	if d.Reason != nil {
		reason = *d.Reason
	}
	return d.Tenant + " " + d.Label + " " + d.Band + " " + reason + " " + d.Model.Mode
}

// ask sends one message of a tenant through Kafka and waits for its decision.
func (s *site) ask(t *testing.T, tenant string) decided {
	t.Helper()
	id := fmt.Sprintf("q-%d", time.Now().UnixNano())
	line := fmt.Sprintf(`{"v":1,"id":%q,"type":"message","time":%d,"tenant":%q,"conversation_id":%q,`+
		`"actor":{"kind":"customer"},"message":{"text":"How much does a haircut cost?"}}`, id,
		time.Now().UnixMilli(), tenant, id)
	call{args: []string{"produce", "--input", "-"}, stdin: line + "\n", env: s.env}.good(t)
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		var found *decided
		fetches := s.client.PollFetches(t.Context())
		fetches.EachRecord(func(r *kgo.Record) {
			var d decided
			if string(r.Key) == id && json.Unmarshal(r.Value, &d) == nil {
				found = &d
			}
		})
		if found != nil {
			return *found
		}
	}
	t.Fatal("no decision came")
	return decided{}
}

// until repeats a question until it is answered as wanted.
func until(t *testing.T, want string, ask func() string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	got := ""
	for time.Now().Before(deadline) {
		if got = ask(); got == want {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%q, want %q", got, want)
}

// What was accepted for a tenant acts alone there; a new model file is taken over while usher runs
// and has to be accepted anew; a broken one is refused and changes nothing.
func TestRunActsAloneWhereAccepted(t *testing.T) {
	model := demoModel(t)
	s := newSite(t, model)
	first := call{args: []string{"accept", model, "--tenant", "salon7", "--in", labelledPrices(t, 59, 0)},
		env: s.env}.good(t)
	has(t, "accept", first.stdout, "accepted", "Written to ops_journal")
	stop, proc := s.run(t, "--only", "route")
	asked := func(tenant, want string) decided {
		t.Helper()
		d := s.ask(t, tenant)
		if d.String() != tenant+" "+want {
			t.Errorf("%s, want %s", d, want)
		}
		return d
	}
	before := asked("salon7", "request auto  live")
	asked("clinic", "request suggest unproven unproven")

	second, err := classifier.Recard(demo.Bytes(), json.RawMessage(`{"about":"a second version"}`))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(content []byte) {
		t.Helper()
		if err := replaceFile(model, content); err != nil {
			t.Fatal(err)
		}
	}
	journal := func(kind string) func() string {
		return func() string {
			rows, err := s.store.rows(t.Context(),
				"SELECT toString(count()) FROM ops_journal WHERE kind = {k:String}", map[string]string{"k": kind})
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(rows[0][0])
		}
	}
	replace(second)
	until(t, "2", journal(kindModelLoad))
	after := asked("salon7", "request suggest unproven unproven")
	if before.Model.Checksum == after.Model.Checksum {
		t.Error("the new model file was not taken over")
	}
	replace(second[:len(second)/2])
	until(t, "1", journal(kindModelRefused))
	if still := asked("salon7", "request suggest unproven unproven"); still.Model != after.Model {
		t.Errorf("after a broken file: model %+v, want %+v", still.Model, after.Model)
	}
	replace(demo.Bytes())
	until(t, "3", journal(kindModelLoad))
	asked("salon7", "request auto  live") // the proof of that version still holds

	// The hot switch: SIGHUP reads the configuration again.
	file := strings.TrimPrefix(s.env[0], "USHER_CONFIG=")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "tenants: {default: {zone: UTC}, salon7: {auto: false}}\n"...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp(t, proc)
	until(t, "salon7 request suggest disabled live", func() string { return s.ask(t, "salon7").String() })
	has(t, "the log", stop(), "refused; what was there stays in force")
}

// Live precision below the target takes the label back, with a journal row; 199 judged decisions
// are too few, others' do not count.
func TestLivePrecisionTakesBack(t *testing.T) {
	addr := embeddedtest.Start(t)
	env := []string{"USHER_CLICKHOUSE_ADDR=" + addr, "USHER_CLICKHOUSE_USER=default"}
	call{args: []string{"schema", "--apply"}, env: env}.good(t)
	s := &store{base: "http://" + addr + "/", database: "usher", client: &http.Client{}, where: "the engine"}
	model := demoModel(t)
	call{args: []string{"accept", model, "--tenant", "salon7", "--in", labelledPrices(t, 59, 0)}, env: env}.good(t)

	c := config.Default()
	line, err := lineConfig(c, lineSettings{Key: []byte("a key of the test"), Mode: route.Unproven})
	if err != nil {
		t.Fatal(err)
	}
	brains, err := pipeline.NewBrains(line.Brain())
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(&process{runOptions: runOptions{Config: c, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}},
		s, brains)
	at := time.Now()
	k.now = func() time.Time { return at }
	request := 2 // claim, deal, request
	proven := func(want bool) {
		t.Helper()
		at = at.Add(liveEvery + time.Second)
		k.look(t.Context())
		unproven, ok := brains.Now().Unproven["salon7"]
		if got := ok && !unproven[request]; got != want {
			t.Errorf("request may act alone: %v, want %v", got, want)
		}
	}
	exec := func(sql string) {
		t.Helper()
		if err := s.exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	judge := func(tenant string, from, to, wrong int) {
		const lease = "now64(3) + INTERVAL 1 DAY"
		exec(fmt.Sprintf(`INSERT INTO decisions (tenant, conversation_id, id, trigger_event_id, label, acted,
			model_checksum, emitted_at, _lease_until) SELECT '%s', toString(number), 'd' || toString(number),
			'e' || toString(number), 'request', 1, '%s', now64(3) + number / 1000, %s
			FROM numbers(%d, %d)`, tenant, line.Model.Checksum(), lease, from, to-from))
		// The first judgements are annotators' labels, the others feedback on the decision.
		exec(fmt.Sprintf(`INSERT INTO labels (tenant, conversation_id, type, decision_id, target, verdict,
			given_label, head, time, _lease_until) SELECT '%s', toString(number),
			if(number < 50, 'label', 'feedback'), if(number < 50, '', 'd' || toString(number)),
			'e' || toString(number), if(number >= 50 AND number < %d, 'rejected', ''),
			if(number < 50, if(number < %d, 'deal', 'request'), ''), 'intent', now64(3), %s
			FROM numbers(%d, %d)`, tenant, from+wrong, from+wrong, lease, from, to-from))
	}
	proven(true)
	judge("clinic", 0, 400, 300) // another tenant's
	judge("salon7", 0, 199, 11)
	proven(true)
	judge("salon7", 199, 220, 0)
	proven(true) // 209 of 220 are 95 %
	judge("salon7", 220, 221, 1)
	proven(false)
	rows, err := s.rows(t.Context(), "SELECT tenant, detail FROM ops_journal WHERE kind = 'take_back'", nil)
	if err != nil || len(rows) != 1 || rows[0][0] != "salon7" {
		t.Fatalf("the journal has %v, %v", rows, err)
	}
	has(t, "the journal row", fmt.Sprint(rows[0][1]), `"label":"request"`, `"n":221`, `"right":209`)
	proven(false)
	at = at.Add(accept.LifeMS * time.Millisecond)
	proven(false)
}

// The endpoint of a running usher decides as the stream does, and asks for the token.
func TestClassifyEndpointOfRun(t *testing.T) {
	s := newSite(t, demoModel(t))
	s.env = append(s.env, "USHER_ADMIN_TOKEN=a long token of the test")
	s.run(t, "--only", "route")
	post := func(token string) string {
		req, err := http.NewRequest(http.MethodPost, "http://"+s.admin+"/v1/classify",
			strings.NewReader(`{"text":"How much does a haircut cost?","lang":"en"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var d decided
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	until(t, "401 Unauthorized", func() string { return post("a guess") })
	until(t, "default request suggest unproven unproven", func() string { return post("a long token of the test") })
}
