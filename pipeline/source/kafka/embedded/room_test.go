package broker

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWritesAreRefusedWithoutRoom: a broker whose disk is full takes nothing, again and again, says so
// once, and takes what clients still offer when there is room. TestFullDisks of cmd/usher/acceptance
// fills a real one.
func TestWritesAreRefusedWithoutRoom(t *testing.T) {
	var logs strings.Builder
	b, err := open(t.TempDir(), slog.New(slog.NewTextHandler(&logs, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	var free atomic.Uint64
	b.free = func(string) (uint64, error) { return free.Load(), nil }
	free.Store(roomBytes)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b.gate.open()
	addr := b.gate.Addr().String()
	if err := ensureTopics(ctx, addr, []Topic{{Name: "t", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	free.Store(roomBytes - 1)
	stored := make(chan error, 1)
	cl.Produce(ctx, kgo.StringRecord("waits"), func(_ *kgo.Record, err error) { stored <- err })
	select {
	case err := <-stored:
		t.Fatalf("a record was answered without room: %v", err)
	case <-time.After(2 * time.Second): // several tries
	}
	free.Store(roomBytes)
	if err := <-stored; err != nil {
		t.Errorf("with room: %v", err)
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(logs.String(), "the disk is full"); n != 1 {
		t.Errorf("it said %d times that the disk is full:\n%s", n, &logs)
	}
}

// TestAJournalThatCannotWriteRefusesEveryTransaction: not only the first, which the client repeats.
func TestAJournalThatCannotWriteRefusesEveryTransaction(t *testing.T) {
	b, err := open(t.TempDir(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.cluster.Close()
	b.gate.open()
	addr := b.gate.Addr().String()
	if err := ensureTopics(t.Context(), addr, []Topic{{Name: "t", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := b.journal.close(); err != nil { // what comes now cannot be written
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"),
		kgo.TransactionalID("tx"), kgo.RetryTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err == nil {
		err = cl.EndTransaction(ctx, kgo.TryCommit)
		if err == nil {
			t.Error("a transaction was committed that the journal does not know")
		}
	}
}
