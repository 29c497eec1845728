package record

// One file, and the frames of one stream that go into it.

import (
	"io"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// Output is where a file goes: an *os.File.
type Output interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// muxer writes one kind of file. Times are in milliseconds since the first frame and only grow.
type muxer interface {
	write(ms int64, key bool, data []byte) error
	cut(ms int64) (left int, err error) // takes back the frames after ms
	finish(durationMs int64) error
}

// entry is a frame that is in a file.
type entry struct {
	ms   int64
	at   int64 // where its cluster or fragment begins
	data int64 // where its data begins
	size int   // of its data
	key  bool
}

// cutAfter drops the frames after ms; end is where the file ends.
func cutAfter(frames []entry, ms, end int64) ([]entry, int64) {
	for n := len(frames); n > 0 && frames[n-1].ms > ms; n-- {
		end = frames[n-1].at
		frames = frames[:n-1]
	}
	return frames, end
}

func newMuxer(to Output, c codec, head []byte, width, height int, now time.Time) (muxer, error) {
	if c == h264 {
		return newMP4(to, head, width, height, now)
	}
	return newWebM(to, c, head, width, height, now)
}

// slack is how far the customer's clock and this one's may disagree about the end of a recording: what a lost packet
// takes. Beyond it the customer's word is not taken.
const slack = 10 * time.Second

// keyEvery is how many frames of a stream may follow a key frame until another one is asked for, so that a player can
// jump: half a minute of motion. One costs the path up to a few hundred kilobytes.
const keyEvery = 450

// track is one stream, and the file that it goes into.
type track struct {
	mux    muxer // nil: no file is open
	out    Output
	file   File
	codec  codec
	head   []byte
	number uint32 // of the last frame
	chain  bool   // every frame since a key frame is in the file
	deltas int    // since the last key frame

	capture uint32    // of the last frame: the customer's clock, low 32 bits of milliseconds
	since   int64     // capture time of the last frame since the first one's, as it came
	ms      int64     // the same, as it is in the file
	at      time.Time // when the last frame arrived
}

// add writes a frame. It is the next of the chain, or a key frame.
func (t *track) add(f *protocol.Frame, at time.Time) error {
	key := f.Kind == protocol.FrameKey
	if t.file.Frames == 0 {
		t.since, t.ms = 0, 0
	} else {
		t.since += int64(int32(f.CaptureMs - t.capture))
		t.ms = max(t.since, t.ms+1)
	}
	t.capture, t.number, t.at = f.CaptureMs, f.Frame, at
	if t.deltas++; key {
		t.deltas = 0
	}
	t.file.Frames++
	return t.mux.write(t.ms, key, t.codec.sample(f.Data))
}

// end finishes the file. captured, where known, is when the recording ended by the customer's clock; now by this one's.
func (t *track) end(captured *uint32, now time.Time) error {
	stop := t.ms + max(0, now.Sub(t.at).Milliseconds())
	if captured != nil {
		told := t.since + int64(int32(*captured-t.capture))
		if d := time.Duration(told-stop) * time.Millisecond; -slack <= d && d <= slack {
			stop = told
		}
	}
	if stop < t.ms { // what was captured later overtook the word that it must not be recorded
		left, err := t.mux.cut(stop)
		t.file.Frames = left
		if err != nil || left == 0 {
			return err
		}
	}
	t.file.Duration = time.Duration(max(stop, 1)) * time.Millisecond
	if err := t.mux.finish(max(stop, 1)); err != nil {
		return err
	}
	return t.out.Sync()
}
