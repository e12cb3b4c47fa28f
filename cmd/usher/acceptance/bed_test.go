// Package acceptance plays the real binary as its users do: files in, processes killed, questions
// asked of the store. What it needs from outside the project it looks for and skips without.
package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usher/sinks/clickhouse/embedded"
)

// binary is the program under test, built once.
var binary string

// testKey makes pseudonyms equal between two data directories.
const testKey = "USHER_PRIVACY_KEY=an acceptance test's key, long enough"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "usher-acceptance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "usher")
	build := exec.Command("go", "build", "-o", binary, "usher/cmd/usher")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot build the binary:", err)
		return 1
	}
	return m.Run()
}

// needEngine skips where the engine's library is missing, unless it is required.
func needEngine(t *testing.T) {
	t.Helper()
	if _, err := embedded.LibraryPath(); err != nil {
		if os.Getenv("USHER_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// shared finds a file of the shared data beside the checkout, or skips.
func shared(t *testing.T, path ...string) string {
	t.Helper()
	roots := []string{os.Getenv("USHER_SHARED")}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		roots = append(roots, filepath.Join(dir, "shared"))
		dir = filepath.Dir(dir)
	}
	for _, root := range roots {
		if root == "" {
			continue
		}
		name := filepath.Join(append([]string{root}, path...)...)
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	t.Skipf("shared data %s is not here", filepath.Join(path...))
	return ""
}

// usher runs the binary and returns its standard output.
func usher(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("usher %s: %v\n%s", strings.Join(args, " "), err, tail(errs.Bytes()))
	}
	return out.Bytes()
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), testKey)
	return cmd
}

func tail(b []byte) string {
	const most = 4000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(b)
}

// object decodes the one JSON object that a command printed.
func object(t *testing.T, out []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("the output is no JSON object: %v\n%s", err, tail(out))
	}
	return m
}

// store is an open data directory.
type store struct {
	t    *testing.T
	addr string
}

func openStore(t *testing.T, dir string) *store {
	t.Helper()
	e, err := embedded.Start(context.Background(), embedded.StartConfig{
		DataDir: dir, Command: []string{binary, "engine", "--data", dir},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return &store{t: t, addr: e.Addr()}
}

// query returns the rows of a statement.
func (s *store) query(sql string) [][]any {
	s.t.Helper()
	q := url.Values{"database": {"usher"}, "default_format": {"JSONCompactEachRow"},
		"output_format_json_quote_64bit_integers": {"0"}}
	resp, err := http.Post("http://"+s.addr+"/?"+q.Encode(), "text/plain", strings.NewReader(sql))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s\n%s", sql, tail(body))
	}
	var rows [][]any
	for dec := json.NewDecoder(bytes.NewReader(body)); ; {
		var row []any
		if err := dec.Decode(&row); err == io.EOF {
			return rows
		} else if err != nil {
			s.t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

// number is the single number that a statement answers.
func (s *store) number(sql string) float64 {
	s.t.Helper()
	rows := s.query(sql)
	if len(rows) != 1 || len(rows[0]) != 1 {
		s.t.Fatalf("%s: %v, want one number", sql, rows)
	}
	n, ok := rows[0][0].(float64)
	if !ok {
		s.t.Fatalf("%s: %v, want a number", sql, rows[0][0])
	}
	return n
}
