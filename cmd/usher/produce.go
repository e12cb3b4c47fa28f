package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline/source/jsonl"
	"usher/pipeline/source/kafka"
)

// produceBufferedMax bounds the records that wait for the broker.
const produceBufferedMax = 20000

type produceOptions struct {
	input, topic   string
	rate           float64
	example, print bool
	backfill       bool
}

func (a *app) produceCommand() *cobra.Command {
	o := produceOptions{}
	c := &cobra.Command{
		Use:   "produce --input FILE|--example",
		Short: "Publish events to Kafka",
		Long: `Publish events, one JSON object a line, to the first source's topic. The key is the conversation
id of the body and the partitioner murmur2, so that every event of a conversation reaches one
partition. Lines are published as they are, broken ones too: usher turns those into dead letters
("usher check events FILE" tells beforehand). --example publishes the smallest legal events, a
question and its answer, and prints them; with --print it only prints.`,
		Example: `  usher produce --example --print
  usher produce --input events.jsonl
  usher produce --input events.jsonl.gz --rate 500
  kubectl logs bot | usher produce --input -`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if (o.input == "") == !o.example {
				return usagef("say either --input FILE or --example")
			}
			if o.print && !o.example {
				return usagef("--print belongs to --example")
			}
			if o.rate < 0 {
				return usagef("--rate must not be negative, got %v", o.rate)
			}
			return a.produce(cmd.Context(), o)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.input, "input", "", "publish the lines of a `file` (.gz, .zst, - is standard input)")
	f.Float64Var(&o.rate, "rate", 0, "at most so many events a second (0: as fast as possible)")
	f.BoolVar(&o.example, "example", false, "publish the smallest legal events")
	f.BoolVar(&o.print, "print", false, "with --example: print only")
	f.StringVar(&o.topic, "topic", "", "another `topic`")
	f.BoolVar(&o.backfill, "backfill", false, "mark the events as history: timers follow their own times")
	return c
}

// exampleWait is how long the customer of the example waits for an answer.
const exampleWait = 90 * time.Second

// exampleEvents are the smallest legal events of CONTRACT section 2: a question and its answer.
func exampleEvents(now time.Time) []string {
	ms := strconv.FormatInt(now.Add(-exampleWait).UnixMilli(), 10)
	later := strconv.FormatInt(now.UnixMilli(), 10)
	conversation := `"conversation_id":"example-` + ms + `"`
	return []string{
		`{"v":1,"id":"1","type":"message","time":` + ms + `,` + conversation +
			`,"actor":{"kind":"customer"},"message":{"text":"Сколько стоит стрижка?"}}`,
		`{"v":1,"id":"2","type":"message","time":` + later + `,` + conversation +
			`,"actor":{"kind":"agent","id":"anna"},"message":{"text":"35 €"}}`,
	}
}

func (a *app) produce(ctx context.Context, o produceOptions) error {
	next, closeInput, err := a.produceInput(o)
	if err != nil {
		return err
	}
	defer closeInput()
	if o.print {
		return nil
	}
	if o.topic == "" {
		o.topic = a.cfg.SourceTopic(&a.cfg.Sources[0])
	}
	p, err := a.newPublisher(ctx, o)
	if err != nil {
		return err
	}
	defer p.client.Close()
	bar := a.newProgress("publishing", -1, false)
	defer bar.done()
	for {
		line, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := p.publish(ctx, line); err != nil {
			return err
		}
		bar.add(1)
	}
	n, err := p.finish(ctx)
	if err != nil {
		return err
	}
	bar.done()
	a.log.Info("published", "events", n, "topic", o.topic)
	return nil
}

// produceInput returns the lines to publish, one a call; examples are printed on the way.
func (a *app) produceInput(o produceOptions) (next func() ([]byte, error), closeInput func(), err error) {
	if o.example {
		lines := exampleEvents(time.Now())
		for _, line := range lines {
			fmt.Fprintln(a.out, line)
		}
		return func() ([]byte, error) {
			if len(lines) == 0 {
				return nil, io.EOF
			}
			line := lines[0]
			lines = lines[1:]
			return []byte(line), nil
		}, func() {}, nil
	}
	in, err := openInput(o.input)
	if err != nil {
		return nil, nil, err
	}
	r := jsonl.NewReader(in, 0)
	return func() ([]byte, error) {
		line, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			err = fmt.Errorf("cannot read %s after line %d: %w", o.input, line.Number, err)
		}
		return line.Bytes, err
	}, func() { _ = in.Close() }, nil
}

// openInput opens a file of lines; one that is not there is the caller's mistake.
func openInput(path string) (io.ReadCloser, error) {
	in, err := jsonl.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("%w", err)
	}
	return in, err
}

// publisher sends lines to one topic at a bounded rate.
type publisher struct {
	client  *kgo.Client
	topic   string
	keyer   kafka.Keyer
	headers []kgo.RecordHeader
	rate    float64
	began   time.Time
	sent    int64

	mu    sync.Mutex
	acked int64
	first error
}

func (a *app) newPublisher(ctx context.Context, o produceOptions) (*publisher, error) {
	batch, err := a.topicBatchBytes(ctx, o.topic)
	if err != nil {
		return nil, err
	}
	cl, err := a.kafkaClient(
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2 of the key, as Java does
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(batch),
		kgo.MaxBufferedRecords(produceBufferedMax),
		kgo.RecordDeliveryTimeout(time.Minute),
	)
	if err != nil {
		return nil, err
	}
	p := &publisher{client: cl, topic: o.topic, rate: o.rate, began: time.Now()}
	if o.backfill {
		p.headers = []kgo.RecordHeader{{Key: kafka.BackfillHeader, Value: []byte("1")}}
	}
	return p, nil
}

// The bounds of a batch: Kafka's default, and what lets a record of 1 MiB through.
const (
	batchBytesDefault = 1000012
	batchBytesMax     = 2 << 20
)

// topicBatchBytes finds out how large a batch the topic takes; it fails when the topic, or the
// broker, is not there, before anything is read.
func (a *app) topicBatchBytes(ctx context.Context, topic string) (int32, error) {
	cl, err := a.kafkaClient()
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	there, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("cannot reach %s: %w", a.brokersText(), err)
	}
	if d := there[topic]; errors.Is(d.Err, kerr.UnknownTopicOrPartition) || !there.Has(topic) {
		return 0, fmt.Errorf("cannot publish to %s: there is no such topic at %s; create it with "+
			"usher topics --apply", topic, a.brokersText())
	}
	described, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return batchBytesDefault, nil // a producer may lack the right to look
	}
	for _, rc := range described {
		for _, kv := range rc.Configs {
			n, err := strconv.ParseInt(kv.MaybeValue(), 10, 32)
			if kv.Key == "max.message.bytes" && err == nil {
				return int32(min(max(n, 1024), batchBytesMax)), nil
			}
		}
	}
	return batchBytesDefault, nil
}

// pace is how long after the beginning the next event is due, at rate events a second (0: at once).
func pace(rate float64, sent int64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(float64(sent) / rate * float64(time.Second))
}

// publish hands one line to the client and returns the first failure so far.
func (p *publisher) publish(ctx context.Context, line []byte) error {
	if wait := time.Until(p.began.Add(pace(p.rate, p.sent))); p.rate > 0 && wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.sent++
	value := append([]byte(nil), line...)
	r := &kgo.Record{Topic: p.topic, Value: value, Headers: p.headers}
	if key := p.keyer.Key(value); key != nil {
		r.Key = append([]byte(nil), key...)
	}
	p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil {
			p.acked++
		} else if p.first == nil {
			p.first = err
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure()
}

// failure words the first failure; the caller holds the lock.
func (p *publisher) failure() error {
	if p.first == nil {
		return nil
	}
	err := fmt.Errorf("cannot publish to %s (%d events are acknowledged): %w", p.topic, p.acked, p.first)
	if errors.Is(p.first, kerr.UnknownTopicOrPartition) {
		err = fmt.Errorf("%w; create the topics with usher topics --apply", err)
	}
	return err
}

// finish waits for the acknowledgement of everything and returns how many events there were.
func (p *publisher) finish(ctx context.Context) (int64, error) {
	if err := p.client.Flush(ctx); err != nil {
		return 0, fmt.Errorf("cannot publish to %s: %w", p.topic, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked, p.failure()
}
