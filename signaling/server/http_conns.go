package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// httpConns bounds the connections that speak plain HTTP or have not asked for anything yet: they share the files that
// are kept besides the sockets. When there are too many, those make room that have waited longest, for a second at
// least or whatever their age when there are eight times too many; one whose request is being answered never does. Its
// method is a hook of http.Server.
type httpConns struct {
	max   int
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

func newHTTPConns(max int, now func() time.Time) *httpConns {
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
		if h.list.Len() > h.max {
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

func (h *httpConns) oldest() net.Conn {
	for el := h.list.Front(); el != nil; el = el.Next() {
		c := el.Value.(*httpConn)
		if c.busy {
			continue
		}
		if h.now().Sub(c.since) < silentAfter && h.list.Len() <= unprovenTimes*h.max {
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
