package support

// The picture: frames from the peer to the viewer, acknowledgements and requests for key frames back.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lookalong/lookalong/agent/viewer"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

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

// acknowledge tells of a stream's newest frame, if that waits for its painting for so long.
func (c *Controller) acknowledge(stream int, patience time.Duration) {
	if frame, receivedMs, ok := c.flows[stream].overdue(patience); ok && c.peer != nil {
		_ = c.peer.SendControl(protocol.ScreenFeedback{Stream: stream, Frame: frame, ReceivedMs: receivedMs}) // as in onFrame
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
	c.acknowledge(int(stream), 0)                                        // or the wish looks as if it had crossed this frame
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
		c.acknowledge(i, ackPatience)
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
