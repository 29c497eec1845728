package server

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/lookalong/lookalong/protocol"
)

// stats are the gateway's counters. Any goroutine.
type stats struct {
	customers, agents        atomic.Int64 // proven sockets that are open
	slow                     atomic.Int64 // sockets closed with 4001
	outboxDepth, outboxBytes atomic.Int64 // the most that ever waited for one socket

	mu      sync.Mutex
	refusal map[protocol.Code]int64 // sockets that were not let in
}

func newStats() *stats { return &stats{refusal: map[protocol.Code]int64{}} }

func (s *stats) refused(code protocol.Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal[code]++
}

// open counts the sockets of a side.
func (s *stats) open(c *conn, n int64) {
	if c.isAgent() {
		s.agents.Add(n)
	} else {
		s.customers.Add(n)
	}
}

// waiting notes how much waits for one socket.
func (s *stats) waiting(depth, bytes int) {
	raise(&s.outboxDepth, int64(depth))
	raise(&s.outboxBytes, int64(bytes))
}

func raise(to *atomic.Int64, n int64) {
	for old := to.Load(); n > old; old = to.Load() {
		if to.CompareAndSwap(old, n) {
			return
		}
	}
}

// refusals is a copy of the counts by reason.
func (s *stats) refusals() map[protocol.Code]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refusal)
}
