package server

import (
	"bytes"
	"crypto/ed25519"
	"net"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/lookalong/lookalong/protocol"
)

// FuzzHello: no proof is accepted without the key, whatever is changed in a good one.
func FuzzHello(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // the same in each of the fuzzer's processes
	pub := key.Public().(ed25519.PublicKey)
	nonce, cnonce := make([]byte, 32), make([]byte, 16)
	const host = "help.example.com"
	good := protocol.HelloProof{
		Version: 1, Role: "native", Host: host, Pub: protocol.B64.EncodeToString(pub), CNonce: protocol.B64.EncodeToString(cnonce),
		Sig: protocol.B64.EncodeToString(ed25519.Sign(key, protocol.HelloBytes("native", host, nonce, cnonce, pub))),
	}
	if _, err := verifyHello(good, "native", host, nonce); err != nil {
		f.Fatal("the good proof is refused: ", err)
	}
	f.Add(good.Role, good.Pub, good.CNonce, good.Host, good.Sig, "native", nonce)
	f.Add("customer", good.Pub, good.CNonce, good.Host, good.Sig, "customer", nonce)
	f.Add("agent", good.Pub, good.CNonce, "evil.example", good.Sig, "agent", make([]byte, 31))
	f.Fuzz(func(t *testing.T, role, pub, cnonce, proofHost, sig, endpoint string, n []byte) {
		p := protocol.HelloProof{Version: 1, Role: role, Pub: pub, CNonce: cnonce, Host: proofHost, Sig: sig}
		got, err := verifyHello(p, endpoint, host, n)
		if err != nil {
			return
		}
		if role != "native" || endpoint != "native" || proofHost != host || !bytes.Equal(n, nonce) || !bytes.Equal(got, key.Public().(ed25519.PublicKey)) {
			t.Fatalf("accepted: %+v on %s", p, endpoint)
		}
	})
}

// FuzzOrigin: the accepted set is exactly the one origin of ours, for each of our names.
func FuzzOrigin(f *testing.F) {
	h := newHosts(nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080})
	u, _ := url.Parse("https://help.example.com")
	public := newHosts(u, nil)
	for _, o := range []string{"http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080", "https://help.example.com", "null", "", "http://localhost:8080.evil.example", "HTTP://LOCALHOST:8080"} {
		f.Add(o, "localhost:8080")
		f.Add(o, "help.example.com")
	}
	f.Fuzz(func(t *testing.T, origin, host string) {
		r := httptest.NewRequest("GET", "/ws/customer", nil)
		r.Host = host
		r.Header["Origin"] = []string{origin}
		local := map[string]bool{"http://localhost:8080": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true}
		if h.checkOrigin(r) && !local[origin] {
			t.Fatalf("a local installation accepts %q on %q", origin, host)
		}
		if public.checkOrigin(r) && origin != "https://help.example.com" {
			t.Fatalf("a public one accepts %q on %q", origin, host)
		}
		for _, path := range []string{"/ws/agent", "/ws/native"} {
			r.URL.Path = path
			if h.checkOrigin(r) || public.checkOrigin(r) {
				t.Fatalf("%s accepts an Origin %q", path, origin)
			}
		}
	})
}
