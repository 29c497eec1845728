package server

import (
	"context"
	"sync"
	"time"
)

const pingSlots = 120 // of one round; one goroutine pings all sockets, a slot at a time

// registry holds every proven socket, and pings each once in a round. It owns its lists; its methods may be called from
// any goroutine.
type registry struct {
	every time.Duration // between two slots

	mu     sync.Mutex
	slots  [][]*conn
	next   int // slot of the next socket: they are spread evenly
	size   int
	closed bool

	gone chan struct{} // closed once it is closed and empty
}

// place is where the registry keeps a socket.
type place struct{ slot, index int32 }

func newRegistry(round time.Duration) *registry {
	n := min(max(int(round/(10*time.Millisecond)), 1), pingSlots)
	return &registry{every: round / time.Duration(n), slots: make([][]*conn, n), gone: make(chan struct{})}
}

// add takes a socket in; false once the server ends.
func (r *registry) add(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	c.place = place{slot: int32(r.next), index: int32(len(r.slots[r.next]))}
	r.slots[r.next] = append(r.slots[r.next], c)
	r.next = (r.next + 1) % len(r.slots)
	r.size++
	return true
}

// remove forgets a socket that add took in.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.slots[c.place.slot]
	last := len(list) - 1
	list[c.place.index] = list[last]
	list[c.place.index].place = c.place
	list[last] = nil
	r.slots[c.place.slot] = list[:last]
	r.size--
	if r.closed && r.size == 0 {
		close(r.gone)
	}
}

// close refuses further sockets and returns those that are open. It may be called again.
func (r *registry) close() []*conn {
	r.mu.Lock()
	if !r.closed && r.size == 0 {
		close(r.gone)
	}
	r.closed = true
	r.mu.Unlock()
	return r.all()
}

func (r *registry) all() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*conn, 0, r.size)
	for _, list := range r.slots {
		out = append(out, list...)
	}
	return out
}

// run pings until ctx ends. It waits for no socket.
func (r *registry) run(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	var due []*conn
	for slot := 0; ; slot = (slot + 1) % len(r.slots) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		due = append(due[:0], r.slots[slot]...)
		r.mu.Unlock()
		for i, c := range due {
			c.ping()
			due[i] = nil // keeps nothing alive
		}
	}
}
