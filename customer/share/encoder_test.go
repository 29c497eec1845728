package share

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"image"
	"testing"
	"time"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

var both = []string{formatPNG, formatJPEG}

// encodes makes a picture and checks that it is one of that format and the desk's size.
func encodes(t *testing.T, c *encoder, j job) encoded {
	t.Helper()
	e := c.encode(j)
	if e.err != nil || e.same || e.refused != "" {
		t.Fatalf("no picture: %v, the same: %v, refused: %q", e.err, e.same, e.refused)
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(e.data))
	if err != nil || "image/"+format != e.codec || config.Width != e.width || config.Height != e.height {
		t.Fatalf("a %s of %d×%d (%v), said to be %s of %d×%d", format, config.Width, config.Height, err, e.codec, e.width, e.height)
	}
	return e
}

// TestPictureFitsThePath: lossless where that fits, then as good as fits, never worse than can be read; and back.
func TestPictureFitsThePath(t *testing.T) {
	c := newEncoder(newDesk(640, 360))
	lossless := len(encodes(t, c, job{formats: both, budget: 1 << 20}).data)
	if e := encodes(t, c, job{formats: both, budget: 1 << 20}); e.codec != formatPNG {
		t.Errorf("a fast path got %s", e.codec)
	}
	var sizes []int
	for range 6 {
		e := encodes(t, c, job{formats: both, budget: 1})
		if e.codec != formatJPEG {
			t.Fatalf("a path that is too slow for a PNG got %s", e.codec)
		}
		sizes = append(sizes, len(e.data))
	}
	if sizes[5] >= sizes[0] || sizes[0] >= lossless || c.level != len(qualities)-1 {
		t.Errorf("sizes are %v on a slow path, and %d as a PNG", sizes, lossless)
	}
	room := len(encodes(t, c, job{formats: both, budget: 1}).data) * 3 / 2
	var last encoded
	for range pngAgain - 10 {
		last = encodes(t, c, job{formats: both, budget: room})
		if len(last.data) > room*13/10 {
			t.Errorf("a picture has %d bytes where %d fit", len(last.data), room)
		}
	}
	if c.level == len(qualities)-1 {
		t.Error("the quality does not come back")
	}
	for range pngAgain {
		last = encodes(t, c, job{formats: both, budget: 1 << 20})
	}
	if last.codec != formatPNG {
		t.Errorf("a path that has become fast gets %s", last.codec)
	}
	for _, only := range both {
		if e := encodes(t, c, job{formats: []string{only}, budget: 1}); e.codec != only {
			t.Errorf("%s alone was allowed, and %s came", only, e.codec)
		}
	}
}

// TestNothingNewIsNotEncoded: nor is a still that nobody asked for made of what moves.
func TestNothingNewIsNotEncoded(t *testing.T) {
	d := newDesk(320, 180)
	c := newEncoder(d)
	first := encodes(t, c, job{formats: both, budget: 1 << 20})
	auto := &protocol.ScreenStill{Auto: true}
	if e := c.encode(job{still: auto}); e.refused != "motion" || e.data != nil {
		t.Errorf("a still of what moves: refused %q, %d bytes", e.refused, len(e.data))
	}
	if e := encodes(t, c, job{still: &protocol.ScreenStill{}}); e.codec != formatPNG {
		t.Errorf("a still that the agent asked for is %s", e.codec)
	}
	encodes(t, c, job{formats: both, budget: 1 << 20})
	d.still.Store(true)
	for range 3 {
		if e := c.encode(job{formats: both, budget: 1 << 20}); !e.same || e.data != nil || e.err != nil {
			t.Fatalf("the same picture gave %d bytes, %v", len(e.data), e.err)
		}
	}
	encodes(t, c, job{still: auto})
	again := encodes(t, c, job{formats: both, budget: 1 << 20, must: true})
	d.still.Store(false)
	if next := encodes(t, c, job{formats: both, budget: 1 << 20}); bytes.Equal(next.data, again.data) || bytes.Equal(first.data, again.data) {
		t.Error("pictures that differ came out the same")
	}
}

// TestPartOfAPictureIsNotCompared: its pixels are not its own.
func TestPartOfAPictureIsNotCompared(t *testing.T) {
	whole := image.NewRGBA(image.Rect(0, 0, 100, 100))
	for _, c := range []struct {
		img  image.Image
		want int
	}{
		{whole, 40_000}, {whole.SubImage(image.Rect(0, 0, 100, 50)), 20_000}, {whole.SubImage(image.Rect(10, 10, 50, 50)), 0},
		{image.NewGray(whole.Rect), 0},
	} {
		if got := len(pixelsOf(c.img)); got != c.want {
			t.Errorf("%v: %d bytes to compare, want %d", c.img.Bounds(), got, c.want)
		}
	}
}

func TestEncoderTellsThatTheSourceIsGone(t *testing.T) {
	src, err := capture.NewPattern(64, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if e := newEncoder(src).encode(job{formats: both}); !errors.Is(e.err, capture.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", e.err)
	}
}

// TestStillScreenIsSentOnce by the whole program, and again to a viewer that has nothing to show.
func TestStillScreenIsSentOnce(t *testing.T) {
	srv := servertest.New(t)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(320, 180)
	d.still.Store(true)
	d.taken = make(chan struct{})
	p := launch(t, func(ctx context.Context, s term.Streams) int {
		err := run(ctx, Options{
			Server: srv.URL(), Key: key, Share: true, JSON: true, FPS: 60, Image: "auto",
			NewSource: func() (capture.Source, error) { return d, nil },
		}, s)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		return 0
	})
	ana := newAgent(t, srv)
	ana.claim(p)
	ana.end.WaitState(t, peer.Connected)
	if err := ana.end.SendControl(protocol.ScreenCodecs{Decodable: both}); err != nil {
		t.Fatal(err)
	}
	for i, f := range []int{1, 2} {
		frame := ana.end.WaitFrames(t, f)[i]
		if err := ana.end.SendControl(protocol.ScreenFeedback{Frame: frame.Frame, ReceivedMs: time.Now().UnixMilli()}); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			select {
			case <-d.taken:
			case <-time.After(servertest.Patience):
				t.Fatal("pictures wait for the acknowledgement of one that should not have been sent")
			}
		}
		if i == 0 {
			if err := ana.end.SendControl(protocol.ScreenKeyframe{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.typed("/stop")
	if got := p.wantState("picture", "stopped"); got.Frames != 2 {
		t.Errorf("%d pictures were sent of a screen that stood still, want 2", got.Frames)
	}
}
