// What the agent may keep of the picture: lossless stills of it, and a recording that the customer allows.

package share

import (
	"fmt"
	"time"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/protocol"
)

// askRecord shows the agent's question.
func (a *app) askRecord(agent string, now time.Time) {
	a.out.say(Output{Event: "asked", State: "record", Name: agent},
		fmt.Sprintf("Agent “%s” asks to record what you show. The recording stays with the agent. Answer /allow or /deny.", agent))
	switch {
	case a.o.AcceptRecord:
		a.allowAt = now.Add(consent.ArmMs * time.Millisecond) // as for the picture
	case !a.out.s.CanPrompt:
		a.follow = append(a.follow, consent.EvRecordDeny) // nobody is there to ask
	}
}

// tellRecord reports what the customer decided: to the agent's end, which records on that word alone, and to the server.
func (a *app) tellRecord(state, cause string) {
	now := time.Now().UnixMilli()
	sentence := map[string]string{
		"on":  "REC: the agent records what you show. /norecord ends that, /stop everything.",
		"off": "Nothing is recorded now.",
	}[state]
	if state != "asked" {
		a.out.say(Output{Event: "recording", State: state, Reason: cause}, sentence)
	}
	if a.sess == nil || a.sess.ID == "" {
		return
	}
	if state != "asked" && a.sess.Peer != nil {
		_ = a.sess.Peer.SendControl(protocol.RecordState{On: a.consent.Records(now), AtMs: now}) // with the path the recording ends too //guard:T22
	}
	_ = a.client.Notify(protocol.ConsentState{Session: a.sess.ID, Grant: "record", State: state, Cause: cause}) // the agent knows from the peer
}

// wantStill takes the agent's wish for a lossless picture; it is made under the consent to be seen, like any other.
func (a *app) wantStill(m protocol.ScreenStill) {
	if a.pic == nil || m.Stream != 0 || !a.consent.Allows(time.Now().UnixMilli()) { //guard:T22
		a.refuseStill(m, "off")
		return
	}
	a.pic.still = &m
}

// sendStill sends a still that was made; the caller has asked the consent.
func (a *app) sendStill(p *picture, e encoded) {
	rate := p.pace.rate()
	switch {
	case len(e.data) > protocol.MaxFrameBytes:
		e.refused = "large"
	case e.still.Auto && rate > 0 && float64(len(e.data))/rate > autoStill.Seconds():
		e.refused = "slow"
	}
	if e.refused != "" {
		a.refuseStill(*e.still, e.refused)
		return
	}
	last := a.sess.nextFrame - 1 // the frame that it replaces
	if err := a.sess.Peer.SendFrame(protocol.Frame{Kind: protocol.FrameStill, Frame: last, CaptureMs: e.captureMs, Data: e.data}); err != nil {
		a.refuseStill(*e.still, "failed")
	}
}

func (a *app) refuseStill(m protocol.ScreenStill, why string) {
	_ = a.sess.Peer.SendControl(protocol.ScreenRefused{ID: m.ID, Stream: m.Stream, Why: why}) // the agent's patience ends too
}
