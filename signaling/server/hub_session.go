package server

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/lookalong/lookalong/internal/sdppolicy"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// sessionFlags are the operator's settings that both ends of a session are told.
type sessionFlags struct {
	relayOnly  bool
	loopbackOK bool // a local installation
}

func (h *hub) addSession(v *conv, row store.Session) *session {
	s := &session{row: row, conv: v, customer: &end{}, agent: &end{}, expiresAt: h.now().Add(requestExpires), lostAt: h.now()}
	v.session = s
	h.sessions[row.ID] = s
	if row.RelayUser != "" {
		h.relays.add(row.RelayUser, row.RelaySecret)
	}
	return s
}

// requestSession makes a session, at most one live one in a conversation.
func (h *hub) requestSession(c *conn, v *conv, m protocol.SessionRequest) {
	if v.State != store.Claimed {
		c.fail(m.ID, protocol.Userf(protocol.CodeNoAgent, "Nobody has taken this conversation yet. As soon as an agent is here you can share."))
		return
	}
	if old := v.session; old != nil {
		if old.end(c) != nil || old.row.State == store.Requested && (old.row.RequestedBy == store.KindAgent) != c.isAgent() {
			c.fail(m.ID, protocol.Userf(protocol.CodeSession, "There is a session in this conversation already."))
			return
		}
		h.endSession(old, map[bool]string{true: "agent_ended", false: "left"}[c.isAgent()], nil) // its end on this side is gone
	}
	in := store.Session{Conversation: v.ID, CustomerID: v.CustomerID, AgentID: v.ClaimedBy, Picture: m.Picture, RequestedBy: store.KindCustomer, CustomerDevice: c.key}
	if c.isAgent() {
		in.RequestedBy, in.CustomerDevice, in.AgentDevice = store.KindAgent, "", c.device
		h.beHere(c)
	}
	h.createSession(c, v, in, m.ID, true)
}

// createSession writes a session. A live row that the hub does not know is one whose end could not be written: it is
// ended now, and the request tried once more.
func (h *hub) createSession(c *conn, v *conv, in store.Session, id protocol.RequestID, again bool) {
	err := h.store.CreateSession(in, func(row store.Session, err error) {
		h.after(func(h *hub) {
			if errors.Is(err, store.ErrConflict) && v.session == nil && again {
				h.read(func(ctx context.Context) event {
					old, err := h.store.LiveSession(ctx, in.Conversation)
					return func(h *hub) {
						if err == nil && v.session == nil {
							h.storeEnd(old.ID, "lost")
						}
						h.createSession(c, v, in, id, false)
					}
				})
				return
			}
			if err != nil {
				c.fail(id, storeError(err))
				return
			}
			s := h.addSession(v, row)
			if _, joined := h.conns[c]; !joined || v.ClaimedBy != row.AgentID {
				h.endSession(s, "left", nil)
				return
			}
			h.bind(s, c)
			h.audit("session.request", v, c)
			c.send(h.sessionFor(c, s, id))
			h.tellSession(s, c)
		})
	})
	if err != nil {
		c.fail(id, storeError(err))
	}
}

// sendRequested repeats a question that is still open to a customer's new connection.
func (h *hub) sendRequested(c *conn, v *conv) {
	if v.session != nil && v.session.row.State == store.Requested {
		c.send(h.sessionFor(c, v.session, ""))
	}
}

func (h *hub) bind(s *session, c *conn) {
	e := s.side(c)
	if old := e.conn; old != nil && old != c {
		delete(old.sessions, s)
		e.conn = nil
		old.send(h.sessionFor(old, s, ""))
	}
	e.conn = c
	e.candidates = 0
	c.sessions.add(s)
	if s.customer.conn != nil && s.agent.conn != nil {
		s.lostAt = time.Time{}
	}
}

// unbind notes that an end's connection is gone. The peers may still see each other: the session waits for it.
func (h *hub) unbind(s *session, c *conn) {
	delete(c.sessions, s)
	e := s.side(c)
	if e.conn != c {
		return
	}
	e.conn = nil
	if s.row.State == store.Requested {
		h.endSession(s, "left", nil)
		return
	}
	if s.lostAt.IsZero() {
		s.lostAt = h.now()
	}
	if peer := s.other(c).conn; peer != nil {
		peer.send(h.sessionFor(peer, s, ""))
	}
}

// sessionFor is a session as one connection sees it; only its ends get the ICE servers.
func (h *hub) sessionFor(c *conn, s *session, id protocol.RequestID) protocol.SessionState {
	out := protocol.SessionState{
		ID: id, Session: protocol.SessionID(s.row.ID), Conversation: protocol.ConversationID(s.row.Conversation), State: string(s.row.State),
		By: string(s.row.RequestedBy), Picture: s.row.Picture, Agent: h.agentInfo(s.row.AgentID), Reason: s.row.Reason, Path: s.row.Path,
		Bound: s.end(c) == c, PeerOnline: s.other(c).conn != nil,
	}
	if out.Bound && s.row.State != store.Requested && s.row.State != store.Ended {
		user := s.row.RelayUser + ":c"
		if c.isAgent() {
			user = s.row.RelayUser + ":a"
		}
		out.ICEServers = h.ice(c, user, s.row.RelaySecret)
		out.RelayOnly, out.LoopbackOK = h.flags.relayOnly, h.flags.loopbackOK
	}
	return out
}

func (h *hub) tellSession(s *session, except *conn) {
	h.eachMember(s.conv, func(c *conn) {
		if c != except {
			c.send(h.sessionFor(c, s, ""))
		}
	})
}

// handleSession handles verbs on a session; the table has allowed them.
func (h *hub) handleSession(c *conn, s *session, msg any) {
	switch m := msg.(type) {
	case protocol.SessionAccept:
		h.acceptSession(c, s, m.ID)
	case protocol.SessionDecline:
		if !h.opposite(c, s) {
			c.fail(m.ID, errNoSession)
			return
		}
		c.send(protocol.Ack{ID: m.ID})
		h.endSession(s, "declined", c)
	case protocol.SessionRejoin:
		h.rejoin(c, s, m.ID)
	case protocol.SessionOffer:
		h.describe(c, s, m.SDP, func(sdp string) any { m.SDP = sdp; return m })
	case protocol.SessionAnswer:
		h.describe(c, s, m.SDP, func(sdp string) any { m.SDP = sdp; return m })
	case protocol.SessionCandidate:
		h.candidate(c, s, m)
	case protocol.SessionRestart:
		h.restart(c, s, m)
	case protocol.SessionReport:
		h.report(s, m)
	case protocol.SessionEnd:
		c.send(protocol.Ack{ID: m.ID})
		h.endSession(s, m.Reason, c)
	case protocol.ConsentAsk:
		if peer := s.customer.conn; peer != nil {
			peer.send(protocol.ConsentAsk{Session: m.Session, Grant: m.Grant})
			c.send(protocol.Ack{ID: m.ID})
			h.audit(consentKind(m.Grant, "ask"), s.conv, c)
			return
		}
		c.fail(m.ID, protocol.Userf(protocol.CodeOffline, "The customer is not connected right now. Try again in a moment."))
	case protocol.ConsentState:
		h.consentState(c, s, m)
	}
}

// opposite reports whether c is on the side that was asked.
func (h *hub) opposite(c *conn, s *session) bool {
	return s.row.State == store.Requested && (s.row.RequestedBy == store.KindCustomer) == c.isAgent()
}

func (h *hub) acceptSession(c *conn, s *session, id protocol.RequestID) {
	to, legal := nextSession[s.row.State][evAccept]
	if !legal || !h.opposite(c, s) {
		c.fail(id, protocol.Userf(protocol.CodeSession, "Somebody has answered already."))
		return
	}
	user, secret := strings.ToLower(rand.Text()), rand.Text()
	u := store.SessionUpdate{From: []store.SessionState{store.Requested}, To: to, RelayUser: &user, RelaySecret: &secret}
	if c.isAgent() {
		u.AgentDevice = &c.device
	} else {
		u.CustomerDevice = &c.key
	}
	err := h.store.UpdateSession(s.row.ID, u, func(row store.Session, err error) {
		h.after(func(h *hub) {
			if err != nil {
				c.fail(id, storeError(err))
				return
			}
			if h.sessions[row.ID] != s {
				c.fail(id, errNoSession) // it ended meanwhile
				return
			}
			s.row = row
			h.relays.add(user, secret)
			if _, joined := h.conns[c]; joined {
				h.bind(s, c)
			}
			h.audit("session.accept", s.conv, c)
			c.send(h.sessionFor(c, s, id))
			h.tellSession(s, c)
		})
	})
	if err != nil {
		c.fail(id, storeError(err))
	}
}

// rejoin binds a connection again: the same device key on the customer's side, the same device on the agent's.
func (h *hub) rejoin(c *conn, s *session, id protocol.RequestID) {
	if c.isAgent() && s.row.AgentDevice != c.device || !c.isAgent() && s.row.CustomerDevice != c.key {
		c.fail(id, errNoSession) //guard:T02
		return
	}
	h.bind(s, c)
	if c.isAgent() {
		h.beHere(c)
	}
	c.send(h.sessionFor(c, s, id))
	if peer := s.other(c).conn; peer != nil {
		peer.send(h.sessionFor(peer, s, ""))
	}
}

// signal counts one session message of an end.
func (h *hub) signal(c *conn, s *session) bool {
	e := s.side(c)
	e.signals = append(since(e.signals, h.now().Add(-signalWindow)), h.now())
	if len(e.signals) > h.limits.SignalsPerWindow {
		c.fail("", &protocol.UserError{Code: protocol.CodeSignalRate, Text: "Too many session messages. The session goes on in a moment.", RetryAfterMs: signalWindow.Milliseconds()})
		return false //guard:T19
	}
	return true
}

// describe checks and forwards an SDP description, rebuilt from what was parsed.
func (h *hub) describe(c *conn, s *session, sdp string, make func(string) any) {
	if !h.signal(c, s) {
		return
	}
	if s.row.State == store.Requested {
		c.fail("", errNoSession)
		return
	}
	e := s.side(c)
	rebuilt, fingerprint, err := sdppolicy.CheckSDP(sdp, e.fingerprint)
	if err != nil {
		c.log.Warn("session description refused", "session", s.row.ID, "err", err)
		c.fail("", protocol.Userf(protocol.CodeSDP, "This session description is not acceptable."))
		return //guard:T19
	}
	e.fingerprint, e.candidates = fingerprint, 0
	if peer := s.other(c).conn; peer != nil {
		peer.send(make(rebuilt))
	}
}

func (h *hub) candidate(c *conn, s *session, m protocol.SessionCandidate) {
	if !h.signal(c, s) {
		return
	}
	e := s.side(c)
	e.candidates++
	if e.candidates > maxCandidates {
		return //guard:T19
	}
	if m.Candidate != "" {
		if err := sdppolicy.CheckCandidate(m.Candidate, h.flags.loopbackOK); err != nil {
			c.log.Debug("candidate refused", "session", s.row.ID)
			return //guard:T20
		}
	}
	if peer := s.other(c).conn; peer != nil {
		peer.send(m)
	}
}

func (h *hub) restart(c *conn, s *session, m protocol.SessionRestart) {
	s.restarts = append(since(s.restarts, h.now().Add(-time.Minute)), h.now())
	if len(s.restarts) > h.limits.RestartsPerMin || !h.signal(c, s) {
		return
	}
	if peer := s.agent.conn; peer != nil {
		peer.send(m)
	}
}

// report takes over what the agent's end sees of the path.
func (h *hub) report(s *session, m protocol.SessionReport) {
	ev := evOpen
	if m.State == "reconnecting" {
		ev = evSilent
	}
	to, legal := nextSession[s.row.State][ev]
	if !legal || s.row.State == to && s.row.Path == m.Path {
		return
	}
	s.row.State, s.row.Path = to, m.Path
	u := store.SessionUpdate{From: []store.SessionState{store.Connecting, store.Connected, store.Reconnecting}, To: to, Path: &m.Path}
	id := s.row.ID
	err := h.store.UpdateSession(id, u, func(_ store.Session, err error) {
		if err != nil && !errors.Is(err, store.ErrConflict) {
			h.notStored("session state not stored", err, "session", id)
		}
	})
	if err != nil {
		h.notStored("session state not stored", err, "session", id)
	}
	h.tellSession(s, nil)
}

func (h *hub) consentState(c *conn, s *session, m protocol.ConsentState) {
	if !h.signal(c, s) {
		return
	}
	if m.State == "on" || m.State == "off" {
		h.audit(consentKind(m.Grant, m.State), s.conv, c)
	}
	h.eachMember(s.conv, func(member *conn) {
		if member.isAgent() {
			member.send(m)
		}
	})
}

// endSession ends a session for good: told to everybody who sees it, its relay credential dead at once.
func (h *hub) endSession(s *session, reason string, by *conn) {
	if _, legal := nextSession[s.row.State][evEnd]; !legal {
		return
	}
	h.relays.remove(s.row.RelayUser) //guard:T15
	s.row.State, s.row.Reason = store.Ended, reason
	delete(h.sessions, s.row.ID)
	if s.conv.session == s {
		s.conv.session = nil
	}
	h.tellSession(s, nil)
	for _, e := range []*end{s.customer, s.agent} {
		if e.conn != nil {
			delete(e.conn.sessions, s)
		}
	}
	h.audit("session.end", s.conv, by)
	h.storeEnd(s.row.ID, reason)
}

// storeEnd writes the end of a session.
func (h *hub) storeEnd(id, reason string) {
	u := store.SessionUpdate{From: []store.SessionState{store.Requested, store.Connecting, store.Connected, store.Reconnecting}, To: store.Ended, Reason: &reason}
	err := h.store.UpdateSession(id, u, func(_ store.Session, err error) {
		if err != nil && !errors.Is(err, store.ErrConflict) {
			h.notStored("session end not stored", err, "session", id)
		}
	})
	if err != nil {
		h.notStored("session end not stored", err, "session", id)
	}
}

// expireSession ends what nobody answered, and what an end has been away from for too long.
func (h *hub) expireSession(s *session, now time.Time) {
	switch {
	case s.row.State == store.Requested && !now.Before(s.expiresAt):
		h.endSession(s, "expired", nil)
	case !s.lostAt.IsZero() && s.row.State != store.Requested && now.Sub(s.lostAt) >= sessionUnbound:
		h.endSession(s, "lost", nil)
	}
}
