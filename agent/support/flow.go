package support

// One stream's frames as they pass: how many, which are painted, and which acknowledgement waits for that.

import (
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// flow counts one stream of a session. config and level belong to the controller's goroutine.
type flow struct {
	config *protocol.ScreenConfig
	level  string // of protocol.ScreenLevel; "" before it was told

	mu       sync.Mutex
	frames   int
	bytes    int
	since    time.Time
	first    bool
	received map[uint32]int64 // arrival of frames that no page has painted yet, Unix milliseconds
	order    []uint32
	newest   uint32
	seen     bool // the newest has been painted
	held     bool // its acknowledgement waits for that
}

const (
	unpainted   = 256                    // frames whose painting is waited for
	ackPatience = 200 * time.Millisecond // that an acknowledgement waits for it; looked at each second
)

func (f *flow) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config, f.level = nil, ""
	f.frames, f.bytes, f.first = 0, 0, false
	f.since = time.Now()
	f.received, f.order = map[uint32]int64{}, nil
	f.seen, f.held = false, false
}

// add notes a frame; first: it is the first one; held: a page has painted the one before it, and will soon have painted
// this one: what tells of that acknowledges it too.
func (f *flow) add(frame *protocol.Frame, receivedMs int64) (first, held bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frames++
	f.bytes += len(frame.Data)
	f.received[frame.Frame] = receivedMs
	if f.order = append(f.order, frame.Frame); len(f.order) > unpainted {
		delete(f.received, f.order[0])
		f.order = f.order[1:]
	}
	first, f.first = !f.first, true
	f.newest, f.held, f.seen = frame.Frame, f.seen, false
	return first, f.held
}

// overdue returns the newest frame if it has waited for its painting for so long: it is acknowledged without that, once.
func (f *flow) overdue(patience time.Duration) (frame uint32, receivedMs int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	receivedMs = f.received[f.newest]
	ok = f.held && time.Now().UnixMilli()-receivedMs >= patience.Milliseconds()
	f.held = f.held && !ok
	return f.newest, receivedMs, ok
}

// begun reports whether a frame has come.
func (f *flow) begun() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

// painted returns the arrival of a frame, once.
func (f *flow) painted(frame uint32) (receivedMs int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	receivedMs, ok = f.received[frame]
	delete(f.received, frame)
	if frame == f.newest {
		f.seen, f.held = true, false
	}
	return receivedMs, ok
}

// rates are those since the last call.
func (f *flow) rates(now time.Time) (bitsPerSec, fps float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := now.Sub(f.since).Seconds(); s > 0 {
		bitsPerSec, fps = float64(f.bytes)*8/s, float64(f.frames)/s
	}
	f.bytes, f.frames, f.since = 0, 0, now
	return bitsPerSec, fps
}
