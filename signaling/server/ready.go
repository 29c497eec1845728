package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

const (
	hubPatience = 2 * time.Second // after which a hub that does not answer is called stuck
)

// reason is why the server is not ready, or what an operator should know though it is.
type reason struct {
	What string `json:"what"`           // drain, hub, store, disk
	Text string `json:"text,omitempty"` // for the operator; left out on the public port
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []reason `json:"reasons"` // why not
	Notes   []reason `json:"notes"`   // what does not keep it from serving
}

// alive says whether the hub's loop answers.
func (s *Server) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, hubPatience)
	defer cancel()
	return s.hub.ask(ctx, func(*hub) {}) == nil
}

// readiness collects what a balancer or an operator must know.
func (s *Server) readiness(ctx context.Context) readiness {
	out := readiness{Reasons: []reason{}, Notes: []reason{}}
	not := func(what, text string) { out.Reasons = append(out.Reasons, reason{what, text}) }
	note := func(what, text string) { out.Notes = append(out.Notes, reason{what, text}) }
	if s.draining.Load() {
		not("drain", "the server stops")
	}
	if !s.alive(ctx) {
		not("hub", fmt.Sprintf("the hub has not answered for %s", hubPatience))
	}
	switch h := s.store.Health(); {
	case h.Err == nil && h.Oldest < store.CommitDeadline:
	case errors.Is(h.Err, store.ErrLowSpace): // who is here is served
		note("disk", h.Err.Error())
	case errors.Is(h.Err, store.ErrFull), errors.Is(h.Err, store.ErrReadOnly):
		not("disk", h.Err.Error())
	case h.Err != nil:
		not("store", h.Err.Error())
	default:
		not("store", fmt.Sprintf("a write has waited for %s: the disk stalls", h.Oldest.Round(time.Millisecond)))
	}
	if total, _ := s.edge.open(); total >= s.cfg.MaxSockets {
		not("full", fmt.Sprintf("all %d connections are taken", s.cfg.MaxSockets))
	}
	if damage := s.damage.Load(); damage != nil {
		note("damage", *damage)
	} else if h := s.store.Health(); h.Damage != nil { // met before the check came to it
		note("damage", h.Damage.Error())
	}
	switch {
	case s.relay == nil:
		note("relay", "there is no relay (--no-relay): only direct paths work")
	case len(s.cfg.TrustedProxies) > 0 && len(s.cfg.TurnURLs) == 0:
		note("relay", "HTTP comes through a proxy, which carries no TURN: give TURN a way of its own and name it with --turn-url")
	}
	out.Ready = len(out.Reasons) == 0
	return out
}

// healthz answers whether the process serves at all.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !s.alive(r.Context()) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("stuck\n")) // the prober may be gone
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// readyz answers whether new clients should be sent here: in full on the operator's listener; on the public port the
// kinds of reasons alone, without a path or a figure.
func (s *Server) readyz(full bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer := s.readiness(r.Context())
		if !full {
			for i := range answer.Reasons {
				answer.Reasons[i].Text = ""
			}
			answer.Notes = []reason{}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !answer.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(answer) // the prober may be gone
	}
}

// watchdog tells the service manager that the server is well, until ctx ends. A hub that is stuck is not well: the
// manager restarts the server, and clients come back to what is stored.
func (s *Server) watchdog(ctx context.Context) {
	for every := s.cfg.WatchdogEvery; every > 0 && sleep(ctx, every); {
		if s.alive(ctx) {
			s.cfg.Notify("WATCHDOG=1")
		}
	}
}
