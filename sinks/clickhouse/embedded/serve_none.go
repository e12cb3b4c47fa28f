//go:build noembed || !(linux || darwin)

package embedded

import (
	"context"
	"io"
	"log/slog"
)

const built = false

// ServeConfig says what Serve serves.
type ServeConfig struct {
	DataDir        string
	Addr           string
	Stdin          io.Reader
	Log            *slog.Logger
	ConnectionsMax int
}

// Serve reports that this binary holds no engine.
func Serve(context.Context, ServeConfig) error { return ErrNotBuilt }
