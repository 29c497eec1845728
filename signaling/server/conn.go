package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
)

// conn is one proven socket. An idle one costs its read loop's goroutine and little else: what waits to be written is
// a slice, and the goroutine that writes it (see outbox.go) lives only while there is something. Anybody may call send,
// fail and close; none of them waits.
type conn struct {
	id     protocol.ConnID
	ws     *websocket.Conn
	srv    *Server
	ticket *ticket
	from   protocol.Sender // protocol.Customer or protocol.Agent
	ip     string
	host   string // host name that the client dialled, without the port
	log    connLog
	place            // owned by the registry
	bad    int       // read loop only
	heard  time.Time // read loop only: when its end was put off last
	outbox

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

// connLog writes log lines with the socket's id. It makes its logger when there is a line to write: ten thousand idle
// sockets have none.
type connLog struct {
	to *slog.Logger
	id protocol.ConnID
}

func (l connLog) Debug(msg string, args ...any) { l.write(slog.LevelDebug, msg, args) }
func (l connLog) Info(msg string, args ...any)  { l.write(slog.LevelInfo, msg, args) }
func (l connLog) Warn(msg string, args ...any)  { l.write(slog.LevelWarn, msg, args) }
func (l connLog) Error(msg string, args ...any) { l.write(slog.LevelError, msg, args) }

func (l connLog) write(level slog.Level, msg string, args []any) {
	if l.to.Enabled(context.Background(), level) {
		l.to.With("conn", l.id).Log(context.Background(), level, msg, args...)
	}
}

// send encodes a message into the outbox. A full outbox closes the socket with CloseSlow: the client may come back
// and catch up from the store.
func (c *conn) send(msg any) { c.enqueue(protocol.Encode(msg)) }

// fail answers a request with an error. Errors that are not for people are logged in full and answered as internal.
func (c *conn) fail(id protocol.RequestID, err error) {
	user, ok := errors.AsType[*protocol.UserError](err)
	if !ok {
		c.log.Error("request failed", "err", err)
		user = protocol.Userf(protocol.CodeInternal, "Something went wrong on the server. Try again; if it stays, tell the operator.")
	}
	c.send(protocol.Error{ID: id, Code: user.Code, Text: user.Text, RetryAfterMs: user.RetryAfterMs})
}

// serve is the socket's life: it joins the hub, reads until the socket ends, and leaves. Its goroutine is all that an
// idle socket has.
func (c *conn) serve() {
	s := c.srv
	s.stats.open(c, 1)
	defer s.stats.open(c, -1)
	defer c.readerEnds()
	if !s.conns.add(c) {
		c.close(protocol.CloseRestart, protocol.CodeBusy)
		c.readLoop(func(any) {})
		return
	}
	defer s.conns.remove(c)
	if !s.hub.post(func(h *hub) { h.join(c) }) {
		c.close(protocol.CloseRestart, protocol.CodeBusy)
	}
	c.readLoop(s.received(c))
	s.hub.post(func(h *hub) { h.leave(c) })
}

// readLoop reads until the socket ends. handle is called for each message, in order. Once the socket is being closed
// it reads on for a moment and drops what comes: a socket that is closed with unread bytes is reset, and the reset may
// overtake the close frame.
func (c *conn) readLoop(handle func(any)) {
	c.ws.SetPongHandler(func(string) error { return c.alive() })
	c.ws.SetPingHandler(c.answer)
	var limit *rate.Limiter // made when there is something to limit
	for {
		if c.alive() != nil {
			c.close(peerGone, "")
			return
		}
		kind, data, err := c.ws.ReadMessage()
		if err != nil {
			switch timeout, isNet := errors.AsType[net.Error](err); {
			case errors.Is(err, websocket.ErrReadLimit):
				c.close(protocol.CloseTooLarge, protocol.CodeTooLarge)
				discard(c.ws, err)
			case isNet && timeout.Timeout():
				c.close(protocol.CloseIdle, protocol.CodeIdle)
			default:
				c.close(peerGone, "")
			}
			return
		}
		if limit == nil {
			limit = rate.NewLimiter(rate.Limit(c.srv.cfg.Limits.SocketPerSecond), c.srv.cfg.Limits.SocketBurst)
		}
		// A flooding socket is read no faster than this; TCP pushes back on it alone.
		time.Sleep(limit.Reserve().Delay()) //guard:T11
		if !c.isClosing() {
			c.handle(kind, data, handle)
		}
	}
}

func (c *conn) handle(kind int, data []byte, handle func(any)) {
	if kind != websocket.TextMessage {
		c.badMessage(&protocol.BadMessageError{Reason: "not a text frame"})
		return
	}
	msg, err := protocol.Decode(data, c.from)
	if bad, ok := errors.AsType[*protocol.BadMessageError](err); ok {
		c.badMessage(bad)
		return
	}
	handle(msg)
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
