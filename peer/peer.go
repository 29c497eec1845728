// Package peer is one WebRTC peer of a support session: data channels over pion, negotiated through a
// Signaler, kept alive and brought back by ICE restarts, and a lane for the picture. One goroutine (Run) owns the PeerConnection; pion's
// callbacks and other goroutines only post events to it.
package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/protocol"
)

// Role says which end of the session a Peer is.
type Role int

// The roles. Only the Offerer, the agent's end, makes offers.
const (
	Offerer  Role = iota // the agent
	Answerer             // the customer
)

// Signaler carries session messages to the other end. Calls come from the loop goroutine, in order, and must not
// block: implementations enqueue. A message that can't be delivered may be lost; the next restart repairs it.
type Signaler interface {
	SendOffer(sdp string)
	SendAnswer(sdp string)
	SendCandidate(c protocol.SessionCandidate) // without Type and Session
	SendRestart()
}

// Timers are the durations of a session; the zero value of each field means its default. Tests shorten them.
type Timers struct {
	Ping         time.Duration   // between keep-alives; default 1 s
	Silent       time.Duration   // without a control message until Reconnecting; default 3 s
	Restarts     []time.Duration // of silence at which ICE restarts; default 3, 6, then every 12 s from 12 on
	Lost         time.Duration   // of silence until Ended("lost"); default 120 s
	Connect      time.Duration   // until a session that never opened is Ended("failed"); default 30 s
	ConnectRetry time.Duration   // between tries while connecting; default 10 s
	RestartGap   time.Duration   // in which a second request for a restart is ignored; default 2 s
	Settle       time.Duration   // that a path found after a silence has until the data comes; default 6 s
	Bye          time.Duration   // that a goodbye may take to get through; default 1 s
	Stats        time.Duration   // between OnStats calls; default 1 s

	ICEDisconnected, ICEFailed, ICEKeepAlive time.Duration // pion's; default 3 s, 15 s, 1 s (design 0)
}

func (t *Timers) defaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Ping, time.Second}, {&t.Silent, 3 * time.Second}, {&t.Lost, 120 * time.Second},
		{&t.Connect, 30 * time.Second}, {&t.ConnectRetry, 10 * time.Second}, {&t.RestartGap, 2 * time.Second},
		{&t.Settle, 6 * time.Second}, {&t.Bye, time.Second}, {&t.Stats, time.Second},
		{&t.ICEDisconnected, 3 * time.Second}, {&t.ICEFailed, 15 * time.Second}, {&t.ICEKeepAlive, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if t.Restarts == nil {
		for _, s := range []int{3, 6, 12, 24, 36, 48, 60, 72, 84, 96, 108} {
			t.Restarts = append(t.Restarts, time.Duration(s)*time.Second)
		}
	}
}

// tick is how often the loop looks at its clocks.
func (t *Timers) tick() time.Duration {
	return max(min(t.Ping, t.Silent, t.Stats)/10, 5*time.Millisecond)
}

// Stats describes the session at one moment.
type Stats struct {
	RTT         time.Duration // of a keep-alive, the best of the last few; 0 = not measured yet
	ClockOffset time.Duration // this side's clock minus the other side's (NTP style)
	Path        string        // "direct", "relay", or "" while there is none
	BytesIn     uint64        // payload received on all channels
	BytesOut    uint64        // payload sent on all channels

	Lane                   bool   // the picture has a connection of its own
	LaneReceived, LaneLost uint64 // of its packets, those that came and those passed over

	CopiesFirst uint64 // direct messages and receipts that a copy brought before the path's repair did
}

// Config describes a Peer. The callbacks run on the loop goroutine, in order, and must not block; nil is allowed.
type Config struct {
	Role       Role
	ICEServers []protocol.ICEServer
	RelayOnly  bool     // use relay candidates alone
	LoopbackOK bool     // a local installation: loopback candidates are gathered and accepted
	Signaler   Signaler // required
	Log        *slog.Logger
	Timers     Timers

	OnState   func(state State, reason string)              // reason is one of protocol.EndReasons, with Ended
	OnControl func(msg any)                                 // messages of the control channel other than ping, pong and bye
	OnDirect  func(msg any)                                 // protocol.DirectMessage, protocol.DirectAck
	OnFrame   func(frame *protocol.Frame, receivedMs int64) // whole frames, in order; receivedMs is Unix time
	OnStats   func(Stats)                                   // every Timers.Stats from Connected on
	OnPath    func(path string)                             // "direct" or "relay", when it is first known and at each change
	Net       transport.Net                                 // tests: a virtual network; nil is the real one
	Settings  func(*webrtc.SettingEngine)                   // benchmarks: changes pion's settings after this package has; nil leaves them
}

// Errors of the Send functions.
var (
	ErrNotConnected = errors.New("peer: the session is not connected")
	ErrTooLarge     = fmt.Errorf("peer: a message is larger than %d bytes", protocol.MaxChannelBytes)
	ErrBuffered     = errors.New("peer: too much is waiting to be sent")
	ErrRate         = errors.New("peer: too many direct messages in a short time")
)

// Peer is one end of a session. All methods other than Run may be called from any goroutine and never block.
type Peer struct {
	cfg   Config
	log   *slog.Logger
	box   *mailbox
	state atomic.Int32 // State; written by the loop alone
	send  sender

	// Owned by the loop.
	pc           *webrtc.PeerConnection
	ended        bool
	hush         time.Time // when to stop waiting for the goodbye to get through
	closedByPeer bool
	channels     inbound
	nego         negotiation
	alive        keepAlive
	lanes        lanes
	copies       copies
	work         sync.WaitGroup // lanes' goroutines
}

// New checks cfg and makes a Peer; nothing starts before Run.
func New(cfg Config) (*Peer, error) {
	if cfg.Signaler == nil {
		return nil, errors.New("peer: config without a signaler")
	}
	cfg.Timers.defaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Peer{cfg: cfg, log: cfg.Log, box: newMailbox()}
	p.send.init(p.box)
	return p, nil
}

// Run connects, keeps the session until it ends, and returns when everything that it started has ended. The error
// says that it could not start at all (OnState is told too); an ended session is nil. When ctx ends, the session
// ends with a goodbye. Call it once.
func (p *Peer) Run(ctx context.Context) error {
	defer p.box.close()
	p.step(start, "")
	err := p.create()
	if err != nil {
		p.end("failed", false)
	}
	if err == nil && p.cfg.Role == Offerer {
		p.offer(false)
	}
	tick := time.NewTicker(p.cfg.Timers.tick())
	defer tick.Stop()
	p.lanes.timer = time.NewTimer(time.Hour)
	defer p.lanes.timer.Stop()
	p.copies.timer = time.NewTimer(time.Hour)
	defer p.copies.timer.Stop()
	done := ctx.Done()
	for !p.gone(time.Now()) {
		select {
		case <-done:
			done = nil
			p.end(p.leaving(), true)
		case <-p.box.wake:
			items, overflow := p.box.take()
			for _, ev := range items {
				ev.apply(p)
			}
			if overflow && !p.ended {
				p.log.Warn("peer session ends: its mailbox ran over")
				p.end("failed", true)
			}
			now := time.Now()
			p.laneReport(now)
			p.sendCopies(now)
		case now := <-p.lanes.timer.C:
			p.laneReport(now)
		case now := <-p.copies.timer.C:
			p.sendCopies(now)
		case now := <-tick.C:
			p.onTick(now)
		}
	}
	p.destroy()
	return err
}

// gone reports whether the session has ended and its goodbye got through, or had its time.
func (p *Peer) gone(now time.Time) bool {
	return p.ended && (p.pc == nil || p.closedByPeer || !now.Before(p.hush))
}

// State returns the present state.
func (p *Peer) State() State { return State(p.state.Load()) }

// Close ends the session with a reason of protocol.EndReasons, or "" for the ordinary one of this end, and sends
// peer.bye. It is idempotent and returns at once; Run returns when all is done.
func (p *Peer) Close(reason string) { p.box.post(closeAsked{reason}, 0) }

// Offer hands in an SDP offer from the other end.
func (p *Peer) Offer(sdp string) { p.box.post(offerArrived{sdp}, len(sdp)) }

// Answer hands in an SDP answer from the other end.
func (p *Peer) Answer(sdp string) { p.box.post(answerArrived{sdp}, len(sdp)) }

// Candidate hands in a trickled candidate from the other end.
func (p *Peer) Candidate(c protocol.SessionCandidate) {
	p.box.post(candidateArrived{c}, len(c.Candidate))
}

// RestartRequested hands in the other end's wish for an ICE restart.
func (p *Peer) RestartRequested() { p.box.post(restartAsked{}, 0) }

// UpdateICE replaces the ICE servers; they are used from the next restart on. A session that is not connected
// restarts at once.
func (p *Peer) UpdateICE(servers []protocol.ICEServer) { p.box.post(serversChanged{servers}, 0) }

type closeAsked struct{ reason string }

func (e closeAsked) apply(p *Peer) {
	reason := e.reason
	if reason == "" {
		reason = p.leaving()
	}
	p.end(reason, true)
}

// leaving is the reason why this end ends a session by itself; left is the one for the other end.
func (p *Peer) leaving() string { return reasonOf(p.cfg.Role) }
func (p *Peer) left() string    { return reasonOf(1 - p.cfg.Role) }

func reasonOf(r Role) string {
	if r == Offerer {
		return "agent_ended"
	}
	return "left"
}

// step moves the state machine and tells it. An illegal step is a mistake of this package: logged, nothing moves.
func (p *Peer) step(s step, reason string) {
	from := p.State()
	to, err := move(from, s)
	if err != nil {
		p.log.Error("peer session step refused", "err", err)
		return
	}
	if to == from {
		return
	}
	p.state.Store(int32(to))
	p.log.Info("peer session", "state", to.String(), "reason", reason)
	if p.cfg.OnState != nil {
		p.cfg.OnState(to, reason)
	}
}

// end ends the session once; later calls do nothing. With bye, the other end is told and gets Timers.Bye to hang
// up first, because closing at once would throw the goodbye away (SCTP aborts).
func (p *Peer) end(reason string, bye bool) {
	if p.ended {
		return
	}
	p.ended = true
	p.hush = time.Now()
	if bye && p.send.control(protocol.PeerBye{Reason: reason}) == nil {
		p.hush = p.hush.Add(p.cfg.Timers.Bye)
	}
	s := stop
	if reason == "failed" || reason == "lost" {
		s = fail
	}
	p.step(s, reason)
}

// destroy closes the PeerConnection and waits for pion's goroutines.
func (p *Peer) destroy() {
	p.send.close()
	p.closeLane(time.Now())
	p.work.Wait()
	if p.pc == nil {
		return
	}
	done := make(chan error, 1)
	go func() { done <- p.pc.GracefulClose() }() // ends by itself; waited for below
	select {
	case err := <-done:
		if err != nil {
			p.log.Debug("peer connection closed", "err", err)
		}
	case <-time.After(10 * time.Second):
		p.log.Error("peer connection does not close; its goroutines stay behind")
	}
}
