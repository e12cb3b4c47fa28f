package broker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The files of a partition as kfake lays them out: N.dat holds record batches one after another,
// N.idx one entry per batch, N being the first offset.
const (
	batchHeaderBytes = 61
	batchPrefixBytes = 12 // first offset and length, before what length counts
	batchBytesMax    = 1 << 30
	batchCRCAt       = 17
	batchCRCFrom     = 21
	indexEntryBytes  = 15
	attrTransaction  = 0x10
	attrControl      = 0x20
	windowEntries    = 5 // batches per producer and partition that a broker recognises
)

// batch is the head of a record batch.
type batch struct {
	first, maxTimestamp int64
	lastDelta           int32
	leaderEpoch         int32
	attrs               int16
	pid                 int64
	epoch               int16
	firstSeq, records   int32
}

func (b batch) transactional() bool {
	return b.attrs&attrTransaction != 0 &&
		b.attrs&attrControl == 0
}
func (b batch) control() bool { return b.attrs&attrControl != 0 }

func parseBatch(raw []byte) batch {
	be := binary.BigEndian
	return batch{
		first: int64(be.Uint64(raw)), leaderEpoch: int32(be.Uint32(raw[12:])),
		attrs:     int16(be.Uint16(raw[21:])),
		lastDelta: int32(be.Uint32(raw[23:])), maxTimestamp: int64(be.Uint64(raw[35:])),
		pid: int64(be.Uint64(raw[43:])), epoch: int16(be.Uint16(raw[51:])),
		firstSeq: int32(be.Uint32(raw[53:])), records: int32(be.Uint32(raw[57:])),
	}
}

// partition is what a scan found in one partition's log.
type partition struct {
	dir, topic string
	number     int32
	segments   []int64
	end        int64 // next offset
	last       batch
	lastTime   int64             // largest timestamp
	open       map[int64]batch   // by producer: first batch of its open transaction
	windows    map[int64]*window // by producer
}

// window is what a broker remembers of a producer in a partition to recognise retries.
type window struct {
	entries   [windowEntries]windowEntry
	at, count uint8
	epoch     int16
	nextSeq   int32
}

type windowEntry struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

func (w *window) push(b batch) {
	next := int32((int64(b.firstSeq) + int64(b.records)) % math.MaxInt32)
	if w.count == 0 || w.epoch != b.epoch {
		*w = window{epoch: b.epoch}
	}
	w.entries[w.at] = windowEntry{b.firstSeq, next, b.first}
	w.at = (w.at + 1) % windowEntries
	w.count = min(w.count+1, windowEntries)
	w.nextSeq = next
}

// scanPartitions reads every partition's log and makes its files whole: a torn batch at the end is
// cut off, missing index entries are written.
func scanPartitions(dir string) ([]*partition, error) {
	root := filepath.Join(dir, "partitions")
	dirs, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*partition
	for _, d := range dirs {
		i := strings.LastIndexByte(d.Name(), '-')
		if !d.IsDir() || i < 0 {
			continue
		}
		topic, err1 := url.PathUnescape(d.Name()[:i])
		number, err2 := strconv.ParseInt(d.Name()[i+1:], 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		p := &partition{dir: filepath.Join(root, d.Name()), topic: topic, number: int32(number),
			open: map[int64]batch{}, windows: map[int64]*window{}}
		if err := p.scan(); err != nil {
			return nil, fmt.Errorf("cannot read partition %s: %w", d.Name(), err)
		}
		all = append(all, p)
	}
	return all, nil
}

func (p *partition) scan() error {
	files, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".dat"); ok {
			if base, err := strconv.ParseInt(name, 10, 64); err == nil {
				p.segments = append(p.segments, base)
			}
		}
	}
	sort.Slice(p.segments, func(i, j int) bool { return p.segments[i] < p.segments[j] })
	for _, base := range p.segments {
		if err := p.scanSegment(base); err != nil {
			return err
		}
	}
	return nil
}

func (p *partition) path(base int64, suffix string) string {
	return filepath.Join(p.dir, strconv.FormatInt(base, 10)+suffix)
}

func (p *partition) scanSegment(base int64) error {
	index, err := os.ReadFile(p.path(base, ".idx"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	whole := make([]byte, 0, len(index)+indexEntryBytes)
	f, err := os.Open(p.path(base, ".dat"))
	if err != nil {
		return err
	}
	defer f.Close()
	valid, err := readBatches(bufio.NewReaderSize(f, 1<<20), func(b batch) {
		p.lastTime = max(p.lastTime, b.maxTimestamp)
		at := len(whole)
		inTx := b.transactional()
		if at+indexEntryBytes <= len(index) && indexEntryValid(index[at:at+indexEntryBytes]) {
			whole = append(whole, index[at:at+indexEntryBytes]...)
			inTx = whole[at+14]&1 != 0
		} else {
			whole = appendIndexEntry(whole, b.leaderEpoch, p.lastTime, inTx)
		}
		p.take(b, inTx)
	})
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err != nil {
		return err
	} else if st.Size() > valid {
		if err := os.Truncate(p.path(base, ".dat"), valid); err != nil {
			return err
		}
	}
	if string(whole) == string(index) {
		return nil
	}
	return replaceFile(p.path(base, ".idx"), whole)
}

// take follows the state of producers over the log.
func (p *partition) take(b batch, inTx bool) {
	p.end, p.last = b.first+int64(b.lastDelta)+1, b
	if b.pid < 0 {
		return
	}
	if b.control() {
		delete(p.open, b.pid)
		return
	}
	if _, ok := p.open[b.pid]; inTx && !ok {
		p.open[b.pid] = b
	}
	w := p.windows[b.pid]
	if w == nil {
		w = &window{}
		p.windows[b.pid] = w
	}
	w.push(b)
}

// readBatches calls do for every whole batch and returns where the first that is not whole begins.
func readBatches(r *bufio.Reader, do func(batch)) (valid int64, err error) {
	var buf []byte
	for {
		head, err := r.Peek(batchPrefixBytes)
		if err != nil {
			return valid, eof(err)
		}
		length := int64(int32(binary.BigEndian.Uint32(head[8:])))
		if length < batchHeaderBytes-batchPrefixBytes || length > batchBytesMax {
			return valid, nil
		}
		n := int(batchPrefixBytes + length)
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(r, buf); err != nil {
			return valid, eof(err)
		}
		if crc32.Checksum(buf[batchCRCFrom:],
			castagnoli) != binary.BigEndian.Uint32(buf[batchCRCAt:]) {
			return valid, nil
		}
		do(parseBatch(buf))
		valid += int64(n)
	}
}

// eof takes the end of a file, also in the middle of a batch, for what it is: the end.
func eof(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func appendIndexEntry(dst []byte, epoch int32, maxTime int64, inTx bool) []byte {
	var e [indexEntryBytes]byte
	e[0] = frameVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(epoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(maxTime))
	if inTx {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return append(dst, e[:]...)
}

func indexEntryValid(e []byte) bool { return byte(crc32.Checksum(e[2:], castagnoli)) == e[1] }

// mark ends a producer's transaction in this partition: one control batch, as a coordinator writes.
func (p *partition) mark(pid int64, epoch int16, commit bool, now int64) error {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	rec := kmsg.Record{Key: key.AppendTo(nil), Value: (&kmsg.EndTxnMarker{}).AppendTo(nil)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // the length itself takes one byte
	b := kmsg.RecordBatch{
		FirstOffset: p.end, PartitionLeaderEpoch: p.last.leaderEpoch, Magic: 2,
		Attributes:     attrTransaction | attrControl,
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: pid, ProducerEpoch: epoch,
		FirstSequence: -1,
		NumRecords:    1, Records: rec.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - batchPrefixBytes)
	b.CRC = int32(crc32.Checksum(raw[batchCRCFrom:], castagnoli))
	raw = b.AppendTo(nil)
	p.lastTime = max(p.lastTime, now)
	base := p.segments[len(p.segments)-1]
	if err := appendBytes(p.path(base, ".dat"), raw); err != nil {
		return err
	}
	if err := appendBytes(p.path(base, ".idx"), appendIndexEntry(nil, p.last.leaderEpoch,
		p.lastTime, false)); err != nil {
		return err
	}
	p.take(parseBatch(raw), false)
	return nil
}

func appendBytes(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
