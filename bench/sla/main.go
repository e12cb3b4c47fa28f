// Command sla measures how soon a breached promise is told, of an usher that runs:
//
//	bench/sla/run.sh embedded|kafka
//
// It sends questions that nobody answers, in the format of chat.events.v1, and waits for the breach on
// chat.sla.v1 (read committed) and in sla_events. The policy must be that of run.sh: first reply within
// 5 s on the channel sla-bench.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	target     = 5 * time.Second // of the policy
	channel    = "sla-bench"
	events     = "chat.events.v1"
	told       = "chat.sla.v1"
	tickEvery  = 200 * time.Millisecond
	lookEvery  = 100 * time.Millisecond
	stagger    = 150 * time.Millisecond
	waitMax    = 4 * time.Minute
	partitions = 64 // more than the topic has: that many names of tick conversations reach all
)

func main() {
	var brokers, addr string
	var n int
	flag.StringVar(&brokers, "brokers", "", "Kafka, host:port")
	flag.StringVar(&addr, "clickhouse", "", "ClickHouse's HTTP address, host:port")
	flag.IntVar(&n, "n", 40, "questions of each kind")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, brokers, addr, n); err != nil {
		fmt.Fprintln(os.Stderr, "bench/sla:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, brokers, addr string, n int) error {
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{addr}, Protocol: clickhouse.HTTP, Auth: clickhouse.Auth{Database: "usher"},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(told),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	m := &meter{cl: cl, conn: conn, n: n, run: fmt.Sprint(time.Now().UnixMilli()), told: map[string]time.Time{}}
	go m.listen(ctx)
	go m.look(ctx)
	if err := m.send(ctx, "warm", 0, nil); err != nil { // the group has joined when its breach is told
		return err
	}
	if _, err := m.await(ctx, "warm", 1); err != nil {
		return err
	}
	fmt.Printf("%-44s %7s %7s %7s %7s\n", "seconds", "p50", "p95", "max", "of")
	for _, kind := range []func(context.Context) error{m.moving, m.idle, m.replay} {
		if err := kind(ctx); err != nil {
			return err
		}
	}
	return nil
}

// moving measures from the moment at which the watermark passed the due time: when the first record
// of the partition with a later time had been acknowledged.
func (m *meter) moving(ctx context.Context) error {
	ticking, stop := context.WithCancel(ctx)
	defer stop()
	passed := newWatermarks()
	go m.tick(ticking, passed)
	due := map[string]due{}
	for i := range m.n {
		at := time.Now()
		partition, err := m.question(ctx, m.name("moving", i), at, nil)
		if err != nil {
			return err
		}
		due[m.name("moving", i)] = dueAt(partition, at)
		time.Sleep(stagger)
	}
	seen, err := m.await(ctx, "moving", m.n)
	if err != nil {
		return err
	}
	stop()
	var topic, row []float64
	for name, d := range due {
		from := passed.after(d.partition, d.at)
		topic = append(topic, seen[name].topic.Sub(from).Seconds())
		row = append(row, seen[name].row.Sub(from).Seconds())
	}
	show("chat.sla.v1, after the watermark passed it", topic)
	show("row of sla_events, after that", row)
	return nil
}

// idle measures from the due time, where nothing comes after the questions.
func (m *meter) idle(ctx context.Context) error {
	due := map[string]time.Time{}
	for i := range m.n {
		at := time.Now()
		if _, err := m.question(ctx, m.name("idle", i), at, nil); err != nil {
			return err
		}
		due[m.name("idle", i)] = at.Add(target)
	}
	seen, err := m.await(ctx, "idle", m.n)
	if err != nil {
		return err
	}
	var topic, row []float64
	for name, at := range due {
		topic = append(topic, seen[name].topic.Sub(at).Seconds())
		row = append(row, seen[name].row.Sub(at).Seconds())
	}
	show("idle partition: chat.sla.v1, after due", topic)
	show("idle partition: row, after due", row)
	return nil
}

// replay sends history: an answer that came an hour too late. The row must carry the due time.
func (m *meter) replay(ctx context.Context) error {
	begun := time.Now().Add(-48 * time.Hour).Truncate(time.Millisecond)
	history := []kgo.RecordHeader{{Key: "usher.backfill", Value: []byte("1")}}
	for i := range m.n {
		name := m.name("replay", i)
		if _, err := m.question(ctx, name, begun, history); err != nil {
			return err
		}
		if _, err := m.publish(ctx, name, "agent", begun.Add(time.Hour), history); err != nil {
			return err
		}
	}
	if _, err := m.await(ctx, "replay", m.n); err != nil {
		return err
	}
	var right uint64
	err := m.conn.QueryRow(ctx, fmt.Sprintf("SELECT countIf(at = fromUnixTimestamp64Milli(%d) AND at = due_at) "+
		"FROM sla_events_latest WHERE status = 'breached' AND startsWith(conversation_id, '%s')",
		begun.Add(target).UnixMilli(), m.prefix("replay"))).Scan(&right)
	fmt.Printf("%-44s %d of %d\n", "replay: breached at the due time itself", right, m.n)
	return err
}

type due struct {
	partition int32
	at        time.Time
}

func dueAt(partition int32, sent time.Time) due {
	return due{partition: partition, at: sent.Truncate(time.Millisecond).Add(target)}
}

func show(what string, took []float64) {
	slices.Sort(took)
	at := func(p float64) float64 { return took[min(int(p*float64(len(took))), len(took)-1)] }
	fmt.Printf("%-44s %7.2f %7.2f %7.2f %7d\n", what, at(0.5), at(0.95), at(1), len(took))
}
