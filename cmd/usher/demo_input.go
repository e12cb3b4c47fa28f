package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"usher/bench/gen"
	"usher/pipeline/source/kafka"
)

// input is what a demo plays.
type input struct {
	id    string // a file's sha256, or what the generator was told
	total int64  // records, −1 when unknown
	next  func(*kafka.Record) bool
	close func()
	err   error // why next ended early
}

func (s *station) openInput() (*input, error) {
	if s.o.Input != "" {
		return openFileInput(s.o.Input)
	}
	return s.openGenerated()
}

// openGenerated makes traffic that ends at the midnight (UTC) before the directory was first used:
// the days are recent, and a restart goes on with the same bytes.
func (s *station) openGenerated() (*input, error) {
	end, err := s.generatedEnd()
	if err != nil {
		return nil, err
	}
	g, err := gen.New(gen.Config{Seed: s.o.Seed, Conversations: s.o.Conversations, EndMS: end})
	if err != nil {
		return nil, usagef("%w", err)
	}
	var rec gen.Record
	in := &input{
		id:    fmt.Sprintf("gen-1-%d-%d-%d", s.o.Seed, s.o.Conversations, end),
		total: -1, close: func() {},
	}
	in.next = func(out *kafka.Record) bool {
		if !g.Next(&rec) {
			return false
		}
		out.Key, out.Value = rec.Key, rec.Value
		return true
	}
	return in, nil
}

func (s *station) generatedEnd() (int64, error) {
	path := filepath.Join(s.dir, "generated-until")
	b, err := os.ReadFile(path)
	if err == nil {
		t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(b)))
		if err != nil {
			return 0, fmt.Errorf("cannot read %s: %w; remove the file, or use another --data", path, err)
		}
		return t.UnixMilli(), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("cannot read %s: %w", path, err)
	}
	end := time.Now().UTC().Truncate(24 * time.Hour)
	if err := os.WriteFile(path, []byte(end.Format(time.RFC3339)+"\n"), 0o644); err != nil {
		return 0, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return end.UnixMilli(), nil
}

// lineBytesMax is the longest line that is played whole; usher itself refuses records beyond 1 MiB
// and keeps the first half of them.
const lineBytesMax = 16 << 20

// openFileInput reads lines as they are: what is wrong with them is the pipeline's to say.
func openFileInput(path string) (*input, error) {
	id, err := fileID(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("cannot open --input: %w", err)
	}
	r, err := decompressed(path, f)
	if err != nil {
		_ = f.Close()
		return nil, usagef("cannot read %s: %w", path, err)
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), lineBytesMax)
	var keyer kafka.Keyer
	in := &input{id: id, total: -1, close: func() { _ = f.Close() }}
	number := 0
	in.next = func(out *kafka.Record) bool {
		for lines.Scan() {
			number++
			line := lines.Bytes()
			if len(strings.TrimSpace(string(line))) == 0 {
				continue
			}
			out.Key, out.Value = keyer.Key(line), line
			return true
		}
		if err := lines.Err(); err != nil {
			in.err = fmt.Errorf("cannot read %s after line %d: %w", path, number, err)
		}
		return false
	}
	return in, nil
}

func fileID(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", usagef("cannot open --input: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	return "file-" + hex.EncodeToString(h.Sum(nil)) + "-" + strconv.FormatInt(n, 10), nil
}

func decompressed(path string, r io.Reader) (io.Reader, error) {
	switch filepath.Ext(path) {
	case ".gz":
		return gzip.NewReader(r)
	case ".zst":
		return zstd.NewReader(r)
	}
	return r, nil
}
