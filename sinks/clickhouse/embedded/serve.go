//go:build (linux || darwin) && !noembed

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	built              = true
	connectionsDefault = 16
	drainWait          = 15 * time.Second // for requests under way when the engine ends
	closeWait          = 10 * time.Second // for the engine to close its tables
	headerWait         = 10 * time.Second
)

// ServeConfig says what Serve serves.
type ServeConfig struct {
	DataDir string
	Addr    string // default 127.0.0.1:0; only loopback addresses are taken
	// Stdin ends the engine when it closes; nil means that only ctx does.
	Stdin io.Reader
	Log   *slog.Logger // nil logs nothing
	// ConnectionsMax bounds the statements that run at once; default 16, others wait.
	ConnectionsMax int
}

// Serve is the main function of the engine's process: it serves until the last user is gone or ctx
// ends. One process serves one data directory, once.
func Serve(ctx context.Context, cfg ServeConfig) error {
	cfg = cfg.withDefaults()
	ignoreBrokenOutput()
	life := newLifetime(cfg.Stdin)
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("cannot resolve the data directory: %w", err)
	}
	file, err := LibraryPath()
	if err != nil {
		return err
	}
	ln, err := listenLoopback(cfg.Addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	waiting, stop := life.during(ctx)
	defer stop()
	lock, err := awaitLock(waiting, filepath.Join(dir, lockName), lockWait)
	if err != nil {
		return fmt.Errorf("cannot serve %s: %w", dir, err)
	}
	defer lock.Close()
	l, err := openLibrary(file, filepath.Join(dir, dataName))
	if err != nil {
		return err
	}
	defer closeEngine(l, cfg.Log)
	f, err := newFront(l, cfg.ConnectionsMax, life, cfg.Log)
	if err != nil {
		return err
	}
	defer f.pool.close()
	return serveHTTP(ctx, cfg, f, life, ln, filepath.Join(dir, infoFile))
}

func (cfg ServeConfig) withDefaults() ServeConfig {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.ConnectionsMax <= 0 {
		cfg.ConnectionsMax = connectionsDefault
	}
	return cfg
}

func listenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	if !loopback(host) {
		return nil, fmt.Errorf("cannot listen on %q: the embedded engine knows no users, so it answers on "+
			"loopback addresses only; use 127.0.0.1, or a ClickHouse server", addr)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return ln, nil
}

func serveHTTP(ctx context.Context, cfg ServeConfig, f *front, life *lifetime, ln net.Listener, info string) error {
	server := &http.Server{Handler: f, ReadHeaderTimeout: headerWait, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	addr := ln.Addr().String()
	if err := writeInfo(info, childInfo{Addr: addr, Control: addr, PID: os.Getpid()}); err != nil {
		return errors.Join(err, server.Close())
	}
	cfg.Log.Info("embedded engine ready", "addr", addr, "version", EngineVersion)
	select {
	case <-ctx.Done():
	case <-life.ended:
	case err := <-failed:
		return fmt.Errorf("cannot serve on %s: %w", addr, err)
	}
	_ = os.Remove(info) // still under the lock: it names this process
	life.end()
	drain, cancel := context.WithTimeout(context.Background(), drainWait)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		cfg.Log.Warn("requests were cut off at the end", "error", err)
		_ = server.Close()
	}
	cfg.Log.Info("embedded engine ended")
	return nil
}

// closeEngine closes the connection held for the life of the process, which ends the engine. It
// does not wait for ever: the process ends next, and what was acknowledged is on disk already.
func closeEngine(l *library, log *slog.Logger) {
	done := make(chan struct{})
	go func() {
		l.close(l.held)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeWait):
		log.Warn("the engine did not close in time", "wait", closeWait)
	}
}
