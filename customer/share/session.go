// The customer's end of a peer session: what the server, the peer and the customer say, and what follows.

package share

import (
	"errors"
	"time"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/internal/peersession"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// goneAfter is how long the path may be silent when the server says that the agent's program is gone too.
const goneAfter = 10 * time.Second

// session is the live peer session of this program.
type session struct {
	peersession.Session
	state      string // as the server sees it
	agent      string
	silentAt   time.Time // since when the peer is reconnecting
	peerOnline bool
	nextFrame  uint32 // counts on from share to share
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
		switch {
		case a.sess == nil || a.sess.ID != m.Session:
		case m.Grant == "record":
			a.step(consent.EvRecordAsk)
		default:
			a.step(consent.EvAsk)
		}
	case protocol.ConsentState:
		a.step(consent.EvForged) // the server can't know a grant
	}
}

func (a *app) toPeer(id protocol.SessionID, m any) {
	if a.sess != nil {
		a.sess.Deliver(id, m)
	}
}

func (a *app) onSession(m protocol.SessionState) {
	if m.Conversation != a.conv.Conversation {
		return
	}
	var live *peersession.Session
	if a.sess != nil {
		live = &a.sess.Session
	}
	step := live.Next(m)
	switch step {
	case peersession.Note, peersession.Connect, peersession.Update, peersession.Left:
		a.noteSession(m)
	}
	switch step {
	case peersession.Request:
		a.sess = &session{Session: peersession.Session{ID: m.Session, By: m.By, Picture: m.Picture}}
		a.noteSession(m)
		a.say(m.State, "", "")
		a.answer()
	case peersession.Cross:
		a.crossed(m)
	case peersession.Connect:
		a.startPeer(m)
	case peersession.Update:
		live.Update(m)
	case peersession.Left:
		live.Close("left")
		a.sessionEnded("left") // another program with this key took it
	case peersession.End:
		live.Close(m.Reason)
		a.sessionEnded(m.Reason)
	}
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
	a.out.say(Output{Event: "session", Session: string(a.sess.ID), State: state, Reason: reason, Path: a.sess.Stats.Path, Name: a.sess.agent}, sentence)
}

func (a *app) onSessionReply(id protocol.SessionID, reply any, err error) {
	if st, ok := reply.(protocol.SessionState); ok {
		a.onSession(st)
		return
	}
	if a.sess == nil || a.sess.ID != id {
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
	a.sess = &session{state: "requested", Session: peersession.Session{By: "customer", Picture: true}}
	s := a.sess
	a.client.Ask(protocol.SessionRequest{Conversation: a.conv.Conversation, Picture: true}, func(reply any, err error) {
		a.box.post(func(a *app) {
			if a.sess == s && s.By == "agent" {
				return // refused: the agent's request was first, and is accepted
			}
			if a.sess != s {
				if st, ok := reply.(protocol.SessionState); ok { // stopped meanwhile
					a.client.Ask(protocol.SessionEnd{Session: st.Session, Reason: "stopped"}, func(any, error) {})
				}
				return
			}
			if st, ok := reply.(protocol.SessionState); ok {
				s.ID = st.Session
				a.say(st.State, "", "")
				a.tellConsent()
			}
			a.onSessionReply(s.ID, reply, err)
		})
	})
}

// rejoin binds the live session to the new socket.
func (a *app) rejoin() {
	id := a.sess.ID
	if id == "" || a.sess.Peer == nil {
		a.sessionEnded("lost")
		return
	}
	a.client.Ask(protocol.SessionRejoin{Session: id}, func(reply any, err error) {
		a.box.post(func(a *app) {
			if errors.Is(err, errOffline) {
				return // the next connect tries again
			}
			if err != nil && a.sess != nil && a.sess.ID == id {
				a.sess.Close("lost") // the server does not know it any more
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
	cfg := peersession.Config(m, a.client)
	cfg.Log = a.log
	cfg.OnState = func(st peer.State, reason string) { post(func(a *app) { a.onPeer(st, reason) }) }
	cfg.OnControl = func(msg any) { post(func(a *app) { a.onControl(msg) }) }
	cfg.OnDirect = func(msg any) { post(func(a *app) { a.onDirect(msg) }) }
	cfg.OnStats = func(st peer.Stats) { post(func(a *app) { a.sess.Stats = st }) }
	cfg.OnPath = func(path string) { post(func(a *app) { a.sess.Stats.Path = path; a.say("path", "", "") }) }
	if a.o.tune != nil {
		a.o.tune(&cfg)
	}
	p, err := s.Start(cfg)
	if err != nil {
		a.log.Error("peer cannot start", "session", string(m.Session), "err", err)
		a.endSession("failed")
		return
	}
	ctx := a.ctx
	a.wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			a.log.Error("peer failed", "session", string(m.Session), "err", err)
		}
	})
}

func (a *app) onPeer(st peer.State, reason string) {
	s := a.sess
	s.PeerState = st
	switch st {
	case peer.Connected:
		s.silentAt = time.Time{}
		a.say("connected", "", "")
		if a.pic != nil {
			a.pic.anew()
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
	a.sess.End(a.client, reason)
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
		a.sess.Codecs = append([]string{}, m.Decodable...)
	case protocol.ScreenFeedback:
		if a.pic != nil {
			a.pic.pace.ack(m.Frame, time.Now())
		}
	case protocol.ScreenKeyframe:
		if a.pic != nil {
			a.pic.anew() // every picture is whole; the next one comes at once
		}
	case protocol.ScreenPause:
		a.sess.Paused = m.Paused
	case protocol.ScreenStill:
		a.wantStill(m)
	case protocol.RecordState:
		if m.On {
			a.step(consent.EvForged) // a yes is the customer's alone //guard:T22
		} else {
			a.step(consent.EvRecordDone)
		}
	}
}

func (a *app) onDirect(msg any) {
	switch m := msg.(type) {
	case protocol.DirectMessage:
		if protocol.CheckText(m.Text) != nil {
			return
		}
		_ = a.sess.Peer.SendDirect(protocol.DirectAck{ID: m.ID}) // lost with the path; the agent sees it unconfirmed
		a.out.line(Output{Event: "direct", Session: string(a.sess.ID), ID: string(m.ID), From: "agent", Name: a.sess.agent, Text: m.Text}, a.sess.agent+" (direct)")
	case protocol.DirectAck:
		a.out.say(Output{Event: "direct_ack", Session: string(a.sess.ID), ID: string(m.ID)}, "")
	}
}
