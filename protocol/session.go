package protocol

// The payloads of peer sessions and consent on the signaling socket. Limits are tags, as in signaling.go.

// SessionRequest asks for a peer session in a conversation. A customer's request is their consent to connect (and,
// with Picture, to be seen); an agent's is a question. The session belongs to this connection.
type SessionRequest struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id" v:"max=64"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
	Picture      bool           `json:"picture,omitempty"`
}

// ICEServer is one STUN or TURN server (W3C WebRTC, RTCIceServer).
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// SessionState is the state of a peer session; an answer (with id), then at each change. The two bound
// connections also get the ICE servers once it is connecting.
type SessionState struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id,omitempty"`
	Session      SessionID      `json:"session"`
	Conversation ConversationID `json:"conversation"`
	State        string         `json:"state" v:"enum=requested|connecting|connected|reconnecting|ended"`
	By           string         `json:"by" v:"enum=customer|agent"` // who asked
	Picture      bool           `json:"picture,omitempty"`
	Agent        *AgentInfo     `json:"agent,omitempty"`
	Reason       string         `json:"reason,omitempty" v:"max=40"` // why it ended; see EndReasons
	Path         string         `json:"path,omitempty" v:"enum=direct|relay"`
	Bound        bool           `json:"bound,omitempty"`      // this connection is an end of the session
	PeerOnline   bool           `json:"peerOnline,omitempty"` // the other end's connection is there now
	ICEServers   []ICEServer    `json:"iceServers,omitempty"`
	RelayOnly    bool           `json:"relayOnly,omitempty"`  // use relay candidates alone (iceTransportPolicy "relay")
	LoopbackOK   bool           `json:"loopbackOk,omitempty"` // a local installation: loopback candidates are allowed
}

// SessionAccept says yes to the other side's request and binds this connection.
type SessionAccept struct {
	Type    string    `json:"type"`
	ID      RequestID `json:"id" v:"max=64"`
	Session SessionID `json:"session" v:"max=64"`
}

// SessionDecline says no to the other side's request.
type SessionDecline struct {
	Type    string    `json:"type"`
	ID      RequestID `json:"id" v:"max=64"`
	Session SessionID `json:"session" v:"max=64"`
}

// SessionRejoin binds this connection to a session again after its socket was lost: same session, same device key.
type SessionRejoin struct {
	Type    string    `json:"type"`
	ID      RequestID `json:"id" v:"max=64"`
	Session SessionID `json:"session" v:"max=64"`
}

// SessionOffer carries an SDP offer (RFC 8829). Only the agent's end offers. Decodable is what its viewer can decode, as
// in ScreenCodecs, where one is open: the first picture is encoded while the path is still being made.
type SessionOffer struct {
	Type      string    `json:"type"`
	Session   SessionID `json:"session" v:"max=64"`
	SDP       string    `json:"sdp" v:"max=16384"`
	Decodable []string  `json:"decodable,omitempty" v:"max=16"`
}

// SessionAnswer carries the customer's SDP answer.
type SessionAnswer struct {
	Type    string    `json:"type"`
	Session SessionID `json:"session" v:"max=64"`
	SDP     string    `json:"sdp" v:"max=16384"`
}

// SessionCandidate carries one trickled ICE candidate (RFC 8838); an empty candidate ends the generation.
type SessionCandidate struct {
	Type             string    `json:"type"`
	Session          SessionID `json:"session" v:"max=64"`
	Candidate        string    `json:"candidate" v:"max=512"`
	SDPMid           string    `json:"sdpMid,omitempty" v:"max=16"`
	SDPMLineIndex    int       `json:"sdpMLineIndex,omitempty" v:"min=0,max=8"`
	UsernameFragment string    `json:"usernameFragment,omitempty" v:"max=256"`
}

// SessionRestart asks the agent's end for an ICE restart.
type SessionRestart struct {
	Type    string    `json:"type"`
	Session SessionID `json:"session" v:"max=64"`
}

// SessionReport tells the server what the agent's end sees of the path.
type SessionReport struct {
	Type    string    `json:"type"`
	Session SessionID `json:"session" v:"max=64"`
	State   string    `json:"state" v:"enum=connected|reconnecting"`
	Path    string    `json:"path,omitempty" v:"enum=direct|relay"`
}

// SessionEnd ends a session, with a reason of EndReasons.
type SessionEnd struct {
	Type    string    `json:"type"`
	ID      RequestID `json:"id" v:"max=64"`
	Session SessionID `json:"session" v:"max=64"`
	Reason  string    `json:"reason" v:"enum=stopped|refused|left|failed|lost|agent_ended|not_possible"`
}

// EndReasons lists why a session can end.
var EndReasons = []string{
	"stopped",      // the customer ended it
	"refused",      // the customer chose nothing to show, or their browser refused
	"left",         // the customer closed or reloaded the page
	"agent_ended",  // the agent ended it
	"declined",     // the other side said no
	"expired",      // nobody answered within 60 s
	"failed",       // the peers could not connect
	"lost",         // the path was gone for 120 s
	"not_possible", // this device or browser can't
	"closed",       // the conversation was closed or released
}

// ConsentAsk asks the customer for a grant within a session; the customer's page decides.
type ConsentAsk struct {
	Type    string    `json:"type"`
	ID      RequestID `json:"id,omitempty" v:"max=64"` // the agent's; not forwarded
	Session SessionID `json:"session" v:"max=64"`
	Grant   string    `json:"grant" v:"enum=view|record"`
}

// ConsentState tells what the customer's side decided. It reports a decision, it can't make one: the agent's program
// records on the customer's own RecordState alone.
type ConsentState struct {
	Type    string    `json:"type"`
	Session SessionID `json:"session" v:"max=64"`
	Grant   string    `json:"grant" v:"enum=view|record"`
	State   string    `json:"state" v:"enum=asked|picking|on|off"`
	Cause   string    `json:"cause,omitempty" v:"enum=allowed|stopped|declined|dismissed|timeout|source_closed|refused|not_possible|failed|ended"`
	Surface string    `json:"surface,omitempty" v:"enum=monitor|window|browser|camera|pattern|unknown"`
}
