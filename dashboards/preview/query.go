package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Limits of one statement and of the page as a whole.
const (
	rowsMax       = 20_000
	answerBytes   = 32 << 20
	statementMax  = 20 * time.Second
	memoryMax     = 4 << 30
	atOnce        = 4
	waitForTurn   = 15 * time.Second
	requestMax    = 60 * time.Second
	explainsMax   = 1
	optionRowsMax = 1000
)

// Store answers one statement in the format JSONCompact, under the given settings of ClickHouse.
type Store func(ctx context.Context, sql string, settings map[string]string) (io.ReadCloser, error)

// settings keep a statement from changing anything and from taking the server for itself.
func settings() map[string]string {
	return map[string]string{
		"readonly":                                "1",
		"max_result_rows":                         strconv.Itoa(rowsMax),
		"result_overflow_mode":                    "break",
		"max_execution_time":                      strconv.Itoa(int(statementMax / time.Second)),
		"max_memory_usage":                        strconv.Itoa(memoryMax),
		"date_time_output_format":                 "iso",
		"output_format_json_quote_64bit_integers": "0",
		"output_format_json_quote_denormals":      "0",
	}
}

// frame is the answer to one query of a panel.
type frame struct {
	RefID     string   `json:"refId,omitempty"`
	Format    int      `json:"format"`
	Columns   []column `json:"columns"`
	Rows      [][]any  `json:"rows"`
	Truncated bool     `json:"truncated,omitempty"` // there was more than rowsMax
	Interval  int64    `json:"interval_ms,omitempty"`
}

type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// errBusy says that all places were taken for as long as a reader waits.
var errBusy = errors.New("too many queries at once")

// turn takes a place among the statements that run at once.
func (p *Page) turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, waitForTurn)
	defer cancel()
	select {
	case p.places <- struct{}{}:
		return func() { <-p.places }, nil
	case <-ctx.Done():
		return nil, errBusy
	}
}

// run asks the store and reads its answer, at most rowsMax rows of it.
func (p *Page) run(ctx context.Context, sql string) (frame, error) {
	done, err := p.turn(ctx)
	if err != nil {
		return frame{}, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, statementMax+2*time.Second)
	defer cancel()
	body, err := p.cfg.Store(ctx, sql, settings())
	if err != nil {
		return frame{}, fmt.Errorf("cannot ask the store: %w", err)
	}
	defer body.Close()
	var answer struct {
		Meta []column `json:"meta"`
		Data [][]any  `json:"data"`
	}
	decoder := json.NewDecoder(io.LimitReader(body, answerBytes))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		return frame{}, fmt.Errorf("cannot read the store's answer: %w", err)
	}
	f := frame{Columns: answer.Meta, Rows: answer.Data}
	if len(f.Rows) > rowsMax {
		f.Rows, f.Truncated = f.Rows[:rowsMax], true
	}
	if f.Rows == nil {
		f.Rows = [][]any{}
	}
	return f, nil
}
