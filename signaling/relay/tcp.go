// STUN/TURN over TCP: one connection is one client. Frames are cut here, because the library would buffer and recurse
// without bound on a client that sends byte by byte, and would wait for ever on one that sends nothing.

package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxTCPConns        = 4096
	maxTCPConnsPerAddr = 256              // an office behind one address
	tcpIdle            = 60 * time.Second // life of a connection that has no relay
	tcpWriteTimeout    = 5 * time.Second  // a client that reads slower is cut off
)

var errFrame = errors.New("relay: neither STUN nor channel data, or too long")

// tcpFront is the TCP listener as the library sees it.
type tcpFront struct {
	net.Listener
	srv *Server
}

func (t tcpFront) Accept() (net.Conn, error) {
	for wait := time.Duration(0); ; {
		c, err := t.Listener.Accept()
		if err == nil {
			if s := t.srv.admit(c); s != nil {
				return s, nil
			}
			c.Close()
			continue
		}
		if t.srv.isClosed() || errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second) // out of file descriptors: others go on
		select {
		case <-t.srv.closed:
			return nil, net.ErrClosed
		case <-time.After(wait):
		}
	}
}

// stream is one accepted connection. Read returns one whole frame at a time.
type stream struct {
	net.Conn
	srv  *Server
	src  source
	in   *bufio.Reader
	once sync.Once

	mu   sync.Mutex
	dies time.Time // without a relay the connection ends then
}

// admit returns nil when there are too many connections, or when the server closes.
func (s *Server) admit(c net.Conn) *stream {
	st := &stream{Conn: c, srv: s, src: sourceOf(c.RemoteAddr()), in: bufio.NewReaderSize(c, maxFrameBytes+1), dies: s.now().Add(tcpIdle)}
	key := addrKey(st.src.addr.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.streams) >= maxTCPConns || s.perAddr[key] >= maxTCPConnsPerAddr {
		return nil
	}
	s.streams[st.src] = st
	s.perAddr[key]++
	s.running.Add(1)
	return st
}

// Read is called by one goroutine only. p has room for a whole frame.
func (c *stream) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		until := c.dies
		c.mu.Unlock()
		if c.srv.relayOf(c.src) != nil {
			until = c.srv.now().Add(allocationLife + refreshSlack)
		}
		if err := c.SetReadDeadline(until); err != nil {
			return 0, err
		}
		head, err := c.in.Peek(4)
		if err != nil {
			return 0, err
		}
		n, size := frameSize(head)
		if n > len(p) {
			return 0, errFrame
		}
		if _, err := io.ReadFull(c.in, p[:n]); err != nil {
			return 0, err
		}
		if c.srv.accept(p[:size], c.src) {
			return n, nil
		}
	}
}

// frameSize returns how many bytes a frame takes on the stream, and without its padding. What is no frame is larger
// than every buffer. (RFC 8656 section 12.5: channel data on a stream is padded to four bytes.)
func frameSize(head []byte) (padded, size int) {
	length := int(binary.BigEndian.Uint16(head[2:]))
	switch head[0] >> 6 {
	case 0:
		padded, size = length+stunHeaderBytes, length+stunHeaderBytes
	case 1:
		padded, size = 4+(length+3)&^3, 4+length
	default:
		padded = maxFrameBytes + 1
	}
	if padded > maxFrameBytes {
		return 1 << 20, 0
	}
	return padded, size
}

// Write cuts a client off that does not read: half a frame cannot be taken back.
func (c *stream) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(tcpWriteTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.Conn.Close()
	}
	return n, err
}

// expire lets the connection live a little longer than its relay: the answer that ended the relay is still to be sent.
func (c *stream) expire() {
	c.mu.Lock()
	c.dies = c.srv.now().Add(tcpWriteTimeout)
	until := c.dies
	c.mu.Unlock()
	c.SetReadDeadline(until)
}

// Close is called by the library at the end of the connection's goroutine.
func (c *stream) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		key := addrKey(c.src.addr.Addr())
		c.srv.mu.Lock()
		delete(c.srv.streams, c.src)
		if c.srv.perAddr[key]--; c.srv.perAddr[key] == 0 {
			delete(c.srv.perAddr, key)
		}
		c.srv.mu.Unlock()
		c.srv.running.Done()
	})
	return err
}
