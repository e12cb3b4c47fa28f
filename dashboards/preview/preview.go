// Package preview is a page that shows usher's Grafana boards to whoever has no Grafana: the same
// generated definitions, the same SQL through the same macros, drawn in the browser. It reads only:
// the browser names a board, a panel, a time range and values of variables, never SQL.
package preview

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"usher/dashboards"
)

// Config is what the page is made of.
type Config struct {
	Store Store
	// Explain takes a decision apart, as `usher explain --json` prints it; nil hides the button. An
	// error's text is shown to the reader.
	Explain func(ctx context.Context, decision string) (any, error)
	Log     *slog.Logger
	// AnyHost takes requests under every host name; a page that asks for no token takes those of
	// loopback names only, so that no other site can read it by a name of its own.
	AnyHost bool
}

// Page serves the preview.
type Page struct {
	cfg      Config
	boards   []*board
	places   chan struct{}
	explains chan struct{}
	mux      *http.ServeMux
}

//go:embed assets
var assets embed.FS

// New reads the boards. A board that cannot be shown safely is an error of the program.
func New(cfg Config) (*Page, error) {
	raw, err := dashboards.Boards()
	if err != nil {
		return nil, err
	}
	return newPage(cfg, raw)
}

func newPage(cfg Config, raw [][]byte) (*Page, error) {
	p := &Page{cfg: cfg, places: make(chan struct{}, atOnce),
		explains: make(chan struct{}, explainsMax), mux: http.NewServeMux()}
	for _, one := range raw {
		b, err := readBoard(one)
		if err != nil {
			return nil, err
		}
		p.boards = append(p.boards, b)
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, fmt.Errorf("cannot open the page's files: %w", err)
	}
	p.mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(files)))
	index := func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page.html")
	}
	p.mux.HandleFunc("GET /{$}", index)
	p.mux.HandleFunc("GET /d/{uid}", index)
	p.mux.HandleFunc("GET /d/{uid}/{slug}", index) // as Grafana's own links go
	p.mux.HandleFunc("GET /api/boards", p.listBoards)
	p.mux.HandleFunc("GET /api/boards/{uid}", p.onBoard(p.serveBoard))
	p.mux.HandleFunc("GET /api/boards/{uid}/panels/{id}", p.onBoard(p.servePanel))
	p.mux.HandleFunc("GET /api/boards/{uid}/variables/{name}", p.onBoard(p.serveOptions))
	p.mux.HandleFunc("GET /api/boards/{uid}/annotations", p.onBoard(p.serveAnnotations))
	p.mux.HandleFunc("GET /api/explain/{decision}", p.serveExplanation)
	return p, nil
}

// board finds a board by its uid, nil when there is none.
func (p *Page) board(uid string) *board {
	for _, b := range p.boards {
		if b.UID == uid {
			return b
		}
	}
	return nil
}

func (p *Page) listBoards(w http.ResponseWriter, _ *http.Request) {
	type entry struct {
		UID         string `json:"uid"`
		Title       string `json:"title"`
		Description string `json:"description"`
	}
	list := []entry{}
	for _, b := range p.boards {
		list = append(list, entry{b.UID, b.Title, b.Description})
	}
	answer(w, http.StatusOK, map[string]any{"boards": list, "explain": p.cfg.Explain != nil})
}

// onBoard finds the board of a request first.
func (p *Page) onBoard(do func(http.ResponseWriter, *http.Request, *board)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := p.board(r.PathValue("uid"))
		if b == nil {
			answer(w, http.StatusNotFound, problem{"there is no such board"})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestMax)
		defer cancel()
		do(w, r.WithContext(ctx), b)
	}
}

func (p *Page) serveBoard(w http.ResponseWriter, _ *http.Request, b *board) {
	answer(w, http.StatusOK, b.open)
}

func (p *Page) servePanel(w http.ResponseWriter, r *http.Request, b *board) {
	id, err := strconv.Atoi(r.PathValue("id"))
	found := b.panel(id)
	if err != nil || found == nil {
		answer(w, http.StatusNotFound, problem{"the board has no such panel"})
		return
	}
	a, err := readAsk(b, r.URL.Query())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	least := interval(found.Interval)
	if found.PointsMax > 0 {
		a.points = min(a.points, found.PointsMax)
	}
	frames := []frame{}
	for _, t := range found.Targets {
		if t.Hide || t.RawSQL == "" {
			continue
		}
		f, err := p.target(r.Context(), a, t, least)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		frames = append(frames, f)
	}
	answer(w, http.StatusOK, map[string]any{"frames": frames})
}

func (p *Page) target(ctx context.Context, a *ask, t target, least time.Duration) (frame, error) {
	sql, err := a.sql(t.RawSQL, least)
	if err != nil {
		return frame{}, err
	}
	f, err := p.run(ctx, sql)
	f.RefID, f.Format = t.RefID, t.Format
	f.Interval = bucket(a.window.To.Sub(a.window.From), a.points, least).Milliseconds()
	return f, err
}

// option is a value of a variable, escaped as the board's query escapes it, and its text.
type option struct {
	Value string `json:"value"`
	Text  string `json:"text"`
}

func (p *Page) serveOptions(w http.ResponseWriter, r *http.Request, b *board) {
	v := b.variable(r.PathValue("name"))
	if v == nil || v.sql() == "" {
		answer(w, http.StatusNotFound, problem{"the board has no such variable with a query"})
		return
	}
	a, err := readAsk(b, r.URL.Query())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	sql, err := a.sql(v.sql(), 0)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	f, err := p.run(r.Context(), sql)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	list := []option{}
	for _, row := range f.Rows[:min(len(f.Rows), optionRowsMax)] {
		value := fmt.Sprint(row[0])
		text := value
		if len(row) > 1 {
			text = fmt.Sprint(row[1])
		}
		list = append(list, option{value, text})
	}
	answer(w, http.StatusOK, map[string]any{"options": list})
}

func (p *Page) serveAnnotations(w http.ResponseWriter, r *http.Request, b *board) {
	a, err := readAsk(b, r.URL.Query())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	type named struct {
		Name string `json:"name"`
		frame
	}
	list := []named{}
	for _, note := range b.Annotations.List {
		if note.Target.RawSQL == "" {
			continue
		}
		f, err := p.target(r.Context(), a, note.Target, 0)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		list = append(list, named{note.Name, f})
	}
	answer(w, http.StatusOK, map[string]any{"annotations": list})
}

// problem is an error in words for the reader.
type problem struct {
	Error string `json:"error"`
}

// fail answers with a sentence; the store's own words go to the log, because they may hold a query
// with what a reader typed.
func (p *Page) fail(w http.ResponseWriter, r *http.Request, err error) {
	var bad *badRequest
	switch {
	case errors.As(err, &bad):
		answer(w, http.StatusBadRequest, problem{bad.text})
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "5")
		answer(w, http.StatusServiceUnavailable, problem{"Too many queries at once; try again soon."})
	case r.Context().Err() != nil && !errors.Is(r.Context().Err(), context.DeadlineExceeded):
		// The reader has gone.
	default:
		p.cfg.Log.Warn("preview: a query failed", "path", r.URL.Path, "error", err)
		answer(w, http.StatusBadGateway, problem{"The store did not answer this query in time, or " +
			"refused it. The log of usher says why."})
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	_ = encoder.Encode(body)
}
