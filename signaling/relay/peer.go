// The peers which the relay may reach. Both checks (permission and write) ask the pure functions of this file, so
// that one table decides what a stranger can make this host send to.

package relay

import (
	"errors"
	"fmt"
	"net/netip"
)

// refused holds the special-purpose blocks of the IANA registries (IPv4: RFC 6890 and its updates; IPv6: the same,
// as of 2026-11), multicast, and blocks that wrap an IPv4 address. It also names the blocks that the registries call
// globally reachable but that serve infrastructure (AS112, AMT, 6to4 relays): no customer lives there.
var refused = prefixes(
	"0.0.0.0/8",       // this network; Linux takes 0.0.0.0 for loopback
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carrier-grade NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, cloud metadata
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // IETF protocol assignments
	"192.0.2.0/24",    // documentation (TEST-NET-1)
	"192.31.196.0/24", // AS112
	"192.52.193.0/24", // AMT
	"192.88.99.0/24",  // 6to4 relay anycast
	"192.168.0.0/16",  // private
	"192.175.48.0/24", // AS112
	"198.18.0.0/15",   // benchmarking
	"198.51.100.0/24", // documentation (TEST-NET-2)
	"203.0.113.0/24",  // documentation (TEST-NET-3)
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast

	"::/8",              // unspecified, loopback, IPv4-compatible, NAT64 64:ff9b::/96 and 64:ff9b:1::/48
	"100::/64",          // discard
	"100:0:0:1::/64",    // dummy
	"2001::/23",         // protocol assignments: Teredo, benchmarking, ORCHID
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4
	"2620:4f:8000::/48", // AS112
	"3fff::/20",         // documentation
	"5f00::/16",         // segment routing
	"fc00::/7",          // unique local
	"fe80::/10",         // link-local
	"fec0::/10",         // site-local
	"ff00::/8",          // multicast
)

// metadata holds cloud metadata services that no configuration can allow. Those in link-local space are refused anyway.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("168.63.129.16"):   true, // Azure, a public address
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle
	netip.MustParseAddr("fd00:ec2::254"):   true, // Amazon
	netip.MustParseAddr("fd20:ce::254"):    true, // Google
}

// allowable holds what an operator may name in Config.AllowPrefixes: private networks, and nothing that is refused
// for another reason.
var allowable = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

// globalV6 is the only part of IPv6 that IANA has given out as global unicast (RFC 4291 section 2.4).
var globalV6 = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// AllowPeer says whether the relay may send to ip. It is pure and may be called from any goroutine.
// An IPv4 address mapped into IPv6 is judged as the IPv4 address. Addresses that carry an IPv4 address in another way
// (NAT64, 6to4, Teredo, IPv4-compatible) are refused whole, as are addresses with a zone. allow lists private prefixes
// which are permitted nevertheless; it cannot permit a cloud metadata service.
// The relay's own address is not known here: see policy.
func AllowPeer(ip netip.Addr, allow []netip.Prefix) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	if metadata[ip] {
		return false
	}
	for _, p := range refused {
		if p.Contains(ip) {
			return contains(allow, ip) && contains(allowable, ip) //guard:T13
		}
	}
	return ip.Is4() || globalV6.Contains(ip)
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

var errPrefix = errors.New("relay: allowed prefix is not acceptable")

// checkPrefix returns an error for a prefix that AllowPrefixes must not hold: outside private networks, or so wide
// that it means "everything private" (below /16, or /48 for IPv6).
func checkPrefix(p netip.Prefix) error {
	if !p.IsValid() || p != p.Masked() {
		return fmt.Errorf("%w: %v is not a network address with a length", errPrefix, p)
	}
	if least := map[bool]int{true: 16, false: 48}[p.Addr().Is4()]; p.Bits() < least {
		return fmt.Errorf("%w: %v is too wide, name networks of /%d or smaller one by one", errPrefix, p, least)
	}
	if !contains(allowable, p.Addr()) {
		return fmt.Errorf("%w: %v is not a private network (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7)", errPrefix, p)
	}
	return nil
}

// policy is AllowPeer for one relay: the one exception for its own address, and no other address of this host.
// It does not change after New.
type policy struct {
	own     netip.Addr          // address that relays are advertised on, unmapped
	local   map[netip.Addr]bool // addresses of this host's interfaces
	minPort uint16              // first port of relays
	maxPort uint16              // last port of relays
	allow   []netip.Prefix
}

// allowIP is the first check, when a permission is asked for: the port is not known yet.
func (p policy) allowIP(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip == p.own || !p.local[ip] && AllowPeer(ip, p.allow)
}

// allowAddr is the second check, at each write. On the relay's own address only ports of the relay range pass; the
// caller also makes sure that a relay lives there.
func (p policy) allowAddr(to netip.AddrPort) bool {
	ip := to.Addr().Unmap()
	if ip == p.own {
		return to.Port() >= p.minPort && to.Port() <= p.maxPort
	}
	return to.Port() != 0 && !p.local[ip] && AllowPeer(ip, p.allow)
}
