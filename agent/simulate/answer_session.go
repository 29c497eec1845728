package simulate

// The answering agent's end of peer sessions: it says yes to customers or asks them, reads the numbers of their
// pictures back, and confirms direct messages.

import (
	"bytes"
	"errors"
	"image"
	_ "image/jpeg" // the formats of the pictures; png comes with picture.go
	"time"

	"github.com/lookalong/lookalong/internal/pattern"
	"github.com/lookalong/lookalong/internal/peersession"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// undecoded is how many pictures may wait for being read; what comes beyond is not read, and not acknowledged as
// painted.
const undecoded = 4

// agentEnd is the answering agent's end of one session.
type agentEnd struct {
	id     protocol.SessionID
	peer   *peer.Peer
	path   string
	frames chan *protocol.Frame // capacity undecoded; closed when the peer has ended
}

// ask asks a customer for a session.
func (a *answerer) ask(d *desk, picture bool) {
	a.client.Ask(protocol.SessionRequest{Conversation: d.id, Picture: picture}, func(reply any, err error) {
		a.post(func() {
			var user *protocol.UserError
			if st, ok := reply.(protocol.SessionState); ok {
				a.onSession(st)
			} else if errors.As(err, &user) && user.Code != protocol.CodeSession { // the customer was first
				a.r.tally.refused(user.Code)
			}
		})
	})
}

func (a *answerer) onSessionMessage(msg any) {
	switch m := msg.(type) {
	case protocol.SessionState:
		a.onSession(m)
	case protocol.SessionAnswer:
		if p := a.peerOf(m.Session); p != nil {
			p.Answer(m.SDP)
		}
	case protocol.SessionCandidate:
		if p := a.peerOf(m.Session); p != nil {
			p.Candidate(m)
		}
	case protocol.SessionRestart:
		if p := a.peerOf(m.Session); p != nil {
			p.RestartRequested()
		}
	}
}

func (a *answerer) peerOf(id protocol.SessionID) *peer.Peer {
	for _, d := range a.desks { // at most MaxSessions
		if d.sess != nil && d.sess.id == id {
			return d.sess.peer
		}
	}
	return nil
}

func (a *answerer) onSession(m protocol.SessionState) {
	d := a.desks[m.Conversation]
	if d == nil || !d.mine {
		return
	}
	ours := d.sess != nil && d.sess.id == m.Session
	switch {
	case m.State == "ended":
		if ours {
			a.hangUp(d, m.Reason)
		}
		if m.By == "agent" && m.Reason == "left" && !d.c.leaving.Load() { // cut while it was asked
			a.ask(d, m.Picture)
		}
	case m.State == "requested" && m.By == "customer":
		a.client.Ask(protocol.SessionAccept{Session: m.Session}, func(reply any, err error) {
			a.post(func() {
				if st, ok := reply.(protocol.SessionState); ok {
					a.onSession(st)
				} // else it is over, or another program of this agent was first
			})
		})
	case m.State == "requested" || !m.Bound:
	case !ours:
		a.hangUp(d, "lost") // one of before, if there is one
		a.startPeer(d, m)
	case m.ICEServers != nil:
		d.sess.peer.UpdateICE(m.ICEServers)
	}
}

// hangUp lets a session's peer go.
func (a *answerer) hangUp(d *desk, reason string) {
	if d.sess != nil {
		d.sess.peer.Close(reason)
		d.sess = nil
	}
}

func (a *answerer) rejoin(d *desk) {
	s := d.sess
	a.client.Ask(protocol.SessionRejoin{Session: s.id}, func(reply any, err error) {
		a.post(func() {
			var user *protocol.UserError
			if st, ok := reply.(protocol.SessionState); ok {
				a.onSession(st)
			} else if errors.As(err, &user) && d.sess == s {
				a.hangUp(d, "lost")
			}
		})
	})
}

func (a *answerer) startPeer(d *desk, m protocol.SessionState) {
	s := &agentEnd{id: m.Session, frames: make(chan *protocol.Frame, undecoded)}
	var p *peer.Peer
	p, err := peer.New(peer.Config{
		Role: peer.Offerer, ICEServers: m.ICEServers, RelayOnly: m.RelayOnly, LoopbackOK: m.LoopbackOK,
		Signaler: peersession.Signaler{To: a.client, ID: m.Session}, Log: a.r.o.Log,
		OnState: func(st peer.State, reason string) {
			if st == peer.Connected {
				_ = p.SendControl(protocol.ScreenCodecs{Decodable: []string{"image/png", "image/jpeg"}}) // lost with the session
			}
			a.post(func() { a.onPeer(d, s, st, reason) })
		},
		OnPath: func(path string) {
			a.post(func() {
				s.path = path
				a.report(s, "connected")
			})
		},
		OnDirect: func(msg any) {
			if m, ok := msg.(protocol.DirectMessage); ok {
				_ = p.SendDirect(protocol.DirectAck{ID: m.ID}) // lost with the path; the customer sees it unconfirmed
				_ = p.SendDirect(protocol.DirectMessage{ID: client.NewID(), Text: answers[0], At: time.Now().UTC()})
			}
		},
		OnFrame: func(f *protocol.Frame, receivedMs int64) {
			_ = p.SendControl(protocol.ScreenFeedback{Frame: f.Frame, ReceivedMs: receivedMs}) // the next one tells as much
			select {
			case s.frames <- f:
			default: // not read; the customer sees it unpainted
			}
		},
	})
	if err != nil {
		a.r.tally.failed("peer")
		return
	}
	s.peer = p
	d.sess = s
	a.work.Go(func() {
		_ = p.Run(a.ctx) // onPeer hears that it could not start
		close(s.frames)
	})
	a.work.Go(func() { a.look(s) })
}

func (a *answerer) onPeer(d *desk, s *agentEnd, st peer.State, reason string) {
	switch {
	case d.sess != s:
	case st == peer.Connected:
		a.report(s, "connected")
	case st == peer.Reconnecting:
		a.report(s, "reconnecting")
	case st == peer.Ended:
		d.sess = nil
		a.client.Ask(protocol.SessionEnd{Session: s.id, Reason: "agent_ended"}, func(any, error) {}) // it may know
	}
}

func (a *answerer) report(s *agentEnd, state string) {
	_ = a.client.Notify(protocol.SessionReport{Session: s.id, State: state, Path: s.path}) // the next change says more
}

// look reads the numbers of a session's pictures back, in order.
func (a *answerer) look(s *agentEnd) {
	var last numbering
	for f := range s.frames {
		n, err := readNumber(f.Data)
		if err != nil || !last.follows(f.Frame, n) {
			a.r.tally.count(func(c *Counts) { c.PicturesBad++ })
			continue
		}
		_ = s.peer.SendControl(protocol.ScreenFeedback{Frame: f.Frame, ReceivedMs: time.Now().UnixMilli(), DecodedMs: time.Now().UnixMilli()}) // as above
	}
}

// numbering follows the numbers of pictures and of their frames; both count up together, and the pictures of a new
// share begin at 0.
type numbering struct {
	any    bool
	frame  uint32
	number uint16
}

func (l *numbering) follows(frame uint32, number uint16) bool {
	ok := !l.any || number == 0 && frame > l.frame || frame > l.frame && number-l.number == uint16(frame-l.frame)
	*l = numbering{true, frame, number}
	return ok
}

func readNumber(data []byte) (uint16, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	if c.Width > pattern.MaxSide || c.Height > pattern.MaxSide { // before it is unpacked
		return 0, pattern.ErrNone
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	return pattern.Read(img)
}
