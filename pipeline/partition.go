package pipeline

import "usher/features/conversation"

// Source is an input topic as a worker sees it.
type Source struct {
	Topic      string
	TopicID    [16]byte
	Partitions int32
	Format     string // usher, cloudevents, map
	ApplyRules string // true, false, shadow
	Compacted  bool   // cleanup.policy holds compact: records may be gone from the middle
}

// partition is one input partition: its state, and how far it has come.
type partition struct {
	source    Source
	id        int32
	table     *conversation.Table
	next      int64     // next input offset; −1 until the first record of a fresh partition
	committed Committed // by the last transaction that is known to hold
	day       int32     // latest frozen _day
	fired     int64     // timers due up to here have fired, as of the last committed transaction
	firing    int64     // the same, should the open transaction hold
	watermark int64     // timers may fire up to here; never goes back
	touched   bool      // in the open transaction
	logStart  int64     // first offset that the broker still holds, as far as it is known
}

func newPartition(src Source, id int32, res *Restore) *partition {
	p := &partition{source: src, id: id, table: res.table, committed: res.job.Committed, next: -1}
	if p.committed.Offset >= 0 {
		p.next = p.committed.Offset
		p.committed.Seq = res.progress.Seq
		p.day = res.progress.DayUTC
		p.fired, p.watermark = res.progress.FiredMS, res.progress.FiredMS
	} else {
		p.committed.Seq = 0
	}
	p.table.BeginTransaction()
	return p
}

// progress is the progress record of the open transaction.
func (p *partition) progress(fingerprint uint64) Progress {
	return Progress{
		TopicID: p.source.TopicID, Next: p.next, Fingerprint: fingerprint, DayUTC: p.day,
		Partitions: p.source.Partitions, Seq: p.committed.Seq + 1, FiredMS: p.firing,
	}
}

// commit is what the open transaction commits for the partition.
func (p *partition) commit() Committed {
	return Committed{Offset: p.next, Seq: p.committed.Seq + 1}
}
