package support

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// claimsSize is a PNG whose header says a size that its pixels do not have.
func claimsSize(t *testing.T, data []byte, width, height uint32) []byte {
	t.Helper()
	out := bytes.Clone(data)
	head := out[12:29] // IHDR and its 13 bytes
	binary.BigEndian.PutUint32(head[4:], width)
	binary.BigEndian.PutUint32(head[8:], height)
	binary.BigEndian.PutUint32(out[29:], crc32.ChecksumIEEE(head))
	return out
}

func TestGate(t *testing.T) {
	picture := image.NewGray(image.Rect(0, 0, 64, 48))
	encode := func(err error, b *bytes.Buffer) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	var p, j, g bytes.Buffer
	pngData := encode(png.Encode(&p, picture), &p)
	jpegData := encode(jpeg.Encode(&j, picture, nil), &j)
	gifData := encode(gif.Encode(&g, picture, nil), &g)
	for _, c := range []struct {
		name          string
		codec         string
		width, height int
		data          []byte
		pass          bool
	}{
		{"png", "image/png", 64, 48, pngData, true},
		{"jpeg", "image/jpeg", 64, 48, jpegData, true},
		{"video is the decoder's business", "vp8", 64, 48, []byte("x"), true},
		{"another format", "image/png", 64, 48, jpegData, false},
		{"a format of no config", "image/gif", 64, 48, gifData, false},
		{"another size", "image/png", 64, 64, pngData, false},
		{"cut off", "image/png", 64, 48, pngData[:20], false},
		{"nothing", "image/jpeg", 64, 48, nil, false},
		{"the largest", "image/png", 8192, 4028, claimsSize(t, pngData, 8192, 4028), true},
		{"too many pixels", "image/png", 8192, 8192, claimsSize(t, pngData, 8192, 8192), false},
		{"too wide", "image/png", 8193, 1, claimsSize(t, pngData, 8193, 1), false},
	} {
		var g gate
		g.control(protocol.ScreenConfig{Codec: c.codec, Width: c.width, Height: c.height})
		if pass, lost := g.frame(&protocol.Frame{Data: c.data}); pass != c.pass || lost == pass {
			t.Errorf("%s: pass %v, lost %v; want pass %v", c.name, pass, lost, c.pass)
		}
	}
	// The first glimpse is a JPEG: the configuration of the video behind it may overtake it, and its decoder must not see it.
	var overtaken gate
	overtaken.control(protocol.ScreenConfig{Codec: "av01.0.08M.08", Width: 64, Height: 48})
	if pass, lost := overtaken.frame(&protocol.Frame{Kind: protocol.FrameKey, Data: jpegData}); pass || lost {
		t.Errorf("an image under a video's configuration: pass %v, lost %v", pass, lost)
	}
	// Before the configuration frames wait, a few of them; after the end they wait for the next one.
	var early gate
	for i := range maxEarly + 1 {
		if pass, lost := early.frame(&protocol.Frame{Frame: uint32(i), Data: pngData}); pass || lost != (i == maxEarly) {
			t.Errorf("early frame %d: pass %v, lost %v", i, pass, lost)
		}
	}
	if got := early.control(protocol.ScreenConfig{Codec: "image/png", Width: 64, Height: 48}); len(got) != maxEarly {
		t.Errorf("%d frames waited, want %d", len(got), maxEarly)
	}
	early.control(protocol.ScreenStopped{})
	if pass, _ := early.frame(&protocol.Frame{Data: pngData}); pass {
		t.Error("a frame after the stop")
	}
}

// TestGateStreams: each stream has its configuration; a still is an image of an allowed size beside any codec.
func TestGateStreams(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 48))); err != nil {
		t.Fatal(err)
	}
	var g gate
	still := func(stream uint8, data []byte) bool {
		pass, lost := g.frame(&protocol.Frame{Kind: protocol.FrameStill, Stream: stream, Data: data})
		if lost {
			t.Error("a still that is dropped asks for a key frame")
		}
		return pass
	}
	if still(0, b.Bytes()) {
		t.Error("a still of nothing")
	}
	g.control(protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 48})
	g.control(protocol.ScreenConfig{Stream: 3, Codec: "image/png", Width: 64, Height: 48})
	for _, c := range []struct {
		name string
		data []byte
		pass bool
	}{
		{"png", b.Bytes(), true},
		{"no image", []byte("vp8 frame"), false},
		{"the largest", claimsSize(t, b.Bytes(), 8192, 4028), true},
		{"too many pixels", claimsSize(t, b.Bytes(), 8192, 4029), false},
		{"too wide", claimsSize(t, b.Bytes(), 8193, 1), false},
		{"ten times too wide", claimsSize(t, b.Bytes(), 81920, 1), false},
	} {
		if got := still(0, c.data); got != c.pass {
			t.Errorf("still, %s: pass %v", c.name, got)
		}
	}
	if pass, _ := g.frame(&protocol.Frame{Stream: 3, Data: []byte("x")}); pass {
		t.Error("stream 3 has its own codec")
	}
	g.control(protocol.ScreenRemoved{Stream: 3})
	if pass, _ := g.frame(&protocol.Frame{Stream: 3, Data: b.Bytes()}); pass {
		t.Error("a frame of a stream that is gone")
	}
	if pass, _ := g.frame(&protocol.Frame{Data: []byte("x")}); !pass {
		t.Error("the other stream went with it")
	}
}

func TestStoppedBehindABrokenPath(t *testing.T) {
	s := Status{State: "reconnecting", View: "off", Cause: "stopped"}
	if state, reason := viewerState(s); state != "stopped" || reason != "stopped" {
		t.Errorf("the viewer shows %s %s", state, reason)
	}
	if got := s.Sentence(); !strings.Contains(got, "The customer stopped sharing.") || !strings.Contains(got, "Reconnecting") {
		t.Error(got)
	}
	if got := (Status{Surface: "\x1b]0;x\a"}).Shows(); got != "something" {
		t.Errorf("a surface of a stranger is printed: %q", got)
	}
}

func TestLoss(t *testing.T) {
	var l loss
	for _, c := range []struct {
		s    peer.Stats
		want float64
	}{
		{peer.Stats{LaneReceived: 100, LaneLost: 100}, 0}, // no lane
		{peer.Stats{Lane: true, LaneReceived: 190, LaneLost: 110}, 0.05},
		{peer.Stats{Lane: true, LaneReceived: 190, LaneLost: 110}, 0.05}, // nothing came
		{peer.Stats{Lane: true, LaneReceived: 290, LaneLost: 110}, 0.025},
		{peer.Stats{Lane: true, LaneReceived: 5, LaneLost: 0}, 0}, // another lane
	} {
		if l.add(c.s); math.Abs(l.part-c.want) > 1e-9 {
			t.Errorf("after %+v: %v, want %v", c.s, l.part, c.want)
		}
	}
}

// TestASizeThatNoPictureHas: what the protocol allows passes, and is the viewer's to refuse; what it does not is a
// breach like any other: the session lives, and ends with the third. The viewer never hears of such a size.
func TestASizeThatNoPictureHas(t *testing.T) {
	s := servertest.New(t)
	c, a, page := connected(t, s)
	config := func(width, height int) {
		t.Helper()
		if err := c.Peer.SendControl(protocol.ScreenConfig{Codec: "vp8", Width: width, Height: height, Surface: "window"}); err != nil {
			t.Fatal(err)
		}
	}
	reaches := func(n uint32, width, height int) {
		t.Helper()
		config(width, height)
		if m := supporttest.Want[protocol.ViewerConfig](page.Events, "the configuration", nil); m.Width != width || m.Height != height {
			t.Errorf("the viewer heard of %d×%d, want %d×%d", m.Width, m.Height, width, height)
		}
		if err := c.Peer.SendFrame(protocol.Frame{Kind: protocol.FrameKey, Frame: n, Data: []byte(strings.Repeat("x", 40_000))}); err != nil {
			t.Fatal(err)
		}
		if got := page.Frame(t); got != n {
			t.Errorf("the page got frame %d, want %d", got, n)
		}
	}
	reaches(1, protocol.MaxFrameSide, protocol.MaxFrameSide)
	config(0, 48)
	reaches(2, 64, 48)
	config(64, protocol.MaxFrameSide+1)
	reaches(3, 64, 1)
	config(100_000, 100_000)
	supporttest.Want(c.Events, "the end", func(s peer.State) bool { return s == peer.Ended })
	a.wait(t, "the end here", func(s Status) bool { return s.State == "ended" && s.Reason == "failed" })
}
