// Package classify decides about single messages outside the stream, over HTTP or line by line, on
// the stream's own way: the same decoder, redactor, features, model, cut-offs and rules.
package classify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher/features/conversation"
	"usher/pipeline"
	"usher/pipeline/route"
)

// TextBytesMax bounds a text: the pipeline cuts texts at 64 KiB anyway, and a message must fit into a
// record whatever its escapes.
const TextBytesMax = 128 << 10

// tableMax is how many messages share a state table; each is a conversation of its own.
const tableMax = 100_000

// Message is one message to decide about. All but Text may be empty.
type Message struct{ Text, Lang, Channel, Tenant string }

// Scorer takes messages down a line. It owns its buffers: not safe for concurrent use.
type Scorer struct {
	topic  string // of the decisions' triggers: where the messages come from
	line   *pipeline.Line
	state  conversation.Config
	table  *conversation.Table
	n      int64
	result pipeline.Result
}

// NewScorer makes a Scorer with a line of its own, whose metrics nobody sees: they count the stream.
func NewScorer(cfg pipeline.LineConfig, topic string) (*Scorer, error) {
	line, err := pipeline.NewLine(cfg, pipeline.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		return nil, err
	}
	return &Scorer{topic: topic, line: line, state: cfg.State}, nil
}

// Append appends the decision on m, the first message of a conversation of its own, as JSON.
func (s *Scorer) Append(dst []byte, m Message) ([]byte, error) {
	if s.n%tableMax == 0 {
		s.table = conversation.NewTable(s.state)
	}
	s.n++
	began := time.Now()
	number := strconv.FormatInt(s.n, 10)
	value, err := json.Marshal(map[string]any{
		"v": 1, "id": number, "type": "message", "time": began.UnixMilli(), "tenant": m.Tenant,
		"conversation_id": "line-" + number, "actor": map[string]string{"kind": "customer"},
		"lang": m.Lang, "channel": m.Channel, "message": map[string]string{"text": m.Text},
	})
	if err != nil {
		return dst, fmt.Errorf("cannot make an event of the message: %w", err)
	}
	r := &s.result
	if err := s.line.Process(s.table, &pipeline.Record{
		Topic: s.topic, Offset: s.n - 1, Value: value, NowMS: began.UnixMilli(),
	}, r); err != nil {
		return dst, err
	}
	if r.Reject != nil {
		return dst, r.Reject
	}
	if r.Decision == nil {
		return dst, errors.New("BUG: a customer's message without a decision")
	}
	r.Decision.EmittedAtMS = time.Now().UnixMilli()
	r.Decision.LatencyUS = time.Since(began).Microseconds()
	dst = route.AppendJSON(dst, r.Decision)
	s.table.BeginTransaction()
	return dst, nil
}
