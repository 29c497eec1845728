package support

import (
	"testing"

	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// TestAFrameIsAcknowledgedWithItsPainting: where a page paints what comes, one message tells of both; where it does not,
// nothing waits for it for long.
func TestAFrameIsAcknowledgedWithItsPainting(t *testing.T) {
	c, _, page := connected(t, servertest.New(t))
	if err := c.Peer.SendControl(protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 48, Surface: "window"}); err != nil {
		t.Fatal(err)
	}
	show := func(n uint32) {
		t.Helper()
		if err := c.Peer.SendFrame(protocol.Frame{Kind: protocol.FrameKey, Frame: n, Data: make([]byte, 40_000)}); err != nil {
			t.Fatal(err)
		}
		page.Frame(t)
	}
	painted := func(n uint32) { page.Send(protocol.ViewerPainted{Frame: n, AtMs: int64(n)}) }
	acknowledged := func(n uint32, decodedMs int64) {
		t.Helper()
		f := supporttest.Want[protocol.ScreenFeedback](c.Events, "an acknowledgement", nil)
		if f.Frame != n || f.ReceivedMs == 0 || f.DecodedMs != decodedMs {
			t.Errorf("%+v, want frame %d painted at %d", f, n, decodedMs)
		}
	}
	show(1)
	acknowledged(1, 0) // nobody has painted anything
	painted(1)
	acknowledged(1, 1)
	show(2)
	painted(2)
	acknowledged(2, 2) // both in one
	show(3)
	show(4)
	acknowledged(4, 0) // the page does not keep up: what comes next is not held back, and tells of the third too
	painted(3)
	acknowledged(3, 3)
	painted(4)
	acknowledged(4, 4)
	show(5)
	acknowledged(5, 0) // nothing follows: a little later by itself
}
