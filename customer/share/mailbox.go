// The queue before the loop: callbacks of the client, the peer and the encoder post and never wait.

package share

import "sync"

// maxPosts is how many may wait. A loop that is this far behind does not work any more.
const maxPosts = 20_000

type mailbox struct {
	wake chan struct{} // capacity 1: "look again"

	mu    sync.Mutex
	items []func(*app)
	over  bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (m *mailbox) post(fn func(*app)) {
	m.mu.Lock()
	if len(m.items) < maxPosts {
		m.items = append(m.items, fn)
	} else {
		m.over = true
	}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() (items []func(*app), over bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	items, over = m.items, m.over
	m.items = nil
	return items, over
}
