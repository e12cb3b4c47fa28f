package pipeline

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fastjson"
)

// bareLoop is what every consumer of JSON pays whatever it does afterwards: fetch, parse, and a look
// at every top-level field. BenchmarkRouter measures the router against it.
func bareLoop(b *testing.B, broker, topic string, n int) (fields int) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	var parser fastjson.Parser
	visit := func([]byte, *fastjson.Value) { fields++ }
	for n > 0 {
		cl.PollRecords(context.Background(), min(n, 5000)).EachRecord(func(r *kgo.Record) {
			n--
			v, err := parser.ParseBytes(r.Value)
			if err != nil {
				b.Fatal(err)
			}
			v.GetObject().Visit(visit)
		})
	}
	return fields
}
