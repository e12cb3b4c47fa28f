package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Whose processor time cpuOf tells.
const (
	process = unix.RUSAGE_SELF
	thread  = unix.RUSAGE_THREAD
)

func cpuOf(who int) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		panic("BUG: getrusage knows both: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onOneThread keeps the goroutine on its thread until the returned function is called.
func onOneThread() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
