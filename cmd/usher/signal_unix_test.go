//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
)

func hangUp(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
