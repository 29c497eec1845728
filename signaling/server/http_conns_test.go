package server

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/lookalong/lookalong/signaling/relay"
)

// closing is a connection of which only its identity and Close matter.
type closing struct {
	net.Conn
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// TestPlainConnectionsMakeRoom: the longest waiting one goes, none that is served, and one that left frees its place.
func TestPlainConnectionsMakeRoom(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	h := newHTTPConns(3, c.now)
	h.close = func(c net.Conn) { c.Close() }
	conns := make([]*closing, 40)
	for i := range conns {
		conns[i] = &closing{}
	}
	for _, c := range conns[:3] {
		h.hook(c, http.StateNew)
	}
	h.hook(conns[0], http.StateActive)
	c.t = c.t.Add(relay.SilentAfter)
	h.hook(conns[3], http.StateNew) // 1 waits longest
	h.hook(conns[0], http.StateIdle)
	h.hook(conns[4], http.StateNew) // 2 does now: 0 has just been served
	h.hook(conns[3], http.StateHijacked)
	h.hook(conns[5], http.StateNew) // took the place of the one that became a socket
	for _, i := range []int{0, 4, 5} {
		h.hook(conns[i], http.StateActive)
	}
	h.hook(conns[6], http.StateNew) // all others are served, and it is young
	c.t = c.t.Add(relay.SilentAfter)
	h.hook(conns[7], http.StateNew)
	for i, want := range []bool{false, true, true, false, false, false, true, false} {
		if conns[i].closed != want {
			t.Errorf("connection %d closed: %v, want %v", i, conns[i].closed, want)
		}
	}
	for _, c := range conns[8:] { // however young they are, there are too many in the end
		h.hook(c, http.StateNew)
	}
	if !conns[7].closed || h.list.Len() != 8*3 {
		t.Errorf("%d are kept, the first of the young ones closed: %v", h.list.Len(), conns[7].closed)
	}
	for _, c := range conns {
		h.hook(c, http.StateClosed)
	}
	if h.list.Len() != 0 || len(h.at) != 0 {
		t.Errorf("%d and %d are left", h.list.Len(), len(h.at))
	}
}
