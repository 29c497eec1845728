package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientIP is the address that limits count by: an IPv4 address, or the /64 of an IPv6 one, which is what one
// household or one machine has. Where the socket comes from a trusted proxy, it is the last address of the
// X-Forwarded-For header that no trusted proxy has: each proxy adds the address that it was called from at the right
// end, and what stands further left was written by strangers. Forwarded (RFC 7239) is not read: a proxy that writes one
// of the two headers passes on the other as the client invented it.
func clientIP(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	ip := peer.Addr().Unmap().WithZone("")
	if !within(ip, trusted) {
		return ipKey(ip) //guard:T35
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := hopAddr(hops[i])
		if !ok {
			break // a proxy that hides the address: what stands before it can't be told from an invention
		}
		ip = hop
		if !within(hop, trusted) {
			break //guard:T35
		}
	}
	return ipKey(ip)
}

func ipKey(ip netip.Addr) string {
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.String()
	}
	return ip.String()
}

func within(ip netip.Addr, networks []netip.Prefix) bool {
	for _, p := range networks {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// hopAddr reads one hop: an address, with or without brackets and a port.
func hopAddr(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(hop, "["); ok {
		hop = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(hop)
	if err != nil {
		return netip.Addr{}, false
	}
	return ip.Unmap().WithZone(""), true
}
