// Package deliver is the protocol that stores every row block exactly once, as a step machine: it
// decides, and whoever drives it talks to Kafka and ClickHouse. It knows no clock, no network and
// no goroutine, so every order of events can be played to it.
//
// One range of records is stored like this. Its intent (which rows go into which table) is written
// into the metadata of the offset commit and acknowledged before the first insert, so that whoever
// comes next repeats exactly this range under exactly these tokens. The commit is fenced by the
// group's generation, so a sink that was thought dead learns it there. Inserts carry a lease in
// time, which the server checks, so that its late inserts are refused too. After any doubt the
// range is read back before anything is sent again.
package deliver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"usher/sinks/clickhouse/schema"
)

// MetadataMax is Kafka's default limit for the metadata of an offset commit, in bytes. The embedded
// broker does not enforce it; Encode does.
const MetadataMax = 4096

// metadataVersion begins every intent, so that a later form can be told apart.
const metadataVersion = "u1"

// againMark begins the word that holds Intent.Again.
const againMark = "again="

// Share is what one table gets of a range.
type Share struct {
	Table string
	Rows  uint64
	Hash  uint64 // XXH64 of the blocks, in order
}

// Intent says what one range of usher.rows.v1 will store.
type Intent struct {
	TopicID schema.UUID
	Epoch   int32 // leader epoch of the last record
	From    int64
	To      int64 // exclusive
	Version uint32
	Day     schema.Day
	Shares  []Share // in the order of schema.Tables
	// Again counts the tokens that the engine has taken without keeping the rows: see Machine.renew.
	Again int
}

// Encode is the commit metadata of in: words separated by spaces, readable in any Kafka tool.
func (in *Intent) Encode() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d %d-%d %d %d", metadataVersion, hex.EncodeToString(in.TopicID[:]),
		in.Epoch, in.From, in.To, in.Version, in.Day)
	for _, s := range in.Shares {
		fmt.Fprintf(&b, " %s:%d:%x", s.Table, s.Rows, s.Hash)
	}
	if in.Again > 0 {
		fmt.Fprintf(&b, " %s%d", againMark, in.Again)
	}
	if b.Len() > MetadataMax {
		return "", fmt.Errorf("cannot note the range %d-%d: its intent has %d bytes, the limit is %d",
			in.From, in.To, b.Len(), MetadataMax)
	}
	return b.String(), nil
}

// ParseIntent reads what Encode wrote.
func ParseIntent(meta string) (Intent, error) {
	fail := func(what string) (Intent, error) {
		return Intent{}, fmt.Errorf("cannot read the intent in the offset metadata: %s; "+
			"does another program commit offsets for this group?", what)
	}
	words := strings.Split(meta, " ")
	if len(words) < 6 || words[0] != metadataVersion {
		return fail("it is not in the form " + metadataVersion)
	}
	var in Intent
	id, err := hex.DecodeString(words[1])
	if err != nil || len(id) != len(in.TopicID) {
		return fail("bad topic id")
	}
	copy(in.TopicID[:], id)
	from, to, ok := strings.Cut(words[3], "-")
	if !ok {
		return fail("bad range")
	}
	n := numbers{ok: true}
	in.Epoch = int32(n.parse(words[2], 10, 32))
	in.From, in.To = n.parse(from, 10, 64), n.parse(to, 10, 64)
	in.Version = uint32(n.parse(words[4], 10, 33))
	in.Day = schema.Day(n.parse(words[5], 10, 17))
	for _, w := range words[6:] {
		if again, ok := strings.CutPrefix(w, againMark); ok {
			in.Again = int(n.parse(again, 10, 31))
			n.ok = n.ok && in.Again > 0
			continue
		}
		parts := strings.Split(w, ":")
		if len(parts) != 3 || parts[0] == "" {
			return fail("bad share")
		}
		hash, err := strconv.ParseUint(parts[2], 16, 64)
		n.ok = n.ok && err == nil
		in.Shares = append(in.Shares, Share{
			Table: parts[0], Rows: uint64(n.parse(parts[1], 10, 63)), Hash: hash,
		})
	}
	if !n.ok || in.From < 0 || in.To <= in.From || len(in.Shares) == 0 {
		return fail("bad number")
	}
	return in, nil
}

// numbers parses integers and remembers whether all of them were good.
type numbers struct{ ok bool }

func (n *numbers) parse(s string, base, bits int) int64 {
	v, err := strconv.ParseInt(s, base, bits)
	n.ok = n.ok && err == nil
	return v
}

// Token is the deduplication token of the insert of in into table on a partition: a hash of all
// that determines the block's rows.
func (in *Intent) Token(partition int32, table string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "usher rows %x %d %d %d %s %d", in.TopicID, partition,
		in.From, in.To, table, in.Version))
	return hex.EncodeToString(h[:16])
}

// Manifest are the manifest rows of in, one per share.
func (in *Intent) Manifest() []schema.ManifestRow {
	out := make([]schema.ManifestRow, 0, len(in.Shares))
	for _, s := range in.Shares {
		out = append(out, schema.ManifestRow{
			Day: in.Day, FromOffset: uint64(in.From), ToOffset: uint64(in.To), Table: s.Table,
			Tables: uint32(len(in.Shares)), Rows: s.Rows, Hash: s.Hash,
		})
	}
	return out
}

// equal reports whether two intents say the same of the range; Again is not of the range.
func (in *Intent) equal(other *Intent) bool {
	if in.TopicID != other.TopicID || in.From != other.From || in.To != other.To ||
		in.Version != other.Version || in.Day != other.Day || len(in.Shares) != len(other.Shares) {
		return false
	}
	for i := range in.Shares {
		if in.Shares[i] != other.Shares[i] {
			return false
		}
	}
	return true
}

// Tables are the tables that the range fills, in the order in which it does: those of its shares
// and the manifest.
func (in *Intent) Tables() []*schema.Table {
	var out []*schema.Table
	for _, t := range schema.Tables() {
		if in.RowsOf(t) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// RowsOf is the number of rows that the range puts into t.
func (in *Intent) RowsOf(t *schema.Table) uint64 {
	if t.Writer == schema.ByRange {
		return uint64(len(in.Shares))
	}
	for _, s := range in.Shares {
		if s.Table == t.Name {
			return s.Rows
		}
	}
	return 0
}
