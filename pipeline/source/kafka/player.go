// Package kafka is where events come from when they come from Kafka, and how a file of events or a
// generated stream is put there.
package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fastjson"
)

// BackfillHeader marks history that is played at full speed: timers run on its own times.
const BackfillHeader = "usher.backfill"

// batchBytesMax is the largest batch that a player sends; its topic must allow as much.
const batchBytesMax = 32 << 20

// Record is one event to publish. Key is the conversation id exactly as in the body; both slices
// are copied by Play before the next call of the source.
type Record struct{ Key, Value []byte }

// PlayerConfig says what is played where.
type PlayerConfig struct {
	Brokers      []string
	Topic        string // events
	PlaceTopic   string // compacted, one partition: how far each input has come
	InputID      string // what the input is: a file's sha256, or the generator's seed and size
	BatchRecords int    // records in one transaction
	Backfill     bool
	Progress     func(published int64) // after every transaction; may be nil
	ClientOpts   []kgo.Opt
}

// Play publishes the records that next yields, in order, from where an earlier run of the same
// input stopped: each batch and the input's place are one transaction, so that however often the
// player is killed every record is published once. It returns how many records the topic holds of
// this input.
func Play(ctx context.Context, cfg PlayerConfig, next func(*Record) bool) (int64, error) {
	place, err := readPlace(ctx, cfg)
	if err != nil {
		return 0, err
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		// One id for all inputs: a player that was believed dead is fenced by its successor.
		kgo.TransactionalID("usher.player." + cfg.Topic),
		kgo.TransactionTimeout(8 * time.Second),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		// What is too large is the pipeline's to reject, so that it ends as a dead letter.
		kgo.ProducerBatchMaxBytes(batchBytesMax),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
	}, cfg.ClientOpts...)...)
	if err != nil {
		return place, fmt.Errorf("cannot make the player's Kafka client: %w", err)
	}
	defer cl.Close()

	var rec Record
	for skipped := int64(0); skipped < place; skipped++ {
		if !next(&rec) {
			return place, nil
		}
	}
	for {
		n, err := playBatch(ctx, cl, cfg, place, next)
		if err != nil {
			return place, err
		}
		place += n
		if cfg.Progress != nil {
			cfg.Progress(place)
		}
		if n < int64(cfg.BatchRecords) {
			return place, nil
		}
	}
}

func playBatch(ctx context.Context, cl *kgo.Client, cfg PlayerConfig, place int64,
	next func(*Record) bool,
) (int64, error) {
	if err := cl.BeginTransaction(); err != nil {
		return 0, fmt.Errorf("cannot begin a player's transaction: %w", err)
	}
	first := kgo.AbortingFirstErrPromise(cl)
	var headers []kgo.RecordHeader
	if cfg.Backfill {
		headers = []kgo.RecordHeader{{Key: BackfillHeader, Value: []byte("1")}}
	}
	var n int64
	var rec Record
	for n < int64(cfg.BatchRecords) && next(&rec) {
		r := &kgo.Record{Topic: cfg.Topic, Value: append([]byte{}, rec.Value...), Headers: headers}
		if rec.Key != nil {
			r.Key = append([]byte{}, rec.Key...)
		}
		cl.Produce(ctx, r, first.Promise())
		n++
	}
	if n > 0 {
		cl.Produce(ctx, &kgo.Record{
			Topic: cfg.PlaceTopic, Key: []byte(cfg.InputID),
			Value: strconv.AppendInt(nil, place+n, 10),
		}, first.Promise())
	}
	if err := cl.Flush(ctx); err != nil {
		return 0, fmt.Errorf("cannot publish records %d to %d: %w", place+1, place+n, err)
	}
	err := first.Err()
	if endErr := cl.EndTransaction(ctx, kgo.TransactionEndTry(err == nil)); err == nil {
		err = endErr
	}
	if err != nil {
		return 0, fmt.Errorf("cannot publish records %d to %d: %w", place+1, place+n, err)
	}
	return n, nil
}

// readPlace finds how many records of the input earlier runs have published.
func readPlace(ctx context.Context, cfg PlayerConfig) (int64, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			cfg.PlaceTopic: {0: kgo.NewOffset().AtStart()},
		}),
	}, cfg.ClientOpts...)...)
	if err != nil {
		return 0, fmt.Errorf("cannot make the player's reader: %w", err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, cfg.PlaceTopic)
	if err != nil {
		return 0, fmt.Errorf("cannot list the end of %s: %w", cfg.PlaceTopic, err)
	}
	end, _ := ends.Lookup(cfg.PlaceTopic, 0)
	var place int64
	for at := int64(0); at < end.Offset; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return 0, fmt.Errorf("cannot read %s: %w", cfg.PlaceTopic, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at = r.Offset + 1
			if !r.Attrs.IsControl() && string(r.Key) == cfg.InputID {
				place, err = strconv.ParseInt(string(r.Value), 10, 64)
			}
		})
		if err != nil {
			return 0, fmt.Errorf("cannot read the place of the input in %s: %w", cfg.PlaceTopic, err)
		}
	}
	return place, nil
}

// Keyer finds the key of an event's record: the conversation id as in the body, the agent's id for
// agent_status, nil where the bytes name neither. It is not safe for concurrent use.
type Keyer struct{ parser fastjson.Parser }

// Key returns the record key of value, valid until the next call.
func (k *Keyer) Key(value []byte) []byte {
	v, err := k.parser.ParseBytes(value)
	if err != nil || v.Type() != fastjson.TypeObject {
		return nil
	}
	if string(v.GetStringBytes("type")) == "agent_status" {
		return v.GetStringBytes("actor", "id")
	}
	return v.GetStringBytes("conversation_id")
}
