// Package jsonl reads files of JSON lines, plain, gzip or zstd, and brings exports of other systems
// into the order and form in which usher takes events.
package jsonl

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

const (
	// DefaultLineBytes is the longest line that is read whole. An event is at most 1 MiB, but the
	// line it comes from may carry fields that are dropped.
	DefaultLineBytes = 16 << 20

	readBuffer = 256 << 10
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// Line is one line of a file that is not blank. Bytes are valid until the next call of Next.
type Line struct {
	Number int    // from 1
	Offset int64  // of its first byte in the uncompressed file
	Bytes  []byte // without the line end
	Long   bool   // longer than the reader's limit: Bytes hold its beginning
}

// Reader cuts a stream into lines. Blank lines are counted and left out.
type Reader struct {
	src     *bufio.Reader
	limit   int
	line    []byte
	number  int
	offset  int64
	blank   int
	started bool
}

// NewReader reads lines of up to lineBytes (0 means DefaultLineBytes) from src.
func NewReader(src io.Reader, lineBytes int) *Reader {
	if lineBytes <= 0 {
		lineBytes = DefaultLineBytes
	}
	return &Reader{src: bufio.NewReaderSize(src, readBuffer), limit: lineBytes}
}

// Blank returns how many blank lines were left out so far.
func (r *Reader) Blank() int { return r.blank }

// Offset returns the position behind the last line read, in the uncompressed file.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next line that is not blank, io.EOF after the last one.
func (r *Reader) Next() (Line, error) {
	for {
		line, err := r.read()
		if err != nil {
			return Line{}, err
		}
		if line.Long || len(bytes.TrimSpace(line.Bytes)) > 0 {
			return line, nil
		}
		r.blank++
	}
}

// read returns the next line, blank or not. What exceeds the limit is read and dropped.
func (r *Reader) read() (Line, error) {
	line := Line{Offset: r.offset}
	r.line = r.line[:0]
	for {
		chunk, err := r.src.ReadSlice('\n')
		r.offset += int64(len(chunk))
		room := min(len(chunk), r.limit+1-len(r.line))
		r.line = append(r.line, chunk[:max(room, 0)]...)
		if err == nil || (errors.Is(err, io.EOF) && r.offset > line.Offset) {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return Line{}, err
		}
	}
	r.number++
	line.Number, line.Bytes = r.number, bytes.TrimSuffix(r.line, []byte("\n"))
	line.Bytes = bytes.TrimSuffix(line.Bytes, []byte("\r"))
	if !r.started {
		r.started = true
		line.Bytes = bytes.TrimPrefix(line.Bytes, byteOrderMark)
	}
	if len(line.Bytes) > r.limit {
		line.Bytes, line.Long = line.Bytes[:r.limit], true
	}
	return line, nil
}

// Open opens a file of JSON lines and undoes gzip or zstd, which it knows by the first bytes, not by
// the name. "-" is standard input.
func Open(path string) (io.ReadCloser, error) { return open(path, nil) }

// open counts the bytes of the file as it is stored through onBytes (may be nil).
func open(path string, onBytes func(n int)) (io.ReadCloser, error) {
	file := os.Stdin
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return nil, fmt.Errorf("cannot open the input: %w", err)
		}
	}
	src := bufio.NewReaderSize(&counted{src: file, onBytes: onBytes}, readBuffer)
	magic, err := src.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = file.Close()
		return nil, fmt.Errorf("cannot read the input: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unpacked, err := gzip.NewReader(src)
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("cannot read %s as gzip: %w", path, err)
		}
		return &stream{Reader: unpacked, close: file.Close}, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		unpacked, err := zstd.NewReader(src)
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("cannot read %s as zstd: %w", path, err)
		}
		return &stream{Reader: unpacked, close: func() error {
			unpacked.Close()
			return file.Close()
		}}, nil
	}
	return &stream{Reader: src, close: file.Close}, nil
}

type stream struct {
	io.Reader
	close func() error
}

func (s *stream) Close() error { return s.close() }

type counted struct {
	src     io.Reader
	onBytes func(n int)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	if c.onBytes != nil && n > 0 {
		c.onBytes(n)
	}
	return n, err
}
