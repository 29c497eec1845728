package simulate

// The picture: the consent's effects, and the numbered pattern that is drawn while it holds.

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"time"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/internal/pattern"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// maxBuffered is what may wait on channel screen before pictures are skipped (screen.md 3).
const maxBuffered = 256 << 10

// drawing is the picture of a customer. frame counts on from share to share.
type drawing struct {
	pattern *pattern.Pattern // nil while nothing is shown
	config  protocol.ScreenConfig
	frame   uint32
	unacked []sentFrame
	painted []sentFrame // arrived, and not painted yet as far as is known
	view    protocol.ConsentState
}

type sentFrame struct {
	frame     uint32
	captureMs int64
}

// forget drops what was waited for: the path was away, or a viewer starts anew.
func (d *drawing) forget() { d.unacked = nil }

// step feeds the consent and does what follows. A simulated person does not extend a share: it ends with its lease.
func (c *customer) step(event consent.Event) {
	var effects []consent.Effect
	c.look, effects = consent.Step(c.look, event, time.Now().UnixMilli())
	var next consent.Event
	for _, e := range effects {
		switch e {
		case "capture":
			next = c.capture()
		case "start":
			c.in(dPicture, 0)
		case "stop":
			c.stopPicture(event)
		default:
			if told, ok := strings.CutPrefix(string(e), "tell:"); ok { // the others are questions on a screen
				state, cause, _ := strings.Cut(told, ":")
				c.decided(consent.State(state), cause, event)
			}
		}
	}
	if next != "" {
		c.step(next)
	}
}

// decided tells a decision, and ends what was for the picture alone when it is no.
func (c *customer) decided(state consent.State, cause string, event consent.Event) {
	c.drawn.view = protocol.ConsentState{Grant: "view", State: string(state), Cause: cause}
	if state == consent.On {
		c.drawn.view.Surface = "pattern"
	}
	c.tellView()
	if state == consent.Off && c.sess != nil && c.sess.asked() && c.sess.Picture && event != consent.EvDeny {
		c.in(dDecline, 0)
	}
	if state == consent.Off && c.sess != nil && c.sess.By == "customer" && c.sess.Picture && c.sess.Peer == nil {
		c.hangUp("stopped") // it was asked for the picture alone
	}
}

// tellView tells the agent what was decided last, through the server; again after a reconnect.
func (c *customer) tellView() {
	if c.sess == nil || c.sess.ID == "" || c.drawn.view.State == "" {
		return
	}
	c.drawn.view.Session = c.sess.ID
	_ = c.client.Notify(c.drawn.view)
}

// capture says yes, or asks, in the same turn as the picture begins.
func (c *customer) capture() consent.Event {
	c.yesAt, c.shown = time.Now(), true
	c.cancel(dShare)
	c.r.tally.count(func(n *Counts) { n.Shares++ })
	c.tell("showing", "")
	switch {
	case c.sess == nil:
		c.connect(true)
	case c.sess.asked():
		c.accept()
	}
	p, err := pattern.New(c.r.o.Width, c.r.o.Height)
	if err != nil {
		return consent.EvFailed // Check has refused such a size
	}
	c.drawn.pattern, c.drawn.config = p, protocol.ScreenConfig{}
	c.drawn.unacked, c.drawn.painted = nil, nil
	return consent.EvCaptured
}

// stopPicture stops drawing at once; then the agent is told.
func (c *customer) stopPicture(event consent.Event) {
	c.drawn.pattern = nil
	c.cancel(dPicture)
	if c.sess == nil || c.sess.Peer == nil || event == consent.EvEnded {
		return
	}
	cause := "stopped"
	if event == consent.EvFailed {
		cause = "failed"
	}
	_ = c.sess.Peer.SendControl(protocol.ScreenStopped{Cause: cause}) // while the path is down the consent's state tells it
}

func (c *customer) onControl(msg any, at time.Time) {
	s, d := c.sess, &c.drawn
	switch m := msg.(type) {
	case protocol.ScreenCodecs:
		s.Codecs = append([]string{}, m.Decodable...)
	case protocol.ScreenFeedback:
		for _, f := range d.unacked {
			if f.frame == m.Frame {
				d.painted = append(d.painted, f)
			}
		}
		d.unacked = slices.DeleteFunc(d.unacked, func(f sentFrame) bool { return int32(f.frame-m.Frame) <= 0 })
		d.painted = d.painted[max(0, len(d.painted)-64):]
		if m.DecodedMs == 0 { // it has arrived; what tells of its painting follows
			return
		}
		i := slices.IndexFunc(d.painted, func(f sentFrame) bool { return f.frame == m.Frame })
		if i < 0 {
			return
		}
		age := time.Duration(m.DecodedMs-d.painted[i].captureMs)*time.Millisecond + s.Stats.ClockOffset
		d.painted = d.painted[i+1:]
		c.r.tally.count(func(n *Counts) { n.PicturesShown++ })
		c.r.tally.took(tPictureAge, age)
		if !c.yesAt.IsZero() {
			c.r.tally.took(tFirstPicture, at.Sub(c.yesAt))
			c.yesAt = time.Time{}
		}
	case protocol.ScreenKeyframe:
		d.forget() // every picture is whole; the next one comes at once
	case protocol.ScreenPause:
		s.Paused = m.Paused
	}
}

// draw makes and sends one picture, unless something holds it back: pictures are skipped before the encoder, never
// after.
func (c *customer) draw(now time.Time) {
	s, d := c.sess, &c.drawn
	if c.look.State != consent.On {
		return
	}
	interval := time.Second / time.Duration(c.r.o.FPS)
	c.in(dPicture, interval)
	c.step(consent.EvTick)
	if s == nil || s.Peer == nil || s.PeerState != peer.Connected || s.Paused || s.Codecs == nil || d.pattern == nil {
		return
	}
	if !c.look.Allows(now.UnixMilli()) { //guard:T22
		return
	}
	codec := c.codec(s.Codecs)
	if codec == "" {
		c.r.tally.failed("no common image format")
		c.step(consent.EvFailed)
		return
	}
	inFlight := 1 + int((s.Stats.RTT+interval*12/10+interval-1)/interval)
	if len(d.unacked) >= inFlight || s.Peer.ScreenBuffered() > maxBuffered {
		c.r.tally.count(func(n *Counts) { n.PicturesSkipped++ })
		return
	}
	at := time.Now().UnixMilli()
	data, err := encode(d.pattern.Next(), codec)
	if err != nil {
		c.r.tally.failed("encoder")
		c.step(consent.EvFailed)
		return
	}
	number := d.frame
	d.frame++
	config := protocol.ScreenConfig{Codec: codec, Width: c.r.o.Width, Height: c.r.o.Height, Surface: "pattern"}
	if config != d.config {
		if s.Peer.SendControl(config) != nil {
			return
		}
		d.config = config
	}
	if s.Peer.SendFrame(protocol.Frame{Kind: protocol.FrameKey, Frame: number, CaptureMs: uint32(at), Data: data}) != nil {
		c.r.tally.count(func(n *Counts) { n.PicturesSkipped++ })
		return
	}
	d.unacked = append(d.unacked, sentFrame{number, at})
	c.r.tally.count(func(n *Counts) { n.PicturesSent++ })
}

func (c *customer) codec(decodable []string) string {
	for _, format := range []string{"image/png", "image/jpeg"} {
		if slices.Contains(decodable, format) && (c.r.o.Image == "" || format == "image/"+c.r.o.Image) {
			return format
		}
	}
	return ""
}

func encode(img image.Image, codec string) ([]byte, error) {
	var b bytes.Buffer
	var err error
	if codec == "image/png" {
		err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img)
	} else {
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 80})
	}
	return b.Bytes(), err
}
