// Package mailbox is the queue before a loop that owns state: anybody posts without waiting, the one owner takes.
package mailbox

import "sync"

// Limit is how many items may wait. A loop that is this far behind does not work any more.
const Limit = 20_000

// Box is the queue. Safe for concurrent use; each poster's items keep their order.
type Box[T any] struct {
	// Wake has something to receive when there may be something to Take. Capacity 1.
	Wake chan struct{}

	mu    sync.Mutex
	items []T
	over  bool
}

// New makes an empty box.
func New[T any]() *Box[T] { return &Box[T]{Wake: make(chan struct{}, 1)} }

// Post adds an item and never waits. Beyond Limit it is dropped, and Take says so.
func (b *Box[T]) Post(item T) {
	b.mu.Lock()
	if len(b.items) < Limit {
		b.items = append(b.items, item)
	} else {
		b.over = true
	}
	b.mu.Unlock()
	select {
	case b.Wake <- struct{}{}:
	default:
	}
}

// Take returns what was posted, in order. lost says that items were dropped.
func (b *Box[T]) Take() (items []T, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, lost = b.items, b.over
	b.items, b.over = nil, false
	return items, lost
}
