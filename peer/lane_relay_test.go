// A lane between the agent's end and a bare pion connection, both with relayed addresses alone.

package peer_test

import (
	"bytes"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
)

// laneEnd is a customer's end of one lane at a time, as a browser makes it (web/src/browser/lane.ts). All of it runs
// on the goroutine that reads control, in order.
type laneEnd struct {
	t       *testing.T
	config  webrtc.Configuration
	control *webrtc.DataChannel
	number  int
	pc      *webrtc.PeerConnection
	open    func(*webrtc.DataChannel)
	ended   atomic.Bool
}

func (l *laneEnd) send(msg any) {
	if err := l.control.SendText(string(protocol.Encode(msg))); err != nil && !l.ended.Load() {
		l.t.Error(err)
	}
}

func (l *laneEnd) take(m webrtc.DataChannelMessage) {
	msg, err := protocol.Decode(m.Data, protocol.Peer)
	if err == nil {
		switch m := msg.(type) {
		case protocol.PeerPing:
			l.send(protocol.PeerPong{N: m.N, SentMs: m.SentMs})
		case protocol.LaneOffer:
			err = l.answer(m)
		case protocol.LaneCandidate:
			if m.Lane == l.number {
				err = l.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: m.Candidate})
			}
		}
	}
	if err != nil && !l.ended.Load() {
		l.t.Error(err)
	}
}

func (l *laneEnd) answer(offer protocol.LaneOffer) error {
	l.close()
	var s webrtc.SettingEngine
	s.LoggerFactory = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(l.config)
	if err != nil {
		return err
	}
	l.pc, l.number = pc, offer.Lane
	yes, no, none, id := true, false, uint16(0), protocol.ChannelLane
	channel, err := pc.CreateDataChannel(protocol.LabelLane, &webrtc.DataChannelInit{Negotiated: &yes, ID: &id, Ordered: &no, MaxRetransmits: &none})
	if err != nil {
		return err
	}
	channel.OnOpen(func() { l.open(channel) })
	sdp := strings.Join([]string{"v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0",
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0", "a=ice-ufrag:" + offer.Ufrag,
		"a=ice-pwd:" + offer.Pwd, "a=ice-options:trickle", "a=fingerprint:" + offer.Fingerprint, "a=setup:actpass",
		"a=sctp-port:5000", "a=max-message-size:16384", ""}, "\r\n")
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	part := func(name string) string {
		return strings.TrimSpace(regexp.MustCompile("a=" + name + ":(.+)").FindStringSubmatch(answer.SDP)[1])
	}
	l.send(protocol.LaneAnswer{Lane: offer.Lane, Ufrag: part("ice-ufrag"), Pwd: part("ice-pwd"), Fingerprint: part("fingerprint")})
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c != nil {
			l.send(protocol.LaneCandidate{Lane: offer.Lane, Candidate: c.ToJSON().Candidate})
		}
	})
	return pc.SetLocalDescription(answer)
}

func (l *laneEnd) close() {
	if l.pc != nil {
		if err := l.pc.GracefulClose(); err != nil {
			l.t.Error(err)
		}
	}
}

func TestLaneOverARelay(t *testing.T) {
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := startTURN(t, turn.ServerConfig{PacketConnConfigs: []turn.PacketConnConfig{{
		PacketConn:            socket,
		RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
	}}})
	url := "turn:" + socket.LocalAddr().String() + "?transport=udp"
	config := webrtc.Configuration{
		ICETransportPolicy: webrtc.ICETransportPolicyRelay,
		ICEServers:         []webrtc.ICEServer{{URLs: []string{url}, Username: "u", Credential: "secret"}},
	}
	r, _ := newRogueOn(t, same, peertest.Options{Loopback: true, Edit: useTURN(url)}, config)
	lane := &laneEnd{t: t, config: config, control: r.channels[0]}
	const frames = 20
	lane.open = func(c *webrtc.DataChannel) {
		packet := uint32(0)
		for range 3 { // a packet may be lost
			for i := range frames {
				f := protocol.Fragment{Kind: protocol.FrameDelta, Count: 1, Frame: uint32(i), Size: 1000, Packet: packet}
				if i == 0 {
					f.Kind = protocol.FrameKey
				}
				packet++
				if err := c.Send(append(f.AppendHeader(nil), bytes.Repeat([]byte{byte(i)}, 1000)...)); err != nil {
					return // another lane follows
				}
			}
		}
	}
	r.channels[0].OnMessage(lane.take)
	t.Cleanup(func() {
		lane.ended.Store(true)
		if err := r.pc.GracefulClose(); err != nil { // no message comes afterwards
			t.Error(err)
		}
		lane.close()
	})
	r.waitOpen(t)
	lane.send(protocol.LaneHello{Version: protocol.LanesVersion})
	for i, f := range r.victim.WaitFrames(t, frames) {
		if f.Frame != uint32(i) || !bytes.Equal(f.Data, bytes.Repeat([]byte{byte(i)}, 1000)) {
			t.Errorf("frame %d is number %d, %d bytes", i, f.Frame, len(f.Data))
		}
	}
	s := r.victim.WaitStats(t, func(s peer.Stats) bool { return s.LaneReceived >= frames })
	if !s.Lane || s.Path != "relay" {
		t.Errorf("stats are %+v", s)
	}
	if n := srv.AllocationCount(); n < 4 { // each end's for the session, and for the lane
		t.Errorf("the relay has %d allocations, want 4", n)
	}
}
