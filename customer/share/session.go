// The customer's end of a peer session: what the server, the peer and the customer say, and what follows.

package share

import (
	"errors"
	"slices"
	"time"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// goneAfter is how long the path may be silent when the server says that the agent's program is gone too.
const goneAfter = 10 * time.Second

// session is the live peer session of this program.
type session struct {
	id         protocol.SessionID
	state      string // as the server sees it
	by         string
	agent      string
	picture    bool
	answered   bool // we have said yes or no to the agent's request
	peer       *peer.Peer
	peerState  peer.State
	stats      peer.Stats
	silentAt   time.Time // since when the peer is reconnecting
	peerOnline bool
	codecs     []string // that the agent's viewer decodes; nil before it told
	paused     bool
	nextFrame  uint32 // counts on from share to share
	early      []any  // for a peer that is not there yet; bounded
}

// maxEarly bounds what may arrive between the server's yes and our peer.
const maxEarly = 64

func (s *session) close(reason string) {
	if s.peer != nil {
		s.peer.Close(reason)
	}
}

// signaler sends the peer's messages; what a lost socket swallows, the next ICE restart repeats.
type signaler struct {
	a  *app
	id protocol.SessionID
}

func (s signaler) SendOffer(string) {} // a customer never offers
func (s signaler) SendAnswer(sdp string) {
	_ = s.a.client.Notify(protocol.SessionAnswer{Session: s.id, SDP: sdp})
}
func (s signaler) SendCandidate(c protocol.SessionCandidate) {
	c.Session = s.id
	_ = s.a.client.Notify(c)
}
func (s signaler) SendRestart() {
	_ = s.a.client.Notify(protocol.SessionRestart{Session: s.id})
}

func (a *app) onSessionMessage(m any) {
	switch m := m.(type) {
	case protocol.SessionState:
		a.onSession(m)
	case protocol.SessionOffer:
		a.toPeer(m.Session, m)
	case protocol.SessionCandidate:
		a.toPeer(m.Session, m)
	case protocol.ConsentAsk:
		if a.sess != nil && a.sess.id == m.Session {
			a.step(consent.EvAsk)
		}
	case protocol.ConsentState:
		a.step(consent.EvForged) // the server can't know a grant
	}
}

func (a *app) toPeer(id protocol.SessionID, m any) {
	if a.sess == nil || a.sess.id != id {
		return
	}
	p := a.sess.peer
	if p == nil {
		if len(a.sess.early) < maxEarly {
			a.sess.early = append(a.sess.early, m)
		}
		return
	}
	switch m := m.(type) {
	case protocol.SessionOffer:
		p.Offer(m.SDP)
	case protocol.SessionCandidate:
		p.Candidate(m)
	}
}

func (a *app) onSession(m protocol.SessionState) {
	if m.Conversation != a.conv.Conversation {
		return
	}
	if m.State == "ended" {
		if a.sess != nil && a.sess.id == m.Session {
			a.sess.close(m.Reason)
			a.sessionEnded(m.Reason)
		}
		return
	}
	if a.sess == nil {
		if m.State != "requested" || m.By != "agent" {
			return // of another program with this key, or over
		}
		a.sess = &session{id: m.Session, state: m.State, by: m.By, picture: m.Picture}
		a.noteSession(m)
		a.say(m.State, "", "")
		a.answer()
		return
	}
	if a.sess.id == "" && m.State == "requested" && m.By == "agent" {
		a.crossed(m)
		return
	}
	if a.sess.id != m.Session {
		return
	}
	if m.State != "requested" && a.sess.by == "agent" && !a.sess.answered {
		return // only the customer's own yes connects, never the server's word //guard:T22
	}
	a.noteSession(m)
	if m.State == "requested" {
		return
	}
	if !m.Bound {
		if a.sess.peer != nil {
			a.sess.close("left")
			a.sessionEnded("left") // another program with this key took it
		}
		return
	}
	if a.sess.peer != nil {
		if m.ICEServers != nil {
			a.sess.peer.UpdateICE(m.ICEServers)
		}
		return
	}
	a.startPeer(m)
}

func (a *app) noteSession(m protocol.SessionState) {
	s := a.sess
	s.state, s.peerOnline = m.State, m.PeerOnline
	if m.Agent != nil {
		s.agent = m.Agent.Name
	}
}

// say tells a state of the session.
func (a *app) say(state, reason, sentence string) {
	a.out.say(Output{Event: "session", Session: string(a.sess.id), State: state, Reason: reason, Path: a.sess.stats.Path, Name: a.sess.agent}, sentence)
}

func (a *app) onSessionReply(id protocol.SessionID, reply any, err error) {
	if st, ok := reply.(protocol.SessionState); ok {
		a.onSession(st)
		return
	}
	if a.sess == nil || a.sess.id != id {
		return
	}
	text := errText(err)
	var user *protocol.UserError
	if errors.As(err, &user) {
		text = user.Text
	}
	a.out.say(Output{Event: "error", Session: string(id), Text: text}, text)
	a.sessionEnded("failed")
}

// request asks for a session with a picture; the customer has said yes already.
func (a *app) request() {
	a.sess = &session{state: "requested", by: "customer", picture: true}
	s := a.sess
	a.client.Ask(protocol.SessionRequest{Conversation: a.conv.Conversation, Picture: true}, func(reply any, err error) {
		a.box.post(func(a *app) {
			if a.sess == s && s.by == "agent" {
				return // refused: the agent's request was first, and is accepted
			}
			if a.sess != s {
				if st, ok := reply.(protocol.SessionState); ok { // stopped meanwhile
					a.client.Ask(protocol.SessionEnd{Session: st.Session, Reason: "stopped"}, func(any, error) {})
				}
				return
			}
			if st, ok := reply.(protocol.SessionState); ok {
				s.id = st.Session
				a.say(st.State, "", "")
				a.tellConsent()
			}
			a.onSessionReply(s.id, reply, err)
		})
	})
}

// rejoin binds the live session to the new socket.
func (a *app) rejoin() {
	id := a.sess.id
	if id == "" || a.sess.peer == nil {
		a.sessionEnded("lost")
		return
	}
	a.client.Ask(protocol.SessionRejoin{Session: id}, func(reply any, err error) {
		a.box.post(func(a *app) {
			if errors.Is(err, errOffline) {
				return // the next connect tries again
			}
			if err != nil && a.sess != nil && a.sess.id == id {
				a.sess.close("lost") // the server does not know it any more
			}
			a.onSessionReply(id, reply, err)
			a.tellConsent()
		})
	})
}

// stray ends a session of an earlier run: its consent lived in that program's memory.
func (a *app) stray(id protocol.SessionID) {
	a.client.Ask(protocol.SessionEnd{Session: id, Reason: "left"}, func(any, error) {})
}

func (a *app) startPeer(m protocol.SessionState) {
	s := a.sess
	post := func(fn func(*app)) { // a late callback of an earlier session changes nothing
		a.box.post(func(a *app) {
			if a.sess == s {
				fn(a)
			}
		})
	}
	cfg := peer.Config{
		Role: peer.Answerer, ICEServers: m.ICEServers, RelayOnly: m.RelayOnly, LoopbackOK: m.LoopbackOK,
		Signaler: signaler{a, m.Session}, Log: a.log,
		OnState:   func(st peer.State, reason string) { post(func(a *app) { a.onPeer(st, reason) }) },
		OnControl: func(msg any) { post(func(a *app) { a.onControl(msg) }) },
		OnDirect:  func(msg any) { post(func(a *app) { a.onDirect(msg) }) },
		OnStats:   func(st peer.Stats) { post(func(a *app) { a.sess.stats = st }) },
		OnPath:    func(path string) { post(func(a *app) { a.sess.stats.Path = path; a.say("path", "", "") }) },
	}
	if a.o.tune != nil {
		a.o.tune(&cfg)
	}
	p, err := peer.New(cfg)
	if err != nil {
		a.log.Error("peer cannot start", "session", string(m.Session), "err", err)
		a.endSession("failed")
		return
	}
	s.peer = p
	ctx := a.ctx
	a.wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			a.log.Error("peer failed", "session", string(m.Session), "err", err)
		}
	})
	early := s.early
	s.early = nil
	for _, e := range early {
		a.toPeer(s.id, e)
	}
}

func (a *app) onPeer(st peer.State, reason string) {
	s := a.sess
	s.peerState = st
	switch st {
	case peer.Connected:
		s.silentAt = time.Time{}
		a.say("connected", "", "")
		if a.pic != nil {
			a.pic.forget()
		}
	case peer.Reconnecting:
		s.silentAt = time.Now()
		a.say("reconnecting", "", "The connection to the agent is interrupted. Trying again; nothing is sent meanwhile.")
	case peer.Ended:
		a.endSession(reason)
	}
}

// endSession ends the session from this side and tells the server.
func (a *app) endSession(reason string) {
	told := reason
	if !slices.Contains([]string{"stopped", "refused", "left", "failed", "lost", "agent_ended", "not_possible"}, told) {
		told = "failed"
	}
	if a.sess.id != "" {
		a.client.Ask(protocol.SessionEnd{Session: a.sess.id, Reason: told}, func(any, error) {}) // perhaps it ended there already
	}
	a.sess.close(reason)
	a.sessionEnded(reason)
}

// sessionEnded forgets the session; the picture stops first.
func (a *app) sessionEnded(reason string) {
	wasOn := a.consent.State == consent.On
	a.step(consent.EvEnded)
	sentence := "The direct connection has ended."
	switch {
	case reason == "agent_ended" && wasOn:
		sentence = "The agent's connection ended. Nothing is shared."
	case wasOn:
		sentence = "The connection ended. Nothing is shared now."
	case reason == "declined":
		sentence = "The agent declined."
	}
	a.say("ended", reason, sentence)
	a.sess = nil
	a.told = protocol.ConsentState{}
}

func (a *app) onControl(msg any) {
	switch m := msg.(type) {
	case protocol.ScreenCodecs:
		a.sess.codecs = append([]string{}, m.Decodable...)
	case protocol.ScreenFeedback:
		if a.pic != nil {
			a.pic.acked(m.Frame)
		}
	case protocol.ScreenKeyframe:
		if a.pic != nil {
			a.pic.forget() // every picture is whole; the next one comes at once
		}
	case protocol.ScreenPause:
		a.sess.paused = m.Paused
	}
}

func (a *app) onDirect(msg any) {
	switch m := msg.(type) {
	case protocol.DirectMessage:
		if protocol.CheckText(m.Text) != nil {
			return
		}
		_ = a.sess.peer.SendDirect(protocol.DirectAck{ID: m.ID}) // lost with the path; the agent sees it unconfirmed
		a.out.line(Output{Event: "direct", Session: string(a.sess.id), ID: string(m.ID), From: "agent", Name: a.sess.agent, Text: m.Text}, a.sess.agent+" (direct)")
	case protocol.DirectAck:
		a.out.say(Output{Event: "direct_ack", Session: string(a.sess.id), ID: string(m.ID)}, "")
	}
}
