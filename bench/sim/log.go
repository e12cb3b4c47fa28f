package sim

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Errors of the broker, as clients see them.
var (
	errFenced            = errors.New("producer epoch is fenced")
	errConcurrent        = errors.New("the transaction before is still being ended")
	errStorage           = errors.New("the disk failed")
	errUnknownMember     = errors.New("unknown member")
	errFencedInstance    = errors.New("another member has this instance id")
	errIllegalGeneration = errors.New("illegal generation")
	errRebalance         = errors.New("rebalance in progress")
	errNotYet            = errors.New("the rebalance goes on")
	errUnstable          = errors.New("offset commit is unstable")
)

// broker is the model of Kafka.
type broker struct {
	w      *World
	logs   map[place]*plog
	txns   map[string]*txn
	byPID  map[int64]*txn
	groups map[string]*group
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

func newBroker(w *World) *broker {
	return &broker{
		w: w, logs: map[place]*plog{}, txns: map[string]*txn{}, byPID: map[int64]*txn{},
		groups: map[string]*group{},
	}
}

func (b *broker) log(at place) *plog {
	l := b.logs[at]
	if l == nil {
		l = &plog{open: map[int64]int64{}}
		b.logs[at] = l
	}
	return l
}

type fate uint8

const (
	undecided fate = iota
	committed
	aborted
)

// plog is the log of one partition.
type plog struct {
	entries []entry
	open    map[int64]int64 // first offset of the open transaction, by producer
}

type entry struct {
	rec     *kgo.Record
	pid     int64
	fate    fate
	control bool
}

func (l *plog) end() int64 { return int64(len(l.entries)) }

// stable is the last stable offset: nothing before it can still change.
func (l *plog) stable() int64 {
	end := l.end()
	for _, first := range l.open {
		end = min(end, first)
	}
	return end
}

// append writes records; pid 0 is no transaction.
func (l *plog) append(pid int64, records []*kgo.Record) {
	f := committed
	if pid != 0 {
		f = undecided
		if _, ok := l.open[pid]; !ok {
			l.open[pid] = l.end()
		}
	}
	for _, r := range records {
		c := *r
		c.Offset = l.end()
		l.entries = append(l.entries, entry{rec: &c, pid: pid, fate: f})
	}
}

// mark ends the transaction of pid in this partition: a record of its own, and the fate of all
// others.
func (l *plog) mark(at place, pid int64, f fate) {
	if first, ok := l.open[pid]; ok {
		for i := first; i < l.end(); i++ {
			if e := &l.entries[i]; e.pid == pid && e.fate == undecided {
				e.fate = f
			}
		}
		delete(l.open, pid)
	}
	l.entries = append(l.entries, entry{
		rec: control(at, l.end()), pid: pid, fate: committed, control: true,
	})
}

// control is a control record as a consumer sees it.
func control(at place, offset int64) *kgo.Record {
	r := controlRecord()
	r.Topic, r.Partition, r.Offset = at.topic, at.partition, offset
	return r
}

// fetched is the answer to a fetch: committed records and control records, and the ends.
type fetched struct {
	records []*kgo.Record
	next    int64 // position after what was looked at
	stable  int64
	end     int64
}

// fetch reads committed records from an offset on. Values are copies: consumers may write to them.
func (b *broker) fetch(at place, from int64, most int) fetched {
	l := b.log(at)
	out := fetched{next: from, stable: l.stable(), end: l.end()}
	for out.next < out.stable && len(out.records) < most {
		e := &l.entries[out.next]
		out.next++
		if e.fate == aborted {
			continue
		}
		c := *e.rec
		c.Topic, c.Partition = at.topic, at.partition
		c.Value = slices.Clone(c.Value)
		out.records = append(out.records, &c)
	}
	return out
}
