package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names of kfake's files in its data directory.
const (
	pidsFile    = "pids.log"
	groupsFile  = "groups.log"
	windowsFile = "seq_windows.json"
	sessionFile = "session_state.json"
	topicsFile  = "topics.json"
	metaFile    = "meta.json"
)

// pidEntry is an entry of kfake's log of producers.
type pidEntry struct {
	Type    string `json:"type"` // init, endtx, timeout
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"`
	Commit  *bool  `json:"commit,omitempty"`
}

// groupEntry is a committed offset in kfake's log of groups.
type groupEntry struct {
	Type       string  `json:"type"`
	Group      string  `json:"g"`
	Topic      string  `json:"t,omitempty"`
	Part       int32   `json:"p,omitempty"`
	Offset     int64   `json:"o,omitempty"`
	Epoch      int32   `json:"e,omitempty"`
	Metadata   *string `json:"m,omitempty"`
	LastCommit *int64  `json:"lc,omitempty"`
}

// producer is a producer's state as kfake's log has it.
type producer struct {
	epoch   int16
	txid    string
	timeout int32
	lastAt  int64 // of its latest entry in the log
	// The entry that raises the epoch after an end does not tell how that ended, and so kfake would
	// refuse a client that asks again: ended remembers it, told says that the log does too.
	ended, told bool
}

// mended tells what mending did.
type mended struct{ committed, aborted, partitions int }

// mend makes the data directory of a broker that was killed whole again. It may itself be killed at
// any point: run again, it finishes. The order matters. A transaction to be aborted first has its
// producer's epoch raised, because its client may not end it any more from then on, and then gets
// its markers; one to be committed gets markers, then offsets, and last the entry that says it is
// done.
func mend(dir, journalPath string, now time.Time, log *slog.Logger) (mended, error) {
	var m mended
	txns, err := readJournal(journalPath)
	if err != nil {
		return m, err
	}
	// Sessions of a clean end would bring back transactions that are over.
	if err := os.Remove(filepath.Join(dir, sessionFile)); err != nil && !errors.Is(err,
		fs.ErrNotExist) {
		return m, fmt.Errorf("cannot remove old sessions: %w", err)
	}
	producers, err := readProducers(filepath.Join(dir, pidsFile))
	if err != nil {
		return m, err
	}
	_, valid, err := readFrames(filepath.Join(dir, groupsFile))
	if err == nil {
		err = cutTail(filepath.Join(dir, groupsFile), valid)
	}
	if err != nil {
		return m, fmt.Errorf("cannot mend the log of groups: %w", err)
	}
	parts, err := scanPartitions(dir)
	if err != nil {
		return m, err
	}
	w := mender{dir: dir, now: now, parts: parts, producers: producers, txns: txns}
	for pid, t := range txns {
		switch {
		case w.decided(pid, t):
			m.committed++
			err = w.commit(pid, t)
		case w.halfRaised(pid, t):
			err = w.raise(pid, true)
		}
		if err != nil {
			return m, fmt.Errorf("cannot finish a committed transaction: %w", err)
		}
	}
	if err := w.tellEnds(); err != nil {
		return m, fmt.Errorf("cannot mend the log of producers: %w", err)
	}
	if m.aborted, err = w.abortOpen(); err != nil {
		return m, fmt.Errorf("cannot abort an open transaction: %w", err)
	}
	if err := w.writeWindows(); err != nil {
		return m, fmt.Errorf("cannot write the sequence windows: %w", err)
	}
	if err := replaceFile(journalPath, nil); err != nil {
		return m, fmt.Errorf("cannot empty the journal of transactions: %w", err)
	}
	m.partitions = len(parts)
	log.Warn("the broker had not ended cleanly: mended", "partitions", m.partitions,
		"transactions_committed", m.committed, "transactions_aborted", m.aborted)
	return m, nil
}

func readProducers(path string) (map[int64]*producer, error) {
	frames, valid, err := readFrames(path)
	if err == nil {
		err = cutTail(path, valid)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot mend the log of producers: %w", err)
	}
	all := map[int64]*producer{}
	for _, f := range frames {
		var e pidEntry
		if json.Unmarshal(f.data, &e) != nil {
			continue // as kfake does
		}
		p := all[e.PID]
		if p == nil {
			p = &producer{}
			all[e.PID] = p
		}
		if e.Type == "init" {
			if e.Epoch != p.epoch+1 {
				p.ended = false
			}
			p.txid, p.timeout = e.TxID, e.Timeout
		}
		if e.Type == "timeout" {
			p.ended = false
		}
		if p.told = e.Commit != nil; p.told {
			p.ended = *e.Commit
		}
		p.epoch, p.lastAt = e.Epoch, f.at
	}
	return all, nil
}

type mender struct {
	dir       string
	now       time.Time
	parts     []*partition
	producers map[int64]*producer
	txns      map[int64]*producerTxn
}

// decided tells whether a transaction was to be committed and that was not carried out to its end.
func (w *mender) decided(pid int64, t *producerTxn) bool {
	p := w.producers[pid]
	return t.ending != nil && p != nil && p.epoch == t.epoch && p.lastAt < t.ending.PIDsAt
}

func (w *mender) commit(pid int64, t *producerTxn) error {
	for _, p := range w.parts {
		if b, ok := p.open[pid]; ok && b.epoch == t.epoch {
			if err := p.mark(pid, t.epoch, true, w.now.UnixMilli()); err != nil {
				return err
			}
		}
	}
	commits, err := w.groupCommits(t.ending.Group)
	if err != nil {
		return err
	}
	if err := appendFrames(filepath.Join(w.dir, groupsFile), commits...); err != nil {
		return err
	}
	return w.raise(pid, true)
}

// groupCommits makes log entries of the offsets of a transaction. A topic that was deleted
// meanwhile has no offsets any more.
func (w *mender) groupCommits(groups offsetsByGroup) (commits []any, err error) {
	names, err := topicNames(filepath.Join(w.dir, topicsFile))
	if err != nil {
		return nil, err
	}
	at := w.now.UnixMilli()
	for group, topics := range groups {
		for topic, parts := range topics {
			if id, ok := strings.CutPrefix(topic, idPrefix); ok {
				if topic = names[id]; topic == "" {
					continue
				}
			}
			for part, o := range parts {
				commits = append(commits, groupEntry{Type: "commit", Group: group, Topic: topic,
					Part:   part,
					Offset: o.Offset, Epoch: o.LeaderEpoch, Metadata: o.Metadata, LastCommit: &at})
			}
		}
	}
	return commits, nil
}

// topicNames reads the names of topics by their ids.
func topicNames(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Topics []struct {
			Name string `json:"name"`
			ID   string `json:"id"` // base64
		} `json:"topics"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("cannot read the list of topics: %w", err)
	}
	names := map[string]string{}
	for _, t := range file.Topics {
		names[t.ID] = t.Name
	}
	return names, nil
}

// raise writes a producer's next epoch and how its last transaction ended. A client that asks again
// for that end is told it; one that asks for the other is refused.
func (w *mender) raise(pid int64, committed bool) error {
	p := w.producers[pid]
	if p == nil {
		return nil // a producer that the broker has never known
	}
	p.epoch++
	p.told = true
	return appendFrames(filepath.Join(w.dir, pidsFile), pidEntry{Type: "init", PID: pid,
		Epoch: p.epoch,
		TxID:  p.txid, Timeout: p.timeout, Commit: &committed})
}

// halfRaised tells whether a transaction was ended, but the entry that raises the epoch is missing.
func (w *mender) halfRaised(pid int64, t *producerTxn) bool {
	p := w.producers[pid]
	return t.ending != nil && t.ending.Raises && p != nil && p.epoch == t.epoch &&
		p.lastAt >= t.ending.PIDsAt
}

// tellEnds writes how the last transaction of a producer ended where the log does not tell.
func (w *mender) tellEnds() error {
	var entries []any
	for pid, p := range w.producers {
		if p.ended && !p.told {
			entries = append(entries, pidEntry{Type: "init", PID: pid, Epoch: p.epoch, TxID: p.txid,
				Timeout: p.timeout, Commit: &p.ended})
		}
	}
	return appendFrames(filepath.Join(w.dir, pidsFile), entries...)
}

// abortOpen aborts every transaction that is still open.
func (w *mender) abortOpen() (int, error) {
	open := map[int64]bool{}
	for _, p := range w.parts {
		for pid := range p.open {
			open[pid] = true
		}
	}
	for pid, t := range w.txns { // one that carries offsets only is in no partition
		if p := w.producers[pid]; t.ending == nil && p != nil && p.epoch == t.epoch {
			open[pid] = true
		}
	}
	for pid := range open {
		if err := w.raise(pid, false); err != nil {
			return 0, err
		}
	}
	for _, p := range w.parts {
		for pid, b := range p.open {
			if err := p.mark(pid, b.epoch, false, w.now.UnixMilli()); err != nil {
				return 0, err
			}
		}
	}
	return len(open), nil
}

// windowEntryFile is an entry of kfake's file of sequence windows.
type windowEntryFile struct {
	PID     int64                      `json:"pid"`
	Topic   string                     `json:"topic"`
	Part    int32                      `json:"partition"`
	Entries [windowEntries]windowEntry `json:"entries"`
	Count   uint8                      `json:"count"`
	At      uint8                      `json:"at"`
	Epoch   int16                      `json:"epoch"`
	Seen    bool                       `json:"seen"`
	NextSeq int32                      `json:"next_seq"`
}

func (w *mender) writeWindows() error {
	file := struct {
		Version int               `json:"version"`
		Windows []windowEntryFile `json:"windows"`
	}{Version: frameVersion}
	for _, p := range w.parts {
		for pid, s := range p.windows {
			file.Windows = append(file.Windows, windowEntryFile{PID: pid, Topic: p.topic,
				Part:    p.number,
				Entries: s.entries, Count: s.count, At: s.at, Epoch: s.epoch, Seen: true,
				NextSeq: s.nextSeq})
		}
	}
	b, err := json.Marshal(file)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(w.dir, windowsFile), b)
}
