package server

import (
	"crypto/rand"
	"io/fs"
	"net/http"
	"strings"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/web"
)

const (
	pathCustomer = "/ws/customer"
	pathNative   = "/ws/native"
	pathAgent    = "/ws/agent"

	roleCustomer = "customer"
	roleNative   = "native"
	roleAgent    = "agent"
)

const wrongName = "This server does not answer to this name. Open it under its own address."

func roleOf(path string) string { return strings.TrimPrefix(path, "/ws/") }

func senderOf(role string) protocol.Sender {
	if role == roleAgent {
		return protocol.Agent
	}
	return protocol.Customer
}

func newConnID() string { return strings.ToLower(rand.Text()[:12]) }

// handler is the whole HTTP surface.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, path := range socketPaths {
		mux.HandleFunc("GET "+path, s.serveSocket)
	}
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz(false))
	page := web.Page()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.file(w, r, page, "page.html") })
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) { s.file(w, r, page, r.PathValue("name")) })
	return http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.RequestURI) > urlBytes {
			http.Error(w, "The address is too long.", http.StatusRequestURITooLong) //guard:T10
			return
		}
		if r.ContentLength > bodyBytes { // one of unknown length is cut there, if anybody reads it
			http.Error(w, "The body is too large.", http.StatusRequestEntityTooLarge) //guard:T10
			return
		}
		mux.ServeHTTP(w, r)
	}), bodyBytes)
}

// file serves one embedded file of the customer's page, under the headers of security.md 5.2.
func (s *Server) file(w http.ResponseWriter, r *http.Request, files fs.FS, name string) {
	if !s.hosts.ok(r.Host) {
		http.Error(w, wrongName, http.StatusMisdirectedRequest)
		return
	}
	ws := "ws://" + r.Host
	h := w.Header()
	if s.hosts.scheme == "https" {
		ws = "wss://" + r.Host
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' "+ws+
		"; worker-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lookalong-worker")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "display-capture=(self), camera=(self), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, files, name)
}
