package jsonl

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// spool keeps the events of an import until their order is known: in memory up to a bound, beyond
// it in a temporary file, so that only the index grows with the input.
type spool struct {
	memory []byte
	limit  int
	dir    string // "" is the system's
	file   *os.File
	writer *bufio.Writer
	size   int64
}

// add keeps one event and returns its position.
func (s *spool) add(event []byte) (int64, error) {
	at := s.size
	s.size += int64(len(event))
	if s.file == nil && len(s.memory)+len(event) <= s.limit {
		s.memory = append(s.memory, event...)
		return at, nil
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "usher-import-*")
		if err != nil {
			return 0, fmt.Errorf("cannot make a temporary file for sorting: %w", err)
		}
		s.file, s.writer = file, bufio.NewWriterSize(file, readBuffer)
	}
	if _, err := s.writer.Write(event); err != nil {
		return 0, fmt.Errorf("cannot write the temporary file for sorting: %w", err)
	}
	return at, nil
}

// seal makes everything readable; nothing may be added after it.
func (s *spool) seal() error {
	if s.writer == nil {
		return nil
	}
	if err := s.writer.Flush(); err != nil {
		return fmt.Errorf("cannot write the temporary file for sorting: %w", err)
	}
	return nil
}

// read returns the event of n bytes at a position, in buf when it comes from the file.
func (s *spool) read(buf []byte, at int64, n int) ([]byte, error) {
	if at < int64(len(s.memory)) {
		return s.memory[at : at+int64(n)], nil
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := s.file.ReadAt(buf, at-int64(len(s.memory))); err != nil && err != io.EOF {
		return nil, fmt.Errorf("cannot read the temporary file for sorting: %w", err)
	}
	return buf, nil
}

// close removes the temporary file.
func (s *spool) close() {
	if s.file == nil {
		return
	}
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}
