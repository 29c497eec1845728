package viewer

// The frames of one stream on their way to the viewer pages: those since the last key frame, bounded, and the still
// of the newest. A page that joins begins with that chain; one that falls behind waits for the next key frame, which
// is asked for.

import (
	"slices"
	"sync"

	"github.com/lookalong/lookalong/protocol"
)

// Bounds of the chain that is kept.
const (
	maxChainFrames = 120
	maxChainBytes  = 8 << 20 // a chain is at least one frame, whatever its size (at most protocol.MaxFrameBytes)
	maxBehind      = 60      // frames that a page may have to take when the chain is shortened
)

// Queue holds the chain since the last key frame. Safe for concurrent use; nothing in it waits.
type Queue struct {
	needKey func() // called without the lock held

	mu      sync.Mutex
	frames  []*protocol.Frame
	base    uint64 // index of frames[0]
	bytes   int
	whole   bool            // frames begins with a key frame, and none is missing
	last    uint32          // number of the newest frame
	any     bool            // last is valid
	still   *protocol.Frame // the last one, or nil
	readers map[*Reader]struct{}
}

// Reader is one page's place in a Queue.
type Reader struct {
	waker chan<- struct{} // capacity 1: something may be there to Take
	next  uint64
	lost  bool // waits for a key frame
	still bool // has not taken the queue's still
}

// NewQueue makes an empty queue. needKey is called when a reader can only go on with a key frame; it must not block.
func NewQueue(needKey func()) *Queue {
	return &Queue{needKey: needKey, readers: map[*Reader]struct{}{}}
}

// Push appends a frame of the stream, in order. A frame whose predecessor is missing ends the chain.
func (q *Queue) Push(f *protocol.Frame) {
	if q.push(f) {
		q.needKey()
	}
}

func (q *Queue) push(f *protocol.Frame) (needKey bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case f.Kind == protocol.FrameKey:
		q.cut()
		q.whole = true
		for r := range q.readers {
			r.lost = false
		}
	case q.any && f.Frame != q.last+1 && f.Kind == protocol.FrameDelta:
		q.cut()
		for r := range q.readers {
			r.lost = true
		}
	case len(q.frames) >= maxChainFrames || q.bytes+len(f.Data) > maxChainBytes:
		q.shorten(len(f.Data))
	}
	q.last, q.any = f.Frame, true
	q.frames = append(q.frames, f)
	q.bytes += len(f.Data)
	for r := range q.readers {
		if r.lost {
			needKey = true
			continue
		}
		r.wake()
	}
	return needKey
}

// Still takes the lossless picture of a frame, for each page that is there: each is told, also when it shows something
// newer by then, and shows nothing that is older.
func (q *Queue) Still(f *protocol.Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.still = f
	for r := range q.readers {
		r.still = true
		r.wake()
	}
}

// cut drops the chain. Readers that had not taken all of it are lost.
func (q *Queue) cut() {
	end := q.base + uint64(len(q.frames))
	for r := range q.readers {
		if r.next < end {
			r.lost = true
		}
		r.next = end
	}
	q.frames, q.base, q.bytes, q.whole = nil, end, 0, false
}

// shorten drops what every page has taken, a moment's burst is waited for; new pages need a key frame from now on. A page
// that is far behind needs one too, and the others do not wait for it.
func (q *Queue) shorten(coming int) {
	end := q.base + uint64(len(q.frames))
	low := end
	for r := range q.readers {
		if r.lost = r.lost || end-r.next > maxBehind; !r.lost {
			low = min(low, r.next)
		}
	}
	n := low - q.base
	for _, f := range q.frames[:n] {
		q.bytes -= len(f.Data)
	}
	q.frames, q.base, q.whole = slices.Clone(q.frames[n:]), low, false
	if q.bytes+coming > maxChainBytes {
		q.cut()
	}
}

// Reset forgets everything: another session begins.
func (q *Queue) Reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cut()
	q.any, q.still = false, nil
	for r := range q.readers {
		r.lost = true
	}
}

// Join adds a reader. It begins with the chain since the last key frame where that is whole, else with the next
// key frame, which is asked for. waker is told when something may be there; its capacity is 1, and the readers of
// several queues may share it.
func (q *Queue) Join(waker chan<- struct{}) *Reader {
	q.mu.Lock()
	r := &Reader{waker: waker, next: q.base, lost: !q.whole, still: q.still != nil && q.still.Frame == q.last}
	ask := r.lost && q.any
	q.readers[r] = struct{}{}
	r.wake()
	q.mu.Unlock()
	if ask {
		q.needKey()
	}
	return r
}

// Leave removes a reader.
func (q *Queue) Leave(r *Reader) {
	q.mu.Lock()
	delete(q.readers, r)
	q.mu.Unlock()
}

// Lose makes a reader wait for the next key frame, which is asked for: its page could not decode.
func (q *Queue) Lose(r *Reader) {
	q.mu.Lock()
	r.lost = true
	q.mu.Unlock()
	q.needKey()
}

// Take returns the next frame for r, or nil when there is none now.
func (q *Queue) Take(r *Reader) *protocol.Frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := int(r.next - q.base)
	if r.lost {
		return nil
	}
	if i >= len(q.frames) {
		if !r.still {
			return nil
		}
		r.still = false
		return q.still
	}
	r.next++
	return q.frames[i]
}

// wake tells the reader's goroutine to look; it never waits.
func (r *Reader) wake() {
	select {
	case r.waker <- struct{}{}:
	default:
	}
}
