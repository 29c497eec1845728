package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/relay"
)

// relayUsers are the relay credentials of live sessions: written by the hub, asked by the relay at every request.
type relayUsers struct {
	mu      sync.RWMutex
	secrets map[string]string
	closed  func(user string) // closes the relays of a user; nil without a relay
}

func newRelayUsers() *relayUsers { return &relayUsers{secrets: map[string]string{}} }

func (u *relayUsers) add(user, secret string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.secrets[user] = secret
}

// remove ends a credential and closes what it had opened.
func (u *relayUsers) remove(user string) {
	if user == "" {
		return
	}
	u.mu.Lock()
	delete(u.secrets, user)
	u.mu.Unlock()
	if u.closed != nil {
		u.closed(user + ":c")
		u.closed(user + ":a")
	}
}

// secret is the relay's look-up: user is the session's random part and one end's name.
func (u *relayUsers) secret(user string) (string, bool) {
	base, side, ok := strings.Cut(user, ":")
	if !ok || side != "c" && side != "a" {
		return "", false
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	s, ok := u.secrets[base]
	return s, ok
}

// newRelay makes the STUN/TURN server and the function that names its addresses to a client.
func newRelay(cfg Config, splitter *relay.Splitter, users *relayUsers) (*relay.Server, func(*conn, string, string) []protocol.ICEServer, error) {
	if cfg.UDP == nil {
		return nil, func(*conn, string, string) []protocol.ICEServer { return nil }, nil
	}
	r, err := relay.New(relay.Config{
		UDP: cfg.UDP, TCP: splitter.STUN(), RelayIP: cfg.RelayIP, BindIP: cfg.RelayBindIP, MinPort: cfg.RelayMinPort, MaxPort: cfg.RelayMaxPort,
		Secret: users.secret, AllowPrefixes: cfg.RelayAllow, Log: cfg.Log,
	})
	if err != nil {
		return nil, nil, err
	}
	users.closed = r.CloseUser
	_, udpPort, _ := net.SplitHostPort(cfg.UDP.LocalAddr().String())
	_, tcpPort, _ := net.SplitHostPort(cfg.Listener.Addr().String())
	tcpScheme := "turn"
	if cfg.URL != nil {
		tcpPort = cfg.URL.Port()
		if cfg.URL.Scheme == "https" {
			tcpScheme = "turns"
		}
		if tcpPort == "" {
			tcpPort = map[string]string{"http": "80", "https": "443"}[cfg.URL.Scheme]
		}
	}
	ice := func(c *conn, user, secret string) []protocol.ICEServer {
		if len(cfg.TurnURLs) > 0 {
			return []protocol.ICEServer{{URLs: cfg.TurnURLs, Username: user, Credential: secret}}
		}
		host := c.host
		if cfg.URL == nil {
			host = "127.0.0.1" // a local installation listens there; "localhost" may mean ::1 to a browser
		}
		return []protocol.ICEServer{
			{URLs: []string{"stun:" + net.JoinHostPort(host, udpPort)}},
			{URLs: []string{
				fmt.Sprintf("turn:%s?transport=udp", net.JoinHostPort(host, udpPort)),
				fmt.Sprintf("%s:%s?transport=tcp", tcpScheme, net.JoinHostPort(host, tcpPort)),
			}, Username: user, Credential: secret},
		}
	}
	return r, ice, nil
}

// ownAddress is the address of this machine that outgoing packets have; a relay on it is reachable where this is not
// behind a NAT. No packet is sent.
func ownAddress(ctx context.Context) netip.Addr {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", "192.0.2.1:9") // RFC 5737: documentation, never answered
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	ap, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
