package fault

import (
	"sync/atomic"
	"time"
)

// Clock is a wall clock that can be set. Its zero value tells the true time; Now fits store.Options.Clock.
type Clock struct{ offset atomic.Int64 }

// Now is the time on this clock. It carries no monotonic reading once the clock was set: a jump is seen.
func (c *Clock) Now() time.Time {
	offset := time.Duration(c.offset.Load())
	if offset == 0 {
		return time.Now()
	}
	return time.Now().Round(0).Add(offset)
}

// Jump sets the clock forward, or back.
func (c *Clock) Jump(by time.Duration) { c.offset.Add(int64(by)) }
