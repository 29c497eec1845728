package peer

import (
	"net"
	"net/netip"
	"testing"
)

func TestLoopbackIsForMachinesWithNothingElse(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		want  bool
	}{
		{nil, true},
		{[]string{"127.0.0.1/8", "::1/128"}, true},
		{[]string{"127.0.0.1/8", "fe80::1/64", "169.254.3.4/16"}, true}, // link-local addresses are refused everywhere
		{[]string{"127.0.0.1/8", "192.168.1.20/24"}, false},
		{[]string{"::1/128", "fd00::2/64"}, false},
	} {
		var addrs []net.Addr
		for _, a := range c.addrs {
			prefix := netip.MustParsePrefix(a)
			addrs = append(addrs, &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())})
		}
		if got := onlyLoopback(addrs); got != c.want {
			t.Errorf("%v: only loopback is %v, want %v", c.addrs, got, c.want)
		}
	}
}
