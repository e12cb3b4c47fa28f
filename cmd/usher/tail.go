package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/pipeline/redact"
)

type tailOptions struct {
	data, tenant, conversation, band, since string
	limit                                   int
	asJSON                                  bool
}

func (a *app) tailCommand() *cobra.Command {
	o := tailOptions{}
	c := &cobra.Command{
		Use:   "tail",
		Short: "Follow events, turns and decisions as they are committed",
		Long: `Print one line for every event, every wait that ended and every decision, as the router commits
them: time, tenant, conversation, and what it was. The lines come from the rows topic, so they are
redacted as the tables are and never hold what somebody wrote; they come also while ClickHouse is away.
A wait that a late event changed is taken back and said again. It follows until Ctrl-C, or --limit.`,
		Example: `  usher tail
  usher tail --data ./usher-data --since 1h --limit 20
  usher tail --tenant salon7 --conversation c-42
  usher tail --band none --json | jq -r .conversation`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if o.limit < 0 {
				return usagef("--limit must not be negative, got %d", o.limit)
			}
			if o.band != "" && !slices.Contains([]string{"auto", "suggest", "none"}, o.band) {
				return usagef("--band must be auto, suggest or none, got %q", o.band)
			}
			return a.tail(cmd.Context(), o)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data `directory` of an embedded broker (default: the configured Kafka)")
	f.StringVar(&o.tenant, "tenant", "", "only this `tenant`")
	f.StringVar(&o.conversation, "conversation", "", "only this conversation's `id`")
	f.StringVar(&o.band, "band", "", "only decisions of this `band`: auto, suggest or none")
	f.StringVar(&o.since, "since", "", "begin that far back, as 10m or 1h (default: now)")
	f.IntVar(&o.limit, "limit", 0, "end after so many lines")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	return c
}

// tail follows the rows topic until ctx ends or the limit is reached.
func (a *app) tail(ctx context.Context, o tailOptions) error {
	from := kgo.NewOffset().AtEnd()
	if o.since != "" {
		d, err := config.ParseDuration(o.since)
		if err != nil || d <= 0 {
			return usagef("--since takes a length of time, as 10m or 1h, got %q", o.since)
		}
		from = kgo.NewOffset().AfterMilli(time.Now().Add(-d.Std()).UnixMilli())
	}
	wanted, err := a.conversationNames(o)
	if err != nil {
		return err
	}
	opts, closeKafka, err := a.openKafka(ctx, o.data)
	if err != nil {
		return err
	}
	defer closeKafka()
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(a.cfg.Topic(config.RowsTopic)),
		kgo.ConsumeResetOffset(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	reach, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := cl.Ping(reach); err != nil {
		return fmt.Errorf("cannot reach %s: %w", a.brokersText(), err)
	}
	return a.follow(ctx, cl, o, wanted)
}

// follow prints what comes, sorted within what came at once.
func (a *app) follow(ctx context.Context, cl *kgo.Client, o tailOptions, wanted []string) error {
	var reader tailReader
	for printed := 0; ; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how this ends
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				return fmt.Errorf("cannot follow %s, partition %d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		var lines []tailLine
		for _, rec := range fetches.Records() {
			more, err := reader.lines(rec)
			if err != nil {
				return err
			}
			for _, l := range more {
				if o.keeps(l, wanted) {
					lines = append(lines, l)
				}
			}
		}
		slices.SortStableFunc(lines, func(a, b tailLine) int {
			return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.rank(), b.rank()))
		})
		for _, l := range lines {
			if err := a.printLine(l, o.asJSON); err != nil {
				return err
			}
			if printed++; printed == o.limit {
				return nil
			}
		}
	}
}

// keeps reports whether the filters let a line through.
func (o tailOptions) keeps(l tailLine, wanted []string) bool {
	return (o.tenant == "" || l.Tenant == o.tenant) && (o.band == "" || l.Band == o.band) &&
		(len(wanted) == 0 || slices.Contains(wanted, l.Conversation))
}

func (a *app) printLine(l tailLine, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(a.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(l)
	}
	_, err := fmt.Fprintf(a.out, "%s %s %s %-8s %s\n", l.at.UTC().Format("2006-01-02 15:04:05.000"),
		printable(l.Tenant), printable(l.Conversation), l.Kind, printable(l.What))
	return err
}

// conversationNames are the ids that the tables may know the wanted conversation by: an id that looks
// like a phone number or an address is stored as its pseudonym.
func (a *app) conversationNames(o tailOptions) ([]string, error) {
	if o.conversation == "" {
		return nil, nil
	}
	names := []string{o.conversation}
	var key []byte
	if o.data != "" {
		var err error
		if key, err = embeddedKey(a.cfg, o.data); err != nil {
			return nil, err
		}
	} else if err := a.cfg.LoadSecrets(); err == nil && a.cfg.Privacy.Key.IsSet() {
		key = []byte(a.cfg.Privacy.Key.Reveal())
	}
	if len(key) == 0 {
		return names, nil
	}
	r, err := redact.New(key, redact.Config{TextBytes: int(a.cfg.Limits.TextBytes),
		ConversationIDs: redact.Mode(a.cfg.Privacy.ConversationIDs)})
	if err != nil {
		return nil, usagef("cannot use privacy: %w", err)
	}
	tenant := cmp.Or(o.tenant, "default")
	return append(names, string(r.ConversationID(nil, []byte(tenant), []byte(o.conversation)))), nil
}
