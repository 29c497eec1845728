package server_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

func TestChatBothWays(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	if team := Want[protocol.PresenceTeam](c, nil); team.Available != 0 {
		t.Errorf("team %+v, want nobody", team)
	}
	conv := c.Conversation()
	if conv.State != "waiting" || !conv.Missed || conv.Position != 1 {
		t.Errorf("new conversation %+v, want waiting, missed, position 1", conv)
	}
	if ack := c.Say(conv.Conversation, "Hello?"); ack.Seq != 1 {
		t.Errorf("first ack %+v", ack)
	}
	a, _ := s.Agent("Ana")
	a.Send(protocol.QueueList{ID: "q", Watch: true})
	q := Want(a, func(m protocol.QueueState) bool { return m.ID == "q" })
	if len(q.Items) != 1 || q.Items[0].LastText != "Hello?" || q.Items[0].Presence != "online" {
		t.Fatalf("queue %+v", q)
	}
	if got := a.Claim(conv.Conversation); got.State != "claimed" || got.LapsesAt != nil || got.Agent.Name != "Ana" {
		t.Errorf("claimed %+v", got)
	}
	claimed := Want(c, func(m protocol.ConversationState) bool { return m.State == "claimed" })
	if claimed.Agent == nil || claimed.Agent.Name != "Ana" || claimed.Customer != "" || claimed.LapsesAt != nil {
		t.Errorf("the customer sees %+v", claimed)
	}
	a.Send(protocol.ChatMark{Conversation: conv.Conversation, Received: 1, Read: 1})
	if m := Want[protocol.ChatMarks](c, nil); m.Marks.AgentRead != 1 {
		t.Errorf("marks %+v", m)
	}
	if ack := a.Say(conv.Conversation, "你好 👋"); ack.Seq != 2 {
		t.Errorf("agent's ack %+v", ack)
	}
	m := Want[protocol.ChatMessage](c, nil)
	if m.Seq != 2 || m.Text != "你好 👋" || m.From != "agent" || m.Name != "Ana" {
		t.Errorf("customer got %+v", m)
	}
	c.Send(protocol.ChatTyping{Conversation: conv.Conversation, Typing: true})
	if ty := Want[protocol.PresenceTyping](a, nil); ty.From != "customer" || !ty.Typing {
		t.Errorf("typing %+v", ty)
	}
	c.Send(protocol.PresencePage{Page: protocol.Page{Title: "Help", URL: "http://x/", Active: false}})
	if p := Want(a, func(m protocol.PresenceCustomer) bool { return m.Page != nil }); p.Presence != "idle" || p.Page.Title != "Help" {
		t.Errorf("presence %+v", p)
	}
	c.Close()
	Want(a, func(m protocol.PresenceCustomer) bool { return m.Presence == "offline" })
}

func TestTwoTabsAndTheSendersOtherTab(t *testing.T) {
	s := New(t)
	k := NewCustomerKey()
	one := s.Customer(k)
	conv := one.Conversation()
	two := s.Customer(k)
	if st := Want[protocol.ConversationState](two, nil); st.Conversation != conv.Conversation {
		t.Fatalf("second tab sees %+v", st)
	}
	one.Say(conv.Conversation, "from tab one")
	if m := Want[protocol.ChatMessage](two, nil); m.Text != "from tab one" || m.From != "customer" {
		t.Errorf("second tab got %+v", m)
	}
	for range 4 {
		s.Customer(k)
	}
	one.WantClose(protocol.CloseReplaced)
}

func TestResendIsHarmlessAlsoAfterARestart(t *testing.T) {
	s := New(t)
	k := NewCustomerKey()
	c := s.Customer(k)
	conv := c.Conversation()
	id := c.ID()
	send := protocol.ChatSend{ID: id, Conversation: conv.Conversation, Text: "once"}
	c.Send(send)
	first := c.WantAck(id)
	c.Send(send)
	if again := c.WantAck(id); again.Seq != first.Seq || !again.At.Equal(*first.At) {
		t.Errorf("resend: %+v, want %+v", again, first)
	}
	s.Stop()
	c.WantClose(protocol.CloseRestart)
	s.Start()
	c = s.Customer(k)
	c.Send(send)
	if again := c.WantAck(id); again.Seq != first.Seq || !again.At.Equal(*first.At) {
		t.Errorf("resend after the restart: %+v, want %+v", again, first)
	}
	send.Text = "another"
	c.Send(send)
	c.WantError(id, protocol.CodeIDReused)
	c.Send(protocol.ChatHistory{ID: "h", Conversation: conv.Conversation, Limit: 100})
	if p := Want[protocol.ChatPage](c, nil); len(p.Messages) != 1 || p.LastSeq != 1 {
		t.Errorf("history %+v, want one message", p)
	}
}

func TestHistoryIsCutAndComplete(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	for range 15 {
		c.Say(conv.Conversation, strings.Repeat("界", 4000))
	}
	after, pages := int64(0), 0
	for after < 15 {
		id := c.ID()
		c.Send(protocol.ChatHistory{ID: id, Conversation: conv.Conversation, After: after, Limit: 100})
		p := Want(c, func(p protocol.ChatPage) bool { return p.ID == id })
		pages++
		if p.LastSeq != 15 || len(p.Messages) == 0 {
			t.Fatalf("page after %d: %d messages, last %d", after, len(p.Messages), p.LastSeq)
		}
		for _, m := range p.Messages {
			if m.Seq != after+1 {
				t.Fatalf("seq %d after %d", m.Seq, after)
			}
			after = m.Seq
		}
	}
	if pages < 3 {
		t.Errorf("%d pages: the size limit did not work", pages)
	}
	c.Send(protocol.ChatHistory{ID: "b", Conversation: conv.Conversation, Before: 11, Limit: 2})
	p := Want(c, func(p protocol.ChatPage) bool { return p.ID == "b" })
	if len(p.Messages) != 2 || p.Messages[0].Seq != 9 || p.Messages[1].Seq != 10 {
		t.Errorf("before 11: %d messages", len(p.Messages))
	}
}

func TestExactlyOneAgentWinsAClaim(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	const racers = 8
	agents := make([]*Conn, racers)
	for i := range agents {
		agents[i], _ = s.Agent(fmt.Sprintf("Agent %d", i))
	}
	won := make(chan int, racers)
	lost := make(chan string, racers)
	var wg sync.WaitGroup
	for i, a := range agents {
		wg.Go(func() {
			a.Send(protocol.QueueClaim{ID: "c", Conversation: conv.Conversation, Hold: true})
			for {
				msg, err := a.Next()
				if err != nil {
					t.Error(err)
					return
				}
				if m, ok := msg.(protocol.ConversationState); ok && m.ID == "c" {
					won <- i
					return
				}
				if m, ok := msg.(protocol.Error); ok && m.ID == "c" {
					if m.Code != protocol.CodeTaken {
						t.Errorf("loser got %s", m.Code)
					}
					lost <- m.Text
					return
				}
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || len(lost) != racers-1 {
		t.Fatalf("%d won, %d lost", len(won), len(lost))
	}
	if want := fmt.Sprintf("Taken by Agent %d.", <-won); want != <-lost {
		t.Errorf("the losers are not told %q", want)
	}
}

func TestForeignConversationsAreRefused(t *testing.T) {
	s := New(t)
	owner, other := s.Customer(NewCustomerKey()), s.Customer(NewCustomerKey())
	conv := owner.Conversation()
	owner.Say(conv.Conversation, "private words")
	a, _ := s.Agent("Ana")
	a.Claim(conv.Conversation)
	b, _ := s.Agent("Bo")
	for name, msg := range map[string]func(id protocol.RequestID) any{
		"send": func(id protocol.RequestID) any {
			return protocol.ChatSend{ID: id, Conversation: conv.Conversation, Text: "x"}
		},
		"history": func(id protocol.RequestID) any {
			return protocol.ChatHistory{ID: id, Conversation: conv.Conversation, Limit: 10}
		},
		"close": func(id protocol.RequestID) any {
			return protocol.ConversationClose{ID: id, Conversation: conv.Conversation}
		},
		"session": func(id protocol.RequestID) any {
			return protocol.SessionRequest{ID: id, Conversation: conv.Conversation}
		},
	} {
		id := other.ID()
		other.Send(msg(id))
		foreign := other.WantError(id, protocol.CodeNotFound)
		if name != "history" {
			id = b.ID()
			b.Send(msg(id))
			b.WantError(id, protocol.CodeNotOwner)
		}
		if strings.Contains(foreign.Text, "private") {
			t.Errorf("%s: the answer says too much: %q", name, foreign.Text)
		}
	}
	id := other.ID()
	other.Send(protocol.ChatHistory{ID: id, Conversation: "nosuchconversation", Limit: 10})
	if none := other.WantError(id, protocol.CodeNotFound); none.Text != "There is no such conversation, or it is not yours to see." {
		t.Errorf("a missing conversation is told apart: %q", none.Text)
	}
}

func TestReleaseCloseAndReopen(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	a, _ := s.Agent("Ana")
	a.Claim(conv.Conversation)
	a.Send(protocol.QueueRelease{ID: "r", Conversation: conv.Conversation})
	a.WantAck("r")
	Want(c, func(m protocol.ConversationState) bool { return m.State == "waiting" })
	a.Claim(conv.Conversation)
	a.Send(protocol.ConversationClose{ID: "x", Conversation: conv.Conversation})
	a.WantAck("x")
	Want(c, func(m protocol.ConversationState) bool { return m.State == "closed" })
	id := a.ID()
	a.Send(protocol.ChatSend{ID: id, Conversation: conv.Conversation, Text: "too late"})
	if e := Want(a, func(e protocol.Error) bool { return e.ID == id }); e.Code != protocol.CodeConvClosed && e.Code != protocol.CodeNotOwner {
		t.Errorf("agent into a closed conversation: %+v", e)
	}
	c.Say(conv.Conversation, "one more thing")
	Want(c, func(m protocol.ConversationState) bool { return m.State == "waiting" })
}

func TestClaimSurvivesARestartAndIsHeldAgain(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	a, k := s.Agent("Ana")
	a.Claim(conv.Conversation)
	s.Stop()
	s.Start()
	a = s.AgentAgain(k)
	a.Send(protocol.ConversationList{ID: "l", Scope: "mine"})
	mine := Want[protocol.ConversationItems](a, nil)
	if len(mine.Items) != 1 || mine.Items[0].LapsesAt == nil {
		t.Fatalf("after the restart: %+v, want one claim that lapses", mine)
	}
	a.Send(protocol.ConversationWatch{ID: "w", Conversation: conv.Conversation, Hold: true})
	if st := Want(a, func(m protocol.ConversationState) bool { return m.ID == "w" }); st.LapsesAt != nil {
		t.Errorf("held again: %+v", st)
	}
}

func TestOneShotClaimLapses(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	a, _ := s.Agent("Ana")
	a.Send(protocol.QueueClaim{ID: "c", HoldMs: 300})
	Want(a, func(m protocol.ConversationState) bool { return m.ID == "c" })
	Want(c, func(m protocol.ConversationState) bool { return m.State == "claimed" })
	c.Forget() // such as its first place in the queue
	Want(c, func(m protocol.ConversationState) bool { return m.State == "waiting" })
	a.Send(protocol.ChatSend{ID: "s", Conversation: conv.Conversation, Text: "x"})
	a.WantError("s", protocol.CodeNotOwner)
}

func TestHostileMessages(t *testing.T) {
	s := New(t)
	good := s.Customer(NewCustomerKey())
	conv := good.Conversation()
	files, err := filepath.Glob("../../protocol/testdata/invalid/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	t.Run("the third bad message closes", func(t *testing.T) {
		c := s.Customer(NewCustomerKey())
		for range 3 {
			c.SendRaw(`{"type":"ping","id":"1","x":2}`)
			if e := c.WantError("1", protocol.CodeBadMessage); !strings.Contains(e.Text, "unknown field") {
				t.Errorf("text %q", e.Text)
			}
		}
		c.WantClose(protocol.CloseBadMessage)
	})
	for name, data := range map[string]string{
		"not JSON": "hello", "invalid UTF-8": "{\"type\":\"ping\",\"id\":\"\xff\"}", "deep": `{"type":"ping","id":` + strings.Repeat("[", 50000),
		"agents' verb": `{"type":"queue.claim","id":"1"}`, "server's message": `{"type":"ack","id":"1"}`, "second hello": string(protocol.Encode(NewCustomerKey().Proof("customer", s.Addr, "AAAA"))),
	} {
		t.Run(name, func(t *testing.T) {
			c := s.Customer(NewCustomerKey())
			c.SendRaw(data)
			if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeBadMessage && e.Code != protocol.CodeForbidden {
				t.Errorf("got %+v", e)
			}
			c.Send(protocol.Ping{ID: "alive"})
			Want(c, func(m protocol.Pong) bool { return m.ID == "alive" })
		})
	}
	t.Run("binary", func(t *testing.T) {
		c := s.Customer(NewCustomerKey())
		if err := c.WS.WriteMessage(websocket.BinaryMessage, []byte{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeBadMessage {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("texts at and over the limit", func(t *testing.T) {
		c := s.Customer(NewCustomerKey())
		own := c.Conversation()
		c.Say(own.Conversation, strings.Repeat("x", protocol.MaxTextChars))
		for _, n := range []int{protocol.MaxTextChars + 1, 10 * protocol.MaxTextChars} {
			id := c.ID()
			c.Send(protocol.ChatSend{ID: id, Conversation: own.Conversation, Text: strings.Repeat("x", n)})
			c.WantError(id, protocol.CodeTextTooLong)
		}
	})
	good.Say(conv.Conversation, "and I am still served")
}

// TestReadLimit is T08's: at the limit a message is read (and refused as what it is), one above closes with 1009, in
// one frame or in many.
func TestReadLimit(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	c.SendRaw(strings.Repeat(" ", protocol.MaxMessageBytes))
	if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeBadMessage {
		t.Errorf("at the limit: %+v", e)
	}
	c.SendRaw(strings.Repeat(" ", protocol.MaxMessageBytes+1))
	c.WantClose(protocol.CloseTooLarge)
	c = s.Customer(NewCustomerKey())
	w, err := c.WS.NextWriter(websocket.TextMessage)
	if err != nil {
		t.Fatal(err)
	}
	for range protocol.MaxMessageBytes/1024 + 1 {
		if _, err := w.Write(bytes.Repeat([]byte{' '}, 1024)); err != nil {
			break // the server has closed already
		}
	}
	_ = w.Close() // may fail for the same reason
	c.WantClose(protocol.CloseTooLarge)
}

func TestNoCompressionNegotiated(t *testing.T) {
	s := New(t)
	h := http.Header{"Origin": {"http://" + s.Addr}, "Sec-Websocket-Extensions": {"permessage-deflate"}}
	d := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}, EnableCompression: true}
	h.Del("Sec-Websocket-Extensions")
	ws, resp, err := d.Dial("ws://"+s.Addr+"/ws/customer", h)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if got := resp.Header.Get("Sec-Websocket-Extensions"); got != "" {
		t.Errorf("negotiated %q", got)
	}
}

func TestSlowReaderIsClosedAndOthersAreServed(t *testing.T) {
	s := New(t)
	key := NewCustomerKey()
	slow := s.Customer(key)
	conv := slow.Conversation()
	a, _ := s.Agent("Ana")
	a.Claim(conv.Conversation)
	other := s.Customer(NewCustomerKey())
	otherConv := other.Conversation()
	for range 20 {
		a.Say(conv.Conversation, strings.Repeat("界", 4000))
	}
	if err := slow.WS.NetConn().(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	for range 400 { // it asks for some 20 MB and reads nothing
		ask := protocol.ChatHistory{ID: "h", Conversation: conv.Conversation, Limit: 100}
		if slow.WS.WriteMessage(websocket.TextMessage, protocol.Encode(ask)) != nil {
			break
		}
	}
	Want(a, func(m protocol.PresenceCustomer) bool { return m.Presence == "offline" })
	other.Say(otherConv.Conversation, "still here")
	again := s.Customer(key)
	st := Want[protocol.ConversationState](again, nil)
	last, got := st.LastSeq, int64(0)
	if !strings.Contains(s.Log.String(), "close=4001") {
		t.Error("the slow reader was not closed with 4001")
	}
	for got < last {
		id := again.ID()
		again.Send(protocol.ChatHistory{ID: id, Conversation: conv.Conversation, After: got, Limit: 100})
		for _, m := range Want(again, func(p protocol.ChatPage) bool { return p.ID == id }).Messages {
			if m.Seq != got+1 {
				t.Fatalf("seq %d after %d", m.Seq, got)
			}
			got = m.Seq
		}
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	s := New(t)
	key := NewCustomerKey()
	c := s.Customer(key)
	conv := c.Conversation()
	c.Send(protocol.PresencePage{Page: protocol.Page{Title: "CANARY-TITLE", URL: "http://canary-url/", Active: true}})
	c.Say(conv.Conversation, "CANARY-TEXT")
	c.SendRaw(`{"type":"chat.send","id":"CANARY-ID","conversation":"x","text":"CANARY-BAD","more":"CANARY-FIELD"}`)
	Want[protocol.Error](c, nil)
	a, _ := s.Agent("CANARY-NAME")
	a.Claim(conv.Conversation)
	c.Send(protocol.SessionRequest{ID: "s", Conversation: conv.Conversation})
	st := Want(c, func(m protocol.SessionState) bool { return m.ID == "s" })
	a.Send(protocol.SessionAccept{ID: "a", Session: st.Session})
	ready := Want(a, func(m protocol.SessionState) bool { return m.ID == "a" })
	a.Send(protocol.SessionOffer{Session: st.Session, SDP: "CANARY-SDP"})
	a.WantError("", protocol.CodeSDP)
	a.Send(protocol.SessionCandidate{Session: st.Session, Candidate: "candidate:CANARY-CANDIDATE"})
	a.Send(protocol.Ping{ID: "p"})
	Want[protocol.Pong](a, nil)
	secret := ready.ICEServers[1].Credential
	s.Stop()
	log := s.Log.String()
	for _, word := range []string{"CANARY", "canary-url", secret, protocol.B64.EncodeToString(key.Pub())} {
		if strings.Contains(log, word) {
			t.Errorf("the log holds %q", word)
		}
	}
	if !strings.Contains(log, "bad message") {
		t.Error("the log says nothing of the bad message: the test looks at the wrong log")
	}
}

func TestPageIsServedUnderItsHeaders(t *testing.T) {
	s := New(t)
	resp, err := http.Get(s.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	csp := resp.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "ws://" + s.Addr} {
		if !strings.Contains(csp, part) {
			t.Errorf("CSP %q lacks %q", csp, part)
		}
	}
	if resp.StatusCode != 200 || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("status %d, headers %v", resp.StatusCode, resp.Header)
	}
	req, _ := http.NewRequest("GET", s.URL()+"/", nil)
	req.Host = "evil.example"
	other, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Body.Close()
	if other.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host name gets %d", other.StatusCode)
	}
	if _, err := os.Stat(s.Dir + "/data"); err != nil {
		t.Fatal(err)
	}
}

// TestAFloodIsRefusedInOrder: a client that sends faster than allowed is refused until the announced time is over, so
// that nothing overtakes what was refused; one that waits gets everything in.
func TestAFloodIsRefusedInOrder(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	const n = 40
	acked := map[protocol.RequestID]int64{}
	for len(acked) < n {
		var wait int64
		for i := range n {
			if id := protocol.RequestID(fmt.Sprint(i)); acked[id] == 0 {
				c.Send(protocol.ChatSend{ID: id, Conversation: conv.Conversation, Text: fmt.Sprint("message ", i)})
			}
		}
		for answered := len(acked); answered < n; answered++ {
			msg := Want(c, func(m any) bool {
				switch m.(type) {
				case protocol.Ack, protocol.Error:
					return true
				}
				return false
			})
			switch m := msg.(type) {
			case protocol.Ack:
				acked[m.ID] = m.Seq
			case protocol.Error:
				if m.Code != protocol.CodeRate || m.RetryAfterMs <= 0 {
					t.Fatalf("refused with %+v", m)
				}
				wait = max(wait, m.RetryAfterMs)
			}
		}
		<-time.After(time.Duration(wait) * time.Millisecond) // what the server asked for
	}
	for i := range n {
		if got := acked[protocol.RequestID(fmt.Sprint(i))]; got != int64(i+1) {
			t.Fatalf("message %d has number %d", i, got)
		}
	}
}

// TestALongerHoldIsNotShortened: a one-shot message keeps a claim for a while, and never shortens what was asked for.
func TestALongerHoldIsNotShortened(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	a, _ := s.Agent("Ana")
	a.Send(protocol.QueueClaim{ID: "c", HoldMs: 4 * 3600 * 1000})
	claimed := Want(a, func(m protocol.ConversationState) bool { return m.ID == "c" })
	a.Say(conv.Conversation, "a moment")
	a.Send(protocol.ConversationList{ID: "l", Scope: "mine"})
	mine := Want[protocol.ConversationItems](a, nil)
	if got := mine.Items[0].LapsesAt; got == nil || !got.Equal(*claimed.LapsesAt) {
		t.Errorf("the claim lapses at %v, want %v", got, claimed.LapsesAt)
	}
}

// TestHostilePagesDoNotHideTheQueue: the largest titles and addresses of a full page of waiting customers fit.
func TestHostilePagesDoNotHideTheQueue(t *testing.T) {
	s := NewWith(t, func(c *server.Config) {
		c.Limits = server.DefaultLimits()
		c.Limits.ConversationsPerHourIP = 100
	})
	for range 100 {
		c := s.Customer(NewCustomerKey())
		c.Conversation()
		c.Send(protocol.PresencePage{Page: protocol.Page{Title: strings.Repeat("<", 200), URL: strings.Repeat("\u2028", 1000), Active: true}})
		c.Send(protocol.Ping{ID: "p"})
		Want[protocol.Pong](c, nil)
	}
	a, _ := s.Agent("Ana")
	a.Send(protocol.QueueList{ID: "q"})
	if q := Want[protocol.QueueState](a, nil); len(q.Items) != 100 || q.Items[0].Page == nil {
		t.Errorf("%d items", len(q.Items))
	}
}
