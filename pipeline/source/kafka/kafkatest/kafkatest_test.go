package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The broker keeps what the whole design rests on: a reader of committed records sees a whole
// transaction or nothing of it, and offsets committed inside it go the same way.
func TestTransactionsAreWholeOrAbsent(t *testing.T) {
	topic := Topic(t, "transactions", 2, nil)
	producer := Client(t, kgo.TransactionalID(Name("producer")), kgo.DefaultProduceTopic(topic))
	transaction(t, producer, "kept", kgo.TryCommit)
	transaction(t, producer, "dropped", kgo.TryAbort)
	transaction(t, producer, "kept too", kgo.TryCommit)

	committed := valuesOf(t, topic, kgo.ReadCommitted(), 20)
	if committed["kept"] != 10 || committed["kept too"] != 10 || committed["dropped"] != 0 {
		t.Errorf("read committed saw %v, want 10 kept, 10 kept too and nothing of dropped", committed)
	}
	all := valuesOf(t, topic, kgo.ReadUncommitted(), 30)
	if all["dropped"] != 10 {
		t.Errorf("read uncommitted saw %v: the aborted records never reached the broker", all)
	}
}

// A second producer with the same transactional id fences the first one at once.
func TestSameTransactionalIDFences(t *testing.T) {
	topic := Topic(t, "fence", 1, nil)
	id := Name("fenced")
	old := Client(t, kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic))
	transaction(t, old, "old", kgo.TryCommit)
	if err := old.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	fresh := Client(t, kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic))
	transaction(t, fresh, "fresh", kgo.TryCommit)

	err := old.ProduceSync(t.Context(), kgo.StringRecord("zombie")).FirstErr()
	if err == nil {
		err = old.EndTransaction(t.Context(), kgo.TryCommit)
	}
	if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("the fenced producer got %v, want INVALID_PRODUCER_EPOCH or PRODUCER_FENCED", err)
	}
	if got := valuesOf(t, topic, kgo.ReadCommitted(), 20); got["zombie"] != 0 || got["fresh"] != 10 {
		t.Errorf("read committed saw %v, want 10 old, 10 fresh and no zombie", got)
	}
}

// The broker is a real one: it enforces the size of the offset metadata, which the embedded broker
// does not, and its topics are gone after the test.
func TestBrokerEnforcesOffsetMetadata(t *testing.T) {
	topic := Topic(t, "metadata", 1, nil)
	admin := kadm.NewClient(Client(t))
	commit := func(bytes int) error {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: topic, At: 0, LeaderEpoch: -1, Metadata: fmt.Sprintf("%*d", bytes, 1)})
		answer, err := admin.CommitOffsets(t.Context(), Name("group"), offsets)
		if err != nil {
			return err
		}
		return answer.Error()
	}
	if err := commit(4096); err != nil {
		t.Errorf("4096 bytes of metadata: %v, want them accepted", err)
	}
	if err := commit(4097); !errors.Is(err, kerr.OffsetMetadataTooLarge) {
		t.Errorf("4097 bytes of metadata: %v, want OFFSET_METADATA_TOO_LARGE", err)
	}
}

// transaction writes ten records of one value and ends the transaction.
func transaction(t *testing.T, client *kgo.Client, value string, end kgo.TransactionEndTry) {
	t.Helper()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		record := &kgo.Record{Key: fmt.Append(nil, i), Value: []byte(value)}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// valuesOf counts the values of a topic: at least want records, and what lies up to the end of the
// log as it was when reading began.
func valuesOf(t *testing.T, topic string, level kgo.IsolationLevel, want int) map[string]int {
	t.Helper()
	client := Client(t, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	counts, total, left := map[string]int{}, 0, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read %d of %d records: %v", total, want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				counts[string(r.Value)]++
				total++
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	if total < want {
		t.Fatalf("read %d records to the end of the log, want %d", total, want)
	}
	return counts
}
