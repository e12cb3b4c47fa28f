//go:build unix

package broker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// lockFile takes an exclusive lock that the kernel drops when the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, filePerm)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	return f, nil
}

// ownGroup keeps a terminal's Ctrl-C from the child: the parent finishes its work first and then
// lets the child go.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// ignoreBrokenOutput lets a child whose parent was killed end cleanly: without it, its next line to
// the standard error nobody reads any more would end it in the middle of its work.
func ignoreBrokenOutput() { signal.Ignore(syscall.SIGPIPE) }
