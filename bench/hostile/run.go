package hostile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline"
	"usher/pipeline/event"
)

// Config says how much to throw.
type Config struct {
	Seed      uint64
	Records   int64
	CorpusDir string // seeds in the form of go test's fuzz corpus
	Line      pipeline.LineConfig
	Metrics   *pipeline.Metrics
	// Round is after how many records the partition is given up and begun anew, as in a rebalance:
	// memory is compared at the ends of rounds. 0 means DefaultRound.
	Round int64
	Out   io.Writer // progress and result
	// Keep takes every committed record of a topic; nil keeps nothing.
	Keep func(rec *kgo.Record)
}

// DefaultRound is about what one partition sees in an hour of heavy traffic.
const DefaultRound = 200_000

// Result is what became of the records.
type Result struct {
	Records     int64 // offsets with a record
	Offsets     int64 // all: records, control records, offsets that were jumped over
	Events      int64
	DeadLetters int64
	Gaps        int64 // offsets in declared gaps
	Decisions   int64
	Aborts      int64 // transactions
	Panics      int64 // dead letters with code panic: each is a fault of usher's
	ByCode      map[string]int64
	ByClass     map[string]int64 // records by what was done to them last
	Reasons     int              // distinct
	// RSSFirst and RSSLast are resident bytes at the ends of the first and the last round.
	RSSFirst, RSSLast int64
	RSSPeak           int64 // of the process, its rounds' state and the harness's books included
	Took              time.Duration
}

const (
	topicEvents   = "chat.events.v1"
	commitRecords = 500
	partitions    = 12
	reasonMax     = 120 // bytes of a reason
	reasonsMax    = 400 // distinct ones, positions aside: reasons are ours, not the payload's
)

type harness struct {
	cfg     Config
	mut     *Mutator
	router  *pipeline.Router
	ledger  ledger
	res     Result
	nowMS   int64
	offset  int64
	inRound int64
	state   map[string][]byte
	reasons map[string]bool
}

// Run throws the records. An error is a promise that did not hold.
func Run(cfg Config) (*Result, error) {
	mut, err := NewMutator(cfg.Seed, cfg.CorpusDir)
	if err != nil {
		return nil, err
	}
	if cfg.Round == 0 {
		cfg.Round = DefaultRound
	}
	line, err := pipeline.NewLine(cfg.Line, cfg.Metrics)
	if err != nil {
		return nil, err
	}
	h := &harness{cfg: cfg, mut: mut, nowMS: endMS, reasons: map[string]bool{}}
	h.res.ByCode, h.res.ByClass = map[string]int64{}, mut.Classes
	h.ledger.h = h
	h.router = pipeline.NewRouter(pipeline.RouterConfig{
		Group: "usher.router", Topics: pipeline.DefaultTopics(""), RowsPartitions: 1,
		Source:           pipeline.Source{Topic: topicEvents, TopicID: [16]byte{1}, Partitions: partitions},
		CommitIntervalMS: 100, CommitRecords: commitRecords, State: cfg.Line.State,
		Now: func() time.Time { return time.UnixMilli(h.nowMS) },
	}, line, &h.ledger)
	began := time.Now()
	for h.res.Records < cfg.Records {
		if err := h.round(); err != nil {
			return &h.res, fmt.Errorf("seed %d, record %d: %w", cfg.Seed, h.res.Records, err)
		}
	}
	h.res.Took = time.Since(began)
	h.res.Reasons = len(h.reasons)
	return &h.res, nil
}

// round plays one life of a partition.
func (h *harness) round() error {
	h.offset, h.inRound, h.state = 0, 0, map[string][]byte{}
	h.ledger.round()
	h.router.Assigned(0, pipeline.Committed{Offset: -1, Seq: -1})
	for h.inRound < h.cfg.Round && h.res.Records < h.cfg.Records ||
		!h.router.Idle() || len(h.ledger.batch) > 0 {
		if err := h.step(); err != nil {
			return err
		}
	}
	if err := h.ledger.whole(h.offset); err != nil {
		return err
	}
	h.router.Revoked(0)
	h.state = nil
	h.ledger.round()
	h.mut.gen = nil
	debug.FreeOSMemory()
	rss, peak := residentBytes("VmRSS:"), residentBytes("VmHWM:")
	h.res.RSSPeak = peak
	if h.res.RSSFirst == 0 {
		h.res.RSSFirst = rss
	}
	h.res.RSSLast = rss
	if h.cfg.Out != nil {
		fmt.Fprintf(h.cfg.Out, "%10d records, %d events, %d dead letters, resident %.1f MB\n",
			h.res.Records, h.res.Events, h.res.DeadLetters, float64(rss)/1e6)
	}
	return nil
}

func (h *harness) step() error {
	h.nowMS++
	s := h.router.Next(h.nowMS)
	switch s.Kind {
	case pipeline.StepRestore:
		return h.restore(s.State)
	case pipeline.StepBegin:
		h.ledger.begin()
		h.router.Begun(nil)
	case pipeline.StepPoll:
		return h.poll(s.Records)
	case pipeline.StepFlush:
		h.router.Flushed(nil)
	case pipeline.StepEnd:
		if s.Commit {
			if err := h.ledger.commit(); err != nil {
				return err
			}
		} else {
			h.res.Aborts++
			h.ledger.abort()
		}
		h.router.Ended(s.Commit, nil)
	case pipeline.StepRefuse:
		return fmt.Errorf("the router refused: %w", s.Err)
	}
	return nil
}

// restore gives back the state of the last committed transaction, as the changelog would.
func (h *harness) restore(state *pipeline.Restore) error {
	progress := h.state[pipeline.ProgressKey]
	for key, value := range h.state {
		if key == pipeline.ProgressKey {
			continue
		}
		if err := state.Apply(&kgo.Record{Key: []byte(key), Value: value}); err != nil {
			return err
		}
	}
	if progress != nil {
		if err := state.Apply(&kgo.Record{Key: []byte(pipeline.ProgressKey), Value: progress}); err != nil {
			return err
		}
	}
	if done, err := state.Complete(true); !done || err != nil {
		return fmt.Errorf("the state is not complete after its changelog: %w", err)
	}
	h.router.Restored(state, nil)
	return nil
}

// poll fetches records: after an abort those again that were not committed.
func (h *harness) poll(n int) error {
	if again := h.ledger.uncommitted(); len(again) > 0 {
		h.router.Fetched(again)
		return nil
	}
	var batch []*kgo.Record
	for range n {
		if h.inRound >= h.cfg.Round || h.res.Records >= h.cfg.Records {
			break
		}
		if h.mut.r.IntN(400) == 0 {
			h.offset += int64(1 + h.mut.r.IntN(5)) // an aborted transaction of a producer
		}
		rec := &kgo.Record{Topic: topicEvents, Offset: h.offset}
		h.offset++
		if h.mut.r.IntN(200) == 0 {
			rec.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Control: true, Transactional: true})
		} else {
			if err := h.mut.Next(rec); err != nil {
				return err
			}
			h.res.Records++
			h.inRound++
		}
		rec.Timestamp = time.UnixMilli(endMS - int64(h.mut.r.IntN(1000)) + hostileClock(h.mut.r.IntN(500)))
		batch = append(batch, rec)
	}
	if len(batch) == 0 {
		h.nowMS += 1000 // the commit interval is over
		return nil
	}
	h.ledger.polled(batch)
	h.router.Fetched(batch)
	return nil
}

// hostileClock is a record timestamp's error: mostly none.
func hostileClock(draw int) int64 {
	switch draw {
	case 0:
		return -endMS - 1
	case 1:
		return 1 << 50
	}
	return 0
}

// agrees holds what the decoder made of a record to encoding/json, where that is cheap to say: what
// was accepted is JSON and has the same id; what was refused for its syntax is none.
func agrees(rec *kgo.Record, id, code string) error {
	value, valid := syntax(rec.Value)
	switch {
	case code == "" && !valid:
		return fmt.Errorf("offset %d: accepted what is no JSON", rec.Offset)
	case (code == string(event.JSONSyntax) || code == string(event.NumberSyntax)) && valid:
		return fmt.Errorf("offset %d: %s for what is JSON", rec.Offset, code)
	case code != "" || rec.Offset%8 != 0:
		return nil
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(value, &doc); err != nil {
		return fmt.Errorf("offset %d: accepted what is no object: %w", rec.Offset, err)
	}
	var want string
	if raw, ok := doc["id"]; !ok || json.Unmarshal(raw, &want) != nil || want == "" {
		return nil // a CloudEvents header stood in
	}
	if want != id {
		return fmt.Errorf("offset %d: the id has %d bytes, encoding/json reads another of %d",
			rec.Offset, len(id), len(want))
	}
	return nil
}

// syntax reports whether value is JSON, but for raw control characters in strings, which usher
// mends (CONTRACT section 2); the result has them replaced.
func syntax(value []byte) ([]byte, bool) {
	if json.Valid(value) {
		return value, true
	}
	out := make([]byte, 0, len(value))
	quoted := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && quoted && i+1 < len(value):
			out = append(out, c)
			i++
			c = value[i]
		case c == '"':
			quoted = !quoted
		case quoted && c < 0x20:
			out = append(out, "\uFFFD"...)
			continue
		}
		out = append(out, c)
	}
	return out, json.Valid(out)
}

// residentBytes is a memory figure of this process, 0 where the kernel does not say.
func residentBytes(name string) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			kb, _ := strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// ErrNotFlat says that memory grew with the number of records.
var ErrNotFlat = errors.New("resident memory is not flat")

// flatSlackBytes is what an allocator may keep between two rounds.
const flatSlackBytes = 16 << 20

// Check is the verdict over a whole run.
func (r *Result) Check() error {
	switch {
	case r.Panics > 0 || r.Aborts > 0:
		return fmt.Errorf("%d records panicked, %d transactions were aborted", r.Panics, r.Aborts)
	case r.Events+r.DeadLetters+r.Gaps != r.Offsets:
		return fmt.Errorf("%d events + %d dead letters + %d gaps are not %d offsets", r.Events,
			r.DeadLetters, r.Gaps, r.Offsets)
	case r.Reasons > reasonsMax:
		return fmt.Errorf("%d distinct reasons: the payload writes them", r.Reasons)
	case r.RSSLast > r.RSSFirst+r.RSSFirst/10+flatSlackBytes:
		return fmt.Errorf("%w: %d bytes after the first round, %d after the last", ErrNotFlat,
			r.RSSFirst, r.RSSLast)
	}
	return nil
}

// Print writes the result for people.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "records %d, offsets %d = events %d + dead letters %d + gaps %d\n", r.Records, r.Offsets,
		r.Events, r.DeadLetters, r.Gaps)
	fmt.Fprintf(w, "decisions %d, panics %d, aborted transactions %d, distinct reasons %d\n", r.Decisions,
		r.Panics, r.Aborts, r.Reasons)
	fmt.Fprintf(w, "resident: %.1f MB after the first round, %.1f MB after the last, %.1f MB at most\n",
		float64(r.RSSFirst)/1e6, float64(r.RSSLast)/1e6, float64(r.RSSPeak)/1e6)
	for _, code := range slices.Sorted(maps.Keys(r.ByCode)) {
		fmt.Fprintf(w, "  %-14s %10d\n", code, r.ByCode[code])
	}
	for _, class := range slices.Sorted(maps.Keys(r.ByClass)) {
		fmt.Fprintf(w, "  made by %-16s %10d\n", class, r.ByClass[class])
	}
	fmt.Fprintf(w, "took %v, %.0f records a second\n", r.Took.Round(time.Millisecond),
		float64(r.Records)/r.Took.Seconds())
}
