// Package viewer serves the customer's picture to the agent's own browser: a page on 127.0.0.1 and nowhere else,
// guarded against other sites in that browser, DNS rebinding and other users of the machine (security.md T31).
package viewer

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

const (
	codeLife  = 60 * time.Second
	maxCodes  = 8  // that wait to be used; more lapse, oldest first
	maxTokens = 16 // pages that may come back
)

// Refusal is why the guard says no: a sentence for the person at the page.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// The refusals.
const (
	ErrHost    Refusal = "This page is only for 127.0.0.1."
	ErrMethod  Refusal = "This page can only be read."
	ErrOrigin  Refusal = "Another page tried to open the picture."
	ErrForeign Refusal = "This picture belongs to another user of this machine."
	ErrCode    Refusal = "This address was used already, or is older than a minute. Ask lookalong for a new one (/share)."
)

// Guard decides who may open the picture. Safe for concurrent use.
type Guard struct {
	host string // 127.0.0.1:port
	now  func() time.Time

	mu     sync.Mutex
	codes  []code
	tokens [][32]byte // SHA-256
}

type code struct {
	sum  [32]byte // SHA-256
	ends time.Time
}

// NewGuard makes the guard of one port of 127.0.0.1.
func NewGuard(port int) *Guard {
	return &Guard{host: "127.0.0.1:" + strconv.Itoa(port), now: time.Now}
}

// Origin is the only origin that may open the socket.
func (g *Guard) Origin() string { return "http://" + g.host }

// Request checks any request: the name that the browser dialled (a rebound DNS name shows here) and the method.
func (g *Guard) Request(r *http.Request) error {
	if r.Host != g.host {
		return ErrHost //guard:T31
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return ErrMethod
	}
	return nil
}

// Upgrade checks a request for the socket, on top of Request: its origin, and on Linux the user whose program it is.
func (g *Guard) Upgrade(r *http.Request) error {
	if err := g.Request(r); err != nil {
		return err
	}
	if o := r.Header.Values("Origin"); len(o) != 1 || o[0] != g.Origin() {
		return ErrOrigin //guard:T31
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && foreignUser(from) {
		return ErrForeign //guard:T31
	}
	return nil
}

// Code makes a code for one address: 128 bits, good once, for 60 seconds.
func (g *Guard) Code() string {
	c := secret(16)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.codes = append(g.codes, code{sha256.Sum256([]byte(c)), g.now().Add(codeLife)})
	if len(g.codes) > maxCodes {
		g.codes = g.codes[1:]
	}
	return c
}

// Admit exchanges a code for a token of 256 bits, or knows a token again. Errors: ErrCode.
func (g *Guard) Admit(h protocol.ViewerHello) (token string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.Token != "" {
		sum := sha256.Sum256([]byte(h.Token)) // comparing digests tells nothing about how much of the token is right
		for _, t := range g.tokens {
			if t == sum {
				return h.Token, nil
			}
		}
		return "", ErrCode
	}
	sum := sha256.Sum256([]byte(h.Code))
	for i, c := range g.codes {
		if c.sum != sum {
			continue
		}
		g.codes = append(g.codes[:i:i], g.codes[i+1:]...) // good once
		if g.now().After(c.ends) {
			return "", ErrCode
		}
		token = secret(32)
		g.tokens = append(g.tokens, sha256.Sum256([]byte(token)))
		if len(g.tokens) > maxTokens {
			g.tokens = g.tokens[1:]
		}
		return token, nil
	}
	return "", ErrCode //guard:T31
}

func secret(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return protocol.B64.EncodeToString(b)
}
