// Lanes, as the agent's end sees them: it offers one when the other end can use it, puts frames together from the
// fragments, and reports what has arrived. One lane at a time; when it ends, another is offered.

package peer

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v4"

	"github.com/lookalong/lookalong/internal/sdppolicy"
	"github.com/lookalong/lookalong/protocol"
)

const (
	reportEvery      = 8 * time.Millisecond   // while fragments come
	reportIdle       = 25 * time.Millisecond  // between them, where something is missing or was of late
	reportCalm       = 75 * time.Millisecond  // where nothing is: more than a frame apart; the gap doubles
	reportIdleFor    = 500 * time.Millisecond // after the last fragment: the other end's clock for its last packets
	calmAfter        = 5 * time.Second        // without a gap
	laneRetry        = time.Second            // doubles up to laneRetryMax
	laneRetryMax     = 30 * time.Second
	laneLasted       = 10 * time.Second // a lane that was open for so long is replaced at once
	maxReportsBytes  = 16 << 10         // that the other end has not acknowledged
	maxBadFragments  = 50               // the next one ends the session
	maxLanesOffered  = 200
	keyframeInterval = 700 * time.Millisecond
)

// lanes is owned by the loop.
type lanes struct {
	wanted  bool // the other end said that it can
	number  int
	conn    *laneConn
	running bool // the answer has come
	channel *datachannel.DataChannel
	retryAt time.Time
	retry   time.Duration
	early   []string // candidates before the answer
	arrived int      // candidates
	frames  assembler
	packets tracker
	bad     int
	asked   [protocol.MaxStreams]time.Time // for a key frame
	timer   *time.Timer                    // of the next report
	began   time.Time
	opened  time.Time
}

// tracker knows which packets of a lane have arrived.
type tracker struct {
	known    bool
	newest   uint32
	arrived  time.Time
	before   [protocol.ReportPackets / 8]byte // as in protocol.Report
	reported time.Time
	due      bool      // a gap or a whole frame: report now
	gap      time.Time // when a packet was missing last
	received uint64
	lost     uint64 // passed over, as far as is known
}

// add notes a packet; false when it has come before.
func (t *tracker) add(n uint32, at time.Time) bool {
	if !t.known {
		t.known, t.newest, t.arrived = true, n, at
		t.received++
		return true
	}
	if d := int32(n - t.newest); d > 0 {
		t.shift(int(d))
		if d > 1 {
			t.lost += uint64(d - 1)
			t.due, t.gap = true, at
		}
		t.newest, t.arrived = n, at
	} else {
		i := -int(d) - 1
		if d == 0 || i >= protocol.ReportPackets || t.before[i/8]>>(i%8)&1 == 1 {
			return false
		}
		t.before[i/8] |= 1 << (i % 8)
		t.lost -= min(t.lost, 1)
		t.due = true
	}
	t.received++
	return true
}

// shift makes room for d newer packets, the last of which is the new newest.
func (t *tracker) shift(d int) {
	if d > protocol.ReportPackets {
		clear(t.before[:])
		return
	}
	var moved [protocol.ReportPackets / 8]byte
	for i := range protocol.ReportPackets - d {
		if t.before[i/8]>>(i%8)&1 == 1 {
			j := i + d
			moved[j/8] |= 1 << (j % 8)
		}
	}
	moved[(d-1)/8] |= 1 << ((d - 1) % 8) // the former newest
	t.before = moved
}

func (t *tracker) report(began, now time.Time) protocol.Report {
	held := min(now.Sub(t.arrived)/(100*time.Microsecond), 65535)
	return protocol.Report{Held: uint16(held), Newest: t.newest, Arrived: uint32(t.arrived.Sub(began) / (100 * time.Microsecond)), Before: t.before}
}

// laneControl takes a message about lanes.
func (p *Peer) laneControl(msg any) {
	l := &p.lanes
	switch m := msg.(type) {
	case protocol.LaneHello:
		if m.Version >= protocol.LanesVersion && p.cfg.Role == Offerer {
			l.wanted = true
			p.openLane(time.Now())
		}
	case protocol.LaneAnswer:
		if l.conn == nil || l.running || m.Lane != l.number {
			return
		}
		l.running = true
		conn := l.conn
		p.work.Go(func() {
			err := conn.run(m,
				func(c *datachannel.DataChannel) { p.box.post(laneUp{conn.number, c}, 0) },
				func(b []byte, at time.Time) { p.box.post(lanePacket{conn.number, b, at}, len(b)) })
			p.box.post(laneDown{conn.number, err}, 0)
		})
		early := l.early
		l.early = nil
		for _, c := range early {
			p.laneCandidate(c)
		}
	case protocol.LaneCandidate:
		if l.conn != nil && m.Lane == l.number {
			if l.arrived++; l.arrived > sdppolicy.MaxCandidates { //guard:T19
				return
			}
			if !l.running {
				l.early = append(l.early, m.Candidate)
				return
			}
			p.laneCandidate(m.Candidate)
		}
	case protocol.LaneClosed:
		if m.Lane == l.number {
			p.closeLane(time.Now())
		}
	}
}

func (p *Peer) laneCandidate(text string) {
	if err := sdppolicy.CheckCandidate(text, p.cfg.LoopbackOK); err != nil { //guard:T20
		p.log.Warn("lane: candidate left out", "err", err)
		return
	}
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(text, "candidate:"))
	if err == nil {
		err = p.lanes.conn.agent.AddRemoteCandidate(c)
	}
	if err != nil {
		p.log.Warn("lane: candidate not usable") // the error may quote it
	}
}

// openLane offers a lane, unless there is one or it is too early for the next.
func (p *Peer) openLane(now time.Time) {
	l := &p.lanes
	if !l.wanted || l.conn != nil || p.ended || p.State() != Connected || now.Before(l.retryAt) || l.number >= maxLanesOffered {
		return
	}
	l.number++
	number := l.number
	conn, err := p.newLaneConn(number, func(candidate string) { p.box.post(laneFound{number, candidate}, 0) })
	if err != nil {
		p.log.Warn("lane not possible", "err", err)
		p.laneLater(now)
		return
	}
	ufrag, pwd, err := conn.agent.GetLocalUserCredentials()
	if err == nil {
		err = p.send.control(protocol.LaneOffer{Lane: number, Ufrag: ufrag, Pwd: pwd, Fingerprint: fingerprintOf(conn.cert.Certificate[0])})
	}
	l.conn, l.running, l.arrived, l.early, l.began = conn, false, 0, nil, now
	if err != nil {
		p.log.Warn("lane not offered", "err", err)
		p.closeLane(now)
	}
}

// closeLane ends the lane; another one is offered later.
func (p *Peer) closeLane(now time.Time) {
	l := &p.lanes
	if l.conn == nil {
		return
	}
	conn := l.conn
	conn.cancel()
	p.work.Go(func() { _ = conn.agent.Close() }) // it waits for its own goroutines
	lasted := l.channel != nil && now.Sub(l.opened) > laneLasted
	l.conn, l.channel, l.running = nil, nil, false
	l.packets = tracker{}
	if p.laneLater(now); lasted {
		l.retryAt = now
	}
}

func (p *Peer) laneLater(now time.Time) {
	l := &p.lanes
	l.retry = min(max(2*l.retry, laneRetry), laneRetryMax)
	l.retryAt = now.Add(l.retry)
}

// laneTick looks at the lane's clocks.
func (p *Peer) laneTick(now time.Time) {
	l := &p.lanes
	if p.State() == Reconnecting && l.conn != nil {
		p.closeLane(now) // the network has changed: begin again with what remains
		l.retryAt, l.retry = now, 0
	}
	if l.conn != nil && l.channel == nil && now.Sub(l.began) > laneConnect {
		p.closeLane(now) // no answer, or no path
	}
	p.openLane(now)
	for _, stream := range l.frames.blocked(now) {
		p.needKey(stream, now)
	}
}

// needKey asks for a key frame of a stream whose chain is broken.
func (p *Peer) needKey(stream uint8, now time.Time) {
	if asked := &p.lanes.asked[stream]; now.Sub(*asked) >= keyframeInterval {
		*asked = now
		_ = p.send.control(protocol.ScreenKeyframe{Stream: int(stream)}) // asked again while it does not come
	}
}

type laneFound struct {
	number    int
	candidate string
}

func (e laneFound) apply(p *Peer) {
	if !p.ended && p.lanes.conn != nil && e.number == p.lanes.number && sdppolicy.CheckCandidate(e.candidate, p.cfg.LoopbackOK) == nil {
		_ = p.send.control(protocol.LaneCandidate{Lane: e.number, Candidate: e.candidate}) // without it another lane is tried
	}
}

type laneUp struct {
	number  int
	channel *datachannel.DataChannel
}

func (e laneUp) apply(p *Peer) {
	if l := &p.lanes; !p.ended && l.conn != nil && e.number == l.number {
		l.channel, l.retry, l.opened = e.channel, 0, time.Now()
		p.log.Info("lane open", "lane", e.number)
	}
}

type laneDown struct {
	number int
	err    error
}

func (e laneDown) apply(p *Peer) {
	if l := &p.lanes; l.conn != nil && e.number == l.number {
		if !p.ended && !errors.Is(e.err, io.EOF) {
			p.log.Info("lane closed", "lane", e.number, "err", e.err)
		}
		p.closeLane(time.Now())
		_ = p.send.control(protocol.LaneClosed{Lane: e.number}) // its end would see it too, later
	}
}

type lanePacket struct {
	number int
	data   []byte
	at     time.Time
}

func (e lanePacket) apply(p *Peer) {
	l := &p.lanes
	if p.ended || l.conn == nil || e.number != l.number {
		return
	}
	p.channels.bytes += uint64(len(e.data))
	f, payload, err := protocol.ParseFragment(e.data)
	if err == nil && l.packets.add(f.Packet, e.at) && f.Kind != protocol.FragmentProbe {
		var r result
		r, err = l.frames.fragment(f, payload, e.at)
		l.packets.due = l.packets.due || r.complete
		p.deliver(r, f.Stream, e.at)
	}
	if err != nil {
		if l.bad++; l.bad > maxBadFragments { //guard:T32
			p.bad("too many broken fragments")
		}
	}
}

// deliver hands on what an arrival brought.
func (p *Peer) deliver(r result, stream uint8, at time.Time) {
	if r.lost {
		p.needKey(stream, at)
	}
	for _, f := range r.frames {
		if p.cfg.OnFrame != nil {
			p.cfg.OnFrame(f, at.UnixMilli())
		}
	}
}

// laneReport tells the other end what has arrived, if that is due, and sets the clock for the next time.
func (p *Peer) laneReport(now time.Time) {
	l := &p.lanes
	t := &l.packets
	if p.ended || l.channel == nil || !t.known {
		return
	}
	every := reportEvery
	if quiet := now.Sub(t.arrived); quiet > reportEvery {
		every = reportIdle
		if l.frames.held == 0 && now.Sub(t.gap) > calmAfter {
			every = max(reportCalm, quiet/2)
		}
	}
	since := now.Sub(t.reported)
	if !t.due && since < every {
		l.timer.Reset(every - since)
		return
	}
	if now.Sub(t.arrived) > reportIdleFor {
		return // the next packet goes on
	}
	if l.channel.BufferedAmount() > maxReportsBytes { //guard:T32
		l.timer.Reset(reportIdle)
		return
	}
	t.due, t.reported = false, now
	r := t.report(l.began, now)
	_, _ = l.channel.Write(r.Encode()) // a lane that takes nothing will end
	l.timer.Reset(reportEvery)
}
