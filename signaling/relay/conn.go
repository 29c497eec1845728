// One relay: the UDP socket behind one allocation, and the generator that makes them.

package relay

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

const (
	allocationLife = 5 * time.Minute  // the table of limits; RFC 8656 section 3.2 has 10 min as its default
	refreshSlack   = 30 * time.Second // a refresh may come this late before the relay is closed

	relayBytesPerSecond = 10e6 / 8            // 10 Mbit/s each way
	relayBurstBytes     = relayBytesPerSecond // a second's worth: what a sender's congestion window may put out at once

	maxPermissions = 64 // addresses one relay may talk to; a peer has at most 30 candidates
	bindTries      = 64 // random ports to try
)

var (
	errPeer      = errors.New("relay: peer is refused")
	errNoTCP     = errors.New("relay: no relaying over TCP")
	errPort      = errors.New("relay: a wished port is not available")
	errFamily    = errors.New("relay: address family is not available")
	errQuota     = errors.New("relay: no place reserved")
	errClosed    = errors.New("relay: closed")
	errUser      = errors.New("relay: session is over")
	errNoPort    = errors.New("relay: no free port in the relay range")
	errUsedUp    = errors.New("relay: session has used its bytes")
	errMalformed = errors.New("relay: not an IP address")
)

// relayConn is one relay socket. The library reads and writes it, each from one goroutine at a time; shut may be
// called from any goroutine.
type relayConn struct {
	*net.UDPConn
	srv   *Server
	user  string
	port  uint16
	use   *usage
	rx    *rate.Limiter
	tx    *rate.Limiter
	heard atomic.Int64 // Unix nanoseconds of the client's last authenticated request
	once  sync.Once

	src   source                  // the client; guarded by srv.mu
	peers map[netip.Addr]struct{} // permitted addresses; guarded by srv.mu
}

// WriteTo sends to a peer. It asks the policy again, now that the port is known, and for each packet: a permission
// names an address only.
func (r *relayConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	to := sourceOf(addr).addr
	if !to.IsValid() {
		return 0, errMalformed
	}
	if !r.srv.policy.allowAddr(to) {
		return 0, errPeer //guard:T13
	}
	if to.Addr() == r.srv.policy.own {
		// The kernel carries it to the other relay over its own address, without a look at any network.
		if !r.srv.isRelay(to.Port()) {
			return 0, errPeer //guard:T13
		}
		to = netip.AddrPortFrom(r.srv.bind, to.Port())
	}
	if ok, err := r.spend(r.tx, len(p)); !ok {
		return len(p), err // dropped, as a full queue on the way would
	}
	return r.WriteToUDPAddrPort(p, to)
}

// ReadFrom returns the next packet of a peer. From our own address it takes only what another relay sent.
func (r *relayConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.ReadFromUDPAddrPort(p)
		if err != nil {
			return 0, nil, err
		}
		from = unmap(from)
		if from.Addr() == r.srv.bind || from.Addr() == r.srv.policy.own {
			if !r.srv.isRelay(from.Port()) {
				continue
			}
			from = netip.AddrPortFrom(r.srv.policy.own, from.Port())
		}
		ok, err := r.spend(r.rx, n)
		if err != nil {
			return 0, nil, err
		}
		if ok {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
	}
}

// spend takes n bytes from the relay's rate and from the session's account. An empty account ends the relay.
func (r *relayConn) spend(l *rate.Limiter, n int) (bool, error) {
	r.srv.bytes.Add(int64(n))
	if r.use.bytes.Add(int64(n)) > maxSessionBytes {
		r.shut()
		return false, errUsedUp
	}
	return l.AllowN(r.srv.now(), n), nil
}

// shut stops the relay at once, in both directions. The library notices and calls Close.
func (r *relayConn) shut() { r.UDPConn.Close() }

// Close is called by the library when the allocation ends. It never fails: the library would stop closing the others.
func (r *relayConn) Close() error {
	r.shut()
	r.once.Do(func() {
		r.srv.mu.Lock()
		delete(r.srv.relays, r.port)
		if r.srv.clients[r.src] == r {
			delete(r.srv.clients, r.src)
		}
		st := r.srv.streams[r.src]
		r.srv.mu.Unlock()
		if st != nil {
			st.expire()
		}
		r.srv.quota.release(r.user)
		r.srv.running.Done()
	})
	return nil
}

// generator implements turn.RelayAddressGenerator.
type generator struct{ srv *Server }

func (g generator) Validate() error { return nil }

// AllocatePacketConn binds a random port of the relay range. EVEN-PORT and RESERVATION-TOKEN, which wish for a port or
// probe without a user, are not offered.
func (g generator) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	s := g.srv
	if c.UserID == "" || c.RequestedPort != 0 {
		return nil, nil, errPort
	}
	if (c.Network == "udp4") != s.policy.own.Is4() {
		return nil, nil, errFamily
	}
	use := s.quota.claim(c.UserID)
	if use == nil {
		return nil, nil, errQuota
	}
	r, err := s.listen(c.UserID, use)
	if err != nil {
		s.quota.release(c.UserID)
		return nil, nil, err
	}
	if !s.live(c.UserID) { // ended after the request was authenticated; CloseUser may be over
		r.Close()
		return nil, nil, errUser
	}
	own := net.IP(s.policy.own.AsSlice())
	return r, &net.UDPAddr{IP: own, Port: int(r.port)}, nil
}

// AllocateListener refuses TCP allocations (RFC 6062): they would be an open TCP proxy.
func (generator) AllocateListener(turn.AllocateListenerConfig) (l net.Listener, a net.Addr, err error) {
	err = errNoTCP //guard:T16
	return l, a, err
}

// AllocateConn refuses TCP connections to peers.
func (generator) AllocateConn(turn.AllocateConnConfig) (c net.Conn, err error) {
	err = errNoTCP //guard:T16
	return c, err
}

// listen opens and registers a relay socket.
func (s *Server) listen(user string, use *usage) (*relayConn, error) {
	span := big.NewInt(int64(s.policy.maxPort) - int64(s.policy.minPort) + 1)
	for range bindTries {
		n, err := rand.Int(rand.Reader, span) // not guessable: a port is what an attacker would have to find
		if err != nil {
			return nil, fmt.Errorf("relay: random port: %w", err)
		}
		port := s.policy.minPort + uint16(n.Int64())
		if s.isRelay(port) {
			continue
		}
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.bind, port)))
		if err != nil {
			continue // taken by another program
		}
		r := &relayConn{
			UDPConn: c, srv: s, user: user, port: port, use: use,
			rx: rate.NewLimiter(relayBytesPerSecond, relayBurstBytes), tx: rate.NewLimiter(relayBytesPerSecond, relayBurstBytes),
			peers: map[netip.Addr]struct{}{},
		}
		r.heard.Store(s.now().UnixNano())
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			c.Close()
			return nil, errClosed
		}
		s.relays[port] = r
		s.running.Add(1)
		s.mu.Unlock()
		return r, nil
	}
	return nil, errNoPort
}
