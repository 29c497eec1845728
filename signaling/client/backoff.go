package client

// When to come back: a pure function, so that its tests need no clock.

import (
	"math/rand/v2"
	"time"
)

const (
	firstRetry  = 500 * time.Millisecond
	maxRetry    = 20 * time.Second
	stableAfter = 10 * time.Second // a connection that lived this long was a good one
)

// Backoff says how long to wait before the next try. attempt 0 is the first after a good connection: spread over
// the time that the server named, so that all clients do not come back at once. Attempt n ≥ 1: full jitter, up to
// 0.5 s doubling to 20 s. random is in [0, 1).
func Backoff(attempt int, spread time.Duration, random float64) time.Duration {
	limit := spread
	if attempt > 0 {
		limit = maxRetry
		if shift := attempt - 1; shift < 6 {
			limit = min(maxRetry, firstRetry<<shift)
		}
	}
	return time.Duration(random * float64(limit))
}

func randomFraction() float64 { return rand.Float64() }
