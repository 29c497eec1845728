package server

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
)

// conn is one proven socket. Its read loop runs on the handler's goroutine and posts to the hub; its write loop owns
// all writes. Anybody may call send, fail and close; none of them waits.
type conn struct {
	id     protocol.ConnID
	ws     *websocket.Conn
	from   protocol.Sender // protocol.Customer or protocol.Agent
	ip     string
	host   string // host name that the client dialled, without the port
	log    *slog.Logger
	limit  *rate.Limiter
	bad    int // read loop only
	out    chan []byte
	queued atomic.Int64 // bytes in out

	once    sync.Once
	closing chan struct{}
	hubDone <-chan struct{}    // the server stops
	code    protocol.CloseCode // set before closing is closed
	reason  string

	identity
	hubState // owned by the hub's goroutine
}

// identity is who proved to be at the other end.
type identity struct {
	customer   string // customer id; empty for an agent
	key        string // thumbprint of the customer's device key
	agent      string // agent id; empty for a customer
	device     string
	name       string // agent's display name
	role       string
	generation int
}

func (c *conn) isAgent() bool { return c.agent != "" }

// send encodes a message into the outbox. A full outbox closes the socket with CloseSlow: the client may come back
// and catch up from the store.
func (c *conn) send(msg any) { c.enqueue(protocol.Encode(msg)) }

func (c *conn) enqueue(data []byte) {
	if c.queued.Add(int64(len(data))) > outboxBytes {
		c.close(protocol.CloseSlow, protocol.CodeSlow) //guard:T12
		return
	}
	select {
	case c.out <- data:
	default:
		c.close(protocol.CloseSlow, protocol.CodeSlow) //guard:T12
	}
}

// fail answers a request with an error. Errors that are not for people are logged in full and answered as internal.
func (c *conn) fail(id protocol.RequestID, err error) {
	user, ok := errors.AsType[*protocol.UserError](err)
	if !ok {
		c.log.Error("request failed", "err", err)
		user = protocol.Userf(protocol.CodeInternal, "Something went wrong on the server. Try again; if it stays, tell the operator.")
	}
	c.send(protocol.Error{ID: id, Code: user.Code, Text: user.Text, RetryAfterMs: user.RetryAfterMs})
}

// peerGone is the code of a socket that ended by itself: there is nobody to tell.
const peerGone protocol.CloseCode = 0

// close ends the socket once what is in the outbox is written (not with CloseSlow). Idempotent, returns at once.
func (c *conn) close(code protocol.CloseCode, reason protocol.Code) {
	c.once.Do(func() {
		c.log.Info("disconnected", "close", int(code))
		c.code, c.reason = code, string(reason)
		close(c.closing)
		if code == protocol.CloseSlow { // a write that is under way now must not take its full time
			_ = c.ws.NetConn().SetWriteDeadline(time.Now().Add(time.Second)) // the socket may be closed
		}
	})
}

// readLoop reads until the socket ends. handle is called for each message, in order.
func (c *conn) readLoop(handle func(any)) {
	alive := func(string) error { return c.ws.SetReadDeadline(time.Now().Add(deadAfter)) }
	c.ws.SetPongHandler(alive)
	for {
		if alive("") != nil {
			return
		}
		kind, data, err := c.ws.ReadMessage()
		if err != nil {
			switch timeout, isNet := errors.AsType[net.Error](err); {
			case errors.Is(err, websocket.ErrReadLimit):
				c.close(protocol.CloseTooLarge, protocol.CodeTooLarge)
			case isNet && timeout.Timeout():
				c.close(protocol.CloseIdle, protocol.CodeIdle)
			default:
				c.close(peerGone, "")
			}
			return
		}
		if wait := c.limit.Reserve().Delay(); wait > 0 {
			select { // a flooding socket is read no faster than this; TCP pushes back on it alone
			case <-time.After(wait):
			case <-c.closing:
				return
			}
		}
		if kind != websocket.TextMessage {
			c.badMessage(&protocol.BadMessageError{Reason: "not a text frame"})
			continue
		}
		msg, err := protocol.Decode(data, c.from)
		if bad, ok := errors.AsType[*protocol.BadMessageError](err); ok {
			c.badMessage(bad)
			continue
		}
		handle(msg)
	}
}

// badMessage answers a message that breaks the contract; the third closes the socket.
func (c *conn) badMessage(err *protocol.BadMessageError) {
	c.bad++
	c.log.Warn("bad message", "type", err.Type, "err", err.Reason, "count", c.bad)
	c.send(protocol.Error{ID: err.ID, Code: protocol.CodeBadMessage, Text: "The server does not understand this program: " + err.Error() + ". Update it, or reload the page."})
	if c.bad >= badToClose {
		c.close(protocol.CloseBadMessage, protocol.CodeBadMessage) //guard:T09
	}
}

// writeLoop is the only writer of the socket. It returns when the socket is closed.
func (c *conn) writeLoop() {
	defer c.ws.Close()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case data := <-c.out:
			if !c.write(data) {
				return
			}
		case <-ping.C:
			if c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)) != nil {
				return
			}
		case <-c.hubDone:
			c.close(protocol.CloseRestart, protocol.CodeBusy)
			c.hubDone = nil
		case <-c.closing:
			if c.code == peerGone {
				return
			}
			deadline := time.Now().Add(flushTimeout)
			for c.code != protocol.CloseSlow && len(c.out) > 0 {
				if !c.writeBy(<-c.out, deadline) {
					return
				}
			}
			frame := websocket.FormatCloseMessage(int(c.code), c.reason)
			_ = c.ws.WriteControl(websocket.CloseMessage, frame, time.Now().Add(time.Second)) // the peer may be gone
			return
		}
	}
}

func (c *conn) write(data []byte) bool { return c.writeBy(data, time.Now().Add(writeTimeout)) }

func (c *conn) writeBy(data []byte, deadline time.Time) bool {
	c.queued.Add(-int64(len(data)))
	return c.ws.SetWriteDeadline(deadline) == nil && c.ws.WriteMessage(websocket.TextMessage, data) == nil
}
