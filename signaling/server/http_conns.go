package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lookalong/lookalong/signaling/relay"
)

// httpConns bounds the connections that speak plain HTTP or have not asked for anything yet: they share the files that
// are kept besides the sockets. When there are too many, those make room that have waited longest; one whose request is
// being answered never does. Its method is a hook of http.Server.
type httpConns struct {
	max   relay.Room
	now   func() time.Time
	close func(net.Conn) // must not wait: the loop that accepts calls it

	mu   sync.Mutex
	list *list.List // of *httpConn, oldest first
	at   map[net.Conn]*list.Element
}

type httpConn struct {
	net.Conn
	busy  bool
	since time.Time // it waits
}

func newHTTPConns(max relay.Room, now func() time.Time) *httpConns {
	return &httpConns{max: max, now: now, close: func(c net.Conn) { go c.Close() }, // over TLS it may wait for the peer
		list: list.New(), at: map[net.Conn]*list.Element{}}
}

func (h *httpConns) hook(c net.Conn, state http.ConnState) {
	if victim := h.note(c, state); victim != nil {
		h.close(victim) //guard:F25
	}
}

func (h *httpConns) note(c net.Conn, state http.ConnState) (victim net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	el := h.at[c]
	switch {
	case state == http.StateNew:
		h.at[c] = h.list.PushBack(&httpConn{Conn: c, since: h.now()})
		if h.list.Len() > int(h.max) {
			return h.oldest()
		}
	case el == nil: // it made room already
	case state == http.StateActive:
		el.Value.(*httpConn).busy = true
	case state == http.StateIdle:
		el.Value.(*httpConn).busy, el.Value.(*httpConn).since = false, h.now()
		h.list.MoveToBack(el)
	default: // closed, or a socket now
		h.remove(el)
	}
	return nil
}

// oldest takes the one off the list that must make room for the one that has just come.
func (h *httpConns) oldest() net.Conn {
	for el := h.list.Front(); el != nil; el = el.Next() {
		c := el.Value.(*httpConn)
		if c.busy {
			continue
		}
		if !h.max.Full(h.list.Len()-1, h.now().Sub(c.since)) {
			return nil // the others are younger still
		}
		h.remove(el)
		return c.Conn
	}
	return nil
}

func (h *httpConns) remove(el *list.Element) {
	delete(h.at, el.Value.(*httpConn).Conn)
	h.list.Remove(el)
}
