package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/conversation"
)

// script plays one order of events to a Router.
type script struct {
	t    *testing.T
	r    *Router
	out  []*kgo.Record
	log  []*kgo.Record // the changelog: what committed transactions produced
	seen int           // of out, by commit
	now  int64
}

const scriptStartMS = 1_794_000_000_000

var errScript = errors.New("as the test asks")

func newScript(t *testing.T, timers Timers) *script {
	t.Helper()
	line, err := NewLine(LineConfig{Key: testKey}, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, now: scriptStartMS}
	s.r = NewRouter(RouterConfig{
		Source: Source{Topic: testEvents, TopicID: [16]byte{7}, Partitions: 2},
		Topics: DefaultTopics(""), RowsPartitions: 1, CommitIntervalMS: 100, CommitRecords: 10,
		Timers: timers, Now: func() time.Time { return time.UnixMilli(s.now) },
	}, line, s)
	return s
}

// Produce implements Producer.
func (s *script) Produce(r *kgo.Record) {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	s.out = append(s.out, &c)
}

// want takes the next step, which must be of the kind.
func (s *script) want(kind StepKind) Step {
	s.t.Helper()
	step := s.r.Next(s.now)
	if step.Kind != kind {
		s.t.Fatalf("step %d (%v), want %d", step.Kind, step.Err, kind)
	}
	return step
}

// assign gives the router a partition and the changelog so far.
func (s *script) assign(p int32, at Committed) {
	s.t.Helper()
	s.r.Assigned(p, at)
	s.restore()
}

func (s *script) restore() {
	s.t.Helper()
	state := s.want(StepRestore).State
	done, err := state.Complete(len(s.log) == 0)
	for i := 0; i < len(s.log) && !done && err == nil; i++ {
		if err = state.Apply(s.log[i]); err == nil {
			done, err = state.Complete(i == len(s.log)-1)
		}
	}
	if err == nil && !done {
		err = state.TimedOut(time.Second)
	}
	s.r.Restored(state, err)
}

// event hands over a record; its text matters to nobody.
func (s *script) event(p int32, offset int64) {
	value := strings.Replace(good, `"id":"1"`, fmt.Sprintf(`"id":"%d"`, offset), 1)
	s.r.Fetched([]*kgo.Record{{
		Topic: testEvents, Partition: p, Offset: offset, Key: []byte("c-42"), Value: []byte(value),
		Timestamp: time.UnixMilli(s.now),
	}})
}

// transact takes the open transaction to its end.
func (s *script) transact(commit bool) Step {
	s.t.Helper()
	s.r.Close()
	s.want(StepFlush)
	s.r.Flushed(nil)
	end := s.want(StepEnd)
	if commit {
		for _, r := range s.out[s.seen:] {
			if r.Topic == "usher.state.v1" {
				s.log = append(s.log, r)
			}
		}
	}
	s.seen = len(s.out)
	s.r.Ended(commit && end.Commit, nil)
	return end
}

func (s *script) begin() {
	s.t.Helper()
	s.want(StepBegin)
	s.r.Begun(nil)
	s.want(StepPoll)
}

// oneTimer is due at an instant and says so to the topic of SLA events.
type oneTimer struct {
	topic string
	dueMS int64
}

func (o oneTimer) NextMS(_ int32, _ *conversation.Table, firedMS int64) int64 {
	if firedMS >= o.dueMS {
		return 0
	}
	return o.dueMS
}

func (o oneTimer) Fire(p int32, _ *conversation.Table, _, _ int64, to Producer) {
	to.Produce(&kgo.Record{Topic: o.topic, Value: fmt.Appendf(nil, "%d", p)})
}

func (s *script) fired() int {
	n := 0
	for _, r := range s.out {
		if r.Topic == "chat.sla.v1" {
			n++
		}
	}
	return n
}

// TestTimerOnlyTransactionCommitsItsOffset: where it did not move, too, and no restore may stop
// before what the timer changed.
func TestTimerOnlyTransactionCommitsItsOffset(t *testing.T) {
	s := newScript(t, oneTimer{"chat.sla.v1", scriptStartMS + 1000})
	s.assign(1, Committed{Offset: -1, Seq: -1})
	s.want(StepResume)
	s.event(1, 0)
	s.begin()
	if d := cmp.Diff(map[int32]Committed{1: {1, 1}}, s.transact(true).Offsets); d != "" {
		t.Errorf("offsets (-want +got):\n%s", d)
	}
	s.r.CaughtUp(1)
	s.want(StepPoll) // not due yet
	s.now += 10_000
	s.want(StepPoll)
	s.r.CaughtUp(1)
	s.begin()
	if s.fired() != 0 {
		t.Error("a timer fired before its transaction was about to end")
	}
	end := s.transact(true)
	if d := cmp.Diff(map[int32]Committed{1: {1, 2}}, end.Offsets); d != "" || s.fired() != 1 {
		t.Errorf("%d timers fired, offsets (-want +got):\n%s", s.fired(), d)
	}
	s.want(StepPoll) // fired once

	before := s.log
	s.log = before[:len(before)-1]
	s.assign(1, ParseCommitted(1, end.Offsets[1].Meta()))
	if err := s.want(StepRefuse).Err; !errors.Is(err, ErrStateMismatch) {
		t.Errorf("a state without what the timer changed: %v, want a mismatch", err)
	}
}

// TestAbortThrowsStateAway: what follows an abort is computed as if it had never been.
func TestAbortThrowsStateAway(t *testing.T) {
	s := newScript(t, nil)
	s.assign(0, Committed{Offset: -1, Seq: -1})
	s.want(StepResume)
	s.event(0, 0)
	s.begin()
	s.transact(true)
	var rows [2]string
	for i := range rows {
		at := len(s.out)
		s.event(0, 1)
		s.begin()
		s.transact(i == 1)
		for _, r := range s.out[at:] {
			rows[i] += r.Topic + string(r.Value)
		}
		if i == 0 {
			if p := s.want(StepPause).Partition; p != 0 {
				t.Errorf("pauses %d", p)
			}
			s.restore()
			s.want(StepResume)
		}
	}
	if rows[0] != rows[1] {
		t.Error("the transaction after the abort wrote something else")
	}
}

// TestWhatAborts: every reason to abort ends the transaction without a commit.
func TestWhatAborts(t *testing.T) {
	for name, disturb := range map[string]func(*script){
		"partition taken away":      func(s *script) { s.r.Revoked(0) },
		"record of another's":       func(s *script) { s.event(1, 0) },
		"record that was processed": func(s *script) { s.event(0, 0) },
	} {
		s := newScript(t, nil)
		s.assign(0, Committed{Offset: -1, Seq: -1})
		s.want(StepResume)
		s.event(0, 0)
		s.begin()
		disturb(s)
		if end := s.want(StepEnd); end.Commit {
			t.Errorf("%s: commits", name)
		}
	}
	s := newScript(t, nil)
	s.assign(0, Committed{Offset: -1, Seq: -1})
	s.want(StepResume)
	s.event(0, 0)
	s.begin()
	s.now += 100
	s.want(StepFlush)
	s.r.Flushed(errScript)
	if end := s.want(StepEnd); end.Commit {
		t.Error("commits what could not be produced")
	}
	s.r.Ended(false, errScript)
	if err := s.want(StepRefuse).Err; !errors.Is(err, ErrUnknownEnd) || !errors.Is(err, errScript) {
		t.Errorf("an unknown end: %v", err)
	}
}

// TestClockSetBack: a frozen _day never goes back.
func TestClockSetBack(t *testing.T) {
	s := newScript(t, nil)
	s.assign(0, Committed{Offset: -1, Seq: -1})
	s.want(StepResume)
	s.event(0, 0)
	s.begin()
	s.transact(true)
	first := s.r.parts[0].day
	s.now -= 10 * dayMS
	s.event(0, 1)
	s.want(StepBegin)
	s.r.Begun(nil)
	s.want(StepPoll)
	if got := s.r.parts[0].day; got < first {
		t.Errorf("_day went from %d to %d", first, got)
	}
}

// TestRefusedStates: state that was written under other conditions is never used.
func TestRefusedStates(t *testing.T) {
	for want, change := range map[string]func(*Router){
		"deleted and created again":  func(r *Router) { r.cfg.Source.TopicID[0]++ },
		"written when it had 2":      func(r *Router) { r.cfg.Source.Partitions = 3 },
		"privacy.key is not the one": func(r *Router) { r.line.fingerprint++ },
	} {
		s := newScript(t, nil)
		s.assign(0, Committed{Offset: -1, Seq: -1})
		s.want(StepResume)
		s.event(0, 0)
		s.begin()
		s.transact(true)
		s.want(StepPoll)
		change(s.r)
		s.assign(0, Committed{Offset: 1, Seq: 1})
		if err := s.want(StepRefuse).Err; !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

// TestCommittedMeta: what a commit says is what the next owner reads.
func TestCommittedMeta(t *testing.T) {
	c := Committed{Offset: 9, Seq: 12}
	if got := ParseCommitted(9, c.Meta()); got != c {
		t.Errorf("%+v came back as %+v", c, got)
	}
	for _, foreign := range []string{"", "member-1", "usher ", "usher -4", "usher x"} {
		if got := ParseCommitted(9, foreign); got != (Committed{9, -1}) {
			t.Errorf("%q reads as %+v", foreign, got)
		}
	}
}

// TestTimerOnlyTransactionOnBroker: the client leaves unmoved offsets out; the worker puts them in.
func TestTimerOnlyTransactionOnBroker(t *testing.T) {
	b := newBed(t)
	if _, err := b.adm.CreateTopic(t.Context(), 1, 1, nil, b.topics.SLA); err != nil {
		t.Fatal(err)
	}
	b.publish(newGenerator(t, 5), 1<<30)
	stop := b.worker("w0")
	b.caughtUp()
	stop()
	before := b.committed()

	var ahead atomic.Int64
	stop = b.workerWith("w0", oneTimer{b.topics.SLA, time.Now().Add(time.Hour).UnixMilli()}, func(w *Worker) {
		w.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		w.after = func(r *Router) {
			for p := range int32(testPartitions) {
				r.CaughtUp(p)
			}
		}
	})
	ahead.Store(int64(2 * time.Hour))
	deadline := time.Now().Add(30 * time.Second)
	for len(b.read(b.topics.SLA)) < len(before) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if n := len(b.read(b.topics.SLA)); n != len(before) {
		t.Fatalf("%d timers fired, want one for each of %d partitions", n, len(before))
	}
	for p, at := range b.committed() {
		if want := (Committed{before[p].Offset, before[p].Seq + 1}); at != want {
			t.Errorf("partition %d: committed %+v, want %+v", p, at, want)
		}
	}
	stop = b.worker("w0") // the state is found by the transaction that fired
	b.publish(newGenerator(t, 5), 1<<30)
	b.caughtUp()
	stop()
}

func (b *bed) committed() map[int32]Committed {
	b.t.Helper()
	all, err := b.adm.FetchOffsets(b.t.Context(), b.group)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[int32]Committed{}
	all.Each(func(o kadm.OffsetResponse) { out[o.Partition] = ParseCommitted(o.At, o.Metadata) })
	return out
}

// workerWith starts a worker with timers and changed by adjust; stop ends it cleanly.
func (b *bed) workerWith(instance string, timers Timers, adjust func(*Worker)) (stop func()) {
	b.t.Helper()
	m := NewMetrics(prometheus.NewRegistry())
	line, err := NewLine(LineConfig{Key: testKey}, m)
	if err != nil {
		b.t.Fatal(err)
	}
	details, err := b.adm.ListTopics(b.t.Context(), b.events)
	if err != nil {
		b.t.Fatal(err)
	}
	w := NewWorker(WorkerConfig{
		Brokers: b.brokers, Group: b.group, Instance: b.topics.Rows + instance,
		Source: Source{Topic: b.events, TopicID: details[b.events].ID, Partitions: testPartitions},
		Topics: b.topics, RowsPartitions: 2, CommitInterval: 20 * time.Millisecond,
		CommitRecords: 500, RestoreTimeout: 20 * time.Second, Timers: timers,
	}, line, m, slog.New(slog.NewTextHandler(io.Discard, nil)))
	adjust(w)
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
