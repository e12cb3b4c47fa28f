package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestLag: the oldest unprocessed record counts by its own time; the mark that a transaction leaves
// at a topic's end is no record that anybody waits for.
func TestLag(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "in", "rows"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	plain := client(t, append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	now := time.Now()
	for i, age := range []time.Duration{300, 200, 100} {
		r := &kgo.Record{Topic: "in", Value: []byte{byte(i)}, Timestamp: now.Add(-age * time.Second)}
		if err := plain.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	transacted := client(t, append(opts, kgo.TransactionalID("t"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err := transacted.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := transacted.ProduceSync(t.Context(), &kgo.Record{Topic: "rows"}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := transacted.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(plain)
	commit(t, adm, "router", "in", 1)
	commit(t, adm, "sink", "rows", 1)
	probe := &lagProbe{opts: opts, groups: []lagGroup{{"router", []string{"in"}}, {"sink", []string{"rows"}}}}
	check := func(want string) {
		t.Helper()
		samples, err := probe.measure(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range samples {
			got += fmt.Sprintf("%s %s %.0f; ", s.Name, s.Labels, s.Value)
		}
		if got != want {
			t.Errorf("measured %s, want %s", got, want)
		}
	}
	check("usher_lag_records group=router 2; usher_lag_seconds group=router 200; " +
		"usher_lag_records group=sink 0; usher_lag_seconds group=sink 0; ")
	commit(t, adm, "router", "in", 3)
	check("usher_lag_records group=router 0; usher_lag_seconds group=router 0; " +
		"usher_lag_records group=sink 0; usher_lag_seconds group=sink 0; ")
}

func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func commit(t *testing.T, adm *kadm.Client, group, topic string, at int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, at, -1)
	if err := adm.CommitAllOffsets(context.Background(), group, offsets); err != nil {
		t.Fatal(err)
	}
}
