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

// flow counts one stream of a session. config and level belong to the controller's goroutine.
type flow struct {
	config *protocol.ScreenConfig
	level  string // of protocol.ScreenLevel; "" before it was told

	mu       sync.Mutex
	frames   int
	bytes    int
	since    time.Time
	first    bool
	received map[uint32]int64 // arrival of frames that no page has painted yet, Unix milliseconds
	order    []uint32
	newest   uint32
	seen     bool // the newest has been painted
	held     bool // its acknowledgement waits for that
}

const (
	unpainted   = 256                    // frames whose painting is waited for
	ackPatience = 200 * time.Millisecond // that an acknowledgement waits for it
)

func (f *flow) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config, f.level = nil, ""
	f.frames, f.bytes, f.first = 0, 0, false
	f.since = time.Now()
	f.received, f.order = map[uint32]int64{}, nil
	f.seen, f.held = false, false
}

// add notes a frame; first: it is the first one; held: a page has painted the one before it, and will soon have painted
// this one: what tells of that acknowledges it too.
func (f *flow) add(frame *protocol.Frame, receivedMs int64) (first, held bool) {
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
	f.newest, f.held, f.seen = frame.Frame, f.seen, false
	return first, f.held
}

// overdue returns the frame that waits too long to be painted: it is acknowledged without that, once.
func (f *flow) overdue(nowMs int64) (frame uint32, receivedMs int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	receivedMs = f.received[f.newest]
	ok = f.held && nowMs-receivedMs > ackPatience.Milliseconds()
	f.held = f.held && !ok
	return f.newest, receivedMs, ok
}

// begun reports whether a frame has come.
func (f *flow) begun() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

// painted returns the arrival of a frame, once.
func (f *flow) painted(frame uint32) (receivedMs int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	receivedMs, ok = f.received[frame]
	delete(f.received, frame)
	if frame == f.newest {
		f.seen, f.held = true, false
	}
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

// loss is what the picture's own connection loses.
type loss struct {
	last peer.Stats
	part float64 // 0 to 1, of the last seconds
}

// add takes the peer's numbers of the last second.
func (l *loss) add(s peer.Stats) {
	lost, came := float64(s.LaneLost)-float64(l.last.LaneLost), float64(s.LaneReceived)-float64(l.last.LaneReceived)
	l.last = s
	switch {
	case !s.Lane || lost < 0 || came < 0: // another lane counts anew
		l.part = 0
	case lost+came > 0:
		l.part += 0.5 * (lost/(lost+came) - l.part)
	}
}

// onFrame runs on the peer's goroutine: nothing in it waits.
func (c *Controller) onFrame(p *peer.Peer, g *gate, f *protocol.Frame, receivedMs int64) {
	if held := c.show(p, g, f, receivedMs); !held && f.Kind != protocol.FrameStill {
		_ = p.SendControl(protocol.ScreenFeedback{Stream: int(f.Stream), Frame: f.Frame, ReceivedMs: receivedMs}) // the next one tells as much
	}
}

// show hands a frame on to the viewer, if the gate lets it pass. held: it is acknowledged when that has painted it.
func (c *Controller) show(p *peer.Peer, g *gate, f *protocol.Frame, receivedMs int64) (held bool) {
	pass, lost := g.frame(f)
	if lost {
		c.post(func(c *Controller) { c.askKey(f.Stream) })
	}
	if !pass {
		return false
	}
	if f.Kind == protocol.FrameStill {
		c.post(func(c *Controller) {
			if c.peer == p {
				c.onStill(f)
			}
		})
		return false
	}
	if s := c.sink.Load(); s != nil {
		s.Frame(f, *g[f.Stream].config)
	}
	first, held := c.flows[f.Stream].add(f, receivedMs)
	if v := c.theViewer(); v != nil {
		v.Push(f)
	}
	if first {
		c.post(func(c *Controller) {
			c.status.Frames = c.status.View == "on" || c.flows[f.Stream].config != nil
			if s := &c.stills[f.Stream]; c.peer == p && s.id == "" && len(s.waits) > 0 {
				c.sendStill(f.Stream) // it was wanted before there was a picture
			}
		})
	}
	return held
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
		OnPainted: func(stream uint8, frame uint32, atMs int64) {
			c.post(func(c *Controller) { c.onPainted(stream, frame, atMs) })
		},
		OnKeyframe: func(stream uint8) { c.post(func(c *Controller) { c.askKey(stream) }) },
		OnStill:    func(stream uint8, auto bool) { c.post(func(c *Controller) { c.pageStill(stream, auto) }) },
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
	c.tellViewer()
	for i := range c.flows {
		if m := c.flows[i].config; m != nil {
			v.SetConfig(viewerConfig(*m))
			c.askKey(uint8(i)) // the picture runs already
		}
		if level := c.flows[i].level; level != "" {
			v.SetLevel(protocol.ViewerLevel{Stream: i, Level: level})
		}
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

// decodable is what can be shown or recorded here; nil while nobody would see it.
func (c *Controller) decodable() []string {
	if c.codecs == nil && c.noViewer {
		return codecs
	}
	return c.codecs
}

// sendCodecs tells the customer's end what can be shown; its encoder waits for that.
func (c *Controller) sendCodecs() {
	list := c.decodable()
	if c.peer == nil || list == nil {
		return
	}
	if err := c.peer.SendControl(protocol.ScreenCodecs{Decodable: list}); err != nil {
		c.cfg.Log.Debug("codecs not sent", "err", fmt.Sprint(err)) // sent again when it is connected
	}
}

func (c *Controller) onPainted(stream uint8, frame uint32, atMs int64) {
	if receivedMs, ok := c.flows[stream].painted(frame); ok && c.peer != nil {
		_ = c.peer.SendControl(protocol.ScreenFeedback{Stream: int(stream), Frame: frame, ReceivedMs: receivedMs, DecodedMs: atMs})
	}
}

// askKey asks for a key frame, at most one in keyGap; one that is due later goes out with the tick.
func (c *Controller) askKey(stream uint8) {
	if c.peer == nil {
		return
	}
	k := &c.keys[stream]
	if time.Since(k.at) < keyGap {
		k.due = true
		return
	}
	k.at, k.due = time.Now(), false
	_ = c.peer.SendControl(protocol.ScreenKeyframe{Stream: int(stream)}) // the viewer asks again when none comes
}

func viewerConfig(m protocol.ScreenConfig) protocol.ViewerConfig {
	return protocol.ViewerConfig{Stream: m.Stream, Codec: m.Codec, Width: m.Width, Height: m.Height, Surface: m.Surface}
}

// onTick runs each second.
func (c *Controller) onTick(now time.Time) {
	c.bits, c.fps = 0, 0
	for i := range c.flows {
		if c.keys[i].due {
			c.askKey(uint8(i))
		}
		if frame, receivedMs, ok := c.flows[i].overdue(now.UnixMilli()); ok && c.peer != nil {
			_ = c.peer.SendControl(protocol.ScreenFeedback{Stream: i, Frame: frame, ReceivedMs: receivedMs}) // as in onFrame
		}
		bits, fps := c.flows[i].rates(now)
		c.bits, c.fps = c.bits+bits, max(c.fps, fps)
	}
	c.expireStills(now)
	if r := c.recording; r.to != nil && !r.on && now.Sub(r.since) > answerPatience {
		c.sayNoRecord()
		c.endRecord("timeout", RecordRefused("timeout"))
		c.tell()
	}
	c.tellViewer()
}

// onConfig takes what the frames of a stream are from now on.
func (c *Controller) onConfig(m protocol.ScreenConfig) {
	if v := c.theViewer(); v != nil {
		v.SetConfig(viewerConfig(m))
	}
	c.flows[m.Stream].config = &m
	c.status.View, c.status.Cause, c.status.Surface = "on", "", m.Surface // the server's word for it may be late
	c.status.Level = c.level()
}

// onRemoved takes one of several streams away.
func (c *Controller) onRemoved(stream int) {
	c.noStill(uint8(stream), "off")
	c.flows[stream].reset()
	if v := c.theViewer(); v != nil {
		v.Remove(stream)
	}
	for i := range c.flows {
		if m := c.flows[i].config; m != nil {
			c.status.Surface = m.Surface
			break
		}
	}
	c.status.Level = c.level()
}

// onLevel takes what the path allows of a stream.
func (c *Controller) onLevel(m protocol.ScreenLevel) {
	c.flows[m.Stream].level = m.Level
	c.status.Level = c.level()
	if v := c.theViewer(); v != nil {
		v.SetLevel(protocol.ViewerLevel{Stream: m.Stream, Level: m.Level, Why: m.Why})
	}
}

// level is the best of the streams': "stills" or "none" where no stream moves, else "".
func (c *Controller) level() (best string) {
	best = "none"
	told := false
	for i := range c.flows {
		switch c.flows[i].level {
		case "none":
			told = true
		case "stills":
			best, told = "stills", true
		case "video":
			return ""
		default:
			if c.flows[i].config != nil {
				return ""
			}
		}
	}
	if !told {
		return ""
	}
	return best
}

// tellViewer sends the viewer's state: at each change and every second.
func (c *Controller) tellViewer() {
	v := c.theViewer()
	if v == nil {
		return
	}
	state, reason := viewerState(c.status)
	lanes := 0
	if c.loss.last.Lane {
		lanes = 1
	}
	id := string(c.cfg.Conversation)
	v.SetState(protocol.ViewerState{
		State: state, Reason: reason, Conversation: id[:min(len(id), 6)], Path: c.status.Path,
		RTTMs: float64(c.status.RTT.Microseconds()) / 1000, ClockOffset: float64(c.status.Offset.Microseconds()) / 1000,
		BitsPerSec: c.bits, FPS: c.fps, Loss: c.loss.part, Lanes: lanes,
	})
}
