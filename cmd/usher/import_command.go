package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/pipeline/source/fieldmap"
	"usher/pipeline/source/jsonl"
)

// badLinesShown is how many bad lines are reported one by one.
const badLinesShown = 20

type importOptions struct {
	out, data      string
	kafka          bool
	topic, zone    string
	fields         string
	values, preset []string
	format         string
	files          []string
	rate           float64
	mapping        fieldmap.Config
}

func (a *app) importCommand() *cobra.Command {
	o := importOptions{}
	c := &cobra.Command{
		Use:   "import FORMAT FILE… --out FILE|--data DIR|--kafka",
		Short: "Turn foreign files into events, sorted by conversation",
		Long: `Read files of another system and write usher's events: to a file, to an embedded store, or to
Kafka. FORMAT is jsonl: one JSON object a line, plain, .gz or .zst.

--map names, for usher's field on the left, the source's dotted path on the right; fields of the
same name map themselves. A line without a type that has a text is a message. A line without an id
gets one from conversation and seq, else from its content, so importing twice changes nothing. Every
conversation is sorted, by seq where all its events have one, else by time. A line that is no event
is reported with what to mend, and left out.`,
		Example: `  usher import jsonl chats.jsonl.gz --out events.jsonl \
      --map time=ts,actor.kind=role,actor.id=sender,message.text=text
  usher import jsonl export.jsonl --data ./usher-data --default tenant=salon7,channel=web \
      --values actor.kind:operator=agent,actor.kind:client=customer --tz Europe/Riga
  usher import jsonl export.jsonl --kafka`,
		Args: someArgs("a format and at least one file, as in: " +
			"usher import jsonl chats.jsonl --out events.jsonl"),
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			o.format, o.files = args[0], args[1:]
			if err := o.check(); err != nil {
				return err
			}
			return a.runImport(cmd.Context(), o)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "write the events to a `file` (- is standard output)")
	f.StringVar(&o.data, "data", "", "bring them into the embedded store of a `directory`")
	f.BoolVar(&o.kafka, "kafka", false, "publish them to the configured Kafka")
	f.StringVar(&o.topic, "topic", "", "with --kafka: another `topic`")
	f.Float64Var(&o.rate, "rate", 0, "with --kafka: at most so many events a second")
	f.StringVar(&o.fields, "map", "", "`field=path,…`: usher's field, the source's dotted path")
	f.StringSliceVar(&o.values, "values", nil, "`field:theirs=ours,…`: translate a field's values")
	f.StringSliceVar(&o.preset, "default", nil, "`field=value,…`: for lines that lack the field")
	f.StringVar(&o.zone, "tz", "", "time `zone` of times that carry none, as Europe/Riga")
	return c
}

// check reads the flags into the mapping.
func (o *importOptions) check() error {
	if o.format != "jsonl" {
		return usagef("there is no import format %q yet; jsonl is", o.format)
	}
	if len(o.files) == 0 {
		return usagef("import %s needs at least one file", o.format)
	}
	targets := 0
	for _, given := range []bool{o.out != "", o.data != "", o.kafka} {
		if given {
			targets++
		}
	}
	if targets != 1 {
		return usagef("say where to: one of --out FILE, --data DIR and --kafka")
	}
	if !o.kafka && (o.topic != "" || o.rate != 0) {
		return usagef("--topic and --rate belong to --kafka")
	}
	for _, file := range o.files {
		if _, err := os.Stat(file); err != nil && file != "-" {
			return usagef("cannot open the input: %w", err)
		}
	}
	return o.readMapping()
}

func (o *importOptions) readMapping() (err error) {
	if o.mapping.Map, err = fieldmap.ParseMap(o.fields); err != nil {
		return &usageError{err}
	}
	o.mapping.Values = map[string]map[string]string{}
	for _, item := range o.values {
		field, pair, ok1 := strings.Cut(item, ":")
		theirs, ours, ok2 := strings.Cut(pair, "=")
		if !ok1 || !ok2 {
			return usagef("cannot read --values at %q: write field:theirs=ours, as in "+
				"actor.kind:operator=agent", item)
		}
		if o.mapping.Values[field] == nil {
			o.mapping.Values[field] = map[string]string{}
		}
		o.mapping.Values[field][theirs] = ours
	}
	o.mapping.Defaults = map[string]string{}
	for _, item := range o.preset {
		field, value, ok := strings.Cut(item, "=")
		if !ok {
			return usagef("cannot read --default at %q: write field=value, as in tenant=salon7", item)
		}
		o.mapping.Defaults[field] = value
	}
	if o.zone != "" {
		if o.mapping.Zone, err = time.LoadLocation(o.zone); err != nil {
			return usagef("--tz: %q is no time zone: write a name of the IANA list, as in Europe/Riga",
				o.zone)
		}
	}
	return nil
}

func (a *app) runImport(ctx context.Context, o importOptions) error {
	mapper, err := fieldmap.New(o.mapping)
	if err != nil {
		return &usageError{err}
	}
	bar := a.newProgress("reading", filesBytes(o.files), true)
	defer bar.done()
	shown := 0
	cfg := jsonl.Config{
		Mapper: mapper, NowMS: time.Now().UnixMilli(),
		OnBytes: func(n int) { bar.add(int64(n)) },
		OnBad: func(b jsonl.Bad) {
			if shown++; shown <= badLinesShown {
				fmt.Fprintln(a.err, b.String())
			}
		},
	}
	report := &jsonl.Report{}
	switch {
	case o.kafka:
		err = a.importToKafka(ctx, o, cfg, report)
	case o.data != "":
		err = a.importToStore(ctx, o, cfg, report)
	default:
		err = a.importToFile(ctx, o, cfg, report)
	}
	bar.done()
	if err != nil {
		return err
	}
	a.log.Info("imported", "events", report.Events, "conversations", report.Conversations,
		"lines", report.Lines, "left_out", report.Bad)
	if report.Events == 0 && report.Bad > 0 {
		return fmt.Errorf("not one of %d lines is an event; the messages above say what to mend",
			report.Lines)
	}
	return nil
}

// filesBytes is the size of all files together, −1 when one has none.
func filesBytes(files []string) int64 {
	var total int64
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		total += info.Size()
	}
	return total
}

// importToFile writes beside the target first, so that a broken import leaves no half file.
func (a *app) importToFile(ctx context.Context, o importOptions, cfg jsonl.Config,
	r *jsonl.Report,
) (err error) {
	if o.out == "-" {
		return jsonl.Import(ctx, cfg, o.files, a.out, r)
	}
	if info, err := os.Stat(o.out); err == nil && !info.Mode().IsRegular() {
		return a.importToDevice(ctx, o, cfg, r)
	}
	tmp, err := os.CreateTemp(filepath.Dir(o.out), "."+filepath.Base(o.out)+"-*")
	if err != nil {
		return fmt.Errorf("cannot write beside %s: %w", o.out, err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := jsonl.Import(ctx, cfg, o.files, tmp, r); err != nil {
		return err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", o.out, err)
	}
	return os.Rename(tmp.Name(), o.out)
}

// importToDevice writes to what cannot be replaced: a pipe, a terminal, /dev/null.
func (a *app) importToDevice(ctx context.Context, o importOptions, cfg jsonl.Config,
	r *jsonl.Report,
) error {
	f, err := os.OpenFile(o.out, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", o.out, err)
	}
	return errors.Join(jsonl.Import(ctx, cfg, o.files, f, r), f.Close())
}

func (a *app) importToKafka(ctx context.Context, o importOptions, cfg jsonl.Config,
	r *jsonl.Report,
) error {
	po := produceOptions{topic: o.topic, rate: o.rate, backfill: true}
	if po.topic == "" {
		po.topic = a.cfg.SourceTopic(&a.cfg.Sources[0])
	}
	p, err := a.newPublisher(ctx, po)
	if err != nil {
		return err
	}
	defer p.client.Close()
	if err := jsonl.Each(ctx, cfg, o.files, r, func(e jsonl.Event) error {
		return p.publish(ctx, e.Value)
	}); err != nil {
		return err
	}
	_, err = p.finish(ctx)
	return err
}

// importToStore plays the events through the whole embedded pipeline. The player knows an input by
// its content, so the same files a second time publish nothing.
func (a *app) importToStore(ctx context.Context, o importOptions, cfg jsonl.Config,
	r *jsonl.Report,
) error {
	tmp, err := os.CreateTemp("", "usher-import-*.jsonl")
	if err != nil {
		return fmt.Errorf("cannot make a temporary file: %w", err)
	}
	defer os.Remove(tmp.Name())
	if err := errors.Join(jsonl.Import(ctx, cfg, o.files, tmp, r), tmp.Close()); err != nil {
		return err
	}
	return runDemo(ctx, demoOptions{
		Config: a.cfg, Log: a.log, DataDir: o.data, Input: tmp.Name(), Exit: true,
		Streams: streams{in: a.in, out: io.Discard, err: a.err},
	})
}
