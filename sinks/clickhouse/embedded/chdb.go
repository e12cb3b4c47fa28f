//go:build (linux || darwin) && !noembed

package embedded

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// sigactionBytes is larger than struct sigaction of any platform the library exists for
// (152 bytes with glibc, 16 on macOS), so that the structure need not be described here.
const sigactionBytes = 256

// libraryFuncs are the entry points of libchdb, bound without cgo. Handles are plain addresses:
// the library owns what they point to, the garbage collector must not look at them.
type libraryFuncs struct {
	setSignalHandlers func(enabled int32)
	connect           func(argc int32, argv unsafe.Pointer) uintptr
	closeConn         func(conn uintptr)
	query             func(conn uintptr, q unsafe.Pointer, n uintptr, f unsafe.Pointer, fn uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	streamQuery func(conn uintptr, q unsafe.Pointer, n uintptr, f unsafe.Pointer, fn uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	streamFetch  func(conn, result uintptr) uintptr
	streamCancel func(conn, result uintptr)
	insert       func(conn uintptr, q unsafe.Pointer, n uintptr, f unsafe.Pointer, fn uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	insertAppend  func(stream uintptr, data unsafe.Pointer, n uintptr) int32
	insertDone    func(stream uintptr) uintptr
	insertCancel  func(stream uintptr)
	insertError   func(stream uintptr) uintptr
	insertDestroy func(stream uintptr)
	buffer        func(result uintptr) uintptr
	length        func(result uintptr) uintptr
	rowsRead      func(result uintptr) uint64
	bytesRead     func(result uintptr) uint64
	rowsWritten   func(result uintptr) uint64
	bytesWritten  func(result uintptr) uint64
	resultError   func(result uintptr) uintptr
	destroy       func(result uintptr)
	classify      func(conn uintptr, q unsafe.Pointer, n uintptr, db unsafe.Pointer, dn uintptr,
		out unsafe.Pointer) int32
	sigaction func(sig int32, act, old unsafe.Pointer) int32
}

// library is a loaded libchdb with the one connection held for the life of the process: closing
// the last one and connecting again leaves the engine half broken.
type library struct {
	fn   libraryFuncs
	path string // data directory, one per process
	held uintptr
}

// openLibrary loads the library at file and opens the engine on the data directory dir.
func openLibrary(file, dir string) (*library, error) {
	handle, err := purego.Dlopen(file, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("cannot load the engine library %s: %w; run `make libchdb`", file,
			err)
	}
	l := &library{path: dir}
	if err := l.bind(handle); err != nil {
		return nil,
			fmt.Errorf("cannot bind the engine library %s: %w; it is not version %s, run `make libchdb`",
				file, err, LibraryVersion)
	}
	// Go turns a fault into a panic through its own handlers; the library's would hang on it.
	l.keepSignals(func() { l.fn.setSignalHandlers(0) })
	l.held, err = l.open()
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *library) bind(handle uintptr) (err error) {
	f := &l.fn
	for _, b := range []struct {
		fn   any
		name string
	}{
		{&f.setSignalHandlers, "chdb_set_signal_handlers_enabled"},
		{&f.connect, "chdb_connect"}, {&f.closeConn, "chdb_close_conn"},
		{&f.query, "chdb_query_with_params_n"}, {&f.streamQuery, "chdb_stream_query_with_params_n"},
		{&f.streamFetch, "chdb_stream_fetch_result"}, {&f.streamCancel, "chdb_stream_cancel_query"},
		{&f.buffer, "chdb_result_buffer"}, {&f.length, "chdb_result_length"},
		{&f.rowsRead, "chdb_result_rows_read"}, {&f.bytesRead, "chdb_result_bytes_read"},
		{&f.rowsWritten, "chdb_result_rows_written"}, {&f.bytesWritten,
			"chdb_result_bytes_written"},
		{&f.resultError, "chdb_result_error"}, {&f.destroy, "chdb_destroy_query_result"},
		{&f.sigaction, "sigaction"},
	} {
		symbol, err := purego.Dlsym(handle, b.name)
		if err != nil {
			return err
		}
		purego.RegisterFunc(b.fn, symbol)
	}
	// Older libraries have no insert streams and do not tell the class of a statement.
	for _, b := range []struct {
		fn   any
		name string
	}{
		{&f.insert, "chdb_stream_insert_with_params_n"}, {&f.insertAppend, "chdb_stream_append"},
		{&f.insertDone, "chdb_stream_done"}, {&f.insertCancel, "chdb_stream_cancel_insert"},
		{&f.insertError, "chdb_stream_insert_error"},
		{&f.insertDestroy, "chdb_destroy_insert_stream"}, {&f.classify, "chdb_classify_query_n"},
	} {
		if symbol, err := purego.Dlsym(handle, b.name); err == nil {
			purego.RegisterFunc(b.fn, symbol)
		}
	}
	return nil
}

// keepSignals runs call and puts every signal handler back that it changed: the library's opt-out
// of signal handling resets those of the host too, and each connect repeats it.
func (l *library) keepSignals(call func()) {
	signals := []syscall.Signal{syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGILL, syscall.SIGBUS,
		syscall.SIGSYS, syscall.SIGFPE, syscall.SIGTSTP, syscall.SIGTRAP, syscall.SIGPIPE,
		syscall.SIGURG, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
	saved := make([][sigactionBytes]byte, len(signals))
	for i, s := range signals {
		l.fn.sigaction(int32(s), nil, unsafe.Pointer(&saved[i][0]))
	}
	call()
	for i, s := range signals {
		l.fn.sigaction(int32(s), unsafe.Pointer(&saved[i][0]), nil)
	}
}

// open opens one more connection to the engine. Connections run one statement at a time each.
func (l *library) open() (conn uintptr, err error) {
	args := []string{"clickhouse", "--path=" + l.path}
	argv := make([]*byte, 0, len(args)+1)
	for _, a := range args {
		argv = append(argv, unsafe.SliceData(append([]byte(a), 0)))
	}
	argv = append(argv, nil)
	var pinner runtime.Pinner
	for _, a := range argv[:len(args)] {
		pinner.Pin(a)
	}
	defer pinner.Unpin()
	var box uintptr
	l.keepSignals(func() { box = l.fn.connect(int32(len(args)), unsafe.Pointer(&argv[0])) })
	runtime.KeepAlive(argv)
	if box == 0 {
		return 0, fmt.Errorf("cannot open the engine's data in %s: is the directory writable, "+
			"is there room, does another process use it?", l.path)
	}
	return box, nil
}

// close closes a connection that open returned.
func (l *library) close(box uintptr) { l.fn.closeConn(box) }

// handle is what the statement functions want: chdb_connect returns a pointer to it.
func handle(box uintptr) uintptr { return *(*uintptr)(addr(box)) }

// addr turns an address of the library's memory into a pointer. The indirection keeps vet from
// taking it for arithmetic on Go memory, which it is not.
func addr(a uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

func cString(a uintptr) string {
	if a == 0 {
		return ""
	}
	n := 0
	for *(*byte)(addr(a + uintptr(n))) != 0 {
		n++
	}
	return strings.Clone(unsafe.String((*byte)(addr(a)), n))
}

// cParams holds query parameters as the four arrays that the library reads.
type cParams struct {
	names, values       []unsafe.Pointer
	nameLens, valueLens []uintptr
	pinner              runtime.Pinner
}

func newCParams(params []param) *cParams {
	c := &cParams{}
	add := func(s string) (unsafe.Pointer, uintptr) {
		b := append([]byte(s), 0)
		c.pinner.Pin(&b[0])
		return unsafe.Pointer(&b[0]), uintptr(len(s))
	}
	for _, p := range params {
		n, nl := add(p.name)
		v, vl := add(p.value)
		c.names, c.nameLens = append(c.names, n), append(c.nameLens, nl)
		c.values, c.valueLens = append(c.values, v), append(c.valueLens, vl)
	}
	return c
}

type statementFunc func(conn uintptr, q unsafe.Pointer, n uintptr, f unsafe.Pointer, fn uintptr,
	names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr

// call hands a statement, its format and its parameters to one of the library's three doors.
func call(fn statementFunc, conn uintptr, sql, format string, params []param) uintptr {
	q, f := append([]byte(sql), 0), append([]byte(format), 0)
	p := newCParams(params)
	defer p.pinner.Unpin()
	r := fn(handle(conn), unsafe.Pointer(&q[0]), uintptr(len(sql)),
		unsafe.Pointer(&f[0]), uintptr(len(format)),
		unsafe.Pointer(unsafe.SliceData(p.names)), unsafe.Pointer(unsafe.SliceData(p.nameLens)),
		unsafe.Pointer(unsafe.SliceData(p.values)), unsafe.Pointer(unsafe.SliceData(p.valueLens)),
		uintptr(len(params)))
	runtime.KeepAlive(q)
	runtime.KeepAlive(f)
	runtime.KeepAlive(p)
	return r
}

// result is an answer of the engine, or one piece of it. Free it with free.
type result struct {
	l *library
	r uintptr
}

func (r result) err() error { return engineError(cString(r.l.fn.resultError(r.r))) }

// bytes returns the answer's bytes. They lie in the library's memory and live until free.
func (r result) bytes() []byte {
	n := r.l.fn.length(r.r)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(addr(r.l.fn.buffer(r.r))), n)
}

func (r result) progress() progress {
	f := &r.l.fn
	return progress{readRows: f.rowsRead(r.r), readBytes: f.bytesRead(r.r),
		writtenRows: f.rowsWritten(r.r), writtenBytes: f.bytesWritten(r.r)}
}

func (r result) free() { r.l.fn.destroy(r.r) }

// query runs one statement and returns its whole answer.
func (l *library) query(conn uintptr, sql, format string, params []param) (result, error) {
	r := result{l, call(l.fn.query, conn, sql, format, params)}
	if r.r == 0 {
		return r, errors.New("cannot run the statement: the engine gave no answer")
	}
	if err := r.err(); err != nil {
		r.free()
		return result{}, err
	}
	return r, nil
}

// statementClass is the engine's own view of a statement, as its parser sees it.
type statementClass struct {
	size, count, flags, class uint32 // the layout of chdb_query_analysis_v1
}

const (
	classReadOnly = 0
	classControl  = 3 // SET, USE and the like: what it changes stays with the connection
)

// classify parses a statement without running it. Text that does not parse has count 0.
func (l *library) classify(conn uintptr, sql string) statementClass {
	out := statementClass{}
	if l.fn.classify == nil {
		// Taken for the most that it can be: its answer is not streamed, its connection not used again.
		return statementClass{class: classControl}
	}
	out.size = uint32(unsafe.Sizeof(out))
	q := append([]byte(sql), 0)
	if l.fn.classify(handle(conn), unsafe.Pointer(&q[0]), uintptr(len(sql)), nil, 0,
		unsafe.Pointer(&out)) != 0 {
		return statementClass{}
	}
	runtime.KeepAlive(q)
	return out
}

// rowStream is a SELECT whose answer is fetched piece by piece.
type rowStream struct {
	l      *library
	conn   uintptr
	handle uintptr
}

func (l *library) stream(conn uintptr, sql, format string, params []param) (*rowStream, error) {
	r := result{l, call(l.fn.streamQuery, conn, sql, format, params)}
	if r.r == 0 {
		return nil, errors.New("cannot run the query: the engine gave no answer")
	}
	if err := r.err(); err != nil {
		r.free()
		return nil, err
	}
	return &rowStream{l: l, conn: conn, handle: r.r}, nil
}

// next returns the next piece; one without bytes is the end.
func (s *rowStream) next() (result, error) {
	r := result{s.l, s.l.fn.streamFetch(handle(s.conn), s.handle)}
	if r.r == 0 {
		return r, errors.New("cannot fetch rows: the engine gave no answer")
	}
	if err := r.err(); err != nil {
		r.free()
		return result{}, err
	}
	return r, nil
}

func (s *rowStream) cancel() { s.l.fn.streamCancel(handle(s.conn), s.handle) }
func (s *rowStream) free()   { s.l.fn.destroy(s.handle) }
