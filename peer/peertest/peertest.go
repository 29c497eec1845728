// Package peertest connects two real peers for tests, on a virtual network (pion's vnet) or on this machine's
// loopback, with their signaling in memory. Networks can be cut, lose packets, and be healed.
package peertest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// Deadline is how long a Wait function waits before it fails the test.
const Deadline = 30 * time.Second

// Fast are timers with which a cut of a second is a long one.
func Fast() peer.Timers {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	return peer.Timers{
		Ping: ms(50), Silent: ms(300), Restarts: []time.Duration{ms(300), ms(1000), ms(2000), ms(4000), ms(8000), ms(16000)},
		Lost: 25 * time.Second, Connect: 20 * time.Second, ConnectRetry: 2 * time.Second, RestartGap: ms(200), Settle: ms(600), Stats: ms(100),
		ICEDisconnected: ms(300), ICEFailed: ms(800), ICEKeepAlive: ms(100),
	}
}

// Options describe a Pair.
type Options struct {
	Delay    time.Duration                  // of the virtual network, one way
	Loopback bool                           // real sockets on loopback instead of the virtual network
	Edit     func(e *End, cfg *peer.Config) // changes an end's configuration before it is made
	Hosts    func(net *Network)             // adds hosts to the virtual network
	Start    func(pair *Pair)               // runs before the ends start, for example to cut the network
}

// Pair is an agent's and a customer's peer.
type Pair struct {
	Agent, Customer *End
	Net             *Network // nil with Loopback
	CutSignaling    atomic.Bool
}

// New starts a pair and stops it with the test. It does not wait for the connection.
func New(t testing.TB, o Options) *Pair {
	t.Helper()
	pair := &Pair{}
	pair.Agent, pair.Customer = NewEnd("agent"), NewEnd("customer")
	if !o.Loopback {
		pair.Net = NewNetwork(t, o.Delay)
		if o.Hosts != nil {
			o.Hosts(pair.Net)
		}
	}
	for _, e := range []*End{pair.Agent, pair.Customer} {
		other := pair.Customer
		log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg := peer.Config{Role: peer.Offerer, Timers: Fast(), LoopbackOK: o.Loopback, Log: log.With("end", e.Name)}
		if e == pair.Customer {
			other, cfg.Role = pair.Agent, peer.Answerer
		}
		cfg.Signaler = link{pair, other}
		if !o.Loopback {
			cfg.Net = pair.Net.Host(t)
		}
		e.Hook(&cfg)
		if o.Edit != nil {
			o.Edit(e, &cfg)
		}
		p, err := peer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.Peer = p
	}
	if pair.Net != nil {
		pair.Net.Start(t)
	}
	if o.Start != nil {
		o.Start(pair)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { pair.Customer.run(ctx) })
	wg.Go(func() { pair.Agent.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return pair
}

// WaitConnected waits until both ends are connected.
func (p *Pair) WaitConnected(t testing.TB) {
	t.Helper()
	p.Agent.WaitState(t, peer.Connected)
	p.Customer.WaitState(t, peer.Connected)
}

// link is a Signaler that hands everything to the other end.
type link struct {
	pair *Pair
	to   *End
}

func (l link) SendOffer(sdp string)  { l.pass(func() { l.to.Offer(sdp) }) }
func (l link) SendAnswer(sdp string) { l.pass(func() { l.to.Answer(sdp) }) }
func (l link) SendRestart()          { l.pass(l.to.RestartRequested) }
func (l link) SendCandidate(c protocol.SessionCandidate) {
	l.pass(func() { l.to.Candidate(c) })
}

func (l link) pass(deliver func()) {
	if !l.pair.CutSignaling.Load() {
		deliver()
	}
}

// End is one peer and all that it has told.
type End struct {
	*peer.Peer
	Name string
	Done chan struct{} // closed when Run returned

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	state   peer.State
	reason  string
	History []string // states in order, as "connected" or "ended(lost)"; read it through Seen
	control []any
	direct  []any
	frames  []*protocol.Frame
	stats   peer.Stats
	path    string
}

// NewEnd makes an end without a peer; see Hook and Run.
func NewEnd(name string) *End {
	return &End{Name: name, Done: make(chan struct{}), changed: make(chan struct{})}
}

func (e *End) run(ctx context.Context) {
	_ = e.Run(ctx) // the state tells
	close(e.Done)
}

// Start makes the end's peer from cfg, hooked, and runs it until the test ends. For tests in which the other end is
// a program.
func (e *End) Start(t testing.TB, cfg peer.Config) {
	t.Helper()
	e.Hook(&cfg)
	e.StartHooked(t, cfg)
}

// StartHooked is Start for a configuration whose callbacks are set.
func (e *End) StartHooked(t testing.TB, cfg peer.Config) {
	t.Helper()
	p, err := peer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.Peer = p
	ctx, cancel := context.WithCancel(context.Background())
	go e.run(ctx)
	t.Cleanup(func() {
		cancel()
		<-e.Done
	})
}

// Hook sets the configuration's callbacks, so that the end notes what its peer tells.
func (e *End) Hook(cfg *peer.Config) {
	cfg.OnState = func(s peer.State, reason string) {
		e.note(func() {
			e.state, e.reason = s, reason
			text := s.String()
			if reason != "" {
				text += "(" + reason + ")"
			}
			e.History = append(e.History, text)
		})
	}
	cfg.OnControl = func(m any) { e.note(func() { e.control = append(e.control, m) }) }
	cfg.OnDirect = func(m any) { e.note(func() { e.direct = append(e.direct, m) }) }
	cfg.OnFrame = func(f *protocol.Frame, _ int64) { e.note(func() { e.frames = append(e.frames, f) }) }
	cfg.OnStats = func(s peer.Stats) { e.note(func() { e.stats = s }) }
	cfg.OnPath = func(path string) { e.note(func() { e.path = path }) }
}

func (e *End) note(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
	close(e.changed)
	e.changed = make(chan struct{})
}

// Wait waits until ok, which is called with the end locked, says yes; what names it for the failure.
func (e *End) Wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(Deadline)
	for {
		e.mu.Lock()
		good, changed := ok(), e.changed
		e.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: no %s in %v; states: %v", e.Name, what, Deadline, e.Seen())
		}
	}
}

// WaitState waits for a state and returns its reason.
func (e *End) WaitState(t testing.TB, s peer.State) string {
	t.Helper()
	e.Wait(t, "state "+s.String(), func() bool { return e.state == s })
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reason
}

// WaitFrames waits for n frames and returns them.
func (e *End) WaitFrames(t testing.TB, n int) []*protocol.Frame {
	t.Helper()
	e.Wait(t, fmt.Sprintf("%d frames", n), func() bool { return len(e.frames) >= n })
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*protocol.Frame(nil), e.frames...)
}

// WaitDirect waits for n messages on the direct channel and returns them.
func (e *End) WaitDirect(t testing.TB, n int) []any {
	t.Helper()
	e.Wait(t, fmt.Sprintf("%d direct messages", n), func() bool { return len(e.direct) >= n })
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]any(nil), e.direct...)
}

// WaitControl waits for n messages on control and returns them.
func (e *End) WaitControl(t testing.TB, n int) []any {
	t.Helper()
	e.Wait(t, fmt.Sprintf("%d control messages", n), func() bool { return len(e.control) >= n })
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]any(nil), e.control...)
}

// WaitPath waits until a path is known and returns it.
func (e *End) WaitPath(t testing.TB) string {
	t.Helper()
	e.Wait(t, "path", func() bool { return e.path != "" })
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.path
}

// WaitStats waits until ok says yes to the latest numbers and returns them.
func (e *End) WaitStats(t testing.TB, ok func(peer.Stats) bool) peer.Stats {
	t.Helper()
	var got peer.Stats
	e.Wait(t, "stats", func() bool { got = e.stats; return ok(got) })
	return got
}

// Seen returns the states so far.
func (e *End) Seen() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.History...)
}

// WaitDone waits until Run has returned.
func (e *End) WaitDone(t testing.TB) {
	t.Helper()
	select {
	case <-e.Done:
	case <-time.After(Deadline):
		t.Fatalf("%s: Run has not returned; states: %v", e.Name, e.Seen())
	}
}

// Network is a virtual network of hosts in 203.0.113.0/24.
type Network struct {
	router *vnet.Router
	hosts  int
	cut    atomic.Bool
	loss   atomic.Int64 // in per mille

	mu   sync.Mutex
	rand *rand.Rand
	seen func(vnet.Chunk)
	drop func(vnet.Chunk) bool
}

// NewNetwork makes a network with a delay one way, that stops with the test.
func NewNetwork(t testing.TB, delay time.Duration) *Network {
	t.Helper()
	router, err := vnet.NewRouter(&vnet.RouterConfig{
		CIDR: "203.0.113.0/24", QueueSize: 8192, MinDelay: delay,
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{router: router, rand: rand.New(rand.NewPCG(1, 2))}
	router.AddChunkFilter(func(c vnet.Chunk) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.seen != nil {
			n.seen(c)
		}
		if n.drop != nil && n.drop(c) {
			return false
		}
		return !n.cut.Load() && n.rand.Int64N(1000) >= n.loss.Load()
	})
	t.Cleanup(func() { _ = router.Stop() }) // only fails when it was not started
	return n
}

// Host adds a host; before Start alone.
func (n *Network) Host(t testing.TB) *vnet.Net {
	t.Helper()
	n.hosts++
	host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{fmt.Sprintf("203.0.113.%d", 10+n.hosts)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.router.AddNet(host); err != nil {
		t.Fatal(err)
	}
	return host
}

// Start starts the network. New does it for a Pair.
func (n *Network) Start(t testing.TB) {
	t.Helper()
	if err := n.router.Start(); err != nil {
		t.Fatal(err)
	}
}

// Cut drops every packet, or none again.
func (n *Network) Cut(cut bool) { n.cut.Store(cut) }

// Lose drops this many of 1,000 packets.
func (n *Network) Lose(perMille int64) { n.loss.Store(perMille) }

// Watch calls seen for every packet that is sent, dropped ones too.
func (n *Network) Watch(seen func(vnet.Chunk)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = seen
}

// Drop drops the packets for which which says yes, in the order in which they are sent; nil drops none.
func (n *Network) Drop(which func(vnet.Chunk) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = which
}
