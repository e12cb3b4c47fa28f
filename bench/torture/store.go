package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// store asks the engine questions, beside the proxy.
type store struct{ addr, database string }

// rows runs a query and hands every row, as JSON values, to each.
func (s *store) rows(ctx context.Context, sql string, each func(row []json.RawMessage) error) error {
	q := url.Values{"database": {s.database}, "default_format": {"JSONCompactEachRow"},
		"output_format_json_quote_64bit_integers": {"0"}, "wait_end_of_query": {"1"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/?"+q.Encode(),
		strings.NewReader(sql))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask the engine: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("cannot read the engine's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("cannot ask the engine: %s: %.600s\n%.600s", resp.Status, body, sql)
	}
	for dec := json.NewDecoder(bytes.NewReader(body)); ; {
		var row []json.RawMessage
		if err := dec.Decode(&row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read the engine's answer: %w", err)
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// number is the single number that a query answers.
func (s *store) number(ctx context.Context, sql string) (n int64, err error) {
	err = s.rows(ctx, sql, func(row []json.RawMessage) error { return scan(row, &n) })
	return n, err
}

// names is the single column of text that a query answers.
func (s *store) names(ctx context.Context, sql string) (all []string, err error) {
	err = s.rows(ctx, sql, func(row []json.RawMessage) error {
		var name string
		all = append(all, "")
		err := scan(row, &name)
		all[len(all)-1] = name
		return err
	})
	return all, err
}

// scan reads a row into as many variables.
func scan(row []json.RawMessage, into ...any) error {
	if len(row) != len(into) {
		return fmt.Errorf("a row of %d columns, want %d", len(row), len(into))
	}
	for i := range row {
		if err := json.Unmarshal(row[i], into[i]); err != nil {
			return fmt.Errorf("cannot read column %d: %w", i, err)
		}
	}
	return nil
}

// await waits until the engine answers.
func (s *store) await(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	anywhere := &store{addr: s.addr, database: "default"}
	for {
		_, err := anywhere.number(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the engine does not answer within %v: %w", within, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
