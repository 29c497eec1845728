// The data channels: limits in both directions, decoding on the way in, one lock on the way out.

package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/protocol"
)

// The limits of the channels.
const (
	maxControlBuffered = 1 << 20
	maxDirectBuffered  = 64 << 10
	maxScreenBuffered  = protocol.MaxFrameBytes // before a frame; the sender skips pictures long before
	maxEarly           = 256                    // messages that arrive before all channels are open
	maxBad             = 3                      // messages that break the contract; the third ends the session
)

var labels = []struct {
	id       uint16
	label    string
	reliable bool // and in order
}{
	{protocol.ChannelControl, protocol.LabelControl, true},
	{protocol.ChannelDirect, protocol.LabelDirect, true},
	{protocol.ChannelScreen, protocol.LabelScreen, true},
	{protocol.ChannelCopies, protocol.LabelCopies, false},
}

// createChannels makes the pre-negotiated channels; both ends do, so none is ever announced in-band.
func (p *Peer) createChannels() error {
	yes, none := true, uint16(0)
	p.channels.open = map[uint16]bool{}
	p.channels.direct = limiter{rate: 20, burst: 600}
	p.channels.control = limiter{rate: 500, burst: 2000}
	p.copies.limit = limiter{rate: 200, burst: 800} // of 20 messages and their receipts a second four copies each
	for _, l := range labels {
		init := &webrtc.DataChannelInit{Ordered: &l.reliable, Negotiated: &yes, ID: &l.id}
		if !l.reliable {
			init.MaxRetransmits = &none
		}
		dc, err := p.pc.CreateDataChannel(l.label, init)
		if err != nil {
			return err
		}
		dc.OnOpen(func() { p.box.post(channelOpened{l.id}, 0) })
		dc.OnClose(func() { p.box.post(channelClosed{}, 0) })
		dc.OnMessage(func(m webrtc.DataChannelMessage) {
			p.box.post(received{l.id, m.Data, m.IsString, time.Now()}, len(m.Data)) // never wait here: the receive window is shared
		})
		p.send.set(l.id, dc)
	}
	return nil
}

// inbound is owned by the loop.
type inbound struct {
	open            map[uint16]bool
	early           []received
	frames          protocol.Reassembler
	direct, control limiter
	bad             int
	bytes           uint64
}

type channelOpened struct{ id uint16 }

func (e channelOpened) apply(p *Peer) {
	p.channels.open[e.id] = true
	if p.ended || p.State() != Connecting || len(p.channels.open) < len(labels) {
		return
	}
	p.alive.begin(time.Now())
	p.send.live.Store(true)
	p.step(open, "")
	_ = p.send.text(protocol.ChannelDirect, protocol.DirectHello{Copies: protocol.CopiesVersion}, maxDirectBuffered) // without it there are no copies
	early := p.channels.early
	p.channels.early = nil
	for _, m := range early {
		m.apply(p)
	}
}

// channelClosed: the other end hung up. Channels never close while a session runs.
type channelClosed struct{}

func (channelClosed) apply(p *Peer) {
	p.closedByPeer = true
	p.end(p.left(), false)
}

type extraChannel struct{}

func (extraChannel) apply(p *Peer) {
	if !p.ended {
		p.log.Warn("peer session ends: the other side opened a channel of its own")
		p.end("failed", true) //guard:T21
	}
}

// received is one message on a channel.
type received struct {
	id   uint16
	data []byte
	text bool
	at   time.Time
}

func (e received) apply(p *Peer) {
	c := &p.channels
	if p.ended {
		return
	}
	if p.State() == Connecting { // pion tells open and message on goroutines of their own
		if c.early = append(c.early, e); len(c.early) > maxEarly {
			p.bad("too many messages before the channels are open")
		}
		return
	}
	c.bytes += uint64(len(e.data))
	if len(e.data) > protocol.MaxChannelBytes { //guard:T21
		p.bad("a message is too large")
		return
	}
	switch {
	case e.id == protocol.ChannelScreen:
		frame, err := c.frames.Add(e.data)
		if err != nil {
			p.log.Warn("peer session ends: a broken frame", "err", err)
			p.end("failed", true)
		} else if frame != nil {
			p.deliver(p.lanes.frames.whole(frame, e.at), frame.Stream, e.at)
		}
	case !e.text:
		p.breach("a binary message where text belongs")
	case e.id == protocol.ChannelControl:
		if !c.control.allow(e.at) {
			p.bad("too many control messages")
			return
		}
		p.onControl(e)
	case e.id == protocol.ChannelCopies:
		p.onCopy(e)
	default:
		p.onDirect(e)
	}
}

func (p *Peer) onDirect(e received) {
	msg, err := protocol.Decode(e.data, protocol.Peer)
	if err != nil {
		p.breach(err.Error())
		return
	}
	switch m := msg.(type) {
	case protocol.DirectHello:
		p.copies.able = true
	case protocol.DirectMessage:
		p.onDirectMessage(m, false, e.at)
	case protocol.DirectAck:
		p.onReceipt(m, false)
	default: // a newer program's, or one that belongs elsewhere
	}
}

// breach counts a message that breaks the contract; the third ends the session.
func (p *Peer) breach(reason string) {
	p.log.Warn("bad message from the peer", "err", reason)
	if p.channels.bad++; p.channels.bad >= maxBad {
		p.bad("three bad messages")
	}
}

func (p *Peer) bad(reason string) {
	p.log.Warn("peer session ends: " + reason)
	p.end("failed", true)
}

// sender is the way out; any goroutine may use it. pion's Send only queues, it never waits for the network.
type sender struct {
	live  atomic.Bool // from Connected on, until the session is torn down
	bytes atomic.Uint64
	box   *mailbox // the loop's

	mu     sync.Mutex // keeps the chunks of a frame together, and close after the last use
	dcs    map[uint16]*webrtc.DataChannel
	direct limiter
	number int64 // of the last direct message
}

func (s *sender) init(box *mailbox) {
	s.box, s.dcs = box, map[uint16]*webrtc.DataChannel{}
	s.direct = limiter{rate: 20, burst: 20} // the receiving side allows more, for what a dead path held back
}

func (s *sender) set(id uint16, dc *webrtc.DataChannel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dcs[id] = dc
}

func (s *sender) close() { s.live.Store(false) }

func (s *sender) control(msg any) error {
	return s.text(protocol.ChannelControl, msg, maxControlBuffered)
}

func (s *sender) text(id uint16, msg any, maxBuffered uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	message, ok := msg.(protocol.DirectMessage)
	if ok {
		message.N = s.number + 1
		msg = message
	}
	data := protocol.Encode(msg)
	if len(data) > protocol.MaxChannelBytes { //guard:T21
		return ErrTooLarge
	}
	dc := s.dcs[id]
	if !s.live.Load() || dc == nil {
		return ErrNotConnected
	}
	if dc.BufferedAmount() > maxBuffered {
		return ErrBuffered
	}
	if ok {
		if !s.direct.allow(time.Now()) {
			return ErrRate
		}
		s.number++
		s.box.post(directSent{message.ID, string(data), time.Now()}, len(data))
	} else if receipt, ok := msg.(protocol.DirectAck); ok {
		s.box.post(receiptSent{receipt.ID}, 0)
	}
	if dc.SendText(string(data)) != nil {
		return ErrNotConnected
	}
	s.bytes.Add(uint64(len(data)))
	return nil
}

// buffered returns what waits on a channel, in bytes.
func (s *sender) buffered(id uint16) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dc := s.dcs[id]; dc != nil {
		return dc.BufferedAmount()
	}
	return 0
}

func (p *Peer) running() bool {
	s := p.State()
	return s == Connected || s == Reconnecting
}

// SendControl sends a message on control. While Reconnecting it waits for the path. Errors: ErrNotConnected,
// ErrTooLarge, ErrBuffered.
func (p *Peer) SendControl(msg any) error {
	if !p.running() {
		return ErrNotConnected
	}
	return p.send.control(msg)
}

// SendDirect sends a protocol.DirectMessage or DirectAck. While Reconnecting it waits for the path. Errors:
// ErrNotConnected, ErrTooLarge, ErrBuffered, and ErrRate above 20 messages a second.
func (p *Peer) SendDirect(msg any) error {
	if !p.running() {
		return ErrNotConnected
	}
	return p.send.text(protocol.ChannelDirect, msg, maxDirectBuffered)
}

// SendFrame sends one encoded frame, whole or not at all. An encoder whose frame was refused must go on with a key
// frame. Errors: ErrNotConnected (also while Reconnecting: nothing is shown into a dead path), ErrBuffered, and
// those that wrap protocol.ErrFrame.
func (p *Peer) SendFrame(f protocol.Frame) error {
	chunks, err := f.Split()
	if err != nil {
		return err
	}
	s := &p.send
	s.mu.Lock()
	defer s.mu.Unlock()
	dc := s.dcs[protocol.ChannelScreen]
	if p.State() != Connected || !s.live.Load() || dc == nil {
		return ErrNotConnected
	}
	if dc.BufferedAmount() > maxScreenBuffered {
		return ErrBuffered
	}
	for _, c := range chunks {
		if dc.Send(c) != nil {
			return ErrNotConnected // closed meanwhile: the session ends
		}
		s.bytes.Add(uint64(len(c)))
	}
	return nil
}

// ScreenBuffered returns the bytes that wait to be sent on screen; a sender skips pictures while it is high.
func (p *Peer) ScreenBuffered() uint64 { return p.send.buffered(protocol.ChannelScreen) }

// limiter is a token bucket.
type limiter struct {
	rate, burst float64 // tokens a second, tokens at most
	used        float64
	last        time.Time
}

func (l *limiter) allow(now time.Time) bool {
	if d := now.Sub(l.last).Seconds(); d > 0 {
		l.used = max(0, l.used-d*l.rate)
		l.last = now
	}
	if l.used+1 > l.burst {
		return false
	}
	l.used++
	return true
}
