package jsonl

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"usher/pipeline/event"
	"usher/pipeline/source/fieldmap"
)

// DefaultMemoryBytes is how much of the events an import holds in memory before it goes on in a
// temporary file. The index stays in memory: about 40 bytes an event and 150 a conversation, so
// 16 GB sort about 300 million events. More than that has to be imported in pieces that do not cut
// a conversation.
const DefaultMemoryBytes = 256 << 20

// Config says what to read and how. The zero Config takes events as they are.
type Config struct {
	// Mapper turns the lines into events; nil takes the lines for events already and changes no byte.
	Mapper *fieldmap.Mapper
	// NowMS is the clock that bounds event times from above, in milliseconds since 1970.
	NowMS int64
	// LineBytes is the longest line, DefaultLineBytes when 0. Longer ones are bad lines.
	LineBytes int
	// MemoryBytes bounds the events in memory, DefaultMemoryBytes when 0.
	MemoryBytes int
	// TempDir holds the temporary file; "" is the system's directory.
	TempDir string
	// OnBytes hears of every piece read, in bytes as they are stored; for a progress bar. May be nil.
	OnBytes func(n int)
	// OnBad hears of every bad line, in order. May be nil.
	OnBad func(Bad)
}

// Event is one event in the order in which it is to be published. Its bytes are valid until the
// callback returns.
type Event struct {
	Key    []byte // the Kafka key: the conversation id, of agent_status the agent's id
	Value  []byte // JSON, as CONTRACT section 2 has it
	TimeMS int64  // event time, milliseconds since 1970
}

// Import reads every file, brings its lines into the form and order of usher and writes them to out
// as JSON lines: conversation by conversation, in the order of their first events, each sorted by
// seq when all of its events have one, else by time. Equal ones keep the order of the files.
//
// A bad line is reported and left out; it takes nothing else with it. The error is about a file
// that cannot be read to its end, or about out.
func Import(ctx context.Context, cfg Config, in []string, out io.Writer, report *Report) error {
	lines := bufio.NewWriterSize(out, readBuffer)
	err := Each(ctx, cfg, in, report, func(e Event) error {
		if _, err := lines.Write(e.Value); err != nil {
			return err
		}
		return lines.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	if err := lines.Flush(); err != nil {
		return fmt.Errorf("cannot write the events: %w", err)
	}
	return nil
}

// Each is Import with a callback for every event in place of a writer. An error of emit ends it.
func Each(
	ctx context.Context, cfg Config, in []string, report *Report, emit func(Event) error,
) error {
	if report == nil {
		report = &Report{}
	}
	i := newImporter(cfg, report)
	defer i.spool.close()
	for _, path := range in {
		if err := i.file(ctx, path); err != nil {
			return err
		}
	}
	report.Conversations = len(i.groups)
	return i.emit(ctx, emit)
}

// entry is one event of the index.
type entry struct {
	at     int64 // in the spool
	timeMS int64
	seq    int64
	bytes  int32
	group  int32
}

// group is what is known of a conversation.
type group struct {
	firstMS int64
	key     string
	unseqed bool // an event without seq: the conversation is sorted by time
}

type importer struct {
	cfg     Config
	report  *Report
	decoder *event.Decoder
	event   event.Event
	mapped  []byte
	name    []byte
	spool   spool
	entries []entry
	groups  []group
	byName  map[string]int32
}

func newImporter(cfg Config, report *Report) *importer {
	if cfg.MemoryBytes <= 0 {
		cfg.MemoryBytes = DefaultMemoryBytes
	}
	return &importer{
		cfg: cfg, report: report, decoder: event.NewDecoder(event.Limits{}),
		spool: spool{limit: cfg.MemoryBytes, dir: cfg.TempDir}, byName: map[string]int32{},
	}
}

// ctxEvery is how many lines or events go between two looks at the context.
const ctxEvery = 1024

// file takes in one file.
func (i *importer) file(ctx context.Context, path string) (err error) {
	src, err := open(path, i.cfg.OnBytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	i.report.Files++
	lines := NewReader(src, i.cfg.LineBytes)
	for last := 0; ; {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			i.report.Blank += lines.Blank()
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read %s behind line %d: %w", path, last, err)
		}
		last = line.Number
		i.report.Lines++
		if i.report.Lines%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rejected, err := i.line(line)
		if err != nil {
			return err
		}
		if rejected != nil {
			i.bad(path, line, rejected)
		}
	}
}

// line maps and checks one line and puts its event on the spool.
func (i *importer) line(line Line) (*event.Reject, error) {
	if line.Long {
		return &event.Reject{Code: event.TooLarge, Reason: "the line is longer than the limit"}, nil
	}
	value := line.Bytes
	if i.cfg.Mapper != nil {
		mapped, rejected := i.cfg.Mapper.Map(i.mapped[:0], value, nil)
		if i.mapped = mapped; rejected != nil {
			return rejected, nil
		}
		value = mapped
	}
	ev := &i.event
	if rejected := i.decoder.Decode(value, event.Envelope{NowMS: i.cfg.NowMS}, ev); rejected != nil {
		return rejected, nil
	}
	at, err := i.spool.add(value)
	if err != nil {
		return nil, err
	}
	number := i.groupOf(ev)
	g := &i.groups[number]
	g.firstMS = min(g.firstMS, ev.TimeMS)
	g.unseqed = g.unseqed || !ev.HasSeq
	i.entries = append(i.entries, entry{
		at: at, timeMS: ev.TimeMS, seq: ev.Seq, bytes: int32(len(value)), group: number,
	})
	i.report.Events++
	return nil, nil
}

// groupOf finds the conversation of an event. What agents say of themselves is one a person.
func (i *importer) groupOf(ev *event.Event) int32 {
	kind, key := byte('c'), ev.ConversationID
	if ev.Type == event.TypeAgentStatus {
		kind, key = 'a', ev.Actor.ID
	}
	i.name = append(append(append(append(i.name[:0], kind), ev.Tenant...), 0), key...)
	number, known := i.byName[string(i.name)]
	if !known {
		number = int32(len(i.groups))
		i.byName[string(i.name)] = number
		i.groups = append(i.groups, group{firstMS: ev.TimeMS, key: string(key)})
	}
	return number
}

// bad reports a line that is no event.
func (i *importer) bad(path string, line Line, rejected *event.Reject) {
	i.report.add(Bad{
		File: path, Line: line.Number, Code: rejected.Code, Reason: rejected.Reason,
		Mend: mend(rejected.Code, line.Bytes, i.cfg.Mapper != nil),
	}, i.cfg.OnBad)
}

// emit sorts the index and hands out the events.
func (i *importer) emit(ctx context.Context, emit func(Event) error) error {
	if err := i.spool.seal(); err != nil {
		return err
	}
	slices.SortFunc(i.entries, i.order)
	var buf []byte
	for n, e := range i.entries {
		if n%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		value, err := i.spool.read(buf, e.at, int(e.bytes))
		if err != nil {
			return err
		}
		if i.spool.file != nil && e.at >= int64(len(i.spool.memory)) {
			buf = value
		}
		key := []byte(i.groups[e.group].key)
		if err := emit(Event{Key: key, Value: value, TimeMS: e.timeMS}); err != nil {
			return fmt.Errorf("cannot pass event %d of %d on: %w", n+1, len(i.entries), err)
		}
	}
	return nil
}

// order compares two events; the place in the spool is the order of the files.
func (i *importer) order(a, b entry) int {
	if a.group != b.group {
		return cmp.Or(cmp.Compare(i.groups[a.group].firstMS, i.groups[b.group].firstMS),
			cmp.Compare(a.group, b.group))
	}
	if i.groups[a.group].unseqed {
		return cmp.Or(cmp.Compare(a.timeMS, b.timeMS), cmp.Compare(a.at, b.at))
	}
	return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.at, b.at))
}
