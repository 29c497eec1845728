package support

// The picture: frames from the peer to the viewer, acknowledgements and requests for key frames back.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lookalong/lookalong/agent/viewer"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// flow counts the picture of one session. config belongs to the controller's goroutine.
type flow struct {
	config *protocol.ScreenConfig

	mu       sync.Mutex
	frames   int
	bytes    int
	since    time.Time
	first    bool
	received map[uint32]int64 // arrival of frames that no page has painted yet, Unix milliseconds
	order    []uint32
}

const unpainted = 256 // frames whose painting is waited for

func (f *flow) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config = nil
	f.frames, f.bytes, f.first = 0, 0, false
	f.since = time.Now()
	f.received, f.order = map[uint32]int64{}, nil
}

// add notes a frame; true for the first one.
func (f *flow) add(frame *protocol.Frame, receivedMs int64) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frames++
	f.bytes += len(frame.Data)
	f.received[frame.Frame] = receivedMs
	if f.order = append(f.order, frame.Frame); len(f.order) > unpainted {
		delete(f.received, f.order[0])
		f.order = f.order[1:]
	}
	first, f.first = !f.first, true
	return first
}

// painted returns the arrival of a frame, once.
func (f *flow) painted(frame uint32) (receivedMs int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	receivedMs, ok = f.received[frame]
	delete(f.received, frame)
	return receivedMs, ok
}

// rates are those since the last call.
func (f *flow) rates(now time.Time) (bitsPerSec, fps float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := now.Sub(f.since).Seconds(); s > 0 {
		bitsPerSec, fps = float64(f.bytes)*8/s, float64(f.frames)/s
	}
	f.bytes, f.frames, f.since = 0, 0, now
	return bitsPerSec, fps
}

// onFrame runs on the peer's goroutine: nothing in it waits.
func (c *Controller) onFrame(p *peer.Peer, g *gate, f *protocol.Frame, receivedMs int64) {
	_ = p.SendControl(protocol.ScreenFeedback{Frame: f.Frame, ReceivedMs: receivedMs}) // the next one tells as much
	c.show(g, f, receivedMs)
}

// show hands a frame on to the viewer, if the gate lets it pass.
func (c *Controller) show(g *gate, f *protocol.Frame, receivedMs int64) {
	pass, lost := g.frame(f)
	if lost {
		c.post((*Controller).askKey)
	}
	if !pass {
		return
	}
	first := c.flow.add(f, receivedMs)
	if v := c.theViewer(); v != nil {
		v.Push(f)
	}
	if first {
		c.post(func(c *Controller) { c.status.Frames = c.status.View == "on" || c.flow.config != nil })
	}
}

// OpenViewer starts the viewer where it does not run, and returns an address that opens it once within 60 seconds,
// and its port. Errors: no page in this build, or the port is taken.
func (c *Controller) OpenViewer() (url string, port int, err error) {
	c.mu.Lock()
	v, closed := c.viewer, c.closed
	c.mu.Unlock()
	if v != nil {
		return v.URL(), v.Port(), nil
	}
	if closed {
		return "", 0, errors.New("support: the session controller has ended")
	}
	if c.cfg.Files == nil {
		return "", 0, errors.New("support: this program carries no viewer page")
	}
	v, err = viewer.New(viewer.Config{
		Port: c.cfg.ViewerPort, Files: c.cfg.Files, Log: c.cfg.Log,
		OnCodecs: func(list []string) {
			c.post(func(c *Controller) { c.codecs = list; c.sendCodecs() })
		},
		OnPainted: func(frame uint32, atMs int64) {
			c.post(func(c *Controller) { c.onPainted(frame, atMs) })
		},
		OnKeyframe: func() { c.post((*Controller).askKey) },
		OnPages: func(int) {
			c.post(func(c *Controller) {
				if c.Watched() == 0 { // now: another page may have opened, and told its codecs, since
					c.codecs = nil // the next session's picture waits for a page again
				}
				c.tellViewer()
			})
		},
	})
	if err != nil {
		return "", 0, err
	}
	started := make(chan bool, 1) // one answer
	c.post(func(c *Controller) { started <- c.adopt(v) })
	select {
	case ok := <-started:
		if ok {
			return v.URL(), v.Port(), nil
		}
	case <-time.After(5 * time.Second):
	}
	_ = v.Close()
	return "", 0, errors.New("support: the session controller has ended")
}

// adopt runs a new viewer with what is known so far.
func (c *Controller) adopt(v *viewer.Server) bool {
	c.mu.Lock()
	if c.viewer != nil || c.closed {
		c.mu.Unlock()
		return false
	}
	c.viewer = v
	c.mu.Unlock()
	if m := c.flow.config; m != nil {
		v.SetConfig(protocol.ViewerConfig{Codec: m.Codec, Width: m.Width, Height: m.Height, Surface: m.Surface})
	}
	c.tellViewer()
	if c.flow.config != nil {
		c.askKey() // the picture runs already
	}
	c.peers.Go(func() {
		if err := v.Run(c.ctx); err != nil && !errors.Is(err, context.Canceled) {
			c.cfg.Log.Error("viewer failed", "err", err)
		}
	})
	return true
}

// Watched is how many viewer pages are open.
func (c *Controller) Watched() int {
	if v := c.theViewer(); v != nil {
		return v.Pages()
	}
	return 0
}

func (c *Controller) theViewer() *viewer.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.viewer
}

// sendCodecs tells the customer's end what can be shown; its encoder waits for that.
func (c *Controller) sendCodecs() {
	if c.peer == nil || c.codecs == nil {
		return
	}
	if err := c.peer.SendControl(protocol.ScreenCodecs{Decodable: c.codecs}); err != nil {
		c.cfg.Log.Debug("codecs not sent", "err", fmt.Sprint(err)) // sent again when it is connected
	}
}

func (c *Controller) onPainted(frame uint32, atMs int64) {
	if receivedMs, ok := c.flow.painted(frame); ok && c.peer != nil {
		_ = c.peer.SendControl(protocol.ScreenFeedback{Frame: frame, ReceivedMs: receivedMs, DecodedMs: atMs})
	}
}

// askKey asks for a key frame, at most one in keyGap; one that is due later goes out with the tick.
func (c *Controller) askKey() {
	if c.peer == nil {
		return
	}
	if time.Since(c.keyAt) < keyGap {
		c.keyDue = true
		return
	}
	c.keyAt, c.keyDue = time.Now(), false
	_ = c.peer.SendControl(protocol.ScreenKeyframe{}) // the viewer asks again when none comes
}

// tellViewer sends the viewer's state: at each change and every second.
func (c *Controller) tellViewer() {
	v := c.theViewer()
	if v == nil {
		return
	}
	state, reason := viewerState(c.status)
	id := string(c.cfg.Conversation)
	v.SetState(protocol.ViewerState{
		State: state, Reason: reason, Conversation: id[:min(len(id), 6)], Path: c.status.Path,
		RTTMs: float64(c.status.RTT.Microseconds()) / 1000, ClockOffset: float64(c.status.Offset.Microseconds()) / 1000,
		BitsPerSec: c.bits, FPS: c.fps,
	})
}
