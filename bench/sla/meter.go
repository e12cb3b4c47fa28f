package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
)

// meter sends questions and notes when their breaches are seen.
type meter struct {
	cl   *kgo.Client
	conn driver.Conn
	n    int
	run  string // part of every conversation's id

	mu   sync.Mutex
	told map[string]time.Time // by conversation, on the topic
	rows map[string]time.Time // in the table
}

// sighting is when a breach was seen in both places.
type sighting struct{ topic, row time.Time }

func (m *meter) prefix(kind string) string { return kind + "-" + m.run + "-" }

func (m *meter) name(kind string, i int) string { return fmt.Sprint(m.prefix(kind), i) }

func (m *meter) send(ctx context.Context, kind string, i int, headers []kgo.RecordHeader) error {
	_, err := m.question(ctx, m.name(kind, i), time.Now(), headers)
	return err
}

func (m *meter) question(
	ctx context.Context, conversation string, at time.Time, headers []kgo.RecordHeader,
) (partition int32, err error) {
	return m.publish(ctx, conversation, "customer", at, headers)
}

// publish sends one message and waits until the broker has it.
func (m *meter) publish(
	ctx context.Context, conversation, who string, at time.Time, headers []kgo.RecordHeader,
) (partition int32, err error) {
	value := fmt.Sprintf(`{"v":1,"id":"%d","type":"message","time":%d,"conversation_id":%q,"channel":%q,`+
		`"actor":{"kind":%q,"id":"a"},"message":{"text":"How much is it?"}}`, time.Now().UnixNano(),
		at.UnixMilli(), conversation, channel, who)
	r := &kgo.Record{
		Topic: events, Key: []byte(conversation), Value: []byte(value), Timestamp: at, Headers: headers,
	}
	if len(headers) > 0 {
		r.Timestamp = time.Now()
	}
	err = m.cl.ProduceSync(ctx, r).FirstErr()
	return r.Partition, err
}

// tick keeps every partition moving, with messages of conversations that an agent begins: they are
// promised nothing.
func (m *meter) tick(ctx context.Context, passed *watermarks) {
	for ctx.Err() == nil {
		next := time.Now().Add(tickEvery)
		covered := map[int32]bool{}
		for i := range partitions {
			name := m.name("tick", i)
			if p, ok := passed.partitionOf(name); ok && covered[p] {
				continue
			}
			at := time.Now()
			p, err := m.publish(ctx, name, "agent", at, nil)
			if err != nil {
				return
			}
			covered[p] = true
			passed.note(name, p, at, time.Now())
		}
		time.Sleep(time.Until(next))
	}
}

// listen notes breaches on the topic.
func (m *meter) listen(ctx context.Context) {
	for ctx.Err() == nil {
		m.cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var e struct {
				Conversation string `json:"conversation_id"`
				Status       string `json:"status"`
			}
			if json.Unmarshal(r.Value, &e) == nil && e.Status == "breached" {
				m.note(&m.told, e.Conversation)
			}
		})
	}
}

// look notes breaches in the table.
func (m *meter) look(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(lookEvery)
		rows, err := m.conn.Query(ctx, "SELECT conversation_id FROM sla_events_latest WHERE status = 'breached'")
		if err != nil {
			continue
		}
		for rows.Next() {
			var name string
			if rows.Scan(&name) == nil {
				m.note(&m.rows, name)
			}
		}
		_ = rows.Close()
	}
}

func (m *meter) note(where *map[string]time.Time, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *where == nil {
		*where = map[string]time.Time{}
	}
	if _, ok := (*where)[name]; !ok {
		(*where)[name] = time.Now()
	}
}

// await waits until the breaches of n questions were seen in both places.
func (m *meter) await(ctx context.Context, kind string, n int) (map[string]sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	for {
		out := map[string]sighting{}
		m.mu.Lock()
		for i := range n {
			name := m.name(kind, i)
			s := sighting{m.told[name], m.rows[name]}
			if !s.topic.IsZero() && !s.row.IsZero() {
				out[name] = s
			}
		}
		m.mu.Unlock()
		if len(out) == n {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d breaches (%s) were seen: %w", len(out), n, kind, ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}

// watermarks remembers, for each partition, which times had been sent at which moments.
type watermarks struct {
	mu    sync.Mutex
	of    map[string]int32
	ticks map[int32][]tick
}

type tick struct{ at, acked time.Time }

func newWatermarks() *watermarks {
	return &watermarks{of: map[string]int32{}, ticks: map[int32][]tick{}}
}

func (w *watermarks) note(name string, partition int32, at, acked time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of[name] = partition
	w.ticks[partition] = append(w.ticks[partition], tick{at.Truncate(time.Millisecond), acked})
}

func (w *watermarks) partitionOf(name string) (int32, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.of[name]
	return p, ok
}

// after is when the broker had the first record of the partition whose time is not before at.
func (w *watermarks) after(partition int32, at time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.ticks[partition] {
		if !t.at.Before(at) {
			return t.acked
		}
	}
	return time.Now()
}
