package main

import "syscall"

// sleepUntil sleeps to within some 50 µs. Go's own timers wake up to a millisecond late where nothing else happens,
// which would be more than what is measured. The caller's goroutine keeps its thread.
func sleepUntil(at int64) {
	for left := at - now(); left > 0; left = at - now() {
		ts := syscall.NsecToTimespec(left)
		_ = syscall.Nanosleep(&ts, nil) // a signal wakes it early: the loop goes on
	}
}
