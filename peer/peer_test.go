// Two real peers in each test: on pion's virtual network, or on loopback.

package peer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func direct(i int) protocol.DirectMessage {
	return protocol.DirectMessage{ID: protocol.RequestID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), Text: fmt.Sprintf("message %d", i), At: time.Unix(1795500000, 0).UTC()}
}

func frame(i, size int) protocol.Frame {
	data := make([]byte, size)
	for j := range data {
		data[j] = byte(i*31 + j*7)
	}
	return protocol.Frame{Kind: protocol.FrameKey, Frame: uint32(i), CaptureMs: uint32(i * 66), Data: data}
}

func checkFrames(t *testing.T, got []*protocol.Frame, sizes []int) {
	t.Helper()
	if len(got) != len(sizes) {
		t.Fatalf("got %d frames, want %d", len(got), len(sizes))
	}
	for i, f := range got {
		want := frame(i, sizes[i])
		if f.Frame != want.Frame || f.CaptureMs != want.CaptureMs || !bytes.Equal(f.Data, want.Data) {
			t.Errorf("frame %d is not what was sent (number %d, %d bytes)", i, f.Frame, len(f.Data))
		}
	}
}

func TestConnectAndTalk(t *testing.T) {
	for _, loopback := range []bool{false, true} {
		t.Run(fmt.Sprintf("loopback=%v", loopback), func(t *testing.T) {
			pair := peertest.New(t, peertest.Options{Loopback: loopback})
			pair.WaitConnected(t)
			for i := range 10 {
				if err := pair.Agent.SendDirect(direct(i)); err != nil {
					t.Fatal(err)
				}
				if err := pair.Customer.SendDirect(direct(100 + i)); err != nil {
					t.Fatal(err)
				}
			}
			for i, m := range pair.Customer.WaitDirect(t, 10) {
				if m.(protocol.DirectMessage).ID != direct(i).ID {
					t.Errorf("customer's message %d is %v", i, m)
				}
			}
			for i, m := range pair.Agent.WaitDirect(t, 10) {
				if m.(protocol.DirectMessage).ID != direct(100+i).ID {
					t.Errorf("agent's message %d is %v", i, m)
				}
			}
			if err := pair.Agent.SendControl(protocol.ScreenCodecs{Decodable: []string{"image/png"}}); err != nil {
				t.Fatal(err)
			}
			if m, ok := pair.Customer.WaitControl(t, 1)[0].(protocol.ScreenCodecs); !ok || m.Decodable[0] != "image/png" {
				t.Errorf("control message is %v", m)
			}
			if path := pair.Agent.WaitPath(t); path != "direct" {
				t.Errorf("path is %q, want direct", path)
			}
			s := pair.Agent.WaitStats(t, func(s peer.Stats) bool { return s.RTT > 0 })
			if s.ClockOffset.Abs() > time.Second || s.BytesOut == 0 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

func TestFramesArriveWholeAndInOrder(t *testing.T) {
	sizes := []int{1, 2, 16367, 16368, 16369, 32736, 100_000, 1 << 20, 17, 1 << 20}
	pair := peertest.New(t, peertest.Options{})
	pair.WaitConnected(t)
	for i, size := range sizes {
		if err := pair.Customer.SendFrame(frame(i, size)); err != nil {
			t.Fatal(err)
		}
	}
	checkFrames(t, pair.Agent.WaitFrames(t, len(sizes)), sizes)
}

func TestFivePercentLoss(t *testing.T) {
	pair := peertest.New(t, peertest.Options{Start: func(p *peertest.Pair) { p.Net.Lose(50) }})
	pair.WaitConnected(t)
	var sizes []int
	for i := range 20 {
		sizes = append(sizes, 3000+i*500)
		if err := pair.Customer.SendFrame(frame(i, sizes[i])); err != nil {
			t.Fatal(err)
		}
	}
	checkFrames(t, pair.Agent.WaitFrames(t, len(sizes)), sizes)
}

// A dead path comes back in the same session, with nothing lost of what was sent into it.
func TestPathComesBackWithoutGap(t *testing.T) {
	pair := peertest.New(t, peertest.Options{})
	pair.WaitConnected(t)
	if err := pair.Customer.SendFrame(frame(0, 1<<20)); err != nil {
		t.Fatal(err)
	}
	pair.Net.Cut(true)
	if err := pair.Customer.SendFrame(frame(1, 200_000)); err != nil {
		t.Fatal(err)
	}
	if err := pair.Agent.SendDirect(direct(1)); err != nil {
		t.Fatal(err)
	}
	pair.Agent.WaitState(t, peer.Reconnecting)
	pair.Customer.WaitState(t, peer.Reconnecting)
	if err := pair.Customer.SendFrame(frame(2, 10)); !errors.Is(err, peer.ErrNotConnected) {
		t.Errorf("a frame into a dead path: got %v, want ErrNotConnected", err)
	}
	if err := pair.Customer.SendDirect(direct(2)); err != nil {
		t.Errorf("a direct message waits for the path: %v", err)
	}
	// Long enough for ICE to give up (300 ms + 800 ms) and for two restarts that fail.
	dead := time.NewTimer(2500 * time.Millisecond)
	<-dead.C
	pair.Net.Cut(false)
	pair.WaitConnected(t)
	if err := pair.Customer.SendFrame(frame(2, 300_000)); err != nil {
		t.Fatal(err)
	}
	checkFrames(t, pair.Agent.WaitFrames(t, 3), []int{1 << 20, 200_000, 300_000})
	pair.Customer.WaitDirect(t, 1)
	pair.Agent.WaitDirect(t, 1)
	// On a busy machine there may be more silences than the one we made, but never an end.
	for _, e := range []*peertest.End{pair.Agent, pair.Customer} {
		if got := strings.Join(e.Seen(), " "); !strings.HasPrefix(got, "connecting connected reconnecting connected") || strings.Contains(got, "ended") {
			t.Errorf("%s saw %s", e.Name, got)
		}
	}
}

// The path and the signaling are both dead for a while: the offer that was lost is repeated.
func TestLostOfferIsRepeated(t *testing.T) {
	pair := peertest.New(t, peertest.Options{})
	pair.WaitConnected(t)
	pair.CutSignaling.Store(true)
	pair.Net.Cut(true)
	pair.Agent.WaitState(t, peer.Reconnecting)
	pair.Customer.WaitState(t, peer.Reconnecting)
	dead := time.NewTimer(1200 * time.Millisecond) // two restarts are lost
	<-dead.C
	pair.Net.Cut(false)
	pair.CutSignaling.Store(false)
	pair.WaitConnected(t)
}

func TestNewServersRestartADeadPath(t *testing.T) {
	pair := peertest.New(t, peertest.Options{Edit: func(_ *peertest.End, cfg *peer.Config) {
		cfg.Timers.Restarts = []time.Duration{300 * time.Millisecond} // one, which is lost
	}})
	pair.WaitConnected(t)
	pair.CutSignaling.Store(true)
	pair.Net.Cut(true)
	pair.Agent.WaitState(t, peer.Reconnecting)
	dead := time.NewTimer(1500 * time.Millisecond) // until ICE has failed
	<-dead.C
	pair.Net.Cut(false)
	pair.CutSignaling.Store(false)
	pair.Agent.UpdateICE(nil)
	pair.WaitConnected(t)
}

func TestSilenceForTooLongIsTheEnd(t *testing.T) {
	pair := peertest.New(t, peertest.Options{Edit: func(_ *peertest.End, cfg *peer.Config) { cfg.Timers.Lost = time.Second }})
	pair.WaitConnected(t)
	pair.Net.Cut(true)
	for _, e := range []*peertest.End{pair.Agent, pair.Customer} {
		if reason := e.WaitState(t, peer.Ended); reason != "lost" {
			t.Errorf("%s ended with %q, want lost", e.Name, reason)
		}
		e.WaitDone(t)
	}
}

func TestNoPathFails(t *testing.T) {
	pair := peertest.New(t, peertest.Options{
		Start: func(p *peertest.Pair) { p.Net.Cut(true) },
		Edit: func(_ *peertest.End, cfg *peer.Config) {
			cfg.Timers.Connect, cfg.Timers.ConnectRetry = 2*time.Second, 500*time.Millisecond
		},
	})
	for _, e := range []*peertest.End{pair.Agent, pair.Customer} {
		if reason := e.WaitState(t, peer.Ended); reason != "failed" {
			t.Errorf("%s ended with %q, want failed", e.Name, reason)
		}
		e.WaitDone(t)
	}
}

func TestEndWithReason(t *testing.T) {
	cases := []struct {
		byAgent    bool
		say, heard string
	}{{true, "", "agent_ended"}, {false, "", "left"}, {false, "stopped", "stopped"}, {true, "closed", "closed"}}
	for _, c := range cases {
		t.Run(c.heard, func(t *testing.T) {
			pair := peertest.New(t, peertest.Options{})
			pair.WaitConnected(t)
			from, to := pair.Customer, pair.Agent
			if c.byAgent {
				from, to = to, from
			}
			from.Close(c.say)
			from.Close("failed") // too late
			if got := to.WaitState(t, peer.Ended); got != c.heard {
				t.Errorf("the other end ended with %q, want %q", got, c.heard)
			}
			if got := from.WaitState(t, peer.Ended); got != c.heard {
				t.Errorf("this end ended with %q, want %q", got, c.heard)
			}
			from.WaitDone(t)
			to.WaitDone(t)
			if err := from.SendControl(protocol.ScreenKeyframe{}); !errors.Is(err, peer.ErrNotConnected) {
				t.Errorf("sending after the end: got %v, want ErrNotConnected", err)
			}
		})
	}
}

// Close works in every state, also before Run, and Run returns.
func TestCloseInEveryState(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		p, err := peer.New(peer.Config{Signaler: deaf{}})
		if err != nil {
			t.Fatal(err)
		}
		p.Close("")
		if err := p.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if p.State() != peer.Ended {
			t.Errorf("state is %s, want ended", p.State())
		}
		p.Close("")
	})
	t.Run("connecting", func(t *testing.T) {
		pair := peertest.New(t, peertest.Options{Start: func(p *peertest.Pair) { p.CutSignaling.Store(true) }})
		pair.Agent.WaitState(t, peer.Connecting)
		pair.Customer.WaitState(t, peer.Connecting)
		pair.Agent.Close("")
		pair.Customer.Close("")
		pair.Agent.WaitDone(t)
		pair.Customer.WaitDone(t)
	})
	t.Run("checking", func(t *testing.T) {
		pair := peertest.New(t, peertest.Options{Start: func(p *peertest.Pair) { p.Net.Cut(true) }})
		pair.Agent.WaitState(t, peer.Connecting)
		pair.Agent.Close("")
		pair.Customer.Close("")
		pair.Agent.WaitDone(t)
		pair.Customer.WaitDone(t)
	})
	t.Run("connected", func(t *testing.T) {
		pair := peertest.New(t, peertest.Options{})
		pair.WaitConnected(t)
		pair.Agent.Close("")
		pair.Customer.Close("")
		pair.Agent.WaitDone(t)
		pair.Customer.WaitDone(t)
	})
	t.Run("reconnecting", func(t *testing.T) {
		pair := peertest.New(t, peertest.Options{})
		pair.WaitConnected(t)
		pair.Net.Cut(true)
		pair.Agent.WaitState(t, peer.Reconnecting)
		pair.Customer.WaitState(t, peer.Reconnecting)
		pair.Agent.Close("")
		pair.Customer.Close("")
		pair.Agent.WaitDone(t)
		pair.Customer.WaitDone(t)
	})
}

type deaf struct{}

func (deaf) SendOffer(string)                        {}
func (deaf) SendAnswer(string)                       {}
func (deaf) SendCandidate(protocol.SessionCandidate) {}
func (deaf) SendRestart()                            {}

func TestRefusedMessages(t *testing.T) {
	pair := peertest.New(t, peertest.Options{})
	pair.WaitConnected(t)
	long := direct(1)
	long.Text = strings.Repeat("x", protocol.MaxChannelBytes)
	if err := pair.Agent.SendDirect(long); !errors.Is(err, peer.ErrTooLarge) {
		t.Errorf("a message over 16 KiB: got %v, want ErrTooLarge", err)
	}
	if err := pair.Agent.SendFrame(frame(0, protocol.MaxFrameBytes+1)); !errors.Is(err, protocol.ErrFrame) {
		t.Errorf("a frame over 8 MiB: got %v, want ErrFrame", err)
	}
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = pair.Agent.SendDirect(direct(i))
	}
	if !errors.Is(err, peer.ErrRate) {
		t.Errorf("100 messages at once: got %v, want ErrRate", err)
	}
}

// rogue is a bare pion peer that answers an agent's Peer and then does not keep to the rules.
type rogue struct {
	pc       *webrtc.PeerConnection
	channels []*webrtc.DataChannel
	opened   chan struct{}
	victim   *peertest.End
	edit     func(sdp string) string
}

// newRogue takes the customer's place in a pair.
func newRogue(t *testing.T, edit func(string) string) (*rogue, *peertest.Pair) {
	t.Helper()
	return newRogueOn(t, edit, peertest.Options{}, webrtc.Configuration{})
}

// newRogueOn is newRogue in such a pair, whose Edit is for the victim; the rogue has its own configuration.
func newRogueOn(t *testing.T, edit func(string) string, o peertest.Options, own webrtc.Configuration) (*rogue, *peertest.Pair) {
	t.Helper()
	r := &rogue{opened: make(chan struct{}, 8), edit: edit}
	forVictim := o.Edit
	o.Edit = func(e *peertest.End, cfg *peer.Config) {
		if e.Name == "agent" {
			cfg.Signaler = r
			r.victim = e
			if forVictim != nil {
				forVictim(e, cfg)
			}
			return
		}
		var s webrtc.SettingEngine
		s.SetNet(cfg.Net)
		s.LoggerFactory = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
		pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(own)
		if err != nil {
			t.Fatal(err)
		}
		r.pc = pc
		cfg.Signaler, cfg.Net = deaf{}, nil
		yes := true
		for i, id := range []uint16{1, 2, 3, 5} {
			dc, err := pc.CreateDataChannel([]string{"control", "direct", "screen", "copies"}[i], &webrtc.DataChannelInit{Negotiated: &yes, ID: &id})
			if err != nil {
				t.Fatal(err)
			}
			dc.OnOpen(func() { r.opened <- struct{}{} })
			r.channels = append(r.channels, dc)
		}
		pc.OnICECandidate(func(c *webrtc.ICECandidate) {
			if c != nil {
				r.victim.Candidate(protocol.SessionCandidate{Candidate: c.ToJSON().Candidate})
			}
		})
		t.Cleanup(func() {
			if err := pc.GracefulClose(); err != nil {
				t.Error(err)
			}
		})
	}
	pair := peertest.New(t, o)
	pair.Customer.Close("")
	return r, pair
}

func (r *rogue) SendOffer(sdp string) {
	sdp = strings.Replace(sdp, "a=max-message-size:16384", "a=max-message-size:1000000", 1)
	if err := r.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		panic(err)
	}
	answer, err := r.pc.CreateAnswer(nil)
	if err != nil {
		panic(err)
	}
	r.victim.Answer(r.edit(answer.SDP))
	if err := r.pc.SetLocalDescription(answer); err != nil {
		panic(err)
	}
}
func (r *rogue) SendAnswer(string) {}
func (r *rogue) SendRestart()      {}
func (r *rogue) SendCandidate(c protocol.SessionCandidate) {
	if c.Candidate != "" {
		if err := r.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c.Candidate}); err != nil {
			panic(err)
		}
	}
}

func same(s string) string { return s }

func (r *rogue) waitOpen(t *testing.T) {
	t.Helper()
	for range r.channels {
		select {
		case <-r.opened:
		case <-time.After(peertest.Deadline):
			t.Fatal("the rogue's channels do not open")
		}
	}
	r.victim.WaitState(t, peer.Connected)
}

func TestRogueIsThrownOut(t *testing.T) {
	ok := `{"type":"screen.keyframe"}`
	cases := []struct {
		name string
		do   func(r *rogue) error
	}{
		{"big message", func(r *rogue) error { return r.channels[1].SendText(strings.Repeat("x", protocol.MaxChannelBytes+1)) }},
		{"huge message", func(r *rogue) error { return r.channels[0].SendText(strings.Repeat("x", 200_000)) }},
		{"extra channel", func(r *rogue) error { _, err := r.pc.CreateDataChannel("files", nil); return err }},
		{"second control", func(r *rogue) error { _, err := r.pc.CreateDataChannel("control", nil); return err }},
		{"broken frame", func(r *rogue) error { return r.channels[2].Send([]byte("hello")) }},
		{"three bad messages", func(r *rogue) error {
			return errors.Join(r.channels[0].SendText("{}"), r.channels[0].SendText("no"), r.channels[0].Send([]byte(ok)))
		}},
		{"three bad copies", func(r *rogue) error {
			m := numbered(1)
			m.Text = strings.Repeat("x", protocol.MaxCopyBytes)
			return errors.Join(r.channels[3].SendText(ok), r.channels[3].Send([]byte("x")), r.channels[3].SendText(string(protocol.Encode(m))))
		}},
		{"the same number again and again", func(r *rogue) error {
			for range 4 {
				if err := r.channels[1].SendText(string(protocol.Encode(numbered(1)))); err != nil {
					return err
				}
			}
			return nil
		}},
		{"flood by copies", func(r *rogue) error {
			for i := range 700 {
				if err := r.channels[3].SendText(string(protocol.Encode(numbered(i + 1)))); err != nil {
					return err
				}
			}
			return nil
		}},
		{"flood of copies", func(r *rogue) error {
			for range 3000 {
				if err := r.channels[3].SendText(string(protocol.Encode(numbered(2)))); err != nil {
					return err
				}
			}
			return nil
		}},
		{"flood on direct", func(r *rogue) error {
			for i := range 700 {
				if err := r.channels[1].SendText(string(protocol.Encode(direct(i)))); err != nil {
					return err
				}
			}
			return nil
		}},
		{"flood on control", func(r *rogue) error {
			for range 3000 {
				if err := r.channels[0].SendText(ok); err != nil {
					return err
				}
			}
			return nil
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRogue(t, same)
			r.waitOpen(t)
			if err := c.do(r); err != nil {
				t.Fatal(err)
			}
			if reason := r.victim.WaitState(t, peer.Ended); reason != "failed" {
				t.Errorf("ended with %q, want failed", reason)
			}
			r.victim.WaitDone(t)
		})
	}
}

func TestUnknownMessagesAreHarmless(t *testing.T) {
	r, _ := newRogue(t, same)
	r.waitOpen(t)
	for _, text := range []string{`{"type":"control.move","x":1}`, `{"type":"screen.keyframe","new":true}`, `{"type":"peer.pong","n":99999,"sentMs":1,"atMs":1}`} {
		if err := r.channels[0].SendText(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := r.victim.WaitControl(t, 1)[0].(protocol.ScreenKeyframe); !ok {
		t.Error("the known message did not arrive")
	}
	if got := r.victim.State(); got == peer.Ended {
		t.Error("the session has ended")
	}
}

func TestHostileDescriptionEndsTheSession(t *testing.T) {
	r, _ := newRogue(t, func(s string) string {
		return strings.Replace(s, "a=setup", "a=fingerprint:sha-256 "+strings.Repeat("00:", 31)+"00\r\na=setup", 1)
	})
	if reason := r.victim.WaitState(t, peer.Ended); reason != "failed" {
		t.Errorf("ended with %q, want failed", reason)
	}
}

// A silent program (killed, or hung) is noticed by silence alone.
func TestSilentPeerIsNoticed(t *testing.T) {
	r, _ := newRogue(t, same)
	r.waitOpen(t)
	r.victim.WaitState(t, peer.Reconnecting) // the rogue sends no keep-alive at all
}

// Clean hang-up without a goodbye.
func TestHangUpIsTheEnd(t *testing.T) {
	r, _ := newRogue(t, same)
	r.waitOpen(t)
	if err := r.pc.Close(); err != nil {
		t.Fatal(err)
	}
	if reason := r.victim.WaitState(t, peer.Ended); reason != "left" {
		t.Errorf("ended with %q, want left", reason)
	}
}

// No packet goes to an address that must not be reached, whatever the other side names.
func TestDeniedCandidatesGetNoPacket(t *testing.T) {
	denied := []string{"127.0.0.1", "169.254.169.254", "224.0.0.251", "0.0.0.0", "255.255.255.255"}
	hit := make(chan string, 64)
	pair := peertest.New(t, peertest.Options{Start: func(p *peertest.Pair) {
		p.Net.Watch(func(c vnet.Chunk) {
			for _, d := range denied {
				if strings.HasPrefix(c.DestinationAddr().String(), d+":") {
					select {
					case hit <- d:
					default:
					}
				}
			}
		})
		for _, d := range denied {
			p.Agent.Candidate(protocol.SessionCandidate{Candidate: "candidate:1 1 udp 2130706431 " + d + " 9999 typ host"})
		}
		for i := range 1000 {
			p.Customer.Candidate(protocol.SessionCandidate{Candidate: fmt.Sprintf("candidate:1 1 udp 2130706431 203.0.113.200 %d typ host", 1000+i)})
		}
		p.Agent.Candidate(protocol.SessionCandidate{Candidate: "candidate:1 1 udp 2130706431 nobody-here.local 9999 typ host"})
	}})
	pair.WaitConnected(t)
	pair.Agent.WaitStats(t, func(s peer.Stats) bool { return s.RTT > 0 })
	select {
	case d := <-hit:
		t.Errorf("a packet went to %s", d)
	default:
	}
}

// A stranger answers faster than the peer: its ClientHello comes from an address that ICE has not checked.
func TestStrangersClientHelloIsIgnored(t *testing.T) {
	hello := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd}, make([]byte, 40)...)
	targets := make(chan net.Addr, 1000)
	var stranger *vnet.Net
	pair := peertest.New(t, peertest.Options{
		Hosts: func(n *peertest.Network) { stranger = n.Host(t) },
		Start: func(p *peertest.Pair) {
			conn, err := stranger.ListenPacket("udp4", "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for to := range targets {
					for range 3 {
						_, _ = conn.WriteTo(hello, to) // a packet more or less
					}
				}
			}()
			p.Net.Watch(func(c vnet.Chunk) {
				if strings.HasPrefix(c.SourceAddr().String(), "203.0.113.11:") {
					return // the stranger's own
				}
				select {
				case targets <- c.DestinationAddr():
				default:
				}
			})
			t.Cleanup(func() {
				p.Net.Watch(nil)
				close(targets)
				<-done
				conn.Close()
			})
		},
	})
	pair.WaitConnected(t)
	if err := pair.Customer.SendFrame(frame(0, 100_000)); err != nil {
		t.Fatal(err)
	}
	checkFrames(t, pair.Agent.WaitFrames(t, 1), []int{100_000})
}
