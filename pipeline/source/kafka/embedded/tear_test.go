//go:build unix

package broker

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// files is a data directory in memory.
type files map[string][]byte

func readFiles(t *testing.T, dir string) files {
	t.Helper()
	all := files{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == lockName {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		all[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (f files) write(t *testing.T, dir string) {
	t.Helper()
	for name, b := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// append is one write(2) that the broker made.
type appended struct {
	file string
	data []byte
}

// grown lists what was appended to files of one kind, by file.
func grown(before, after files, match func(name string) bool) (list []appended) {
	for name, b := range after {
		if old := before[name]; match(name) && len(b) > len(old) {
			list = append(list, appended{name, b[len(old):]})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].file < list[j].file })
	return list
}

// frameByFrame splits what was appended to a log into its single writes.
func frameByFrame(t *testing.T, list []appended) (single []appended) {
	t.Helper()
	for _, a := range list {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, a.data, 0o600); err != nil {
			t.Fatal(err)
		}
		frames, end, err := readFrames(path)
		if err != nil || end != int64(len(a.data)) {
			t.Fatalf("%s: %d of %d bytes are frames, %v", a.file, end, len(a.data), err)
		}
		for i, f := range frames {
			to := end
			if i+1 < len(frames) {
				to = frames[i+1].at
			}
			single = append(single, appended{a.file, a.data[f.at:to]})
		}
	}
	return single
}

func suffix(s string) func(string) bool {
	return func(name string) bool { return strings.HasSuffix(name, s) }
}

// writesOfBatches lists the writes of one batch per partition: log, then index, in the order of
// perm.
func writesOfBatches(before, after files, rnd *rand.Rand) (list []appended) {
	dats := grown(before, after, suffix(".dat"))
	for _, i := range rnd.Perm(len(dats)) {
		index := strings.TrimSuffix(dats[i].file, ".dat") + ".idx"
		list = append(list, dats[i], appended{index, after[index][len(before[index]):]})
	}
	return list
}

// scene is a transaction and the states of the directory around its two halves.
type scene struct {
	start, produced, ended files
	pid                    int64
	epoch                  int16
	old, new               []string // records: committed before, in the transaction
}

const oldOffset, newOffset = 11, 42

// play runs a broker in this process and one transaction on it that writes to every partition.
func play(t *testing.T) (s scene) {
	t.Helper()
	dir := t.TempDir()
	b := openIn(t, dir)
	addr := b.gate.Addr().String()
	if err := ensureTopics(t.Context(), addr, testTopics); err != nil {
		t.Fatal(err)
	}
	cl := txnClient(t, addr)
	defer cl.Close()
	s.old = transact(t, cl, "old", oldOffset, true)
	s.start = readFiles(t, dir)
	s.new = transact(t, cl, "new", newOffset, false)
	s.produced = readFiles(t, dir)
	var err error
	if s.pid, s.epoch, err = cl.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	s.ended = readFiles(t, dir)
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func openIn(t *testing.T, dir string) *server {
	t.Helper()
	b, err := open(dir, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.gate.open()
	return b
}

func txnClient(t *testing.T, addr string, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(clientOpts(addr, kgo.TransactionalID("t"),
		kgo.RecordPartitioner(kgo.ManualPartitioner())), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// transact writes one record to every partition of two topics and a group offset.
func transact(t *testing.T, cl *kgo.Client, what string, offset int64, end bool) (values []string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"out", "state"} {
		for p := range int32(4) {
			v := fmt.Sprint(what, " ", topic, " ", p)
			values = append(values, v)
			r := &kgo.Record{Topic: topic, Partition: p, Value: []byte(v)}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	commitOffset(t, cl, offset)
	if end {
		if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

func commitOffset(t *testing.T, cl *kgo.Client, offset int64) {
	t.Helper()
	id, epoch, err := cl.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if code := stageOffset(t, cl, id, epoch, offset); code != 0 {
		t.Fatalf("TxnOffsetCommit: code %d", code)
	}
}

// stageOffset commits an offset of every partition of the input within a transaction.
func stageOffset(t *testing.T, cl *kgo.Client, id int64, epoch int16, offset int64) (code int16) {
	t.Helper()
	add := kmsg.NewPtrAddOffsetsToTxnRequest() // newer clients leave it out
	add.TransactionalID, add.Group, add.ProducerID, add.ProducerEpoch = "t", "g", id, epoch
	if resp, err := add.RequestWith(t.Context(), cl); err != nil || resp.ErrorCode != 0 {
		return resp.ErrorCode
	}
	topics, err := kadm.NewClient(cl).ListTopics(t.Context(), "in")
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = "t", "g",
		id, epoch, -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID = "in", topics["in"].ID
	for p := range int32(4) {
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = p, offset
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			code = max(code, rp.ErrorCode)
		}
	}
	return code
}

// TestTornAnywhere stops the broker between any two writes of a transaction, and in the middle of
// any, and expects the whole transaction or nothing of it: the whole if its end was in the journal.
func TestTornAnywhere(t *testing.T) {
	s := play(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	journal := frameByFrame(t, grown(s.start, s.ended, suffix(journalName)))
	if len(journal) != 2 {
		t.Fatalf("%d journal entries, want stage and commit", len(journal))
	}
	committed, aborted := 0, 0
	for cut := 0; ; cut++ {
		writes := writesOfBatches(s.start, s.produced, rnd)
		writes = append(writes, journal...)
		decision := len(writes) // with so many writes it is decided
		writes = append(writes, writesOfBatches(s.produced, s.ended, rnd)...)
		writes = append(writes, frameByFrame(t, grown(s.produced, s.ended, suffix(groupsFile)))...)
		writes = append(writes, frameByFrame(t, grown(s.produced, s.ended, suffix(pidsFile)))...)
		if cut > len(writes) {
			break
		}
		torn := files{}
		for name, b := range s.start {
			torn[name] = bytes.Clone(b)
		}
		for _, w := range writes[:cut] {
			torn[w.file] = append(torn[w.file], w.data...)
		}
		if cut < len(writes) && rnd.IntN(2) == 0 {
			w := writes[cut]
			torn[w.file] = append(torn[w.file], w.data[:rnd.IntN(len(w.data))]...)
		}
		if cut >= decision {
			committed++
		} else {
			aborted++
		}
		t.Run(fmt.Sprintf("after %d of %d writes, decided with %d", cut, len(writes), decision),
			func(t *testing.T) {
				t.Parallel()
				s.checkMended(t, torn, cut >= decision, cut > 0)
			})
	}
	offsetsOnly := files{}
	for name, b := range s.start {
		offsetsOnly[name] = bytes.Clone(b)
	}
	offsetsOnly[journal[0].file] = append(offsetsOnly[journal[0].file], journal[0].data...)
	t.Run("a transaction that carries offsets only", func(t *testing.T) {
		t.Parallel()
		s.checkMended(t, offsetsOnly, false, true)
	})
	if committed < 15 || aborted < 15 {
		t.Errorf("%d states to commit, %d to abort: the transaction has fewer writes than it should", committed, aborted)
	}
}

// checkMended opens a broker on a torn directory and looks at everything a client can see, then
// again after a clean end and after another kill. A client of whose transaction nothing arrived
// does not ask for its end.
func (s scene) checkMended(t *testing.T, torn files, commit, asks bool) {
	t.Helper()
	dir := t.TempDir()
	torn.write(t, dir)
	want, offset := s.old, int64(oldOffset)
	if commit {
		want, offset = append(append([]string{}, s.old...), s.new...), newOffset
	}
	b := openIn(t, dir)
	visible(t, b, want, offset, "mended")
	if asks {
		s.lateEnd(t, b, commit)
	}
	killed := readFiles(t, dir)
	cl := txnClient(t, b.gate.Addr().String())
	next := transact(t, cl, "next", 77, true)
	cl.Close()
	visible(t, b, append(append([]string{}, want...), next...), 77, "with another transaction")
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	again := t.TempDir()
	killed.write(t, again)
	b = openIn(t, again)
	visible(t, b, want, offset, "killed and mended again")
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	b = openIn(t, dir)
	visible(t, b, append(append([]string{}, want...), next...), 77, "after a clean end")
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
}

// lateEnd is the client that outlived the broker and asks for the end of its transaction: it may be
// told yes only if that is so.
func (s scene) lateEnd(t *testing.T, b *server, committed bool) {
	t.Helper()
	cl, err := kgo.NewClient(clientOpts(b.gate.Addr().String())...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if code := stageOffset(t, cl, s.pid, s.epoch, 99); code == 0 {
		t.Error("a client could go on with a transaction that a kill had ended")
	}
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = "t", s.pid, s.epoch, true
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	if (resp.ErrorCode == 0) != committed {
		t.Errorf("the late end of a transaction got code %d, committed: %v", resp.ErrorCode,
			committed)
	}
}

func visible(t *testing.T, b *server, want []string, offset int64, when string) {
	t.Helper()
	addr := b.gate.Addr().String()
	var got []string
	for _, topic := range []string{"out", "state"} {
		got = append(got, readAll(t, addr, topic)...)
	}
	sort.Strings(got)
	sort.Strings(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: committed records (-want +got):\n%s", when, diff)
	}
	cl, err := kgo.NewClient(clientOpts(addr)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(context.Background(), "g")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	offsets.Each(func(o kadm.OffsetResponse) {
		n++
		if o.At != offset {
			t.Errorf("%s: offset of %s %d is %d, want %d", when, o.Topic, o.Partition, o.At, offset)
		}
	})
	if n != 4 {
		t.Errorf("%s: %d offsets, want 4", when, n)
	}
}

// A client of the older kind keeps its epoch over many transactions: what one of them was to do
// must not be done again, nor be taken for the end of the next.
func TestOldClientKilledBetweenTransactions(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	addr := b.gate.Addr().String()
	if err := ensureTopics(t.Context(), addr, testTopics); err != nil {
		t.Fatal(err)
	}
	cl := txnClient(t, addr, kgo.MaxVersions(kversion.V3_6_0()))
	defer cl.Close()
	want := transact(t, cl, "first", 11, true)
	moved := kadm.Offsets{}
	for p := range int32(4) {
		moved.AddOffset("in", p, 33, -1)
	}
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "g", moved); err != nil {
		t.Fatal(err)
	}
	between := readFiles(t, dir)
	transact(t, cl, "second", 44, false)
	during := readFiles(t, dir)
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	for when, state := range map[string]files{"between transactions": between,
		"in the second": during} {
		again := t.TempDir()
		state.write(t, again)
		b := openIn(t, again)
		visible(t, b, append([]string{}, want...), 33, when)
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
	}
}
