package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/bench/gen"
	"usher/pipeline/event"
	"usher/sinks/clickhouse/rows"
)

const (
	testEvents     = "chat.events.v1"
	testPartitions = 4
)

var testKey = []byte("a test key that is long enough")

// bed is a broker with usher's topics.
type bed struct {
	t       *testing.T
	brokers []string
	topics  Topics
	events  string
	group   string
	cl      *kgo.Client
	adm     *kadm.Client
	logs    *logs
	before  func(*Record) // runs in every worker before a record is processed
}

// newBed makes a bed on the embedded broker, or on the real one that USHER_TEST_KAFKA names.
func newBed(t *testing.T) *bed {
	t.Helper()
	if addr := os.Getenv("USHER_TEST_KAFKA"); addr != "" {
		return newBedOn(t, []string{addr}, "t"+strconv.FormatInt(time.Now().UnixNano(), 36)+"-")
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return newBedOn(t, c.ListenAddrs(), "")
}

func newBedOn(t *testing.T, brokers []string, prefix string) *bed {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.ProducerBatchMaxBytes(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	b := &bed{
		t: t, brokers: brokers, cl: cl, adm: kadm.NewClient(cl), topics: DefaultTopics(prefix),
		events: prefix + testEvents, group: prefix + "usher.router", logs: &logs{},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(b.logs.String())
		}
	})
	large := map[string]*string{"max.message.bytes": kadm.StringPtr("8388608")}
	for name, n := range map[string]int32{
		b.events: testPartitions, b.topics.Decisions: testPartitions, b.topics.DeadLetters: 1,
		b.topics.Rows: 2, b.topics.State: testPartitions,
	} {
		if _, err := b.adm.CreateTopic(t.Context(), n, 1, large, name); err != nil {
			t.Fatal(err)
		}
	}
	b.settle()
	return b
}

// logs keeps what workers log, for a test that fails.
type logs struct {
	sync.Mutex
	bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

// settle waits until every broker knows the new topics.
func (b *bed) settle() {
	b.t.Helper()
	names := []string{b.events, b.topics.Decisions, b.topics.DeadLetters, b.topics.Rows, b.topics.State}
	for range 100 {
		ends, err := b.adm.ListEndOffsets(b.t.Context(), names...)
		if err == nil && ends.Error() == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.t.Fatal("the new topics do not settle")
}

// worker starts a worker; stop ends it cleanly.
func (b *bed) worker(instance string) (stop func()) {
	b.t.Helper()
	m := NewMetrics(prometheus.NewRegistry())
	line, err := NewLine(LineConfig{Key: testKey}, m)
	if err != nil {
		b.t.Fatal(err)
	}
	line.before = b.before
	details, err := b.adm.ListTopics(b.t.Context(), b.events)
	if err != nil {
		b.t.Fatal(err)
	}
	w := NewWorker(WorkerConfig{
		Brokers: b.brokers, Group: b.group, Instance: b.topics.Rows + instance,
		Source: Source{
			Topic: b.events, TopicID: details[b.events].ID, Partitions: testPartitions,
		},
		Topics: b.topics, RowsPartitions: 2, CommitInterval: 20 * time.Millisecond,
		CommitRecords: 500, RestoreTimeout: 20 * time.Second,
	}, line, m, slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() {
		b.t.Helper()
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("worker %s ended with %v", instance, err)
		}
	}
}

func (b *bed) publish(g *gen.Generator, n int) {
	b.t.Helper()
	var rec gen.Record
	for range n {
		if !g.Next(&rec) {
			break
		}
		r := &kgo.Record{Topic: b.events, Value: append([]byte(nil), rec.Value...)}
		if rec.Value == nil {
			r.Value = nil
		}
		if rec.Key != nil {
			r.Key = append([]byte{}, rec.Key...)
		}
		b.cl.Produce(b.t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				b.t.Errorf("cannot publish: %v", err)
			}
		})
	}
	if err := b.cl.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// caughtUp waits until the router has committed the end of the events topic.
func (b *bed) caughtUp() {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		ends, err := b.adm.ListEndOffsets(b.t.Context(), b.events)
		if err != nil {
			b.t.Fatal(err)
		}
		have, err := b.adm.FetchOffsets(b.t.Context(), b.group)
		if err != nil { // the group is not there yet, or the broker looks for its coordinator
			time.Sleep(50 * time.Millisecond)
			continue
		}
		behind := false
		ends.Each(func(o kadm.ListedOffset) {
			at, ok := have.Lookup(b.events, o.Partition)
			behind = behind || o.Offset > 0 && (!ok || at.At < o.Offset)
		})
		if !behind {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatal("the router did not reach the end of the events topic")
}

// read returns every committed record of a topic.
func (b *bed) read(topic string) []*kgo.Record {
	b.t.Helper()
	ends, err := b.adm.ListEndOffsets(b.t.Context(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	var out []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(b.t.Context())
		for _, e := range fetches.Errors() {
			b.t.Fatal(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return out
}

// tableRows counts the rows that the blocks of a table hold, by input partition.
func (b *bed) blockTables() map[string]int {
	b.t.Helper()
	count := make(map[string]int)
	for _, r := range b.read(b.topics.Rows) {
		h, err := rows.ParseHeader(r.Headers)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(r.Value) > 1<<20 {
			b.t.Errorf("a block of %s has %d bytes", h.Table, len(r.Value))
		}
		count[h.Table] += nativeRows(b.t, r.Value)
	}
	return count
}

// nativeRows reads the number of rows of a Native block: its second varint.
func nativeRows(t *testing.T, value []byte) int {
	t.Helper()
	read := func() (n int) {
		for shift := 0; ; shift += 7 {
			c := value[0]
			value = value[1:]
			n |= int(c&0x7f) << shift
			if c < 0x80 {
				return n
			}
		}
	}
	read()
	return read()
}

func newGenerator(t *testing.T, conversations int) *gen.Generator {
	t.Helper()
	g, err := gen.New(gen.Config{Seed: 11, Conversations: conversations, EndMS: 1794000000000})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// decisionsOf returns the decisions without their last two fields, sorted.
func decisionsOf(b *bed) []string {
	var out []string
	for _, r := range b.read(b.topics.Decisions) {
		text, _, ok := strings.Cut(string(r.Value), `,"emitted_at":`)
		if !ok {
			b.t.Errorf("a decision without emitted_at: %d bytes", len(r.Value))
		}
		if b.events != testEvents { // another topic name is part of another id
			text = strings.Replace(text[strings.Index(text, `"time":`):], b.events, testEvents, 1)
		}
		out = append(out, text)
	}
	sort.Strings(out)
	return out
}

// TestEveryRecordEndsOnce holds rows and dead letters to what the generator says it made, and a
// run with restarts and rebalances to one without.
func TestEveryRecordEndsOnce(t *testing.T) {
	whole := newBed(t)
	g := newGenerator(t, 300)
	whole.publish(g, 1<<30)
	stop := whole.worker("w0")
	whole.caughtUp()
	stop()

	truth := g.Stats()
	tables := whole.blockTables()
	if got := int64(tables["events"]); got != truth.Events {
		t.Errorf("%d event rows, the generator made %d events", got, truth.Events)
	}
	if got := int64(tables["dead_letters"]); got != truth.Broken {
		t.Errorf("%d dead letter rows, the generator broke %d records", got, truth.Broken)
	}
	byCode := make(map[event.Code]int64)
	for _, r := range whole.read(whole.topics.DeadLetters) {
		for _, h := range r.Headers {
			if h.Key == "dlq.code" {
				byCode[event.Code(h.Value)]++
			}
		}
	}
	if d := cmp.Diff(truth.BrokenBy, byCode); d != "" {
		t.Errorf("dead letters by code (-made +rejected):\n%s", d)
	}

	parts := newBed(t)
	g = newGenerator(t, 300)
	parts.publish(g, 900)
	stop = parts.worker("w0")
	parts.caughtUp()
	stop()
	stop = parts.worker("w0")
	other := parts.worker("w1")
	for range 8 {
		parts.publish(g, 200)
		time.Sleep(30 * time.Millisecond)
	}
	other() // its partitions move back while events flow
	parts.publish(g, 1<<30)
	parts.caughtUp()
	stop()
	if d := cmp.Diff(decisionsOf(whole), decisionsOf(parts)); d != "" {
		t.Errorf("decisions of one run and of several (-one +several):\n%s", d)
	}
	again := parts.blockTables()
	for _, table := range []string{"events", "decisions", "dead_letters"} {
		if tables[table] != again[table] {
			t.Errorf("%s: %d rows in one run, %d in several", table, tables[table], again[table])
		}
	}
}

// TestRefusals: state that does not belong to the offsets is never used.
func TestRefusals(t *testing.T) {
	b := newBed(t)
	b.publish(newGenerator(t, 20), 1<<30)
	stop := b.worker("w0")
	b.caughtUp()
	stop()
	refused := func(what, want string, key []byte) {
		t.Helper()
		m := NewMetrics(prometheus.NewRegistry())
		line, err := NewLine(LineConfig{Key: key}, m)
		if err != nil {
			t.Fatal(err)
		}
		details, err := b.adm.ListTopics(t.Context(), b.events)
		if err != nil {
			t.Fatal(err)
		}
		w := NewWorker(WorkerConfig{
			Brokers: b.brokers, Group: b.group, Instance: b.topics.Rows + "w0",
			Source: Source{Topic: b.events, TopicID: details[b.events].ID, Partitions: testPartitions},
			Topics: b.topics, RowsPartitions: 2, CommitInterval: 20 * time.Millisecond,
			CommitRecords: 500, RestoreTimeout: 2 * time.Second,
		}, line, m, slog.New(slog.NewTextHandler(io.Discard, nil)))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err = w.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", what, err, want)
		}
	}
	refused("another key", "privacy.key is not the one", []byte("another key of good length"))

	// A static member that stops does not leave: it keeps its partitions for its successor.
	leave := func() {
		if _, err := b.adm.LeaveGroup(t.Context(), kadm.LeaveGroup(b.group).
			InstanceIDs(b.topics.Rows+"w0")); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	offsets := kadm.Offsets{}
	offsets.AddOffset(b.events, 0, 1, -1)
	if err := b.adm.CommitAllOffsets(t.Context(), b.group, offsets); err != nil {
		t.Fatal(err)
	}
	refused("moved offsets", "do not match", testKey)
	leave()
	if _, err := b.adm.DeleteGroup(t.Context(), b.group); err != nil {
		t.Fatal(err)
	}
	refused("deleted group", "no committed offset", testKey)
}

// TestRenews: what a later session may find otherwise is asked for again, what stays the same is not.
func TestRenews(t *testing.T) {
	at := func(offset int) error { return fmt.Errorf("%w: state up to %d", ErrStateMismatch, offset) }
	for _, x := range []struct {
		name          string
		before, ended error
		want          bool
	}{
		{"an unknown end", ErrUnknownEnd, ErrUnknownEnd, true},
		{"a broker away", ErrAway, ErrAway, true},
		{"a first mismatch", nil, at(87), true},
		{"a mismatch after another end", ErrUnknownEnd, at(87), true},
		{"a second mismatch in a row", at(87), at(90), false},
		{"what no session changes", nil, errors.New("no right"), false},
	} {
		if got := Renews(x.before, x.ended); got != x.want {
			t.Errorf("%s: renews %v, want %v", x.name, got, x.want)
		}
	}
}
