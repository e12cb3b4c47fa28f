package pipeline

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// ProgressKey is the key of the one progress record that each partition of the state topic holds.
// It is not 16 bytes long, so it can never be the key of a conversation.
const ProgressKey = "progress"

// ProgressVersion is the version of the progress record and of the state codec it vouches for.
const ProgressVersion = 2

const progressBytes = 1 + 16 + 8 + 8 + 4 + 4 + 8 + 8

// Progress is what a transaction leaves beside the state of a partition: the state is complete when
// it is the progress of the transaction that the group's commit names (DELIVERY, stage 1).
type Progress struct {
	TopicID     [16]byte // of the input topic
	Next        int64    // next input offset
	Fingerprint uint64   // of the privacy key: another key would give other pseudonyms
	DayUTC      int32    // latest frozen _day, days since 1970: it never goes back
	Partitions  int32    // of the input topic: another count sends conversations elsewhere
	Seq         int64    // transactions that touched the partition, this one included
	FiredMS     int64    // timers due up to here have fired
}

// AppendTo appends the encoded record to dst.
func (p *Progress) AppendTo(dst []byte) []byte {
	dst = append(dst, ProgressVersion)
	dst = append(dst, p.TopicID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Next))
	dst = binary.BigEndian.AppendUint64(dst, p.Fingerprint)
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.DayUTC))
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Partitions))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Seq))
	return binary.BigEndian.AppendUint64(dst, uint64(p.FiredMS))
}

// ParseProgress reads a progress record. An unknown version or length is an error: state written by
// another version must not be taken for ours.
func ParseProgress(b []byte) (Progress, error) {
	var p Progress
	if len(b) != progressBytes || b[0] != ProgressVersion {
		return p, fmt.Errorf("cannot read progress record: %d bytes of version %d, want %d of version %d",
			len(b), firstByte(b), progressBytes, ProgressVersion)
	}
	copy(p.TopicID[:], b[1:17])
	p.Next = int64(binary.BigEndian.Uint64(b[17:25]))
	p.Fingerprint = binary.BigEndian.Uint64(b[25:33])
	p.DayUTC = int32(binary.BigEndian.Uint32(b[33:37]))
	p.Partitions = int32(binary.BigEndian.Uint32(b[37:41]))
	p.Seq = int64(binary.BigEndian.Uint64(b[41:49]))
	p.FiredMS = int64(binary.BigEndian.Uint64(b[49:57]))
	return p, nil
}

func firstByte(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	return int(b[0])
}

// Committed is what the group has committed for an input partition.
type Committed struct {
	Offset int64 // next input offset; −1: nothing yet
	// Seq is the Seq of the transaction that committed it, −1 when the commit does not say: offsets
	// were set by hand. The offset alone does not name a transaction, because one that only fires
	// timers leaves it where it was.
	Seq int64
}

// commitMetaPrefix begins the metadata of an offset commit.
const commitMetaPrefix = "usher "

// Meta is the metadata of the offset commit, readable in any Kafka tool.
func (c Committed) Meta() string { return commitMetaPrefix + strconv.FormatInt(c.Seq, 10) }

// ParseCommitted makes a Committed of an offset and its metadata. Metadata of other programs says
// nothing.
func ParseCommitted(offset int64, meta string) Committed {
	c := Committed{Offset: offset, Seq: -1}
	if word, ok := strings.CutPrefix(meta, commitMetaPrefix); ok {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil && n >= 0 {
			c.Seq = n
		}
	}
	return c
}
