package pipeline

import "usher/features/conversation"

// Source is an input topic as a worker sees it.
type Source struct {
	Topic      string
	TopicID    [16]byte
	Partitions int32
	Format     string // usher, cloudevents, map
	ApplyRules string // true, false, shadow
}

// partition is one input partition: its state, and how far it has come.
type partition struct {
	source    Source
	id        int32
	table     *conversation.Table
	next      int64 // next input offset; −1 until the first record of a fresh partition
	committed int64 // committed offset; −1 for none yet
	day       int32 // latest frozen _day
	touched   bool  // in the open transaction
}

func newPartition(src Source, id int32, res *restored) *partition {
	p := &partition{source: src, id: id, table: res.table, committed: res.job.committed, next: -1}
	if res.job.committed >= 0 {
		p.next = res.job.committed
		p.day = res.progress.DayUTC
	}
	p.table.BeginTransaction()
	return p
}
