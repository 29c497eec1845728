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
type gate struct {
	config *protocol.ScreenConfig
	early  []*protocol.Frame
}

// control follows the picture's configuration, and returns the frames that waited for it.
func (g *gate) control(msg any) (early []*protocol.Frame) {
	switch m := msg.(type) {
	case protocol.ScreenConfig:
		g.config, early, g.early = &m, g.early, nil
	case protocol.ScreenStopped:
		g.config, g.early = nil, nil
	}
	return early
}

// frame reports whether a frame may be shown now; lost: it never will be, so another one is needed.
func (g *gate) frame(f *protocol.Frame) (pass, lost bool) {
	if g.config == nil {
		if len(g.early) == maxEarly {
			return false, true
		}
		g.early = append(g.early, f)
		return false, false
	}
	format, isImage := strings.CutPrefix(g.config.Codec, "image/")
	if !isImage {
		return true, false
	}
	c, got, err := image.DecodeConfig(bytes.NewReader(f.Data))
	ok := err == nil && got == format && (format == "png" || format == "jpeg") && c.Width == g.config.Width && c.Height == g.config.Height &&
		c.Width <= protocol.MaxFrameSide && c.Height <= protocol.MaxFrameSide && c.Width*c.Height <= protocol.MaxFramePixels //guard:T32
	return ok, !ok
}
