package impair

import (
	"syscall"
	"time"
)

// sleepUntil sleeps to within some 50 µs. Go's own timers wake up to a millisecond late where nothing else happens,
// which would let packets of a fast line arrive in bunches. The caller's goroutine keeps its thread.
func sleepUntil(at time.Time) {
	for left := time.Until(at); left > 0; left = time.Until(at) {
		ts := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&ts, nil) // a signal wakes it early: the loop goes on
	}
}
