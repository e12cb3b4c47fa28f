package classify

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"usher/pipeline"
	"usher/pipeline/event"
	"usher/pipeline/route"
)

// The defaults of CONTRACT section 5.
const (
	DefaultDeadline    = 3 * time.Second
	DefaultConcurrency = 8
)

// bodyBytesMax bounds a request: a text at its longest, escaped at its worst, and the rest.
const bodyBytesMax = 6*TextBytesMax + 4096

// Topic is the source that decisions of the endpoint name as their trigger's.
const Topic = "v1/classify"

//go:embed openapi.json
var openAPI []byte

// Config is what the endpoint needs.
type Config struct {
	Line        pipeline.LineConfig // with Brains
	Deadline    time.Duration       // 0: DefaultDeadline
	Concurrency int                 // messages scored at once; 0: DefaultConcurrency
	// Fallback is told of every answer without a score, by reason (timeout, no_model). It must not block.
	Fallback func(reason route.Reason, tenant string)
}

// Handler answers POST /v1/classify and GET /v1/openapi.json.
type Handler struct {
	cfg   Config
	idle  chan *Scorer
	mux   *http.ServeMux
	score func(*Scorer, []byte, Message) ([]byte, error) // a test's, to be slow
}

// New makes the endpoint; it starts nothing.
func New(cfg Config) (*Handler, error) {
	if cfg.Line.Brains == nil {
		return nil, errors.New("BUG: the endpoint needs the router's Brains")
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = DefaultDeadline
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = DefaultConcurrency
	}
	h := &Handler{cfg: cfg, idle: make(chan *Scorer, cfg.Concurrency), score: (*Scorer).Append}
	for range cfg.Concurrency {
		s, err := NewScorer(cfg.Line, Topic)
		if err != nil {
			return nil, fmt.Errorf("cannot make the classify endpoint: %w", err)
		}
		h.idle <- s
	}
	h.mux = http.NewServeMux()
	h.mux.HandleFunc("POST /v1/classify", h.classify)
	h.mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI)
	})
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) classify(w http.ResponseWriter, r *http.Request) {
	// The deadline runs from here: waiting for a free scorer is part of it.
	late := time.NewTimer(h.cfg.Deadline)
	defer late.Stop()
	// A page of another site may send plain text without asking, JSON only with the server's leave.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "send JSON, with Content-Type: application/json")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.cfg.Deadline))
	m, err := readMessage(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	if err != nil {
		status := http.StatusBadRequest
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			status = http.StatusRequestEntityTooLarge
		}
		fail(w, status, err.Error())
		return
	}
	var scorer *Scorer
	select {
	case scorer = <-h.idle:
	case <-late.C:
		h.fallback(w, m)
		return
	case <-r.Context().Done():
		return
	}
	type answer struct {
		body []byte
		err  error
	}
	done := make(chan answer, 1) // room for the answer that nobody waits for any more
	go func() {
		// A scorer goes back when it is done, not when the caller has gone: so at most Concurrency run.
		defer func() { h.idle <- scorer }()
		body, err := h.score(scorer, nil, m)
		done <- answer{body, err}
	}()
	select {
	case a := <-done:
		h.answer(w, m, a.body, a.err)
	case <-late.C:
		h.fallback(w, m)
	case <-r.Context().Done():
	}
}

func (h *Handler) answer(w http.ResponseWriter, m Message, body []byte, err error) {
	var rejected *event.Reject
	switch {
	case errors.As(err, &rejected):
		fail(w, http.StatusBadRequest, rejected.Error())
		return
	case err != nil:
		fail(w, http.StatusInternalServerError, "the message could not be decided")
		return
	}
	if h.cfg.Line.Brains.Now().Model == nil {
		h.tell(route.ReasonNoModel, m.Tenant)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

// fallback answers without a score: band none, the default queue, reason timeout.
func (h *Handler) fallback(w http.ResponseWriter, m Message) {
	brain := h.cfg.Line.Brains.Now()
	tenant := m.Tenant
	if tenant == "" {
		tenant = "default"
	}
	d := &route.Decision{
		TimeMS: time.Now().UnixMilli(), Tenant: []byte(tenant), Lang: []byte(m.Lang),
		Trigger: route.Trigger{Topic: Topic}, EmittedAtMS: time.Now().UnixMilli(),
		LatencyUS: h.cfg.Deadline.Microseconds(),
	}
	in := &route.Inputs{HasText: true, Timeout: true, Channel: []byte(m.Channel)}
	if brain.Model != nil {
		in.Cutoffs = brain.CutoffsOf(tenant)
		d.Model = brain.Info()
	}
	route.Decide(in, brain.Rules, d)
	h.tell(d.BandReason, m.Tenant)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(route.AppendJSON(nil, d), '\n'))
}

func (h *Handler) tell(reason route.Reason, tenant string) {
	if h.cfg.Fallback != nil {
		h.cfg.Fallback(reason, tenant)
	}
}

// readMessage reads the request. Errors never hold the text.
func readMessage(body io.Reader) (Message, error) {
	var in struct {
		Text    *string `json:"text"`
		Lang    string  `json:"lang"`
		Channel string  `json:"channel"`
		Tenant  string  `json:"tenant"`
	}
	dec := json.NewDecoder(body)
	if err := dec.Decode(&in); err != nil {
		var large *http.MaxBytesError
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &large):
			return Message{}, fmt.Errorf("the request is too large: %w", large)
		case errors.As(err, &wrong):
			return Message{}, fmt.Errorf("%s must be a string", wrong.Field)
		}
		return Message{}, errors.New("this is no JSON object; send {\"text\": \"…\"}")
	}
	if in.Text == nil {
		return Message{}, errors.New("text is missing; send {\"text\": \"…\"}")
	}
	if len(*in.Text) > TextBytesMax {
		return Message{}, fmt.Errorf("text has %d bytes, at most %d are taken", len(*in.Text), TextBytesMax)
	}
	return Message{
		Text: *in.Text, Lang: in.Lang, Channel: in.Channel, Tenant: strings.TrimSpace(in.Tenant),
	}, nil
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}
