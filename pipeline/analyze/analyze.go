package analyze

import (
	"bytes"
	"context"
	"fmt"

	"usher/features/conversation"
	"usher/pipeline"
	"usher/pipeline/event"
	"usher/pipeline/source/jsonl"
)

// tableConversationsMax is how many conversations share one state table before a fresh one takes
// over: they come whole, so nothing of a finished one is needed again.
const tableConversationsMax = 100_000

// Config says what to analyze.
type Config struct {
	Line    *pipeline.Line      // one of the caller's own
	State   conversation.Config // as the line's
	NowMS   int64               // the clock that event times are held against
	OnBytes func(n int)         // hears of every piece read; may be nil
	OnBad   func(jsonl.Bad)     // hears of every line that is no event; may be nil
}

// Files reads files of events (JSON lines, plain, gzip or zstd; "-" is standard input), sorts each
// conversation, takes it through the line, and returns the figures. The error is about a file that
// cannot be read, or a bound of the state.
func Files(ctx context.Context, cfg Config, files []string) (*Report, error) {
	a := &analyzer{cfg: cfg, sum: newAggregate(), minutes: true}
	a.table = conversation.NewTable(cfg.State)
	read := &jsonl.Report{}
	err := jsonl.Each(ctx, jsonl.Config{
		NowMS: cfg.NowMS, LineBytes: lineBytesMax, OnBytes: cfg.OnBytes, OnBad: cfg.OnBad,
	}, files, read, a.event)
	if err != nil {
		return nil, err
	}
	a.end()
	r := a.sum.finish()
	r.DeadLetters += int64(read.Bad)
	a.notes(r)
	return r, nil
}

// lineBytesMax is the longest line that is read whole, as in the embedded player.
const lineBytesMax = 16 << 20

type analyzer struct {
	cfg    Config
	table  *conversation.Table
	sum    *aggregate
	key    []byte // of the conversation being read
	offset int64
	result pipeline.Result

	minutes   bool // every time so far is a whole minute
	unsettled int64
}

// event takes one event; they come conversation by conversation.
func (a *analyzer) event(e jsonl.Event) error {
	if a.offset > 0 && !bytes.Equal(a.key, e.Key) {
		a.end()
	}
	a.key = append(a.key[:0], e.Key...)
	r := &a.result
	err := a.cfg.Line.Process(a.table, &pipeline.Record{
		Topic: "file", Offset: a.offset, Key: e.Key, Value: e.Value, NowMS: a.cfg.NowMS,
	}, r)
	a.offset++
	if err != nil {
		return fmt.Errorf("cannot analyze event %d: %w", a.offset, err)
	}
	if r.Reject != nil {
		a.sum.report.DeadLetters++
		return nil
	}
	a.minutes = a.minutes && r.Event.TimeMS%60_000 == 0
	if r.Event.Type == event.TypeClose && r.Event.Resolution == event.ResolutionNone {
		a.unsettled++
	}
	a.sum.event(r.Event, r.Arrival.Flags)
	if r.Decision != nil {
		a.sum.report.Decisions.add(r.Decision.Band)
	}
	return nil
}

// end finishes a conversation.
func (a *analyzer) end() {
	a.sum.facts(a.table.Facts())
	a.sum.conversation()
	a.table.BeginTransaction()
	if a.table.Len() >= tableConversationsMax {
		a.table = conversation.NewTable(a.cfg.State)
	}
}

// notes says what the figures rest on.
func (a *analyzer) notes(r *Report) {
	r.Lossy, r.Guessed = []string{}, []string{}
	if a.minutes && r.Events > 1 {
		r.Lossy = append(r.Lossy, "every time is a whole minute: waits are true to within 60 s")
	}
	if a.unsettled > 0 {
		r.Guessed = append(r.Guessed, fmt.Sprintf("resolution of %d closes that name none: assumed "+
			"when the last question was answered, else unresolved", a.unsettled))
	}
}
