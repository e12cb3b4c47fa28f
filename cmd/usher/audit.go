package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/audit"
	"usher/sinks/clickhouse/schema"
)

type auditOptions struct {
	data        string
	incremental bool
	repair      bool
	declare     string // cause
	dryRun      bool
	asJSON      bool
}

// auditLine is the audit of one partition, as `usher audit --json` prints it.
type auditLine struct {
	Scope          string `json:"scope"` // input, rows or cycles: see package audit
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
doubled.

--repair reads the records of the rows topic that cover what is missing again and inserts exactly
the missing rows; then it counts once more. What retention has removed is said, with its offsets.
Rows that are there twice are not touched: the statements that take them out are printed.

--declare CAUSE writes down, as gaps in delivery_gaps, that what is missing was removed on purpose:
ttl by a TTL of your own, erased by an erasure, operator by hand. The balance holds from then on for
exactly these offsets and ranges, and repairs leave them alone; --dry-run only lists them.`,
		Example: `  usher audit
  usher audit --repair
  usher audit --declare erased --dry-run
  usher audit --incremental --json
  usher audit --data ./usher-data`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			done, err := a.runAudit(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.printAudit(o, done)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured one)")
	f.BoolVar(&o.incremental, "incremental", false, "count only what came since the last audit")
	f.BoolVar(&o.repair, "repair", false, "put back what is missing, while its records are retained")
	f.StringVar(&o.declare, "declare", "", "write down who removed what is missing: `cause` ttl, erased or operator")
	f.BoolVar(&o.dryRun, "dry-run", false, "with --declare: list, write nothing")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

func (o *auditOptions) check() error {
	switch {
	case (o.repair || o.declare != "") && o.incremental:
		return usagef("--repair and --declare count everything: leave --incremental out")
	case o.repair && o.declare != "":
		return usagef("repair first, then declare what cannot be put back: use one of --repair and --declare")
	case o.dryRun && o.declare == "":
		return usagef("--dry-run belongs to --declare")
	}
	switch o.declare {
	case "", schema.GapTTL, schema.GapErased, schema.GapOperator:
		return nil
	}
	return usagef("--declare takes a cause: %s, %s or %s; the others are declared by the router",
		schema.GapTTL, schema.GapErased, schema.GapOperator)
}

// auditPlace is where an audit counts.
type auditPlace struct {
	kafka []kgo.Opt // with seed brokers
	at    clickhouseAt
	wait  time.Duration // how long the sink may take to catch up; 0: the audit's own
}

// embeddedAuditWait is short: without a demo on the directory nobody will catch up.
const embeddedAuditWait = 5 * time.Second

// audited is what an audit found, and did.
type audited struct {
	audit.Report                 // the last count
	repaired     *audit.Repaired // nil without --repair
	declared     []audit.Declared
	undouble     []string // statements that take doubled rows out
}

func (a *app) runAudit(ctx context.Context, o auditOptions) (*audited, error) {
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
		done, err := a.auditWith(ctx, auditPlace{kafka: opts, at: s.at()}, o)
		if errors.Is(err, audit.ErrNoTopic) {
			err = fmt.Errorf("%w\nIs this the right Kafka (%s) and topics.prefix? usher topics --apply "+
				"creates the topics", err, a.brokersText())
		}
		return done, err
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
	done, err := a.auditWith(ctx, auditPlace{
		kafka: []kgo.Opt{kgo.SeedBrokers(b.Addr())}, at: s.at(), wait: embeddedAuditWait,
	}, o)
	switch {
	case errors.Is(err, audit.ErrNoTopic):
		return nil, fmt.Errorf("%w\nNothing was played in %s yet: usher demo --data %s --exit does",
			err, o.data, o.data)
	case err != nil:
		return nil, fmt.Errorf("%w\nA demo that was cut off goes on with: usher demo --data %s --exit",
			err, o.data)
	}
	return done, nil
}

// auditWith counts, repairs when asked, and counts again.
func (a *app) auditWith(ctx context.Context, p auditPlace, o auditOptions) (*audited, error) {
	b, err := openAudit(ctx, a.cfg, p)
	if err != nil {
		return nil, err
	}
	defer b.close()
	done := &audited{}
	if done.Report, err = audit.Run(ctx, b.conn, b.scope, audit.Options{Whole: !o.incremental}); err != nil {
		return nil, err
	}
	if o.repair && done.Missing() > 0 {
		src := &audit.Rows{Opts: p.kafka, Topic: a.cfg.Topic(config.RowsTopic)}
		done.repaired, err = audit.Repair(ctx, b.conn, src, b.scope, audit.RepairOptions{})
		if err != nil {
			return nil, err
		}
		if done.Report, err = audit.Run(ctx, b.conn, b.scope, audit.Options{Whole: true}); err != nil {
			return nil, err
		}
	}
	if o.declare != "" && done.Missing() > 0 {
		if err := b.declare(ctx, o, done); err != nil {
			return nil, err
		}
	}
	if done.Duplicated() > 0 {
		done.undouble, err = audit.Undouble(ctx, b.conn, b.scope)
	}
	return done, err
}

// declare writes down what is missing, and counts again.
func (b *auditBed) declare(ctx context.Context, o auditOptions, done *audited) (err error) {
	if done.declared, err = audit.Missing(ctx, b.conn, b.scope); err != nil || o.dryRun {
		return err
	}
	if err := audit.Declare(ctx, b.conn, o.declare, done.declared, time.Now()); err != nil {
		return err
	}
	done.Report, err = audit.Run(ctx, b.conn, b.scope, audit.Options{Whole: true})
	return err
}

// auditBed is a store beside what Kafka says is settled.
type auditBed struct {
	conn  driver.Conn
	scope audit.Scope
	close func()
}

// openAudit reads what is settled.
func openAudit(ctx context.Context, c *config.Config, p auditPlace) (*auditBed, error) {
	opts := append(append([]kgo.Opt{}, p.kafka...), kgo.MetadataMinAge(100*time.Millisecond))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	conn, err := openClickHouse(p.at)
	if err != nil {
		return nil, err
	}
	b := &auditBed{conn: conn, close: func() { _ = conn.Close() }}
	if err = pingClickHouse(ctx, conn, p.at); err == nil {
		b.scope, err = audit.Offsets(ctx, kadm.NewClient(cl), auditKafka(c, p.wait))
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// auditKafka names the topics and groups between which an audit counts.
func auditKafka(c *config.Config, wait time.Duration) audit.Kafka {
	return audit.Kafka{
		// The one source that this version routes.
		InputTopics: []string{c.SourceTopic(&c.Sources[0])},
		RouterGroup: c.Topics.Prefix + "usher.router",
		RowsTopic:   c.Topic(config.RowsTopic),
		SinkGroup:   c.Topics.Prefix + "usher.sink",
		Wait:        wait,
	}
}

// auditAt reads what is settled, counts it and writes the outcome to delivery_audit.
func auditAt(ctx context.Context, c *config.Config, p auditPlace, whole bool) (audit.Report, error) {
	b, err := openAudit(ctx, c, p)
	if err != nil {
		return nil, err
	}
	defer b.close()
	return audit.Run(ctx, b.conn, b.scope, audit.Options{Whole: whole})
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

func (a *app) printAudit(o auditOptions, done *audited) error {
	missing, doubled := done.Missing(), done.Duplicated()
	if o.asJSON {
		all := map[string]any{
			"missing": missing, "duplicated": doubled, "partitions": auditLines(done.Report),
		}
		if r := done.repaired; r != nil {
			all["repaired"], all["left"] = r.Rows, leftLines(r.Left)
		}
		if o.declare != "" {
			all["declared"] = declaredLines(done.declared)
		}
		if err := json.NewEncoder(a.out).Encode(all); err != nil {
			return err
		}
	} else {
		printAuditLines(a.out, auditLines(done.Report))
		a.printRepair(done)
		for _, line := range declaredLines(done.declared) {
			fmt.Fprintf(a.out, "%s  %s\n", o.declare, line)
		}
		fmt.Fprintf(a.out, "missing %d, duplicated %d\n", missing, doubled)
	}
	switch {
	case missing != 0 && !o.repair:
		return notHeldf("the audit found %d missing and %d doubled; usher audit --repair puts back what "+
			"the rows topic still holds, usher audit --declare writes down what was removed on purpose",
			missing, doubled)
	case missing != 0 || doubled != 0:
		return notHeldf("the audit found %d missing and %d doubled", missing, doubled)
	}
	return nil
}

func declaredLines(runs []audit.Declared) []string {
	out := []string{}
	for _, d := range runs {
		out = append(out, fmt.Sprintf("%s/%d offsets %d-%d", d.Topic, d.Partition, d.From, d.To-1))
	}
	return out
}

func leftLines(left []audit.Left) []string {
	out := []string{}
	for _, l := range left {
		line := l.Why
		if l.Topic != "" {
			line = fmt.Sprintf("%s/%d offsets %d-%d: %s", l.Topic, l.Partition, l.From, l.To-1, l.Why)
		}
		out = append(out, line)
	}
	return out
}

// printRepair says what was put back, what could not be, and how doubled rows go.
func (a *app) printRepair(done *audited) {
	if r := done.repaired; r != nil {
		for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
			fmt.Fprintf(a.out, "put back  %s: %d rows\n", table, r.Rows[table])
		}
		for _, line := range leftLines(r.Left) {
			fmt.Fprintf(a.out, "lost      %s\n", line)
		}
	}
	if len(done.undouble) > 0 {
		fmt.Fprintln(a.out, "Rows are there more than once. These statements take them out; each merges a "+
			"whole day:")
		for _, s := range done.undouble {
			fmt.Fprintf(a.out, "  %s;\n", s)
		}
	}
}

// printAuditLines prints what each scope counts.
func printAuditLines(w io.Writer, lines []auditLine) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "topic\tpartition\tfrom\tto\tstored\tdead\tgaps\trows expected\trows stored\t"+
		"missing\tdoubled\t")
	for i := range lines {
		l := &lines[i]
		name, counts := l.Topic, fmt.Sprintf("%d\t%d\t%d\t-\t-", l.Stored, l.Dead, l.Gaps)
		if l.Scope == audit.ScopeCycles {
			name += " (conversations)"
		}
		if l.Scope != audit.ScopeInput {
			counts = fmt.Sprintf("-\t-\t-\t%d\t%d", l.RowsExpected, l.RowsStored)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%d\t%d\t\n", name, l.Partition, l.FromOffset,
			l.ToOffset, counts, l.Missing, l.Duplicated)
	}
	_ = t.Flush()
}
