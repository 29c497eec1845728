package server

import (
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

// sessionEvent is what can happen to a peer session.
type sessionEvent string

const (
	evAccept  sessionEvent = "accept"  // the other side said yes
	evOpen    sessionEvent = "open"    // the agent's end reports a path
	evSilent  sessionEvent = "silent"  // the agent's end reports silence
	evEnd     sessionEvent = "end"     // either side, or time
	evDecline sessionEvent = "decline" // the other side said no
)

// nextSession is the state machine of a peer session (design.md 2). A step that is not here is refused.
var nextSession = map[store.SessionState]map[sessionEvent]store.SessionState{
	store.Requested:    {evAccept: store.Connecting, evDecline: store.Ended, evEnd: store.Ended},
	store.Connecting:   {evOpen: store.Connected, evSilent: store.Reconnecting, evEnd: store.Ended},
	store.Connected:    {evOpen: store.Connected, evSilent: store.Reconnecting, evEnd: store.Ended},
	store.Reconnecting: {evOpen: store.Connected, evSilent: store.Reconnecting, evEnd: store.Ended},
	store.Ended:        {}, // for good: a new session is a new object
}

// session is one live peer session: its row and the two connections that are its ends. The server forwards offers,
// answers and candidates between them, checked, and nothing else of the session ever comes here.
type session struct {
	row       store.Session
	conv      *conv
	customer  *end
	agent     *end
	expiresAt time.Time // of an unanswered request
	lostAt    time.Time // since when an end has no connection; zero: both have one
	restarts  []time.Time
}

// end is one side of a session.
type end struct {
	conn        *conn
	fingerprint string // pinned by the first description
	candidates  int
	signals     []time.Time
}

// end returns the connection of c's side.
func (s *session) end(c *conn) *conn { return s.side(c).conn }

func (s *session) side(c *conn) *end {
	if c.isAgent() {
		return s.agent
	}
	return s.customer
}

func (s *session) other(c *conn) *end {
	if c.isAgent() {
		return s.customer
	}
	return s.agent
}

// consentKind is the kind of the audit row of a consent: consent.ask, consent.on and consent.off are of the grant view.
func consentKind(grant, state string) string {
	if grant == "view" {
		return "consent." + state
	}
	return "consent." + grant + "." + state
}
