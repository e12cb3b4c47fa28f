package embedded

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	queryBytesMax     = 64 << 20 // a statement with what it carries as text
	spoolBytesMax     = 64 << 20 // an insert up to this size is read whole before it begins
	executionSecsMax  = 600      // max_execution_time of a request that names none
	paramPrefix       = "param_"
	defaultFormat     = "TabSeparated"
	codeNetworkError  = 210
	codeUnsupported   = 48
	codeUnknownSet    = 115
	codeTooLarge      = 66
	codeBadArguments  = 36
	codeSyntax        = 62
	codeAccessDenied  = 497
	codeCannotInflate = 354
)

// settings are what a request sets for its statement; "database" among them is the current one.
type settings map[string]string

const databaseKey = "database"

// param is one query parameter; the value is in the escaped form of TabSeparated, as in the HTTP
// interface of a server.
type param struct{ name, value string }

// request is one statement as it came over HTTP.
type request struct {
	id         string
	text       string // the statement, or its beginning; the rest lies in body
	body       io.Reader
	format     string // of the answer, unless the statement names one
	set        settings
	params     []param
	compress   compress.Method // of the answer's blocks
	framed     bool            // the answer goes in compressed blocks
	revision   int             // that the client reads Native at
	wait       bool            // for the end of the query before the first byte of its answer
	fromClient bool            // it asked for Native by default: a driver, not a person
}

// notSettings are the URL parameters of the HTTP interface that name no setting of the engine.
// Sessions are not kept: each request stands alone.
var notSettings = regexp.MustCompile(`^(query|query_id|user|password|quota_key|default_format|` +
	`client_protocol_version|compress|decompress|session_id|session_timeout|session_check|` +
	`close_session|role|stacktrace|wait_end_of_query|buffer_size|log_comment|param_.*)$`)

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,127}$`)

func refuse(code int, name, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &Error{Code: code, Name: name,
		Text: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s) (version %s)", code, text, name,
			EngineVersion)}
}

// parseRequest reads everything of a request but its body.
func parseRequest(r *http.Request) (*request, error) {
	q := r.URL.Query()
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t == "multipart/form-data" {
		return nil, refuse(codeUnsupported, "NOT_IMPLEMENTED",
			"the embedded engine takes no external tables: put the data into a table")
	}
	req := &request{id: q.Get("query_id"), text: q.Get("query"), set: settings{},
		format: defaultFormat}
	if f := q.Get("default_format"); f != "" {
		req.format = f
	}
	if f := r.Header.Get("X-ClickHouse-Format"); f != "" {
		req.format = f
	}
	req.wait = on(q.Get("wait_end_of_query"))
	req.fromClient = q.Get("default_format") == "Native"
	req.revision, _ = strconv.Atoi(q.Get("client_protocol_version"))
	if db := r.Header.Get("X-ClickHouse-Database"); db != "" {
		req.set[databaseKey] = db
	}
	if err := req.readSettings(q); err != nil {
		return nil, err
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if req.set["readonly"] == "" {
			req.set["readonly"] = "2" // as on a server: GET changes nothing
		}
	}
	req.framed = on(q.Get("compress"))
	req.compress = compress.LZ4
	if strings.EqualFold(req.set["network_compression_method"], "ZSTD") {
		req.compress = compress.ZSTD
	}
	body, err := decodeBody(r, on(q.Get("decompress")))
	req.body = body
	return req, err
}

func (req *request) readSettings(q url.Values) error {
	for name := range q {
		value := q.Get(name)
		if strings.HasPrefix(name, paramPrefix) {
			req.params = append(req.params, param{strings.TrimPrefix(name, paramPrefix), value})
		}
		if notSettings.MatchString(name) {
			continue
		}
		if !settingName.MatchString(name) {
			return refuse(codeUnknownSet, "UNKNOWN_SETTING",
				"a parameter of the URL is no name of a setting")
		}
		if name != databaseKey || value != "" {
			req.set[name] = value
		}
	}
	if req.set["max_execution_time"] == "" {
		req.set["max_execution_time"] = strconv.Itoa(executionSecsMax)
	}
	sort.Slice(req.params, func(i, j int) bool { return req.params[i].name < req.params[j].name })
	return nil
}

func on(v string) bool { return v == "1" || strings.EqualFold(v, "true") }

// decodeBody undoes the transport's compression and then that of ClickHouse's own blocks.
func decodeBody(r *http.Request, framed bool) (io.Reader, error) {
	var body io.Reader = r.Body
	var err error
	switch e := strings.ToLower(r.Header.Get("Content-Encoding")); e {
	case "", "identity":
	case "gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	case "br":
		body = brotli.NewReader(body)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1)); err == nil {
			body = z.IOReadCloser()
		}
	default:
		return nil, refuse(codeUnsupported, "NOT_IMPLEMENTED",
			"no such Content-Encoding here: use gzip, deflate, br or zstd")
	}
	if err != nil {
		return nil, refuse(codeCannotInflate, "ZLIB_INFLATE_FAILED",
			"cannot inflate the request's body")
	}
	if framed {
		in := &endReader{r: body}
		body = &blockReader{in: in, blocks: compress.NewReader(in)}
	}
	return body, nil
}

// blockReader reads ClickHouse's compressed blocks up to the clean end of the body, which the
// reader of blocks cannot tell from a break.
type blockReader struct {
	in     *endReader
	blocks *compress.Reader
}

func (b *blockReader) Read(p []byte) (int, error) {
	before := b.in.bytes
	n, err := b.blocks.Read(p)
	if err != nil && b.in.bytes == before && b.in.ended {
		return n, io.EOF
	}
	return n, err
}

// endReader counts what passes and remembers a clean end.
type endReader struct {
	r     io.Reader
	bytes int64
	ended bool
}

func (e *endReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.bytes += int64(n)
	e.ended = errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
	return n, err
}

// spool reads the body up to a limit; whole tells that there was no more.
func spool(body io.Reader, limit int64) (data *bytes.Buffer, whole bool, err error) {
	data = &bytes.Buffer{}
	n, err := io.Copy(data, io.LimitReader(body, limit+1))
	if err != nil {
		return nil, false, refuse(codeNetworkError, "NETWORK_ERROR",
			"the request's body broke off after %d bytes, nothing was done: %s", n, cause(err))
	}
	return data, n <= limit, nil
}

// cause keeps an error of the transport short: it may quote the body.
func cause(err error) string {
	var corrupted *compress.CorruptedDataErr
	switch {
	case errors.As(err, &corrupted):
		return "a compressed block is corrupt"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "unexpected end"
	default:
		return "it cannot be read"
	}
}

// local tells whether a request may come from this machine's own programs. The engine knows no
// users: a web page open in a browser here must not reach it, whatever name it gives this address.
func local(r *http.Request) bool {
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		if err != nil || !loopback(u.Hostname()) {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return loopback(host)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}
