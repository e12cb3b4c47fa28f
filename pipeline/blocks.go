package pipeline

import (
	"encoding/hex"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// block is a row block of any table.
type block interface {
	Table() *schema.Table
	Rows() int
	Bytes() int
	EncodeNative(dst []byte) []byte
	Reset()
}

// blocks are the row blocks of one input partition in the open transaction.
type blocks struct {
	partition int32
	from      int64 // input offset at which the open transaction began
	src       schema.Source
	cyclePre  string // topic id and partition: what every cycle id begins with

	events        *rows.Block[schema.Event]
	decisions     *rows.Block[schema.Decision]
	turns         *rows.Block[schema.Turn]
	turnsHuman    *rows.Block[schema.Turn]
	conversations *rows.Block[schema.Conversation]
	escalations   *rows.Block[schema.Escalation]
	slas          *rows.Block[schema.SLAEvent]
	corrections   *rows.Block[schema.Correction]
	labels        *rows.Block[schema.LabelRow]
	deadLetters   *rows.Block[schema.DeadLetter]
	gaps          *rows.Block[schema.DeliveryGap]
	voids         *rows.Block[schema.Void]
	all           []block // in the order in which a range fills the tables: voids last

	ids   []byte // scratch for cycle ids of one row
	attrs []schema.Pair
	flags []string
	list  []string
	kinds []string
	nums  []float64
	hex   [32]byte
}

// rowScratch are the rows being filled: wide structs that should not be made anew for every row.
type rowScratch struct {
	event    schema.Event
	decision schema.Decision
	turn     schema.Turn
	cycle    schema.Conversation
}

// hexID is a decision's id as text, valid until the next one.
func (b *blocks) hexID(id [16]byte) string {
	hex.Encode(b.hex[:], id[:])
	return schema.View(b.hex[:])
}

func newBlocks(part *partition) *blocks {
	b := &blocks{
		partition: part.id,
		src:       schema.Source{SrcTopicID: part.source.TopicID, SrcPartition: part.id},
		cyclePre: hex.EncodeToString(part.source.TopicID[:]) + "-" +
			strconv.Itoa(int(part.id)) + "-",
		events:        blockOf[schema.Event](schema.TableEvents),
		decisions:     blockOf[schema.Decision](schema.TableDecisions),
		turns:         blockOf[schema.Turn](schema.TableTurns),
		turnsHuman:    blockOf[schema.Turn](schema.TableTurnsHuman),
		conversations: blockOf[schema.Conversation](schema.TableConversations),
		escalations:   blockOf[schema.Escalation](schema.TableEscalations),
		slas:          blockOf[schema.SLAEvent](schema.TableSLA),
		corrections:   blockOf[schema.Correction](schema.TableCorrections),
		labels:        blockOf[schema.LabelRow](schema.TableLabels),
		deadLetters:   blockOf[schema.DeadLetter](schema.TableDeadLetters),
		gaps:          blockOf[schema.DeliveryGap](schema.TableGaps),
		voids:         blockOf[schema.Void](schema.TableVoids),
	}
	b.all = []block{
		b.events, b.decisions, b.turns, b.turnsHuman, b.conversations, b.escalations,
		b.slas, b.corrections, b.labels, b.deadLetters, b.gaps, b.voids,
	}
	return b
}

func blockOf[T any](name string) *rows.Block[T] {
	for _, t := range schema.Tables() {
		if t.Name == name {
			return rows.NewBlock[T](t)
		}
	}
	panic("BUG: no table " + name)
}

func (b *blocks) reset() {
	for _, blk := range b.all {
		blk.Reset()
	}
}

// begin prepares for a transaction that touches the partition.
func (b *blocks) begin(part *partition) {
	b.src.Day = schema.Day(part.day)
	b.from = max(part.next, 0)
}

// at is the source of a row that the record at offset caused.
func (b *blocks) at(offset int64) schema.Source {
	s := b.src
	s.SrcOffset = offset
	return s
}

// cycleID is the id of the cycle that the event at offset opened, valid until the next row.
func (b *blocks) cycleID(offset int64) string {
	if offset < 0 {
		return ""
	}
	at := len(b.ids)
	b.ids = append(b.ids, b.cyclePre...)
	b.ids = strconv.AppendInt(b.ids, offset, 10)
	return schema.View(b.ids[at:])
}

func (b *blocks) cycle(offset int64, ordinal uint32) schema.Cycle {
	b.ids = b.ids[:0]
	return schema.Cycle{CycleID: b.cycleID(offset), Cycle: ordinal}
}

// gap declares the offsets that rec leaves out, or is: control records end every transaction, and
// read_committed jumps over what was aborted. Nothing of the input may end unnamed (DELIVERY).
func (b *blocks) gap(part *partition, rec *kgo.Record, nowMS int64) {
	part.next = max(part.next, 0)
	b.skipped(part, rec.Offset, nowMS)
	if rec.Attrs.IsControl() {
		b.declare(rec.Offset, rec.Offset+1, schema.GapControl, nowMS)
	}
}

func (b *blocks) declare(from, to int64, cause string, nowMS int64) {
	b.gaps.Append(&schema.DeliveryGap{
		Source: b.at(from), FromOffset: from, ToOffset: to, Cause: cause, At: schema.Instant(nowMS),
	})
}

func (b *blocks) deadLetter(offset int64, row *schema.DeadLetter) {
	row.Source = b.at(offset)
	b.deadLetters.Append(row)
}
