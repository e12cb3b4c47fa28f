package deliver

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// Record is one record of usher.rows.v1 as the protocol sees it.
type Record struct {
	Offset int64
	Epoch  int32
	// Control records end transactions: they carry no rows, but offsets must pass them.
	Control bool
	Header  rows.Header
	Rows    int
	Value   []byte
}

// Limits close a range.
type Limits struct {
	Rows  int // of all tables together
	Bytes int

	anyDay bool // WeakManyDays
}

// Cut returns how many of the leading records of run make the next range, and whether the range is
// closed: nothing that comes later can join it. A range never crosses a _day or a schema version,
// so that each table's block is one part in one partition.
func Cut(run []Record, l Limits) (n int, closed bool) {
	var first *Record
	rowsSum, bytesSum := 0, 0
	for i := range run {
		r := &run[i]
		if r.Control {
			continue
		}
		if first == nil {
			first = r
		} else if r.Header.Day != first.Header.Day && !l.anyDay || r.Header.Version != first.Header.Version ||
			rowsSum+r.Rows > l.Rows || bytesSum+len(r.Value) > l.Bytes {
			return i, true
		}
		rowsSum, bytesSum = rowsSum+r.Rows, bytesSum+len(r.Value)
	}
	return len(run), rowsSum >= l.Rows || bytesSum >= l.Bytes
}

// intentOf is the intent of the range that begins at the committed offset from and holds records.
// It has no shares when they are all control records.
func intentOf(topicID schema.UUID, from int64, records []Record) (Intent, error) {
	last := &records[len(records)-1]
	in := Intent{TopicID: topicID, Epoch: last.Epoch, From: from, To: last.Offset + 1}
	sums := map[string]*sum{}
	for i := range records {
		r := &records[i]
		if r.Control || r.Rows == 0 {
			continue
		}
		in.Day, in.Version = r.Header.Day, r.Header.Version
		s := sums[r.Header.Table]
		if s == nil {
			s = &sum{digest: xxhash.New()}
			sums[r.Header.Table] = s
		}
		s.rows += uint64(r.Rows)
		_, _ = s.digest.Write(r.Value) // never fails
	}
	for _, t := range schema.Tables() {
		if s := sums[t.Name]; s != nil && t.Writer == schema.ByRows {
			in.Shares = append(in.Shares, Share{Table: t.Name, Rows: s.rows, Hash: s.digest.Sum64()})
			delete(sums, t.Name)
		}
	}
	for name := range sums {
		return in, fmt.Errorf("cannot store offset %d of the rows topic and what follows: it holds "+
			"rows for %q, which this version does not know; upgrade the sink", from, name)
	}
	return in, nil
}

type sum struct {
	rows   uint64
	digest *xxhash.Digest
}
