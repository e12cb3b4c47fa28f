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
	drainWait          = 12 * time.Second // for requests under way when the engine ends
	closeWait          = 4 * time.Second  // for the engine to close its tables
	headerWait         = 10 * time.Second
)

// ServeConfig says what Serve serves.
type ServeConfig struct {
	DataDir string
	Addr    string // default: some free port of 127.0.0.1; only loopback addresses are taken
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
	waiting, stop := life.during(ctx)
	defer stop()
	lock, err := awaitLock(waiting, filepath.Join(dir, lockName), lockWait)
	if err != nil {
		return fmt.Errorf("cannot serve %s: %w", dir, err)
	}
	defer lock.Close()
	ln, err := listen(cfg.Addr, filepath.Join(dir, infoFile))
	if err != nil {
		return err
	}
	defer ln.Close()
	l, err := openLibrary(file, filepath.Join(dir, dataName))
	if err != nil {
		return err
	}
	f, err := newFront(l, cfg.ConnectionsMax, life, cfg.Log)
	if err != nil {
		return err
	}
	defer closeEngine(f)
	cfg.DataDir = dir
	return f.serve(ctx, cfg, life, ln)
}

func (cfg ServeConfig) withDefaults() ServeConfig {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.ConnectionsMax <= 0 {
		cfg.ConnectionsMax = connectionsDefault
	}
	return cfg
}

// listen listens on addr or, if that is empty, on the port that the last engine of the directory had
// when it was killed, if that is free: clients that outlived it still look there.
func listen(addr, info string) (net.Listener, error) {
	if addr != "" {
		return listenLoopback(addr)
	}
	if last, err := readInfo(info); err == nil {
		if ln, err := listenLoopback(last.Addr); err == nil {
			return ln, nil
		}
	}
	return listenLoopback("127.0.0.1:0")
}

func listenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	if !loopback(host) {
		return nil,
			fmt.Errorf("cannot listen on %q: the embedded engine knows no users, so it answers on "+
				"loopback addresses only; use 127.0.0.1, or a ClickHouse server", addr)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return ln, nil
}

// serve answers on ln until the last user is gone or ctx ends, then finishes what is under way.
func (f *front) serve(ctx context.Context, cfg ServeConfig, life *lifetime, ln net.Listener) error {
	server := &http.Server{Handler: f, ReadHeaderTimeout: headerWait,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)}
	info := filepath.Join(cfg.DataDir, infoFile)
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

// closeEngine closes every connection, the one held for the life of the process last, which ends the
// engine. The library has been seen to hang in this, so it has a limit: the process ends next, and
// what was acknowledged is on disk already.
func closeEngine(f *front) {
	done := make(chan struct{})
	go func() {
		f.pool.close()
		f.l.close(f.l.held)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeWait):
		f.log.Warn("the engine did not close in time; what it acknowledged is safe", "wait", closeWait)
	}
}
