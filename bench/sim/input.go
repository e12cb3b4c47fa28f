package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/bench/gen"
	"usher/features/conversation"
	"usher/pipeline"
)

// Names and sizes of every world.
const (
	eventsTopic     = "chat.events.v1"
	routerGroup     = "usher.router"
	sinkGroup       = "usher.sink"
	inputPartitions = 3
	rowsPartitions  = 2
)

var (
	topics  = pipeline.DefaultTopics("")
	topicID = [16]byte{1, 1}
	rowsID  = [16]byte{2, 2}
)

func controlRecord() *kgo.Record {
	return &kgo.Record{
		Key: []byte{0, 0, 0, 1}, Timestamp: time.UnixMilli(startMS),
		Attrs: kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Transactional: true, Control: true}),
	}
}

// input is what the events topic will hold, and when.
type input struct {
	source pipeline.Source
	lines  [inputPartitions][]item
	total  int
}

type item struct {
	rec    *kgo.Record
	abort  bool // beside an aborted transaction of its producer
	marker bool // a transaction of its producer ends here
}

// newInput makes one of a few inputs: lifelike events, broken ones among them, and here and there
// the traces of transactions of their producer.
func newInput(kind uint64) *input {
	in := &input{source: pipeline.Source{
		Topic: eventsTopic, TopicID: topicID, Partitions: inputPartitions, ApplyRules: "true",
	}}
	g, err := gen.New(gen.Config{
		Seed: kind, Conversations: 25, EndMS: startMS - 86_400_000, Broken: 300, Duplicates: 200,
	})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	var rec gen.Record
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for n := int64(0); g.Next(&rec); n++ {
		r := &kgo.Record{Key: slices.Clone(rec.Key), Value: slices.Clone(rec.Value)}
		if rec.Value == nil {
			r.Value = nil
		}
		p := 0
		if len(rec.Key) > 0 {
			p = partitioner.Partition(r, inputPartitions)
		}
		in.lines[p] = append(in.lines[p], item{rec: r, marker: n%41 == 7, abort: n%29 == 3})
		in.total++
	}
	return in
}

// play publishes the input over the given time.
func (in *input) play(w *World, overMS int64) {
	for p := range int32(inputPartitions) {
		l := w.broker.log(place{eventsTopic, p})
		line := in.lines[p]
		for i := range line {
			it := &line[i]
			w.after(overMS*int64(i)/int64(len(line)), func() {
				r := *it.rec
				r.Timestamp = time.UnixMilli(w.nowMS)
				if it.abort {
					l.append(-1, []*kgo.Record{&r, &r})
					l.mark(place{eventsTopic, p}, -1, aborted)
				}
				l.append(0, []*kgo.Record{&r})
				if it.marker {
					l.mark(place{eventsTopic, p}, -2, committed)
				}
			})
		}
	}
}

// Timers of every partition: one each tickMS, from the start of the world to about the end of its
// faults.
const tickMS int64 = 7_000

type ticks struct{}

const ticksUntilMS = startMS + 200_000

// NextMS implements pipeline.Timers.
func (ticks) NextMS(_ int32, _ *conversation.Table, firedMS int64) int64 {
	next := startMS + tickMS
	if firedMS >= startMS {
		next = startMS + (firedMS-startMS)/tickMS*tickMS + tickMS
	}
	if next > ticksUntilMS {
		return 0
	}
	return next
}

// Fire implements pipeline.Timers.
func (t ticks) Fire(p int32, table *conversation.Table, firedMS, untilMS int64, to pipeline.Producer) {
	for due := t.NextMS(p, table, firedMS); due > 0 && due <= untilMS; due = t.NextMS(p, table, due) {
		to.Produce(&kgo.Record{
			Topic: topics.SLA, Key: strconv.AppendInt(nil, int64(p), 10),
			Value: fmt.Appendf(nil, "%d/%d", p, due-startMS),
		})
	}
}
