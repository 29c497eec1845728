// Package relay is the embedded STUN and TURN server: it tells peers their public address and, where no direct path
// exists, carries their (end-to-end encrypted) packets. It also splits one TCP port between HTTP and STUN/TURN.
//
// The protocol is pion/turn's; this package decides who may relay, to whom, how much and for how long. The rules are
// those of the project's threat table: T10, T13 to T16 and T36.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
)

// sweepEvery bounds how long a relay outlives its session when nobody calls CloseUser. The limit is one second.
const sweepEvery = 500 * time.Millisecond

// Config says what a Server uses and what it permits.
type Config struct {
	// UDP carries STUN and TURN. Required. Close closes it.
	UDP net.PacketConn
	// TCP accepts STUN and TURN connections, usually Splitter.STUN. nil means UDP only. Close closes it.
	TCP net.Listener
	// RelayIP is the address that relays are advertised on. Required, neither unspecified nor multicast. A loopback
	// address makes sense only where both peers are on this machine.
	RelayIP netip.Addr
	// BindIP is the address of this host that relays are bound to, where RelayIP is translated to it (a cloud's public
	// address). The zero value means RelayIP. Same family as RelayIP.
	BindIP netip.Addr
	// MinPort and MaxPort are the first and last UDP port of relays. Both 0 means 49152 to 65535 (RFC 8656 section 5).
	MinPort, MaxPort uint16
	// Realm is the TURN realm, which enters the clients' keys. Empty means "lookalong".
	Realm string
	// Secret returns the password of a user whose session is live, and false for everybody else. Required. It is
	// called for each request and twice a second for each user with a relay, from several goroutines, and must
	// not block. A user is the session's random part, or that followed by a colon and one end's name: what stands
	// before the last colon is counted as one session.
	Secret func(user string) (password string, ok bool)
	// AllowPrefixes are private networks that peers may be in (an installation for a LAN), named one by one: each in
	// 10/8, 172.16/12, 192.168/16, 100.64/10 or fc00::/7, /16 or smaller, /48 for IPv6. This host's own addresses stay
	// refused.
	AllowPrefixes []netip.Prefix
	// AnonymousPerSecond is how many requests without valid credentials are answered for each IP address (IPv6: /64).
	// Unit: requests a second, also the burst. Zero means 20. Range 1 to 10000.
	AnonymousPerSecond int
	// Log takes what happens. nil discards. Addresses and usernames appear at debug only, secrets never.
	Log *slog.Logger
}

// Server is a STUN and TURN server. All methods may be called from any goroutine.
type Server struct {
	cfg    Config
	policy policy
	bind   netip.Addr
	quota  *quota
	byAddr *limiter // requests without valid credentials
	byUser *limiter // authenticated requests
	now    func() time.Time
	bytes  atomic.Int64 // that relays have taken, both ways

	once    sync.Once
	closed  chan struct{}
	failure chan error     // capacity 1: the first failure ends Run
	running sync.WaitGroup // relays and TCP connections that the library still holds; Add under mu while !closing

	mu      sync.RWMutex
	closing bool
	relays  map[uint16]*relayConn // by port
	clients map[source]*relayConn // by the client's address; one relay each (RFC 8656: the 5-tuple)
	streams map[source]*stream
	perAddr map[string]int
}

// New checks cfg and starts nothing. The error says which field is wrong.
func New(cfg Config) (*Server, error) {
	if cfg.UDP == nil || cfg.Secret == nil {
		return nil, errors.New("relay: config: UDP and Secret are required")
	}
	own := cfg.RelayIP.Unmap()
	if !own.IsValid() || own.IsUnspecified() || own.IsMulticast() || own.Zone() != "" {
		return nil, fmt.Errorf("relay: config: relay address %v is not one address of one host", cfg.RelayIP)
	}
	bind := cfg.BindIP.Unmap()
	if !bind.IsValid() {
		bind = own
	}
	if bind.Is4() != own.Is4() || bind.IsUnspecified() {
		return nil, fmt.Errorf("relay: config: bind address %v does not fit relay address %v", cfg.BindIP, cfg.RelayIP)
	}
	if cfg.MinPort == 0 && cfg.MaxPort == 0 {
		cfg.MinPort, cfg.MaxPort = 49152, 65535
	}
	if cfg.MinPort == 0 || cfg.MinPort > cfg.MaxPort {
		return nil, fmt.Errorf("relay: config: relay ports %d to %d are not a range", cfg.MinPort, cfg.MaxPort)
	}
	for _, p := range cfg.AllowPrefixes {
		if err := checkPrefix(p); err != nil {
			return nil, err
		}
	}
	if cfg.Realm == "" {
		cfg.Realm = "lookalong"
	}
	if cfg.AnonymousPerSecond == 0 {
		cfg.AnonymousPerSecond = 20
	}
	if cfg.AnonymousPerSecond < 1 || cfg.AnonymousPerSecond > 10000 {
		return nil, fmt.Errorf("relay: config: %d anonymous requests a second is not in 1 to 10000", cfg.AnonymousPerSecond)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	local, err := localAddrs()
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg:    cfg,
		policy: policy{own: own, local: local, minPort: cfg.MinPort, maxPort: cfg.MaxPort, allow: cfg.AllowPrefixes},
		bind:   bind, quota: newQuota(time.Now), now: time.Now,
		byAddr: newLimiter(float64(cfg.AnonymousPerSecond), cfg.AnonymousPerSecond), byUser: newLimiter(userPerSecond, userBurst),
		closed: make(chan struct{}), failure: make(chan error, 1),
		relays: map[uint16]*relayConn{}, clients: map[source]*relayConn{}, streams: map[source]*stream{}, perAddr: map[string]int{},
	}, nil
}

// localAddrs returns the addresses of this host as they are now. They are refused as peers: a service that listens
// there may trust what comes from its own host.
func localAddrs() (map[netip.Addr]bool, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("relay: addresses of this host: %w", err)
	}
	out := map[netip.Addr]bool{}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out[p.Addr().Unmap().WithZone("")] = true
		}
	}
	return out, nil
}

// Run serves until ctx ends, Close is called or the UDP socket fails for good. It returns when all relays and TCP
// connections are closed: nil after an end that was asked for, else the socket's error. Call it once.
func (s *Server) Run(ctx context.Context) error {
	defer s.running.Wait()
	defer s.Close()
	conf := turn.ServerConfig{
		PacketConnConfigs:  []turn.PacketConnConfig{{PacketConn: udpFront{s.cfg.UDP, s}, RelayAddressGenerator: generator{s}, PermissionHandler: s.permit}},
		Realm:              s.cfg.Realm,
		AuthHandler:        s.authenticate,
		QuotaHandler:       func(user, _ string, _ net.Addr) bool { return s.quota.reserve(user) },
		AllocationLifetime: allocationLife,
		// A client that comes over IPv6 and names no family still gets a relay where ours is IPv4.
		StrictAddressFamily: s.policy.own.Is4(),
		LoggerFactory:       pionLog{s.cfg.Log},
		EventHandler: turn.EventHandler{
			OnAuth:              s.onAuth,
			OnAllocationCreated: s.onAllocation,
			OnPermissionCreated: func(c, _ net.Addr, _, _, _ string, _ net.Addr, ip net.IP) { s.onPermission(c, ip, true) },
			OnPermissionDeleted: func(c, _ net.Addr, _, _, _ string, _ net.Addr, ip net.IP) { s.onPermission(c, ip, false) },
		},
	}
	if s.cfg.TCP != nil {
		conf.ListenerConfigs = []turn.ListenerConfig{{Listener: tcpFront{s.cfg.TCP, s}, RelayAddressGenerator: generator{s}, PermissionHandler: s.permit}}
	}
	if _, err := turn.NewServer(conf); err != nil { // its Close closes the sockets, as ours does, and no more
		return fmt.Errorf("relay: %w", err)
	}
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-s.closed:
			return nil
		case err := <-s.failure:
			return fmt.Errorf("relay: UDP socket: %w", err)
		case <-sweep.C:
			s.sweep()
		}
	}
}

// Close ends Run and closes both sockets, all relays and all TCP connections. It returns at once and may be called more
// than once.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.cfg.UDP.Close()
		if s.cfg.TCP != nil {
			s.cfg.TCP.Close()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closing = true
		for _, r := range s.relays {
			r.shut()
		}
		for _, st := range s.streams {
			st.Conn.Close()
		}
	})
}

// CloseUser closes all relays of user now; no packet passes afterwards. Call it after Secret has begun to refuse the
// user, or the user makes new ones.
func (s *Server) CloseUser(user string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.relays {
		if r.user == user {
			r.shut() //guard:T15
		}
	}
}

// Count returns how many relays are open.
func (s *Server) Count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.relays)
}

// Bytes returns how many bytes the relays have taken since the start, both ways together, what was dropped for its rate
// included.
func (s *Server) Bytes() int64 { return s.bytes.Load() }

// sweep closes the relays of users whose session is over, and those whose client has not refreshed in time: the library
// grants a client up to an hour if it asks for it.
func (s *Server) sweep() {
	late := s.now().Add(-allocationLife - refreshSlack).UnixNano()
	s.mu.RLock()
	all := slices.Collect(maps.Values(s.relays))
	s.mu.RUnlock()
	for _, r := range all { // without our lock: Secret takes its owner's, which may be held around CloseUser
		if !s.live(r.user) || r.heard.Load() < late {
			r.shut()
		}
	}
	s.quota.forget(s.live)
}

func (s *Server) live(user string) bool {
	_, ok := s.cfg.Secret(user)
	return ok
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func (s *Server) fail(err error) {
	select {
	case s.failure <- err:
	default: // an earlier failure ends Run already
	}
}

// key returns the long-term key of a live user (RFC 8489 section 9.2.2).
func (s *Server) key(user, realm string) ([]byte, bool) {
	password, ok := s.cfg.Secret(user)
	if !ok || user == "" || realm != s.cfg.Realm {
		return nil, false //guard:T15
	}
	return turn.GenerateAuthKey(user, realm, password), true
}

func (s *Server) authenticate(r *turn.RequestAttributes) (user string, key []byte, ok bool) {
	key, ok = s.key(r.Username, r.Realm)
	return r.Username, key, ok
}

// permit is the first check of a peer, by address.
func (s *Server) permit(client net.Addr, peer net.IP) bool {
	ip, ok := netip.AddrFromSlice(peer)
	if !ok || !s.policy.allowIP(ip) {
		return false //guard:T13
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.clients[sourceOf(client)]
	if r == nil {
		return false
	}
	_, has := r.peers[ip.Unmap()]
	return has || len(r.peers) < maxPermissions
}

func (s *Server) onPermission(client net.Addr, peer net.IP, created bool) {
	ip, _ := netip.AddrFromSlice(peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.clients[sourceOf(client)]; r != nil && created {
		r.peers[ip.Unmap()] = struct{}{}
	} else if r != nil {
		delete(r.peers, ip.Unmap())
	}
}

func (s *Server) onAuth(client, _ net.Addr, _, _, _, _ string, ok bool) {
	if r := s.relayOf(sourceOf(client)); ok && r != nil {
		r.heard.Store(s.now().UnixNano())
	}
}

func (s *Server) onAllocation(client, _ net.Addr, _, _, _ string, relay net.Addr, _ int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.relays[sourceOf(relay).addr.Port()]; r != nil {
		r.src = sourceOf(client)
		s.clients[r.src] = r
	}
}

// relayOf returns the relay of a client, or nil.
func (s *Server) relayOf(client source) *relayConn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.clients[client]
}

// isRelay says whether one of our relays lives on port.
func (s *Server) isRelay(port uint16) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.relays[port] != nil
}
