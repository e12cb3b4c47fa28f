//go:build unix

package main

import (
	"os"
	"syscall"
)

// flock takes a lock that the kernel drops when the process ends; it fails when another has it.
func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
