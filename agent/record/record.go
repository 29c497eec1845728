// Package record writes the picture of a session into files that ordinary players open: WebM for AV1, VP9 and VP8, MP4
// for H.264. The frames are those that arrived, untouched, with the times of their capture. Whether anything may be
// recorded is not decided here: the customer's end decides, and agent/support hands frames on between its yes and its no.
package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/lookalong/lookalong/protocol"
)

const (
	maxQueued = 64 << 20        // bytes of frames that wait for the disk; more are dropped up to the next key frame
	syncEvery = 5 * time.Second // what a power cut costs at most
	maxFiles  = 1000            // of one recording
)

// Config describes a recording. The callbacks run on Run's goroutine.
type Config struct {
	Name   string             // of the first file; its ending is replaced where the codec needs another
	Force  bool               // replace a file of that name
	Max    int64              // bytes that all files together may have, after which the recording ends; 0: any number
	Note   func(text string)  // a sentence for the person
	AskKey func(stream uint8) // asks the customer's end for a key frame
}

// File is one file of a recording.
type File struct {
	Name     string
	Stream   int
	Codec    string // AV1, VP9, VP8, H.264
	Frames   int
	Duration time.Duration
}

// Result is what a recording left.
type Result struct {
	Files  []File
	Images int // frames that were single images, which no file holds
}

// Recorder is one recording. Frame and Stop are safe from any goroutine and do not wait; Run owns the files.
type Recorder struct {
	cfg Config

	mu      sync.Mutex
	queue   []item
	queued  int // bytes
	stopped bool
	wake    chan struct{} // capacity 1: a hint

	// Owned by Run.
	tracks [protocol.MaxStreams]*track
	opened int
	bytes  int64 // of frames
	result Result
}

// item is a frame, or the end where frame is nil.
type item struct {
	frame    *protocol.Frame
	config   protocol.ScreenConfig
	at       time.Time
	captured *uint32
}

// New makes a recording. No file is there before the first key frame.
func New(cfg Config) *Recorder {
	return &Recorder{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Frame takes a frame, and the configuration that describes it. The data must not change afterwards.
func (r *Recorder) Frame(f *protocol.Frame, config protocol.ScreenConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.queued+len(f.Data) > maxQueued {
		return // the gap is seen by the frames' numbers
	}
	r.queued += len(f.Data)
	r.post(item{frame: f, config: config, at: time.Now()})
}

// Stop ends the recording: nothing that comes later is taken. captured, where it is known, is the moment by the customer's
// clock, the low 32 bits of Unix milliseconds; what was captured after it is taken back. Idempotent.
func (r *Recorder) Stop(captured *uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	r.stopped = true
	r.post(item{at: time.Now(), captured: captured})
}

// post needs the lock.
func (r *Recorder) post(it item) {
	r.queue = append(r.queue, it)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run writes until Stop, or the end of ctx, and returns when everything is on the disk. Errors are the disk's.
func (r *Recorder) Run(ctx context.Context) (Result, error) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	defer context.AfterFunc(ctx, func() { r.Stop(nil) })()
	for {
		select {
		case <-r.wake:
			r.mu.Lock()
			queue := r.queue
			r.queue, r.queued = nil, 0
			r.mu.Unlock()
			for _, it := range queue {
				if it.frame == nil {
					return r.finish(it, nil)
				}
				if err := r.take(it); err != nil {
					r.Stop(nil)
					return r.finish(item{at: it.at}, err)
				}
				if r.cfg.Max > 0 && r.bytes >= r.cfg.Max {
					r.cfg.Note(fmt.Sprintf("The recording ends here: it has reached %s.", humanize.Bytes(uint64(r.cfg.Max))))
					r.Stop(nil)
					return r.finish(item{at: it.at}, nil)
				}
			}
		case <-tick.C:
			for _, t := range r.tracks {
				if t == nil || t.mux == nil {
					continue
				}
				if err := t.out.Sync(); err != nil {
					r.Stop(nil)
					return r.finish(item{at: time.Now()}, err)
				}
			}
		}
	}
}

// finish ends every file.
func (r *Recorder) finish(it item, err error) (Result, error) {
	for _, t := range r.tracks {
		err = errors.Join(err, r.endFile(t, it.captured, it.at))
	}
	return r.result, err
}

// take writes a frame into the file of its stream, and begins one where none fits.
func (r *Recorder) take(it item) error {
	f := it.frame
	if f.Kind == protocol.FrameStill {
		return nil
	}
	t := r.tracks[f.Stream]
	if t == nil {
		t = &track{}
		r.tracks[f.Stream] = t
	}
	c := codecOf(it.config.Codec)
	switch {
	case c == "":
		if r.result.Images++; r.result.Images == 2 { // one alone is a source's first glimpse, with the video behind it
			r.cfg.Note("The customer's end sends single pictures now, which a recording can't hold. It goes on with the video.")
		}
		t.chain = false
		return nil
	case f.Kind == protocol.FrameKey:
		head, ok := c.header(f.Data)
		if !ok { // not of this codec, or not yet: its configuration may be late
			t.chain = false
			r.cfg.AskKey(f.Stream)
			return nil
		}
		if t.mux == nil || t.codec != c || !c.sameFile(t.head, head) {
			if err := r.endFile(t, &f.CaptureMs, it.at); err != nil {
				return err
			}
			if err := r.begin(t, c, head, it.config); err != nil {
				return err
			}
		}
		t.chain = true
	case t.mux == nil || !t.chain || f.Frame != t.number+1:
		t.chain = false
		r.cfg.AskKey(f.Stream)
		return nil
	}
	r.bytes += int64(len(f.Data))
	if err := t.add(f, it.at); err != nil {
		return fmt.Errorf("%s: %w", t.file.Name, err)
	}
	if t.deltas > 0 && t.deltas%keyEvery == 0 {
		r.cfg.AskKey(f.Stream)
	}
	return nil
}

// begin opens the next file for a stream.
func (r *Recorder) begin(t *track, c codec, head []byte, config protocol.ScreenConfig) error {
	out, err := r.open(c.ext())
	if err != nil {
		return err
	}
	mux, err := newMuxer(out, c, head, config.Width, config.Height, time.Now())
	if err != nil {
		return errors.Join(err, out.Close())
	}
	t.mux, t.out, t.codec, t.head = mux, out, c, head
	t.file = File{Name: out.Name(), Stream: config.Stream, Codec: string(c)}
	r.opened++
	switch {
	case r.opened == 1 && filepath.Ext(r.cfg.Name) != c.ext():
		r.cfg.Note(fmt.Sprintf("The picture comes as %s, which players expect in a %s: recording to %s.", c, strings.ToUpper(c.ext()[1:]), t.file.Name))
	case r.opened == 1:
		r.cfg.Note(fmt.Sprintf("Recording to %s (%s).", t.file.Name, c))
	default:
		r.cfg.Note(fmt.Sprintf("The recording goes on in %s: screen %d, %s, %d × %d.", t.file.Name, config.Stream+1, c, config.Width, config.Height))
	}
	return nil
}

// open makes a file that was not there before: the first under the name that was asked for, others with a number.
func (r *Recorder) open(ext string) (*os.File, error) {
	base := strings.TrimSuffix(r.cfg.Name, filepath.Ext(r.cfg.Name))
	if !known(filepath.Ext(r.cfg.Name)) {
		base = r.cfg.Name
	}
	for n := r.opened + 1; n <= maxFiles; n++ {
		name := base + ext
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", base, n, ext)
		}
		f, err := Create(name, r.cfg.Force && n == 1)
		if errors.Is(err, os.ErrExist) && name != r.cfg.Name {
			continue
		}
		return f, err
	}
	return nil, fmt.Errorf("record: more than %d files", maxFiles)
}

// known reports whether a name's ending is one that a recording has.
func known(ext string) bool { return ext == ".webm" || ext == ".mp4" }

// Create makes a file that only this user can read. One of that name is replaced with force, and an error that is
// os.ErrExist without.
func Create(name string, force bool) (*os.File, error) {
	if force {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// endFile finishes the file of a stream, where one is open.
func (r *Recorder) endFile(t *track, captured *uint32, at time.Time) error {
	if t == nil || t.mux == nil {
		return nil
	}
	err := errors.Join(t.end(captured, at), t.out.Close())
	t.mux = nil
	if err == nil && t.file.Frames == 0 { // everything in it was captured after the end
		return os.Remove(t.file.Name)
	}
	r.result.Files = append(r.result.Files, t.file)
	if err != nil {
		return fmt.Errorf("%s: %w", t.file.Name, err)
	}
	return nil
}
