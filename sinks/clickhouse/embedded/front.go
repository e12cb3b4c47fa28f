//go:build (linux || darwin) && !noembed

package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
)

const (
	displayName  = "usher embedded"
	helloQuery   = "SELECT displayName(), version(), revision(), timezone()"
	pieceBytes   = 1 << 20 // of an insert handed to the engine at once
	pingAnswer   = "Ok.\n"
	notStreaming = "Streaming query is not supported"
)

// front speaks ClickHouse's HTTP interface to one engine.
type front struct {
	l        *library
	pool     *pool
	timezone string
	log      *slog.Logger
	life     http.Handler
}

func newFront(l *library, connectionsMax int, life http.Handler, log *slog.Logger) (*front, error) {
	p, err := newPool(l, connectionsMax)
	if err != nil {
		return nil, err
	}
	f := &front{l: l, pool: p, life: life, log: log}
	r, err := l.query(l.held, "SELECT timezone()", "TabSeparatedRaw", nil)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the engine for its time zone: %w", err)
	}
	f.timezone = strings.TrimSpace(string(r.bytes()))
	r.free()
	return f, nil
}

// ServeHTTP answers one request.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !local(r) {
		writeError(w, asError(refuse(codeAccessDenied, "ACCESS_DENIED",
			"the embedded engine answers this machine's own programs only")))
		return
	}
	switch r.URL.Path {
	case leasePath:
		f.life.ServeHTTP(w, r)
		return
	case "/ping", "/replicas_status":
		_, _ = io.WriteString(w, pingAnswer)
		return
	}
	if r.Method == http.MethodGet && r.URL.Query().Get("query") == "" {
		_, _ = io.WriteString(w, pingAnswer)
		return
	}
	h := w.Header()
	h.Set("X-ClickHouse-Server-Display-Name", displayName)
	h.Set("X-ClickHouse-Timezone", f.timezone)
	req, err := parseRequest(r)
	if err != nil {
		writeError(w, asError(err))
		return
	}
	if req.id == "" {
		req.id = newTag() + newTag()
	}
	h.Set("X-ClickHouse-Query-Id", req.id)
	a := newAnswer(w, r, req)
	if err := f.run(r.Context(), req, a); err != nil {
		e := asError(err)
		f.log.Debug("statement failed", "code", e.Code, "name", e.Name, "query_id", req.id)
		a.fail(e)
	}
}

// run finds out what kind of statement came and has it done.
func (f *front) run(ctx context.Context, req *request, a *answer) error {
	data, whole, err := spool(req.body, spoolBytesMax)
	if err != nil {
		return err
	}
	if req.text == "" {
		// An INSERT that carries its data in the body begins there; look at the beginning only.
		if head, ok := parseInsert(string(data.Bytes()[:min(data.Len(), pieceBytes)])); ok {
			data.Next(head.data)
			return f.insert(ctx, req, a, head, source{data, whole})
		}
	} else if head, ok := parseInsert(req.text); ok {
		inline := strings.TrimLeft(req.text[min(head.data, len(req.text)):], " \t\r\n")
		if inline != "" {
			data = bytes.NewBuffer(append([]byte(inline), data.Bytes()...))
		}
		return f.insert(ctx, req, a, head, source{data, whole})
	}
	if !whole {
		return refuse(codeTooLarge, "QUERY_IS_TOO_LARGE", "a statement has at most %d bytes",
			queryBytesMax)
	}
	if data.Len() > 0 && req.text != "" {
		req.text += "\n"
	}
	req.text += data.String()
	if req.isHello() {
		return f.hello(req, a)
	}
	return f.query(ctx, req, a)
}

// isHello recognises the question with which clickhouse-go opens a connection.
func (req *request) isHello() bool {
	text := strings.TrimRight(strings.TrimSpace(req.text), "; \n")
	return req.fromClient && strings.EqualFold(strings.Join(strings.Fields(text), " "), helloQuery)
}

// hello answers revision 0: the library writes Native at revision 0 only, and the client reads what
// follows at the revision it is told here. This one answer it reads at its own.
func (f *front) hello(req *request, a *answer) error {
	var name, version, zone proto.ColStr
	var revision proto.ColUInt32
	name.Append(displayName)
	version.Append(EngineVersion)
	revision.Append(0)
	zone.Append(f.timezone)
	var b proto.Buffer
	block := proto.Block{Columns: 4, Rows: 1}
	if err := block.EncodeBlock(&b, req.revision, []proto.InputColumn{
		{Name: "displayName()", Data: &name}, {Name: "version()", Data: &version},
		{Name: "revision()", Data: &revision}, {Name: "timezone()", Data: &zone},
	}); err != nil {
		return fmt.Errorf("cannot encode the hello: %w", err)
	}
	if err := a.write("Native", progress{readRows: 1}, b.Buf); err != nil {
		return nil // the client has left
	}
	a.finish("Native", progress{readRows: 1})
	return nil
}

// query runs a statement that is no INSERT with data.
func (f *front) query(ctx context.Context, req *request, a *answer) error {
	format := req.format
	if own := formatOf(req.text); own != "" {
		format = own
	}
	c, err := f.pool.take(ctx, req.set)
	if err != nil {
		return err
	}
	defer f.pool.put(c)
	kind := f.l.classify(c.handle, req.text)
	if kind.count > 1 {
		return refuse(codeSyntax, "SYNTAX_ERROR", "Multi-statements are not allowed")
	}
	release := f.pool.guard(ctx, c)
	defer release()
	if kind.count == 1 && kind.class == classReadOnly && piecewise(format) && !req.wait {
		done, err := f.stream(ctx, c, req, a, format)
		if done || err != nil {
			return err
		}
	}
	r, err := f.l.query(c.handle, req.text, req.format, req.params)
	if err != nil {
		c.broken = true
		return err
	}
	defer r.free()
	if kind.class >= classControl {
		c.broken = true // what SET and USE change must not stay for the next request
	}
	if err := a.write(format, r.progress(), r.bytes()); err != nil {
		return nil // the client has left
	}
	a.finish(format, r.progress())
	return nil
}

// stream sends a SELECT's answer piece by piece, so that a large one is never in memory whole. It
// reports false when the engine streams no such statement; then nothing ran.
func (f *front) stream(ctx context.Context, c *conn, req *request, a *answer, format string) (bool,
	error) {
	s, err := f.l.stream(c.handle, req.text, req.format, req.params)
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Code == codeBadArguments && strings.Contains(e.Text,
			notStreaming) {
			return false, nil
		}
		c.broken = true
		return false, err
	}
	defer s.free()
	var seen progress
	for {
		r, err := s.next()
		if err != nil {
			c.broken = true
			return true, err
		}
		b := r.bytes()
		if len(b) == 0 {
			r.free()
			a.finish(format, seen)
			return true, nil
		}
		seen = r.progress()
		err = a.write(format, seen, b)
		r.free()
		if err != nil || ctx.Err() != nil {
			c.broken = true
			s.cancel()
			return true, nil // the client has left
		}
	}
}

// source is the data of an INSERT: its beginning and, unless whole, the rest of the body.
type source struct {
	data  *bytes.Buffer
	whole bool
}

// insert feeds an INSERT. Data that is whole in memory cannot break off; of a larger one, what was
// appended is dropped when its source fails.
func (f *front) insert(ctx context.Context, req *request, a *answer, head insertHead,
	src source) error {
	c, err := f.pool.take(ctx, req.set)
	if err != nil {
		return err
	}
	defer f.pool.put(c)
	release := f.pool.guard(ctx, c)
	defer release()
	s, err := f.l.insert(c.handle, head.sql, head.format, req.params)
	if err != nil {
		c.broken = true
		return err
	}
	defer s.free()
	p, err := f.feed(s, req, src)
	if err != nil {
		c.broken = true
		s.cancel()
		return err
	}
	a.finish(req.format, p)
	return nil
}

func (f *front) feed(s insertion, req *request, src source) (progress, error) {
	for src.data.Len() > 0 {
		if err := s.append(src.data.Next(pieceBytes)); err != nil {
			return progress{}, err
		}
	}
	for !src.whole {
		piece, whole, err := spool(req.body, pieceBytes)
		if err != nil {
			return progress{}, err
		}
		if err := s.append(piece.Bytes()); err != nil {
			return progress{}, err
		}
		src.whole = whole
	}
	return s.done()
}
