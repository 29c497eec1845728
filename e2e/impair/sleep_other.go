//go:build !linux

package impair

import "time"

// sleepUntil is less precise here: figures are taken on Linux.
func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }
