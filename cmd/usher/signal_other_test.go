//go:build !unix

package main

import (
	"os"
	"testing"
)

func hangUp(t *testing.T, _ *os.Process) { t.Skip("there is no SIGHUP here") }
