// Sessions through a TURN server, over UDP on the virtual network and over TCP on loopback.

package peer_test

import (
	"net"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
)

func startTURN(t *testing.T, cfg turn.ServerConfig) *turn.Server {
	t.Helper()
	cfg.Realm = "test"
	cfg.LoggerFactory = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
	cfg.AuthHandler = func(ra *turn.RequestAttributes) (string, []byte, bool) {
		return ra.Username, turn.GenerateAuthKey(ra.Username, ra.Realm, "secret"), true
	}
	srv, err := turn.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func relayed(t *testing.T, pair *peertest.Pair) {
	t.Helper()
	pair.WaitConnected(t)
	if path := pair.Agent.WaitPath(t); path != "relay" {
		t.Errorf("path is %q, want relay", path)
	}
	if err := pair.Customer.SendFrame(frame(0, 200_000)); err != nil {
		t.Fatal(err)
	}
	checkFrames(t, pair.Agent.WaitFrames(t, 1), []int{200_000})
}

func useTURN(url string) func(*peertest.End, *peer.Config) {
	return func(_ *peertest.End, cfg *peer.Config) {
		cfg.RelayOnly = true
		cfg.ICEServers = []protocol.ICEServer{{URLs: []string{url}, Username: "u", Credential: "secret"}}
	}
}

func TestRelayOnlyUDP(t *testing.T) {
	pair := peertest.New(t, peertest.Options{
		Hosts: func(n *peertest.Network) {
			host := n.Host(t) // 203.0.113.11
			pc, err := host.ListenPacket("udp4", "203.0.113.11:3478")
			if err != nil {
				t.Fatal(err)
			}
			startTURN(t, turn.ServerConfig{PacketConnConfigs: []turn.PacketConnConfig{{
				PacketConn:            pc,
				RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(203, 0, 113, 11), Address: "0.0.0.0", Net: host},
			}}})
		},
		Edit: useTURN("turn:203.0.113.11:3478?transport=udp"),
	})
	relayed(t, pair)
}

func TestRelayOnlyTCP(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	startTURN(t, turn.ServerConfig{ListenerConfigs: []turn.ListenerConfig{{
		Listener:              l,
		RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
	}}})
	relayed(t, peertest.New(t, peertest.Options{Loopback: true, Edit: useTURN("turn:" + l.Addr().String() + "?transport=tcp")}))
}
