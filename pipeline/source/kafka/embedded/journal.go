package broker

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	journalBytesMax = 4 << 20 // then it is rewritten with what is still of use
	raisingVersion  = 5       // of EndTxn, from which on an end raises the producer's epoch
)

// offsetsByGroup are the group offsets that a transaction carries: group, topic, partition.
type offsetsByGroup map[string]map[string]map[int32]stagedOffset

type stagedOffset struct {
	Offset      int64   `json:"o"`
	LeaderEpoch int32   `json:"e"`
	Metadata    *string `json:"m,omitempty"`
}

// Kinds of journal entries.
const (
	kindStage  = "stage"  // a TxnOffsetCommit: its offsets belong to the transaction
	kindCommit = "commit" // an EndTxn is about to be handled; with it the transaction is committed
	kindOver   = "over"   // the producer goes on to another transaction, or gave this one up
)

// journalEntry is one line of the journal.
type journalEntry struct {
	Kind  string         `json:"k"`
	PID   int64          `json:"pid"`
	Epoch int16          `json:"ep"`
	Group offsetsByGroup `json:"g,omitempty"`
	// PIDsAt is how long kfake's log of producers was before the EndTxn: kfake ends the handling of
	// one with an entry there, so an entry behind this place says that the end was carried out.
	PIDsAt int64 `json:"at,omitempty"`
	// Raises says that the client is of the newer kind (KIP-890): its epoch rises with every end.
	Raises bool `json:"up,omitempty"`
}

// producerTxn is what the journal holds of a producer's latest transaction.
type producerTxn struct {
	epoch  int16
	staged offsetsByGroup
	ending *journalEntry // a commit that was decided
}

// journal is the write-ahead log of transaction ends.
type journal struct {
	mu       sync.Mutex
	path     string
	pidsPath string // of kfake's log of producers
	file     *os.File
	bytes    int64
	txns     map[int64]*producerTxn
}

// readJournal reads what a journal says; a torn last entry never took effect.
func readJournal(path string) (map[int64]*producerTxn, error) {
	frames, _, err := readFrames(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal of transactions: %w", err)
	}
	txns := map[int64]*producerTxn{}
	for _, f := range frames {
		var e journalEntry
		if err := json.Unmarshal(f.data, &e); err != nil {
			return nil, fmt.Errorf("cannot read the journal of transactions at byte %d: %w", f.at,
				err)
		}
		applyEntry(txns, e)
	}
	return txns, nil
}

func applyEntry(txns map[int64]*producerTxn, e journalEntry) {
	t := txns[e.PID]
	if t == nil || t.epoch != e.Epoch {
		t = &producerTxn{epoch: e.Epoch}
		txns[e.PID] = t
	}
	switch e.Kind {
	case kindStage:
		t.ending = nil
		t.staged = mergeOffsets(t.staged, e.Group)
	case kindCommit:
		t.staged, t.ending = nil, &e
	case kindOver:
		delete(txns, e.PID)
	}
}

func mergeOffsets(into, from offsetsByGroup) offsetsByGroup {
	if into == nil {
		into = offsetsByGroup{}
	}
	for g, topics := range from {
		if into[g] == nil {
			into[g] = map[string]map[int32]stagedOffset{}
		}
		for t, parts := range topics {
			if into[g][t] == nil {
				into[g][t] = map[int32]stagedOffset{}
			}
			for p, o := range parts {
				into[g][t][p] = o
			}
		}
	}
	return into
}

// openJournal opens the journal of a data directory that is whole: mended, or cleanly left.
func openJournal(path, pidsPath string) (*journal, error) {
	txns, err := readJournal(path)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, pidsPath: pidsPath, txns: txns}
	return j, j.rewrite()
}

// rewrite replaces the file by one that holds only what is of use.
func (j *journal) rewrite() error {
	var b []byte
	for pid, t := range j.txns {
		e := journalEntry{Kind: kindStage, PID: pid, Epoch: t.epoch, Group: t.staged}
		if t.ending != nil {
			e = *t.ending
		}
		var err error
		if b, err = appendFrame(b, e); err != nil {
			return err
		}
	}
	if err := replaceFile(j.path, b); err != nil {
		return fmt.Errorf("cannot write the journal of transactions: %w", err)
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	f, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, filePerm)
	if err != nil {
		return fmt.Errorf("cannot open the journal of transactions: %w", err)
	}
	j.file, j.bytes = f, int64(len(b))
	return nil
}

// write appends an entry in one write and takes it into account.
func (j *journal) write(e journalEntry) error {
	b, err := appendFrame(nil, e)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(b); err != nil {
		return fmt.Errorf("cannot write the journal of transactions: %w", err)
	}
	j.bytes += int64(len(b))
	applyEntry(j.txns, e)
	if j.bytes > journalBytesMax {
		return j.rewrite()
	}
	return nil
}

// observe sees a request before the broker handles it; an error must keep it from being handled.
func (j *journal) observe(req kmsg.Request) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch r := req.(type) {
	case *kmsg.TxnOffsetCommitRequest:
		return j.stage(r)
	case *kmsg.EndTxnRequest:
		return j.end(r)
	case *kmsg.AddPartitionsToTxnRequest:
		return j.begin(r.ProducerID, r.ProducerEpoch)
	case *kmsg.AddOffsetsToTxnRequest:
		return j.begin(r.ProducerID, r.ProducerEpoch)
	}
	return nil
}

// stage notes the offsets of a TxnOffsetCommit. One that the broker refuses makes its client abort.
func (j *journal) stage(r *kmsg.TxnOffsetCommitRequest) error {
	topics := map[string]map[int32]stagedOffset{}
	for _, t := range r.Topics {
		parts := map[int32]stagedOffset{}
		for _, p := range t.Partitions {
			parts[p.Partition] = stagedOffset{Offset: p.Offset, LeaderEpoch: p.LeaderEpoch,
				Metadata: p.Metadata}
		}
		topics[topicKey(t)] = parts
	}
	return j.write(journalEntry{Kind: kindStage, PID: r.ProducerID, Epoch: r.ProducerEpoch,
		Group: offsetsByGroup{r.Group: topics}})
}

// topicKey is a topic's name or, as newer clients send it, its id, which cannot be a name.
func topicKey(t kmsg.TxnOffsetCommitRequestTopic) string {
	if t.Topic != "" {
		return t.Topic
	}
	return idPrefix + base64.StdEncoding.EncodeToString(t.TopicID[:])
}

const idPrefix = "id:" // no topic name has a colon

func (j *journal) end(r *kmsg.EndTxnRequest) error {
	t := j.txns[r.ProducerID]
	if !r.Commit {
		if t == nil {
			return nil
		}
		return j.write(journalEntry{Kind: kindOver, PID: r.ProducerID, Epoch: t.epoch})
	}
	e := journalEntry{Kind: kindCommit, PID: r.ProducerID, Epoch: r.ProducerEpoch,
		Raises: r.Version >= raisingVersion}
	if t != nil && t.epoch == r.ProducerEpoch {
		if t.ending != nil {
			return nil // the client asks again: what was decided stands
		}
		e.Group = t.staged
	}
	st, err := os.Stat(j.pidsPath)
	switch {
	case err == nil:
		e.PIDsAt = st.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot look at the log of producers: %w", err)
	}
	return j.write(e)
}

// begin is told when a client of the older kind adds to a transaction: the one before it is over.
// Newer clients raise their epoch instead.
func (j *journal) begin(pid int64, epoch int16) error {
	if t := j.txns[pid]; t != nil && t.epoch == epoch && t.ending != nil {
		return j.write(journalEntry{Kind: kindOver, PID: pid, Epoch: t.epoch})
	}
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}
