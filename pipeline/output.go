package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/conversation"
	"usher/pipeline/event"
	"usher/pipeline/route"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// dlqBytesMax is how much of a record that is too large its dead letter keeps (CONTRACT section 1).
const dlqBytesMax = 512 << 10

// panicTriesMax is how often a record may take the transaction down before it is quarantined.
const panicTriesMax = 3

// poisonError reports a record whose processing panicked. The state it touched cannot be trusted:
// the transaction aborts and the state comes back from the changelog.
type poisonError struct {
	partition int32
	offset    int64
	tries     int
	kind      string
}

func (e *poisonError) Error() string {
	return fmt.Sprintf("cannot process partition %d offset %d: it panicked", e.partition, e.offset)
}

// Producer takes the records of the open transaction. It keeps the values of a record until the
// transaction has ended, and no longer.
type Producer interface{ Produce(rec *kgo.Record) }

// output gathers what one transaction writes and produces it. Buffers are reused from transaction
// to transaction: a transaction ends after every one of its records was acknowledged or given up.
type output struct {
	cfg    RouterConfig
	line   *Line
	to     Producer
	arena  []byte
	recs   records
	blocks map[int32]*blocks
	nowMS  int64
	panics map[int64]int // tries by offset<<16|partition
	in     Record
	res    Result
}

func newOutput(cfg RouterConfig, line *Line, to Producer) *output {
	return &output{
		cfg: cfg, line: line, to: to,
		blocks: make(map[int32]*blocks), panics: make(map[int64]int),
	}
}

func (o *output) begin(nowMS int64) {
	o.arena = o.arena[:0]
	o.recs.reset()
	o.nowMS = nowMS
	for _, b := range o.blocks {
		b.reset()
	}
}

// record takes one input record through the line and appends what comes out.
func (o *output) record(part *partition, rec *kgo.Record) error {
	b := o.of(part)
	o.cut(b)
	b.gap(part, rec, o.nowMS)
	part.next = rec.Offset + 1
	if rec.Attrs.IsControl() {
		return nil
	}
	began := o.cfg.Now()
	if err := o.process(part, rec); err != nil {
		return err
	}
	r := &o.res
	if r.Reject != nil {
		o.deadLetter(b, rec)
		return nil
	}
	b.event(o.line, r, rec.Offset, o.nowMS)
	if d := r.Decision; d != nil {
		now := o.cfg.Now()
		d.EmittedAtMS, d.LatencyUS = now.UnixMilli(), now.Sub(began).Microseconds()
		o.produce(o.cfg.Topics.Decisions, r.Event.ConversationID,
			func(dst []byte) []byte { return route.AppendJSON(dst, d) })
		b.decision(o.line, r, rec.Offset)
	}
	return nil
}

func (o *output) of(part *partition) *blocks {
	b := o.blocks[part.id]
	if b == nil {
		b = newBlocks(part)
		o.blocks[part.id] = b
	}
	if !part.touched {
		part.touched = true
		part.day = max(part.day, int32(floorDiv(o.nowMS, dayMS)))
		b.begin(part)
	}
	return b
}

// process runs the line with a net under it.
func (o *output) process(part *partition, rec *kgo.Record) (err error) {
	id := rec.Offset<<16 | int64(part.id)
	in := &o.in
	in.fill(part, rec, o.nowMS)
	if o.panics[id] >= panicTriesMax {
		o.res.reset()
		o.res.Reject = &event.Reject{Code: event.Panic, Reason: "processing panicked " +
			strconv.Itoa(panicTriesMax) + " times"}
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			o.panics[id]++
			// The kind only: a panic's text may quote what it choked on.
			err = &poisonError{part.id, rec.Offset, o.panics[id], fmt.Sprintf("%T", p)}
		}
	}()
	return o.line.Process(part.table, in, &o.res)
}

func (o *output) deadLetter(b *blocks, rec *kgo.Record) {
	rej := o.res.Reject
	o.line.metrics.rejected(rej.Code)
	sum := sha256.Sum256(rec.Value)
	digest := hex.EncodeToString(sum[:])
	b.deadLetter(rec.Offset, &schema.DeadLetter{
		Code: string(rej.Code), Reason: rej.Reason, Bytes: uint64(len(rec.Value)),
		PayloadSHA256: digest, ReceivedAt: schema.Instant(o.nowMS),
		ReceivedDay: schema.Day(floorDiv(o.nowMS, dayMS)),
	})
	headers := append([]kgo.RecordHeader{}, rec.Headers...)
	add := func(k, v string) { headers = append(headers, kgo.RecordHeader{Key: k, Value: []byte(v)}) }
	add("dlq.reason", rej.Reason)
	add("dlq.code", string(rej.Code))
	add("dlq.topic", rec.Topic)
	add("dlq.partition", strconv.Itoa(int(rec.Partition)))
	add("dlq.offset", strconv.FormatInt(rec.Offset, 10))
	value := rec.Value
	if len(value) > dlqBytesMax && rej.Code == event.TooLarge {
		value = value[:dlqBytesMax]
		add("dlq.truncated", "true")
		add("dlq.sha256", digest)
	}
	o.to.Produce(&kgo.Record{
		Topic: o.cfg.Topics.DeadLetters, Key: rec.Key, Value: value, Headers: headers,
	})
}

// produce sends a record whose value is built in the transaction's arena. The arena may move while
// it grows: earlier values keep the memory that they were built in.
func (o *output) produce(topic string, key []byte, build func([]byte) []byte) {
	keyAt := len(o.arena)
	o.arena = append(o.arena, key...)
	valueAt := len(o.arena)
	o.arena = build(o.arena)
	rec := o.recs.next()
	rec.Topic, rec.Key = topic, o.arena[keyAt:valueAt:valueAt]
	rec.Value = o.arena[valueAt:len(o.arena):len(o.arena)]
	o.to.Produce(rec)
}

// cut sends the blocks that have reached the size limit of a record, before the next record adds to
// them: so a block is left at the end that claims the progress. These claim none: what else came of
// their records is still to follow.
func (o *output) cut(b *blocks) {
	for _, blk := range b.all {
		if blk.Bytes() >= rows.BytesMax {
			o.send(b, blk, b.from)
		}
	}
}

// send produces a block. to is the input offset up to which the partition's rows are complete with
// this block: a range of the sink may end between two blocks of one transaction.
func (o *output) send(b *blocks, blk block, to int64) {
	at := len(o.arena)
	o.arena = blk.EncodeNative(o.arena)
	h := rows.Header{
		Table: blk.Table().Name, Version: schema.Version, Day: b.src.Day,
		SrcTopicID: b.src.SrcTopicID, SrcPartition: b.partition, SrcFrom: b.from, SrcTo: to,
	}
	o.to.Produce(&kgo.Record{
		Topic:     o.cfg.Topics.Rows,
		Partition: b.partition % o.cfg.RowsPartitions,
		Value:     o.arena[at:len(o.arena):len(o.arena)],
		Headers:   h.Append(nil),
	})
	blk.Reset()
}

// finish appends what a transaction owes beside its records.
func (o *output) finish(part *partition) {
	o.rows(part)
	o.changelog(part)
}

// rows sends the facts, and the blocks that they and the records before them are in.
func (o *output) rows(part *partition) {
	b := o.blocks[part.id]
	o.slaEvents(part, b.facts(part, o.line).SLA)
	var last block
	for _, blk := range b.all {
		if blk.Rows() == 0 {
			continue
		}
		if last != nil {
			o.send(b, last, b.from)
		}
		last = blk
	}
	switch {
	case last != nil:
		o.send(b, last, part.next)
	case part.next > b.from:
		panic("BUG: a partition that moved on without rows")
	}
}

// changelog sends what changed of the state. The progress record comes last, so that whoever reads
// it has read the state before it.
func (o *output) changelog(part *partition) {
	part.table.Changelog(func(key conversation.Key, value []byte) { o.state(part, key[:], value) })
	p := part.progress(o.line.fingerprint)
	var buf [progressBytes]byte
	o.state(part, []byte(ProgressKey), p.AppendTo(buf[:0]))
}

func (o *output) state(part *partition, key, value []byte) {
	keyAt := len(o.arena)
	o.arena = append(o.arena, key...)
	valueAt := len(o.arena)
	o.arena = append(o.arena, value...)
	rec := o.recs.next()
	rec.Topic, rec.Partition, rec.Key = o.cfg.Topics.State, part.id, o.arena[keyAt:valueAt:valueAt]
	if value != nil {
		rec.Value = o.arena[valueAt:len(o.arena):len(o.arena)]
	}
	o.to.Produce(rec)
}

// backfillHeader marks imported history (DELIVERY, stage 1).
const backfillHeader = "usher.backfill"

// fill makes in the record rec of part.
func (in *Record) fill(part *partition, rec *kgo.Record, nowMS int64) {
	headers, backfill := in.Headers[:0], false
	for _, h := range rec.Headers {
		headers = append(headers, event.Header{Key: h.Key, Value: h.Value})
		backfill = backfill || h.Key == backfillHeader
	}
	*in = Record{
		Topic: rec.Topic, Partition: rec.Partition, Partitions: part.source.Partitions,
		Offset: rec.Offset, Key: rec.Key, Value: rec.Value, Headers: headers, NowMS: nowMS,
		Backfill: backfill,
		NoRules:  part.source.ApplyRules == "false", Shadow: part.source.ApplyRules == "shadow",
	}
}
