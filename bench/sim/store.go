package sim

import (
	"errors"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/schema"
)

// windowMS is how long the model's tables remember a token. Production promises ten leases; less
// here, so that tokens are evicted while requests are still on their way.
const windowMS = 3 * deliver.LeaseMS / 2

var (
	errLease = errors.New("the lease is over")
	errDisk  = errors.New("cannot write the part")
	errKill  = errors.New("the engine was killed")
)

// store is the model of ClickHouse: what an insert with a token and a lease does, no more.
type store struct {
	w      *World
	skewMS int64
	tables map[string]*storeTable
}

type storeTable struct {
	rows   map[rowID]int // times stored
	tokens map[string]int64
}

// rowID names a row by where it came from: partition and offset of the rows topic, and its place in
// the block.
type rowID struct {
	partition int32
	offset    int64
	sub       int32
}

func newStore(w *World) *store {
	s := &store{w: w, tables: map[string]*storeTable{}}
	for _, t := range schema.Tables() {
		s.tables[t.Name] = &storeTable{rows: map[rowID]int{}, tokens: map[string]int64{}}
	}
	return s
}

func (s *store) now() int64 { return s.w.nowMS + s.skewMS }

// takesMS is how long an insert takes: on a slow disk up to the lease and beyond.
func (s *store) takesMS() int64 {
	if s.w.chance(s.w.faults.DiskSlow) {
		return s.w.between(100, 40_000)
	}
	return 1
}

// insertion is one insert as it was sent.
type insertion struct {
	table      *schema.Table
	token      string // "": none
	leaseUntil int64
	days       [][]rowID // the rows of each _day: each becomes a part of its own
}

func (s *store) insert(in insertion) error {
	t := s.tables[in.table.Name]
	s.w.counts.Inserts++
	switch {
	case s.w.chance(s.w.faults.DiskFails):
		s.w.counts.DiskFaults++
		return errDisk
	case s.now() >= in.leaseUntil:
		s.w.trace("store: %s refused, the lease is over", in.table.Name)
		return errLease // and no token is left behind
	}
	if in.token != "" && !in.table.Replacing {
		window := int64(windowMS)
		if s.w.weak.ShortWindow {
			window = deliver.LeaseMS / 4
		}
		if at, ok := t.tokens[in.token]; ok && s.w.nowMS-at < window {
			s.w.counts.Repeated++
			return nil
		}
		t.tokens[in.token] = s.w.nowMS
		// A kill of the engine in the middle of an insert can leave the token without its rows.
		if s.w.chance(s.w.faults.StoreKill) {
			s.w.counts.TokensAlone++
			s.w.trace("store: killed, the token of %s is left without rows", in.table.Name)
			return errKill
		}
	}
	for i, day := range in.days {
		// A block of several partitions, or of a table without the promise, may stay there in part.
		if (i > 0 || in.table.Replacing) && s.w.chance(s.w.faults.DiskFails) {
			if in.table.Replacing {
				t.add(day[:len(day)/2])
			}
			s.w.counts.DiskFaults++
			delete(t.tokens, in.token)
			return errDisk
		}
		t.add(day)
	}
	return nil
}

func (t *storeTable) add(rows []rowID) {
	for _, r := range rows {
		t.rows[r]++
	}
}

func (s *store) readBack(partition int32, in *deliver.Intent) map[string]deliver.Stored {
	out := map[string]deliver.Stored{}
	for _, table := range in.Tables() {
		var got deliver.Stored
		for id, n := range s.tables[table.Name].rows {
			if id.partition == partition && id.offset >= in.From && id.offset < in.To {
				got.Rows, got.Distinct = got.Rows+uint64(n), got.Distinct+1
			}
		}
		out[table.Name] = got
	}
	return out
}
