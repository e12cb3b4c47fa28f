package audit_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/audit"
)

func TestOffsetsWaitUntilTheSinkHasStoredWhatWasRouted(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "in"), kfake.SeedTopics(2, "rows"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for p := range int32(2) {
		for range 5 {
			r := &kgo.Record{Topic: "rows", Partition: p, Value: []byte("x")}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit := func(ctx context.Context, group, topic string, partition int32, at int64) {
		var o kadm.Offsets
		o.AddOffset(topic, partition, at, -1)
		if _, err := adm.CommitOffsets(ctx, group, o); err != nil {
			t.Error(err)
		}
	}
	commit(t.Context(), "router", "in", 0, 7)
	commit(t.Context(), "router", "in", 2, 9)
	commit(t.Context(), "sink", "rows", 0, 5)
	commit(t.Context(), "sink", "rows", 1, 3)
	k := audit.Kafka{
		InputTopics: []string{"in"}, RouterGroup: "router", RowsTopic: "rows", SinkGroup: "sink",
		Wait: 100 * time.Millisecond,
	}
	if _, err := audit.Offsets(t.Context(), adm, k); err == nil || !strings.Contains(err.Error(), "2 records") {
		t.Errorf("a sink that is behind: %v", err)
	}
	ctx, done := t.Context(), make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(100 * time.Millisecond)
		commit(ctx, "sink", "rows", 1, 5)
	}()
	k.Wait = time.Minute
	s, err := audit.Offsets(t.Context(), adm, k)
	<-done
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Inputs) != 2 || s.Inputs[0].End != 7 || s.Inputs[1].Partition != 2 || s.Inputs[1].End != 9 ||
		len(s.Rows) != 2 || s.Rows[1].End != 5 {
		t.Errorf("%+v", s)
	}
	topics, err := adm.ListTopics(t.Context(), "in")
	if err != nil || s.Inputs[0].TopicID != [16]byte(topics["in"].ID) {
		t.Errorf("topic id %x, %v", s.Inputs[0].TopicID, err)
	}
}
