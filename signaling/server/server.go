// Package server is the signaling server: it lets customers and agents find each other, keeps their chat, and brings
// two peers together. One process, one port for HTTP, WebSocket and TURN over TCP, one for STUN/TURN over UDP.
//
//	edge ── admits sockets ──► hello ── proves a key ──► conn (read loop ─► hub ─► outbox ─► writer)
//	                                                     registry: pings all sockets, closes them in a drain
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

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
	known    *known
	conns    *registry
	stats    *stats
	metrics  *metrics
	watched  *storeWatch
	hub      *hub
	relay    *relay.Server // nil without UDP
	splitter *relay.Splitter
	upgrader websocket.Upgrader
	proofs   chan struct{} // capacity limits.Proofs: proofs that are checked at once
	farewell chan struct{} // capacity maxFarewells: refused sockets that are told why at once
	now      func() time.Time

	draining atomic.Bool            // no new socket, no new claim
	damage   atomic.Pointer[string] // what the last check of the data found; nil: nothing
	gate     sync.Mutex             // guards ended
	ended    bool                   // no handler may begin
	sockets  sync.WaitGroup
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	now := time.Now
	st := newStats()
	s := &Server{
		cfg: cfg, store: cfg.Store, hosts: newHosts(cfg.URL, cfg.Listener.Addr()), now: now,
		known: newKnown(), conns: newRegistry(cfg.Limits.Ping), stats: st,
		proofs: make(chan struct{}, cfg.Limits.Proofs), farewell: make(chan struct{}, maxFarewells),
	}
	s.edge = newEdge(cfg.MaxSockets, &s.cfg.Limits, st, now)
	var l net.Listener = listener{cfg.Listener}
	if cfg.TLS != nil {
		l = tls.NewListener(l, cfg.TLS)
	}
	s.splitter = relay.Split(l)
	s.splitter.Direct = s.direct
	users := newRelayUsers()
	r, ice, err := newRelay(cfg, s.splitter, users)
	if err != nil {
		return nil, err
	}
	s.relay = r
	s.upgrader = websocket.Upgrader{
		// A read buffer holds the largest control frame and most messages; longer ones are read past it.
		HandshakeTimeout: cfg.Limits.Hello, ReadBufferSize: 512, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		Subprotocols: []string{protocol.Subprotocol}, EnableCompression: false, //guard:T08
		CheckOrigin: s.hosts.checkOrigin,
	}
	s.hub = newHub(cfg.Store, cfg.Log, now, cfg.Limits)
	s.metrics = newMetrics(s)
	s.watched = newStoreWatch(cfg.Log, now)
	cfg.Store.OnCommit(func(c store.Commit) { // the store tells one, and all three want to know
		s.metrics.committed(c)
		s.watched.committed(c)
		s.hub.reported(c)
	})
	s.hub.site, s.hub.ice, s.hub.relays = cfg.SiteName, ice, users
	s.hub.flags = sessionFlags{relayOnly: cfg.RelayOnly, loopbackOK: cfg.URL == nil}
	s.hub.spread = s.edge.spread
	return s, nil
}

// Run serves until ctx ends, then drains: clients are told to come back, in slices, and what is queued is stored. It
// returns when everything it started has ended: nil after ctx ended, else what failed.
func (s *Server) Run(ctx context.Context) error {
	storeEnds := make(chan error, 1) // the store outlives the others: what they have queued is committed
	go func() { storeEnds <- s.store.Run(context.WithoutCancel(ctx)) }()
	if err := s.store.FinishErasures(ctx); err != nil && ctx.Err() == nil { // the store's chores try it again
		s.cfg.Log.Warn("an erasure that was interrupted is not complete yet", "err", err)
	}
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
	err := s.serve(ctx)
	s.end()
	s.store.Close()
	return errors.Join(err, <-storeEnds)
}

// serve runs all parts until ctx ends and the drain is over, or until one of them fails.
func (s *Server) serve(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, work := errgroup.WithContext(work)
	web := s.webServer(s.handler())
	web.ReadTimeout = s.cfg.Limits.Hello // a body that never comes; a socket's deadlines are its own
	web.ConnState = newHTTPConns(maxHTTP, s.now).hook
	g.Go(func() error { return s.splitter.Run(work) })
	g.Go(func() error { return s.hub.run(work) })
	g.Go(func() error { s.conns.run(work); return nil })
	if s.relay != nil {
		g.Go(func() error { return s.relay.Run(work) })
	}
	serveHTTP(work, g, web, s.splitter.HTTP())
	s.serveObservers(work, g)
	g.Go(func() error { s.watchdog(work); return nil })
	g.Go(func() error { s.tidy(work); return nil })
	g.Go(func() error { return s.maintain(work) })
	g.Go(func() error { return s.watchErased(work) })
	g.Go(func() error { s.watchStore(work); return nil })
	s.cfg.Notify("READY=1")
	g.Go(func() error {
		select {
		case <-ctx.Done():
			s.drain(work)
			stop()
		case <-work.Done():
		}
		return nil
	})
	return g.Wait()
}

// webServer makes an HTTP server with the limits of all of ours.
func (s *Server) webServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: s.cfg.Limits.Hello, MaxHeaderBytes: headerBytes - headerSlack, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// serveHTTP serves web on l until ctx ends.
func serveHTTP(ctx context.Context, g *errgroup.Group, web *http.Server, l net.Listener) {
	g.Go(func() error {
		err := web.Serve(l)
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if web.Shutdown(stop) != nil { // requests that take longer than that are cut off
			web.Close()
		}
		return nil
	})
}
