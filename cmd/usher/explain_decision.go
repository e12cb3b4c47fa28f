package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/features/classifier"
	"usher/pipeline/event"
)

// rereadTimeout bounds the search for one record.
const rereadTimeout = 20 * time.Second

// decidedText reads the message of a decision again; note says what the reader should know.
func (a *app) decidedText(ctx context.Context, id, data string, m *classifier.Model) (
	text []byte, note string, err error,
) {
	s, closeStore, err := a.openStore(ctx, data)
	if err != nil {
		return nil, "", err
	}
	defer closeStore()
	d, err := findDecision(ctx, s, id)
	if err != nil {
		return nil, "", err
	}
	opts, closeKafka, err := a.openKafka(ctx, data)
	if err != nil {
		return nil, "", err
	}
	defer closeKafka()
	text, err = d.message(ctx, a.cfg, opts)
	return text, d.note(m), err
}

// origin is what the store knows of where a decision came from.
type origin struct {
	id                string
	place             place
	checksum, version string // of the model
}

// findDecision looks a decision up in the store.
func findDecision(ctx context.Context, s *store, id string) (*origin, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return nil, usagef("%q is no id of a decision: 32 hexadecimal digits; to explain a text, use "+
			"--text", id)
	}
	rows, err := s.rows(ctx, "SELECT trigger_topic, toString(trigger_partition), toString(trigger_offset), "+
		"ifNull(model_checksum, ''), ifNull(model_version, '') FROM decisions WHERE id = {id:String} LIMIT 1",
		map[string]string{"id": id})
	if err != nil {
		return nil, explain(err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("there is no decision %s in %s", id, s.where)
	}
	cell := func(i int) string { return fmt.Sprint(rows[0][i]) }
	partition, errP := strconv.ParseInt(cell(1), 10, 32)
	offset, errO := strconv.ParseInt(cell(2), 10, 64)
	if errP != nil || errO != nil {
		return nil, fmt.Errorf("cannot read where decision %s came from", id)
	}
	return &origin{id: id, place: place{cell(0), int32(partition), offset}, checksum: cell(3),
		version: cell(4)}, nil
}

// note says when another model explains than the one that decided.
func (d *origin) note(m *classifier.Model) string {
	if d.checksum == m.Checksum() {
		return ""
	}
	return fmt.Sprintf("version %s decided; %s %s explains: name that model's file with --model",
		d.version, m.Name(), m.Version())
}

// message reads the text that was decided on again from Kafka, unmasked: it is for masking only.
func (d *origin) message(ctx context.Context, c *config.Config, opts []kgo.Opt) ([]byte, error) {
	value, err := readRecord(ctx, opts, d.place)
	if err != nil {
		return nil, err
	}
	var ev event.Event
	limits := event.Limits{RecordBytes: int(c.Limits.RecordBytes), Depth: c.Limits.Depth}
	env := event.Envelope{NowMS: time.Now().UnixMilli(), Headers: value.headers()}
	if rej := event.NewDecoder(limits).Decode(value.rec.Value, env, &ev); rej != nil {
		return nil, fmt.Errorf("cannot decode the record of decision %s: %w", d.id, rej)
	}
	return ev.Message.Text, nil
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

// readRecord fetches one record, or says that Kafka keeps it no longer.
func readRecord(ctx context.Context, opts []kgo.Opt, p place) (reread, error) {
	ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	cl, err := kgo.NewClient(append(slices.Clone(opts),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			p.topic: {p.partition: kgo.NewOffset().At(p.offset)},
		}))...)
	if err != nil {
		return reread{}, usagef("cannot use the kafka settings: %w", err)
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
