package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usher/cmd/usher/internal/config"
)

// errorTextMax bounds what is read of a server's error.
const errorTextMax = 64 << 10

// store is a ClickHouse reached over its HTTP interface: the formats are the server's own.
type store struct {
	base     string // http://host:port/
	database string
	user     string
	password config.Secret
	client   *http.Client
	where    string // for messages: the address or the data directory
	settings map[string]string
}

// configuredStore is the ClickHouse of the configuration.
func (a *app) configuredStore() (*store, error) {
	if err := a.cfg.LoadSecrets(); err != nil {
		return nil, err
	}
	return storeOf(a.cfg)
}

// storeOf is the ClickHouse of a configuration whose secrets have been loaded.
func storeOf(c *config.Config) (*store, error) {
	ch := c.ClickHouse
	s := &store{base: "http://" + ch.Addr + "/", database: ch.Database, user: ch.User,
		password: ch.Password, client: &http.Client{}, where: "ClickHouse at " + ch.Addr}
	if ch.TLS.On() {
		t, err := tlsConfig(ch.TLS, "clickhouse.tls")
		if err != nil {
			return nil, err
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = t
		s.base, s.client.Transport = "https://"+ch.Addr+"/", transport
	}
	return s, nil
}

// openStore returns the embedded store of a data directory, or the configured ClickHouse when dir
// is empty; close ends an engine that was started for it.
func (a *app) openStore(ctx context.Context, dir string) (s *store, closeStore func(), err error) {
	if dir == "" {
		s, err = a.configuredStore()
		return s, func() {}, err
	}
	addr, closeStore, err := a.openEngine(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return &store{base: "http://" + addr + "/", database: a.cfg.ClickHouse.Database,
		client: &http.Client{}, where: "the store in " + dir}, closeStore, nil
}

// serverError is what ClickHouse answered instead of rows.
type serverError struct {
	where string
	code  string // of X-ClickHouse-Exception-Code, or the HTTP status
	text  string
}

func (e *serverError) Error() string {
	return fmt.Sprintf("%s answered with error %s: %s", e.where, e.code, e.text)
}

// Codes of ClickHouse that commands explain.
const (
	codeUnknownTable    = "60"
	codeUnknownDatabase = "81"
)

// query posts one statement; the caller closes the body. format "" leaves the server's default,
// and params are bound to {name:Type} in the statement.
func (s *store) query(ctx context.Context, sql, format string, params map[string]string) (
	io.ReadCloser, error,
) {
	q := url.Values{}
	if s.database != "" {
		q.Set("database", s.database)
	}
	if format != "" {
		q.Set("default_format", format)
	}
	for name, value := range s.settings {
		q.Set(name, value)
	}
	for name, value := range params {
		q.Set("param_"+name, value)
	}
	address := s.base + "?" + q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(sql))
	if err != nil {
		return nil, fmt.Errorf("cannot ask %s: %w", s.where, err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if s.user != "" {
		req.Header.Set("X-ClickHouse-User", s.user)
		req.Header.Set("X-ClickHouse-Key", s.password.Reveal())
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot reach %s: %w; check clickhouse.addr, or name an embedded store "+
			"with --data", s.where, err)
	}
	if resp.StatusCode == http.StatusOK && resp.Header.Get("X-ClickHouse-Exception-Code") == "" {
		return &answer{ReadCloser: resp.Body, trailer: resp, where: s.where}, nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, errorTextMax))
	_ = resp.Body.Close()
	code := resp.Header.Get("X-ClickHouse-Exception-Code")
	if code == "" {
		code = "HTTP " + resp.Status
	}
	return nil, &serverError{where: s.where, code: code, text: strings.TrimSpace(string(text))}
}

// answer turns an exception that came after the first rows into an error at the end.
type answer struct {
	io.ReadCloser
	trailer *http.Response
	where   string
}

func (a *answer) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	if err == io.EOF {
		if code := a.trailer.Trailer.Get("X-ClickHouse-Exception-Code"); code != "" {
			return n, &serverError{where: a.where, code: code, text: "the query failed after its first rows"}
		}
	}
	return n, err
}

// rows runs a statement and decodes its rows as JSONCompact values.
func (s *store) rows(ctx context.Context, sql string, params map[string]string) ([][]any, error) {
	body, err := s.query(ctx, sql, "JSONCompactEachRow", params)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var out [][]any
	dec := json.NewDecoder(body)
	dec.UseNumber()
	for {
		var row []any
		err := dec.Decode(&row)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the answer of %s: %w", s.where, err)
		}
		out = append(out, row)
	}
}

// exec runs a statement that answers nothing.
func (s *store) exec(ctx context.Context, sql string) error {
	body, err := s.query(ctx, sql, "", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// ping waits for an answer up to timeout.
func (s *store) ping(ctx context.Context, timeout time.Duration) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	bare := *s
	bare.database = "" // it may not be there yet
	body, err := bare.query(ctx, "SELECT version()", "TabSeparated", nil)
	if err != nil {
		return "", err
	}
	defer body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(body); err != nil {
		return "", fmt.Errorf("cannot read the answer of %s: %w", s.where, err)
	}
	return strings.TrimSpace(b.String()), nil
}

// at is where the store answers, for a connection of clickhouse-go.
func (s *store) at() clickhouseAt {
	_, addr, _ := strings.Cut(s.base, "://")
	at := clickhouseAt{
		addr: strings.TrimSuffix(addr, "/"), database: s.database, user: s.user, password: s.password,
	}
	if at.user == "" {
		at.user = "default"
	}
	if t, ok := s.client.Transport.(*http.Transport); ok {
		at.tls = t.TLSClientConfig
	}
	return at
}
