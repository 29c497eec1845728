// The picture: the consent's effects, and the encoder that draws, compresses and hands frames back to the loop.

package share

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"time"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// maxBuffered is what may wait on channel screen before pictures are skipped (screen.md 3).
const maxBuffered = 256 << 10

// picture is a running share. Owned by the loop, but for the source, which its encoder goroutine owns.
type picture struct {
	surface string
	jobs    chan job // capacity 1: one picture is drawn at a time
	busy    bool
	still   *protocol.ScreenStill // asked for, and not begun
	unacked []uint32              // sent, and not acknowledged by the agent
	config  protocol.ScreenConfig
	frames  int64
	skipped int64
}

// job asks the encoder for one picture; still: for a lossless one beside the others.
type job struct {
	codec string
	still *protocol.ScreenStill
}

// encoded is the encoder's answer.
type encoded struct {
	job
	width, height int
	captureMs     uint32
	data          []byte
	err           error
}

// acked notes that a frame, and every one before it, has arrived.
func (p *picture) acked(frame uint32) {
	p.unacked = slices.DeleteFunc(p.unacked, func(f uint32) bool { return int32(f-frame) <= 0 })
}

// forget drops what was waited for: the path was away, or a viewer starts anew.
func (p *picture) forget() { p.unacked = nil }

// step feeds the consent machine and does what it says.
func (a *app) step(e consent.Event) {
	a.follow = append(a.follow, e)
	if len(a.follow) > 1 {
		return // an effect led to this one; the outer call goes on with it
	}
	for len(a.follow) > 0 {
		e := a.follow[0]
		now := time.Now()
		var effects []consent.Effect
		a.consent, effects = consent.Step(a.consent, e, now.UnixMilli())
		if a.consent.State != consent.Off {
			a.wanted = false // one wish is one share: a later one needs a yes of its own
		}
		for _, f := range effects {
			a.effect(f, e, now)
		}
		a.follow = a.follow[1:]
	}
}

func (a *app) effect(f consent.Effect, e consent.Event, now time.Time) {
	agent := ""
	if a.sess != nil {
		agent = a.sess.agent
	}
	switch f {
	case "prompt":
		a.out.say(Output{Event: "asked", State: "view", Name: agent},
			fmt.Sprintf("Agent “%s” asks to see the picture. They will see everything that appears in it. You can stop at any moment. Answer /allow or /deny.", agent))
		switch {
		case a.o.AcceptView:
			a.allowAt = now.Add(consent.ArmMs * time.Millisecond) // the flag answers for the customer, who has the same time to object
		case !a.out.s.CanPrompt:
			a.follow = append(a.follow, consent.EvDeny) // nobody is there to ask
		}
	case "prompt:extend":
		a.out.say(Output{Event: "asked", State: "extend"}, "The picture has been shared for almost 30 minutes and stops in a minute. Answer /allow to go on.")
		if a.o.KeepSharing {
			a.allowAt = now.Add(consent.ArmMs * time.Millisecond)
		}
	case "prompt:record":
		a.askRecord(agent, now)
	case "unprompt":
		a.allowAt = time.Time{}
	case "capture":
		a.capture()
	case "discard":
		a.closeSource()
	case "start":
		a.startPicture()
	case "stop":
		a.stopPicture(e)
	case "count":
		a.log.Warn("somebody claims a grant that only the customer can give", "count", a.consent.Forged)
	default:
		grant, told, _ := strings.Cut(string(f), ":")
		state, cause, _ := strings.Cut(told, ":")
		if grant == "record" {
			a.tellRecord(state, cause)
		} else {
			a.tell(state, cause)
		}
	}
}

// capture opens the source, and says yes to the agent or asks for a session in the same turn.
func (a *app) capture() {
	switch {
	case a.sess == nil:
		a.request()
	case a.sess.asked():
		a.accept()
	}
	src, err := a.o.NewSource()
	if err != nil {
		a.log.Error("source can't be opened", "err", err)
		a.follow = append(a.follow, consent.EvImpossible)
		return
	}
	a.source = src
	a.follow = append(a.follow, consent.EvCaptured)
}

func (a *app) closeSource() {
	if a.source != nil {
		if err := a.source.Close(); err != nil {
			a.log.Warn("source does not close", "err", err)
		}
		a.source = nil
	}
}

func (a *app) startPicture() {
	src := a.source
	a.source = nil
	p := &picture{surface: src.Surface(), jobs: make(chan job, 1)}
	a.pic = p
	a.wg.Go(func() {
		for j := range p.jobs {
			result := encode(src, j)
			a.box.post(func(a *app) { a.onEncoded(p, result) })
		}
		if err := src.Close(); err != nil {
			a.log.Warn("source does not close", "err", err)
		}
	})
}

// stopPicture stops drawing at once; then the agent is told.
func (a *app) stopPicture(e consent.Event) {
	a.closeSource()
	if a.pic == nil {
		return
	}
	p := a.pic
	a.pic = nil
	close(p.jobs)
	a.out.say(Output{Event: "picture", State: "stopped", Frames: p.frames, Skipped: p.skipped}, "")
	if a.sess == nil || a.sess.Peer == nil || e == consent.EvEnded {
		return
	}
	cause := map[consent.Event]string{consent.EvClosed: "source_closed", consent.EvFailed: "failed"}[e]
	if cause == "" {
		cause = "stopped"
	}
	_ = a.sess.Peer.SendControl(protocol.ScreenStopped{Cause: cause}) // while the path is down the consent's state tells it
}

// tell reports a decision of the customer to the agent, through the server.
func (a *app) tell(state, cause string) {
	sentence := map[string]string{"on": "The agent sees the picture now. /stop ends it.", "off": "Nothing is shared now."}[state]
	a.out.say(Output{Event: "consent", State: state, Reason: cause}, sentence)
	a.told = protocol.ConsentState{Grant: "view", State: state, Cause: cause}
	if state == "on" {
		a.told.Surface = a.pic.surface
	}
	a.tellConsent()
	if state == "off" && a.sess.asked() && a.sess.Picture {
		a.decline()
	}
	if state == "off" && a.sess != nil && a.sess.By == "customer" && a.sess.state == "requested" {
		a.endSession("stopped") // it was asked for the picture alone
	}
}

// tellConsent sends what was told last, once the session has a name, and again after a rejoin.
func (a *app) tellConsent() {
	if a.sess == nil || a.sess.ID == "" || a.told.State == "" {
		return
	}
	a.told.Session = a.sess.ID
	_ = a.client.Notify(a.told) // repeated after a reconnect
}

// shareIfWanted is the customer's own click, as soon as it can be done.
func (a *app) shareIfWanted() {
	if a.wanted && a.conv.State == "claimed" && a.consent.State == consent.Off && (a.sess == nil || a.sess.Peer != nil) {
		a.step(consent.EvClick)
	}
}

func (a *app) onTick(now time.Time) {
	a.step(consent.EvTick)
	if !a.allowAt.IsZero() && !now.Before(a.allowAt) {
		a.allowAt = time.Time{}
		switch {
		case a.consent.Record == consent.Asked:
			a.step(consent.EvRecordAllow)
		case a.consent.State == consent.On:
			a.step(consent.EvExtend)
		default:
			a.step(consent.EvAllow)
		}
	}
	if s := a.sess; s != nil && !s.silentAt.IsZero() && !s.peerOnline && now.Sub(s.silentAt) >= a.o.gone {
		a.endSession("agent_ended")
	}
}

// pump asks for the next picture unless something holds it back: pictures are dropped before the encoder, never after.
func (a *app) pump(now time.Time) {
	p, s := a.pic, a.sess
	if p == nil || s == nil || s.Peer == nil || s.PeerState != peer.Connected || s.Paused || s.Codecs == nil {
		return
	}
	if !a.consent.Allows(now.UnixMilli()) { //guard:T22
		return
	}
	codec := a.codec(s.Codecs)
	if codec == "" {
		a.out.say(Output{Event: "error", Text: "no common image format"}, "The agent's viewer can show none of our image formats.")
		a.step(consent.EvFailed)
		return
	}
	if p.still != nil && !p.busy {
		p.busy = true
		p.jobs <- job{"image/png", p.still} // never waits, as below
		p.still = nil
		return
	}
	interval := time.Second / time.Duration(a.o.FPS)
	inFlight := 1 + int((s.Stats.RTT+interval*12/10+interval-1)/interval)
	if p.busy || len(p.unacked) >= inFlight || s.Peer.ScreenBuffered() > maxBuffered {
		p.skipped++
		return
	}
	p.busy = true
	p.jobs <- job{codec: codec} // never waits: busy says that the last one was taken
}

// codec picks the image format: the wanted one, else the smaller first for a pattern.
func (a *app) codec(decodable []string) string {
	for _, c := range []string{"image/png", "image/jpeg"} {
		if slices.Contains(decodable, c) && (a.o.Image == "auto" || c == "image/"+a.o.Image) {
			return c
		}
	}
	return ""
}

// encode runs on the encoder's goroutine.
func encode(src capture.Source, j job) encoded {
	out := encoded{job: j, captureMs: uint32(time.Now().UnixMilli())}
	img, err := src.Grab()
	if err != nil {
		out.err = err
		return out
	}
	out.width, out.height = img.Bounds().Dx(), img.Bounds().Dy()
	var b bytes.Buffer
	if j.codec == "image/png" {
		out.err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img)
	} else {
		out.err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 80})
	}
	out.data = b.Bytes()
	return out
}

// onEncoded sends a picture, if it still may be seen.
func (a *app) onEncoded(p *picture, e encoded) {
	p.busy = false
	s := a.sess
	if a.pic != p || s == nil || s.Peer == nil {
		return // stopped meanwhile
	}
	if e.err != nil {
		a.log.Error("picture failed", "err", e.err)
		if errors.Is(e.err, capture.ErrClosed) {
			a.step(consent.EvClosed)
		} else {
			a.step(consent.EvFailed)
		}
		return
	}
	if !a.consent.Allows(time.Now().UnixMilli()) { //guard:T22
		return
	}
	if e.still != nil {
		a.sendStill(e)
		return
	}
	number := s.nextFrame // of an encoded picture, sent or not
	s.nextFrame++
	config := protocol.ScreenConfig{Codec: e.codec, Width: e.width, Height: e.height, Surface: p.surface}
	if config != p.config {
		if s.Peer.SendControl(config) != nil {
			return
		}
		p.config = config
	}
	if err := s.Peer.SendFrame(protocol.Frame{Kind: protocol.FrameKey, Frame: number, CaptureMs: e.captureMs, Data: e.data}); err != nil {
		p.skipped++
		return
	}
	p.unacked = append(p.unacked, number)
	p.frames++
	if p.frames == 1 {
		a.out.say(Output{Event: "picture", State: "started"}, "")
	}
}
