package deliver

import "usher/sinks/clickhouse/schema"

// Describe is the intent of a range that begins at from and holds records, as the sink that stored
// it made it: a repair writes lost manifest rows anew from it. Without rows it has no shares.
func Describe(topicID schema.UUID, from int64, records []Record) (Intent, error) {
	return intentOf(topicID, from, records)
}
