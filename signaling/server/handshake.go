package server

// The short way in: a WebSocket handshake that came in one piece, as nearly all do. net/http would leave 16 KiB of
// buffers and two goroutines behind for each; in a storm that is what the server does most.

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// socketPaths are where a socket begins.
var socketPaths = []string{pathCustomer, pathNative, pathAgent}

// handshakes are the buffers of those that run.
var handshakes = sync.Pool{New: func() any {
	return bufio.NewReadWriter(bufio.NewReaderSize(nil, 512), bufio.NewWriterSize(io.Discard, 1024))
}}

// direct takes over a connection whose first bytes are a whole handshake that will be answered with a socket; false for
// everything else: it is net/http's to read, and to refuse. It does not wait.
func (s *Server) direct(c net.Conn, first []byte) bool {
	r := readHandshake(first)
	if r == nil || s.hosts.bare(r.Host) == "" || !s.hosts.checkOrigin(r) || !s.enter() {
		return false
	}
	r.RemoteAddr = c.RemoteAddr().String()
	go func() {
		defer s.sockets.Done()
		defer func() { // as net/http does: one request must not end the others
			if what := recover(); what != nil {
				s.cfg.Log.Error("a handshake failed", "panic", what, "stack", string(debug.Stack()))
				c.Close()
			}
		}()
		w := &handshake{conn: c}
		s.admitSocket(w, r)
		w.end(s.cfg.Limits.Hello)
	}()
	return true
}

// readHandshake reads a request for a socket that is neither less nor more than that; nil if it is anything else.
func readHandshake(data []byte) *http.Request {
	if !bytes.HasPrefix(data, []byte("GET /ws/")) || bytes.Index(data, []byte("\r\n\r\n")) != len(data)-4 || len(data) > headerBytes {
		return nil
	}
	hosts := 0
	for line := range bytes.Lines(data) {
		if name, _, ok := bytes.Cut(line, []byte{':'}); ok && bytes.EqualFold(name, []byte("host")) {
			hosts++
		}
	}
	rw := handshakes.Get().(*bufio.ReadWriter)
	defer handshakes.Put(rw)
	rw.Reader.Reset(bytes.NewReader(data))
	r, err := http.ReadRequest(rw.Reader)
	rw.Reader.Reset(nil)
	if err != nil || hosts != 1 || !r.ProtoAtLeast(1, 1) || r.ContentLength != 0 || len(r.TransferEncoding) > 0 || !slices.Contains(socketPaths, r.RequestURI) {
		return nil
	}
	for name := range r.Header {
		if strings.ContainsFunc(name, uncommon) {
			return nil
		}
	}
	return r
}

// uncommon is what no name of a header that matters here has in it; net/http knows the rest of the rule.
func uncommon(c rune) bool {
	return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// handshake is the answer to a request that direct took: a socket as a rule, else one last HTTP response.
type handshake struct {
	conn     net.Conn
	rw       *bufio.ReadWriter // lent while it is upgraded
	header   http.Header
	status   int
	body     bytes.Buffer
	hijacked bool
}

func (h *handshake) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}

func (h *handshake) WriteHeader(status int) { h.status = status }

func (h *handshake) Write(b []byte) (int, error) { return h.body.Write(b) }

// Hijack hands out the connection and the buffers that its upgrade needs; release takes them back.
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = true
	h.rw = handshakes.Get().(*bufio.ReadWriter)
	return &upgraded{Conn: h.conn, hold: true}, h.rw, nil
}

// release takes the buffers back once the connection is upgraded.
func (h *handshake) release() {
	if h.rw != nil {
		h.rw.Reader.Reset(nil)
		h.rw.Writer.Reset(io.Discard)
		handshakes.Put(h.rw)
		h.rw = nil
	}
}

// end answers a request that became no socket.
func (h *handshake) end(limit time.Duration) {
	h.release()
	if h.hijacked {
		return
	}
	h.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	resp := http.Response{
		StatusCode: h.status, ProtoMajor: 1, ProtoMinor: 1, Header: h.header, Close: true, ContentLength: int64(h.body.Len()), Body: io.NopCloser(&h.body),
	}
	_ = h.conn.SetWriteDeadline(time.Now().Add(limit)) // the peer may be gone
	_ = resp.Write(h.conn)
	h.conn.Close()
}

// upgraded is a connection whose 101 waits for the first message and leaves with it.
type upgraded struct {
	net.Conn
	hold     bool
	response []byte
}

func (u *upgraded) Write(b []byte) (int, error) {
	switch {
	case u.hold:
		u.hold, u.response = false, bytes.Clone(b)
		return len(b), nil
	case u.response != nil:
		before := len(u.response)
		n, err := u.Conn.Write(append(u.response, b...))
		u.response = nil
		return max(0, n-before), err
	}
	return u.Conn.Write(b)
}
