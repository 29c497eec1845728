package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/agent/record/recordtest"
	"github.com/lookalong/lookalong/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recording is a running one.
type recording struct {
	*Recorder
	t     *testing.T
	dir   string
	mu    sync.Mutex
	notes []string
	keys  int
	done  chan struct{}
	res   Result
	err   error
}

func begin(t *testing.T, name string) *recording { return beginUpTo(t, name, 0) }

// beginUpTo begins one that may have so many bytes.
func beginUpTo(t *testing.T, name string, most int64) *recording {
	t.Helper()
	r := &recording{t: t, dir: t.TempDir(), done: make(chan struct{})}
	r.Recorder = New(Config{
		Name:   filepath.Join(r.dir, name),
		Max:    most,
		Note:   func(s string) { r.mu.Lock(); defer r.mu.Unlock(); r.notes = append(r.notes, s) },
		AskKey: func(uint8) { r.mu.Lock(); defer r.mu.Unlock(); r.keys++ },
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { defer close(r.done); r.res, r.err = r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// end stops at a moment of the customer's clock.
func (r *recording) end(captured uint32) Result {
	r.t.Helper()
	r.Stop(&captured)
	<-r.done
	if r.err != nil {
		r.t.Fatal(r.err)
	}
	return r.res
}

// feed gives frames with these capture times, counted from number.
func (r *recording) feed(s recordtest.Source, number uint32, capture []uint32) {
	c := codecOf(s.Codec)
	for i, data := range s.Frames {
		kind := protocol.FrameDelta
		if _, key := c.header(data); key {
			kind = protocol.FrameKey
		}
		r.Frame(&protocol.Frame{Kind: kind, Frame: number + uint32(i), CaptureMs: capture[i], Data: data},
			protocol.ScreenConfig{Codec: s.Codec, Width: 320, Height: 180})
	}
}

// clock is the capture times of n frames from a moment on: 15 a second, with a rest in the middle, as of a person who reads.
func clock(from uint32, n int) (out []uint32) {
	at := from
	for i := range n {
		out = append(out, at)
		at += 66 + uint32(i%2)
		if i == n/2 {
			at += 4000
		}
	}
	return out
}

// since are times since the first.
func since(capture []uint32) (out []int64) {
	for _, c := range capture {
		out = append(out, int64(c-capture[0]))
	}
	return out
}

// TestCodecs: each codec's file has the frames that came, bit for bit, at their times, and the duration up to the end.
func TestCodecs(t *testing.T) {
	for _, name := range recordtest.Codecs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := recordtest.Encode(t, name, 320, 180, 40, 16, nil)
			c := codecOf(name)
			r := begin(t, "share"+c.ext())
			capture := clock(1<<32-1000, 40) // the clock of 32 bits wraps on the way
			r.feed(s, 7, capture)
			res := r.end(capture[39] + 250)
			if len(res.Files) != 1 || res.Files[0].Frames != 40 || res.Files[0].Codec != string(c) || r.keys > 0 {
				t.Fatalf("%+v, %d key frames asked for", res, r.keys)
			}
			path := res.Files[0].Name
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || filepath.Ext(path) != c.ext() {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			p := recordtest.Probe(t, path)
			want := since(capture)
			if got := p.Times(); !slices.Equal(got, want) {
				t.Errorf("times %v, want %v", got, want)
			}
			if p.Decoded() != 40 || p.DurationMs() != want[39]+250 || p.Streams[0].Width != 320 || p.Streams[0].Height != 180 {
				t.Errorf("%d frames, %d ms, %+v; want 40 and %d", p.Decoded(), p.DurationMs(), p.Streams, want[39]+250)
			}
			keys := 0
			for _, one := range p.Packets {
				if strings.HasPrefix(one.Flags, "K") {
					keys++
				}
			}
			if keys != 3 {
				t.Errorf("%d key frames, want 3", keys)
			}
			if got, want := recordtest.Pixels(t, path), recordtest.Pixels(t, s.Path); !slices.Equal(got, want) {
				t.Errorf("the pictures differ: %d, %d", len(got), len(want))
			}
			// Seeks without reading everything: the nearest key frame's time.
			out := recordtest.Run(t, "ffprobe", "-v", "error", "-read_intervals", "5%+#1", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0", path)
			first, _, _ := strings.Cut(string(out), ",")
			if at := recordtest.InMs(first); at <= 0 || at > 5000 {
				t.Errorf("a jump to 5 s lands at %q", out)
			}
		})
	}
}

// TestCrash: the program dies at any byte; what is on the disk plays, up to the last whole frame.
func TestCrash(t *testing.T) {
	for _, name := range []string{"vp8", "av01.0.08M.08", "avc1.42E034"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := recordtest.Encode(t, name, 320, 180, 20, 8, nil)
			c := codecOf(name)
			path := filepath.Join(t.TempDir(), "crashed"+c.ext())
			out, err := Create(path, false)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			head, _ := c.header(s.Frames[0])
			mux, err := newMuxer(out, c, head, 320, 180, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var ends []int64
			for i, data := range s.Frames {
				_, key := c.header(data)
				if err := mux.write(int64(i)*66, key, c.sample(data)); err != nil {
					t.Fatal(err)
				}
				info, _ := out.Stat()
				ends = append(ends, info.Size())
			}
			all, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := recordtest.Pixels(t, path)
			if len(want) != 20 {
				t.Fatalf("%d frames in a file that was not finished, want 20", len(want))
			}
			for i, end := range ends[1:] {
				if i%6 != 0 {
					continue // a player is started for each
				}
				for _, cut := range []int64{end, end - 1, ends[i] + 1, (end + ends[i]) / 2} {
					whole := i + 1
					if cut == end {
						whole++
					}
					at := path + fmt.Sprint(cut)
					if err := os.WriteFile(at, all[:cut], 0o600); err != nil {
						t.Fatal(err)
					}
					got := recordtest.Pixels(t, at)
					if len(got) < whole || !slices.Equal(got[:whole], want[:whole]) {
						t.Errorf("cut at %d of %d: %d frames, want %d", cut, len(all), len(got), whole)
					}
				}
			}
		})
	}
}

// TestNothingAfterTheNo: what was captured after the customer's no is not in the file, also where it came before the no.
func TestNothingAfterTheNo(t *testing.T) {
	for _, name := range []string{"vp8", "avc1.42E034"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := recordtest.Encode(t, name, 320, 180, 20, 30, nil)
			capture := make([]uint32, 20)
			for i := range capture {
				capture[i] = 5000 + uint32(i)*100
			}
			r := begin(t, "share"+codecOf(name).ext())
			r.feed(s, 0, capture)
			res := r.end(capture[12] + 50)
			if len(res.Files) != 1 || res.Files[0].Frames != 13 || res.Files[0].Duration != 1250*time.Millisecond {
				t.Fatalf("%+v", res)
			}
			if p := recordtest.Probe(t, res.Files[0].Name); p.Decoded() != 13 || p.DurationMs() != 1250 {
				t.Errorf("%d frames, %d ms", p.Decoded(), p.DurationMs())
			}
			// Nothing is taken after the end.
			r.Frame(&protocol.Frame{Kind: protocol.FrameKey, Frame: 20, CaptureMs: 9000, Data: s.Frames[0]}, protocol.ScreenConfig{Codec: name})
			if len(r.queue) > 0 {
				t.Error("a frame was taken after the end")
			}
			// Everything is later than the no: no file stays.
			r = begin(t, "late.webm")
			r.feed(s, 0, capture)
			if res := r.end(capture[0] - 1); len(res.Files) > 0 {
				t.Errorf("%+v", res)
			}
			if left, _ := os.ReadDir(r.dir); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// TestAskedForNothing: a recording without a key frame leaves no file; deltas ask for one.
func TestAskedForNothing(t *testing.T) {
	s := recordtest.Encode(t, "vp8", 320, 180, 3, 30, nil)
	r := begin(t, "share.webm")
	cfg := protocol.ScreenConfig{Codec: "vp8", Width: 320, Height: 180}
	r.Frame(&protocol.Frame{Kind: protocol.FrameDelta, Frame: 1, Data: s.Frames[1]}, cfg)
	r.Frame(&protocol.Frame{Kind: protocol.FrameKey, Frame: 2, Data: []byte("no picture")}, cfg)
	r.Frame(&protocol.Frame{Kind: protocol.FrameStill, Frame: 2, Data: s.Frames[0]}, cfg)
	r.Frame(&protocol.Frame{Kind: protocol.FrameKey, Frame: 3, Data: []byte("image")}, protocol.ScreenConfig{Codec: "image/jpeg"})
	r.Frame(&protocol.Frame{Kind: protocol.FrameKey, Frame: 4, Data: []byte("image")}, protocol.ScreenConfig{Codec: "image/jpeg"})
	res := r.end(1)
	if len(res.Files) > 0 || res.Images != 2 || r.keys != 2 || len(r.notes) != 1 || !strings.Contains(r.notes[0], "single pictures") {
		t.Errorf("%+v, %d key frames asked for, %q", res, r.keys, r.notes)
	}
	if left, _ := os.ReadDir(r.dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestGap: after a frame that is missing nothing is written before the next key frame.
func TestGap(t *testing.T) {
	s := recordtest.Encode(t, "vp8", 320, 180, 20, 10, nil)
	r := begin(t, "share.webm")
	capture := clock(0, 20)
	missing := recordtest.Source{Codec: s.Codec, Path: s.Path, Frames: append(slices.Clone(s.Frames[:5]), s.Frames[6:]...)}
	for i, data := range missing.Frames {
		n := i
		if i >= 5 {
			n = i + 1
		}
		kind := protocol.FrameDelta
		if n%10 == 0 {
			kind = protocol.FrameKey
		}
		r.Frame(&protocol.Frame{Kind: kind, Frame: uint32(n), CaptureMs: capture[n], Data: data}, protocol.ScreenConfig{Codec: "vp8", Width: 320, Height: 180})
	}
	res := r.end(capture[19])
	if res.Files[0].Frames != 15 || r.keys == 0 {
		t.Fatalf("%+v, %d key frames asked for", res, r.keys)
	}
	want := append(slices.Clone(recordtest.Pixels(t, s.Path)[:5]), recordtest.Pixels(t, s.Path)[10:]...)
	if got := recordtest.Pixels(t, res.Files[0].Name); !slices.Equal(got, want) {
		t.Errorf("%d pictures, want %d, or they differ", len(got), len(want))
	}
}

// TestChanges: another size goes on in the same WebM and in another MP4, another codec in another file, another screen
// in a file of its own.
func TestChanges(t *testing.T) {
	small, large := map[string]recordtest.Source{}, map[string]recordtest.Source{}
	for _, name := range []string{"vp8", "avc1.42E034"} {
		small[name], large[name] = recordtest.Encode(t, name, 320, 180, 5, 30, nil), recordtest.Encode(t, name, 640, 360, 5, 30, nil)
	}
	r := begin(t, "share.webm")
	capture := clock(0, 20)
	r.feed(small["vp8"], 0, capture)
	r.feed(large["vp8"], 5, capture[5:])
	r.feed(small["avc1.42E034"], 10, capture[10:])
	r.feed(large["avc1.42E034"], 15, capture[15:])
	r.Frame(&protocol.Frame{Kind: protocol.FrameKey, Stream: 2, Data: small["vp8"].Frames[0], CaptureMs: 77}, protocol.ScreenConfig{Stream: 2, Codec: "vp8", Width: 320, Height: 180})
	res := r.end(capture[19] + 66)
	var got []string
	for _, f := range res.Files {
		got = append(got, fmt.Sprint(filepath.Base(f.Name), " ", f.Frames, " ", f.Stream))
	}
	if want := []string{"share.webm 10 0", "share-2.mp4 5 0", "share-3.mp4 5 0", "share-4.webm 1 2"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	want := recordtest.Pixels(t, small["vp8"].Path)
	if p := recordtest.Pixels(t, res.Files[0].Name); len(p) != 10 || !slices.Equal(p[:5], want) {
		t.Errorf("%d pictures of two sizes", len(p))
	}
	if p := recordtest.Probe(t, res.Files[0].Name); p.DurationMs() != int64(capture[10]) {
		t.Errorf("the first file lasts %d ms, want %d", p.DurationMs(), capture[10])
	}
	if len(r.notes) != 4 || !strings.HasSuffix(r.notes[1], "share-2.mp4: screen 1, H.264, 320 × 180.") {
		t.Errorf("said %q", r.notes)
	}
}

// TestNames: nothing is overwritten, but with force; an ending that does not fit is replaced.
func TestNames(t *testing.T) {
	s := recordtest.Encode(t, "avc1.42E034", 320, 180, 2, 30, nil)
	r := begin(t, "share.webm")
	for _, name := range []string{"share.mp4", "share-2.mp4"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.feed(s, 0, clock(0, 2))
	res := r.end(200)
	if len(res.Files) != 1 || filepath.Base(res.Files[0].Name) != "share-3.mp4" || !strings.Contains(r.notes[0], "which players expect in a MP4") {
		t.Errorf("%+v, %q", res, r.notes)
	}
	taken := filepath.Join(t.TempDir(), "taken.mp4")
	if err := os.WriteFile(taken, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	again := New(Config{Name: taken, Note: func(string) {}, AskKey: func(uint8) {}})
	again.Frame(&protocol.Frame{Kind: protocol.FrameKey, Data: s.Frames[0]}, protocol.ScreenConfig{Codec: s.Codec, Width: 320, Height: 180})
	if _, err := again.Run(t.Context()); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
	if data, _ := os.ReadFile(taken); string(data) != "old" {
		t.Error("it was overwritten")
	}
	again = New(Config{Name: taken, Force: true, Note: func(string) {}, AskKey: func(uint8) {}})
	again.Frame(&protocol.Frame{Kind: protocol.FrameKey, Data: s.Frames[0]}, protocol.ScreenConfig{Codec: s.Codec, Width: 320, Height: 180})
	again.Stop(nil)
	if res, err := again.Run(t.Context()); err != nil || res.Files[0].Name != taken {
		t.Errorf("with force: %+v, %v", res, err)
	}
	if info, _ := os.Stat(taken); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}
