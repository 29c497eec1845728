package protocol

import "time"

// The payloads of the data channels, peer to peer. Nothing here passes through the server.

// Channel ids and labels; all are pre-negotiated, ordered and reliable (RFC 8831, 6.4), but for copies and the lane's,
// which are unordered and never retransmit; the lane's is the only one of its connection. Id 4 is kept for files.
const (
	ChannelControl     uint16 = 1
	ChannelDirect      uint16 = 2
	ChannelScreen      uint16 = 3
	ChannelCopies      uint16 = 5
	LabelControl              = "control"
	LabelDirect               = "direct"
	LabelScreen               = "screen"
	LabelCopies               = "copies"
	ChannelLane        uint16 = 1
	LabelLane                 = "lane"
	MaxChannelBytes           = 16384 // of one data-channel message, header included (RFC 8831, 6.6)
	MaxCopyBytes              = 1100  // of one message on copies: with all headers one SCTP packet, as a lane's fragment
	MaxSessionChannels        = 8
	CopiesVersion             = 2
	CopiesWithSigns           = 2 // the first version in which PeerPing and PeerPong may come on copies
)

// PeerPing is the keep-alive on control, every second from both sides.
type PeerPing struct {
	Type   string `json:"type"`
	N      int64  `json:"n" v:"min=0"`
	SentMs int64  `json:"sentMs"` // sender's clock, Unix milliseconds
}

// PeerPong answers PeerPing at once.
type PeerPong struct {
	Type   string `json:"type"`
	N      int64  `json:"n" v:"min=0"`
	SentMs int64  `json:"sentMs"` // copied from the ping
	AtMs   int64  `json:"atMs"`   // answerer's clock, Unix milliseconds
}

// PeerBye ends the peer session with a reason of EndReasons.
type PeerBye struct {
	Type   string `json:"type"`
	Reason string `json:"reason" v:"max=40"`
}

// LaneHello says that this end can send or take the picture on lanes (fragment.go), and in which version.
type LaneHello struct {
	Type    string `json:"type"`
	Version int    `json:"version" v:"min=1"`
}

// LaneOffer opens a lane: a second connection between the same two ends, for the picture's fragments. It travels
// on control, end to end, so its fingerprint is as trustworthy as the session itself. A later offer replaces the
// lane before it.
type LaneOffer struct {
	Type        string `json:"type"`
	Lane        int    `json:"lane" v:"min=1"` // counts up
	Ufrag       string `json:"ufrag" v:"max=256"`
	Pwd         string `json:"pwd" v:"max=256"`
	Fingerprint string `json:"fingerprint" v:"max=103"` // "sha-256 AA:BB:…" of the DTLS certificate
}

// LaneAnswer answers a LaneOffer.
type LaneAnswer struct {
	Type        string `json:"type"`
	Lane        int    `json:"lane" v:"min=1"`
	Ufrag       string `json:"ufrag" v:"max=256"`
	Pwd         string `json:"pwd" v:"max=256"`
	Fingerprint string `json:"fingerprint" v:"max=103"`
}

// LaneCandidate is an ICE candidate of a lane.
type LaneCandidate struct {
	Type      string `json:"type"`
	Lane      int    `json:"lane" v:"min=1"`
	Candidate string `json:"candidate" v:"max=512"`
}

// LaneClosed says that a lane is of no use to this end any more; the picture goes on over screen.
type LaneClosed struct {
	Type string `json:"type"`
	Lane int    `json:"lane" v:"min=1"`
}

// ScreenCodecs says what the viewer can decode, best first (WebCodecs codec strings), before encoding starts.
type ScreenCodecs struct {
	Type      string   `json:"type"`
	Decodable []string `json:"decodable" v:"max=16"`
}

// ScreenConfig describes the frames that follow; sent before the first and when it changes.
type ScreenConfig struct {
	Type    string `json:"type"`
	Stream  int    `json:"stream,omitempty" v:"max=3"`
	Codec   string `json:"codec" v:"max=40"` // WebCodecs codec string; or "image/png", "image/jpeg": each frame is a whole image
	Width   int    `json:"width" v:"min=1,max=8192"`
	Height  int    `json:"height" v:"min=1,max=8192"`
	Surface string `json:"surface" v:"enum=monitor|window|browser|camera|pattern|unknown"`
}

// ScreenRemoved says that one of several sources is shown no more; the others go on.
type ScreenRemoved struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
}

// ScreenKeyframe asks for a key frame of a stream.
type ScreenKeyframe struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
}

// ScreenFeedback acknowledges one whole frame, and those of its stream before it: sent at its arrival, or when it has been
// painted where that follows at once, and again when it is painted later.
type ScreenFeedback struct {
	Type       string `json:"type"`
	Stream     int    `json:"stream,omitempty" v:"max=3"`
	Frame      uint32 `json:"frame"`
	ReceivedMs int64  `json:"receivedMs"`          // agent's clock, Unix milliseconds
	DecodedMs  int64  `json:"decodedMs,omitempty"` // the same, when it was painted
}

// ScreenStill asks for one lossless picture of a stream. The answer is a frame of kind FrameStill on channel screen,
// with the number of the frame that it replaces, or ScreenRefused. One is on its way at a time in a stream.
type ScreenStill struct {
	Type   string    `json:"type"`
	ID     RequestID `json:"id" v:"max=64"`
	Stream int       `json:"stream,omitempty" v:"max=3"`
	Auto   bool      `json:"auto,omitempty"` // nobody asked for it: a slow path is reason enough to refuse
}

// ScreenRefused says that a still does not come: nothing is shown, the picture moved, the path is slow, the still is
// larger than a frame may be, or it could not be made.
type ScreenRefused struct {
	Type   string    `json:"type"`
	ID     RequestID `json:"id" v:"max=64"`
	Stream int       `json:"stream,omitempty" v:"max=3"`
	Why    string    `json:"why" v:"enum=off|motion|slow|large|failed"`
}

// ScreenLevel says what the path and this machine allow of a stream, at each change: video, single pictures, or none.
type ScreenLevel struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
	Level  string `json:"level" v:"enum=video|stills|none"`
	Why    string `json:"why,omitempty" v:"enum=path|machine|codec"` // what is too slow, or that no codec fits
}

// ScreenPause tells that encoding waits (no viewer), and goes on.
type ScreenPause struct {
	Type   string `json:"type"`
	Paused bool   `json:"paused"`
}

// ScreenStopped says that the picture ended; the session may go on without one.
type ScreenStopped struct {
	Type  string `json:"type"`
	Cause string `json:"cause" v:"enum=stopped|source_closed|failed|ended"`
}

// RecordState is the customer's yes to a recording that the agent has asked for, and its end. From the agent's end only
// the end counts: it records no more, or takes the question back. What was captured later than AtMs is not recorded.
type RecordState struct {
	Type string `json:"type"`
	On   bool   `json:"on"`
	AtMs int64  `json:"atMs"` // sender's clock, Unix milliseconds
}

// DirectHello says that this end takes copies, and in which version: the first message on direct. A copy is a
// DirectMessage or DirectAck that also travels on channel copies, once or several times, until there is a receipt.
// From version 2 on a PeerPing may travel there too, after a silence, and is answered there.
type DirectHello struct {
	Type   string `json:"type"`
	Copies int    `json:"copies" v:"min=1"`
}

// DirectMessage is a chat text that only the two peers see. The id is the sender's UUID. A message whose N follows
// that of the last one taken may be taken from a copy; the one on direct with the same N then changes nothing. A copy
// of a message that was confirmed is answered by a copy of its receipt.
type DirectMessage struct {
	Type string    `json:"type"`
	ID   RequestID `json:"id" v:"max=64"`
	Text string    `json:"text"`                                 // as ChatSend's
	At   time.Time `json:"at"`                                   // sender's clock
	N    int64     `json:"n,omitempty" v:"min=1,max=1000000000"` // counts this end's messages in the session; a copy has it
}

// DirectAck says that the peer has the message.
type DirectAck struct {
	Type string    `json:"type"`
	ID   RequestID `json:"id" v:"max=64"`
}
