package pipeline

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/conversation"
)

// slaBed is a bed whose workers keep a policy: an answer within a minute, due soon after half of it.
type slaBed struct {
	*bed
	ahead atomic.Int64 // of the worker's clock
	stop  func()
}

func newSLABed(t *testing.T) *slaBed {
	b := &slaBed{bed: newBed(t)}
	if _, err := b.adm.CreateTopic(t.Context(), 1, 1, nil, b.topics.SLA); err != nil {
		t.Fatal(err)
	}
	b.start()
	return b
}

func (b *slaBed) start() {
	line, err := NewLine(LineConfig{
		Key: testKey,
		State: conversation.Config{Policies: []conversation.Policy{
			{Name: "chat", Channels: []string{"web"}, DueSoon: 0.5, TargetMS: [4]int64{60_000}},
		}},
	}, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.stop = b.workerWith("w0", SLATimers{}, func(w *Worker) {
		w.line = line
		w.now = func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
	})
}

// say publishes a message of the conversation and waits until it is processed.
func (b *slaBed) say(conversation, id, kind string, at time.Time, headers ...kgo.RecordHeader) {
	b.t.Helper()
	value := fmt.Sprintf(`{"v":1,"id":%q,"type":"message","time":%d,"conversation_id":%q,"channel":"web",`+
		`"actor":{"kind":%q},"message":{"text":"hello"}}`, id, at.UnixMilli(), conversation, kind)
	rec := &kgo.Record{Topic: b.events, Key: []byte(conversation), Value: []byte(value), Headers: headers}
	if err := b.cl.ProduceSync(b.t.Context(), rec).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
	b.caughtUp()
}

// expect waits for the records of chat.sla.v1, in any order of conversations, and nothing else.
func (b *slaBed) expect(want ...string) {
	b.t.Helper()
	var got map[string]int
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		got = map[string]int{}
		n := 0
		for _, rec := range b.read(b.topics.SLA) {
			var r slaRecord
			if err := json.Unmarshal(rec.Value, &r); err != nil || string(rec.Key) != r.ConversationID {
				b.t.Fatalf("record %s of %q: %v", rec.Value, rec.Key, err)
			}
			got[fmt.Sprintf("%s %s %s due %s at %s sign %d", r.ConversationID, r.Metric, r.Status,
				r.DueAt[11:19], r.At[11:19], r.Sign)]++
			n++
		}
		same := n == len(want)
		for _, w := range want {
			same = same && got[w] == 1
		}
		if same {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("chat.sla.v1 holds %v, want %q", got, want)
}

// TestSLAOnBroker: a promise in an idle partition is broken when it is due, once, also by the worker
// that takes over; the record carries the due time; a late answer repairs it.
func TestSLAOnBroker(t *testing.T) {
	b := newSLABed(t)
	now := time.Now().UTC()
	// On a round second, so that texts are short.
	asked := now.Truncate(time.Second)
	clock := func(seconds int) string {
		return asked.Add(time.Duration(seconds) * time.Second).Format("15:04:05")
	}
	b.say("c-1", "1", "customer", asked)
	b.say("c-2", "2", "customer", asked)
	b.say("c-2", "3", "agent", asked)
	met := "c-2 first_reply met due " + clock(60) + " at " + clock(0) + " sign 1"
	b.expect(met)
	b.ahead.Store(int64(40 * time.Second)) // due soon, and the grace is over
	soon := "c-1 first_reply due_soon due " + clock(60) + " at " + clock(30) + " sign 1"
	b.expect(met, soon)
	b.stop()
	before := b.committed()

	b.ahead.Store(int64(500 * time.Second)) // while nobody worked
	b.start()
	broken := "c-1 first_reply breached due " + clock(60) + " at " + clock(60) + " sign 1"
	b.expect(met, soon, broken)
	b.stop()
	moved := 0
	for p, at := range b.committed() {
		if at.Offset != before[p].Offset {
			t.Errorf("partition %d: a timer moved the offset from %d to %d", p, before[p].Offset, at.Offset)
		}
		if at.Seq > before[p].Seq {
			moved++
		}
	}
	if moved != 1 {
		t.Errorf("%d partitions had a transaction for one timer", moved)
	}

	b.start() // fires nothing again
	b.say("c-1", "4", "agent", asked.Add(20*time.Second))
	repaired := "c-1 first_reply met due " + clock(60) + " at " + clock(20) + " sign 1"
	b.expect(met, soon, broken, repaired, "c-1 first_reply due_soon due "+clock(60)+" at "+clock(30)+" sign -1")
	b.stop()
	if n := b.blockTables()["sla_events"]; n < 4 {
		t.Errorf("%d blocks of sla_events", n)
	}
}

// TestSLAOfHistory: imported conversations go by their own times.
func TestSLAOfHistory(t *testing.T) {
	b := newSLABed(t)
	backfill := kgo.RecordHeader{Key: backfillHeader, Value: []byte("1")}
	asked := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	b.say("c-1", "1", "customer", asked, backfill)
	b.say("c-2", "2", "customer", asked, backfill)
	b.ahead.Store(int64(20 * time.Second)) // the live clock is years after the due time
	time.Sleep(1500 * time.Millisecond)
	b.say("c-1", "3", "agent", asked.Add(20*time.Second), backfill)
	met := "c-1 first_reply met due 12:01:00 at 12:00:20 sign 1"
	b.expect(met)
	b.ahead.Store(int64(3 * time.Minute)) // nothing more has come
	b.expect(met, "c-2 first_reply due_soon due 12:01:00 at 12:00:30 sign 1",
		"c-2 first_reply breached due 12:01:00 at 12:01:00 sign 1")
	b.stop()
}
