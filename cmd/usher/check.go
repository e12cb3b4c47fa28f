package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"usher/cmd/usher/internal/config"
	"usher/pipeline/route"
	"usher/sinks/clickhouse/schema"
)

// The bounds that `usher check` holds a deployment to.
const (
	clockDriftMax   = 5 * time.Second // DELIVERY: farther apart refuses
	partsMax        = 3000            // of one table: beyond it ClickHouse throttles inserts
	partitionsMax   = 1000            // of one table: queries by day read them all
	privacyKeyBytes = 16
)

// findings collects the lines of a check.
type findings struct {
	app *app
	bad int
}

func (f *findings) ok(format string, args ...any) {
	fmt.Fprintf(f.app.out, "ok    "+format+"\n", args...)
}

func (f *findings) wrong(format string, args ...any) {
	f.bad++
	fmt.Fprintf(f.app.out, "BAD   "+format+"\n", args...)
}

func (f *findings) note(format string, args ...any) {
	fmt.Fprintf(f.app.out, "note  "+format+"\n", args...)
}

func (a *app) checkCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "check [events FILE|-]",
		Short: "Check configuration, connections and settings, or a producer's events",
		Long: `Check the configuration, reach Kafka and ClickHouse, and look at the settings on which delivery
rests: topics and their partitions, deduplication windows of every ingest table, clocks, partition
counts, events that lie in the wrong partition. Each finding says how to mend it. With --data only
the embedded store is looked at.

"usher check events" reads a producer's own events instead: every line that is none, with its code
and what to do about it, then which KPIs the events can feed.

The exit code is 3 when something was found.`,
		Example: `  usher check
  usher check --data ./usher-data
  head -1000 events.jsonl | usher check events -`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return a.check(cmd.Context(), data)
			case args[0] == "events" && len(args) == 2:
				return a.checkEvents(cmd.Context(), args[1])
			case args[0] == "events":
				return usagef("check events needs one file, or - for standard input")
			}
			return usagef("check knows no %q; it takes nothing, or: events FILE", args[0])
		}),
	}
	c.Flags().StringVar(&data, "data", "", "data `directory` of an embedded store")
	return c
}

func (a *app) check(ctx context.Context, data string) error {
	f := &findings{app: a}
	a.checkConfiguration(f, data != "")
	if data == "" {
		a.checkKafka(ctx, f)
	}
	s, closeStore, err := a.openStore(ctx, data)
	if err != nil {
		return err
	}
	defer closeStore()
	a.checkStore(ctx, f, s)
	if f.bad > 0 {
		return notHeldf("%d findings", f.bad)
	}
	return nil
}

// checkConfiguration looks at what the configuration names; its own form is right by now.
func (a *app) checkConfiguration(f *findings, embedded bool) {
	if err := a.cfg.LoadSecrets(); err != nil {
		f.wrong("%v", err)
	}
	key := a.cfg.Privacy.Key
	switch {
	case !key.IsSet() && !embedded:
		f.wrong("privacy: no key; run refuses to start: name a file in privacy.key_file or set " +
			"USHER_PRIVACY_KEY")
	case key.IsSet() && len(key.Reveal()) < privacyKeyBytes:
		f.wrong("privacy: the key is shorter than %d bytes; take a long random text", privacyKeyBytes)
	}
	for path, file := range map[string]string{
		"privacy.key_file":         a.cfg.Privacy.KeyFile,
		"clickhouse.password_file": a.cfg.ClickHouse.PasswordFile,
		"kafka.sasl.password_file": a.cfg.Kafka.SASL.PasswordFile,
		"admin.token_file":         a.cfg.Admin.TokenFile,
	} {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
			f.wrong("%s: everyone on this machine can read %s; mend it with chmod o= %s", path, file, file)
		}
	}
	lc, err := lineConfig(a.cfg, lineSettings{Key: []byte(randomHex(16)), Mode: route.Live})
	if err != nil {
		f.wrong("%v", err)
		return
	}
	if lc.Model != nil {
		defer lc.Model.Close()
		f.ok("configuration; model %s %s", lc.Model.Name(), lc.Model.Version())
		if len(a.cfg.Classifier.Models) == 0 && !embedded {
			f.note("no model is configured: the demo model in the binary decides")
		}
	}
}

func (a *app) checkKafka(ctx context.Context, f *findings) {
	cl, err := a.kafkaClient()
	if err != nil {
		f.wrong("%v", err)
		return
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	there, err := adm.ListTopics(ctx)
	if err != nil {
		f.wrong("cannot reach %s: %v; check kafka.brokers, tls and sasl", a.brokersText(), err)
		return
	}
	f.ok("%s answers", a.brokersText())
	checkKafkaVersion(ctx, f, adm)
	follow := eventPartitionsOf(a.cfg, there)
	for _, s := range topicSpecs(a.cfg, eventPartitions, rowPartitions) {
		d := there[s.Name]
		if !there.Has(s.Name) {
			f.wrong("topic %s is not there; usher topics --apply creates it", s.Name)
			continue
		}
		found, err := checkTopic(ctx, adm, s, d, follow)
		if err != nil {
			f.wrong("%v", err)
		}
		for _, line := range found {
			f.wrong("topic %s", line)
		}
		if len(found) == 0 && err == nil {
			f.ok("topic %s, %d partitions", s.Name, len(d.Partitions))
		}
	}
}

// checkStore looks at the schema, the windows, the clock and what lies wrong.
func (a *app) checkStore(ctx context.Context, f *findings, s *store) {
	version, err := s.ping(ctx, reachTimeout)
	if err != nil {
		f.wrong("%v", err)
		return
	}
	f.ok("%s answers, version %s", s.where, version)
	if !strings.HasPrefix(version, testedClickHouse+".") {
		f.note("usher was tested with ClickHouse %s; with another version run a trial on a copy first",
			testedClickHouse)
	}
	a.checkClock(ctx, f, s)
	rows, err := s.rows(ctx, storedTablesQuery, nil)
	if err != nil {
		f.wrong("%v", explain(err))
		return
	}
	tables := map[string]storedTable{}
	for _, r := range rows {
		if len(r) == 3 {
			tables[fmt.Sprint(r[0])] = storedTable{fmt.Sprint(r[1]), fmt.Sprint(r[2])}
		}
	}
	if checkTables(f, tables) {
		checkWindows(f, tables)
		checkPartitions(ctx, f, s)
		checkMisplaced(ctx, f, s)
	}
}

func (a *app) checkClock(ctx context.Context, f *findings, s *store) {
	before := time.Now()
	rows, err := s.rows(ctx, "SELECT toUnixTimestamp64Milli(now64(3))", nil)
	took := time.Since(before)
	if err != nil || len(rows) != 1 {
		f.wrong("cannot ask %s for its time: %v", s.where, err)
		return
	}
	var ms int64
	if _, err := fmt.Sscan(fmt.Sprint(rows[0][0]), &ms); err != nil {
		f.wrong("cannot read the time of %s: %v", s.where, err)
		return
	}
	drift := time.UnixMilli(ms).Sub(before.Add(took / 2)).Abs()
	if drift > clockDriftMax {
		f.wrong("the clock of %s is %s apart from this machine's; the sink refuses beyond %s: set the "+
			"clocks", s.where, drift.Round(time.Millisecond), clockDriftMax)
		return
	}
	f.ok("clocks agree to %s", drift.Round(time.Millisecond))
}

// checkTables reports whether the schema is there at all.
func checkTables(f *findings, tables map[string]storedTable) bool {
	var missing []string
	for _, t := range schema.Tables() {
		if _, ok := tables[t.Name]; !ok {
			missing = append(missing, t.Name)
		}
	}
	if len(missing) > 0 {
		f.wrong("tables are missing: %s; usher schema --apply makes them", strings.Join(missing, ", "))
	} else {
		f.ok("schema: every table is there")
	}
	return len(missing) < len(schema.Tables())
}

// checkWindows looks at every table that inserts by token reach.
func checkWindows(f *findings, tables map[string]storedTable) {
	bad := unfitTables(tables)
	for _, line := range bad {
		f.wrong("%s", line)
	}
	if len(bad) == 0 {
		f.ok("deduplication windows of every ingest table")
	}
}

func checkPartitions(ctx context.Context, f *findings, s *store) {
	rows, err := s.rows(ctx, `SELECT table, uniqExact(partition), count() FROM system.parts
		WHERE database = currentDatabase() AND active GROUP BY table
		HAVING uniqExact(partition) > {partitions:UInt64} OR count() > {parts:UInt64} ORDER BY table`,
		map[string]string{"partitions": fmt.Sprint(partitionsMax), "parts": fmt.Sprint(partsMax)})
	if err != nil {
		f.wrong("%v", err)
		return
	}
	for _, r := range rows {
		f.wrong("table %v has %v partitions and %v parts (at most %d and %d): is history being imported "+
			"as live traffic, or does nothing merge?", r[0], r[1], r[2], partitionsMax, partsMax)
	}
	if len(rows) == 0 {
		f.ok("partition counts")
	}
}

func checkMisplaced(ctx context.Context, f *findings, s *store) {
	rows, err := s.rows(ctx, `SELECT source, count() FROM events WHERE has(flags, 'misplaced')
		GROUP BY source ORDER BY count() DESC LIMIT 20`, nil)
	if err != nil {
		f.wrong("%v", explain(err))
		return
	}
	for _, r := range rows {
		f.wrong("source %q: %v events lie in another partition than their conversation's, their waits "+
			"cannot be trusted; librdkafka clients (Python, .NET, PHP, kcat): partitioner=murmur2_random, "+
			"and the key must be the conversation id", r[0], r[1])
	}
	if len(rows) == 0 {
		f.ok("partitioners: every event lies where its key belongs")
	}
}

// eventPartitionsOf returns how many partitions each changelog must have.
func eventPartitionsOf(c *config.Config, there kadm.TopicDetails) map[string]int32 {
	follow := map[string]int32{}
	for i := range c.Sources {
		if d, ok := there[c.SourceTopic(&c.Sources[i])]; ok && d.Err == nil {
			follow[stateTopic(c, i)] = int32(len(d.Partitions))
		}
	}
	return follow
}
