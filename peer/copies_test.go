// Copies between two real peers, whose network loses the packets that the test picks.

package peer_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v5/vnet"

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
	pair := peertest.New(t, peertest.Options{Edit: func(_ *peertest.End, cfg *peer.Config) {
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
	agentHost, customerHost = "203.0.113.11", "203.0.113.12"
	bigPacket               = 600 // no other is as long in these tests
	ackPacket               = 140 // one with a receipt of an id of 64 characters; an SCTP acknowledgement is shorter
)

// Each message loses its first two packets, the second of which may be SCTP's first try at repair (without delay it comes
// at once); it arrives by a copy, once and in order.
func TestCopyBringsALostMessage(t *testing.T) {
	pair := quietPair(t)
	var lose atomic.Int32
	pair.Net.Drop(func(c vnet.Chunk) bool { return from(c, agentHost, bigPacket) && lose.Add(-1) >= 0 })
	const count = 8
	for i := 1; i <= count; i++ {
		lose.Store(2)
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

// Each receipt loses its first two packets; a copy of the message asks for it again.
func TestCopyBringsALostReceipt(t *testing.T) {
	pair := quietPair(t)
	var lose atomic.Int32
	pair.Net.Drop(func(c vnet.Chunk) bool { return from(c, customerHost, ackPacket) && lose.Add(-1) >= 0 })
	const count = 8
	for i := 1; i <= count; i++ {
		m := direct(i)
		m.ID = protocol.RequestID(fmt.Sprintf("%064d", i))
		if err := pair.Agent.SendDirect(m); err != nil {
			t.Fatal(err)
		}
		pair.Customer.WaitDirect(t, i+1)
		lose.Store(2)
		if err := pair.Customer.SendDirect(protocol.DirectAck{ID: m.ID}); err != nil {
			t.Fatal(err)
		}
		pair.Agent.WaitDirect(t, i+1)
	}
	pair.Net.Drop(nil)
	if err := pair.Customer.SendDirect(direct(count + 1)); err != nil {
		t.Fatal(err)
	}
	pair.Agent.WaitStats(t, func(s peer.Stats) bool { return s.CopiesFirst > 0 })
	got := pair.Agent.WaitDirect(t, count+2)
	for i, m := range got[1 : count+1] {
		if a, ok := m.(protocol.DirectAck); !ok || a.ID != protocol.RequestID(fmt.Sprintf("%064d", i+1)) {
			t.Errorf("receipt %d is %v", i+1, m)
		}
	}
}

// A newer message, whole and with its copies, waits for the older one that is lost.
func TestNewerCopyWaitsForTheOlder(t *testing.T) {
	pair := quietPair(t)
	passed := make(chan struct{}, 100) // packets of the newer one
	pair.Net.Drop(func(c vnet.Chunk) bool {
		switch {
		case from(c, agentHost, bigPacket):
			return true
		case from(c, agentHost, ackPacket):
			passed <- struct{}{}
		}
		return false
	})
	older := direct(1)
	older.Text = strings.Repeat("x", bigPacket)
	for _, m := range []protocol.DirectMessage{older, direct(2)} {
		if err := pair.Agent.SendDirect(m); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		select {
		case <-passed:
		case <-time.After(peertest.Deadline):
			t.Fatal("the copies of the newer message do not go out")
		}
	}
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
