package e2e

import (
	"strings"
	"testing"

	"github.com/lookalong/lookalong/agent/record/recordtest"
	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/protocol"
)

// encoded is the beginning of a stream: a key frame and two delta frames.
type encoded struct {
	codec         string
	width, height int
	frames        [][]byte
}

func encode(t *testing.T, codec string, width, height int) encoded {
	t.Helper()
	return encoded{codec, width, height, recordtest.Encode(t, codec, width, height, 3, 3, nil).Frames}
}

// untilShown says that a size comes, and sends key frames until the canvas has theirs and nothing is wrong any more.
func (x *scripted) untilShown(what string, e encoded, width, height int) {
	x.t.Helper()
	x.config(0, e.codec, "window", width, height)
	x.v.Until(what, func() bool {
		x.frame(0, protocol.FrameKey, e.frames[0]) // again where it overtook its configuration
		got, err := browser.TryEval[int](x.v, "document.querySelector('canvas')?.width??0")
		body := x.v.Body()
		return err == nil && got == e.width && !strings.Contains(body, "larger than 8192") && !strings.Contains(body, "that this browser can read")
	})
}

// TestViewerSurvivesLies: of what is too large, or no frame of its codec, the viewer says so, and shows the next good
// picture; one of another size than was said is shown at its own; after a frame that can't be read it asks for a key frame.
func TestViewerSurvivesLies(t *testing.T) {
	x := newScripted(t)
	small, large := encode(t, "vp8", 160, 96), encode(t, "vp8", 320, 180)
	av1, h264 := encode(t, "av01.0.08M.08", 320, 180), encode(t, "avc1.42E034", 320, 180)
	x.untilShown("a picture", small, small.width, small.height)

	x.config(0, "vp8", "window", protocol.MaxFrameSide, protocol.MaxFrameSide) // the codec is that of before
	x.frame(0, protocol.FrameKey, large.frames[0])
	x.v.WaitPage("larger than 8192 pixels")
	x.untilShown("the next good one", large, large.width, large.height)
	x.untilShown("a picture that is smaller than was said", small, large.width, large.height)
	x.untilShown("a picture that is larger than was said", large, small.width, small.height)

	x.painted(0)
	x.frame(0, protocol.FrameDelta, large.frames[1])
	x.painted(0)
	x.Events.Forget()
	x.frame(0, protocol.FrameDelta, []byte(strings.Repeat("\xff", 1000)))
	x.frame(0, protocol.FrameDelta, large.frames[2])
	supporttest.Want[protocol.ScreenKeyframe](x.Events, "a key frame's request", nil)
	x.frame(0, protocol.FrameKey, large.frames[0])
	x.painted(0)

	good, next := small, large
	for _, lie := range []struct {
		codec, words string
		frames       [][]byte
	}{{"av01.0.08M.08", "no AV1 picture", h264.frames}, {"avc1.42E034", "no H.264 picture", av1.frames}, {"vp09.00.51.08", "no VP9 picture", large.frames}, {"vp8", "no VP8 picture", av1.frames}} {
		x.Events.Forget()
		x.config(0, lie.codec, "window", 320, 180)
		x.v.Until("the viewer to say: "+lie.words, func() bool {
			for range 10 {
				x.frame(0, protocol.FrameKey, lie.frames[0])
			}
			return strings.Contains(x.v.Body(), lie.words)
		})
		supporttest.Want[protocol.ScreenKeyframe](x.Events, "a key frame's request", nil)
		supporttest.Want(x.Events, "the codecs without the one that failed", func(c protocol.ScreenCodecs) bool {
			return !strings.Contains(strings.Join(c.Decodable, " "), lie.codec)
		})
		x.untilShown("a good one after that", good, good.width, good.height)
		good, next = next, good
	}
	x.v.WaitPage("Live")
}
