package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// noise is a picture whose pixels all differ from their neighbours: any scaling or shift of it shows.
func noise(width, height int, seed uint64) *image.NRGBA {
	r := rand.New(rand.NewPCG(seed, 1))
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := 0; i < len(img.Pix); i += 4 {
		img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255
	}
	return img
}

func plain(width, height int, c color.NRGBA) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := 0; i < len(img.Pix); i += 4 {
		img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = c.R, c.G, c.B, 255
	}
	return img
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scripted is a customer whose frames the test makes itself, whatever they are, before the real agent and viewer.
type scripted struct {
	*supporttest.Customer
	t    *testing.T
	chat *program
	v    *browser.Page
	next [protocol.MaxStreams]uint32
}

func newScripted(t *testing.T) *scripted {
	t.Helper()
	s := newSite(t)
	ana := s.newAgent("Ana")
	x := &scripted{Customer: supporttest.NewCustomer(t, s.url()), t: t}
	supporttest.Request[protocol.Ack](t, x.Client, protocol.ChatSend{Conversation: x.Conv, Text: "hello"})
	x.chat = ana.start("chat", "--next", "--no-open")
	x.chat.wants("hello")
	asked := supporttest.Request[protocol.SessionState](t, x.Client, protocol.SessionRequest{Conversation: x.Conv, Picture: true})
	ready := supporttest.Want(x.Events, "the agent's yes", func(m protocol.SessionState) bool { return m.Session == asked.Session && m.State == "connecting" })
	x.Answer(t, ready)
	supporttest.Want(x.Events, "connected", func(s peer.State) bool { return s == peer.Connected })
	_ = x.Client.Notify(protocol.ConsentState{Session: x.Session, Grant: "view", State: "on", Surface: "window"})
	x.v = x.chat.viewer()
	supporttest.Want[protocol.ScreenCodecs](x.Events, "the viewer's codecs", nil)
	return x
}

func (x *scripted) control(msg any) {
	x.t.Helper()
	if err := x.Peer.SendControl(msg); err != nil {
		x.t.Fatal(err)
	}
}

func (x *scripted) config(stream int, codec, surface string, width, height int) {
	x.t.Helper()
	x.control(protocol.ScreenConfig{Stream: stream, Codec: codec, Surface: surface, Width: width, Height: height})
}

func (x *scripted) frame(stream uint8, kind protocol.FrameKind, data []byte) {
	x.t.Helper()
	n := x.next[stream]
	if kind == protocol.FrameStill {
		n--
	} else {
		x.next[stream]++
	}
	if err := x.Peer.SendFrame(protocol.Frame{Kind: kind, Stream: stream, Frame: n, Data: data}); err != nil {
		x.t.Fatal(err)
	}
}

// painted waits until the viewer reports the newest frame of a stream.
func (x *scripted) painted(stream uint8) {
	x.t.Helper()
	supporttest.Want(x.Events, "the painting", func(f protocol.ScreenFeedback) bool {
		return f.Stream == int(stream) && f.Frame == x.next[stream]-1 && f.DecodedMs != 0
	})
}

// pixels reads the n-th canvas of a page, as the browser's own code would.
func pixels(v *browser.Page, n int) *image.NRGBA {
	url, err := browser.TryEval[string](v, fmt.Sprintf(`(()=>{const c=document.querySelectorAll('canvas')[%d];if(!c)return '';const k=document.createElement('canvas');
k.width=c.width;k.height=c.height;k.getContext('2d').drawImage(c,0,0);return k.toDataURL('image/png')})()`, n))
	if err != nil {
		return nil
	}
	return fromDataURL(url)
}

// fromDataURL is the PNG in a data URL, or nil.
func fromDataURL(url string) *image.NRGBA {
	return decodePNG(strings.TrimPrefix(url, "data:image/png;base64,"))
}

func decodePNG(text string) *image.NRGBA {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	out := image.NewNRGBA(image.Rectangle{Max: img.Bounds().Size()})
	for y := range out.Rect.Max.Y {
		for x := range out.Rect.Max.X {
			out.Set(x, y, img.At(x+img.Bounds().Min.X, y+img.Bounds().Min.Y))
		}
	}
	return out
}

// shows waits until the n-th canvas is exactly this picture.
func shows(v *browser.Page, what string, n int, want *image.NRGBA) {
	v.Until(what, func() bool {
		got := pixels(v, n)
		return got != nil && got.Rect == want.Rect && bytes.Equal(got.Pix, want.Pix)
	})
}

// onScreen is what the page shows, in device pixels.
func onScreen(t *testing.T, v *browser.Page) *image.NRGBA {
	t.Helper()
	path := filepath.Join(t.TempDir(), "screen.png")
	v.Screenshot(path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return decodePNG(base64.StdEncoding.EncodeToString(data))
}

// holdsExactly reports whether part is in whole somewhere, pixel by pixel.
func holdsExactly(whole, part *image.NRGBA) bool {
	row := part.Pix[:part.Stride]
	for y := 0; y+part.Rect.Max.Y <= whole.Rect.Max.Y; y++ {
		line := whole.Pix[y*whole.Stride : (y+1)*whole.Stride]
		for at := 0; ; at += 4 {
			i := bytes.Index(line[at:], row)
			if i < 0 {
				break
			}
			at += i
			same := at%4 == 0
			for dy := 1; same && dy < part.Rect.Max.Y; dy++ {
				from := (y+dy)*whole.Stride + at
				same = bytes.Equal(whole.Pix[from:from+part.Stride], part.Pix[dy*part.Stride:(dy+1)*part.Stride])
			}
			if same {
				return true
			}
		}
	}
	return false
}

// TestViewerShowsEachPixel: at 1:1 one pixel of the picture is one pixel of the screen, whatever the screen's scale;
// fitted it is not, and enlarged pixels have sharp edges.
func TestViewerShowsEachPixel(t *testing.T) {
	x := newScripted(t)
	want := noise(301, 203, 1)
	x.config(0, "image/png", "window", 301, 203)
	x.frame(0, protocol.FrameKey, pngOf(t, want))
	shows(x.v, "the very pixels on the canvas", 0, want)
	x.v.WaitPage("Exact")
	if holdsExactly(onScreen(t, x.v), want) {
		t.Error("fitted into the window it has its own size already: the test proves nothing")
	}
	x.v.Press("z")
	for _, look := range []browser.Look{{Width: 1400, Height: 900}, {Width: 1101, Height: 701, Scale: 1.5}, {Width: 700, Height: 500, Scale: 2, Dark: true}, {Width: 360, Height: 640, Scale: 1.25}} {
		x.v.Show(look)
		x.v.Until(fmt.Sprintf("the very pixels on a screen of %+v", look), func() bool { return holdsExactly(onScreen(t, x.v), want) })
	}
	// Four times as large each pixel is a block of 4×4; the arrow keys move it, and its edge stays at the window's.
	x.v.Show(browser.Look{Width: 700, Height: 500})
	for range 5 {
		x.v.Press("+")
	}
	x.v.Until("blocks of pixels", func() bool {
		block := image.NewNRGBA(image.Rect(0, 0, 40, 40))
		for y := range 40 {
			for xx := range 40 {
				block.Set(xx, y, want.At(150+xx/4, 100+y/4))
			}
		}
		return strings.Contains(x.v.Body(), "400 %") && holdsExactly(onScreen(t, x.v), block)
	})
	x.v.Press("0")
	x.v.Until("fitted again", func() bool { return !strings.Contains(x.v.Body(), "400 %") })
}

// TestViewerStreams: each source has its picture, the number keys and a click put one in front, one that ends goes, and
// what lies about its codec or size hurts none of the others.
func TestViewerStreams(t *testing.T) {
	x := newScripted(t)
	red, blue := plain(64, 48, color.NRGBA{R: 200}), plain(80, 60, color.NRGBA{B: 200})
	x.config(0, "image/png", "monitor", 64, 48)
	x.frame(0, protocol.FrameKey, pngOf(t, red))
	x.config(2, "image/png", "camera", 80, 60)
	x.frame(2, protocol.FrameKey, pngOf(t, blue))
	shows(x.v, "the first in front", 0, red)
	shows(x.v, "the other one small", 1, blue)
	x.v.WaitPage("Picture 2: Camera")
	x.v.WaitPage("Entire screen")
	x.v.Press("2")
	x.v.WaitPage("Picture 1: Entire screen")
	shows(x.v, "the camera in front", 0, blue)
	shows(x.v, "the screen small", 1, red)
	x.v.Click("button", "Picture 1: Entire screen")
	shows(x.v, "the screen in front again", 0, red)

	// Bytes of no codec: a key frame is asked for, the viewer says what is wrong, and a good picture heals it.
	x.config(0, "vp8", "monitor", 64, 48)
	for range 8 {
		x.frame(0, protocol.FrameKey, []byte(strings.Repeat("this is no frame", 100)))
		supporttest.Want(x.Events, "a key frame's request", func(k protocol.ScreenKeyframe) bool { return k.Stream == 0 })
	}
	x.v.WaitPage("no VP8 picture that this browser can read")
	supporttest.Want(x.Events, "the codecs without the one that failed", func(c protocol.ScreenCodecs) bool { return !strings.Contains(strings.Join(c.Decodable, " "), "vp8") })
	shows(x.v, "the other one goes on", 1, blue)
	green := plain(64, 48, color.NRGBA{G: 200})
	x.config(0, "image/png", "monitor", 64, 48)
	x.v.Until("the good one", func() bool {
		x.frame(0, protocol.FrameKey, pngOf(t, green)) // again where it overtook its configuration: then it is asked for
		got := pixels(x.v, 0)
		return got != nil && got.Rect == green.Rect && bytes.Equal(got.Pix, green.Pix)
	})
	x.v.Until("no complaint any more", func() bool { return !strings.Contains(x.v.Body(), "no VP8 picture") })

	x.control(protocol.ScreenLevel{Level: "stills", Why: "path"})
	x.v.WaitPage("Single pictures")
	x.control(protocol.ScreenLevel{Level: "none", Why: "path"})
	x.v.WaitPage("No picture gets through now")
	shows(x.v, "the last picture stays", 0, green)
	x.control(protocol.ScreenLevel{Level: "video"})
	x.v.Until("video again", func() bool { return !strings.Contains(x.v.Body(), "No picture gets through now") })

	x.control(protocol.ScreenRemoved{Stream: 0})
	x.v.Until("the one that ended to go", func() bool {
		return browser.Eval[int](x.v, "document.querySelectorAll('canvas').length") == 1
	})
	shows(x.v, "the other one in front", 0, blue)
	x.control(protocol.ScreenStopped{Cause: "stopped"})
	x.v.WaitPage("The customer stopped sharing.")
	x.v.Until("nothing to be shown", func() bool { return browser.Eval[int](x.v, "document.querySelectorAll('canvas').length") == 0 })
}

// duplicate opens a viewer's page a second time: the browser's "Duplicate tab" copies what the tab keeps.
func duplicate(t testing.TB, p *browser.Profile, v *browser.Page) *browser.Page {
	t.Helper()
	origin, token := browser.Eval[string](v, "location.origin"), browser.Eval[string](v, "sessionStorage.token")
	second := p.Open(t, "second viewer", origin)
	second.WaitPage("Open this page by the address")
	browser.Eval[bool](second, fmt.Sprintf("(sessionStorage.token=%q,true)", token))
	second.Reload()
	return second
}

// TestViewerFreezesAndReloads: what is frozen stays while the live picture goes on; it is compared side by side; a
// reload and a second page begin with the picture of now.
func TestViewerFreezesAndReloads(t *testing.T) {
	x := newScripted(t)
	one, two, three := noise(120, 90, 1), noise(120, 90, 2), noise(120, 90, 3)
	x.config(0, "image/png", "window", 120, 90)
	x.frame(0, protocol.FrameKey, pngOf(t, one))
	shows(x.v, "the first", 0, one)
	x.v.Press(" ")
	x.v.WaitPage("Frozen")
	x.frame(0, protocol.FrameKey, pngOf(t, two))
	shows(x.v, "the live one behind", 0, two)
	shows(x.v, "the frozen one before it", 1, one)
	x.v.Press("z")
	x.v.Until("the frozen one on the screen", func() bool { return holdsExactly(onScreen(t, x.v), one) })
	x.v.Press("c")
	x.v.Wait("slider", "Divider between the frozen and the live picture")
	half := image.NewNRGBA(one.Rect)
	for y := range 90 {
		for xx := range 120 {
			half.Set(xx, y, one.At(xx, y))
			if xx >= 60 {
				half.Set(xx, y, two.At(xx, y))
			}
		}
	}
	x.v.Until("half of each on the screen", func() bool { return holdsExactly(onScreen(t, x.v), half) })
	x.v.Press("Escape")
	x.v.Until("the live one on the screen", func() bool { return holdsExactly(onScreen(t, x.v), two) })

	x.v.Reload()
	shows(x.v, "the picture after a reload", 0, two)
	x.v.WaitPage("Live")
	second := duplicate(t, chromium.Profile(t), x.v)
	shows(second, "the picture in a second page", 0, two)
	x.frame(0, protocol.FrameKey, pngOf(t, three))
	shows(x.v, "the next one in the first page", 0, three)
	shows(second, "and in the second", 0, three)
	second.Close()
	x.frame(0, protocol.FrameKey, pngOf(t, one))
	shows(x.v, "the first page goes on alone", 0, one)
	x.Peer.Close("stopped")
	x.v.WaitPage("The session has ended.")
	x.v.Until("nothing of it to be shown", func() bool { return browser.Eval[int](x.v, "document.querySelectorAll('canvas').length") == 0 })
}

// TestViewerShowsAStillInItsPlace: pixel by pixel in place of its own frame, until the next one; never after a newer one.
func TestViewerShowsAStillInItsPlace(t *testing.T) {
	x := newScripted(t)
	exact := noise(160, 120, 1)
	lossy := func(seed uint64) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, noise(160, 120, seed), &jpeg.Options{Quality: 20}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	asked := func(auto bool) protocol.ScreenStill {
		t.Helper()
		return supporttest.Want(x.Events, "the request for a still", func(m protocol.ScreenStill) bool { return m.Auto == auto })
	}
	x.config(0, "image/jpeg", "window", 160, 120)
	x.frame(0, protocol.FrameKey, lossy(1))
	asked(true) // it stands still: by itself
	x.frame(0, protocol.FrameStill, pngOf(t, exact))
	shows(x.v, "the exact picture", 0, exact)
	x.v.WaitPage("Exact")
	x.frame(0, protocol.FrameKey, lossy(2))
	x.painted(0)
	x.v.Until("the next frame in its place", func() bool {
		got := pixels(x.v, 0)
		return got != nil && !bytes.Equal(got.Pix, exact.Pix) && !strings.Contains(x.v.Body(), "Exact")
	})
	asked(true)
	x.frame(0, protocol.FrameKey, lossy(3)) // it moved again
	x.painted(0)
	x.next[0]-- // a still of the frame before
	x.frame(0, protocol.FrameStill, pngOf(t, exact))
	x.next[0]++
	again := asked(true)
	if got := pixels(x.v, 0); bytes.Equal(got.Pix, exact.Pix) {
		t.Error("an old still covers a newer picture")
	}
	x.v.Press("s") // on purpose, while one is asked for by the way
	x.v.Until("the wish to be on its way", func() bool {
		return browser.Eval[bool](x.v, "[...document.querySelectorAll('button')].some(b=>b.innerText==='Sharpen'&&b.disabled)")
	})
	x.control(protocol.ScreenRefused{ID: again.ID, Why: "motion"})
	no := asked(false)
	x.control(protocol.ScreenRefused{ID: no.ID, Why: "large"})
	x.v.WaitPage("Ask the customer to show a window.")
	x.v.Click("button", "Sharpen")
	asked(false)
	x.frame(0, protocol.FrameStill, pngOf(t, exact))
	shows(x.v, "the exact picture on purpose", 0, exact)
}
