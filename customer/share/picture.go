// The picture: the consent's effects, and the encoder that draws, compresses and hands frames back to the loop.

package share

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// autoStill is how long a still that nobody asked for may keep the path busy, as in a browser's share.
const autoStill = 3 * time.Second

// picture is a running share. Owned by the loop, but for the source, which its encoder goroutine owns.
type picture struct {
	surface string
	jobs    chan job // capacity 1: one picture is drawn at a time
	busy    bool
	still   *protocol.ScreenStill // asked for, and not begun
	due     time.Time             // of the next picture
	must    bool                  // the next is sent though nothing has changed
	pace    pace
	config  protocol.ScreenConfig
	frames  int64
	skipped int64
}

// anew begins again: the path was away, or a viewer has nothing to show.
func (p *picture) anew() {
	p.pace.forget()
	p.must = true
}

// missed counts the pictures that were due up to now and have not been taken.
func (p *picture) missed(now time.Time, interval time.Duration) {
	if late := now.Sub(p.due); !p.due.IsZero() && late > 0 {
		p.skipped += int64(late / interval)
	}
}

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
	p := &picture{surface: src.Surface(), jobs: make(chan job, 1), must: true}
	a.pic = p
	a.wg.Go(func() {
		c := newEncoder(src)
		for j := range p.jobs {
			result := c.encode(j)
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
	p.missed(time.Now(), a.interval())
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

// interval is the time from picture to picture, at least.
func (a *app) interval() time.Duration { return time.Second / time.Duration(a.o.FPS) }

// pump asks for the next picture unless something holds it back: pictures are dropped before the encoder, never after.
// It returns when it wants to be called again.
func (a *app) pump(now time.Time) time.Duration {
	p, s, interval := a.pic, a.sess, a.interval()
	if p == nil {
		return interval
	}
	if s == nil || s.Peer == nil || s.PeerState != peer.Connected || s.Paused || s.Codecs == nil || !a.consent.Allows(now.UnixMilli()) { //guard:T22
		p.due = time.Time{} // none is
		return interval
	}
	formats := a.formats(s.Codecs)
	if len(formats) == 0 {
		a.out.say(Output{Event: "error", Text: "no common image format"}, "The agent's viewer can show none of our image formats.")
		a.step(consent.EvFailed)
		return interval
	}
	if p.due.IsZero() {
		p.due = now
	}
	switch {
	case p.busy:
		return retry
	case p.still != nil:
		p.busy = true
		p.jobs <- job{still: p.still} // never waits, as below
		p.still = nil
		return retry
	case now.Before(p.due):
		return p.due.Sub(now)
	}
	p.pace.rtt = s.Stats.RTT
	if wait := p.pace.wait(s.Peer.ScreenBuffered(), interval); wait > 0 {
		return wait
	}
	p.missed(now, interval)
	p.due = p.due.Add(interval)
	if p.due.Before(now) {
		p.due = now
	}
	p.busy = true
	p.jobs <- job{formats: formats, budget: p.pace.budget(), must: p.must} // never waits: busy says that the last one was taken
	p.must = false
	return max(retry, p.due.Sub(now))
}

// formats are the image formats that may be used: of the wanted ones, those that the viewer shows.
func (a *app) formats(decodable []string) []string {
	var out []string
	for _, c := range []string{formatPNG, formatJPEG} {
		if slices.Contains(decodable, c) && (a.o.Image == "auto" || c == "image/"+a.o.Image) {
			out = append(out, c)
		}
	}
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
		a.sendStill(p, e)
		return
	}
	if e.same {
		return
	}
	p.pace.lead = e.took
	number := s.nextFrame // of an encoded picture, sent or not
	s.nextFrame++
	config := protocol.ScreenConfig{Codec: e.codec, Width: e.width, Height: e.height, Surface: p.surface}
	if config != p.config {
		if s.Peer.SendControl(config) != nil {
			p.must = true
			return
		}
		p.config = config
	}
	if err := s.Peer.SendFrame(protocol.Frame{Kind: protocol.FrameKey, Frame: number, CaptureMs: e.captureMs, Data: e.data}); err != nil {
		p.skipped++
		p.must = true
		return
	}
	p.pace.add(number, len(e.data), time.Now())
	p.frames++
	if p.frames == 1 {
		a.out.say(Output{Event: "picture", State: "started"}, "")
	}
}
