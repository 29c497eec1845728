package viewer

// The loopback HTTP server: static files, and one socket a page.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

const maxPages = 8

// Config describes a viewer. The callbacks come from the pages' goroutines and must not block.
type Config struct {
	// Port of 127.0.0.1 to listen on. Zero: any free one.
	Port int
	// Files is the built page (web.Viewer). Required.
	Files fs.FS
	Log   *slog.Logger // nil: no log

	OnCodecs   func(decodable []string)                     // a page told what it can decode, best first
	OnPainted  func(stream uint8, frame uint32, atMs int64) // a page painted a frame; Unix milliseconds
	OnKeyframe func(stream uint8)                           // a key frame is needed
	OnStill    func(stream uint8, auto bool)                // a page wants a still; auto: nobody asked for it
	OnPages    func(open int)                               // how many pages are open
}

// Server is one running viewer. All methods are safe from any goroutine.
type Server struct {
	cfg   Config
	guard *Guard
	ln    net.Listener

	mu      sync.Mutex
	pages   map[*page]struct{}
	streams [protocol.MaxStreams]stream
	state   protocol.ViewerState
	stateNo int
	ended   bool // Run waits for serving
	serving sync.WaitGroup
}

// stream is one of the sources shown.
type stream struct {
	queue   *Queue
	config  *protocol.ViewerConfig // nil: nothing is shown
	level   *protocol.ViewerLevel  // nil: video, as far as is known
	refused string                 // why the last still did not come
	counters
}

// counters count up at each change of a stream.
type counters struct{ removals, configs, levels, refusals int }

// New listens on 127.0.0.1. It serves nothing before Run.
func New(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnCodecs == nil {
		cfg.OnCodecs = func([]string) {}
	}
	if cfg.OnPainted == nil {
		cfg.OnPainted = func(uint8, uint32, int64) {}
	}
	if cfg.OnKeyframe == nil {
		cfg.OnKeyframe = func(uint8) {}
	}
	if cfg.OnStill == nil {
		cfg.OnStill = func(uint8, bool) {}
	}
	if cfg.OnPages == nil {
		cfg.OnPages = func(int) {}
	}
	ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", cfg.Port)) //guard:T31
	if err != nil {
		return nil, fmt.Errorf("viewer: cannot listen on 127.0.0.1:%d: %w", cfg.Port, err)
	}
	s := &Server{cfg: cfg, ln: ln, guard: NewGuard(ln.Addr().(*net.TCPAddr).Port), pages: map[*page]struct{}{}}
	for i := range s.streams {
		s.streams[i].queue = NewQueue(func() { cfg.OnKeyframe(uint8(i)) })
	}
	s.state = protocol.ViewerState{State: "waiting", Verification: "unchecked"}
	return s, nil
}

// Port is where it listens.
func (s *Server) Port() int { return s.ln.Addr().(*net.TCPAddr).Port }

// URL makes an address that opens the viewer once, within the next 60 seconds.
func (s *Server) URL() string { return s.guard.Origin() + "/#code=" + s.guard.Code() }

// Run serves until ctx ends, and returns when every page's goroutines have ended.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.handler(ctx),
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	err := srv.Serve(s.ln)
	stop()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.serving.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return context.Cause(ctx)
	}
	return err
}

// Close frees the port of a server that never ran.
func (s *Server) Close() error { return s.ln.Close() }

// Push hands a frame on to the pages. Its stream is below protocol.MaxStreams, as ParseChunk leaves it.
func (s *Server) Push(f *protocol.Frame) {
	if f.Kind == protocol.FrameStill {
		s.streams[f.Stream].queue.Still(f)
	} else {
		s.streams[f.Stream].queue.Push(f)
	}
}

// Reset begins another session: no stream.
func (s *Server) Reset() {
	for i := range s.streams {
		s.Remove(i)
	}
}

// Remove takes a stream away from the pages.
func (s *Server) Remove(i int) {
	s.change(i, func(st *stream) {
		st.queue.Reset()
		st.config, st.level = nil, nil
		st.removals++
	})
}

// SetConfig tells the pages what the frames of a stream are.
func (s *Server) SetConfig(c protocol.ViewerConfig) {
	s.change(c.Stream, func(st *stream) { st.config = &c; st.configs++ })
}

// SetLevel tells the pages what the path allows of a stream.
func (s *Server) SetLevel(l protocol.ViewerLevel) {
	s.change(l.Stream, func(st *stream) { st.level = &l; st.levels++ })
}

// RefuseStill tells the pages why a still does not come; see protocol.ViewerRefused.
func (s *Server) RefuseStill(i int, why string) {
	s.change(i, func(st *stream) { st.refused = why; st.refusals++ })
}

func (s *Server) change(i int, fn func(*stream)) {
	s.mu.Lock()
	fn(&s.streams[i])
	s.mu.Unlock()
	s.wakeAll()
}

// SetState tells the pages what to show around the picture.
func (s *Server) SetState(st protocol.ViewerState) {
	st.Verification = "unchecked"
	s.mu.Lock()
	s.state = st
	s.stateNo++
	s.mu.Unlock()
	s.wakeAll()
}

// Pages is how many pages are open.
func (s *Server) Pages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pages)
}

func (s *Server) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.pages {
		p.wakeUp()
	}
}

// handler routes requests; every one passes the guard first.
func (s *Server) handler(ctx context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.guard.Request(r); err != nil { //guard:T31
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if r.URL.Path == "/ws" {
			if err := s.guard.Upgrade(r); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
			if s.enter() {
				defer s.serving.Done()
				s.servePage(ctx, w, r)
			}
			return
		}
		s.serveFile(w, r)
	})
}

// enter counts a page's handler, unless Run waits for them already.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.serving.Add(1)
	return true
}

// policy is the page's Content-Security-Policy (security.md 5.2), for this very port.
func (s *Server) policy() string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' ws://" + s.guard.host +
		"; worker-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types lookalong-worker"
}

func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", s.policy())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	name, ok := strings.CutPrefix(r.URL.Path, "/assets/")
	switch {
	case r.URL.Path == "/":
		name = "viewer.html"
	case !ok || name == "" || path.Base(name) != name:
		http.NotFound(w, r)
		return
	}
	http.ServeFileFS(w, r, s.cfg.Files, name)
}
