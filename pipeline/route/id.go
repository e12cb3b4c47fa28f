package route

import (
	"crypto/sha256"
	"encoding/binary"
)

// IDParts are what a decision's id is made of (CONTRACT section 3): never an offset, so that a
// topic that was copied or replayed gives the same ids.
type IDParts struct {
	SourceTopic    string
	Tenant         []byte
	ConversationID []byte
	Cycle          int64
	EventID        []byte
	ModelChecksum  string // empty without a model
	RuleSet        string
}

// ID is the first 128 bits of SHA-256 over the parts, each preceded by its length as a 32-bit
// big-endian number (the cycle is 8 bytes big-endian), so that no two lists of parts read alike.
// It uses and returns scratch, which a worker keeps.
func ID(p *IDParts, scratch []byte) (id [16]byte, reuse []byte) {
	b := scratch[:0]
	b = lengthString(b, p.SourceTopic)
	b = lengthBytes(b, p.Tenant)
	b = lengthBytes(b, p.ConversationID)
	b = binary.BigEndian.AppendUint32(b, 8)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Cycle))
	b = lengthBytes(b, p.EventID)
	b = lengthString(b, p.ModelChecksum)
	b = lengthString(b, p.RuleSet)
	sum := sha256.Sum256(b)
	copy(id[:], sum[:])
	return id, b
}

func lengthBytes(b, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

func lengthString(b []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}
