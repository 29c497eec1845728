package server_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lookalong/lookalong/protocol"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// TestOriginMatrix is T01's: which Origin opens which endpoint.
func TestOriginMatrix(t *testing.T) {
	s := New(t)
	port := s.Addr[strings.LastIndex(s.Addr, ":"):]
	for _, c := range []struct {
		name, origin string
		customer     bool
	}{
		{"none", "", false},
		{"ours", "http://" + s.Addr, true},
		{"null", "null", false},
		{"evil", "https://evil.example", false},
		{"suffix look-alike", "http://" + s.Addr + ".evil.example", false},
		{"prefix look-alike", "http://evil-127.0.0.1" + port, false},
		{"other port", "http://127.0.0.1:1", false},
		{"no port", "http://127.0.0.1", false},
		{"other name of ours", "http://localhost" + port, false},
		{"sibling host", "http://a.127.0.0.1" + port, false},
		{"https", "https://" + s.Addr, false},
		{"with path", "http://" + s.Addr + "/", false},
		{"user", "http://x@" + s.Addr, false},
	} {
		for path, want := range map[string]bool{"/ws/customer": c.customer, "/ws/native": c.origin == "", "/ws/agent": c.origin == ""} {
			h := http.Header{}
			if c.origin != "" {
				h.Set("Origin", c.origin)
			}
			ws, resp, err := s.Dial(path, h)
			if (err == nil) != want {
				t.Errorf("%s on %s: %v, want accepted %v", c.name, path, err, want)
			}
			if err == nil {
				ws.Close()
			} else if resp == nil || resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s on %s: %v", c.name, path, err)
			}
		}
	}
	two := http.Header{"Origin": {"http://" + s.Addr, "http://" + s.Addr}}
	if ws, _, err := s.Dial("/ws/customer", two); err == nil {
		ws.Close()
		t.Error("two Origin headers are accepted")
	}
	other := http.Header{"Origin": {"http://evil.example"}, "Host": {"evil.example"}}
	if ws, _, err := s.Dial("/ws/customer", other); err == nil {
		ws.Close()
		t.Error("a foreign host name with its own Origin is accepted")
	}
}

func TestHelloIsRefused(t *testing.T) {
	s := New(t)
	_, known := s.Agent("Ana")
	for name, c := range map[string]struct {
		role   string
		key    Key
		change func(*protocol.HelloProof)
		close  protocol.CloseCode
		code   protocol.Code
	}{
		"another signature":        {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Sig = strings.Repeat("A", 86) }, protocol.CloseAuth, protocol.CodeAuth},
		"another nonce":            {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { *p = NewCustomerKey().Proof("customer", p.Host, "AAAA") }, protocol.CloseAuth, protocol.CodeAuth},
		"another host":             {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Host = "evil.example" }, protocol.CloseAuth, protocol.CodeAuth},
		"another role":             {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Role = "agent" }, protocol.CloseAuth, protocol.CodeAuth},
		"another key":              {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Pub = protocol.B64.EncodeToString(NewCustomerKey().Pub()) }, protocol.CloseAuth, protocol.CodeAuth},
		"a wrong kind of key":      {"customer", NewAgentKey(), nil, protocol.CloseAuth, protocol.CodeAuth},
		"no point on the curve":    {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Pub = strings.Repeat("B", 87) }, protocol.CloseAuth, protocol.CodeAuth},
		"a customer with invite":   {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Invite = "x" }, protocol.CloseAuth, protocol.CodeAuth},
		"short cnonce":             {"native", NewAgentKey(), func(p *protocol.HelloProof) { p.CNonce = "AAAA" }, protocol.CloseAuth, protocol.CodeAuth},
		"an unknown agent":         {"agent", NewAgentKey(), nil, protocol.CloseAuth, protocol.CodeAuth},
		"an unknown invite":        {"agent", NewAgentKey(), func(p *protocol.HelloProof) { p.Invite = "nosuchinvite" }, protocol.CloseAuth, protocol.CodeInvite},
		"an agent on native's":     {"native", known, func(p *protocol.HelloProof) { p.Role = "agent" }, protocol.CloseAuth, protocol.CodeAuth},
		"a version of the future":  {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Version = 99 }, protocol.CloseVersion, protocol.CodeVersion},
		"a value out of its range": {"customer", NewCustomerKey(), func(p *protocol.HelloProof) { p.Version = -1 }, protocol.CloseBadMessage, protocol.CodeBadMessage},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(t)
			conn := s.Open(c.role, c.key, c.change)
			if e := Want[protocol.Error](conn, nil); e.Code != c.code || e.Text == "" {
				t.Errorf("got %+v, want %s", e, c.code)
			}
			conn.WantClose(c.close)
		})
	}
	t.Run("anything before the hello", func(t *testing.T) {
		c := s.Bare("/ws/customer")
		c.Send(protocol.ConversationOpen{ID: "1"})
		c.WantClose(protocol.CloseBadMessage)
	})
}

// TestInviteOnce is T05's at the gateway: of many devices with one invite exactly one gets in.
func TestInviteOnce(t *testing.T) {
	s := New(t)
	invite := s.Invite("Ana", "agent")
	const racers = 9 // below the limit of failed proofs per address
	var wg sync.WaitGroup
	in := make(chan bool, racers)
	for range racers {
		conn := s.Open("agent", NewAgentKey(), func(p *protocol.HelloProof) { p.Invite = invite })
		wg.Go(func() {
			msg, err := conn.Next()
			if err != nil {
				t.Error(err)
			}
			switch m := msg.(type) {
			case protocol.HelloWelcome:
				in <- true
			case protocol.Error:
				if m.Code != protocol.CodeInvite || !strings.Contains(m.Text, "used") {
					t.Errorf("got %+v", m)
				}
			}
		})
	}
	wg.Wait()
	if len(in) != 1 {
		t.Errorf("%d got in", len(in))
	}
}

func TestFailedProofsPauseAnAddress(t *testing.T) {
	s := New(t)
	for range 10 {
		conn := s.Open("agent", NewAgentKey(), nil)
		conn.WantClose(protocol.CloseAuth)
	}
	c := s.Bare("/ws/agent")
	if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeRate || e.RetryAfterMs <= 0 {
		t.Errorf("got %+v", e)
	}
	c.WantClose(protocol.CloseRate)
}

func TestAgentsSocketsAreCounted(t *testing.T) {
	s := New(t)
	_, k := s.Agent("Ana")
	for range 15 {
		s.AgentAgain(k)
	}
	c := s.Open("agent", k, nil)
	if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeTooMany {
		t.Errorf("the seventeenth socket got %+v", e)
	}
	c.WantClose(protocol.CloseTryLater)
}

// TestSlowHello is T10's: thousands of silent sockets from many addresses keep nobody out.
func TestSlowHello(t *testing.T) {
	s := New(t)
	const silent = 1200 // over the limit of unproven sockets
	conns := make([]net.Conn, 0, silent)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range silent {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/150), byte(1+i%150))}}
		c, err := d.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		_, err = c.Write([]byte("GET /ws/native HTTP/1.1\r\nHost: " + s.Addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + protocol.Subprotocol + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
	}
	c := s.Customer(NewCustomerKey())
	c.Say(c.Conversation().Conversation, "I came in between")
}

func TestHelloTimeout(t *testing.T) {
	s := New(t)
	c := s.Bare("/ws/native")
	Want[protocol.HelloChallenge](c, nil)
	if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeHelloTime {
		t.Errorf("got %+v", e)
	}
	c.WantClose(protocol.CloseIdle)
}
