package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"

	broker "usher/pipeline/source/kafka/embedded"
	"usher/sinks/clickhouse/embedded"
)

// startEngine starts the embedded ClickHouse of a data directory as a child of this process, or
// joins the one that runs there.
func startEngine(ctx context.Context, dir string) (*embedded.Engine, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find the program's own file: %w", err)
	}
	e, err := embedded.Start(ctx, embedded.StartConfig{
		DataDir: dir, Command: []string{self, "engine", "--data", dir}, Restart: true,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded ClickHouse: %w", err)
	}
	return e, nil
}

// startBroker starts the embedded broker of a data directory as a child of this process.
func startBroker(ctx context.Context, dir string) (*broker.Broker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find the program's own file: %w", err)
	}
	b, err := broker.Start(ctx, broker.StartConfig{
		DataDir: dir, Command: []string{self, "broker", "--data", dir}, Restart: true,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	return b, nil
}

// lockDir keeps two demos from playing on one directory. The lock ends with the process, however
// it ends.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "demo.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	if err := flock(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot play in %s: another usher demo runs there; end it, or use "+
			"another --data", dir)
	}
	return f, nil
}

func topicExists(err error) bool { return errors.Is(err, kerr.TopicAlreadyExists) }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails: the runtime ends the process instead
	return hex.EncodeToString(b)
}

// sameToken compares in constant time.
func sameToken(have, want string) bool {
	return subtle.ConstantTimeCompare([]byte(have), []byte(want)) == 1
}
