package fault_test

import (
	"testing"
	"time"

	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// TestFaultResendDaysLater: the ack is lost, and the client sends the same message again after a restart, nine days and
// the end of the conversation (F23). It gets the same ack, and nothing new is stored.
func TestFaultResendDaysLater(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{}, false)
	key := servertest.NewCustomerKey()
	c := sc.Customer(key)
	conv := c.Conversation().Conversation
	m := protocol.ChatSend{ID: c.ID(), Conversation: conv, Text: "my laptop slept"}
	first := acked(c, m)
	closing := c.ID()
	c.Send(protocol.ConversationClose{ID: closing, Conversation: conv})
	c.WantAck(closing)
	for _, jump := range []time.Duration{0, time.Hour, 9 * 24 * time.Hour, -10 * 24 * time.Hour} {
		sc.clock.Jump(jump)
		sc.Stop()
		sc.Start()
		again := acked(sc.Customer(key), m)
		if again.Seq != first.Seq || !again.At.Equal(*first.At) {
			t.Errorf("after a jump of %s: acknowledged as %d at %s, first as %d at %s", jump, again.Seq, again.At, first.Seq, first.At)
		}
	}
	c = sc.Customer(key)
	page := c.ID()
	c.Send(protocol.ChatHistory{ID: page, Conversation: conv, Limit: 10})
	got := servertest.Want(c, func(p protocol.ChatPage) bool { return p.ID == page })
	if len(got.Messages) != 1 || got.LastSeq != 1 {
		t.Errorf("the conversation holds %+v", got)
	}
}

// TestFaultClockJumps: the wall clock goes forward and back by an hour while an agent holds a conversation (F10). The
// claim stays, numbers rise, and everybody goes on writing.
func TestFaultClockJumps(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{}, false)
	c := sc.Customer(servertest.NewCustomerKey())
	conv := c.Conversation().Conversation
	agent, _ := sc.newAgent()
	agent.Claim(conv)
	seq := int64(0)
	for _, jump := range []time.Duration{time.Hour, -2 * time.Hour, 90 * time.Minute, -time.Second} {
		sc.clock.Jump(jump)
		for _, who := range []*servertest.Conn{c, agent} {
			if ack := who.Say(conv, "tick"); ack.Seq != seq+1 {
				t.Errorf("after a jump of %s: number %d after %d", jump, ack.Seq, seq)
			}
			seq++
		}
		again := agent.ID()
		agent.Send(protocol.ConversationWatch{ID: again, Conversation: conv, Hold: true})
		state := servertest.Want(agent, func(m protocol.ConversationState) bool { return m.ID == again })
		if state.State != "claimed" || state.LapsesAt != nil {
			t.Errorf("after a jump of %s the claim is %+v", jump, state)
		}
	}
}
