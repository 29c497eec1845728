package simulate

// A customer's end of a peer session: direct messages, and the picture that it says yes to.

import (
	"errors"
	"time"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/internal/peersession"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

const (
	answersAfter = 2 * time.Second // a person reads the question first; never less than the consent's second
	directEvery  = 2 * time.Second // in a load run
)

// session is the live peer session of a customer.
type session struct {
	peersession.Session
	connected bool // once
}

func (s *session) asked() bool { return s != nil && s.Asked() }

// claimed is when an agent takes the conversation. In a load run every second customer begins by itself, the others
// wait for the answering agent to ask.
func (c *customer) claimed() {
	if !c.r.o.Load || c.quiet || !c.r.o.Share && !c.r.o.Direct || c.r.answer != nil && c.n%2 == 1 {
		return
	}
	if c.r.o.Share {
		c.in(dShare, 0)
	} else {
		c.connect(false)
	}
}

// showUnasked is the customer's own click, unless the agent has asked meanwhile.
func (c *customer) showUnasked() {
	if c.look.State == consent.Off && c.conv.State == "claimed" && !c.quiet {
		c.step(consent.EvClick)
	}
}

// connect asks for a session, which is the customer's consent to one.
func (c *customer) connect(picture bool) {
	if c.sess != nil {
		if c.sess.connected {
			c.in(dDirect, 0)
		}
		return
	}
	s := &session{Session: peersession.Session{By: "customer", Picture: picture}}
	c.sess = s
	c.client.Ask(protocol.SessionRequest{Conversation: c.conv.Conversation, Picture: picture}, func(reply any, err error) {
		c.post(func() {
			st, ok := reply.(protocol.SessionState)
			switch {
			case c.sess == s && s.By == "agent": // the agent's request was first, and is accepted
			case c.sess != s && ok: // stopped meanwhile
				c.client.Ask(protocol.SessionEnd{Session: st.Session, Reason: "stopped"}, func(any, error) {})
			case c.sess == s && ok:
				s.ID = st.Session
				c.tellView()
				c.onSession(st)
			case c.sess == s:
				_, _ = c.refused(err)
				c.ended()
			}
		})
	})
}

func (c *customer) onSessionMessage(msg any) {
	switch m := msg.(type) {
	case protocol.SessionState:
		c.onSession(m)
	case protocol.SessionOffer:
		c.toPeer(m.Session, m)
	case protocol.SessionCandidate:
		c.toPeer(m.Session, m)
	case protocol.ConsentAsk:
		if c.sess != nil && c.sess.ID == m.Session {
			c.question()
		}
	}
}

func (c *customer) toPeer(id protocol.SessionID, msg any) {
	if c.sess != nil {
		c.sess.Deliver(id, msg)
	}
}

func (c *customer) onSession(m protocol.SessionState) {
	if m.Conversation != c.conv.Conversation {
		return
	}
	var live *peersession.Session
	if c.sess != nil {
		live = &c.sess.Session
	}
	switch live.Next(m) {
	case peersession.Request:
		c.sess = &session{Session: peersession.Session{ID: m.Session, By: m.By, Picture: m.Picture}}
		c.question()
	case peersession.Cross: // the own wish is the yes
		live.Adopt(m)
		c.accept()
		c.tellView()
	case peersession.Connect:
		c.startPeer(m)
	case peersession.Update:
		live.Update(m)
	case peersession.Left:
		live.Close("left")
		c.ended()
	case peersession.End:
		live.Close(m.Reason)
		c.ended()
	}
}

// question is what the agent asks; the simulated person answers after a while.
func (c *customer) question() {
	wait := consent.ArmMs * time.Millisecond
	if !c.r.o.Load {
		wait = max(wait, c.human(answersAfter))
	}
	if c.sess.ID != "" && c.sess.Picture && c.sess.asked() || c.sess.Answered || c.sess.By == "customer" {
		c.step(consent.EvAsk)
		if c.look.State == consent.Asked && c.r.o.Share && !c.quiet {
			c.in(dAllow, wait)
		} else if c.look.State == consent.Asked {
			c.in(dDecline, wait)
		} else if c.sess.asked() {
			c.in(dDecline, 0) // asked too often
		}
		return
	}
	if c.r.o.Direct && !c.quiet { // a session without a picture
		c.in(dAllow, wait)
	} else {
		c.in(dDecline, wait)
	}
}

// sayYes answers the agent's question.
func (c *customer) sayYes() {
	if c.sess.asked() && !c.sess.Picture {
		c.accept()
	} else {
		c.step(consent.EvAllow)
	}
}

func (c *customer) accept() {
	s := c.sess
	s.Answered = true
	c.client.Ask(protocol.SessionAccept{Session: s.ID}, func(reply any, err error) {
		c.post(func() {
			if st, ok := reply.(protocol.SessionState); ok {
				c.onSession(st)
			} else if c.sess == s {
				_, _ = c.refused(err)
				c.ended()
			}
		})
	})
}

// sayNo answers the agent's question.
func (c *customer) sayNo() {
	c.step(consent.EvDeny)
	if c.sess.asked() {
		c.client.Ask(protocol.SessionDecline{Session: c.sess.ID}, func(any, error) {}) // the state tells
		c.sess = nil
	}
}

// rejoin binds the live session to the new connection.
func (c *customer) rejoin() {
	s := c.sess
	if s.ID == "" || s.Peer == nil {
		s.Close("lost")
		c.ended()
		return
	}
	c.client.Ask(protocol.SessionRejoin{Session: s.ID}, func(reply any, err error) {
		c.post(func() {
			if c.sess != s || errors.Is(err, client.ErrOffline) {
				return // the next connection tries again
			}
			if st, ok := reply.(protocol.SessionState); ok {
				c.onSession(st)
				c.tellView()
				return
			}
			_, _ = c.refused(err)
			s.Close("lost") // the server does not know it any more
			c.ended()
		})
	})
}

// ended forgets the session; the picture stops first.
func (c *customer) ended() {
	c.step(consent.EvEnded)
	c.sess = nil
	c.cancel(dAllow, dDecline, dDirect)
}

// hangUp ends the session from this side.
func (c *customer) hangUp(reason string) {
	if c.sess == nil {
		return
	}
	c.sess.End(c.client, reason)
	c.ended()
}

func (c *customer) startPeer(m protocol.SessionState) {
	s := c.sess
	post := func(f func()) { // a late callback of an earlier session changes nothing
		c.post(func() {
			if c.sess == s {
				f()
			}
		})
	}
	cfg := peersession.Config(m, c.client)
	cfg.Log = c.r.o.Log
	cfg.OnState = func(st peer.State, reason string) { post(func() { c.onPeer(st, reason) }) }
	cfg.OnControl = func(msg any) { at := time.Now(); post(func() { c.onControl(msg, at) }) }
	cfg.OnDirect = func(msg any) { at := time.Now(); post(func() { c.onDirect(msg, at) }) }
	cfg.OnStats = func(st peer.Stats) { post(func() { s.Stats = st }) }
	p, err := s.Start(cfg)
	if err != nil {
		c.r.tally.failed("peer")
		c.hangUp("failed")
		return
	}
	c.work.Go(func() { _ = p.Run(c.ctx) }) // onPeer hears that it could not start
}

func (c *customer) onPeer(st peer.State, reason string) {
	s := c.sess
	s.PeerState = st
	switch st {
	case peer.Connected:
		c.drawn.forget()
		if !s.connected {
			s.connected = true
			c.r.tally.count(func(n *Counts) { n.Sessions++ })
			if c.r.o.Direct && !c.quiet && (c.r.o.Load || c.told) {
				c.in(dDirect, c.human(time.Second))
			}
		}
	case peer.Ended:
		if reason == "failed" || reason == "lost" {
			c.r.tally.failed("peer " + reason)
		}
		c.hangUp(reason)
	}
}

// sayDirect says something that the server can't read.
func (c *customer) sayDirect() {
	s := c.sess
	if s == nil || s.Peer == nil || !s.connected {
		return
	}
	id := client.NewID()
	if s.Peer.SendDirect(protocol.DirectMessage{ID: id, Text: c.story.direct, At: time.Now().UTC()}) == nil {
		c.direct[id] = time.Now()
		c.r.tally.count(func(n *Counts) { n.DirectSent++ })
	}
	if c.r.o.Load {
		c.in(dDirect, c.jitter(directEvery))
	} else {
		c.in(dReply, c.human(offers)) // earlier when the agent answers
	}
}

func (c *customer) onDirect(msg any, at time.Time) {
	switch m := msg.(type) {
	case protocol.DirectMessage:
		_ = c.sess.Peer.SendDirect(protocol.DirectAck{ID: m.ID}) // lost with the path; the agent sees it unconfirmed
		c.r.tally.count(func(n *Counts) { n.DirectReceived++ })
		c.owe()
	case protocol.DirectAck:
		if began, ok := c.direct[m.ID]; ok {
			delete(c.direct, m.ID)
			c.r.tally.count(func(n *Counts) { n.DirectConfirmed++ })
			c.r.tally.took(tDirect, at.Sub(began))
		}
	}
}
