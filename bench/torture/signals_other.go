//go:build !unix

package torture

import "syscall"

// Where processes cannot be stopped, signalling fails and says so.
const (
	sigStop     = syscall.Signal(0x13)
	sigContinue = syscall.Signal(0x12)
)
