// What stands before the library: every datagram and every TCP frame passes accept, so that strangers get few answers
// (T36) and cost little.

package relay

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"
)

const (
	stunHeaderBytes = 20
	maxFrameBytes   = 1599 // pion/turn drops what fills its 1,600 byte buffer

	userPerSecond = 200 // authenticated requests of one user; a client makes a few in a minute and a burst at its start
	userBurst     = 400

	maxReadErrors = 100 // so many UDP read errors in a row end the relay
)

// source is where a client's requests come from.
type source struct {
	addr netip.AddrPort
	tcp  bool
}

// sourceOf returns the source of an address that pion hands back; the zero source matches nobody.
func sourceOf(a net.Addr) source {
	switch a := a.(type) {
	case *net.UDPAddr:
		return source{addr: unmap(a.AddrPort())}
	case *net.TCPAddr:
		return source{addr: unmap(a.AddrPort()), tcp: true}
	}
	return source{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// accept says whether the library should see b. Data and indications pass only from a source that has a relay: they
// are never answered. A request with a valid MESSAGE-INTEGRITY passes at its user's rate. All other requests, those
// for the server-reflexive address included, share the rate of their IP address.
func (s *Server) accept(b []byte, from source) bool {
	if len(b) >= 4 && b[0]>>6 == 1 {
		return s.relayOf(from) != nil // ChannelData, RFC 8656 section 12.4
	}
	if !stun.IsMessage(b) || b[0]>>6 != 0 {
		return false
	}
	switch kind := binary.BigEndian.Uint16(b) & 0x0110; kind {
	case 0x0000:
		if user, ok := s.authentic(b); ok {
			return s.byUser.allow(user, s.now())
		}
		if !s.byAddr.allow(addrKey(from.addr.Addr()), s.now()) {
			return false //guard:T36
		}
		return true
	case 0x0010:
		return s.relayOf(from) != nil
	default:
		return false // responses: we never ask
	}
}

// authentic returns the user of a request whose MESSAGE-INTEGRITY is right. The library checks again, the nonce too.
func (s *Server) authentic(b []byte) (user string, ok bool) {
	m := stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil || !m.Contains(stun.AttrMessageIntegrity) {
		return "", false
	}
	var name stun.Username
	var realm stun.Realm
	if name.GetFrom(&m) != nil || realm.GetFrom(&m) != nil {
		return "", false
	}
	key, ok := s.key(name.String(), realm.String())
	if !ok || stun.MessageIntegrity(key).Check(&m) != nil {
		return "", false
	}
	return name.String(), true
}

// udpFront is the UDP socket as the library sees it.
type udpFront struct {
	net.PacketConn
	srv *Server
}

func (u udpFront) ReadFrom(p []byte) (int, net.Addr, error) {
	for failures := 0; ; {
		n, from, err := u.PacketConn.ReadFrom(p)
		switch {
		case err == nil:
			failures = 0
			if u.srv.accept(p[:n], sourceOf(from)) {
				return n, from, nil
			}
		case errors.Is(err, net.ErrClosed):
			return 0, nil, err
		default: // the library would stop for ever; some systems report a client's refusal here
			if failures++; failures > maxReadErrors {
				u.srv.fail(err)
				return 0, nil, err
			}
		}
	}
}
