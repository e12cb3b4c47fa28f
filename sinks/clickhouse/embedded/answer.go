package embedded

import (
	"compress/gzip"
	"compress/zlib"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	blockBytes        = 1 << 20 // of an answer in one compressed block
	exceptionMarker   = "__exception__"
	keepBytes         = 1 << 20 // of an answer before its first byte is sent
	exceptionTagBytes = 8       // 16 characters
)

// answer writes what the engine returns. Headers go out with the first byte, so that an error
// before it still gets a status of its own.
type answer struct {
	w       http.ResponseWriter
	req     *request
	gzip    string // encoding the client accepts and asked for
	out     io.Writer
	flush   []io.Closer
	kept    []byte // the beginning of the answer
	started bool
	tag     string
}

func newAnswer(w http.ResponseWriter, r *http.Request, req *request) *answer {
	a := &answer{w: w, req: req}
	if on(req.set["enable_http_compression"]) {
		a.gzip = acceptedEncoding(r.Header.Get("Accept-Encoding"))
	}
	return a
}

func acceptedEncoding(accept string) string {
	for _, e := range []string{"br", "zstd", "gzip", "deflate"} {
		for _, offered := range strings.Split(accept, ",") {
			name, _, _ := strings.Cut(offered, ";")
			if strings.EqualFold(strings.TrimSpace(name), e) {
				return e
			}
		}
	}
	return ""
}

// start sends the headers of a good answer.
func (a *answer) start(format string, p progress) {
	a.started = true
	h := a.w.Header()
	h.Set("Content-Type", contentType(format))
	h.Set("X-ClickHouse-Format", format)
	h.Set("X-ClickHouse-Summary", summary(p))
	a.tag = newTag()
	h.Set("X-ClickHouse-Exception-Tag", a.tag)
	a.out = a.w
	var c io.WriteCloser
	switch a.gzip {
	case "gzip":
		c = gzip.NewWriter(a.out)
	case "deflate":
		c = zlib.NewWriter(a.out)
	case "br":
		c = brotli.NewWriterLevel(a.out, brotli.DefaultCompression)
	case "zstd":
		c, _ = zstd.NewWriter(a.out, zstd.WithEncoderConcurrency(1)) // no option here can fail
	}
	if c != nil {
		h.Set("Content-Encoding", a.gzip)
		a.out, a.flush = c, append(a.flush, c)
	}
	if a.req.framed {
		a.out = &blockWriter{to: a.out, c: compress.NewWriter(compress.LevelZero, a.req.compress)}
	}
}

// blockWriter packs what it gets into ClickHouse's compressed blocks.
type blockWriter struct {
	to io.Writer
	c  *compress.Writer
}

func (b *blockWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(len(p), n+blockBytes)]
		if err := b.c.Compress(piece); err != nil {
			return n, fmt.Errorf("cannot compress the answer: %w", err)
		}
		if _, err := b.to.Write(b.c.Data); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// write sends p, or keeps it while little has come: an error soon after the first rows is then
// still told by the status, as a server does with its buffer.
func (a *answer) write(format string, p progress, b []byte) error {
	if !a.started {
		if len(a.kept)+len(b) <= keepBytes {
			a.kept = append(a.kept, b...)
			return nil
		}
		a.start(format, p)
		if err := a.send(a.kept); err != nil {
			return err
		}
		a.kept = nil
	}
	return a.send(b)
}

func (a *answer) send(p []byte) error {
	_, err := a.out.Write(p)
	return err
}

// finish ends a good answer, which may be empty.
func (a *answer) finish(format string, p progress) {
	if !a.started {
		a.start(format, p)
		if len(a.kept) > 0 {
			_ = a.send(a.kept) // an error here is a client that has left
		} else if len(a.flush) == 0 {
			a.w.Header().Set("Content-Length", "0")
		}
	}
	for _, c := range a.flush {
		_ = c.Close()
	}
}

// fail ends the answer with an error: by status and headers while that is possible, else by the
// exception block that clients of ClickHouse look for in the body.
func (a *answer) fail(err error) {
	e := asError(err)
	if !a.started {
		writeError(a.w, e)
		return
	}
	text := e.Text
	_ = a.send(fmt.Appendf(nil, "\r\n%s\r\n%s\r\n%s\n%d %s\r\n%s\r\n",
		exceptionMarker, a.tag, text, len(text)+1, a.tag, exceptionMarker))
	for _, c := range a.flush {
		_ = c.Close()
	}
}

func writeError(w http.ResponseWriter, e *Error) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	if e.Code != 0 {
		h.Set("X-ClickHouse-Exception-Code", fmt.Sprint(e.Code))
	}
	if e.Name != "" {
		h.Set("X-ClickHouse-Exception-Name", e.Name)
	}
	w.WriteHeader(httpStatus(e.Code))
	_, _ = io.WriteString(w, e.Text+"\n")
}

// asError gives every error a code; one that is not the engine's own is a plain exception.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		if e.Code == 0 {
			e = &Error{Code: 1001, Name: "STD_EXCEPTION",
				Text: "Code: 1001. DB::Exception: " + e.Text}
		}
		return e
	}
	return asError(refuse(1001, "STD_EXCEPTION", "%s", err))
}

func summary(p progress) string {
	return fmt.Sprintf(`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d","written_bytes":"%d"}`,
		p.readRows, p.readBytes, p.writtenRows, p.writtenBytes)
}

func newTag() string {
	var b [exceptionTagBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
