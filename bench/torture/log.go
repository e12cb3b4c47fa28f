package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readTimeout bounds the reading of one topic to its stable end.
const readTimeout = 300 * time.Second

// position is where an input record lies.
type position struct {
	partition int32
	offset    int64
}

// record is one input record as the log holds it.
type record struct {
	at         position
	key, value []byte
	code       string // the generator's truth: why it must be a dead letter; empty for an event
	event      *plainEvent
}

// inputLog is everything that usher was given.
type inputLog struct {
	records []record // by partition and offset
	start   offsets
	end     offsets

	pseudonyms map[string]string // tenant and conversation id → conversation id as stored
}

// plainEvent is what this package reads of an event, by encoding/json alone.
type plainEvent struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	Tenant         string          `json:"tenant"`
	ConversationID string          `json:"conversation_id"`
	Time           json.RawMessage `json:"time"`
	Seq            *int64          `json:"seq"`
	Actor          struct {
		Kind string `json:"kind"`
	} `json:"actor"`
	Message   *plainMessage `json:"message"`
	BotAnswer *plainMessage `json:"bot_answer"`
	Status    struct {
		To string `json:"to"`
	} `json:"status"`
	timeMS int64
}

type plainMessage struct {
	Public    *bool `json:"public"`
	Automated bool  `json:"automated"`
	Fallback  bool  `json:"fallback"`
	Greeting  bool  `json:"greeting"`
}

// message is the message object of a message or a bot's answer; its absence means the defaults.
func (e *plainEvent) message() plainMessage {
	m := e.Message
	if m == nil {
		m = e.BotAnswer
	}
	if m == nil {
		return plainMessage{}
	}
	return *m
}

// open reports whether a message is public and not automated.
func (m plainMessage) open() bool { return (m.Public == nil || *m.Public) && !m.Automated }

// asks reports whether the event is a message of a customer that a decision is due for.
func (e *plainEvent) asks() bool {
	return e.Type == "message" && e.Actor.Kind == "customer" && e.message().open()
}

func parseEvent(value []byte) (*plainEvent, error) {
	e := &plainEvent{}
	if err := json.Unmarshal(value, e); err != nil {
		return nil, err
	}
	if e.Tenant == "" {
		e.Tenant = "default"
	}
	text := strings.Trim(string(e.Time), `"`)
	if _, err := fmt.Sscanf(text, "%d", &e.timeMS); err == nil && !strings.Contains(text, "-") {
		return e, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	e.timeMS = t.UnixMilli()
	return e, err
}

// readLog reads the input to its stable end, read_committed.
func (b *bed) readLog(ctx context.Context) (*inputLog, error) {
	l := &inputLog{}
	var err error
	l.start, l.end, err = b.eachRecord(ctx, eventsTopic, func(r *kgo.Record) error {
		rec := record{at: position{r.Partition, r.Offset}, key: r.Key, value: r.Value}
		found := false
		for _, h := range r.Headers {
			if h.Key == codeHeader {
				rec.code, found = string(h.Value), true
			}
		}
		if !found {
			return fmt.Errorf("the record at %v is not the producer's", rec.at)
		}
		if rec.code == "" {
			var err error
			if rec.event, err = parseEvent(r.Value); err != nil {
				return fmt.Errorf("cannot read the event at %v: %w", rec.at, err)
			}
		}
		l.records = append(l.records, rec)
		return nil
	})
	return l, err
}

// eachRecord reads a topic, read_committed, from its start to its end as of now; control records and
// aborted ones are left out, as for any consumer.
func (b *bed) eachRecord(ctx context.Context, topic string, each func(*kgo.Record) error) (
	start, end offsets, err error,
) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	starts, err1 := b.adm.ListStartOffsets(ctx, topic)
	ends, err2 := b.adm.ListCommittedOffsets(ctx, topic)
	if err := errors.Join(err1, err2, starts.Error(), ends.Error()); err != nil {
		return nil, nil, fmt.Errorf("cannot list the offsets of %s: %w", topic, err)
	}
	start, end = offsets{}, offsets{}
	from := make(map[int32]kgo.Offset)
	starts.Each(func(o kadm.ListedOffset) {
		start[o.Partition] = o.Offset
		from[o.Partition] = kgo.NewOffset().At(o.Offset)
	})
	ends.Each(func(o kadm.ListedOffset) { end[o.Partition] = o.Offset })
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.broker.addr), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	at := offsets{}
	for p := range end {
		at[p] = start[p]
	}
	for !at.reached(end) {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, nil, fmt.Errorf("cannot read %s: %w", topic, err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if failed == nil && !r.Attrs.IsControl() && r.Offset < end[r.Partition] {
				failed = each(r)
			}
		})
		if failed != nil {
			return nil, nil, failed
		}
	}
	return start, end, nil
}
