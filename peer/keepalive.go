// Signs of life on control: the round trip and the clocks' difference, silence, restarts, and the end.

package peer

import (
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/protocol"
)

const (
	samples     = 8       // of the round trip; the best one counts
	pendingPing = 16      // pings whose send time is remembered
	calm        = 1 << 10 // bytes waiting on control above which no more pings are added
)

// keepAlive is owned by the loop.
type keepAlive struct {
	began     time.Time // of connecting
	tried     int       // restarts since began, or since the silence
	heardAt   time.Time
	pathAt    time.Time // since when ICE has its path; zero while it has none
	pinged    time.Time
	statsAt   time.Time
	pings     int64
	sentAt    [pendingPing]time.Time
	clocks    []clockSample // the last few
	pathKnown string
}

type clockSample struct{ rtt, offset time.Duration }

func (a *keepAlive) begin(now time.Time) { a.heardAt, a.tried = now, 0 }

// onControl takes a message of the control channel.
func (p *Peer) onControl(e received) {
	msg, err := protocol.Decode(e.data, protocol.Peer)
	if err != nil {
		p.breach(err.Error())
		return
	}
	p.heard(e.at)
	switch m := msg.(type) {
	case protocol.PeerPing:
		_ = p.send.control(pong(m, e.at)) // a full channel is silence, which is watched
	case protocol.PeerPong:
		p.alive.onPong(m, e.at)
	case protocol.PeerBye:
		reason := m.Reason
		if !slices.Contains(protocol.EndReasons, reason) {
			reason = p.left()
		}
		p.end(reason, false)
	case protocol.LaneHello, protocol.LaneAnswer, protocol.LaneCandidate, protocol.LaneClosed:
		p.laneControl(msg)
	case protocol.LaneOffer: // for the customer's end, and this program's offers none
	case protocol.Unknown, protocol.DirectHello, protocol.DirectMessage, protocol.DirectAck: // a newer program's, or one that belongs elsewhere
	default:
		if p.cfg.OnControl != nil {
			p.cfg.OnControl(msg)
		}
	}
}

// heard notes a sign of life.
func (p *Peer) heard(at time.Time) {
	a := &p.alive
	if at.After(a.heardAt) {
		a.heardAt = at
	}
	a.tried = 0
	p.step(heard, "")
}

func pong(m protocol.PeerPing, at time.Time) protocol.PeerPong {
	return protocol.PeerPong{N: m.N, SentMs: m.SentMs, AtMs: at.UnixMilli()}
}

// settling: ICE has found a path and the data is about to come, when SCTP's timers (3 s in a browser) run out.
// Another restart would take the path away again.
func (p *Peer) settling(now time.Time) bool {
	at := p.alive.pathAt
	return p.State() == Reconnecting && !at.IsZero() && now.Sub(at) < p.cfg.Timers.Settle
}

// onPong learns from an answer to one of the last pings; any other is ignored.
func (a *keepAlive) onPong(m protocol.PeerPong, at time.Time) {
	if m.N <= a.pings-pendingPing || m.N > a.pings {
		return
	}
	slot := &a.sentAt[m.N%pendingPing]
	if slot.IsZero() {
		return
	}
	rtt := at.Sub(*slot)
	middle := slot.Add(rtt / 2)
	*slot = time.Time{}
	a.clocks = append(a.clocks, clockSample{rtt, middle.Sub(time.UnixMilli(m.AtMs))})
	if len(a.clocks) > samples {
		a.clocks = a.clocks[1:]
	}
}

// best returns the sample with the shortest round trip: its offset has the smallest error (NTP's filter).
func (a *keepAlive) best() clockSample {
	if len(a.clocks) == 0 {
		return clockSample{}
	}
	return slices.MinFunc(a.clocks, func(x, y clockSample) int { return int(x.rtt - y.rtt) })
}

// onTick looks at the clocks.
func (p *Peer) onTick(now time.Time) {
	a, t := &p.alive, p.cfg.Timers
	if p.ended {
		return
	}
	p.renewServers()
	switch p.State() {
	case Connecting:
		if a.began.IsZero() {
			a.began = now
		}
		waited := now.Sub(a.began)
		if waited >= t.Connect {
			p.log.Info("peer session ends: no path was found")
			p.end("failed", false)
			return
		}
		if waited >= time.Duration(a.tried+1)*t.ConnectRetry {
			a.tried++
			p.restart()
		} else if p.iceGaveUp() {
			p.restart()
		}
		return
	case Connected, Reconnecting:
	default:
		return
	}
	if p.pc.ICEConnectionState() != webrtc.ICEConnectionStateConnected {
		a.pathAt = time.Time{}
	} else if a.pathAt.IsZero() {
		a.pathAt = now
	}
	p.laneTick(now)
	silence := now.Sub(a.heardAt)
	if silence >= t.Lost {
		p.end("lost", false)
		return
	}
	if p.State() == Connected && silence >= t.Silent {
		p.step(silent, "")
	}
	due := 0
	for due < len(t.Restarts) && silence >= t.Restarts[due] {
		due++
	}
	if due > a.tried && !p.settling(now) {
		a.tried = due
		p.restart()
	} else if p.State() == Reconnecting && p.iceGaveUp() {
		p.restart()
	}
	if now.Sub(a.pinged) >= t.Ping && p.send.buffered(protocol.ChannelControl) <= calm {
		a.pinged = now
		a.pings++
		a.sentAt[a.pings%pendingPing] = time.Now()
		_ = p.send.control(protocol.PeerPing{N: a.pings, SentMs: now.UnixMilli()}) // a full channel is silence, which is watched
	}
	if now.Sub(a.statsAt) >= t.Stats {
		a.statsAt = now
		p.report()
	}
}

// iceGaveUp: pion has dropped its candidates after ICEDisconnected and ICEFailed, so without another restart nobody
// would see the path come back before the next one is due. An offer that waits for its answer is left alone.
func (p *Peer) iceGaveUp() bool {
	return p.cfg.Role == Offerer && p.pc.ICEConnectionState() == webrtc.ICEConnectionStateFailed &&
		p.pc.SignalingState() == webrtc.SignalingStateStable
}

// report tells the path when it changes, and the numbers.
func (p *Peer) report() {
	a := &p.alive
	path := p.path()
	if path != "" && path != a.pathKnown && p.State() == Connected {
		a.pathKnown = path
		if p.cfg.OnPath != nil {
			p.cfg.OnPath(path)
		}
	}
	if p.cfg.OnStats != nil {
		best := a.best()
		p.cfg.OnStats(Stats{RTT: best.rtt, ClockOffset: best.offset, Path: path, BytesIn: p.channels.bytes, BytesOut: p.send.bytes.Load(),
			Lane: p.lanes.running, LaneReceived: p.lanes.packets.received, LaneLost: p.lanes.packets.lost,
			CopiesFirst: p.copies.first})
	}
}
