package server

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestClientIP is T35's table: whose word counts for where a client is.
func TestClientIP(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8:1::/64")}
	for _, c := range []struct {
		name, peer, want string
		forwarded        []string
	}{
		{"nobody before us", "203.0.113.7:1000", "203.0.113.7", nil},
		{"IPv6 counts by /64", "[2001:db8:2:3:4:5:6:7]:1", "2001:db8:2:3::/64", nil},
		{"mapped IPv4", "[::ffff:203.0.113.7]:1", "203.0.113.7", nil},
		{"a zone is no address", "[fe80::1%eth0]:1", "fe80::/64", nil},
		{"a stranger's word", "203.0.113.7:1000", "203.0.113.7", []string{"198.51.100.1"}},
		{"a proxy's word", "10.0.0.2:1000", "198.51.100.1", []string{"198.51.100.1"}},
		{"a proxy's word, mapped", "[::ffff:10.0.0.2]:1", "198.51.100.1", []string{"198.51.100.1"}},
		{"an invention before it", "10.0.0.2:1000", "198.51.100.1", []string{"1.1.1.1, 198.51.100.1"}},
		{"two headers are one list", "10.0.0.2:1000", "198.51.100.1", []string{"1.1.1.1", "198.51.100.1"}},
		{"two proxies", "10.0.0.2:1000", "198.51.100.1", []string{"1.1.1.1, 198.51.100.1, 10.0.0.3"}},
		{"invented proxies", "10.0.0.2:1000", "198.51.100.1", []string{"10.0.0.9, 10.0.0.8, 198.51.100.1"}},
		{"an untrusted proxy of ours", "10.0.1.2:1000", "10.0.1.2", []string{"198.51.100.1"}},
		{"all trusted", "10.0.0.2:1000", "10.0.0.4", []string{"10.0.0.4, 10.0.0.3"}},
		{"no header", "10.0.0.2:1000", "10.0.0.2", nil},
		{"an empty one", "10.0.0.2:1000", "10.0.0.2", []string{""}},
		{"garbage at the end", "10.0.0.2:1000", "10.0.0.2", []string{"198.51.100.1, unknown"}},
		{"garbage behind a proxy", "10.0.0.2:1000", "10.0.0.3", []string{"198.51.100.1, _hidden, 10.0.0.3"}},
		{"with a port", "10.0.0.2:1000", "198.51.100.1", []string{"198.51.100.1:4711"}},
		{"IPv6 with brackets and port", "10.0.0.2:1000", "2001:db8:9::/64", []string{"[2001:db8:9::1]:4711"}},
		{"IPv6 with brackets", "10.0.0.2:1000", "2001:db8:9::/64", []string{"[2001:db8:9::1]"}},
		{"IPv6 bare, by an IPv6 proxy", "[2001:db8:1::2]:1", "2001:db8:9::/64", []string{"2001:db8:9::1"}},
		{"white space", "10.0.0.2:1000", "198.51.100.1", []string{" \t198.51.100.1 "}},
		{"no address at all", "pipe", "unknown", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			r.Header["X-Forwarded-For"] = c.forwarded
			r.Header.Set("Forwarded", "for=1.2.3.4") // never read
			r.Header.Set("X-Real-Ip", "1.2.3.4")
			if got := clientIP(r, trusted); got != c.want {
				t.Errorf("%s with %q is %s, want %s", c.peer, c.forwarded, got, c.want)
			}
		})
	}
}

// FuzzClientIP: whatever a stranger writes before a proxy's word, the proxy's word counts; and without a proxy nothing
// that is written does.
func FuzzClientIP(f *testing.F) {
	for _, s := range []string{"", "1.1.1.1", "1.1.1.1, 10.0.0.3", `for="[::1]"`, "unknown", ",,,", "10.0.0.1", "[::1", "1.1.1.1:99999", "\x00", strings.Repeat("9,", 500)} {
		f.Add(s)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	f.Fuzz(func(t *testing.T, invented string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.2:1"
		for _, tail := range []string{"198.51.100.1", "198.51.100.1, 10.0.0.3"} {
			r.Header["X-Forwarded-For"] = []string{invented + "," + tail}
			if got := clientIP(r, trusted); got != "198.51.100.1" {
				t.Errorf("%q before %q makes it %s", invented, tail, got)
			}
			r.Header["X-Forwarded-For"] = []string{invented, tail}
			if got := clientIP(r, trusted); got != "198.51.100.1" {
				t.Errorf("%q in a header before %q makes it %s", invented, tail, got)
			}
		}
		r.Header["X-Forwarded-For"] = []string{invented}
		if got := clientIP(r, trusted); got != "10.0.0.2" { // only the hops themselves may be the answer
			if _, err := netip.ParseAddr(got); err != nil {
				if _, err := netip.ParsePrefix(got); err != nil {
					t.Errorf("%q makes it %q, which is no address", invented, got)
				}
			}
		}
		r.RemoteAddr = "203.0.113.7:1"
		if got := clientIP(r, trusted); got != "203.0.113.7" {
			t.Errorf("a stranger's %q makes it %s", invented, got)
		}
	})
}
