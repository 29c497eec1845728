// Copies between two real peers, whose network loses the packets that the test picks.

package peer_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
)

// numbered is direct message n as the other end numbers it.
func numbered(n int) protocol.DirectMessage {
	m := direct(n)
	m.N = int64(n)
	return m
}

// quietPair are two ends that know of each other's copies and send nothing by themselves, so that a packet is known by
// its sender and length.
func quietPair(t *testing.T) *peertest.Pair {
	pair := peertest.New(t, peertest.Options{Delay: 25 * time.Millisecond, Edit: func(_ *peertest.End, cfg *peer.Config) {
		long := time.Hour
		cfg.Timers.Ping, cfg.Timers.Silent, cfg.Timers.Lost, cfg.Timers.Restarts = long, long, long, []time.Duration{long}
	}})
	pair.WaitConnected(t)
	for _, e := range []*peertest.End{pair.Agent, pair.Customer} {
		if err := e.SendDirect(direct(0)); err != nil {
			t.Fatal(err)
		}
	}
	pair.Agent.WaitDirect(t, 1)
	pair.Customer.WaitDirect(t, 1)
	return pair
}

// from tells packets of data by sender and length: the first host is the agent's.
func from(c vnet.Chunk, host string, least int) bool {
	data := c.UserData()
	return len(data) >= least && data[0] == 23 && strings.HasPrefix(c.SourceAddr().String(), host+":") // DTLS application data
}

const (
	agentHost   = "203.0.113.11"
	bigPacket   = 600 // no other is as long in these tests
	smallPacket = 140 // one with a short message; an SCTP acknowledgement is shorter
)

// Each message loses its first packet; it arrives by a copy, once and in order.
func TestCopyBringsALostMessage(t *testing.T) {
	pair := quietPair(t)
	var lose atomic.Int32
	pair.Net.Drop(func(c vnet.Chunk) bool { return from(c, agentHost, bigPacket) && lose.Add(-1) >= 0 })
	const count = 8
	for i := 1; i <= count; i++ {
		lose.Store(1)
		m := direct(i)
		m.Text = strings.Repeat("x", bigPacket)
		if err := pair.Agent.SendDirect(m); err != nil {
			t.Fatal(err)
		}
		pair.Customer.WaitDirect(t, i+1)
	}
	pair.Net.Drop(nil)
	if err := pair.Agent.SendDirect(direct(count + 1)); err != nil { // direct brings it after all that was lost there
		t.Fatal(err)
	}
	pair.Customer.WaitStats(t, func(s peer.Stats) bool { return s.CopiesFirst > 0 })
	for i, m := range pair.Customer.WaitDirect(t, count+2) {
		if m.(protocol.DirectMessage).ID != direct(i).ID {
			t.Errorf("message %d is %v", i, m)
		}
	}
}

// A copy of a message that was confirmed is answered by a copy of its receipt, one that was not by nothing; a receipt
// that comes by its copy is told once.
func TestReceiptsAreCopied(t *testing.T) {
	r, _ := newRogue(t, same)
	answers := make(chan string, 10)
	r.channels[3].OnMessage(func(m webrtc.DataChannelMessage) { answers <- string(m.Data) })
	r.waitOpen(t)
	send := func(channel int, msg any) {
		t.Helper()
		if err := r.channels[channel].SendText(string(protocol.Encode(msg))); err != nil {
			t.Fatal(err)
		}
	}
	send(1, numbered(1))
	send(1, numbered(2))
	r.victim.WaitDirect(t, 2)
	if err := r.victim.SendDirect(protocol.DirectAck{ID: numbered(2).ID}); err != nil {
		t.Fatal(err)
	}
	send(3, numbered(1)) // not confirmed
	send(3, numbered(2))
	select {
	case got := <-answers:
		if want := string(protocol.Encode(protocol.DirectAck{ID: numbered(2).ID})); got != want {
			t.Errorf("the answer is %s, want %s", got, want)
		}
	case <-time.After(peertest.Deadline):
		t.Fatal("no copy of the receipt")
	}
	send(3, protocol.DirectAck{ID: "x"})
	r.victim.WaitDirect(t, 3)
	send(1, protocol.DirectAck{ID: "x"})
	send(1, numbered(3))
	got := r.victim.WaitDirect(t, 4)
	if a, ok := got[2].(protocol.DirectAck); !ok || a.ID != "x" {
		t.Errorf("the receipt is %v", got[2])
	}
	if m, ok := got[3].(protocol.DirectMessage); !ok || m.N != 3 {
		t.Errorf("after it came %v", got[3])
	}
}

// A newer message, whole and with its copies, waits for the older one that is lost with all of its own.
func TestNewerCopyWaitsForTheOlder(t *testing.T) {
	pair := quietPair(t)
	lost, passed := make(chan struct{}, 100), make(chan struct{}, 100)
	pair.Net.Drop(func(c vnet.Chunk) bool {
		switch {
		case from(c, agentHost, bigPacket):
			lost <- struct{}{}
			return true
		case from(c, agentHost, smallPacket):
			passed <- struct{}{}
		}
		return false
	})
	wait := func(n int, packets chan struct{}, what string) {
		for range n {
			select {
			case <-packets:
			case <-time.After(peertest.Deadline):
				t.Fatalf("%s does not go out", what)
			}
		}
	}
	older := direct(1)
	older.Text = strings.Repeat("x", bigPacket)
	for i, m := range []protocol.DirectMessage{older, direct(2)} {
		if err := pair.Agent.SendDirect(m); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			wait(5, lost, "the older one with its copies") // one packet might bring both
			for len(passed) > 0 {
				<-passed
			}
		}
	}
	wait(3, passed, "the newer one with its copies")
	pair.Net.Drop(nil)
	for i, m := range pair.Customer.WaitDirect(t, 3) {
		if m.(protocol.DirectMessage).ID != direct(i).ID {
			t.Errorf("message %d is %v", i, m)
		}
	}
}

// What a copy has brought counts once: all that may come at once comes twice here, and the session goes on.
func TestCopiesCountOnce(t *testing.T) {
	r, _ := newRogue(t, same)
	r.waitOpen(t)
	const count = 590
	for _, channel := range []int{3, 1} {
		for i := 1; i <= count; i++ {
			if err := r.channels[channel].SendText(string(protocol.Encode(numbered(i)))); err != nil {
				t.Fatal(err)
			}
		}
		r.victim.WaitDirect(t, count)
	}
	if err := r.channels[1].SendText(string(protocol.Encode(numbered(count + 1)))); err != nil {
		t.Fatal(err)
	}
	for i, m := range r.victim.WaitDirect(t, count+1) {
		if m.(protocol.DirectMessage).N != int64(i+1) {
			t.Fatalf("message %d is %v", i+1, m)
		}
	}
	if got := r.victim.State(); got != peer.Connected {
		t.Errorf("the session is %v", got)
	}
}
