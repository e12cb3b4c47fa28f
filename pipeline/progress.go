package pipeline

import (
	"encoding/binary"
	"fmt"
)

// ProgressKey is the key of the one progress record that each partition of the state topic holds.
// It is not 16 bytes long, so it can never be the key of a conversation.
const ProgressKey = "progress"

// ProgressVersion is the version of the progress record and of the state codec it vouches for.
const ProgressVersion = 1

const progressBytes = 1 + 16 + 8 + 8 + 4

// Progress is what a transaction leaves beside the state of a partition: the state is complete when
// Next equals the offset that the group has committed (DELIVERY, stage 1).
type Progress struct {
	TopicID     [16]byte // of the input topic
	Next        int64    // next input offset
	Fingerprint uint64   // of the privacy key: another key would give other pseudonyms
	DayUTC      int32    // latest frozen _day, days since 1970: it never goes back
}

// AppendTo appends the encoded record to dst.
func (p *Progress) AppendTo(dst []byte) []byte {
	dst = append(dst, ProgressVersion)
	dst = append(dst, p.TopicID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Next))
	dst = binary.BigEndian.AppendUint64(dst, p.Fingerprint)
	return binary.BigEndian.AppendUint32(dst, uint32(p.DayUTC))
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
	return p, nil
}

func firstByte(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	return int(b[0])
}
