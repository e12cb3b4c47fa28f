package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline/event"
	"usher/pipeline/source/fieldmap"
	"usher/pipeline/source/kafka"
)

// Headers of a replayed record: where it was rejected first. They survive further rejections.
const (
	replayTopic     = "usher.replay.topic"
	replayPartition = "usher.replay.partition"
	replayOffset    = "usher.replay.offset"
)

// replaysBuffered bounds the records that wait for the broker.
const replaysBuffered = 2000

func (a *app) deadLettersReplay() *cobra.Command {
	o := deadLetterOptions{}
	c := &cobra.Command{
		Use: "replay [PARTITION:OFFSET…]", Short: "Publish rejected records again, mended by a map",
		Long: `Publish dead letters to the topic that they came from: those that are named, or those that --code
and --since choose, or all. With --fix each is mended first, by the map of "usher import": usher's
field on the left, the record's on the right. What would be rejected again is left out and said,
and so is what is no JSON or was too large to be kept whole.

A replayed event keeps its own id; without one it gets one from the place where it was rejected, so
that replaying twice is seen as a duplicate. Headers usher.replay.topic, partition and offset say
where it came from.`,
		Example: `  usher deadletters replay 3:917
  usher deadletters replay --code field_missing --fix time=ts,message.text=body --dry-run
  usher deadletters replay --code field_value --values actor.kind:operator=agent --since 24h`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			o.ids = args
			if err := o.fix.readMapping(); err != nil {
				return err
			}
			return a.replayDeadLetters(cmd.Context(), o)
		}),
	}
	choiceFlags(c, &o)
	f := c.Flags()
	f.StringVar(&o.fix.fields, "fix", "", "`field=path,…`: usher's field, the record's dotted path")
	f.StringSliceVar(&o.fix.values, "values", nil, "`field:theirs=ours,…`: translate a field's values")
	f.StringSliceVar(&o.fix.preset, "default", nil, "`field=value,…`: for records that lack the field")
	f.StringVar(&o.fix.zone, "tz", "", "time `zone` of times that carry none, as Europe/Riga")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be published, and publish nothing")
	return c
}

// replayer mends dead letters and publishes them.
type replayer struct {
	sources map[string]bool
	mapper  *fieldmap.Mapper // nil: as they are
	decoder *event.Decoder
	keyer   kafka.Keyer
	client  *kgo.Client // nil: a dry run
	left    map[string]int
	sent    int
	failed  chan error // has room for one
}

func (a *app) newReplayer(o deadLetterOptions, opts []kgo.Opt) (r *replayer, err error) {
	r = &replayer{
		sources: map[string]bool{}, left: map[string]int{}, failed: make(chan error, 1),
		decoder: event.NewDecoder(event.Limits{
			RecordBytes: int(a.cfg.Limits.RecordBytes), Depth: a.cfg.Limits.Depth,
		}),
	}
	for i := range a.cfg.Sources {
		r.sources[a.cfg.SourceTopic(&a.cfg.Sources[i])] = true
	}
	m := o.fix.mapping
	if len(m.Map)+len(m.Values)+len(m.Defaults) > 0 || m.Zone != nil {
		if r.mapper, err = fieldmap.New(m); err != nil {
			return nil, &usageError{err}
		}
	}
	if o.dryRun {
		return r, nil
	}
	r.client, err = kgo.NewClient(append(append([]kgo.Opt{}, opts...),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2 of the key, as Java does
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(batchBytesMax), kgo.MaxBufferedRecords(replaysBuffered),
		kgo.RecordDeliveryTimeout(time.Minute))...)
	if err != nil {
		return nil, usagef("cannot use the kafka settings: %w", err)
	}
	return r, nil
}

func (a *app) replayDeadLetters(ctx context.Context, o deadLetterOptions) error {
	opts, done, err := a.openKafka(ctx, o.data)
	if err != nil {
		return err
	}
	defer done()
	r, err := a.newReplayer(o, opts)
	if err != nil {
		return err
	}
	if r.client != nil {
		defer r.client.Close()
	}
	// The end is where it is now: what is replayed and rejected again is not replayed for ever.
	err = a.readDeadLetters(ctx, opts, o, func(d *deadLetter) error {
		rec, why := r.mend(d, time.Now().UnixMilli())
		if why != "" {
			r.left[why]++
			return nil
		}
		return r.publish(ctx, rec)
	})
	if err == nil && r.client != nil {
		err = errors.Join(r.client.Flush(ctx), r.failure())
	}
	if err != nil {
		return fmt.Errorf("cannot replay the dead letters: %w", err)
	}
	verb := "replayed"
	if o.dryRun {
		verb = "would be replayed"
	}
	n := 0
	for _, k := range r.left {
		n += k
	}
	fmt.Fprintf(a.out, "%d %s, %d left out%s\n", r.sent, verb, n, countsText(r.left))
	if r.sent == 0 && n > 0 {
		return fmt.Errorf("not one of %d dead letters can be replayed", n)
	}
	return nil
}

func (r *replayer) publish(ctx context.Context, rec *kgo.Record) error {
	r.sent++
	if r.client == nil {
		return nil
	}
	r.client.Produce(ctx, rec, func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case r.failed <- err:
			default:
			}
		}
	})
	return nil
}

func (r *replayer) failure() error {
	select {
	case err := <-r.failed:
		return err
	default:
		return nil
	}
}

// mend makes the record to publish, or says why there is none, in few words: they are counted.
func (r *replayer) mend(d *deadLetter, nowMS int64) (rec *kgo.Record, why string) {
	old := d.record
	switch {
	case !r.sources[d.Topic]:
		return nil, "of a topic that is no source"
	case d.Truncated:
		return nil, "not kept whole"
	case len(old.Value) == 0:
		return nil, "without a value"
	}
	rec = &kgo.Record{Topic: d.Topic, Key: old.Key, Value: old.Value}
	if r.mapper != nil {
		value, rejected := r.mapper.Map(nil, old.Value, fallbackID(d))
		if rejected != nil {
			return nil, "still " + string(rejected.Code)
		}
		rec.Value = value
	}
	var headers []event.Header
	origin := false
	for _, h := range old.Headers {
		if strings.HasPrefix(h.Key, "dlq.") {
			continue
		}
		origin = origin || h.Key == replayTopic
		rec.Headers = append(rec.Headers, h)
		headers = append(headers, event.Header{Key: h.Key, Value: h.Value})
	}
	if !origin {
		add := func(key, value string) {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
		}
		add(replayTopic, d.Topic)
		add(replayPartition, strconv.Itoa(int(d.Partition)))
		add(replayOffset, strconv.FormatInt(d.Offset, 10))
	}
	var ev event.Event
	if rejected := r.decoder.Decode(rec.Value, event.Envelope{NowMS: nowMS, Headers: headers}, &ev); rejected != nil {
		return nil, "still " + string(rejected.Code)
	}
	if key := r.keyer.Key(rec.Value); key != nil {
		rec.Key = append([]byte(nil), key...)
	}
	return rec, ""
}

// fallbackID is the id of an event that has none: the same whenever the dead letter is replayed.
func fallbackID(d *deadLetter) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "usher replay %s %d %d", d.Topic, d.Partition, d.Offset))
	return []byte(hex.EncodeToString(sum[:16]))
}
