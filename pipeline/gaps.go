package pipeline

import "usher/sinks/clickhouse/schema"

// skipped declares the offsets from the partition's next up to offset, which nobody will ever see.
// Those before the log's start went with retention. Of the others Kafka does not say why they are
// jumped over: in a compacted topic a later record of the key may have taken their place; in any
// other only the records of aborted transactions are left out.
func (b *blocks) skipped(part *partition, offset, nowMS int64) {
	if expired := min(part.logStart, offset); expired > part.next {
		b.declare(part.next, expired, schema.GapExpired, nowMS)
		part.next = expired
	}
	if offset <= part.next {
		return
	}
	cause := schema.GapAborted
	if part.source.Compacted {
		cause = schema.GapCompacted
	}
	b.declare(part.next, offset, cause, nowMS)
	part.next = offset
}

// LogStart reports the first offset that the broker still holds of a partition.
func (r *Router) LogStart(partition int32, offset int64) {
	if part := r.parts[partition]; part != nil {
		part.logStart = max(part.logStart, offset)
	}
}
