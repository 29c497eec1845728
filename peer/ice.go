// The PeerConnection's settings: timeouts, which addresses may be used, and the path that was found.

package peer

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/internal/sdppolicy"
	"github.com/lookalong/lookalong/protocol"
)

const (
	betterDirect    = 100 * time.Millisecond
	betterHidden    = 20 * time.Millisecond // than a pair with an address that a browser hides: it is seldom worse than another
	betterThanRelay = time.Second
	// bindingRequests is how often a pair is checked, five times a second, before it counts as failed. pion's 7 end after
	// 1.4 s: a path that came back later was found by the next restart only. Its agent gives up after ICEFailed anyway.
	bindingRequests = 100
)

// create makes the PeerConnection and its three channels. DTLS packets count only from an address pair that ICE has
// checked: pion's ICE agent drops all others (security.md T36).
func (p *Peer) create() error {
	var s webrtc.SettingEngine
	t := p.cfg.Timers
	s.SetICETimeouts(t.ICEDisconnected, t.ICEFailed, t.ICEKeepAlive)
	s.SetSCTPRTOMax(2 * time.Second)
	if p.cfg.Role == Offerer { // it sends little: after a cut that is there sooner, and repeating it in vain costs little
		s.SetSCTPRTOMax(time.Second)
	}
	s.SetSCTPMaxMessageSize(protocol.MaxChannelBytes)
	s.SetDTLSInsecureSkipHelloVerify(false) //guard:T36
	s.SetIncludeLoopbackCandidate(p.loopback())
	// How long a pair waits for a better one before it is nominated. pion's 0.5, 1 and 2 s stand between the click and
	// the first picture: a browser that hides its addresses is seen as peer reflexive, on a path as direct as any.
	s.SetSrflxAcceptanceMinWait(betterDirect)
	s.SetPrflxAcceptanceMinWait(betterHidden)
	s.SetRelayAcceptanceMinWait(betterThanRelay)
	s.SetICEMaxBindingRequests(bindingRequests)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeQueryOnly)
	s.DisableActiveTCP(true) // a passive TCP candidate would make us connect to any TCP service (T20)
	s.SetRemoteIPFilter(p.remoteIP)
	s.SetNetworkTypes(p.networkTypes())
	s.LoggerFactory = quiet
	if p.cfg.Net != nil {
		s.SetNet(p.cfg.Net)
	}
	if p.cfg.RelayOnly {
		s.SetRelayAcceptanceMinWait(0) // there is nothing better to wait for (pion waits 2 s)
	}
	if p.cfg.Settings != nil {
		p.cfg.Settings(&s)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(p.configuration())
	if err != nil {
		return fmt.Errorf("peer: create: %w", err)
	}
	p.pc = pc
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { p.box.post(connectionChanged{}, 0) })
	pc.OnICECandidate(func(c *webrtc.ICECandidate) { p.box.post(candidateFound{c}, 0) })
	pc.OnDataChannel(func(*webrtc.DataChannel) { p.box.post(extraChannel{}, 0) })
	return p.createChannels()
}

func (p *Peer) configuration() webrtc.Configuration {
	c := webrtc.Configuration{ICETransportPolicy: webrtc.ICETransportPolicyAll}
	if p.cfg.RelayOnly {
		c.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	for _, srv := range p.cfg.ICEServers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{URLs: srv.URLs, Username: srv.Username, Credential: srv.Credential})
	}
	return c
}

// networkTypes leaves IPv6 out where there is none: pion gives up mDNS for IPv4 too when IPv6 multicast fails.
func (p *Peer) networkTypes() []webrtc.NetworkType {
	types := []webrtc.NetworkType{webrtc.NetworkTypeUDP4}
	if p.cfg.Net != nil {
		return types
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return types
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if ip := prefix.Addr(); err == nil && ip.Is6() && (ip.IsGlobalUnicast() || p.cfg.LoopbackOK && ip.IsLoopback()) {
			return append(types, webrtc.NetworkTypeUDP6)
		}
	}
	return types
}

// loopback says whether loopback candidates are gathered: at a local installation whose machine has no other address.
// Where it has one, both ends have a pair on it, and a loopback socket is a trap: Linux lets it reach the machine's other
// addresses, so that ICE may choose such a pair, and Firefox, which sends nothing to loopback, answers on none.
func (p *Peer) loopback() bool {
	if !p.cfg.LoopbackOK {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	return err != nil || onlyLoopback(addrs)
}

func onlyLoopback(addrs []net.Addr) bool {
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().IsGlobalUnicast() {
			return false
		}
	}
	return true
}

// remoteIP judges every address that ICE would send to, also those that an mDNS name resolved to.
func (p *Peer) remoteIP(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	return ok && sdppolicy.IPAllowed(addr, p.cfg.LoopbackOK) //guard:T20
}

// path reads the kind of path from the selected candidate pair.
func (p *Peer) path() string {
	pair, err := p.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return ""
	}
	if pair.Local.Typ == webrtc.ICECandidateTypeRelay || pair.Remote.Typ == webrtc.ICECandidateTypeRelay {
		return "relay"
	}
	return "direct"
}

// connectionChanged: the argument of pion's callback may be out of order, so the state is read again.
type connectionChanged struct{}

func (connectionChanged) apply(p *Peer) {
	if p.pc.SCTP().Transport().State() == webrtc.DTLSTransportStateFailed && !p.ended {
		p.log.Warn("peer session ends: DTLS failed")
		p.end("failed", false)
	}
	if p.pc.ConnectionState() == webrtc.PeerConnectionStateClosed {
		p.closedByPeer = true
		p.end(p.left(), false)
	}
}
