package broker

import (
	"context"
	"io"
	"path/filepath"
)

// StartConfig says how to use or start the broker of a data directory.
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

// Broker is a running embedded broker, one's own or another process's.
type Broker struct{ k *kept }

// Start uses the broker that runs on the data directory, if one answers, else starts one. The
// broker lives at least until Close.
func Start(ctx context.Context, cfg StartConfig) (*Broker, error) {
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	k, err := startKept(ctx, childSpec{
		what: "embedded broker", info: filepath.Join(dir, infoFile), lock: filepath.Join(dir,
			lockName),
		command: cfg.Command, env: cfg.Env, stderr: cfg.Stderr,
	}, cfg.Restart)
	if err != nil {
		return nil, err
	}
	return &Broker{k: k}, nil
}

// Addr is the broker's address, host:port, for kgo.SeedBrokers.
func (b *Broker) Addr() string { return b.k.now().info.Addr }

// PID is the broker's process.
func (b *Broker) PID() int { return b.k.now().info.PID }

// Owned tells whether this process started the broker; if not, it holds a lease on it.
func (b *Broker) Owned() bool { return b.k.now().lease == nil }

// Gone is closed when the present broker has ended, for whatever reason.
func (b *Broker) Gone() <-chan struct{} { return b.k.now().gone }

// Close lets the broker go. An owned broker that nobody else uses has ended when Close returns.
func (b *Broker) Close() error { return b.k.close() }
