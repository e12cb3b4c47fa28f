package conversation

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dchest/siphash"

	"usher/pipeline/event"
)

// forumEvent is a line of the Thunderbird set.
type forumEvent struct {
	ConversationID, Sender, Role, Lang, Channel string
	Seq                                         int64
	TimeMS                                      int64
}

func readForum(t testing.TB) []forumEvent {
	dir := sharedDir(t, "data/conversations/thunderbird-aaq")
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl.gz"))
	if err != nil || len(files) == 0 {
		t.Skip("no Thunderbird set")
	}
	var out []forumEvent
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(z)
		in.Buffer(nil, 1<<22)
		for in.Scan() {
			var l struct {
				ConversationID              string `json:"conversation_id"`
				Seq                         int64
				TS                          json.RawMessage
				Sender, Role, Lang, Channel string
			}
			if err := json.Unmarshal(in.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			out = append(out, forumEvent{l.ConversationID, l.Sender, l.Role, l.Lang, l.Channel,
				l.Seq, jsonTime(t, l.TS)})
		}
		if err := in.Err(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return out
}

func (f *forumEvent) event(i int) event.Event {
	return event.Event{Type: event.TypeMessage,
		ID:             fmt.Appendf(nil, "%s/%d", f.ConversationID, f.Seq),
		ConversationID: []byte(f.ConversationID),
		Tenant:         []byte("default"), Lang: []byte(f.Lang),
		Channel: []byte(f.Channel), TimeMS: f.TimeMS, Seq: f.Seq, HasSeq: true,
		Actor:   event.Actor{Kind: jsonActors[f.Role], ID: []byte(f.Sender)},
		Message: event.Message{Public: true}}
}

func keyOf(tenant, id string) Key {
	var k Key
	a, b := siphash.Hash128(1, 2, fmt.Appendf(nil, "%d:%s%s", len(tenant), tenant, id))
	for i := range 8 {
		k[i], k[i+8] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	return k
}

// quantile is ClickHouse's quantileExact: the element at p·n, rounded down.
func quantile(xs []int64, p float64) int64 {
	slices.Sort(xs)
	return xs[min(int(p*float64(len(xs))), len(xs)-1)]
}

// TestThunderbird: KPIS edge 13 and 17, on 111,787 real events.
func TestThunderbird(t *testing.T) {
	events := readForum(t)
	for _, initial := range []int{0, 1000, 1_000_000} {
		table := NewTable(Config{InitialConversations: initial})
		cycles := map[int64]Cycle{}
		skewed, flagged := 0, 0
		take := func() {
			f := table.Facts()
			for _, c := range f.Cycles {
				cycles[c.CycleOffset] = c
			}
			for _, x := range f.Turns {
				if x.Skewed {
					skewed += int(x.Sign)
				}
			}
			table.BeginTransaction()
		}
		for i := range events {
			ev := events[i].event(i)
			in := Input{Key: keyOf("default", events[i].ConversationID), Event: &ev,
				ConversationID: ev.ConversationID, Offset: int64(i), NowMS: math.MaxInt64}
			var out Arrival
			if err := table.Arrive(&in, &out); err != nil {
				t.Fatal(err)
			}
			if out.Flags&FlagClockSkew != 0 {
				flagged++
			}
			table.Settle(nil)
			if i%5000 == 0 {
				take()
			}
		}
		take()
		checkThunderbird(t, cycles, table)
		if skewed != 22 || flagged != 22 {
			t.Errorf("skewed %d, flagged %d; want 22", skewed, flagged)
		}
	}
}

func checkThunderbird(t *testing.T, cycles map[int64]Cycle, table *Table) {
	t.Helper()
	unanswered, asked := 0, 0
	var replies []int64
	for _, c := range cycles {
		if c.MessagesCustomer == 0 {
			continue
		}
		asked++
		if c.HumanReplies+c.BotReplies == 0 {
			unanswered++
		}
		if c.FirstReplyHumanMS >= 0 {
			replies = append(replies, c.FirstReplyHumanMS)
		}
	}
	if unanswered != 9360 || asked != 35104 || table.Len() != 35104 {
		t.Errorf("unanswered %d of %d, %d conversations; want 9360 of 35104",
			unanswered, asked, table.Len())
	}
	for _, q := range []struct{ p, want float64 }{{0.5, 13_096_000}, {0.9, 130_577_000}} {
		if got := float64(quantile(replies, q.p)); math.Abs(got-q.want) > q.want/1000 {
			t.Errorf("quantile %v of the first human reply is %v ms, want %v", q.p, got, q.want)
		}
	}
	t.Logf("%d bytes per conversation", table.Bytes()/int64(table.Len()))
}
