package server

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

// serveSocket admits a socket and has it prove its key. What is proven goes on by itself: the handler returns, and with
// it go the request, its context and net/http's goroutine and buffers.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, "The server stops. It is tried again.", http.StatusServiceUnavailable)
		return
	}
	defer s.sockets.Done()
	s.admitSocket(w, r)
}

func (s *Server) admitSocket(w http.ResponseWriter, r *http.Request) {
	host := s.hosts.bare(r.Host)
	if host == "" {
		http.Error(w, wrongName, http.StatusMisdirectedRequest)
		return
	}
	var open opening
	ticket, refused := s.edge.admit(clientIP(r, s.cfg.TrustedProxies), open.drop)
	proven := false
	if ticket != nil {
		defer func() {
			if !proven {
				ticket.done()
			}
		}()
	}
	if refused != nil {
		select { // a flood of sockets that are refused must not take what is kept for others
		case s.farewell <- struct{}{}:
			defer func() { <-s.farewell }()
		default:
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", strconv.FormatInt((refused.RetryAfterMs+999)/1000, 10))
			http.Error(w, refused.Text, http.StatusServiceUnavailable)
			return
		}
	}
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if h, ok := w.(*handshake); ok {
		h.release()
	}
	if err != nil {
		return // gorilla has answered
	}
	defer func() {
		if !proven {
			ws.Close()
		}
	}()
	ws.SetReadLimit(helloBytes)
	if !open.set(ws) {
		return // dropped while it was upgraded
	}
	switch {
	case refused != nil && refused.Code == protocol.CodeRate:
		goodbye(ws, protocol.CloseRate, refused)
		return
	case refused != nil:
		goodbye(ws, protocol.CloseTryLater, refused)
		return
	case s.draining.Load():
		s.stats.refused(protocol.CodeBusy)
		goodbye(ws, protocol.CloseRestart, &protocol.UserError{Code: protocol.CodeBusy, Text: "The server restarts. It is tried again.", RetryAfterMs: (time.Second + s.edge.spread()).Milliseconds()})
		return
	case ws.Subprotocol() != protocol.Subprotocol:
		goodbye(ws, protocol.CloseVersion, protocol.Userf(protocol.CodeVersion, "This program does not speak %s. Update it.", protocol.Subprotocol))
		return
	}
	id, code, err := s.hello(r.Context(), ws, r, ticket)
	if err != nil {
		user, ok := errors.AsType[*protocol.UserError](err)
		if !ok {
			s.cfg.Log.Error("hello failed", "err", err)
			user = &protocol.UserError{Code: protocol.CodeInternal, Text: "Something went wrong on the server. It is tried again.", RetryAfterMs: 5000}
		}
		s.stats.refused(user.Code)
		goodbye(ws, code, user)
		return
	}
	ws.SetReadLimit(protocol.MaxMessageBytes) //guard:T08
	proven = true
	c := s.newConn(ws, ticket, senderOf(roleOf(r.URL.Path)), host, id)
	s.sockets.Go(c.serve)
}

// newConn makes a proven socket. Nothing in it may keep the request alive.
func (s *Server) newConn(ws *websocket.Conn, t *ticket, from protocol.Sender, host string, id identity) *conn {
	c := &conn{id: protocol.ConnID(newConnID()), ws: ws, srv: s, ticket: t, from: from, ip: t.ip, host: host, identity: id}
	c.log = connLog{to: s.cfg.Log, id: c.id}
	c.log.Info("connected", "agent", c.agent)
	return c
}

// received hands a socket's messages to the hub.
func (s *Server) received(c *conn) func(any) {
	return func(msg any) {
		if claim, ok := msg.(protocol.QueueClaim); ok && s.draining.Load() {
			c.fail(claim.ID, &protocol.UserError{Code: protocol.CodeBusy, Text: "The server restarts. Try again in a moment.", RetryAfterMs: 1000}) //guard:F07
			return
		}
		s.hub.post(func(h *hub) { h.received(c, msg) })
	}
}

// opening is a socket that is being upgraded and may be dropped meanwhile.
type opening struct {
	mu      sync.Mutex
	ws      *websocket.Conn
	dropped bool
}

func (o *opening) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped = true
	if o.ws != nil {
		_ = o.ws.NetConn().SetDeadline(time.Now()) // its handler closes it; over TLS closing may wait
	}
}

func (o *opening) set(ws *websocket.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ws = ws
	return !o.dropped
}

// goodbye tells a socket that was not let in why, and closes it.
func goodbye(ws *websocket.Conn, code protocol.CloseCode, why *protocol.UserError) {
	deadline := time.Now().Add(closeTimeout)
	_ = ws.SetWriteDeadline(deadline) // the peer may be gone
	_ = ws.WriteMessage(websocket.TextMessage, protocol.Encode(protocol.Error{Code: why.Code, Text: why.Text, RetryAfterMs: why.RetryAfterMs}))
	_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), string(why.Code)), deadline)
	// Let the peer read it before the connection is reset: what it has sent meanwhile is read and dropped.
	_ = ws.SetReadDeadline(deadline)
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			discard(ws, err)
			return
		}
	}
}

// discard reads on after a message that was too large, until the peer closes or the read deadline: unread bytes at the
// close would reset the connection, and the peer might never see why.
func discard(ws *websocket.Conn, err error) {
	if errors.Is(err, websocket.ErrReadLimit) {
		_, _ = io.Copy(io.Discard, ws.NetConn())
	}
}
