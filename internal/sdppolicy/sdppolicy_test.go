// Real descriptions pass and keep what matters; hostile ones are refused or lose what could hurt.

package sdppolicy

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const print32 = "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2"

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\n", "\r\n")
}

var realFiles = []string{"chromium_offer.sdp", "chromium_answer.sdp", "pion_offer.sdp", "pion_answer.sdp", "firefox_offer.sdp"}

func TestRealDescriptionsPass(t *testing.T) {
	for _, name := range realFiles {
		t.Run(name, func(t *testing.T) {
			rebuilt, fp, err := CheckSDP(read(t, name), "")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(fp, "sha-256 ") || !strings.Contains(rebuilt, "a=fingerprint:"+fp+"\r\n") {
				t.Errorf("fingerprint %q is not in the result", fp)
			}
			again, fp2, err := CheckSDP(rebuilt, fp)
			if err != nil || again != rebuilt || fp2 != fp {
				t.Errorf("rebuilt description does not survive: %v\n%s\n%s", err, rebuilt, again)
			}
		})
	}
}

func TestRebuiltHasOnlyKnownLines(t *testing.T) {
	rebuilt, _, err := CheckSDP(read(t, "chromium_offer.sdp"), "")
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, "chromium_offer.rebuilt")
	if rebuilt != want {
		t.Errorf("got\n%s\nwant\n%s", rebuilt, want)
	}
}

func TestHostileDescriptions(t *testing.T) {
	good := read(t, "chromium_offer.sdp")
	fp := "a=fingerprint:sha-256 " + print32 + "\r\n"
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the good description has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	cases := []struct{ name, sdp, pinned string }{
		{"empty", "", ""},
		{"not sdp", "hello", ""},
		{"too large", good + strings.Repeat("a=x:"+strings.Repeat("y", 996)+"\r\n", 17), ""},
		{"second fingerprint", good + fp, ""},
		{"second fingerprint at the session", replace("a=extmap", fp+"a=extmap"), ""},
		{"no fingerprint", replace(fp, ""), ""},
		{"sha-1", replace("sha-256 ", "sha-1 "), ""},
		{"short fingerprint", replace(":88:A2", ""), ""},
		{"fingerprint not hex", replace(":88:A2", ":88:ZZ"), ""},
		{"changed fingerprint", good, "sha-256 00" + print32[2:]},
		{"audio added", good + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n", ""},
		{"video only", replace("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=video 9 UDP/TLS/RTP/SAVPF 96"), ""},
		{"second application", good + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n", ""},
		{"no media", good[:strings.Index(good, "m=")], ""},
		{"rejected media", replace("m=application 9", "m=application 0"), ""},
		{"plain rtp", replace("UDP/DTLS/SCTP", "RTP/AVP"), ""},
		{"old sctp", replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"), ""},
		{"no ufrag", replace("a=ice-ufrag:WZ5x\r\n", ""), ""},
		{"two ufrags", replace("a=ice-ufrag:WZ5x\r\n", "a=ice-ufrag:WZ5x\r\na=ice-ufrag:WZ5y\r\n"), ""},
		{"short password", replace("a=ice-pwd:+MYD5fLmYOmDZGKQVYwXQoRb", "a=ice-pwd:short"), ""},
		{"bad password", replace("a=ice-pwd:+MYD5fLmYOmDZGKQVYwXQoRb", "a=ice-pwd:+MYD5fLmYOmDZ GKQVYwXQoRb"), ""},
		{"ice lite", replace("a=extmap-allow-mixed", "a=ice-lite"), ""},
		{"holdconn", replace("a=setup:actpass", "a=setup:holdconn"), ""},
		{"no setup", replace("a=setup:actpass\r\n", ""), ""},
		{"no mid", replace("a=mid:0\r\n", ""), ""},
		{"long mid", replace("a=mid:0", "a=mid:"+strings.Repeat("0", 17)), ""},
		{"sctp port 0", replace("a=sctp-port:5000", "a=sctp-port:0"), ""},
		{"huge message size", replace("a=max-message-size:262144", "a=max-message-size:99999999999999999999"), ""},
		{"31 candidates", good + strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n", 31), ""},
		{"unreadable candidate", good + "a=candidate:1 1 udp 1 example.com 9000 typ host\r\n", ""},
		{"null byte", replace("s=-", "s=\x00"), ""},
		{"escape", replace("s=-", "s=\x1b[2J"), ""},
		{"not ascii", replace("s=-", "s=é"), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rebuilt, _, err := CheckSDP(c.sdp, c.pinned)
			if !errors.Is(err, ErrSDP) {
				t.Errorf("got error %v and\n%s\nwant ErrSDP", err, rebuilt)
			}
		})
	}
}

func TestDeniedCandidateLinesAreLeftOut(t *testing.T) {
	text := read(t, "chromium_offer.sdp") +
		"a=candidate:1 1 udp 2113937151 127.0.0.1 9000 typ host\r\n" +
		"a=candidate:2 1 udp 2113937151 192.0.2.7 9000 typ host\r\n" +
		"a=candidate:2 2 udp 2113937150 192.0.2.7 9001 typ host\r\n" +
		"a=candidate:3 1 udp 2113937151 169.254.169.254 80 typ host\r\n"
	rebuilt, _, err := CheckSDP(text, "")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rebuilt, "127.0.0.1 9000") || strings.Contains(rebuilt, "169.254") || strings.Contains(rebuilt, "9001") || !strings.Contains(rebuilt, "192.0.2.7 9000") {
		t.Errorf("wrong candidates:\n%s", rebuilt)
	}
}

var candidateCases = []struct {
	line         string
	ok, okLocal  bool // without and with loopbackOK
	whatIsTested string
}{
	{"", true, true, "end of candidates"},
	{"candidate:2532867395 1 udp 2113937151 5ee3c05d-1c96-4d6c-9ee4-0a76a5e1a5d4.local 47032 typ host generation 0 ufrag WZ5x network-cost 999", true, true, "Chromium mDNS"},
	{"candidate:842163049 1 udp 1677729535 203.0.113.9 47032 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag WZ5x network-cost 999", true, true, "Chromium srflx"},
	{"candidate:1 1 tcp 1518280447 192.168.1.20 9 typ host tcptype active generation 0 ufrag WZ5x", true, true, "Chromium active TCP"},
	{"candidate:foundation 1 udp 2130706431 10.0.0.3 50000 typ host ufrag WZ5x", true, true, "pion host"},
	{"candidate:1 1 UDP 2122252543 2001:db8::7 50000 typ host", true, true, "IPv6, upper case"},
	{"a=candidate:1 1 udp 1 198.51.100.4 3478 typ relay raddr 192.0.2.1 rport 4000", true, true, "relay with a="},
	{"candidate:1 1 udp 1 127.0.0.1 3478 typ host", false, true, "loopback"},
	{"candidate:1 1 udp 1 127.8.9.1 3478 typ relay", false, true, "loopback relay"},
	{"candidate:1 1 udp 1 ::1 3478 typ host", false, true, "loopback v6"},
	{"candidate:1 1 udp 1 ::ffff:127.0.0.1 3478 typ host", false, true, "mapped loopback"},
	{"candidate:1 1 udp 1 ::127.0.0.1 3478 typ host", false, false, "compatible loopback"},
	{"candidate:1 1 udp 1 64:ff9b::7f00:1 3478 typ host", false, false, "NAT64 loopback"},
	{"candidate:1 1 udp 1 2002:7f00:1::1 3478 typ host", false, false, "6to4 loopback"},
	{"candidate:1 1 udp 1 0.0.0.0 3478 typ host", false, false, "unspecified"},
	{"candidate:1 1 udp 1 :: 3478 typ host", false, false, "unspecified v6"},
	{"candidate:1 1 udp 1 224.0.0.251 5353 typ host", false, false, "multicast"},
	{"candidate:1 1 udp 1 ff02::fb 5353 typ host", false, false, "multicast v6"},
	{"candidate:1 1 udp 1 169.254.169.254 80 typ host", false, false, "metadata"},
	{"candidate:1 1 udp 1 ::ffff:169.254.169.254 80 typ host", false, false, "mapped metadata"},
	{"candidate:1 1 udp 1 fd00:ec2::254 80 typ host", false, false, "metadata v6"},
	{"candidate:1 1 udp 1 fe80::1 80 typ host", false, false, "link-local v6"},
	{"candidate:1 1 udp 1 fe80::1%eth0 80 typ host", false, false, "zone"},
	{"candidate:1 1 udp 1 255.255.255.255 80 typ host", false, false, "broadcast"},
	{"candidate:1 1 udp 1 0.1.2.3 80 typ host", false, false, "this network"},
	{"candidate:1 1 tcp 1 10.0.0.1 6379 typ host tcptype passive", false, false, "passive TCP"},
	{"candidate:1 1 tcp 1 10.0.0.1 6379 typ host tcptype so", false, false, "simultaneous open"},
	{"candidate:1 1 tcp 1 10.0.0.1 6379 typ host", false, false, "TCP without type"},
	{"candidate:1 1 udp 1 example.com 80 typ host", false, false, "a DNS name"},
	{"candidate:1 1 udp 1 .local 80 typ host", false, false, "an empty name"},
	{"candidate:1 1 udp 1 a.b.local 80 typ host", false, false, "a deeper name"},
	{"candidate:1 1 udp 1 x.local 80 typ srflx", false, false, "a name that is not a host's"},
	{"candidate:1 1 udp 1 192.0.2.1 0 typ host", false, false, "port 0"},
	{"candidate:1 1 udp 1 192.0.2.1 65536 typ host", false, false, "port too large"},
	{"candidate:1 2 udp 1 192.0.2.1 80 typ host", false, false, "component 2"},
	{"candidate:1 1 sctp 1 192.0.2.1 80 typ host", false, false, "transport"},
	{"candidate:1 1 udp -1 192.0.2.1 80 typ host", false, false, "priority"},
	{"candidate:1 1 udp 1 192.0.2.1 80 typ magic", false, false, "type"},
	{"candidate:1 1 udp 1 192.0.2.1 80 host", false, false, "no typ"},
	{"candidate:1 1 udp 1 192.0.2.1 80 typ host ufrag", false, false, "odd extensions"},
	{"candidate:1 1 udp 1 192.0.2.1 80 typ host\r\na=fingerprint:sha-256 00", false, false, "line break"},
	{"candidate:" + strings.Repeat("1", 600), false, false, "too long"},
	{"candidate:1 1 udp 1 192.0.2.1 80 typ srflx raddr here rport 1", false, false, "related address"},
}

func TestCandidates(t *testing.T) {
	for _, c := range candidateCases {
		t.Run(c.whatIsTested, func(t *testing.T) {
			if err := CheckCandidate(c.line, false); (err == nil) != c.ok {
				t.Errorf("%q: got %v, want ok=%v", c.line, err, c.ok)
			}
			if err := CheckCandidate(c.line, true); (err == nil) != c.okLocal {
				t.Errorf("%q with loopback: got %v, want ok=%v", c.line, err, c.okLocal)
			}
		})
	}
	if got := Ufrag(candidateCases[1].line); got != "WZ5x" {
		t.Errorf("ufrag is %q, want WZ5x", got)
	}
}

func FuzzSDPPolicy(f *testing.F) {
	for _, name := range realFiles {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		rebuilt, fp, err := CheckSDP(text, "")
		if err != nil {
			if !errors.Is(err, ErrSDP) {
				t.Fatalf("error %v does not wrap ErrSDP", err)
			}
			return
		}
		again, _, err := CheckSDP(rebuilt, fp)
		if err != nil || again != rebuilt {
			t.Fatalf("rebuilt description does not survive: %v\n%q\n%q", err, rebuilt, again)
		}
		if strings.Count(rebuilt, "\r\nm=") != 1 || strings.Count(rebuilt, "fingerprint") != 1 {
			t.Fatalf("rebuilt description has more than it should:\n%s", rebuilt)
		}
	})
}

func FuzzCandidate(f *testing.F) {
	for _, c := range candidateCases {
		f.Add(c.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if err := CheckCandidate(line, false); err != nil {
			if !errors.Is(err, ErrCandidate) {
				t.Fatalf("error %v does not wrap ErrCandidate", err)
			}
			return
		}
		if line == "" {
			return
		}
		if strings.ContainsAny(line, "\r\n") {
			t.Fatalf("%q could start another line", line)
		}
		if addr, err := netip.ParseAddr(strings.Fields(line)[4]); err == nil && !IPAllowed(addr, false) {
			t.Fatalf("%q has a denied address", line)
		}
	})
}
