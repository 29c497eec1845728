package server

// The end, in an order that loses nothing: no new sockets, those that are open told to come back, the hub, the store.

import (
	"context"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

const (
	drainPerSecond = 500                    // sockets that are told to come back in one second …
	drainTime      = 20 * time.Second       // … or as many more as it takes to be through by then
	drainSlice     = 100 * time.Millisecond // one slice's share of a second
	// endTime is how long the last sockets may take to flush. With drainTime, closeTimeout for HTTP and the store's
	// commit deadline the end comes within 30 s.
	endTime = flushTimeout + closeTimeout
)

// enter counts a socket's handler in; false when the server has ended.
func (s *Server) enter() bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.ended {
		return false
	}
	s.sockets.Add(1)
	return true
}

// drain refuses new sockets and closes the open ones in slices, so that they come back in slices too (F07). It returns
// when they are gone, or when ctx or the time for it is over. The hub works on: what is sent until the close is stored.
func (s *Server) drain(ctx context.Context) {
	s.draining.Store(true) //guard:F07
	s.cfg.Notify("STOPPING=1")
	s.edge.dropSilent()
	open := s.conns.close()
	s.cfg.Log.Info("draining", "connections", len(open))
	for slice := drainSliceSize(len(open)); len(open) > 0; {
		n := min(slice, len(open))
		for _, c := range open[:n] {
			c.close(protocol.CloseRestart, protocol.CodeBusy)
		}
		if open = open[n:]; len(open) > 0 && !sleep(ctx, drainSlice) {
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	select {
	case <-s.conns.gone:
	case <-ctx.Done():
	}
}

// drainSliceSize is how many of n sockets are closed in one slice.
func drainSliceSize(n int) int {
	slices := int(drainTime / drainSlice)
	return max(drainPerSecond*int(drainSlice)/int(time.Second), (n+slices-1)/slices)
}

// end waits for what is left of the sockets once the hub has ended.
func (s *Server) end() {
	s.gate.Lock()
	s.ended = true
	s.gate.Unlock()
	s.draining.Store(true)
	s.edge.dropSilent()
	for _, c := range s.conns.close() {
		c.close(protocol.CloseRestart, protocol.CodeBusy)
	}
	late := time.AfterFunc(endTime, func() {
		for _, c := range s.conns.all() {
			c.abort()
		}
	})
	defer late.Stop()
	s.sockets.Wait()
}

// sleep waits; false when ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
