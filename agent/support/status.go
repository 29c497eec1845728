package support

// What a session looks like from the agent's side, as a value; pure functions turn it into the viewer's state and
// into sentences.

import (
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// Status is the session of one conversation at one moment.
type Status struct {
	Session protocol.SessionID // empty: there was none yet
	State   string             // "", or a state of protocol.SessionState
	By      string             // who asked: customer or agent
	Picture bool               // asked for with a picture
	Reason  string             // why it ended; see protocol.EndReasons
	Path    string             // direct, relay, or "" while not known

	View    string // the picture: off, asked, picking, on
	Cause   string // why it is off; see protocol.ConsentState
	Surface string // what is shown, while on
	Frames  bool   // a picture came since it was turned on
	Level   string // "" (video), stills or none: what the path or the customer's machine allows of it

	Record      string // asked, on, or "" while nothing is recorded
	RecordCause string // why it ended: of protocol.ConsentState, agent (from here), or lost

	RTT    time.Duration // of the peer path; 0 = not measured
	Offset time.Duration // this clock minus the customer's
}

// Live reports whether there is a session that has not ended.
func (s Status) Live() bool { return s.State != "" && s.State != "ended" }

// viewerState is what the viewer page shows for a status.
func viewerState(s Status) (state, reason string) {
	switch s.State {
	case "":
		return "waiting", ""
	case "ended":
		return "ended", s.Reason
	case "requested":
		return "asked", ""
	case "reconnecting":
		if s.stopped() {
			return "stopped", s.Cause // no last picture behind a broken path
		}
		return "reconnecting", ""
	}
	switch {
	case s.View == "asked", s.View == "picking":
		return s.View, ""
	case s.State == "connecting":
		return "connecting", ""
	case s.View == "on":
		return "connected", ""
	case s.stopped():
		return "stopped", s.Cause
	}
	return "waiting", ""
}

// stopped reports whether there was a picture, or a question for one, that ended.
func (s Status) stopped() bool { return s.View == "off" && s.Cause != "" }

// surfaces names what a customer can show.
var surfaces = map[string]string{
	"monitor": "their whole screen", "window": "a window", "browser": "a browser tab", "camera": "a camera", "pattern": "a test pattern",
}

// reasons says why a session ended, to the agent.
var reasons = map[string]string{
	"stopped":      "The customer ended it.",
	"refused":      "The customer chose nothing to show, or their browser refused.",
	"left":         "The customer closed or reloaded the page.",
	"agent_ended":  "It was ended on this side.",
	"declined":     "The customer said no.",
	"expired":      "The customer did not answer.",
	"failed":       "The two computers could not connect.",
	"lost":         "The connection was gone for too long.",
	"not_possible": "The customer's device or browser can't do this.",
	"closed":       "The conversation is not yours any more.",
}

// causes says why there is no picture, to the agent.
var causes = map[string]string{
	"stopped":       "The customer stopped sharing.",
	"declined":      "The customer said no.",
	"dismissed":     "The customer closed the choice without choosing.",
	"timeout":       "The customer did not answer.",
	"source_closed": "The customer closed what was shown.",
	"refused":       "The customer chose nothing to show, or their browser refused.",
	"not_possible":  "The customer's device or browser can't share its screen.",
	"failed":        "The customer's browser could not make a picture.",
	"ended":         "The session ended.",
}

// RecordSentence says how a recording stands or ended, or "" where there was none.
func (s Status) RecordSentence() string {
	switch s.Record {
	case "asked":
		return "Asked to record. Waiting for the customer's answer…"
	case "on":
		return "Recording. The customer sees that, and can stop it."
	}
	switch s.RecordCause {
	case "stopped":
		return "The customer stopped the recording."
	case "ended":
		return "The recording has ended with the picture."
	case "lost":
		return "The recording has ended with the session."
	case "agent":
		return "The recording was ended on this side."
	}
	return ""
}

// Sentence says a status in a few words for the agent, or "" where there is nothing to say.
func (s Status) Sentence() string {
	switch s.State {
	case "requested":
		if s.By == "customer" {
			return "The customer wants to share."
		}
		if s.Picture {
			return "Asked to see the screen. Waiting for the customer's answer…"
		}
		return "Asked for a direct connection. Waiting for the customer's answer…"
	case "reconnecting":
		if s.stopped() {
			return "No picture. " + known(causes, s.Cause) + " The direct connection is broken. Reconnecting…"
		}
		return "The direct connection is broken. Reconnecting…"
	case "ended":
		return "The session has ended. " + known(reasons, s.Reason)
	case "connecting", "connected":
	default:
		return ""
	}
	switch {
	case s.View == "asked":
		return "Asked to see the screen. Waiting for the customer's answer…"
	case s.View == "picking":
		return "The customer is choosing what to show."
	case s.State == "connecting":
		return "Connecting the two computers…"
	case s.View == "on" && s.Level == "none":
		return "The customer shows " + s.Shows() + ", but no picture gets through. Chat goes on; the picture comes back by itself."
	case s.View == "on" && s.Level == "stills":
		return "The customer shows " + s.Shows() + ". Single pictures only: their connection or computer is too slow for video."
	case s.View == "on" && s.Frames:
		return "The customer shows " + s.Shows() + "."
	case s.View == "on":
		return "The customer shows " + s.Shows() + ". Waiting for the first picture…"
	case s.Cause != "":
		return "No picture. " + known(causes, s.Cause)
	}
	if s.Path == "relay" {
		return "Connected through the relay. Nothing is shown."
	}
	return "Connected to the customer's computer. Nothing is shown."
}

func known(words map[string]string, key string) string {
	if w := words[key]; w != "" {
		return w
	}
	return "Reason: " + key + "."
}

// Shows names the surface in our own words: the customer's end is a stranger, and its word is not printed.
func (s Status) Shows() string {
	if w := surfaces[s.Surface]; w != "" {
		return w
	}
	return "something"
}
