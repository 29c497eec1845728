package server

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

const (
	closeTimeout = time.Second // for a close frame, and for the peer to answer it
	keptQueue    = 2           // slots that an empty outbox keeps
	writeBytes   = 16 << 10    // messages that wait for one socket leave together, in writes of about so many bytes
)

// peerGone is the code of a socket that ended by itself: there is nobody to tell.
const peerGone protocol.CloseCode = 0

// outbox is what waits to be written to one socket, in order. There is at most one goroutine that writes, started by
// whoever puts something in, and it ends when all is written.
type outbox struct {
	mu       sync.Mutex
	queue    [][]byte // queue[head:] waits
	head     int
	bytes    int // that wait
	pinging  bool
	ponging  bool
	pong     string // what the peer's last ping carried
	closing  bool
	writing  bool // the goroutine runs
	farewell bool // the close frame was written, or can't be
	readOver bool // the read loop has ended
	code     protocol.CloseCode
	reason   protocol.Code
	flushBy  time.Time // once closing
	renewed  time.Time // when the deadline for writing was put off last
}

// enqueue puts one encoded message in; data is not changed afterwards and may be shared between sockets.
func (c *conn) enqueue(data []byte) {
	limits := &c.srv.cfg.Limits
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	depth := len(c.queue) - c.head + 1
	if depth > limits.OutboxLen || c.bytes+len(data) > limits.OutboxBytes {
		c.mu.Unlock()
		c.close(protocol.CloseSlow, protocol.CodeSlow) //guard:T12
		return
	}
	c.queue = append(c.queue, data)
	c.bytes += len(data)
	bytes := c.bytes
	c.wake()
	c.mu.Unlock()
	c.srv.stats.waiting(depth, bytes)
}

// ping asks the peer for a sign of life.
func (c *conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.pinging = true
		c.wake()
	}
}

// answer sends a pong, if the socket is not read no more than one, the last: RFC 6455 section 5.5.3.
func (c *conn) answer(ping string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.ponging, c.pong = true, ping
		c.wake()
	}
	return nil
}

// wake starts the writer unless it runs. Called with mu held.
func (c *conn) wake() {
	if !c.writing {
		c.writing = true
		c.srv.sockets.Go(c.write) // the read loop is counted too and ends after closing is set: this is never the first
	}
}

// close ends the socket once what is in the outbox is written (not with CloseSlow). Idempotent, returns at once.
func (c *conn) close(code protocol.CloseCode, reason protocol.Code) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.closing, c.code, c.reason = true, code, reason
	if code == peerGone {
		c.mu.Unlock()
		c.log.Info("disconnected", "close", int(code))
		c.ws.Close() // a write that is under way fails at once; over TLS this may wait, so nobody else may
		return
	}
	defer c.log.Info("disconnected", "close", int(code))
	defer c.mu.Unlock()
	wait := flushTimeout
	if code == protocol.CloseSlow {
		c.drop()
		c.srv.stats.slow.Add(1)
		wait = closeTimeout
	}
	// A write that is under way now must not take its full time, nor the read loop.
	c.flushBy = time.Now().Add(wait)
	_ = c.ws.NetConn().SetWriteDeadline(c.flushBy) // the socket may be closed
	_ = c.ws.SetReadDeadline(c.flushBy.Add(closeTimeout))
	c.wake()
}

// drop empties the queue. Called with mu held.
func (c *conn) drop() {
	c.queue, c.head, c.bytes = nil, 0, 0
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// alive puts the end of a silent socket off: not at every message, but in small steps. The read loop's alone.
func (c *conn) alive() error {
	dead, now := c.srv.cfg.Limits.Dead, time.Now()
	if now.Sub(c.heard) < dead/32 {
		return nil
	}
	c.heard = now
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil // its end is fixed
	}
	return c.ws.SetReadDeadline(now.Add(dead))
}

// step is what the writer does next.
type step int

const (
	stepEnd  step = iota
	stepOver      // and so is the socket
	stepWrite
	stepClose
)

// next takes the writer's next step. What it is to write is appended to buf. After stepEnd and stepOver the writer ends.
func (c *conn) next(buf []byte) (step, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing && c.code == peerGone:
		c.drop()
	case c.head < len(c.queue) || !c.closing && (c.pinging || c.ponging):
		c.putOff()
		return stepWrite, c.take(buf)
	case c.closing && !c.farewell:
		c.farewell = true
		return stepClose, buf
	}
	c.writing = false
	if c.readOver {
		return stepOver, buf
	}
	return stepEnd, buf
}

// putOff gives the next write its time. Not at every write, but in small steps: a deadline costs about as much as a
// small write. Called with mu held.
func (c *conn) putOff() {
	limit, now := c.srv.cfg.Limits.Write, time.Now()
	switch {
	case c.closing:
		_ = c.ws.NetConn().SetWriteDeadline(c.flushBy) // as below
	case now.Sub(c.renewed) >= limit/32:
		c.renewed = now
		_ = c.ws.NetConn().SetWriteDeadline(now.Add(limit)) // the socket may be closed: the write says so
	}
}

// take takes what waits off the queue, in frames, up to writeBytes. Called with mu held.
func (c *conn) take(buf []byte) []byte {
	if c.pinging {
		c.pinging = false
		buf = appendFrame(buf, websocket.PingMessage, nil)
	}
	if c.ponging {
		buf = appendFrame(buf, websocket.PongMessage, []byte(c.pong))
		c.ponging, c.pong = false, ""
	}
	for c.head < len(c.queue) && len(buf) < writeBytes {
		data := c.queue[c.head]
		c.queue[c.head] = nil // keeps nothing alive
		c.head++
		c.bytes -= len(data)
		buf = appendFrame(buf, websocket.TextMessage, data)
	}
	if c.head == len(c.queue) {
		c.queue, c.head = c.queue[:0], 0
		if cap(c.queue) > keptQueue {
			c.queue = nil
		}
	}
	return buf
}

// appendFrame appends a server's whole message or control frame: RFC 6455 section 5.2, not masked.
func appendFrame(b []byte, opcode int, payload []byte) []byte {
	const final = 0x80
	b = append(b, final|byte(opcode))
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// buffers are those of the writers that run.
var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, 1024)) }}

// write is the writer: the only one who writes messages to the socket. What gorilla itself writes, the answer to a close
// frame, is one write too and so stands between two of ours.
func (c *conn) write() {
	buf := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 2*writeBytes {
			buffers.Put(buf)
		}
	}()
	for {
		do, data := c.next((*buf)[:0])
		*buf = data
		var err error
		switch do {
		case stepEnd:
			return
		case stepOver:
			c.over()
			return
		case stepWrite:
			_, err = c.ws.NetConn().Write(data)
		case stepClose:
			err = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(c.code), string(c.reason)), c.flushBy.Add(closeTimeout))
			_ = c.ws.SetReadDeadline(time.Now().Add(closeTimeout)) // all is written: the peer may answer until then
		}
		if err != nil {
			c.close(peerGone, "")
			c.mu.Lock()
			c.drop()
			c.farewell = true
			c.mu.Unlock()
			c.ws.Close() // the read loop ends now
		}
	}
}

// readerEnds is the read loop's last word. Whoever ends last, it or the writer, closes the socket and gives its place
// back.
func (c *conn) readerEnds() {
	c.mu.Lock()
	c.readOver = true
	last := !c.writing
	c.mu.Unlock()
	if last {
		c.over()
	}
}

func (c *conn) over() {
	c.ws.Close()
	c.ticket.done()
}

// abort ends the socket without another word, for a server that has no more time.
func (c *conn) abort() { _ = c.ws.NetConn().SetDeadline(time.Now()) } // it may be closed already
