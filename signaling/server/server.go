// Package server is the signaling server: it lets customers and agents find each other, keeps their chat, and brings
// two peers together. One process, one port for HTTP, WebSocket and TURN over TCP, one for STUN/TURN over UDP.
//
//	edge ── admits sockets ──► hello ── proves a key ──► conn (read loop ─► hub ─► outbox ─► write loop)
//	                                                     hub: the one owner of presence, queue, sessions
//	                                                     store: the one owner of what is durable
//	                                                     relay: STUN/TURN, asked by session
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/relay"
	"github.com/lookalong/lookalong/signaling/store"
)

// Server is one signaling server.
type Server struct {
	cfg      Config
	store    *store.Store
	hosts    hosts
	edge     *edge
	hub      *hub
	relay    *relay.Server // nil without UDP
	splitter *relay.Splitter
	upgrader websocket.Upgrader
	proofs   chan struct{} // 2 × cores proofs at once
	now      func() time.Time
	sockets  sync.WaitGroup
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.MaxSockets == 0 {
		cfg.MaxSockets = fileLimit() - fdReserve
	}
	now := time.Now
	s := &Server{
		cfg: cfg, store: cfg.Store, hosts: newHosts(cfg.URL, cfg.Listener.Addr()), now: now,
		edge: newEdge(max(cfg.MaxSockets, 100), now), proofs: make(chan struct{}, 2*runtime.NumCPU()),
	}
	l := cfg.Listener
	if cfg.TLS != nil {
		l = tls.NewListener(l, cfg.TLS)
	}
	s.splitter = relay.Split(l)
	users := newRelayUsers()
	r, ice, err := newRelay(cfg, s.splitter, users)
	if err != nil {
		return nil, err
	}
	s.relay = r
	s.upgrader = websocket.Upgrader{
		HandshakeTimeout: helloTimeout, ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		Subprotocols: []string{protocol.Subprotocol}, EnableCompression: false, //guard:T08
		CheckOrigin: s.hosts.checkOrigin,
	}
	s.hub = newHub(cfg.Store, cfg.Log, now)
	s.hub.site, s.hub.ice, s.hub.relays = cfg.SiteName, ice, users
	s.hub.flags = sessionFlags{relayOnly: cfg.RelayOnly, loopbackOK: cfg.URL == nil}
	s.hub.spread = func() time.Duration { return time.Duration(s.edge.open()) * time.Second / 2000 }
	return s, nil
}

// Run serves until ctx ends. It returns when everything it started has ended: nil after ctx ended, else what failed.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	storeEnds := make(chan error, 1) // the store outlives the others: what they have queued is committed
	go func() { storeEnds <- s.store.Run(context.WithoutCancel(ctx)) }()
	defer s.store.Close()
	if err := s.hub.load(ctx); err != nil {
		if ctx.Err() != nil {
			err = nil // stopped before it had begun
		}
		s.splitter.Close()
		if s.cfg.UDP != nil {
			s.cfg.UDP.Close()
		}
		s.store.Close()
		if err != nil {
			err = fmt.Errorf("server: reading the store: %w", err)
		}
		return errors.Join(err, <-storeEnds)
	}
	web := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: helloTimeout, MaxHeaderBytes: 8 << 10, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error { return s.splitter.Run(ctx) })
	g.Go(func() error { return s.hub.run(ctx) })
	if s.relay != nil {
		g.Go(func() error { return s.relay.Run(ctx) })
	}
	g.Go(func() error {
		err := web.Serve(s.splitter.HTTP())
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return errors.Join(web.Shutdown(stop), nil)
	})
	err := g.Wait()
	s.sockets.Wait()
	s.store.Close()
	return errors.Join(err, <-storeEnds)
}

// serveSocket is the life of one WebSocket: admitted, proven, served, gone.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	s.sockets.Add(1)
	defer s.sockets.Done()
	if !s.hosts.ok(r.Host) {
		http.Error(w, "This server does not answer to this name. Open it under its own address.", http.StatusMisdirectedRequest)
		return
	}
	ip := clientIP(r)
	var ws *websocket.Conn
	var mu sync.Mutex // guards ws against a drop while the handshake runs
	dropped := false
	ticket, refused := s.edge.admit(ip, func() {
		mu.Lock()
		defer mu.Unlock()
		dropped = true
		if ws != nil {
			ws.NetConn().Close()
		}
	})
	if ticket != nil {
		defer ticket.done()
	}
	socket, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // gorilla has answered
	}
	defer socket.Close()
	socket.SetReadLimit(helloBytes)
	mu.Lock()
	ws = socket
	gone := dropped
	mu.Unlock()
	if gone {
		return
	}
	if refused != nil {
		code := protocol.CloseTryLater
		if refused.Code == protocol.CodeRate {
			code = protocol.CloseRate
		}
		goodbye(socket, code, refused)
		return
	}
	if socket.Subprotocol() != protocol.Subprotocol {
		goodbye(socket, protocol.CloseVersion, protocol.Userf(protocol.CodeVersion, "This program does not speak %s. Update it.", protocol.Subprotocol))
		return
	}
	id, code, err := s.hello(r.Context(), socket, r, ticket)
	if err != nil {
		user, ok := errors.AsType[*protocol.UserError](err)
		if !ok {
			s.cfg.Log.Error("hello failed", "err", err)
			user = protocol.Userf(protocol.CodeInternal, "Something went wrong on the server. It is tried again.")
		}
		goodbye(socket, code, user)
		return
	}
	ticket.proved()
	socket.SetReadLimit(protocol.MaxMessageBytes) //guard:T08
	c := s.newConn(socket, r, id)
	var writer sync.WaitGroup
	writer.Go(c.writeLoop)
	if s.hub.post(func(h *hub) { h.join(c) }) {
		c.readLoop(func(msg any) { s.hub.post(func(h *hub) { h.received(c, msg) }) })
		s.hub.post(func(h *hub) { h.leave(c) })
	} else {
		c.close(protocol.CloseRestart, protocol.CodeBusy)
	}
	writer.Wait()
}

func (s *Server) newConn(ws *websocket.Conn, r *http.Request, id identity) *conn {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	c := &conn{
		id: protocol.ConnID(newConnID()), ws: ws, from: senderOf(roleOf(r.URL.Path)), ip: clientIP(r), host: host,
		limit: rate.NewLimiter(socketPerSecond, socketBurst), out: make(chan []byte, outboxLen), closing: make(chan struct{}), hubDone: s.hub.done, identity: id,
	}
	c.log = s.cfg.Log.With("conn", c.id)
	c.log.Info("connected", "agent", c.agent)
	return c
}

// goodbye tells a socket that was not let in why, and closes it.
func goodbye(ws *websocket.Conn, code protocol.CloseCode, why *protocol.UserError) {
	deadline := time.Now().Add(time.Second)
	_ = ws.SetWriteDeadline(deadline) // the peer may be gone
	_ = ws.WriteMessage(websocket.TextMessage, protocol.Encode(protocol.Error{Code: why.Code, Text: why.Text, RetryAfterMs: why.RetryAfterMs}))
	_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), string(why.Code)), deadline)
	// Let the peer read it before the connection is reset: what it has sent meanwhile is read and dropped.
	_ = ws.SetReadDeadline(deadline)
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
	}
}
