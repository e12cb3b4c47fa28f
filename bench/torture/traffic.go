package torture

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/bench/gen"
)

// Headers that carry the generator's truth to the oracle; usher ignores them.
const codeHeader = "torture.code"

// The rhythm of the producer.
const (
	batchEvery    = 100 * time.Millisecond
	abortedEach   = 40 // one transaction in so many is aborted and sent again
	trafficWait   = 45 * time.Second
	eventsPerChat = 13
)

// trafficEnd is when generated events end: long past, so that no clock of a run matters to them.
const trafficEnd = 1_780_000_000_000

// traffic is the producer: transactional, at a steady rate, beside the proxy.
type traffic struct {
	brokers string
	seed    uint64
	rate    int // events a second
	log     io.Writer

	gen   *gen.Generator
	round uint64
	sent  atomic.Int64
}

// run produces until ctx ends. A transaction whose end is unknown is left as it is: the log says
// what became of it, and the log is what usher is held to.
func (t *traffic) run(ctx context.Context) error {
	r := rand.New(rand.NewPCG(t.seed, 0x7aff1c))
	var cl *kgo.Client
	defer func() {
		if cl != nil {
			cl.Close()
		}
	}()
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		batch, err := t.batch(int(time.Duration(t.rate) * batchEvery / time.Second))
		if err != nil {
			return err
		}
		for again := true; again; {
			if cl == nil {
				if cl, err = t.client(); err != nil {
					return err
				}
			}
			abort := r.IntN(abortedEach) == 0
			if err := transact(cl, batch, abort); err != nil {
				fmt.Fprintf(t.log, "%s producer: %v\n", time.Now().UTC().Format("15:04:05.000"), err)
				cl.Close()
				cl, abort = nil, false
			}
			again = abort
		}
		t.sent.Add(int64(len(batch)))
	}
}

func (t *traffic) client() (*kgo.Client, error) {
	return kgo.NewClient(
		kgo.SeedBrokers(t.brokers), kgo.DefaultProduceTopic(eventsTopic),
		kgo.TransactionalID("torture"), kgo.TransactionTimeout(10*time.Second),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MetadataMinAge(100*time.Millisecond),
	)
}

// transact sends one batch as one transaction. It is not cancelled by the end of the run: a batch
// is seen through.
func transact(cl *kgo.Client, batch []*kgo.Record, abort bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), trafficWait)
	defer cancel()
	if err := cl.BeginTransaction(); err != nil {
		return fmt.Errorf("cannot begin: %w", err)
	}
	promise := kgo.AbortingFirstErrPromise(cl)
	for _, rec := range batch {
		// A record that a client has had in hand belongs to it.
		again := *rec
		cl.Produce(ctx, &again, promise.Promise())
	}
	if err := promise.Err(); err != nil {
		return fmt.Errorf("cannot produce: %w", err)
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("cannot flush: %w", err)
	}
	if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(!abort)); err != nil {
		return fmt.Errorf("cannot end: %w", err)
	}
	return nil
}

// batch takes the next records; when a stream of conversations is told to its end the next begins.
func (t *traffic) batch(n int) ([]*kgo.Record, error) {
	var out []*kgo.Record
	var rec gen.Record
	for len(out) < n {
		if t.gen == nil {
			var err error
			t.gen, err = gen.New(gen.Config{
				Seed: t.seed<<16 + t.round, Conversations: max(100, t.rate*60/eventsPerChat), EndMS: trafficEnd,
				Broken: 60, FarLate: 10,
			})
			if err != nil {
				return nil, err
			}
			t.round++
		}
		if !t.gen.Next(&rec) {
			t.gen = nil
			continue
		}
		r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: codeHeader, Value: []byte(rec.Code)}}}
		if rec.Key != nil {
			r.Key = append([]byte{}, rec.Key...)
		}
		if rec.Value != nil {
			r.Value = append([]byte{}, rec.Value...)
		}
		out = append(out, r)
	}
	return out, nil
}
