// Package schema is the single source of usher's ClickHouse tables: one Go struct per table, whose
// tags give names, types, codecs and keys. DDL, block encoding and decoding all come from it, so
// that the router, the sink and the server cannot disagree about a column.
package schema

import "unsafe"

// Instant is milliseconds since 1970 in UTC; a DateTime64(3, 'UTC') column.
type Instant int64

// Day is days since 1970 in a tenant's zone, frozen by the router; a Date column.
type Day uint16

// UUID is a Kafka topic id; a UUID column.
type UUID [16]byte

// Pair is one entry of a Map(String, String) column.
type Pair struct{ Key, Value string }

// Opt is a value that may be unknown; a Nullable column. The zero Opt is NULL.
type Opt[T any] struct {
	V  T
	OK bool
}

// Some is a known value.
func Some[T any](v T) Opt[T] { return Opt[T]{V: v, OK: true} }

// InstantOf is the instant ms, NULL when ms is 0 (the "never" of the conversation state).
func InstantOf(ms int64) Opt[Instant] { return Opt[Instant]{V: Instant(ms), OK: ms != 0} }

// DurationOf is ms, NULL when it is negative (the "unknown" of the conversation state).
func DurationOf(ms int64) Opt[int64] { return Opt[int64]{V: ms, OK: ms >= 0} }

// View is b as a string without a copy. It is valid as long as b is left alone, which is enough for
// a row: appending the row to a block copies its bytes.
func View(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Source is what every row carries of its origin: the input record that caused it, and the frozen
// partition key.
type Source struct {
	SrcTopicID   UUID  `ch:"_src_topic_id" codec:"ZSTD(1)"`
	SrcPartition int32 `ch:"_src_partition" codec:"ZSTD(1)"`
	// SrcOffset is −1 for rows that no record caused, such as timers.
	SrcOffset int64 `ch:"_src_offset" codec:"Delta(8), ZSTD(1)"`
	// Day is the partition key: monotone per partition, never reported by.
	Day Day `ch:"_day" codec:"ZSTD(1)"`
}

// Dims are the dimensions, which mean the same in every table that carries them. An absent string
// is empty, because the event contract makes null and "" the same.
type Dims struct {
	Tenant         string `ch:"tenant" type:"lc"`
	ConversationID string `ch:"conversation_id"`
	Channel        string `ch:"channel" type:"lc"`
	Lang           string `ch:"lang" type:"lc"`
	Region         string `ch:"region" type:"lc"`
	Inbox          string `ch:"inbox" type:"lc"`
	Source         string `ch:"source" type:"lc"`
	CustomerKey    string `ch:"customer_key"`
	Team           string `ch:"team" type:"lc"`
	Queue          string `ch:"queue" type:"lc"`
	AgentID        string `ch:"agent_id" type:"lc"`
	Label          string `ch:"label" type:"lc"`
	Variant        string `ch:"variant" type:"lc"`
}

// Cycle names the cycle that a row belongs to: topic id, partition and offset of its opener, and
// its ordinal in the conversation (0 and "" when it belongs to none).
type Cycle struct {
	CycleID string `ch:"cycle_id"`
	Cycle   uint32 `ch:"cycle"`
}
