package protocol

// The payloads between the agent's program and its loopback viewer page. Frames go to the page as binary
// messages: the 16-byte header of frame.go with chunk 0 of 1, then the whole payload.

// ViewerHello opens the viewer's socket: the single-use code of the address, or the token that it was exchanged for.
type ViewerHello struct {
	Type  string `json:"type"`
	Code  string `json:"code,omitempty" v:"max=64"`
	Token string `json:"token,omitempty" v:"max=64"`
}

// ViewerWelcome hands the page its token (256 bits); it stays in the page's memory.
type ViewerWelcome struct {
	Type  string `json:"type"`
	Token string `json:"token"`
}

// ViewerCodecs tells what this page can decode, best first.
type ViewerCodecs struct {
	Type      string   `json:"type"`
	Decodable []string `json:"decodable" v:"max=16"`
}

// ViewerConfig describes the frames that follow.
type ViewerConfig struct {
	Type    string `json:"type"`
	Stream  int    `json:"stream,omitempty" v:"max=3"`
	Codec   string `json:"codec"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Surface string `json:"surface"`
}

// ViewerRemoved says that a stream is shown no more.
type ViewerRemoved struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
}

// ViewerStill asks for one lossless picture of a stream; it comes as a frame of kind FrameStill, or ViewerRefused.
type ViewerStill struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
	Auto   bool   `json:"auto,omitempty"` // nobody asked for it
}

// ViewerRefused says that a still does not come; the reasons are ScreenRefused's, and "path": no answer came.
type ViewerRefused struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
	Why    string `json:"why" v:"enum=off|motion|slow|large|failed|path"`
}

// ViewerLevel is ScreenLevel, handed on.
type ViewerLevel struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
	Level  string `json:"level" v:"enum=video|stills|none"`
	Why    string `json:"why,omitempty" v:"enum=path|machine|codec"`
}

// ViewerState is everything the page shows around the picture; sent at each change and every second.
type ViewerState struct {
	Type         string  `json:"type"`
	State        string  `json:"state" v:"enum=waiting|asked|picking|connecting|connected|reconnecting|stopped|ended"`
	Reason       string  `json:"reason,omitempty"`
	Conversation string  `json:"conversation"` // short id
	Path         string  `json:"path,omitempty" v:"enum=direct|relay"`
	Verification string  `json:"verification" v:"enum=unchecked"`
	RTTMs        float64 `json:"rttMs,omitempty"`         // of the peer path
	ClockOffset  float64 `json:"clockOffsetMs,omitempty"` // agent's clock minus customer's, milliseconds
	BitsPerSec   float64 `json:"bitsPerSec,omitempty"`    // of the picture, over the last second
	FPS          float64 `json:"fps,omitempty"`
	Loss         float64 `json:"loss,omitempty" v:"min=0,max=1"`  // part of the picture's packets, 0 to 1
	Lanes        int     `json:"lanes,omitempty" v:"min=0,max=8"` // connections of the picture's own; 0: it shares one with the rest
}

// ViewerPainted reports a painted frame.
type ViewerPainted struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
	Frame  uint32 `json:"frame"`
	AtMs   int64  `json:"atMs"` // Unix milliseconds
}

// ViewerKeyframe asks for a key frame: the chain is broken.
type ViewerKeyframe struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty" v:"max=3"`
}
