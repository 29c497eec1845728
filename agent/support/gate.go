package support

// The gate before the viewer: a customer's end is a stranger, and a picture of a few bytes can unpack to gigabytes.

import (
	"bytes"
	"image"
	_ "image/jpeg" // the formats of screen.config
	_ "image/png"
	"strings"

	"github.com/lookalong/lookalong/protocol"
)

// maxEarly is how many frames may come before the configuration that describes them.
const maxEarly = 4

// gate knows what the frames of one peer are. It belongs to the peer's goroutine.
type gate [protocol.MaxStreams]struct {
	config *protocol.ScreenConfig
	early  []*protocol.Frame
}

// control follows the streams' configurations, and returns the frames that waited for one.
func (g *gate) control(msg any) (early []*protocol.Frame) {
	switch m := msg.(type) {
	case protocol.ScreenConfig:
		s := &g[m.Stream]
		s.config, early, s.early = &m, s.early, nil
	case protocol.ScreenRemoved:
		g[m.Stream].config, g[m.Stream].early = nil, nil
	case protocol.ScreenStopped:
		*g = gate{}
	}
	return early
}

// frame reports whether a frame may be shown now; lost: it never will be, so another one is needed.
func (g *gate) frame(f *protocol.Frame) (pass, lost bool) {
	s := &g[f.Stream]
	if f.Kind == protocol.FrameStill {
		w, h, format := imageSize(f.Data)
		return s.config != nil && format != "" && allowed(w, h), false //guard:T32
	}
	if s.config == nil {
		if len(s.early) == maxEarly {
			return false, true
		}
		s.early = append(s.early, f)
		return false, false
	}
	format, isImage := strings.CutPrefix(s.config.Codec, "image/")
	if !isImage && f.Kind != protocol.FrameKey {
		return true, false
	}
	w, h, got := imageSize(f.Data)
	if !isImage { // an image that the configuration of the video behind it has overtaken: the video is on its way
		return got == "", false
	}
	ok := got != "" && got == format && w == s.config.Width && h == s.config.Height && allowed(w, h) //guard:T32
	return ok, !ok
}

// imageSize reads the size in an image's header, in pixels; format is png, jpeg, or "" for anything else.
func imageSize(data []byte) (width, height int, format string) {
	c, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil || format != "png" && format != "jpeg" {
		return 0, 0, ""
	}
	return c.Width, c.Height, format
}

func allowed(width, height int) bool {
	return width > 0 && height > 0 && width <= protocol.MaxFrameSide && height <= protocol.MaxFrameSide && width*height <= protocol.MaxFramePixels //guard:T32
}
