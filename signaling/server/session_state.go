package server

import "github.com/lookalong/lookalong/signaling/store"

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
