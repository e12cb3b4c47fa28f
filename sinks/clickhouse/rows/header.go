package rows

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/schema"
)

// Keys of the record headers of usher.rows.v1. Values are text, so that any Kafka tool shows them.
const (
	KeyTable        = "table"
	KeyVersion      = "schema_version"
	KeyDay          = "day"
	KeySrcTopicID   = "src_topic_id"
	KeySrcPartition = "src_partition"
	KeySrcFrom      = "src_from"
	KeySrcTo        = "src_to"
)

// Header is what a row block says of itself outside its bytes.
type Header struct {
	Table   string
	Version uint32
	// Day is the _day of every row of the block: a block has one.
	Day schema.Day
	// SrcTopicID and SrcPartition name the input partition whose records caused the rows.
	SrcTopicID   schema.UUID
	SrcPartition int32
	// SrcFrom and SrcTo (exclusive) are the input offsets that the block's transaction moved over.
	// The blocks of one transaction together carry everything that came of them. Rows that no
	// record caused have SrcFrom = SrcTo = the next input offset.
	SrcFrom, SrcTo int64
}

// dateLayout writes Day.
const dateLayout = time.DateOnly

// Append appends the record headers of h to dst. The values lie in one new buffer, because the
// producer holds records until they are acknowledged.
func (h *Header) Append(dst []kgo.RecordHeader) []kgo.RecordHeader {
	buf := make([]byte, 0, 160)
	add := func(key string, appendTo func([]byte) []byte) {
		from := len(buf)
		buf = appendTo(buf)
		dst = append(dst, kgo.RecordHeader{Key: key, Value: buf[from:len(buf):len(buf)]})
	}
	number := func(v int64) func([]byte) []byte {
		return func(b []byte) []byte { return strconv.AppendInt(b, v, 10) }
	}
	add(KeyTable, func(b []byte) []byte { return append(b, h.Table...) })
	add(KeyVersion, number(int64(h.Version)))
	add(KeyDay, func(b []byte) []byte { return DayTime(h.Day).AppendFormat(b, dateLayout) })
	add(KeySrcTopicID, func(b []byte) []byte { return hex.AppendEncode(b, h.SrcTopicID[:]) })
	add(KeySrcPartition, number(int64(h.SrcPartition)))
	add(KeySrcFrom, number(h.SrcFrom))
	add(KeySrcTo, number(h.SrcTo))
	return dst
}

// DayTime is midnight UTC of d.
func DayTime(d schema.Day) time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// ParseHeader reads the headers of one record. Unknown headers are ignored; each of the keys above
// is required.
func ParseHeader(headers []kgo.RecordHeader) (Header, error) {
	var h Header
	seen := 0
	for i := range headers {
		known, err := h.set(headers[i].Key, string(headers[i].Value))
		if err != nil {
			return h, fmt.Errorf("cannot read header %s of a row block: %w", headers[i].Key, err)
		}
		if known {
			seen++
		}
	}
	if seen != 7 {
		return h, fmt.Errorf("cannot read the headers of a row block: %d of 7 are there; "+
			"is something else writing to the rows topic?", seen)
	}
	return h, nil
}

// set takes one header and reports whether it is one of ours.
func (h *Header) set(key, value string) (known bool, err error) {
	switch key {
	case KeyTable:
		h.Table = value
	case KeyVersion:
		var v uint64
		v, err = strconv.ParseUint(value, 10, 32)
		h.Version = uint32(v)
	case KeyDay:
		var day time.Time
		day, err = time.Parse(dateLayout, value)
		if d := day.Unix() / 86400; err == nil && (d < 0 || d > 65535) {
			err = fmt.Errorf("%s is outside the range of a Date", value)
		}
		h.Day = schema.Day(day.Unix() / 86400)
	case KeySrcTopicID:
		var id []byte
		if id, err = hex.DecodeString(value); err == nil && len(id) != len(h.SrcTopicID) {
			err = fmt.Errorf("%d bytes instead of %d", len(id), len(h.SrcTopicID))
		}
		copy(h.SrcTopicID[:], id)
	case KeySrcPartition:
		var v int64
		v, err = strconv.ParseInt(value, 10, 32)
		h.SrcPartition = int32(v)
	case KeySrcFrom:
		h.SrcFrom, err = strconv.ParseInt(value, 10, 64)
	case KeySrcTo:
		h.SrcTo, err = strconv.ParseInt(value, 10, 64)
	default:
		return false, nil
	}
	return true, err
}
