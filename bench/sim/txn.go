package sim

import "github.com/twmb/franz-go/pkg/kgo"

// transactionTimeoutMS is that of the router's clients (pipeline.transactionTimeout).
const transactionTimeoutMS = 8_000

type txnState uint8

const (
	txnEmpty txnState = iota
	txnOngoing
	txnEnding // markers are being written
)

// txn is what the transaction coordinator knows of one transactional id. As in Kafka 4 every end
// raises the epoch, so that whatever is late belongs to no transaction.
type txn struct {
	id     string
	pid    int64
	epoch  int
	state  txnState
	number int // counts transactions, for the time-out
	places []place
	groups []*group
	seqs   map[place]int
	left   int // markers to write
	ended  struct {
		epoch  int
		commit bool
	}
}

// initProducer fences every earlier producer of the id and ends what it left open.
func (b *broker) initProducer(id string) (*txn, int, error) {
	t := b.txns[id]
	if t == nil {
		t = &txn{id: id, pid: int64(len(b.txns) + 1), seqs: map[place]int{}}
		b.txns[id], b.byPID[t.pid] = t, t
	}
	switch t.state {
	case txnEnding:
		return nil, 0, errConcurrent
	case txnOngoing:
		b.end(t, false)
		return nil, 0, errConcurrent
	}
	t.raise()
	return t, t.epoch, nil
}

func (t *txn) raise() {
	t.epoch++
	clear(t.seqs)
}

// begin is implicit in the first request of a transaction.
func (b *broker) begin(t *txn) {
	if t.state == txnOngoing {
		return
	}
	t.state, t.number = txnOngoing, t.number+1
	number := t.number
	b.w.after(transactionTimeoutMS+b.w.between(0, 2_000), func() {
		if t.state == txnOngoing && t.number == number {
			b.w.trace("broker: transaction of %s timed out", t.id)
			b.end(t, false)
			t.ended.epoch = -1 // its producer must learn of it
		}
	})
}

// produce appends one batch of a transaction. seq counts the producer's batches per partition, so
// that a batch that is sent again is not written again.
func (b *broker) produce(pid int64, epoch int, at place, seq int, records []*kgo.Record) error {
	t := b.byPID[pid]
	switch {
	case epoch != t.epoch:
		return errFenced
	case t.state == txnEnding:
		return errConcurrent
	case b.w.chance(b.w.faults.DiskFails):
		b.w.counts.DiskFaults++
		return errStorage
	}
	b.begin(t)
	if seq < t.seqs[at] {
		return nil
	}
	t.seqs[at] = seq + 1
	t.join(at)
	b.log(at).append(pid, records)
	return nil
}

func (t *txn) join(at place) {
	for _, p := range t.places {
		if p == at {
			return
		}
	}
	t.places = append(t.places, at)
}

// commitOffsets is TxnOffsetCommit: held to the group's membership, pending until the end.
func (b *broker) commitOffsets(pid int64, epoch int, g *group, as identity,
	offsets map[int32]offset,
) error {
	t := b.byPID[pid]
	switch {
	case epoch != t.epoch:
		return errFenced
	case t.state == txnEnding:
		return errConcurrent
	}
	if err := g.check(as); err != nil && !b.w.weak.Stage1Unfenced {
		b.w.counts.FencedCommits++
		return err
	}
	b.begin(t)
	known := false
	for _, other := range t.groups {
		known = known || other == g
	}
	if !known {
		t.groups = append(t.groups, g)
	}
	for p, o := range offsets {
		if g.pending[p] == nil {
			g.pending[p] = map[int64]offset{}
		}
		g.pending[p][pid] = o
	}
	return nil
}

// endTxn is EndTxn; the answer is the epoch of the next transaction. It may be sent again.
func (b *broker) endTxn(pid int64, epoch int, commit bool) (int, error) {
	t := b.byPID[pid]
	if epoch == t.epoch-1 && t.ended.epoch == epoch && t.ended.commit == commit {
		return t.epoch, nil
	}
	switch {
	case epoch != t.epoch:
		return 0, errFenced
	case t.state == txnEnding:
		return 0, errConcurrent
	case t.state == txnEmpty && commit:
		return 0, errFenced // INVALID_TXN_STATE: the producer cannot go on either
	}
	b.end(t, commit)
	return t.epoch, nil
}

// end decides a transaction. Markers are written to every partition on their own, so for a while
// the transaction is visible in one and not in another.
func (b *broker) end(t *txn, commit bool) {
	t.ended.epoch, t.ended.commit = t.epoch, commit
	t.raise()
	t.state = txnEnding
	f := aborted
	if commit {
		f = committed
	}
	t.left = len(t.places) + len(t.groups)
	places, groups := t.places, t.groups
	t.places, t.groups = nil, nil
	if t.left == 0 {
		t.state = txnEmpty
		return
	}
	written := func() {
		if t.left--; t.left == 0 {
			t.state = txnEmpty
		}
	}
	for _, at := range places {
		b.w.after(b.markerMS(), func() {
			b.log(at).mark(at, t.pid, f)
			written()
		})
	}
	for _, g := range groups {
		b.w.after(b.markerMS(), func() {
			g.settle(t.pid, f)
			written()
		})
	}
}

func (b *broker) markerMS() int64 {
	if b.w.chance(b.w.faults.DiskSlow) {
		return b.w.between(100, 4_000)
	}
	return b.w.between(0, 5)
}
