package server_test

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"

	"github.com/lookalong/lookalong/protocol"
	. "github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// pair is a customer and the agent who has claimed their conversation.
type pair struct {
	s           *Server
	c, a        *Conn
	ck, ak      Key
	conv        protocol.ConversationID
	offer, answ string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{s: New(t), ck: NewCustomerKey()}
	p.c = p.s.Customer(p.ck)
	p.conv = p.c.Conversation().Conversation
	p.a, p.ak = p.s.Agent("Ana")
	p.a.Claim(p.conv)
	p.offer, p.answ = sdp(t, "pion_offer"), sdp(t, "chromium_answer")
	return p
}

func sdp(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../internal/sdppolicy/testdata/" + name + ".sdp")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// connect brings a session, asked for by the customer, to connecting.
func (p *pair) connect() (forCustomer, forAgent protocol.SessionState) {
	p.c.Send(protocol.SessionRequest{ID: p.c.ID(), Conversation: p.conv, Picture: true})
	st := Want(p.a, func(m protocol.SessionState) bool { return m.State == "requested" })
	p.a.Send(protocol.SessionAccept{ID: "acc", Session: st.Session})
	forAgent = Want(p.a, func(m protocol.SessionState) bool { return m.ID == "acc" })
	forCustomer = Want(p.c, func(m protocol.SessionState) bool { return m.State == "connecting" })
	return forCustomer, forAgent
}

func TestSessionFromRequestToEnd(t *testing.T) {
	p := newPair(t)
	c, a := p.connect()
	if !c.Bound || !a.Bound || !c.PeerOnline || !a.PeerOnline || !c.LoopbackOK || c.By != "customer" || !c.Picture || c.Agent.Name != "Ana" {
		t.Errorf("customer sees %+v, agent %+v", c, a)
	}
	if len(c.ICEServers) != 2 || c.ICEServers[1].Username == a.ICEServers[1].Username || c.ICEServers[1].Credential == "" {
		t.Errorf("ICE servers %+v and %+v", c.ICEServers, a.ICEServers)
	}
	id := c.Session
	p.a.Send(protocol.SessionOffer{Session: id, SDP: p.offer})
	if m := Want[protocol.SessionOffer](p.c, nil); !strings.Contains(m.SDP, "m=application") {
		t.Errorf("offer %q", m.SDP)
	}
	p.c.Send(protocol.SessionAnswer{Session: id, SDP: p.answ})
	Want[protocol.SessionAnswer](p.a, nil)
	p.c.Send(protocol.SessionCandidate{Session: id, Candidate: "candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host", SDPMid: "0"})
	Want[protocol.SessionCandidate](p.a, nil)
	p.c.Send(protocol.SessionCandidate{Session: id, Candidate: "candidate:1 1 udp 2130706431 169.254.169.254 80 typ host", SDPMid: "0"})
	p.c.Send(protocol.SessionCandidate{Session: id, Candidate: "", SDPMid: "0"})
	if m := Want[protocol.SessionCandidate](p.a, nil); m.Candidate != "" {
		t.Errorf("a denied candidate was forwarded: %+v", m)
	}
	p.a.Send(protocol.SessionReport{Session: id, State: "connected", Path: "direct"})
	if m := Want(p.c, func(m protocol.SessionState) bool { return m.State == "connected" }); m.Path != "direct" {
		t.Errorf("connected: %+v", m)
	}
	p.c.Send(protocol.ConsentState{Session: id, Grant: "view", State: "on", Cause: "allowed", Surface: "window"})
	if m := Want[protocol.ConsentState](p.a, nil); m.Surface != "window" {
		t.Errorf("consent: %+v", m)
	}
	p.a.Send(protocol.ConsentAsk{ID: "ask", Session: id, Grant: "view"})
	p.a.WantAck("ask")
	Want[protocol.ConsentAsk](p.c, nil)
	p.c.Send(protocol.SessionRestart{Session: id})
	Want[protocol.SessionRestart](p.a, nil)
	p.c.Send(protocol.SessionEnd{ID: "end", Session: id, Reason: "stopped"})
	p.c.WantAck("end")
	if m := Want(p.a, func(m protocol.SessionState) bool { return m.State == "ended" }); m.Reason != "stopped" {
		t.Errorf("ended: %+v", m)
	}
	p.a.Send(protocol.SessionOffer{Session: id, SDP: p.offer})
	p.a.WantError("", protocol.CodeSession)
	again, _ := p.connect()
	if again.Session == id {
		t.Error("the second session has the first one's id")
	}
}

// Each grant leaves rows of its own, by who asked and who decided; the server passes on both ways, and grants nothing.
func TestConsentLeavesRows(t *testing.T) {
	p := newPair(t)
	st, _ := p.connect()
	for _, grant := range []string{"view", "record"} {
		p.a.Send(protocol.ConsentAsk{ID: protocol.RequestID(grant), Session: st.Session, Grant: grant})
		p.a.WantAck(protocol.RequestID(grant))
		if m := Want[protocol.ConsentAsk](p.c, nil); m.Grant != grant {
			t.Errorf("asked for %+v", m)
		}
		for _, state := range []string{"asked", "on", "off"} {
			p.c.Send(protocol.ConsentState{Session: st.Session, Grant: grant, State: state})
			if m := Want[protocol.ConsentState](p.a, nil); m.Grant != grant || m.State != state {
				t.Errorf("the agent got %+v", m)
			}
		}
	}
	p.s.Stop()
	db, err := store.OpenShared(t.Context(), store.Options{Dir: p.s.Dir + "/data"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.AuditLog(t.Context(), string(p.conv), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		if strings.HasPrefix(row.Kind, "consent.") {
			got = append(got, row.Kind+" by "+string(row.Actor.Kind))
		}
	}
	want := []string{"consent.ask by agent", "consent.on by customer", "consent.off by customer",
		"consent.record.ask by agent", "consent.record.on by customer", "consent.record.off by customer"}
	if !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

func TestSessionIsAskedForByTheAgentAndDeclined(t *testing.T) {
	p := newPair(t)
	p.a.Send(protocol.SessionRequest{ID: "r", Conversation: p.conv, Picture: true})
	st := Want(p.a, func(m protocol.SessionState) bool { return m.ID == "r" })
	tab := p.s.Customer(p.ck)
	if again := Want(tab, func(m protocol.SessionState) bool { return m.State == "requested" }); again.Session != st.Session {
		t.Errorf("a tab that comes later is asked with %+v", again)
	}
	asked := Want(p.c, func(m protocol.SessionState) bool { return m.State == "requested" })
	if asked.By != "agent" || asked.Bound || asked.ICEServers != nil {
		t.Errorf("the customer is asked with %+v", asked)
	}
	p.a.Send(protocol.SessionAccept{ID: "self", Session: st.Session})
	p.a.WantError("self", protocol.CodeSession) // nobody says yes to their own question
	tab.Send(protocol.SessionDecline{ID: "no", Session: st.Session})
	tab.WantAck("no")
	if m := Want(p.a, func(m protocol.SessionState) bool { return m.State == "ended" }); m.Reason != "declined" {
		t.Errorf("ended: %+v", m)
	}
	p.c.Send(protocol.SessionAccept{ID: "late", Session: st.Session})
	p.c.WantError("late", protocol.CodeSession)
}

func TestSessionNeedsAnAgent(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	c.Send(protocol.SessionRequest{ID: "r", Conversation: conv.Conversation, Picture: true})
	c.WantError("r", protocol.CodeNoAgent)
}

func TestStrangersGetNothingOfASession(t *testing.T) {
	p := newPair(t)
	st, _ := p.connect()
	stranger := p.s.Customer(NewCustomerKey())
	colleague, _ := p.s.Agent("Bo")
	for _, who := range []*Conn{stranger, colleague} {
		id := who.ID()
		who.Send(protocol.SessionRejoin{ID: id, Session: st.Session})
		who.WantError(id, protocol.CodeSession)
		id = who.ID()
		who.Send(protocol.SessionEnd{ID: id, Session: st.Session, Reason: "stopped"})
		who.WantError(id, protocol.CodeSession)
	}
	colleague.Send(protocol.SessionOffer{Session: st.Session, SDP: p.offer})
	colleague.WantError("", protocol.CodeSession)
	// Another tab of the customer is no end of the session either.
	tab := p.s.Customer(p.ck)
	tab.Send(protocol.SessionAnswer{Session: st.Session, SDP: p.answ})
	tab.WantError("", protocol.CodeSession)
	// A colleague who looks on sees that there is a session, and no relay credential.
	colleague.Send(protocol.ConversationWatch{ID: "w", Conversation: p.conv})
	Want(colleague, func(m protocol.ConversationState) bool { return m.ID == "w" })
	p.a.Send(protocol.SessionReport{Session: st.Session, State: "connected", Path: "relay"})
	if m := Want[protocol.SessionState](colleague, nil); m.ICEServers != nil || m.Bound {
		t.Errorf("a colleague sees %+v", m)
	}
}

func TestChangedFingerprintIsRefused(t *testing.T) {
	p := newPair(t)
	st, _ := p.connect()
	p.a.Send(protocol.SessionOffer{Session: st.Session, SDP: p.offer})
	Want[protocol.SessionOffer](p.c, nil)
	p.a.Send(protocol.SessionOffer{Session: st.Session, SDP: p.offer}) // an ICE restart: same certificate
	Want[protocol.SessionOffer](p.c, nil)
	p.a.Send(protocol.SessionOffer{Session: st.Session, SDP: sdp(t, "chromium_offer")})
	p.a.WantError("", protocol.CodeSDP)
}

func TestSessionOutlivesSocketsAndTheServer(t *testing.T) {
	p := newPair(t)
	first, _ := p.connect()
	p.c.Close()
	if m := Want(p.a, func(m protocol.SessionState) bool { return !m.PeerOnline && m.State == "connecting" }); m.Session != first.Session {
		t.Errorf("the agent hears %+v", m)
	}
	p.c = p.s.Customer(p.ck)
	st := Want[protocol.ConversationState](p.c, nil)
	if st.Session != first.Session {
		t.Fatalf("after the reconnect: %+v", st)
	}
	p.c.Send(protocol.SessionRejoin{ID: "re", Session: st.Session})
	if m := Want(p.c, func(m protocol.SessionState) bool { return m.ID == "re" }); !m.Bound || !m.PeerOnline || len(m.ICEServers) == 0 {
		t.Errorf("rejoined: %+v", m)
	}
	Want(p.a, func(m protocol.SessionState) bool { return m.PeerOnline })

	p.s.Stop()
	p.s.Start()
	p.c, p.a = p.s.Customer(p.ck), p.s.AgentAgain(p.ak)
	p.a.Send(protocol.SessionRejoin{ID: "ra", Session: first.Session})
	Want(p.a, func(m protocol.SessionState) bool { return m.ID == "ra" })
	p.c.Send(protocol.SessionRejoin{ID: "rc", Session: first.Session})
	back := Want(p.c, func(m protocol.SessionState) bool { return m.ID == "rc" })
	if !back.Bound || !back.PeerOnline || back.State != "connecting" {
		t.Errorf("after the restart: %+v", back)
	}
	p.a.Send(protocol.SessionOffer{Session: first.Session, SDP: p.offer})
	Want[protocol.SessionOffer](p.c, nil)
}

func TestSessionEndsWithItsConversation(t *testing.T) {
	p := newPair(t)
	p.connect()
	p.a.Send(protocol.QueueRelease{ID: "r", Conversation: p.conv})
	p.a.WantAck("r")
	if m := Want(p.c, func(m protocol.SessionState) bool { return m.State == "ended" }); m.Reason != "closed" {
		t.Errorf("ended: %+v", m)
	}
}

func TestTooManySessionMessages(t *testing.T) {
	p := newPair(t)
	st, _ := p.connect()
	for range 61 {
		p.c.Send(protocol.SessionCandidate{Session: st.Session, Candidate: "candidate:1 1 udp 1 127.0.0.1 50000 typ host"})
	}
	p.c.WantError("", protocol.CodeSignalRate)
	n := 0
	p.a.Send(protocol.Ping{ID: "after"})
	for {
		msg, err := p.a.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := msg.(protocol.SessionCandidate); ok {
			n++
		}
		if m, ok := msg.(protocol.Pong); ok && m.ID == "after" {
			break
		}
	}
	if n != 30 {
		t.Errorf("%d candidates were forwarded, want 30", n)
	}
}

// TestTurnAfterEnd is T15's: the credential that the session gave out relays while it lives, and no longer.
func TestTurnAfterEnd(t *testing.T) {
	p := newPair(t)
	st, _ := p.connect()
	allocate := func() error {
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		c, err := turn.NewClient(&turn.ClientConfig{
			STUNServerAddr: p.s.UDP, TURNServerAddr: p.s.UDP, Conn: pc, RTO: 50 * time.Millisecond,
			Username: st.ICEServers[1].Username, Password: st.ICEServers[1].Credential,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Listen(); err != nil {
			t.Fatal(err)
		}
		relay, err := c.Allocate()
		if err == nil {
			relay.Close()
		}
		return err
	}
	if err := allocate(); err != nil {
		t.Fatalf("in a live session: %v", err)
	}
	p.c.Send(protocol.SessionEnd{ID: "e", Session: st.Session, Reason: "stopped"})
	p.c.WantAck("e")
	Want(p.a, func(m protocol.SessionState) bool { return m.State == "ended" })
	if err := allocate(); err == nil {
		t.Error("the credential still works after the end")
	}
}

// TestHalfOpenSocketIsFound is F09's: a client that is silent without a goodbye is gone after 27 s.
func TestHalfOpenSocketIsFound(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	done := p.a.Drain() // reads and so answers pings; the customer's side does not read at all
	other := p.s.AgentAgain(p.ak)
	m := Want(other, func(m protocol.PresenceCustomer) bool { return m.Presence == "offline" })
	if m.Conversation != p.conv {
		t.Errorf("got %+v", m)
	}
	p.a.Close()
	done()
}
