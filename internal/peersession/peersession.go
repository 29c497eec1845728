// Package peersession is the customer's end of a peer session: what the server's word means for it, and what belongs
// to it. The native customer and the simulated ones use it. A Session belongs to its customer's goroutine.
package peersession

import (
	"slices"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// maxEarly bounds what may arrive between the server's yes and our peer.
const maxEarly = 64

// Session is the live session of a customer.
type Session struct {
	ID        protocol.SessionID // "" until the server has named it
	By        string             // who asked: customer, agent
	Picture   bool
	Answered  bool       // the agent's request has this customer's answer
	Peer      *peer.Peer // nil before Start
	PeerState peer.State
	Stats     peer.Stats
	Codecs    []string // that the agent's viewer decodes; nil before it told
	Paused    bool

	early []any // for a peer that is not there yet
}

// Asked reports whether an agent's request waits for the customer's answer. Safe on nil.
func (s *Session) Asked() bool { return s != nil && s.By == "agent" && s.ID != "" && !s.Answered }

// Step is what a state of the server's means.
type Step int

// The steps.
const (
	Ignore  Step = iota // not of this session, or nothing that the server may decide
	Request             // an agent asks for a new session
	Cross               // both asked at once, the agent first: the own wish is the yes to its request
	Note                // the session goes on as it is
	Connect             // it is agreed: Start
	Update              // new relay credentials, perhaps, for the peer that is there
	Left                // another program with this key took the session
	End                 // it has ended
)

// Next is the step that a state of a conversation's session leads to; s is nil while there is none.
func (s *Session) Next(m protocol.SessionState) Step {
	switch {
	case m.State == "ended":
		if s != nil && s.ID == m.Session {
			return End
		}
		return Ignore
	case s == nil && m.State == "requested" && m.By == "agent":
		return Request
	case s == nil:
		return Ignore // of another program with this key, or over
	case s.ID == "" && m.State == "requested" && m.By == "agent":
		return Cross
	case s.ID != m.Session:
		return Ignore
	case m.State == "requested":
		return Note
	case s.Asked():
		return Ignore // only the customer's own yes connects, never the server's word //guard:T22
	case !m.Bound && s.Peer != nil:
		return Left
	case !m.Bound:
		return Note
	case s.Peer != nil:
		return Update
	}
	return Connect
}

// Adopt takes an agent's request for the session that this customer has asked for too.
func (s *Session) Adopt(m protocol.SessionState) { s.ID, s.By, s.Picture = m.Session, m.By, m.Picture }

// Deliver gives the peer what the agent's end sent: an offer or a candidate. What comes before there is a peer is kept
// for it, up to maxEarly messages. Safe on nil.
func (s *Session) Deliver(id protocol.SessionID, msg any) {
	switch {
	case s == nil || s.ID != id:
		return
	case s.Peer == nil:
		if len(s.early) < maxEarly {
			s.early = append(s.early, msg)
		}
		return
	}
	switch m := msg.(type) {
	case protocol.SessionOffer:
		s.Peer.Offer(m.SDP)
	case protocol.SessionCandidate:
		s.Peer.Candidate(m)
	}
}

// Config is that of the peer of an agreed session, without callbacks.
func Config(m protocol.SessionState, to *client.Client) peer.Config {
	return peer.Config{
		Role: peer.Answerer, ICEServers: m.ICEServers, RelayOnly: m.RelayOnly, LoopbackOK: m.LoopbackOK,
		Signaler: Signaler{to, m.Session},
	}
}

// Start makes the peer of an agreed session, which the caller runs, and gives it what came early. The error is
// peer.New's.
func (s *Session) Start(cfg peer.Config) (*peer.Peer, error) {
	p, err := peer.New(cfg)
	if err != nil {
		return nil, err
	}
	s.Peer = p
	early := s.early
	s.early = nil
	for _, e := range early {
		s.Deliver(s.ID, e)
	}
	return p, nil
}

// Update gives the peer the relay credentials of a state, if there are any.
func (s *Session) Update(m protocol.SessionState) {
	if s.Peer != nil && m.ICEServers != nil {
		s.Peer.UpdateICE(m.ICEServers)
	}
}

// Close ends the peer, if there is one, with a goodbye.
func (s *Session) Close(reason string) {
	if s.Peer != nil {
		s.Peer.Close(reason)
	}
}

// reasons are those that the server takes from a customer.
var reasons = []string{"stopped", "refused", "left", "failed", "lost", "agent_ended", "not_possible"}

// End tells the server that this side ends the session, and closes the peer.
func (s *Session) End(to *client.Client, reason string) {
	if s.ID != "" {
		told := reason
		if !slices.Contains(reasons, told) {
			told = "failed"
		}
		to.Ask(protocol.SessionEnd{Session: s.ID, Reason: told}, func(any, error) {}) // perhaps it ended there already
	}
	s.Close(reason)
}

// Signaler sends a peer's messages; what a lost socket swallows, the next ICE restart repeats.
type Signaler struct {
	To *client.Client
	ID protocol.SessionID
}

// SendOffer is for the agent's end alone: a customer's peer never offers.
func (s Signaler) SendOffer(sdp string) {
	_ = s.To.Notify(protocol.SessionOffer{Session: s.ID, SDP: sdp})
}

// SendAnswer implements peer.Signaler, as the others do.
func (s Signaler) SendAnswer(sdp string) {
	_ = s.To.Notify(protocol.SessionAnswer{Session: s.ID, SDP: sdp})
}

// SendRestart asks the agent's end for an ICE restart.
func (s Signaler) SendRestart() { _ = s.To.Notify(protocol.SessionRestart{Session: s.ID}) }

// SendCandidate sends one of our candidates.
func (s Signaler) SendCandidate(m protocol.SessionCandidate) {
	m.Session = s.ID
	_ = s.To.Notify(m)
}
