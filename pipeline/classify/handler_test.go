package classify

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/features/classifier/demo"
	"usher/pipeline"
	"usher/pipeline/route"
)

func brain(t *testing.T) *pipeline.Brain {
	t.Helper()
	m, err := demo.Model()
	if err != nil {
		t.Fatal(err)
	}
	cut, err := route.NewCutoffs(m.Heads()[0].Labels, route.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return &pipeline.Brain{Model: m, Cutoffs: map[string]*route.Cutoffs{"": cut}}
}

// endpoint serves a handler; told counts the fallbacks by reason.
func endpoint(t *testing.T, b *pipeline.Brain, change func(*Config)) (url string, h *Handler, told *sync.Map) {
	t.Helper()
	brains, err := pipeline.NewBrains(b)
	if err != nil {
		t.Fatal(err)
	}
	told = &sync.Map{}
	cfg := Config{
		Line:        pipeline.LineConfig{Key: []byte("a key of the test's own"), Brains: brains},
		Concurrency: 2,
		Fallback: func(reason route.Reason, tenant string) {
			n, _ := told.LoadOrStore(reason.String()+" "+tenant, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		},
	}
	if change != nil {
		change(&cfg)
	}
	if h, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL, h, told
}

// ask sends a body and gives the status and the answer's object.
func ask(t *testing.T, method, url, contentType, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(method, url+"/v1/classify", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	_ = json.Unmarshal(raw, &out)
	return resp.StatusCode, out
}

const jsonType = "application/json"

// schemaDoc is what the test reads of the document.
type schemaDoc struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct{}
	}
	Components struct {
		Schemas map[string]struct {
			Required   []string
			Properties map[string]struct {
				Type any
				Enum []any
			}
		}
	}
}

// The document says what the handler does: every status, every field, its type and its values.
func TestOpenAPIHoldsTheHandler(t *testing.T) {
	url, h, _ := endpoint(t, brain(t), nil)
	resp, err := http.Get(url + "/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc schemaDoc
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{"401": true} // given by the admin address, which holds the token
	answered := func(want int, schema, method, contentType, body string) map[string]any {
		t.Helper()
		status, got := ask(t, method, url, contentType, body)
		if status != want {
			t.Errorf("%s %.40q: status %d, want %d: %v", method, body, status, want, got)
		}
		seen[strconv.Itoa(status)] = true
		if schema != "" {
			conforms(t, &doc, schema, got)
		}
		return got
	}
	d := answered(200, "Decision", "POST", jsonType, `{"text":"How much is a haircut?","lang":"en","channel":"web"}`)
	if d["label"] != "request" || d["band"] != "auto" || d["lang"] != "en" {
		t.Errorf("label %v, band %v, lang %v", d["label"], d["band"], d["lang"])
	}
	d = answered(200, "Decision", "POST", "application/json; charset=utf-8", `{"text":" "}`)
	if d["band_reason"] != "no_text" {
		t.Errorf("blank: %v", d["band_reason"])
	}
	answered(400, "Error", "POST", jsonType, `{"lang":"en"}`)
	answered(400, "Error", "POST", jsonType, `[]`)
	answered(400, "Error", "POST", jsonType, `{"text":7}`)
	answered(400, "Error", "POST", jsonType, `{"text":"x","lang":"`+strings.Repeat("l", 200)+`"}`)
	answered(400, "Error", "POST", jsonType, `{"text":"`+strings.Repeat("x", TextBytesMax+1)+`"}`)
	answered(405, "", "PUT", jsonType, `{"text":"x"}`)
	answered(413, "Error", "POST", jsonType, `{"text":"`+strings.Repeat("x", bodyBytesMax)+`"}`)
	answered(415, "Error", "POST", "text/plain", `{"text":"x"}`)
	h.score = func(*Scorer, []byte, Message) ([]byte, error) { return nil, io.ErrUnexpectedEOF }
	answered(500, "Error", "POST", jsonType, `{"text":"x"}`)
	documented := doc.Paths["/v1/classify"]["post"].Responses
	if got, want := slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(documented)); !slices.Equal(got, want) {
		t.Errorf("statuses %v, documented are %v", got, want)
	}
}

// conforms holds an object to a schema of the document, and the schema to the object: no field that
// the document does not know, none missing.
func conforms(t *testing.T, doc *schemaDoc, name string, got map[string]any) {
	t.Helper()
	s := doc.Components.Schemas[name]
	for _, field := range s.Required {
		if _, ok := got[field]; !ok {
			t.Errorf("%s lacks %s", name, field)
		}
	}
	for field, value := range got {
		p, ok := s.Properties[field]
		if !ok {
			t.Errorf("%s has %s, which the document does not know", name, field)
			continue
		}
		if p.Enum != nil && !slices.Contains(p.Enum, value) {
			t.Errorf("%s.%s is %v, none of %v", name, field, value, p.Enum)
		}
		if p.Type != nil && !typed(p.Type, value) {
			t.Errorf("%s.%s is %v, which is no %v", name, field, value, p.Type)
		}
	}
}

func typed(want, value any) bool {
	if many, ok := want.([]any); ok {
		return slices.ContainsFunc(many, func(w any) bool { return typed(w, value) })
	}
	switch v := value.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case []any:
		return want == "array"
	}
	return want == "object"
}

// A scorer that hangs: the caller has a fallback at the deadline, at most Concurrency messages are
// worked on, and when it goes on all is as before.
func TestDeadlineAndConcurrency(t *testing.T) {
	url, h, told := endpoint(t, brain(t), func(c *Config) { c.Deadline = 200 * time.Millisecond })
	hang := make(chan struct{})
	var working, most atomic.Int64
	h.score = func(s *Scorer, b []byte, m Message) ([]byte, error) {
		if n := working.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-hang
		working.Add(-1)
		return s.Append(b, m)
	}
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			status, d := ask(t, "POST", url, jsonType, `{"text":"How much?","tenant":"salon7","lang":"en"}`)
			if status != 200 || d["band"] != "none" || d["band_reason"] != "timeout" || d["label"] != nil ||
				d["tenant"] != "salon7" || d["route"].(map[string]any)["queue"] != "default" {
				t.Errorf("status %d, %v", status, d)
			}
		})
	}
	callers.Wait()
	if most.Load() != 2 {
		t.Errorf("%d messages were worked on at once, want 2", most.Load())
	}
	if n, ok := told.Load("timeout salon7"); !ok || n.(*atomic.Int64).Load() != 6 {
		t.Errorf("6 fallbacks were told as %v", n)
	}
	close(hang)
	// The scorers come back as soon as they are done.
	deadline := time.Now().Add(10 * time.Second)
	for len(h.idle) < 2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if _, d := ask(t, "POST", url, jsonType, `{"text":"How much is a haircut?"}`); d["band"] != "auto" {
		t.Errorf("afterwards: %v, %v", d["band"], d["band_reason"])
	}
}

func TestNoModel(t *testing.T) {
	url, _, told := endpoint(t, &pipeline.Brain{}, nil)
	status, d := ask(t, "POST", url, jsonType, `{"text":"How much?"}`)
	if status != 200 || d["band"] != "none" || d["band_reason"] != "no_model" || d["model"] != nil {
		t.Errorf("status %d, %v, %v, model %v", status, d["band"], d["band_reason"], d["model"])
	}
	if _, ok := told.Load("no_model "); !ok {
		t.Error("the fallback was not told")
	}
}
