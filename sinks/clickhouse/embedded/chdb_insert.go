//go:build (linux || darwin) && !noembed

package embedded

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"
)

// insertion is an INSERT under way: append its data, then end it by done or cancel, then free it.
type insertion interface {
	append(p []byte) error
	done() (progress, error)
	cancel()
	free()
}

// insertStream is an INSERT whose data is appended piece by piece, in the format given.
type insertStream struct {
	l      *library
	handle uintptr
}

func (l *library) insert(conn uintptr, sql, format string, params []param) (insertion, error) {
	if l.fn.insert == nil {
		return newFileInsert(l, conn, sql, format, params)
	}
	s := &insertStream{l: l, handle: call(l.fn.insert, conn, sql, format, params)}
	if s.handle == 0 {
		return nil, errors.New("cannot begin the insert: the engine gave no answer")
	}
	if err := s.err(); err != nil {
		s.free()
		return nil, err
	}
	return s, nil
}

func (s *insertStream) err() error { return engineError(cString(s.l.fn.insertError(s.handle))) }

// append hands over a piece of the data; the library copies it.
func (s *insertStream) append(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if s.l.fn.insertAppend(s.handle, unsafe.Pointer(&p[0]), uintptr(len(p))) == 0 {
		return nil
	}
	runtime.KeepAlive(p)
	if err := s.err(); err != nil {
		return err
	}
	return errors.New("cannot append to the insert: the engine refused the data")
}

// done ends the data and commits it.
func (s *insertStream) done() (progress, error) {
	r := result{s.l, s.l.fn.insertDone(s.handle)}
	if r.r == 0 {
		return progress{}, errors.New("cannot end the insert: the engine gave no answer")
	}
	defer r.free()
	if err := r.err(); err != nil {
		return progress{}, err
	}
	return r.progress(), nil
}

// cancel drops what was appended.
func (s *insertStream) cancel() { s.l.fn.insertCancel(s.handle) }
func (s *insertStream) free()   { s.l.fn.insertDestroy(s.handle) }

// fileInsert is an INSERT on a library before 26.7, which has no insert streams and reads inline data
// as text: the data goes through a file. It serves the tests on older engines.
type fileInsert struct {
	l    *library
	conn uintptr
	sql  string
	of   []param
	file *os.File
}

func newFileInsert(l *library, conn uintptr, sql, format string, params []param) (insertion, error) {
	f, err := os.CreateTemp("", "usher-insert-")
	if err != nil {
		return nil, fmt.Errorf("cannot keep the data of an insert: %w", err)
	}
	name := strings.ReplaceAll(f.Name(), "'", "\\'")
	return &fileInsert{l, conn, fmt.Sprintf("%s FROM INFILE '%s' FORMAT %s", sql, name, format), params, f}, nil
}

func (s *fileInsert) append(p []byte) error {
	_, err := s.file.Write(p)
	return err
}

func (s *fileInsert) done() (progress, error) {
	r, err := s.l.query(s.conn, s.sql, "Native", s.of)
	if err != nil {
		return progress{}, err
	}
	defer r.free()
	return r.progress(), nil
}

func (s *fileInsert) cancel() {}

func (s *fileInsert) free() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}
