package peer

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"

	"github.com/lookalong/lookalong/protocol"
)

// TestLaneKnowsItsPeer: a handshake with the certificate that was told comes up, one with another does not.
func TestLaneKnowsItsPeer(t *testing.T) {
	told, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	other, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(other.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, tt := range []struct {
		name   string
		expect string
		ok     bool
	}{
		{"the same", fingerprintOf(told.Certificate[0]), true},
		{"in small letters", strings.ToLower(fingerprintOf(told.Certificate[0])), true},
		{"another", fingerprintOf(other.Certificate[0]), false},
		{"none", "", false},
	} {
		here, there := net.Pipe()
		server, err := dtls.ServerWithOptions(dtlsnet.PacketConnFromConn(here), here.RemoteAddr(), dtls.WithCertificates(other),
			dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithVerifyPeerCertificate(expect(tt.expect)))
		if err != nil {
			t.Fatal(err)
		}
		client, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(there), there.RemoteAddr(), dtls.WithCertificates(told), dtls.WithVerifyPeerCertificate(expect(fingerprintOf(other.Certificate[0]))), dtls.WithRootCAs(roots))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { _ = client.Handshake(); close(done) }() // waited for below
		if err := server.Handshake(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
		_ = server.Close() // the pipes with them, whatever came of it
		_ = client.Close()
		_ = here.Close()
		_ = there.Close()
		<-done
	}
	if err := expect(fingerprintOf(told.Certificate[0]))(nil, nil); err == nil {
		t.Error("no certificate was enough")
	}
}

func TestTrackerReports(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	var k tracker
	for i, step := range []struct {
		packet     uint32
		fresh, due bool
	}{
		{5, true, false}, {6, true, false}, {6, false, false}, {9, true, true}, {8, true, true}, {8, false, false},
		{9 + protocol.ReportPackets, true, true}, {8, false, false}, {9, false, false}, {10, true, true}, {2000, true, true}, {1999, true, true},
	} {
		k.due = false
		if fresh := k.add(step.packet, at(i)); fresh != step.fresh || k.due != step.due {
			t.Errorf("packet %d: fresh %t, due %t", step.packet, fresh, k.due)
		}
	}
	k = tracker{}
	for i, n := range []uint32{0xfffffffe, 0xffffffff, 1, 3} {
		k.add(n, at(i))
	}
	r := k.report(began, at(13))
	if r.Newest != 3 || r.Arrived != 30 || r.Held != 100 {
		t.Errorf("report is %+v", r)
	}
	for i, want := range []bool{false, true, false, true, true, false} { // 2, 1, 0, 0xffffffff, 0xfffffffe, before
		if r.Has(i) != want {
			t.Errorf("packet %d before the newest: %t", i, r.Has(i))
		}
	}
}
