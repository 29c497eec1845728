// T13, the pure part: every registry block, and a second implementation that must agree.

package relay

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func loopbackPort(p uint16) netip.AddrPort { return netip.AddrPortFrom(loopback, p) }

// blocks is the table of the IANA registries written a second time, as first and last addresses.
var blocks = [][2]string{
	{"0.0.0.0", "0.255.255.255"},
	{"10.0.0.0", "10.255.255.255"},
	{"100.64.0.0", "100.127.255.255"},
	{"127.0.0.0", "127.255.255.255"},
	{"168.63.129.16", "168.63.129.16"},
	{"169.254.0.0", "169.254.255.255"},
	{"172.16.0.0", "172.31.255.255"},
	{"192.0.0.0", "192.0.0.255"},
	{"192.0.2.0", "192.0.2.255"},
	{"192.31.196.0", "192.31.196.255"},
	{"192.52.193.0", "192.52.193.255"},
	{"192.88.99.0", "192.88.99.255"},
	{"192.168.0.0", "192.168.255.255"},
	{"192.175.48.0", "192.175.48.255"},
	{"198.18.0.0", "198.19.255.255"},
	{"198.51.100.0", "198.51.100.255"},
	{"203.0.113.0", "203.0.113.255"},
	{"224.0.0.0", "255.255.255.255"},
	{"::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"64:ff9b::", "64:ff9b::ffff:ffff"},
	{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"},
	{"100::", "100::ffff:ffff:ffff:ffff"},
	{"100:0:0:1::", "100::1:ffff:ffff:ffff:ffff"},
	{"2001::", "2001::ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"},
	{"2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"},
	{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
}

// allowedByTable is the second implementation: comparison of addresses, no prefixes.
func allowedByTable(ip netip.Addr) bool {
	if ip.Is4In6() {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, b := range blocks {
		first, last := netip.MustParseAddr(b[0]), netip.MustParseAddr(b[1])
		if first.Is4() == ip.Is4() && first.Compare(ip) <= 0 && ip.Compare(last) <= 0 {
			return false
		}
	}
	return true
}

// forms returns the ways to write an IPv4 address as IPv6.
func forms(v4 netip.Addr) map[string]netip.Addr {
	b := v4.As4()
	out := map[string]netip.Addr{}
	put := func(name, prefix string, at int, flip byte) {
		a := netip.MustParseAddr(prefix).As16()
		for i := range b {
			a[at+i] = b[i] ^ flip
		}
		out[name] = netip.AddrFrom16(a)
	}
	put("mapped", "::ffff:0:0", 12, 0)
	put("compatible", "::", 12, 0)
	put("NAT64", "64:ff9b::", 12, 0)
	put("local NAT64", "64:ff9b:1::", 12, 0)
	put("6to4", "2002::", 2, 0)
	put("Teredo client", "2001::", 12, 0xff)
	put("Teredo server", "2001::", 4, 0)
	return out
}

func TestAllowPeerBlocks(t *testing.T) {
	for _, b := range blocks {
		for _, s := range b {
			ip := netip.MustParseAddr(s)
			if AllowPeer(ip, nil) {
				t.Errorf("%v is allowed", ip)
			}
			if !ip.Is4() {
				continue
			}
			for name, form := range forms(ip) {
				if AllowPeer(form, nil) {
					t.Errorf("%v, %s of %v, is allowed", form, name, ip)
				}
			}
		}
	}
	for name, form := range forms(netip.MustParseAddr("8.8.8.8")) {
		if got, want := AllowPeer(form, nil), name == "mapped"; got != want {
			t.Errorf("%s form of a public address: got %v, want %v", name, got, want)
		}
	}
	for _, s := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2001:200::", "2001:4860:4860::8888", "2003::", "2606:4700::1111", "3ffe::", "2a00:1450::1",
	} {
		if !AllowPeer(netip.MustParseAddr(s), nil) {
			t.Errorf("%s is refused", s)
		}
	}
	if AllowPeer(netip.Addr{}, nil) || AllowPeer(netip.MustParseAddr("2606:4700::1%eth0"), nil) {
		t.Error("no address, or one with a zone, is allowed")
	}
}

func TestAllowPrefixes(t *testing.T) {
	allow := prefixes("192.168.7.0/24", "100.100.0.0/16", "fd00:ec2::/48", "169.254.0.0/16", "127.0.0.0/8")
	for s, want := range map[string]bool{
		"192.168.7.1": true, "::ffff:192.168.7.1": true, "192.168.8.1": false, "100.100.1.1": true, "fd00:ec2::1": true,
		"100.100.100.200": false, "fd00:ec2::254": false, // metadata services
		"169.254.169.254": false, "127.0.0.1": false, // New refuses these prefixes; the function does so too
		"2002:c0a8:701::": false, "64:ff9b::c0a8:701": false,
	} {
		if got := AllowPeer(netip.MustParseAddr(s), allow); got != want {
			t.Errorf("%s: got %v, want %v", s, got, want)
		}
	}
}

func TestPolicyOwnAddress(t *testing.T) {
	host := netip.MustParseAddr("198.41.0.4")
	other := netip.MustParseAddr("198.41.0.5")
	p := policy{own: host, local: map[netip.Addr]bool{host: true, other: true}, minPort: 50000, maxPort: 50010}
	for port, want := range map[uint16]bool{0: false, 22: false, 3478: false, 49999: false, 50000: true, 50010: true, 50011: false} {
		for _, ip := range []netip.Addr{host, netip.AddrFrom16(host.As16())} {
			if got := p.allowAddr(netip.AddrPortFrom(ip, port)); got != want {
				t.Errorf("%v port %d: got %v, want %v", ip, port, got, want)
			}
		}
	}
	if !p.allowIP(host) || p.allowIP(other) || p.allowAddr(netip.AddrPortFrom(other, 50001)) {
		t.Error("only the relay's own address is an exception among the host's")
	}
	if p.allowAddr(netip.MustParseAddrPort("8.8.8.8:0")) || !p.allowAddr(netip.MustParseAddrPort("8.8.8.8:9")) {
		t.Error("a public peer needs a port")
	}
}

func FuzzAllowPeer(f *testing.F) {
	add := func(ip netip.Addr) {
		b := ip.As16()
		f.Add(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]))
	}
	for _, b := range blocks {
		for _, s := range b {
			ip := netip.MustParseAddr(s)
			add(ip)
			if p := ip.Prev(); p.IsValid() {
				add(p)
			}
			if n := ip.Next(); n.IsValid() {
				add(n)
			}
		}
	}
	f.Fuzz(func(t *testing.T, hi, lo uint64) {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], hi)
		binary.BigEndian.PutUint64(b[8:], lo)
		for _, ip := range []netip.Addr{
			netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[12:])),
			netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: b[12], 13: b[13], 14: b[14], 15: b[15]}),
		} {
			if got, want := AllowPeer(ip, nil), allowedByTable(ip); got != want {
				t.Errorf("%v: AllowPeer %v, table %v", ip, got, want)
			}
		}
	})
}
