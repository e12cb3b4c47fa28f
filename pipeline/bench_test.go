package pipeline

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"usher/bench/gen"
	"usher/features/conversation"
	"usher/pipeline/route"
	"usher/sinks/clickhouse/rows"
)

// BenchmarkLine takes lifelike events from bytes to decision JSON, row blocks and changelog: all
// of a worker but Kafka. One op is one event; a transaction is 5,000 events.
func BenchmarkLine(b *testing.B) {
	b.Run("off", func(b *testing.B) { benchLine(b, LineConfig{Key: testKey}) })
}

func benchLine(b *testing.B, cfg LineConfig) {
	const perTransaction = 5000
	line, err := NewLine(cfg, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		b.Fatal(err)
	}
	g, err := gen.New(gen.Config{Seed: 3, Conversations: 20000, EndMS: 1794000000000})
	if err != nil {
		b.Fatal(err)
	}
	var records []Record
	var bytes int64
	var rec gen.Record
	for g.Next(&rec) {
		if rec.Code != "" {
			continue // what is rejected takes another way
		}
		records = append(records, Record{
			Topic: testEvents, Partitions: 1, Key: append([]byte(nil), rec.Key...),
			Value: append([]byte(nil), rec.Value...), NowMS: 1794000000000,
		})
		bytes += int64(len(rec.Value))
	}
	part := newPartition(Source{Topic: testEvents, Partitions: 1}, 0, &Restore{
		table: conversation.NewTable(conversation.Config{}),
		job:   RestoreJob{Committed: Committed{Offset: -1, Seq: -1}},
	})
	blk := newBlocks(part)
	var res Result
	var out []byte
	changes := 0
	b.SetBytes(bytes / int64(len(records)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		in := &records[i%len(records)]
		if i%len(records) == 0 { // a new pass is a new day of other conversations
			part.table = conversation.NewTable(conversation.Config{})
			part.table.BeginTransaction()
		}
		in.Offset = int64(i)
		if err := line.Process(part.table, in, &res); err != nil {
			b.Fatal(err)
		}
		blk.event(line, &res, in.Offset, in.NowMS)
		if res.Decision != nil {
			out = route.AppendJSON(out, res.Decision)
			blk.decision(line, &res, in.Offset)
		}
		for _, x := range blk.all {
			if x.Bytes() >= rows.BytesMax {
				out = x.EncodeNative(out)
				x.Reset()
			}
		}
		if i%perTransaction == perTransaction-1 {
			blk.facts(part, line)
			for _, x := range blk.all {
				out = x.EncodeNative(out)
				x.Reset()
			}
			part.table.Changelog(func(_ conversation.Key, value []byte) { changes += len(value) })
			part.table.BeginTransaction()
			out = out[:0]
		}
	}
}
