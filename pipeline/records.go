package pipeline

import "github.com/twmb/franz-go/pkg/kgo"

// records hands out the output records of one transaction and takes them all back at its end, when
// every one of them was acknowledged or given up: the client keeps none after that.
type records struct {
	chunks []*[recordsChunk]kgo.Record
	used   int
}

const recordsChunk = 256

// next is an empty record, valid until reset.
func (r *records) next() *kgo.Record {
	if r.used == len(r.chunks)*recordsChunk {
		r.chunks = append(r.chunks, new([recordsChunk]kgo.Record))
	}
	rec := &r.chunks[r.used/recordsChunk][r.used%recordsChunk]
	r.used++
	*rec = kgo.Record{}
	return rec
}

func (r *records) reset() { r.used = 0 }
