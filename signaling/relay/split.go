// One TCP port for HTTP and for STUN/TURN (and so one hole in a firewall): the first bytes tell which it is.

package relay

import (
	"bytes"
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// splitTimeout is how long a client may take to say what it speaks, the TLS handshake included.
	splitTimeout = 5 * time.Second
	// maxUndecided is how many connections may be undecided; the oldest makes room for a new one.
	maxUndecided Room = 1000
	// magicCookie stands in bytes 4 to 8 of every STUN message (RFC 8489 section 5).
	magicCookie = 0x2112A442
)

// Splitter accepts from one listener and hands each connection to one of two others. A connection whose first byte is
// 0 to 3 and whose bytes 4 to 8 are the STUN magic cookie goes to STUN; everything else goes to HTTP, garbage included.
// The first byte of HTTP and of TLS is never below 4. Connections are handed on unread, but wrapped: they are not a
// *tls.Conn any more when the listener was a TLS one.
type Splitter struct {
	// Direct, when it is set before Run, is offered each HTTP connection with the bytes that came first: it takes it over
	// (true) or leaves it to HTTP. It must not wait, and the bytes are its own only until it returns.
	Direct func(c net.Conn, first []byte) bool

	listener   net.Listener
	http, stun *half

	now       func() time.Time
	mu        sync.Mutex
	undecided *list.List // of *pending, oldest first
	closed    chan struct{}
	once      sync.Once
}

// Split returns a Splitter over l, which it owns from now on. It starts nothing: call Run.
func Split(l net.Listener) *Splitter {
	s := &Splitter{listener: l, now: time.Now, undecided: list.New(), closed: make(chan struct{})}
	// Unbuffered: a connection waits here until somebody accepts it.
	s.http = &half{addr: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	s.stun = &half{addr: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	return s
}

// HTTP returns the listener of HTTP connections. Closing it refuses further ones and leaves STUN alone.
func (s *Splitter) HTTP() net.Listener { return s.http }

// STUN returns the listener of STUN connections. Closing it refuses further ones and leaves HTTP alone.
func (s *Splitter) STUN() net.Listener { return s.stun }

// Run accepts connections until ctx ends, Close is called or the listener fails for good. It closes the listener,
// both halves and all undecided connections, and returns when its goroutines have ended: nil after an end that was
// asked for, else the listener's error. Connections that were handed on are not touched.
func (s *Splitter) Run(ctx context.Context) error {
	var peeks sync.WaitGroup
	defer peeks.Wait()
	defer s.Close()
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	wait := time.Duration(0)
	for {
		c, err := s.listener.Accept()
		switch {
		case err == nil:
			wait = 0
			p := &pending{conn: c, dropped: make(chan struct{})}
			s.add(p)
			peeks.Go(func() {
				defer s.remove(p)
				s.decide(p)
			})
			continue
		case s.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of file descriptors, or a client that went before it was accepted: others must still be served.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		select {
		case <-s.closed:
		case <-time.After(wait):
		}
	}
}

// Close ends Run and returns at once. It may be called from any goroutine and more than once.
func (s *Splitter) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.listener.Close()
		s.http.Close()
		s.stun.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for e := s.undecided.Front(); e != nil; e = e.Next() {
			e.Value.(*pending).drop()
		}
	})
}

func (s *Splitter) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// pending is a connection that has not said yet what it speaks.
type pending struct {
	conn    net.Conn
	since   time.Time
	element *list.Element
	dropped chan struct{}
	once    sync.Once
}

func (p *pending) drop() {
	p.once.Do(func() {
		close(p.dropped)
		p.conn.Close()
	})
}

func (s *Splitter) add(p *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.since = s.now()
	for s.undecided.Len() > 0 {
		oldest := s.undecided.Front().Value.(*pending)
		if !maxUndecided.Full(s.undecided.Len(), p.since.Sub(oldest.since)) {
			break
		}
		s.undecided.Remove(oldest.element)
		oldest.drop() //guard:T10
	}
	p.element = s.undecided.PushBack(p)
	if s.isClosed() {
		p.drop()
	}
}

// remove takes p off the undecided, if it is there.
func (s *Splitter) remove(p *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undecided.Remove(p.element)
}

func (s *Splitter) decide(p *pending) {
	if err := p.conn.SetReadDeadline(time.Now().Add(splitTimeout)); err != nil {
		p.drop()
		return
	}
	b := firsts.Get().(*[]byte)
	defer firsts.Put(b)
	first, isSTUN, err := sniff(p.conn, *b)
	if err != nil || p.conn.SetReadDeadline(time.Time{}) != nil {
		p.drop()
		return
	}
	s.remove(p) // it has spoken: in a storm the silent ones make room, not those that wait for their turn
	to := s.http
	switch {
	case isSTUN:
		to = s.stun
	case s.Direct != nil && s.Direct(p.conn, first):
		return
	}
	select {
	case to.conns <- &peeked{Conn: p.conn, first: bytes.Clone(first)}:
	case <-to.closed:
		p.drop()
	case <-p.dropped:
	}
}

// firsts are the buffers for what comes first: they hold a whole WebSocket handshake of a browser with few cookies.
var firsts = sync.Pool{New: func() any { return new(make([]byte, 2<<10)) }}

// sniff reads until it can tell, and returns what it has read: a part of b, which has room for 8 bytes at least.
func sniff(c net.Conn, b []byte) (first []byte, isSTUN bool, err error) {
	n := 0
	for n < 8 {
		m, err := c.Read(b[n:])
		n += m
		if n > 0 && b[0] > 3 {
			return b[:n], false, nil
		}
		if err != nil && n < 8 {
			return nil, false, err
		}
	}
	return b[:n], binary.BigEndian.Uint32(b[4:]) == magicCookie, nil
}

// half is one of the two listeners of a Splitter.
type half struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (h *half) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *half) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *half) Addr() net.Addr { return h.addr }

// peeked is a connection whose first bytes were read already. Reads must not run at the same time, which neither HTTP
// nor STUN does.
type peeked struct {
	net.Conn
	first []byte
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		if p.first = p.first[n:]; len(p.first) == 0 {
			p.first = nil // keeps nothing alive
		}
		return n, nil
	}
	return p.Conn.Read(b)
}

// CloseWrite lets net/http end its direction first, so that a client can read the last answer.
func (p *peeked) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
