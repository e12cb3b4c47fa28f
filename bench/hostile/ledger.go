package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline"
	"usher/pipeline/event"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// How an offset ended.
const (
	endNone byte = iota
	endEvent
	endDead
	endGap
)

// ledger is the Kafka of the harness: it takes what the router produces and books, per committed
// transaction, how every offset ended.
type ledger struct {
	h        *harness
	topics   pipeline.Topics
	produced []*kgo.Record
	batch    []*kgo.Record // polled since the last commit
	replay   bool
	ends     []byte // by offset of the round
	merge    rows.Merge
	ids      map[int64]string
	codes    map[int64]string
}

func (l *ledger) round() {
	l.topics = pipeline.DefaultTopics("")
	l.produced, l.batch, l.replay, l.ends = nil, nil, false, l.ends[:0]
	l.ids, l.codes = map[int64]string{}, map[int64]string{}
}

// Produce implements pipeline.Producer.
func (l *ledger) Produce(rec *kgo.Record) { l.produced = append(l.produced, rec) }

func (l *ledger) begin()                     { l.produced = l.produced[:0] }
func (l *ledger) polled(batch []*kgo.Record) { l.batch = append(l.batch, batch...) }
func (l *ledger) abort()                     { l.produced, l.replay = l.produced[:0], true }

// uncommitted are the records to fetch again after an abort.
func (l *ledger) uncommitted() []*kgo.Record {
	if !l.replay {
		return nil
	}
	l.replay = false
	return l.batch
}

// commit books what the transaction wrote.
func (l *ledger) commit() error {
	for _, rec := range l.produced {
		if err := l.book(rec); err != nil {
			return err
		}
		if l.h.cfg.Keep != nil {
			l.h.cfg.Keep(rec)
		}
	}
	for _, rec := range l.batch {
		if rec.Attrs.IsControl() {
			continue
		}
		if rec.Offset >= int64(len(l.ends)) || l.ends[rec.Offset] == endNone {
			return fmt.Errorf("offset %d did not end with its transaction", rec.Offset)
		}
		if err := agrees(rec, l.ids[rec.Offset], l.codes[rec.Offset]); err != nil {
			return err
		}
	}
	clear(l.ids)
	clear(l.codes)
	l.produced, l.batch = l.produced[:0], l.batch[:0]
	return nil
}

func (l *ledger) book(rec *kgo.Record) error {
	switch rec.Topic {
	case l.topics.Rows:
		return l.rows(rec)
	case l.topics.DeadLetters:
		return l.deadLetter(rec)
	case l.topics.Decisions:
		l.h.res.Decisions++
		if !json.Valid(rec.Value) {
			return fmt.Errorf("a decision of %d bytes is no JSON", len(rec.Value))
		}
	case l.topics.State:
		if rec.Value == nil {
			delete(l.h.state, string(rec.Key))
		} else {
			l.h.state[string(rec.Key)] = bytes.Clone(rec.Value)
		}
	}
	return nil
}

// rows takes a block apart twice: as the sink joins it, and as ClickHouse's own decoder reads it.
func (l *ledger) rows(rec *kgo.Record) error {
	header, err := rows.ParseHeader(rec.Headers)
	if err != nil {
		return err
	}
	l.merge.Reset()
	if err := l.merge.Add(rec.Value, 0); err != nil {
		return fmt.Errorf("block of %s: %w", header.Table, err)
	}
	switch header.Table {
	case schema.TableEvents, schema.TableDeadLetters, schema.TableGaps:
	default:
		return nil
	}
	var columns proto.Results
	var block proto.Block
	reader := proto.NewReader(bytes.NewReader(rec.Value))
	if err := block.DecodeRawBlock(reader, 0, columns.Auto()); err != nil {
		return fmt.Errorf("block of %s: %w", header.Table, err)
	}
	c := make(map[string]proto.ColResult, len(columns))
	for _, x := range columns {
		c[x.Name] = x.Data
	}
	at, ok := c["_src_offset"].(*proto.ColInt64)
	if !ok {
		return fmt.Errorf("block of %s: _src_offset is %T", header.Table, c["_src_offset"])
	}
	switch header.Table {
	case schema.TableEvents:
		return l.events(at, c)
	case schema.TableDeadLetters:
		return l.deadRows(at, c)
	}
	return l.gaps(c)
}

func (l *ledger) events(at *proto.ColInt64, c map[string]proto.ColResult) error {
	id, ok := c["id"].(*proto.ColStr)
	if !ok {
		return fmt.Errorf("events: id is %T", c["id"])
	}
	for i := range at.Rows() {
		l.h.res.Events++
		l.ids[at.Row(i)] = id.Row(i)
		if err := l.end(at.Row(i), endEvent); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) deadRows(at *proto.ColInt64, c map[string]proto.ColResult) error {
	code, ok1 := c["code"].(*proto.ColStr)
	reason, ok2 := c["reason"].(*proto.ColStr)
	if !ok1 || !ok2 {
		return fmt.Errorf("dead_letters: code is %T, reason %T", c["code"], c["reason"])
	}
	for i := range at.Rows() {
		l.h.res.DeadLetters++
		l.h.res.ByCode[code.Row(i)]++
		l.codes[at.Row(i)] = code.Row(i)
		if code.Row(i) == string(event.Panic) {
			l.h.res.Panics++
		}
		l.h.reasons[withoutNumbers(reason.Row(i))] = true
		if len(reason.Row(i)) > reasonMax || strings.Contains(reason.Row(i), Canary) {
			return fmt.Errorf("offset %d: a reason of %d bytes, or one that quotes the payload",
				at.Row(i), len(reason.Row(i)))
		}
		if err := l.end(at.Row(i), endDead); err != nil {
			return err
		}
	}
	return nil
}

// withoutNumbers leaves out positions and lengths.
func withoutNumbers(reason string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, reason)
}

func (l *ledger) gaps(c map[string]proto.ColResult) error {
	from, ok1 := c["from_offset"].(*proto.ColInt64)
	to, ok2 := c["to_offset"].(*proto.ColInt64)
	if !ok1 || !ok2 {
		return fmt.Errorf("delivery_gaps: from is %T, to %T", c["from_offset"], c["to_offset"])
	}
	for i := range from.Rows() {
		for offset := from.Row(i); offset < to.Row(i); offset++ {
			l.h.res.Gaps++
			if err := l.end(offset, endGap); err != nil {
				return err
			}
		}
	}
	return nil
}

// end books how an offset ended; it may end once.
func (l *ledger) end(offset int64, how byte) error {
	for int64(len(l.ends)) <= offset {
		l.ends = append(l.ends, endNone)
	}
	if was := l.ends[offset]; was != endNone {
		return fmt.Errorf("offset %d ended twice: %d, then %d", offset, was, how)
	}
	l.ends[offset] = how
	return nil
}

// whole reports whether all offsets of the round have ended.
func (l *ledger) whole(offsets int64) error {
	if int64(len(l.ends)) != offsets {
		return fmt.Errorf("%d of %d offsets ended", len(l.ends), offsets)
	}
	if at := bytes.IndexByte(l.ends, endNone); at >= 0 {
		return fmt.Errorf("offset %d never ended", at)
	}
	l.h.res.Offsets += offsets
	return nil
}

// deadLetterBytesMax is what a dead letter keeps of a record that is too large (CONTRACT section 1).
const deadLetterBytesMax = 512 << 10

// deadLetter holds a dead letter to the record that it came from.
func (l *ledger) deadLetter(rec *kgo.Record) error {
	headers := map[string]string{}
	for _, h := range rec.Headers {
		headers[h.Key] = string(h.Value) // ours come last
	}
	offset, err := strconv.ParseInt(headers["dlq.offset"], 10, 64)
	if err != nil {
		return fmt.Errorf("a dead letter without its offset: %w", err)
	}
	var original *kgo.Record
	for _, r := range l.batch {
		if r.Offset == offset {
			original = r
		}
	}
	switch {
	case original == nil:
		return fmt.Errorf("a dead letter of offset %d, which was not read", offset)
	case strings.Contains(headers["dlq.reason"], Canary):
		return fmt.Errorf("offset %d: the reason quotes the payload", offset)
	}
	want := original.Value
	if headers["dlq.code"] == string(event.TooLarge) && len(want) > deadLetterBytesMax {
		want = want[:deadLetterBytesMax]
	}
	if !bytes.Equal(rec.Value, want) || !bytes.Equal(rec.Key, original.Key) {
		return fmt.Errorf("offset %d: the dead letter holds other bytes than the record", offset)
	}
	return nil
}
