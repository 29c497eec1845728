package server

import (
	"context"
	"net/http"
	"net/http/pprof"
	"net/netip"

	"golang.org/x/sync/errgroup"
)

// serveObservers serves the operator's own listeners until ctx ends.
func (s *Server) serveObservers(ctx context.Context, g *errgroup.Group) {
	if s.cfg.Metrics != nil {
		serveHTTP(ctx, g, s.webServer(s.operatorHandler()), s.cfg.Metrics)
	}
	if s.cfg.Pprof != nil {
		serveHTTP(ctx, g, s.webServer(pprofHandler()), s.cfg.Pprof)
	}
}

// operatorHandler is what --metrics-listen shows.
func (s *Server) operatorHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz(true))
	mux.Handle("GET /metrics", s.metrics.handler())
	return mux
}

// pprofHandler serves Go's profiles. A page in a browser on this machine could ask for them too, so a name that is no
// loopback address is refused (DNS rebinding).
func pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site") // browsers send it always, and Origin only at times
		if !loopbackHost(r.Host) || r.Header.Get("Origin") != "" || site != "" && site != "none" {
			http.Error(w, "Profiles are served to this machine under its loopback address only.", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func loopbackHost(host string) bool {
	ap, err := netip.ParseAddrPort(host)
	return err == nil && ap.Addr().IsLoopback()
}
