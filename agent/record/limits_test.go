package record

// What a recording does at its limits: the queue, the distance of key frames, the disk, its size.

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/agent/record/recordtest"
	"github.com/lookalong/lookalong/protocol"
)

// TestQueue: frames that wait for the disk are bounded.
func TestQueue(t *testing.T) {
	r := New(Config{Name: "x.webm"})
	half := &protocol.Frame{Kind: protocol.FrameKey, Data: make([]byte, maxQueued/2)}
	for n, want := range []int{1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2} {
		if r.Frame(half, protocol.ScreenConfig{}); len(r.queue) != want {
			t.Fatalf("%d frames wait after %d, want %d", len(r.queue), n+1, want)
		}
	}
	r.Frame(&protocol.Frame{Data: []byte{1}}, protocol.ScreenConfig{})
	if r.queued != maxQueued {
		t.Errorf("%d bytes wait, want %d", r.queued, maxQueued)
	}
}

// TestKeysForJumps: a long chain asks for a key frame once in keyEvery frames.
func TestKeysForJumps(t *testing.T) {
	s := recordtest.Encode(t, "vp8", 64, 64, 2, 30, nil)
	r := begin(t, "share.webm")
	for i := range 2*keyEvery + 2 {
		kind, data := protocol.FrameDelta, s.Frames[1]
		if i == 0 {
			kind, data = protocol.FrameKey, s.Frames[0]
		}
		r.Frame(&protocol.Frame{Kind: kind, Frame: uint32(i), CaptureMs: uint32(i), Data: data}, protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 64})
	}
	if r.end(2*keyEvery + 2); r.keys != 2 {
		t.Errorf("%d asked for, want 2", r.keys)
	}
}

// TestDiskFails: an error of the disk ends the recording, and is told.
func TestDiskFails(t *testing.T) {
	s := recordtest.Encode(t, "vp8", 64, 64, 2, 30, nil)
	r := begin(t, filepath.Join("missing", "share.webm"))
	r.feed(s, 0, clock(0, 2))
	<-r.done
	if !errors.Is(r.err, os.ErrNotExist) {
		t.Errorf("got %v", r.err)
	}
}

// TestMax: a recording that has become large enough ends by itself, says so, and is whole.
func TestMax(t *testing.T) {
	s := recordtest.Encode(t, "vp8", 320, 180, 20, 30, nil)
	most := int64(0)
	for _, f := range s.Frames[:10] {
		most += int64(len(f))
	}
	r := beginUpTo(t, "share.webm", most)
	r.feed(s, 0, clock(0, 20))
	<-r.done
	if r.err != nil || len(r.res.Files) != 1 || r.res.Files[0].Frames != 10 || len(r.notes) != 2 || !strings.Contains(r.notes[1], "has reached") {
		t.Fatalf("%+v, %v, %q", r.res, r.err, r.notes)
	}
	if n := recordtest.Probe(t, r.res.Files[0].Name).Decoded(); n != 10 {
		t.Errorf("a player counts %d frames", n)
	}
}
