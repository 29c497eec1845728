package share

// Answering an agent's request for a session: a question with a yes or a no, muted when there are too many.

import (
	"fmt"
	"slices"
	"time"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/protocol"
)

// asked reports whether an agent's request waits for the customer's answer.
func (s *session) asked() bool { return s != nil && s.Asked() }

// answer answers an agent's request.
func (a *app) answer() {
	if a.sess.Picture {
		a.step(consent.EvAsk) // the consent decides; accept and decline follow from it
		return
	}
	if !a.o.AcceptPeer {
		if a.muted(time.Now()) {
			a.decline()
			return
		}
		a.out.say(Output{Event: "asked", Session: string(a.sess.ID), Name: a.sess.agent, State: "direct"},
			fmt.Sprintf("Agent “%s” asks for a direct connection for messages that the server can't see. Your computers will see each other's network address. Answer /allow or /deny.", a.sess.agent))
		if !a.out.s.CanPrompt {
			a.decline()
		}
		return
	}
	a.accept()
}

// muted counts the questions for a direct connection; too many are declined without one, as those to be seen are.
func (a *app) muted(now time.Time) bool {
	a.directs = slices.DeleteFunc(a.directs, func(at time.Time) bool { return now.Sub(at) >= consent.AsksWindowMs*time.Millisecond })
	if len(a.directs) >= consent.AsksMax { //guard:T23
		return true
	}
	a.directs = append(a.directs, now)
	return false
}

// crossed takes an agent's request that the server had before ours, which it refuses then. The customer's own wish
// to be seen is the yes to it.
func (a *app) crossed(m protocol.SessionState) {
	a.sess.Adopt(m)
	a.noteSession(m)
	a.say(m.State, "", "")
	a.accept()
	a.tellConsent()
}

func (a *app) accept() {
	id := a.sess.ID
	a.sess.Answered = true
	a.client.Ask(protocol.SessionAccept{Session: id}, func(reply any, err error) {
		a.box.post(func(a *app) { a.onSessionReply(id, reply, err) })
	})
}

// decline says no to the agent's request. The server tells the agent; here the session is over at once.
func (a *app) decline() {
	a.client.Ask(protocol.SessionDecline{Session: a.sess.ID}, func(any, error) {}) // the state tells
	a.sess = nil
}
