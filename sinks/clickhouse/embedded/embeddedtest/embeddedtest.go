// Package embeddedtest gives tests the real ClickHouse engine. A test package that imports it can
// start engines: each is a child process, the test binary itself run again, on a directory that
// lasts as long as the test.
package embeddedtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"usher/sinks/clickhouse/embedded"
)

const (
	childEnv   = "USHER_TEST_ENGINE_DIR" // set in the child only
	requireEnv = "USHER_REQUIRE_ENGINE"  // 1: a missing library fails the test
)

// The child is this very binary: it serves instead of running tests.
func init() {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	err := embedded.Serve(context.Background(), embedded.ServeConfig{DataDir: dir, Stdin: os.Stdin,
		Log: log})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Start starts an engine on a new directory and returns its address, host:port. It ends with the
// test. Without the library the test is skipped, or fails where USHER_REQUIRE_ENGINE=1.
func Start(t testing.TB) (addr string) {
	t.Helper()
	return StartIn(t, t.TempDir()).Addr()
}

// StartIn starts an engine on dir, which may hold the data of an earlier one.
func StartIn(t testing.TB, dir string) *embedded.Engine {
	t.Helper()
	if _, err := embedded.LibraryPath(); err != nil {
		if os.Getenv(requireEnv) == "1" {
			t.Fatalf("%s=1: %v", requireEnv, err)
		}
		t.Skipf("skipped: %v", err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e, err := embedded.Start(t.Context(), embedded.StartConfig{
		DataDir: dir, Command: []string{program}, Env: []string{childEnv + "=" + dir},
		Stderr: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}
