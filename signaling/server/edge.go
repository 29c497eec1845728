package server

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// hosts says which names this server answers to.
type hosts struct {
	scheme string            // of our pages: http or https
	names  map[string]string // host[:port], lower case, as in a Host header, to the name without the port
}

func newHosts(public *url.URL, listen net.Addr) hosts {
	if public != nil {
		return hosts{scheme: public.Scheme, names: map[string]string{strings.ToLower(public.Host): public.Hostname()}}
	}
	_, port, _ := net.SplitHostPort(listen.String())
	h := hosts{scheme: "http", names: map[string]string{}}
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]"} {
		bare := strings.Trim(name, "[]")
		h.names[name+":"+port] = bare
		if port == "80" {
			h.names[name] = bare
		}
	}
	return h
}

func (h hosts) ok(host string) bool { return h.bare(host) != "" }

// bare is the name without the port, the same string for every socket; empty when it is not ours.
func (h hosts) bare(host string) string { return h.names[strings.ToLower(host)] }

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
