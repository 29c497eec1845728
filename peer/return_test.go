// What brings a path back after a silence, and what would take it away again.

package peer_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
)

// counted is a Signaler that counts the offers.
type counted struct {
	peer.Signaler
	offers *atomic.Int32
}

func (c counted) SendOffer(sdp string) {
	c.offers.Add(1)
	c.Signaler.SendOffer(sdp)
}

// ICE has found the path again, but the data waits for SCTP's timers: a restart would lose the path, and the data with it.
func TestAPathThatIsBackIsNotRestarted(t *testing.T) {
	var offers atomic.Int32
	pair := peertest.New(t, peertest.Options{Edit: func(e *peertest.End, cfg *peer.Config) {
		cfg.Timers.Settle = time.Hour
		if e.Name == "agent" {
			cfg.Signaler = counted{cfg.Signaler, &offers}
		}
	}})
	pair.WaitConnected(t)
	pair.Net.Cut(true)
	pair.Agent.WaitState(t, peer.Reconnecting)
	pair.Customer.WaitState(t, peer.Reconnecting)
	pair.Agent.WaitStats(t, func(s peer.Stats) bool { return offers.Load() > 1 && s.Path == "" })
	pair.Net.Drop(func(c vnet.Chunk) bool { d := c.UserData(); return len(d) > 0 && d[0] == 23 }) // DTLS application data
	pair.Net.Cut(false)
	pair.Agent.WaitStats(t, func(s peer.Stats) bool { return s.Path == "direct" })
	ticks := 0
	more := func(peer.Stats) bool { ticks++; return ticks > 5 }
	pair.Agent.WaitStats(t, more) // its loop has seen the path too, and no other request is near
	before := offers.Load()
	ticks = 0
	pair.Agent.RestartRequested()
	pair.Agent.WaitStats(t, more)
	if n := offers.Load(); n != before {
		t.Errorf("%d restarts of a path that is there", n-before)
	}
	pair.Net.Drop(nil)
	pair.WaitConnected(t)
}

// A ping by copies is a sign of life where control waits for what it has lost; it is answered the same way.
func TestASignOfLifeByCopies(t *testing.T) {
	r, _ := newRogue(t, same)
	answers := make(chan string, 10)
	r.channels[3].OnMessage(func(m webrtc.DataChannelMessage) { answers <- string(m.Data) })
	r.waitOpen(t)
	r.victim.WaitState(t, peer.Reconnecting) // the rogue is silent
	if err := r.channels[3].SendText(string(protocol.Encode(protocol.PeerPing{N: 7, SentMs: 8}))); err != nil {
		t.Fatal(err)
	}
	r.victim.WaitState(t, peer.Connected)
	select {
	case got := <-answers:
		msg, err := protocol.Decode([]byte(got), protocol.Peer)
		if m, ok := msg.(protocol.PeerPong); err != nil || !ok || m.N != 7 || m.SentMs != 8 {
			t.Errorf("the answer is %s, %v", got, err)
		}
	case <-time.After(peertest.Deadline):
		t.Fatal("no answer")
	}
}
