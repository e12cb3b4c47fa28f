package embedded

import (
	"context"
	"errors"
	"io"
	"path/filepath"
)

const (
	infoFile = "engine.json" // in the data directory
	lockName = "engine.lock"
	dataName = "clickhouse"
)

// ErrNotBuilt says that this binary holds no embedded engine.
var ErrNotBuilt = errors.New("this usher was built without the embedded engine (build tag noembed, or a " +
	"system it does not exist for): use a ClickHouse server (clickhouse.addr)")

// StartConfig says how to use or start the engine of a data directory.
type StartConfig struct {
	DataDir string
	// Command is the program, with arguments, whose main is Serve on the same data directory.
	Command []string
	// Env is added to the environment of the child.
	Env []string
	// Stderr gets what the child logs; nil drops it.
	Stderr io.Writer
	// Restart starts the child again whenever it ends before Close, on the same port if that is
	// still free.
	Restart bool
}

// Engine is a running engine, one's own or another process's.
type Engine struct{ k *kept }

// Start uses the engine that runs on the data directory, if one answers, else starts one. The
// engine lives at least until Close.
func Start(ctx context.Context, cfg StartConfig) (*Engine, error) {
	if !built {
		return nil, ErrNotBuilt
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if _, err := LibraryPath(); err != nil {
		if _, running := readInfo(filepath.Join(dir, infoFile)); running != nil {
			return nil, err
		}
	}
	k, err := startKept(ctx, childSpec{
		what: "embedded ClickHouse engine", info: filepath.Join(dir, infoFile),
		lock:    filepath.Join(dir, lockName),
		command: cfg.Command, env: cfg.Env, stderr: cfg.Stderr,
	}, cfg.Restart)
	if err != nil {
		return nil, err
	}
	return &Engine{k: k}, nil
}

// Addr is where the engine answers HTTP, host:port.
func (e *Engine) Addr() string { return e.k.now().info.Addr }

// PID is the engine's process.
func (e *Engine) PID() int { return e.k.now().info.PID }

// Owned tells whether this process started the engine; if not, it holds a lease on it.
func (e *Engine) Owned() bool { return e.k.now().lease == nil }

// Gone is closed when the present engine has ended, for whatever reason.
func (e *Engine) Gone() <-chan struct{} { return e.k.now().gone }

// Close lets the engine go. An owned engine that nobody else uses has ended when Close returns.
func (e *Engine) Close() error { return e.k.close() }
