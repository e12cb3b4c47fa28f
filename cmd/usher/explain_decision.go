package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/classifier"
	"usher/pipeline/event"
)

// rereadTimeout bounds the search for one record.
const rereadTimeout = 20 * time.Second

// decidedText reads the message of a decision again; note says what the reader should know.
func (a *app) decidedText(ctx context.Context, id, data string, m *classifier.Model) (
	text []byte, note string, err error,
) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return nil, "", usagef("%q is no id of a decision: 32 hexadecimal digits; to explain a text, use "+
			"--text", id)
	}
	s, closeStore, err := a.openStore(ctx, data)
	if err != nil {
		return nil, "", err
	}
	defer closeStore()
	rows, err := s.rows(ctx, "SELECT trigger_topic, toString(trigger_partition), toString(trigger_offset), "+
		"ifNull(model_checksum, ''), ifNull(model_version, '') FROM decisions WHERE id = {id:String} LIMIT 1",
		map[string]string{"id": id})
	if err != nil {
		return nil, "", explain(err)
	}
	if len(rows) == 0 {
		return nil, "", fmt.Errorf("there is no decision %s in %s", id, s.where)
	}
	cell := func(i int) string { return fmt.Sprint(rows[0][i]) }
	partition, errP := strconv.ParseInt(cell(1), 10, 32)
	offset, errO := strconv.ParseInt(cell(2), 10, 64)
	if errP != nil || errO != nil {
		return nil, "", fmt.Errorf("cannot read where decision %s came from", id)
	}
	if sum := cell(3); sum != m.Checksum() {
		note = fmt.Sprintf("version %s decided; %s %s explains: name that model's file with --model",
			cell(4), m.Name(), m.Version())
	}
	value, err := a.reread(ctx, data, place{cell(0), int32(partition), offset})
	if err != nil {
		return nil, "", err
	}
	var ev event.Event
	limits := event.Limits{RecordBytes: int(a.cfg.Limits.RecordBytes), Depth: a.cfg.Limits.Depth}
	env := event.Envelope{NowMS: time.Now().UnixMilli(), Headers: value.headers()}
	if rej := event.NewDecoder(limits).Decode(value.rec.Value, env, &ev); rej != nil {
		return nil, "", fmt.Errorf("cannot decode the record of decision %s: %w", id, rej)
	}
	return ev.Message.Text, note, nil
}

// place is where a record lies.
type place struct {
	topic     string
	partition int32
	offset    int64
}

type reread struct{ rec *kgo.Record }

func (r reread) headers() []event.Header {
	var out []event.Header
	for _, h := range r.rec.Headers {
		out = append(out, event.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// reread fetches one record, or says that Kafka keeps it no longer.
func (a *app) reread(ctx context.Context, data string, p place) (reread, error) {
	ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	opts := []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		p.topic: {p.partition: kgo.NewOffset().At(p.offset)},
	})}
	if data != "" {
		b, err := startBroker(ctx, data)
		if err != nil {
			return reread{}, err
		}
		defer b.Close()
		opts = append(opts, kgo.SeedBrokers(b.Addr()))
	}
	cl, err := a.kafkaClient(opts...)
	if err != nil {
		return reread{}, err
	}
	defer cl.Close()
	starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, p.topic)
	if err != nil {
		return reread{}, fmt.Errorf("cannot ask Kafka for topic %s: %w", p.topic, err)
	}
	gone := fmt.Errorf("the message is no longer retained: %s, partition %d, offset %d; only its decision "+
		"is left (usher sql \"SELECT * FROM decisions WHERE …\")", p.topic, p.partition, p.offset)
	start, ok := starts.Lookup(p.topic, p.partition)
	if !ok || start.Err != nil || start.Offset > p.offset {
		return reread{}, gone
	}
	for ctx.Err() == nil {
		fetches := cl.PollRecords(ctx, 1)
		for _, rec := range fetches.Records() {
			if rec.Offset != p.offset {
				return reread{}, gone // compacted or erased: the next record came
			}
			return reread{rec}, nil
		}
	}
	return reread{}, fmt.Errorf("cannot read %s, partition %d, offset %d: %w", p.topic, p.partition,
		p.offset, ctx.Err())
}
