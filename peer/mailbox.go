// The way into the loop. pion's callbacks and other goroutines only post; nobody waits.

package peer

import "sync"

// event is something that happens to a Peer; apply runs on the loop goroutine.
type event interface{ apply(*Peer) }

// The mailbox's capacity: some 2 s of a picture at 128 Mbit/s. The loop needs microseconds an event, so a full
// box means that the other side floods or that a callback blocks; either ends the session.
const (
	maxEvents     = 4096
	maxEventBytes = 32 << 20
)

// mailbox is a bounded queue with one reader.
type mailbox struct {
	wake chan struct{} // capacity 1: "look again"

	mu       sync.Mutex
	items    []event
	bytes    int
	overflow bool
	closed   bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post adds an event that holds size bytes of foreign data. It never blocks. Events after an overflow or after
// close are dropped.
func (m *mailbox) post(ev event, size int) {
	m.mu.Lock()
	switch {
	case m.closed || m.overflow:
	case len(m.items) >= maxEvents || m.bytes+size > maxEventBytes:
		m.overflow = true
	default:
		m.items = append(m.items, ev)
		m.bytes += size
	}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take empties the box and reports whether it has ever run over.
func (m *mailbox) take() (items []event, overflow bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	items, m.items, m.bytes = m.items, nil, 0
	return items, m.overflow
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.items = true, nil
}
