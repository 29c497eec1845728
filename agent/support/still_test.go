package support

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// TestStreamsAndStills: two streams side by side, a still of each kind of answer, and what the ladder says.
func TestStreamsAndStills(t *testing.T) {
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	early := make(chan error, 1)
	a.ctl.AskStill(0, false, func(_ *protocol.Frame, err error) { early <- err })
	if err := <-early; !errors.Is(err, StillRefused("off")) {
		t.Errorf("a still of nothing: %v", err)
	}
	a.ctl.Share(func(error) {})
	c.Accept(t)
	a.wait(t, "connected", state("connected"))
	supporttest.Want(c.Events, "connected", func(s peer.State) bool { return s == peer.Connected })
	url, _, err := a.ctl.OpenViewer()
	if err != nil {
		t.Fatal(err)
	}
	page := supporttest.OpenPage(t, url)
	control := func(msg any) {
		t.Helper()
		if err := c.Peer.SendControl(msg); err != nil {
			t.Fatal(err)
		}
	}
	send := func(f protocol.Frame) {
		t.Helper()
		if err := c.Peer.SendFrame(f); err != nil {
			t.Fatal(err)
		}
	}
	control(protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 48, Surface: "window"})
	control(protocol.ScreenConfig{Stream: 2, Codec: "vp8", Width: 64, Height: 48, Surface: "camera"})
	data := []byte(strings.Repeat("x", 40_000))
	send(protocol.Frame{Kind: protocol.FrameKey, Stream: 2, Frame: 5, Data: data})
	send(protocol.Frame{Kind: protocol.FrameKey, Frame: 5, Data: data}) // the same number: each stream counts its own
	for range 2 {
		supporttest.Want[protocol.Chunk](page.Events, "a frame of each", nil)
	}
	page.Send(protocol.ViewerPainted{Stream: 2, Frame: 5, AtMs: 77})
	supporttest.Want(c.Events, "the painting", func(f protocol.ScreenFeedback) bool { return f.Stream == 2 && f.DecodedMs == 77 })
	page.Send(protocol.ViewerKeyframe{Stream: 2})
	supporttest.Want(c.Events, "the key frame's request", func(k protocol.ScreenKeyframe) bool { return k.Stream == 2 })

	// A still: asked for once, however many want it.
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 48))); err != nil {
		t.Fatal(err)
	}
	still := protocol.Frame{Kind: protocol.FrameStill, Stream: 2, Frame: 6, Data: b.Bytes()}
	send(still) // nobody asked for it
	send(protocol.Frame{Kind: protocol.FrameKey, Stream: 2, Frame: 6, Data: data})
	supporttest.Want(c.Events, "the arrival of what was sent after it", func(f protocol.ScreenFeedback) bool { return f.Stream == 2 && f.Frame == 6 })
	type answer struct {
		f   *protocol.Frame
		err error
	}
	got := make(chan answer, 4)
	ask := func(auto bool) {
		a.ctl.AskStill(2, auto, func(f *protocol.Frame, err error) { got <- answer{f, err} })
	}
	ask(true)
	asked := supporttest.Want[protocol.ScreenStill](c.Events, "the request", nil)
	if asked.Stream != 2 || !asked.Auto || asked.ID == "" {
		t.Errorf("asked %+v", asked)
	}
	ask(false)
	control(protocol.ScreenRefused{ID: "another", Stream: 2, Why: "failed"})
	control(protocol.ScreenRefused{ID: asked.ID, Stream: 2, Why: "motion"})
	if r := <-got; !errors.Is(r.err, StillRefused("motion")) {
		t.Errorf("by the way: %v", r.err)
	}
	asked = supporttest.Want[protocol.ScreenStill](c.Events, "the request on purpose", nil)
	if asked.Auto {
		t.Errorf("asked %+v", asked)
	}
	send(still)
	if r := <-got; r.err != nil || !bytes.Equal(r.f.Data, b.Bytes()) {
		t.Errorf("the still: %v", r.err)
	}
	if f := supporttest.Want[*protocol.Frame](page.Events, "the still in the page", nil); f.Stream != 2 || !bytes.Equal(f.Data, b.Bytes()) {
		t.Errorf("the page got %+v", f)
	}
	page.Send(protocol.ViewerStill{Stream: 2})
	asked = supporttest.Want[protocol.ScreenStill](c.Events, "the page's request", nil)
	control(protocol.ScreenRefused{ID: asked.ID, Stream: 2, Why: "large"})
	supporttest.Want(page.Events, "the refusal in the page", func(r protocol.ViewerRefused) bool { return r.Stream == 2 && r.Why == "large" })

	// The ladder, and the end of one stream.
	control(protocol.ScreenLevel{Level: "stills", Why: "path"})
	supporttest.Want(page.Events, "the level", func(l protocol.ViewerLevel) bool { return l.Stream == 0 && l.Level == "stills" && l.Why == "path" })
	ask(false)
	supporttest.Want[protocol.ScreenStill](c.Events, "the request", nil)
	control(protocol.ScreenRemoved{Stream: 2})
	if r := <-got; !errors.Is(r.err, StillRefused("off")) {
		t.Errorf("of a stream that went: %v", r.err)
	}
	supporttest.Want(page.Events, "the end of the stream", func(r protocol.ViewerRemoved) bool { return r.Stream == 2 })
	st := a.wait(t, "single pictures", func(s Status) bool { return s.Level == "stills" })
	if !strings.Contains(st.Sentence(), "Single pictures") || st.Surface != "window" {
		t.Errorf("%+v: %s", st, st.Sentence())
	}
	control(protocol.ScreenLevel{Level: "video"})
	a.wait(t, "video again", func(s Status) bool { return s.Level == "" && s.View == "on" })
}

func TestStillExpires(t *testing.T) {
	c := New(Config{})
	got := make(chan error, 1)
	now := time.Now()
	c.stills[1] = still{id: "x", since: now, waits: []waiter{{false, func(_ *protocol.Frame, err error) { got <- err }}}}
	c.expireStills(now.Add(stillPatience))
	if len(got) != 0 {
		t.Error("given up at 20 s")
	}
	c.expireStills(now.Add(stillPatience + 1))
	if err := <-got; !errors.Is(err, StillRefused("path")) || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("got %v", err)
	}
}
