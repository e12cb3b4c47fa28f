package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startFake gives the test a broker of its own.
func startFake(t *testing.T) (env []string, cl *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	addrs := strings.Join(cluster.ListenAddrs(), ",")
	cl, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return []string{"USHER_KAFKA_BROKERS=" + addrs}, cl
}

// records reads n records of a topic.
func records(t *testing.T, cl *kgo.Client, topic string, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cl.AddConsumeTopics(topic)
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records came", len(out), n)
		}
		fetches.EachRecord(func(r *kgo.Record) { out = append(out, r) })
	}
	return out
}

func TestTopicsApplyAndProduce(t *testing.T) {
	env, cl := startFake(t)
	missing := write(t, "events.jsonl", "{}\n")
	r := call{args: []string{"produce", "--input", missing}, env: env}.run(t)
	if r.code != exitFailed {
		t.Errorf("without topics: exit code %d", r.code)
	}
	has(t, "the error", r.err, "usher topics --apply")

	apply := call{args: []string{"topics", "--apply", "--partitions", "6"}, env: env}
	has(t, "the first time", apply.good(t).stdout, "chat.events.v1: created, 6 partitions",
		"usher.rows.v1: created, 4 partitions", "usher.state.v1: created, 6 partitions")
	has(t, "the second time", apply.good(t).stdout, "chat.events.v1: there, 6 partitions")

	// 40 conversations, a broken line and a blank one: keys are the ids, by murmur2.
	var lines strings.Builder
	for i := range 80 {
		fmt.Fprintf(&lines, `{"v":1,"id":"%d","type":"message","time":1793613600000,"conversation_id":"c-%d"}`+"\n", i, i%40)
	}
	lines.WriteString("\nbroken\n")
	call{args: []string{"produce", "--input", "-"}, stdin: lines.String(), env: env}.good(t)
	murmur2 := kgo.StickyKeyPartitioner(nil).ForTopic("chat.events.v1")
	broken := 0
	for _, rec := range records(t, cl, "chat.events.v1", 81) {
		if rec.Key == nil {
			broken++
			continue
		}
		if !strings.Contains(string(rec.Value), `"conversation_id":"`+string(rec.Key)+`"`) {
			t.Errorf("key %q of %s", rec.Key, rec.Value)
		}
		if want := murmur2.Partition(rec, 6); int32(want) != rec.Partition {
			t.Errorf("key %q lies in partition %d, murmur2 says %d", rec.Key, rec.Partition, want)
		}
	}
	if broken != 1 {
		t.Errorf("%d records without a key, want the broken line", broken)
	}
}

func TestPace(t *testing.T) {
	due := func(rate float64, sent int64, want time.Duration) {
		t.Helper()
		if got := pace(rate, sent); got != want {
			t.Errorf("event %d at %v a second is due after %s, want %s", sent+1, rate, got, want)
		}
	}
	due(0, 1000, 0)
	due(20, 0, 0)
	due(20, 10, 500*time.Millisecond)
	due(0.5, 3, 6*time.Second)
	due(1e6, 1_000_000, time.Second)
}

// A rate slows nothing down to a halt: everything arrives.
func TestProduceAtARate(t *testing.T) {
	env, cl := startFake(t)
	call{args: []string{"topics", "--apply", "--partitions", "1"}, env: env}.good(t)
	call{args: []string{"produce", "--input", "-", "--rate", "200"}, stdin: strings.Repeat("{}\n", 11),
		env: env}.good(t)
	records(t, cl, "chat.events.v1", 11)
}

func TestTopicsThatDoNotFit(t *testing.T) {
	env, cl := startFake(t)
	adm := kadm.NewClient(cl)
	ctx := context.Background()
	if _, err := adm.CreateTopic(ctx, 3, 1, nil, "chat.events.v1"); err != nil {
		t.Fatal(err)
	}
	wrong := map[string]*string{"cleanup.policy": kadm.StringPtr("delete")}
	if _, err := adm.CreateTopic(ctx, 5, 1, wrong, "usher.state.v1"); err != nil {
		t.Fatal(err)
	}
	r := call{args: []string{"topics", "--apply"}, env: env}.run(t)
	if r.code != exitNotHeld {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	has(t, "the findings", r.stdout, "usher.state.v1: has 5 partitions, its events topic 3",
		"usher.state.v1: cleanup.policy is delete, usher needs compact; mend it with kafka-configs",
		"chat.decisions.v1: created")
}

func TestImportToKafkaIsHistory(t *testing.T) {
	env, cl := startFake(t)
	call{args: []string{"topics", "--apply", "--partitions", "2"}, env: env}.good(t)
	source := write(t, "export.jsonl", foreign)
	call{args: append([]string{"import", "jsonl", source, "--kafka"}, foreignFlags...), env: env}.good(t)
	seqs := ""
	for _, rec := range records(t, cl, "chat.events.v1", 3) {
		if len(rec.Headers) != 1 || rec.Headers[0].Key != "usher.backfill" {
			t.Errorf("headers %v", rec.Headers)
		}
		if string(rec.Key) == "t-1" {
			seqs += string(rec.Value[strings.Index(string(rec.Value), `"seq":`)+6])
		}
	}
	if seqs != "12" {
		t.Errorf("conversation t-1 was published in the order %q", seqs)
	}
}
