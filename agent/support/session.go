package support

// What the server and the peer say, and what follows from it. Everything here runs on the controller's goroutine.

import (
	"time"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// handle takes a message of the server.
func (c *Controller) handle(msg any) {
	switch m := msg.(type) {
	case protocol.SessionState:
		c.onSession(m)
	case protocol.ConsentState:
		switch {
		case m.Session != c.status.Session || !c.status.Live():
		case m.Grant == "record":
			c.onRecordConsent(m)
		default:
			c.onConsent(m)
		}
	case protocol.SessionAnswer:
		if p := c.peerOf(m.Session); p != nil {
			p.Answer(m.SDP)
		}
	case protocol.SessionCandidate:
		if p := c.peerOf(m.Session); p != nil {
			p.Candidate(m)
		}
	case protocol.SessionRestart:
		if p := c.peerOf(m.Session); p != nil {
			p.RestartRequested()
		}
	}
}

func (c *Controller) peerOf(id protocol.SessionID) *peer.Peer {
	if id != c.status.Session {
		return nil
	}
	return c.peer
}

func (c *Controller) onSession(m protocol.SessionState) {
	if m.Conversation != c.cfg.Conversation {
		return
	}
	mine := m.Session == c.status.Session
	switch {
	case m.State == "ended":
		if mine && c.status.Live() {
			c.ended(m.Reason)
		}
	case m.State == "requested" && m.By == "customer" && !(mine && c.status.Live()):
		if c.status.Live() {
			return // the server allows one at a time; ours is about to be told that it ended
		}
		c.begin(m)
		c.accept(m.Session)
	case !m.Bound:
		// Another program of this agent has it; or ours does and this is on the way to another socket.
	case !mine || !c.status.Live():
		c.begin(m)
		c.follow(m)
	default:
		c.follow(m)
	}
}

// begin makes m the session of this controller.
func (c *Controller) begin(m protocol.SessionState) {
	c.status = Status{Session: m.Session, State: m.State, By: m.By, Picture: m.Picture, View: "off"}
	c.offDue = false
	c.clearPicture()
}

// clearPicture takes the last picture away from the viewer.
func (c *Controller) clearPicture() {
	c.endRecord("ended", RecordRefused("ended"))
	for i := range c.flows {
		c.noStill(uint8(i), "off")
		c.flows[i].reset()
	}
	c.status.Level = ""
	if v := c.theViewer(); v != nil {
		v.Reset()
	}
}

// accept says yes to the customer's own request.
func (c *Controller) accept(id protocol.SessionID) {
	c.cfg.Signaling.Ask(protocol.SessionAccept{Session: id}, func(reply any, err error) {
		c.post(func(c *Controller) {
			if st, ok := reply.(protocol.SessionState); ok {
				c.handle(st)
				return
			}
			if c.status.Session == id && c.status.State == "requested" {
				c.status = Status{} // another program of this agent was first, or it is over
			}
		})
	})
}

// follow takes the state of our own session: it starts the peer, or renews its servers.
func (c *Controller) follow(m protocol.SessionState) {
	if m.State == "requested" {
		c.status.State = m.State
		return
	}
	if c.peer != nil {
		if m.ICEServers != nil {
			c.peer.UpdateICE(m.ICEServers)
		}
		return // the peer knows its state better than the server
	}
	c.startPeer(m)
}

func (c *Controller) startPeer(m protocol.SessionState) {
	id := m.Session
	var p *peer.Peer
	gate := &gate{}
	// The callbacks come from the peer's goroutine; each posts to this controller and names its peer, so that a
	// late one of an older peer changes nothing.
	post := func(fn func(*Controller)) {
		c.post(func(c *Controller) {
			if c.peer == p {
				fn(c)
			}
		})
	}
	p, err := peer.New(peer.Config{
		Role: peer.Offerer, ICEServers: m.ICEServers, RelayOnly: m.RelayOnly, LoopbackOK: m.LoopbackOK,
		Signaler: signaler{c.cfg.Signaling, id, c.decodable()}, Log: c.cfg.Log, Net: c.cfg.Net,
		OnState: func(s peer.State, reason string) { post(func(c *Controller) { c.onPeer(s, reason) }) },
		OnControl: func(msg any) {
			c.heardRecord(msg)
			early := gate.control(msg)
			post(func(c *Controller) { c.onControl(msg) })
			for _, f := range early {
				c.show(p, gate, f, time.Now().UnixMilli())
			}
		},
		OnDirect: func(msg any) {
			if d, ok := msg.(protocol.DirectMessage); ok {
				_ = p.SendDirect(protocol.DirectAck{ID: d.ID}) // lost with the path; the customer sees it unconfirmed
			}
			post(func(c *Controller) { c.onDirect(msg) })
		},
		OnFrame: func(f *protocol.Frame, receivedMs int64) { c.onFrame(p, gate, f, receivedMs) },
		OnStats: func(s peer.Stats) {
			post(func(c *Controller) {
				c.status.RTT, c.status.Offset = s.RTT, s.ClockOffset
				c.loss.add(s)
			})
		},
		OnPath: func(path string) {
			post(func(c *Controller) { c.status.Path = path; c.report() })
		},
	})
	if err != nil {
		c.cfg.Log.Error("peer cannot start", "session", string(id), "err", err)
		c.end("failed")
		return
	}
	c.peer, c.status.State, c.loss = p, "connecting", loss{}
	for i := range c.flows {
		c.flows[i].reset()
	}
	c.peers.Go(func() {
		if err := p.Run(c.ctx); err != nil {
			c.cfg.Log.Error("peer failed", "session", string(id), "err", err)
		}
	})
}

// onPeer follows the peer's state.
func (c *Controller) onPeer(s peer.State, reason string) {
	switch s {
	case peer.Connected:
		c.status.State = "connected"
		c.report()
		c.sendCodecs()
	case peer.Reconnecting:
		c.status.State = "reconnecting"
		c.report()
	case peer.Ended:
		c.sayEnd(reason)
		c.ended(reason)
	}
}

func (c *Controller) report() {
	if c.status.State == "connected" || c.status.State == "reconnecting" {
		_ = c.cfg.Signaling.Notify(protocol.SessionReport{Session: c.status.Session, State: c.status.State, Path: c.status.Path})
	}
}

func (c *Controller) onConsent(m protocol.ConsentState) {
	if c.offDue && m.State == "off" && c.status.View == "asked" {
		c.offDue = false // the end of the picture before; the question came after it
		return
	}
	c.status.View, c.status.Cause, c.status.Surface = m.State, "", ""
	switch m.State {
	case "on":
		c.status.Surface = m.Surface
	case "off":
		c.status.Cause = m.Cause
		c.status.Frames = false
		if !c.offDue { // the path is broken, so that nothing else told it
			c.clearPicture()
		}
	}
	c.offDue = false
}

// onControl takes a message of the customer's end.
func (c *Controller) onControl(msg any) {
	switch m := msg.(type) {
	case protocol.ScreenConfig:
		c.onConfig(m)
	case protocol.ScreenRemoved:
		c.onRemoved(m.Stream)
	case protocol.ScreenLevel:
		c.onLevel(m)
	case protocol.ScreenRefused:
		c.onRefused(m)
	case protocol.RecordState:
		c.onRecord(m)
	case protocol.ScreenStopped:
		c.clearPicture()
		c.status.Frames = false
		if c.status.View != "asked" { // else it was told, and the agent has asked again
			c.status.View, c.status.Cause = "off", m.Cause
			c.offDue = true
		}
	}
}

func (c *Controller) onDirect(msg any) {
	switch m := msg.(type) {
	case protocol.DirectMessage:
		c.cfg.OnDirect(m)
	case protocol.DirectAck:
		c.cfg.OnDirectAck(m.ID)
	}
}

// end ends the live session from here: the peer hears it first, then the server.
func (c *Controller) end(reason string) {
	if !c.status.Live() {
		return
	}
	c.sayEnd(reason)
	c.ended(reason)
}

// sayEnd tells the server; it may know already.
func (c *Controller) sayEnd(reason string) {
	switch reason {
	case "stopped", "refused", "left", "failed", "lost", "agent_ended", "not_possible":
	default:
		reason = "agent_ended"
	}
	c.cfg.Signaling.Ask(protocol.SessionEnd{Session: c.status.Session, Reason: reason}, func(any, error) {})
}

// ended notes that the session is over, and lets the peer go.
func (c *Controller) ended(reason string) {
	if c.peer != nil {
		c.peer.Close(reason)
		c.peer = nil
	}
	c.endRecord("lost", RecordRefused("ended"))
	c.noViewer = false
	c.clearPicture()
	c.status.State, c.status.Reason, c.status.View = "ended", reason, "off"
	c.status.Frames = false
	c.status.RTT = 0
}

// signaler sends the peer's messages through the server. What can't be sent now is lost; the next ICE restart
// repairs it.
type signaler struct {
	to        Signaling
	id        protocol.SessionID
	decodable []string // when the session began
}

func (s signaler) SendOffer(sdp string) {
	_ = s.to.Notify(protocol.SessionOffer{Session: s.id, SDP: sdp, Decodable: s.decodable})
}
func (s signaler) SendAnswer(string) {} // only the agent offers
func (s signaler) SendRestart()      {} // only the customer asks for one
func (s signaler) SendCandidate(c protocol.SessionCandidate) {
	c.Session = s.id
	_ = s.to.Notify(c)
}
