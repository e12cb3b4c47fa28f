package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/audit"
)

type auditOptions struct {
	data        string
	incremental bool
	asJSON      bool
}

// auditLine is the audit of one partition, as `usher audit --json` prints it.
type auditLine struct {
	Scope          string `json:"scope"` // input: offsets of events; rows: what came of usher.rows.v1
	Topic          string `json:"topic"`
	Partition      int32  `json:"partition"`
	FromOffset     int64  `json:"from_offset"`
	ToOffset       int64  `json:"to_offset"` // exclusive
	Stored         uint64 `json:"stored"`
	Dead           uint64 `json:"dead"`
	Gaps           uint64 `json:"gaps"`
	GapsControl    uint64 `json:"gaps_control"` // of them, Kafka's own records
	DuplicatesSeen uint64 `json:"duplicates_seen"`
	Missing        uint64 `json:"missing"`
	Duplicated     uint64 `json:"duplicated"`
	RowsExpected   uint64 `json:"rows_expected"`
	RowsStored     uint64 `json:"rows_stored"`
}

func (a *app) auditCommand() *cobra.Command {
	o := auditOptions{}
	c := &cobra.Command{
		Use:   "audit",
		Short: "Prove delivery: stored + dead + gaps = offsets",
		Long: `Count, for every partition, whether each offset ended as exactly one stored event, one dead
letter or one declared gap, and whether every block of rows is there once, from the very beginning.
The result is also written to delivery_audit. The exit code is 3 when something is missing or
doubled.`,
		Example: `  usher audit
  usher audit --incremental --json
  usher audit --data ./usher-data`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			report, err := a.runAudit(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.printAudit(o, report)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured one)")
	f.BoolVar(&o.incremental, "incremental", false, "count only what came since the last audit")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

// auditPlace is where an audit counts.
type auditPlace struct {
	kafka []kgo.Opt // with seed brokers
	at    clickhouseAt
	wait  time.Duration // how long the sink may take to catch up; 0: the audit's own
}

// embeddedAuditWait is short: without a demo on the directory nobody will catch up.
const embeddedAuditWait = 5 * time.Second

func (a *app) runAudit(ctx context.Context, o auditOptions) (audit.Report, error) {
	s, closeStore, err := a.openStore(ctx, o.data)
	if err != nil {
		return nil, err
	}
	defer closeStore()
	if o.data == "" {
		opts, err := kafkaOptions(a.cfg.Kafka)
		if err != nil {
			return nil, err
		}
		return auditAt(ctx, a.cfg, auditPlace{kafka: opts, at: s.at()}, !o.incremental)
	}
	b, err := startBroker(ctx, o.data)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := b.Close(); err != nil {
			a.log.Warn("the embedded broker did not end cleanly", "error", err)
		}
	}()
	report, err := auditAt(ctx, a.cfg, auditPlace{
		kafka: []kgo.Opt{kgo.SeedBrokers(b.Addr())}, at: s.at(), wait: embeddedAuditWait,
	}, !o.incremental)
	if err != nil {
		return nil, fmt.Errorf("%w\nA demo that was cut off goes on with: usher demo --data %s --exit",
			err, o.data)
	}
	return report, nil
}

// auditAt reads what is settled, counts it and writes the outcome to delivery_audit.
func auditAt(ctx context.Context, c *config.Config, p auditPlace, whole bool) (audit.Report, error) {
	cl, err := kgo.NewClient(append(p.kafka, kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		return nil, usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	conn, err := openClickHouse(p.at)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := pingClickHouse(ctx, conn, p.at); err != nil {
		return nil, err
	}
	scope, err := audit.Offsets(ctx, kadm.NewClient(cl), audit.Kafka{
		// The one source that this version routes.
		InputTopics: []string{c.SourceTopic(&c.Sources[0])},
		RouterGroup: c.Topics.Prefix + "usher.router",
		RowsTopic:   c.Topic(config.RowsTopic),
		SinkGroup:   c.Topics.Prefix + "usher.sink",
		Wait:        p.wait,
	})
	if err != nil {
		return nil, err
	}
	return audit.Run(ctx, conn, scope, audit.Options{Whole: whole})
}

func auditLines(r audit.Report) []auditLine {
	out := make([]auditLine, 0, len(r))
	for i := range r {
		x := &r[i]
		out = append(out, auditLine{
			Scope: x.Scope, Topic: x.Topic, Partition: x.Partition, FromOffset: x.FromOffset,
			ToOffset: x.ToOffset, Stored: x.Stored, Dead: x.Dead, Gaps: x.Gaps,
			GapsControl: x.GapsControl, DuplicatesSeen: x.DuplicatesSeen, Missing: x.Missing,
			Duplicated: x.Duplicated, RowsExpected: x.RowsExpected, RowsStored: x.RowsStored,
		})
	}
	return out
}

func (a *app) printAudit(o auditOptions, r audit.Report) error {
	missing, doubled := r.Missing(), r.Duplicated()
	if o.asJSON {
		if err := json.NewEncoder(a.out).Encode(map[string]any{
			"missing": missing, "duplicated": doubled, "partitions": auditLines(r),
		}); err != nil {
			return err
		}
	} else {
		printAuditLines(a.out, auditLines(r))
		fmt.Fprintf(a.out, "missing %d, duplicated %d\n", missing, doubled)
	}
	if missing != 0 || doubled != 0 {
		return notHeldf("the audit found %d missing and %d doubled", missing, doubled)
	}
	return nil
}

// printAuditLines prints what each scope counts.
func printAuditLines(w io.Writer, lines []auditLine) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "topic\tpartition\tfrom\tto\tstored\tdead\tgaps\trows expected\trows stored\t"+
		"missing\tdoubled\t")
	for i := range lines {
		l := &lines[i]
		counts := fmt.Sprintf("%d\t%d\t%d\t-\t-", l.Stored, l.Dead, l.Gaps)
		if l.Scope == audit.ScopeRows {
			counts = fmt.Sprintf("-\t-\t-\t%d\t%d", l.RowsExpected, l.RowsStored)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%d\t%d\t\n", l.Topic, l.Partition, l.FromOffset,
			l.ToOffset, counts, l.Missing, l.Duplicated)
	}
	_ = t.Flush()
}
