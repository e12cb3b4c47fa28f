package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// usherBinary is the real binary, built once for the tests of this package.
var usherBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "usher-cli-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	usherBinary = filepath.Join(dir, "usher")
	out, err := exec.Command("go", "build", "-o", usherBinary, ".").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot build usher: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// call is one run of the binary.
type call struct {
	args  []string
	env   []string // beside PATH and HOME
	stdin string
	dir   string // working directory; empty: a new one
}

// ran is what came of it.
type ran struct {
	code        int
	stdout, err string
}

// usher runs the binary.
func usher(t *testing.T, args ...string) ran { return call{args: args}.run(t) }

func (c call) run(t *testing.T) ran {
	t.Helper()
	if c.dir == "" {
		c.dir = t.TempDir()
	}
	cmd := exec.Command(usherBinary, c.args...)
	cmd.Dir, cmd.Stdin = c.dir, strings.NewReader(c.stdin)
	for _, name := range []string{"PATH", "HOME", "USHER_LIBCHDB", "XDG_CACHE_HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, c.env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{code: cmd.ProcessState.ExitCode(), stdout: out.String(), err: errOut.String()}
}

// good runs the binary and fails the test unless it ends with 0.
func (c call) good(t *testing.T) ran {
	t.Helper()
	r := c.run(t)
	if r.code != exitDone {
		t.Fatalf("usher %q: exit code %d\n%s%s", c.args, r.code, r.stdout, r.err)
	}
	return r
}

// has fails the test unless text holds every one of want.
func has(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

// write makes a file in a new directory.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
