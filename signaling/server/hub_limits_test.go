package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// limited is a server with limits that a test can reach; what the defaults are is another test's matter.
func limited(t *testing.T, change func(*server.Limits)) *Server {
	return NewWith(t, func(c *server.Config) {
		c.Limits = server.DefaultLimits()
		c.Limits.ConversationsPerHourIP = 1000
		change(&c.Limits)
	})
}

// answer is the outcome of one request: "" for an ack or a state, else the error.
func answer(c *Conn, id protocol.RequestID) protocol.Error {
	msg := Want(c, func(m any) bool {
		switch m := m.(type) {
		case protocol.Ack:
			return m.ID == id
		case protocol.ConversationState:
			return m.ID == id
		case protocol.Error:
			return m.ID == id
		}
		return false
	})
	e, _ := msg.(protocol.Error)
	return e
}

func open(c *Conn) protocol.Error {
	id := c.ID()
	c.Send(protocol.ConversationOpen{ID: id})
	return answer(c, id)
}

func say(c *Conn, conv protocol.ConversationID, text string) protocol.Error {
	id := c.ID()
	c.Send(protocol.ChatSend{ID: id, Conversation: conv, Text: text})
	return answer(c, id)
}

// TestQueueIsBounded: with the queue full, a new customer is told so and one who waits already is not disturbed.
func TestQueueIsBounded(t *testing.T) {
	const n = 4
	s := limited(t, func(l *server.Limits) { l.Queue = n })
	inside := s.Customer(NewCustomerKey())
	for i := range 10 * n {
		c := inside
		if i > 0 {
			c = s.Customer(NewCustomerKey())
		}
		e := open(c)
		if i < n && e.Code != "" || i >= n && (e.Code != protocol.CodeQueueFull || e.RetryAfterMs <= 0) {
			t.Fatalf("conversation %d of %d: %+v", i+1, n, e)
		}
	}
	if e := open(inside); e.Code != "" {
		t.Errorf("who waits already is refused: %+v", e)
	}
	a, _ := s.Agent("Ana")
	a.Claim("")
	if e := open(s.Customer(NewCustomerKey())); e.Code != "" {
		t.Errorf("with a place free again: %+v", e)
	}
}

// TestNewConversationsOfAnAddressAreBounded: coming back to one's own conversation is not counted.
func TestNewConversationsOfAnAddressAreBounded(t *testing.T) {
	const n = 4
	s := limited(t, func(l *server.Limits) { l.ConversationsPerHourIP = n })
	first := s.Customer(NewCustomerKey())
	for i := range 10 * n {
		c := first
		if i > 0 {
			c = s.Customer(NewCustomerKey())
		}
		if e := open(first); i > 0 && e.Code != "" {
			t.Fatalf("coming back: %+v", e)
		}
		e := open(c)
		if i < n && e.Code != "" || i >= n && (e.Code != protocol.CodeConvLimit || e.RetryAfterMs <= 0 || e.RetryAfterMs > time.Hour.Milliseconds()/n+1) {
			t.Fatalf("conversation %d of %d: %+v", i+1, n, e)
		}
	}
}

// TestMessagesAreBounded: of one customer a second and an hour, of one device, of all together; at the limit, one
// above it and ten times above.
func TestMessagesAreBounded(t *testing.T) {
	const n = 6
	high := func(l *server.Limits) {
		l.CustomerPerSecond, l.CustomerBurst, l.CustomerPerHour = 100_000, 100_000, 100_000
		l.AgentPerSecond, l.AgentBurst, l.RefusalsToClose = 100_000, 100_000, 1000
	}
	for name, tc := range map[string]struct {
		limit func(*server.Limits)
		agent bool
		wait  time.Duration // at least, once refused
	}{
		"customer a second": {limit: func(l *server.Limits) { l.CustomerPerSecond, l.CustomerBurst = 1, n }},
		"customer an hour":  {limit: func(l *server.Limits) { l.CustomerPerHour = n }, wait: time.Minute},
		"device":            {limit: func(l *server.Limits) { l.AgentPerSecond, l.AgentBurst = 1, n }, agent: true},
		"everybody":         {limit: func(l *server.Limits) { l.GlobalPerSecond, l.GlobalBurst = 1, n }},
	} {
		t.Run(name, func(t *testing.T) {
			s := limited(t, func(l *server.Limits) { high(l); tc.limit(l) })
			c := s.Customer(NewCustomerKey())
			conv := c.Conversation().Conversation
			if tc.agent {
				a, _ := s.Agent("Ana")
				a.Claim(conv)
				c = a
			}
			var refused protocol.Error
			start, taken := time.Now(), 0
			for i := range 10 * n {
				e := say(c, conv, fmt.Sprint("message ", i))
				if e.Code == "" {
					taken++
					continue
				}
				if e.Code != protocol.CodeRate || e.RetryAfterMs <= tc.wait.Milliseconds() {
					t.Fatalf("message %d: %+v", i+1, e)
				}
				refused = e
			}
			if most := n + int(time.Since(start)/time.Second) + 1; taken < n || taken > most || refused.Code == "" {
				t.Errorf("%d messages taken, want %d to %d; then %+v", taken, n, most, refused)
			}
		})
	}
}

// TestPersistentFloodIsClosed: messages sent in spite of the refusals close the socket, one fewer does not.
func TestPersistentFloodIsClosed(t *testing.T) {
	const n = 5
	for _, sent := range []int{n - 1, n, n + 1, 10 * n} {
		s := limited(t, func(l *server.Limits) { l.CustomerPerSecond, l.CustomerBurst, l.RefusalsToClose = 1, 1, n })
		c := s.Customer(NewCustomerKey())
		conv := c.Conversation().Conversation
		c.Say(conv, "the one that is allowed")
		for range sent {
			c.Send(protocol.ChatSend{ID: c.ID(), Conversation: conv, Text: "another"})
		}
		if sent < n {
			c.Send(protocol.Ping{ID: "p"})
			Want[protocol.Pong](c, nil)
			continue
		}
		c.WantClose(protocol.CloseRate)
	}
}

// TestTextIsBounded: 4,000 characters and 16,000 bytes.
func TestTextIsBounded(t *testing.T) {
	s := limited(t, func(l *server.Limits) { l.CustomerBurst = 100 })
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation().Conversation
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"4,000 letters":          {strings.Repeat("x", 4000), true},
		"4,001 letters":          {strings.Repeat("x", 4001), false},
		"40,000 letters":         {strings.Repeat("x", 40_000), false},
		"4,000 of four bytes":    {strings.Repeat("\U0001F469", 4000), true},
		"4,001 of four bytes":    {strings.Repeat("\U0001F469", 4001), false},
		"nothing":                {"", false},
		"4,000 of three, as CJK": {strings.Repeat("退", 4000), true},
	} {
		e := say(c, conv, tc.text)
		if (e.Code == "") != tc.ok || !tc.ok && tc.text != "" && e.Code != protocol.CodeTextTooLong {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestTypingIsPassedOnAtMostSoOften: what is above is dropped without a word.
func TestTypingIsPassedOnAtMostSoOften(t *testing.T) {
	s := limited(t, func(l *server.Limits) { l.TypingPerSecond, l.SocketPerSecond, l.SocketBurst = 1, 10_000, 10_000 })
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation().Conversation
	a, _ := s.Agent("Ana")
	a.Claim(conv)
	start := time.Now()
	for i := range 40 {
		c.Send(protocol.ChatTyping{Conversation: conv, Typing: i%2 == 0})
	}
	c.Say(conv, "done")
	seen := 0
	Want(a, func(m any) bool {
		switch m.(type) {
		case protocol.PresenceTyping:
			seen++
		case protocol.ChatMessage:
			return true
		}
		return false
	})
	if most := 2 + int(time.Since(start)/time.Second) + 1; seen < 2 || seen > most {
		t.Errorf("typing was passed on %d times, want 2 to %d", seen, most)
	}
}
