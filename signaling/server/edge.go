package server

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// hosts says which names this server answers to.
type hosts struct {
	scheme string          // of our pages: http or https
	names  map[string]bool // host[:port], lower case, as in a Host header
}

func newHosts(public *url.URL, listen net.Addr) hosts {
	if public != nil {
		return hosts{scheme: public.Scheme, names: map[string]bool{strings.ToLower(public.Host): true}}
	}
	_, port, _ := net.SplitHostPort(listen.String())
	h := hosts{scheme: "http", names: map[string]bool{}}
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]"} {
		h.names[name+":"+port] = true
		if port == "80" {
			h.names[name] = true
		}
	}
	return h
}

func (h hosts) ok(host string) bool { return h.names[strings.ToLower(host)] }

// checkOrigin decides whether a request may open a socket on path. Browsers always send Origin with a WebSocket
// handshake, so a customer's must be exactly ours and nobody else may have one: a page in an agent's browser can't
// reach the agents' endpoint at all.
func (h hosts) checkOrigin(r *http.Request) bool {
	origins, present := r.Header["Origin"]
	if r.URL.Path != pathCustomer {
		return !present //guard:T01
	}
	if !h.ok(r.Host) || len(origins) != 1 {
		return false //guard:T01
	}
	return origins[0] == h.scheme+"://"+strings.ToLower(r.Host) //guard:T01
}

// edge admits sockets: by address, by total, and at most maxUnproven that have not proved a key yet. It owns its
// counts; its methods may be called from any goroutine.
type edge struct {
	now func() time.Time
	max int // sockets in total

	mu       sync.Mutex
	total    int
	unproven *list.List // of *ticket, oldest first
	byIP     map[string]*ipCount
}

type ipCount struct {
	open        int
	started     []time.Time // of new sockets within ipNewWindow
	failed      []time.Time // of failed proofs within failedWindow
	pausedUntil time.Time
}

// ticket is one admitted socket. drop closes it when it must make room.
type ticket struct {
	e       *edge
	ip      string
	drop    func()
	element *list.Element // nil once proven
	once    sync.Once
}

func newEdge(max int, now func() time.Time) *edge {
	return &edge{now: now, max: max, unproven: list.New(), byIP: map[string]*ipCount{}}
}

// admit counts a new socket or says why not.
func (e *edge) admit(ip string, drop func()) (*ticket, *protocol.UserError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	c := e.byIP[ip]
	if c == nil {
		e.forget(now)
		c = &ipCount{}
		e.byIP[ip] = c
	}
	c.started = since(c.started, now.Add(-ipNewWindow))
	c.failed = since(c.failed, now.Add(-failedWindow))
	switch {
	case now.Before(c.pausedUntil):
		return nil, &protocol.UserError{Code: protocol.CodeRate, Text: "Too many failed attempts from this address. Wait ten minutes.", RetryAfterMs: c.pausedUntil.Sub(now).Milliseconds()}
	case e.total >= e.max:
		return nil, &protocol.UserError{Code: protocol.CodeBusy, Text: "The server is full. It is tried again.", RetryAfterMs: 5000}
	case c.open >= ipSockets || len(c.started) >= ipNew:
		return nil, &protocol.UserError{Code: protocol.CodeIPLimit, Text: "Too many connections from this address. It is tried again.", RetryAfterMs: ipNewWindow.Milliseconds()}
	}
	if e.unproven.Len() >= maxUnproven {
		oldest := e.unproven.Remove(e.unproven.Front()).(*ticket)
		oldest.element = nil
		oldest.drop() //guard:T10
	}
	c.open++
	c.started = append(c.started, now)
	e.total++
	t := &ticket{e: e, ip: ip, drop: drop}
	t.element = e.unproven.PushBack(t)
	return t, nil
}

// forget drops addresses that have nothing to remember.
func (e *edge) forget(now time.Time) {
	for ip, c := range e.byIP {
		c.started = since(c.started, now.Add(-ipNewWindow))
		c.failed = since(c.failed, now.Add(-failedWindow))
		if c.open == 0 && len(c.started) == 0 && len(c.failed) == 0 && !now.Before(c.pausedUntil) {
			delete(e.byIP, ip)
		}
	}
}

// proved takes the socket off the list of those that may be dropped.
func (t *ticket) proved() {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	t.settle()
}

func (t *ticket) settle() {
	if t.element != nil {
		t.e.unproven.Remove(t.element)
		t.element = nil
	}
}

// failedProof counts a proof, an invite or a key that was not accepted.
func (t *ticket) failedProof() {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	c, now := t.e.byIP[t.ip], t.e.now()
	c.failed = append(since(c.failed, now.Add(-failedWindow)), now)
	if len(c.failed) >= failedProofs {
		c.pausedUntil = now.Add(failedPause) //guard:T05
	}
}

// done gives the socket's place back. Idempotent.
func (t *ticket) done() {
	t.once.Do(func() {
		t.e.mu.Lock()
		defer t.e.mu.Unlock()
		t.settle()
		t.e.byIP[t.ip].open--
		t.e.total--
	})
}

// open is how many sockets there are.
func (e *edge) open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total
}

func since(list []time.Time, from time.Time) []time.Time {
	for len(list) > 0 && list[0].Before(from) {
		list = list[1:]
	}
	return list
}

// clientIP is the address that limits count by: IPv6 by its /64.
func clientIP(r *http.Request) string {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	ip := ap.Addr().Unmap()
	if ip.Is6() {
		p, _ := ip.WithZone("").Prefix(64)
		return p.String()
	}
	return ip.String()
}
