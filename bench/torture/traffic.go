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
	batchMost     = time.Second // of events in one transaction: what a slow machine makes up for
	abortedEach   = 40          // one transaction in so many is aborted and sent again
	trafficWait   = 45 * time.Second
	eventsPerChat = 13
)

// trafficEnd is when generated events end: long past, so that no clock of a run matters to them.
const trafficEnd = 1_780_000_000_000

// visitEvery is the time between two visits to all conversations, and visitsEnd when the first of
// them ends: some 90 fit in before trafficEnd.
const (
	visitEvery = 7 * 24 * time.Hour
	visitsEnd  = trafficEnd - 90*7*24*3600*1000
)

// traffic is the producer: transactional, at a steady rate, beside the proxy.
type traffic struct {
	brokers string
	seed    uint64
	rate    int // events a second
	log     io.Writer

	// returning lets the same conversations come again, week after week, so that their number is bounded.
	returning bool

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
	last := time.Now()
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due := min(time.Since(last), batchMost)
		last = time.Now()
		batch, err := t.batch(int(time.Duration(t.rate) * due / time.Second))
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

// tale is the configuration of the next stream of conversations, a minute's worth.
func (t *traffic) tale() gen.Config {
	cfg := gen.Config{Seed: t.seed<<16 + t.round, Conversations: max(100, t.rate*60/eventsPerChat),
		EndMS: trafficEnd, Broken: 60, FarLate: 10}
	if t.returning {
		cfg.Seed, cfg.Visit, cfg.Span = t.seed<<16, uint16(t.round), visitEvery
		cfg.EndMS = visitsEnd + int64(t.round)*visitEvery.Milliseconds()
	}
	return cfg
}

// batch takes the next records; when a stream of conversations is told to its end the next begins.
func (t *traffic) batch(n int) ([]*kgo.Record, error) {
	var out []*kgo.Record
	var rec gen.Record
	for len(out) < n {
		if t.gen == nil {
			var err error
			if t.gen, err = gen.New(t.tale()); err != nil {
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
