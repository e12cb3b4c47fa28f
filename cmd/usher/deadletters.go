package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
)

// deadLetterReasonMax bounds a reason on the terminal.
const deadLetterReasonMax = 120

// deadLetter is one rejected record: its place in the dead letters, where it came from, and why. Its
// bytes are the customer's, and shown only when asked for.
type deadLetter struct {
	ID        string `json:"id"` // partition:offset in the dead letters
	Time      string `json:"time"`
	Code      string `json:"code"`
	Reason    string `json:"reason"`
	Topic     string `json:"topic"` // of the input
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Bytes     int    `json:"bytes"`
	Truncated bool   `json:"truncated"`

	record *kgo.Record
}

type deadLetterOptions struct {
	data, since string
	codes       []string
	ids         []string
	limit       int
	asJSON      bool
	payload     bool
	dryRun      bool
	fix         importOptions
}

func (a *app) deadLettersCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "deadletters list|show|replay",
		Short: "Look at rejected records, mend them and play them again",
		Long: `Rejected records lie in chat.deadletters.v1 with their original bytes, the code and the reason.
list shows which there are, show one of them, and replay publishes them to the topic that they came
from, as they are or mended by a map. A name such as 3:917 is partition and offset in the dead
letters, as list prints it.`,
		Example: `  usher deadletters list --since 24h
  usher deadletters show 3:917 --payload
  usher deadletters replay --code field_missing --fix time=ts,conversation_id=chat --dry-run`,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
		Args: noArgs,
	}
	c.AddCommand(a.deadLettersList(), a.deadLettersShow(), a.deadLettersReplay())
	return c
}

// choiceFlags are what list and replay choose by.
func choiceFlags(c *cobra.Command, o *deadLetterOptions) {
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured Kafka)")
	f.StringSliceVar(&o.codes, "code", nil, "only these `codes`, as json_syntax,time_range")
	f.StringVar(&o.since, "since", "", "only those rejected since: 7d, 90m or a date")
}

func (a *app) deadLettersList() *cobra.Command {
	o := deadLetterOptions{}
	c := &cobra.Command{
		Use: "list", Short: "List rejected records: where, when, why",
		Example: `  usher deadletters list --code time_range,dup_key --since 7d
  usher deadletters list --data ./usher-data --json`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if o.limit < 0 {
				return usagef("--limit must not be negative")
			}
			return a.listDeadLetters(cmd.Context(), o)
		}),
	}
	choiceFlags(c, &o)
	c.Flags().IntVar(&o.limit, "limit", 0, "the first so many (0: all)")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object a line")
	return c
}

func (a *app) deadLettersShow() *cobra.Command {
	o := deadLetterOptions{}
	c := &cobra.Command{
		Use: "show PARTITION:OFFSET", Short: "Show one rejected record",
		Example: `  usher deadletters show 3:917
  usher deadletters show 3:917 --payload`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			o.ids = args
			return a.showDeadLetter(cmd.Context(), o)
		}),
	}
	c.Flags().StringVar(&o.data, "data", "", "data `directory` of an embedded store")
	c.Flags().BoolVar(&o.payload, "payload", false, "print the original bytes too: they are the customer's words")
	return c
}

// errEnough ends a reading early.
var errEnough = errors.New("enough")

func (a *app) listDeadLetters(ctx context.Context, o deadLetterOptions) error {
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	byCode, n := map[string]int{}, 0
	enc := json.NewEncoder(a.out)
	if !o.asJSON {
		fmt.Fprintln(t, "ID\tREJECTED\tCODE\tFROM\tBYTES\tREASON")
	}
	err := a.eachDeadLetter(ctx, o, func(d *deadLetter) error {
		byCode[d.Code]++
		if n++; o.asJSON {
			if err := enc.Encode(d); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s/%d:%d\t%d\t%s\n", d.ID, d.Time, d.Code, d.Topic, d.Partition,
				d.Offset, d.Bytes, d.Reason)
		}
		if o.limit > 0 && n >= o.limit {
			return errEnough
		}
		return nil
	})
	if err != nil || o.asJSON {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "%d dead letters%s\n", n, countsText(byCode))
	return nil
}

// countsText is ": a 3, b 1".
func countsText(n map[string]int) string {
	var parts []string
	for k, v := range n {
		parts = append(parts, fmt.Sprintf("%s %d", k, v))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func (a *app) showDeadLetter(ctx context.Context, o deadLetterOptions) error {
	found := false
	err := a.eachDeadLetter(ctx, o, func(d *deadLetter) error {
		found = true
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(d); err != nil {
			return err
		}
		if o.payload {
			fmt.Fprintf(a.out, "\n%s\n", d.record.Value)
		}
		return errEnough
	})
	if err == nil && !found {
		return fmt.Errorf("there is no dead letter %s; usher deadletters list names those that are retained",
			o.ids[0])
	}
	return err
}

// wanted are the dead letters that were named; nil when none was.
func (o *deadLetterOptions) wanted() (map[string]bool, error) {
	if len(o.ids) == 0 {
		return nil, nil
	}
	out := map[string]bool{}
	for _, id := range o.ids {
		partition, offset, ok := strings.Cut(id, ":")
		_, err1 := strconv.ParseInt(partition, 10, 32)
		_, err2 := strconv.ParseInt(offset, 10, 64)
		if !ok || err1 != nil || err2 != nil {
			return nil, usagef("%q names no dead letter: write partition:offset, as in 3:917", id)
		}
		out[id] = true
	}
	return out, nil
}

// sinceTime is the instant that --since names, zero for none.
func sinceTime(since string, now time.Time) (time.Time, error) {
	if since == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, since); err == nil {
		return day, nil
	}
	d, err := config.ParseDuration(since)
	if err != nil || d <= 0 {
		return time.Time{}, usagef("--since takes a length of time or a date, as 7d, 24h or 2026-11-01, "+
			"got %q", since)
	}
	return now.Add(-d.Std()), nil
}

// eachDeadLetter calls f with every dead letter that o chooses. f ends it early with errEnough.
func (a *app) eachDeadLetter(ctx context.Context, o deadLetterOptions, f func(*deadLetter) error) error {
	opts, done, err := a.openKafka(ctx, o.data)
	if err != nil {
		return err
	}
	defer done()
	return a.readDeadLetters(ctx, opts, o, f)
}

func (a *app) readDeadLetters(ctx context.Context, opts []kgo.Opt, o deadLetterOptions,
	f func(*deadLetter) error,
) error {
	ids, err := o.wanted()
	if err != nil {
		return err
	}
	since, err := sinceTime(o.since, time.Now())
	if err != nil {
		return err
	}
	err = a.scanDeadLetters(ctx, opts, since, func(r *kgo.Record) error {
		d := newDeadLetter(r)
		if ids != nil && !ids[d.ID] || len(o.codes) > 0 && !slices.Contains(o.codes, d.Code) ||
			r.Timestamp.Before(since) {
			return nil
		}
		return f(d)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// newDeadLetter reads the headers. The last one of a name counts: the producer's own come before.
func newDeadLetter(r *kgo.Record) *deadLetter {
	d := &deadLetter{
		ID:   strconv.Itoa(int(r.Partition)) + ":" + strconv.FormatInt(r.Offset, 10),
		Time: r.Timestamp.UTC().Format(time.RFC3339), Bytes: len(r.Value), record: r,
	}
	for _, h := range r.Headers {
		value := printable(string(h.Value))
		switch h.Key {
		case "dlq.code":
			d.Code = value
		case "dlq.reason":
			d.Reason = value
		case "dlq.topic":
			d.Topic = value
		case "dlq.partition":
			n, _ := strconv.ParseInt(value, 10, 32)
			d.Partition = int32(n)
		case "dlq.offset":
			d.Offset, _ = strconv.ParseInt(value, 10, 64)
		case "dlq.truncated":
			d.Truncated = value == "true"
		}
	}
	return d
}

// printable keeps what is no business of a terminal away from it.
func printable(s string) string {
	if len(s) > deadLetterReasonMax {
		s = s[:deadLetterReasonMax]
	}
	return strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
}

// scanDeadLetters reads the topic from since to its present end.
func (a *app) scanDeadLetters(ctx context.Context, opts []kgo.Opt, since time.Time,
	f func(*kgo.Record) error,
) error {
	topic := a.cfg.Topic(config.DeadLettersTopic)
	next, ends, err := bounds(ctx, opts, topic, since)
	if err != nil || len(next) == 0 {
		return err
	}
	from := map[int32]kgo.Offset{}
	for p, at := range next {
		from[p] = kgo.NewOffset().At(at)
	}
	cl, err := kgo.NewClient(append(slices.Clone(opts),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())...) // the end of a transaction is one
	if err != nil {
		return usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	for len(next) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return fmt.Errorf("cannot read %s: %w", topic, err)
		}
		for _, r := range fetches.Records() {
			if r.Offset >= ends[r.Partition] {
				continue
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(next, r.Partition)
			}
			if r.Attrs.IsControl() {
				continue
			}
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// bounds are, of every partition with something in it, the first offset since and the stable end.
func bounds(ctx context.Context, opts []kgo.Opt, topic string, since time.Time) (
	next, ends map[int32]int64, err error,
) {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListOffsetsAfterMilli(ctx, max(0, since.UnixMilli()), topic)
	if since.IsZero() {
		starts, err = adm.ListStartOffsets(ctx, topic)
	}
	if err == nil {
		err = starts.Error()
	}
	var stable kadm.ListedOffsets
	if err == nil {
		stable, err = adm.ListCommittedOffsets(ctx, topic)
	}
	if err == nil {
		err = stable.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, nil, fmt.Errorf("there is no topic %s: nothing was processed yet, or topics.prefix is "+
			"another", topic)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot look at %s: %w", topic, err)
	}
	next, ends = map[int32]int64{}, map[int32]int64{}
	starts.Each(func(s kadm.ListedOffset) {
		if e, ok := stable.Lookup(topic, s.Partition); ok && s.Offset < e.Offset {
			next[s.Partition], ends[s.Partition] = s.Offset, e.Offset
		}
	})
	return next, ends, nil
}
