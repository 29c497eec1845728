package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

// Config is everything that a Server uses. Resources are handed in.
type Config struct {
	// Listener accepts HTTP, WebSocket and STUN/TURN connections. Required. The server closes it.
	Listener net.Listener
	// TLS, if set, is spoken on Listener.
	TLS *tls.Config
	// UDP carries STUN and TURN. Nil means no relay: only direct paths. The server closes it.
	UDP net.PacketConn
	// Store is the data folder, opened and not yet running. Required. The server runs and closes it.
	Store *store.Store
	// URL is the public address, such as https://help.example.com. Nil: a local installation, reached as localhost,
	// where loopback candidates are allowed between the peers.
	URL *url.URL
	// SiteName is shown to customers. Empty means "Lookalong".
	SiteName string
	// TurnURLs, if set, are told to clients instead of this server's own addresses: where a proxy or another name
	// stands before UDP and Listener. RFC 7065: "turn:HOST:PORT?transport=udp".
	TurnURLs []string
	// RelayIP is the public address of relays, RelayBindIP the local one where they differ. Required with UDP and URL;
	// without URL the default is 127.0.0.1.
	RelayIP, RelayBindIP netip.Addr
	// RelayMinPort and RelayMaxPort are the UDP ports of relays. Both zero mean 49152 to 65535.
	RelayMinPort, RelayMaxPort uint16
	// RelayAllow are private networks that relays may reach, one by one.
	RelayAllow []netip.Prefix
	// RelayOnly keeps the peers' addresses from each other: every session goes through the relay.
	RelayOnly bool
	// MaxSockets is the limit of open WebSockets. Zero means the process's file limit less 800; more than that is
	// refused.
	MaxSockets int
	// Limits are all others. The zero value means DefaultLimits.
	Limits Limits
	// TrustedProxies are the networks whose X-Forwarded-For header is believed. Nobody else's is.
	TrustedProxies []netip.Prefix
	// Metrics, if set, accepts HTTP for /metrics, /healthz and /readyz, without any check of who asks. The server closes it.
	Metrics net.Listener
	// Pprof, if set, accepts HTTP for Go's profiles. They hold what is in memory: loopback only. The server closes it.
	Pprof net.Listener
	// Notify, if set, is told by sd_notify(3) states how the server is: READY=1, STOPPING=1, and WATCHDOG=1 while it is
	// well, every WatchdogEvery. It must not block.
	Notify        func(state string)
	WatchdogEvery time.Duration
	// Retention says how long chats and audit entries are kept. The zero value keeps them for ever.
	Retention store.RetentionPolicy
	// Log takes what happens. Required.
	Log *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Listener == nil || c.Store == nil || c.Log == nil:
		return errors.New("server: config: Listener, Store and Log are required")
	case c.RelayOnly && c.UDP == nil:
		return errors.New("server: config: relay only needs the relay")
	case c.URL != nil && (c.URL.Scheme != "http" && c.URL.Scheme != "https" || c.URL.Host == ""):
		return errors.New("server: config: the URL must be http://HOST or https://HOST")
	case c.URL == nil && c.TLS != nil:
		return errors.New("server: config: TLS needs the public URL")
	}
	if c.URL == nil && !c.RelayIP.IsValid() {
		c.RelayIP = netip.MustParseAddr("127.0.0.1")
	}
	if c.UDP != nil && !c.RelayIP.IsValid() {
		return errors.New("server: config: the relay needs the address that customers and agents reach it at")
	}
	if c.SiteName == "" {
		c.SiteName = "Lookalong"
	}
	if c.Pprof != nil && !isLoopback(c.Pprof.Addr()) {
		return errors.New("server: config: profiles hold what is in memory and are served on a loopback address only")
	}
	if c.Notify == nil {
		c.Notify = func(string) {}
	}
	return c.validateLimits()
}

// mostSockets is how many WebSockets this process's limit of open files leaves room for.
func mostSockets() int { return max(fileLimit()-fdReserve, minSockets) }

func (c *Config) validateLimits() error {
	switch most := mostSockets(); {
	case c.MaxSockets < 0 || c.MaxSockets > most:
		return fmt.Errorf("server: config: at most %d sockets fit into this process's limit of %d open files (%d are kept for other files): raise the limit (ulimit -n, LimitNOFILE)",
			most, fileLimit(), fdReserve)
	case c.MaxSockets == 0:
		c.MaxSockets = most
	}
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	if c.Limits.Proofs == 0 {
		c.Limits.Proofs = 2 * runtime.NumCPU()
	}
	return c.Limits.validate()
}
