// The network: a TCP proxy on real sockets, which every connection of a test goes through.

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ProxyOptions say where a Proxy stands.
type ProxyOptions struct {
	// Listen is the address for clients. Empty: a free port of 127.0.0.1.
	Listen string
	// Target is the server's address. It may be empty until SetTarget.
	Target string
	// Sources is how many addresses of 127.0.0.0/8 the connections come from, in turn; limits by address stay on that
	// way. Zero: all from 127.0.0.1.
	Sources int
}

// Proxy stands between clients and a server. All methods may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	sources  int
	closing  context.Context
	close    context.CancelFunc
	tasks    sync.WaitGroup

	mu      sync.Mutex
	target  string
	rules   [2]rules      // by direction
	changed chan struct{} // closed and replaced at each change of rules
	links   []*link       // in the order of their arrival
	count   int           // of links ever
}

// rules are what happens to the bytes of one direction, on all connections.
type rules struct {
	latency    time.Duration
	rate       int64 // bytes a second; zero: no limit
	trickle    bool
	drop       bool
	pause      bool
	generation map[Verb]int // of each rule; a timer ends only what it began
}

// NewProxy listens; it forwards until Close.
func NewProxy(o ProxyOptions) (*Proxy, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("fault: proxy: %w", err)
	}
	p := &Proxy{listener: l, sources: o.Sources, target: o.Target, changed: make(chan struct{})}
	p.closing, p.close = context.WithCancel(context.Background())
	for i := range p.rules {
		p.rules[i].generation = map[Verb]int{}
	}
	p.tasks.Go(p.accept)
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget names the server for connections from now on.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Links is how many connections are open, and how many there ever were.
func (p *Proxy) Links() (open, ever int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links), p.count
}

// Close ends every connection and waits.
func (p *Proxy) Close() {
	p.close()
	_ = p.listener.Close() // ends accept
	for _, l := range p.all() {
		l.reset()
	}
	p.tasks.Wait()
}

func (p *Proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*link(nil), p.links...)
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.tasks.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

// source is the address that the n-th connection comes from, one of so many.
func source(n, of int) *net.TCPAddr {
	if of == 0 {
		return nil
	}
	n %= of
	return &net.TCPAddr{IP: net.IPv4(127, byte(64+n/62500%64), byte(n/250%250), byte(1+n%250))}
}

// Dial is a way to connect to target from so many addresses of 127.0.0.0/8 in turn, whatever address is asked for.
func Dial(target string, sources int) func(ctx context.Context, network, address string) (net.Conn, error) {
	var count atomic.Int64
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		if from := source(int(count.Add(1)-1), sources); from != nil {
			d.LocalAddr = from
		}
		return d.DialContext(ctx, network, target)
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	p.mu.Lock()
	target, n := p.target, p.count
	p.count++
	p.mu.Unlock()
	d := net.Dialer{Timeout: 5 * time.Second}
	if from := source(n, p.sources); from != nil {
		d.LocalAddr = from
	}
	server, err := d.DialContext(p.closing, "tcp", target)
	if err != nil { // the server is down: the client is told as a closed port tells it
		reset(client)
		return
	}
	l := &link{p: p, client: client, server: server.(*net.TCPConn), ended: make(chan struct{})}
	p.mu.Lock()
	p.links = append(p.links, l)
	p.mu.Unlock()
	if p.closing.Err() != nil {
		l.reset()
	}
	l.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.links {
		if other == l {
			p.links = append(p.links[:i:i], p.links[i+1:]...)
			break
		}
	}
}

func directions(d Dir) []int {
	switch d {
	case ToServer:
		return []int{0}
	case ToClient:
		return []int{1}
	}
	return []int{0, 1}
}

// Do does one step of a script: any of NetworkVerbs, or Resume.
func (p *Proxy) Do(step Step, r *rand.Rand) {
	switch step.Verb {
	case Reset, Duplicate, Cut:
		for _, l := range p.choose(step.Which, r) {
			switch step.Verb {
			case Reset:
				l.reset()
			case Duplicate:
				l.orphan()
			case Cut:
				for _, d := range directions(step.Dir) {
					l.left[d].Store(step.Bytes)
					l.limited[d].Store(true)
				}
			}
		}
		return
	}
	if step.Verb == Drop && step.Which != All {
		links := p.choose(step.Which, r)
		for _, l := range links {
			for _, d := range directions(step.Dir) {
				l.holed[d].Store(true) // from now on nothing passes
			}
		}
		if step.For > 0 {
			time.AfterFunc(step.For, func() {
				for _, l := range links {
					l.reset()
				}
			})
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range directions(step.Dir) {
		ru := &p.rules[d]
		if step.Verb == Resume {
			for _, v := range []Verb{Latency, Rate, Trickle, Drop, Pause} {
				p.set(d, Step{Verb: v}, false)
			}
			for _, l := range p.links {
				if l.holed[d].Load() && !l.alone.Load() {
					l.reset()
				}
			}
			continue
		}
		p.set(d, step, true)
		if step.For > 0 {
			mine := ru.generation[step.Verb]
			time.AfterFunc(step.For, func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.rules[d].generation[step.Verb] == mine {
					p.set(d, step, false)
				}
			})
		}
	}
}

// set turns one rule on or off; p.mu is held.
func (p *Proxy) set(d int, step Step, on bool) {
	ru := &p.rules[d]
	ru.generation[step.Verb]++
	switch step.Verb {
	case Latency:
		ru.latency = 0
		if on {
			ru.latency = step.Wait
		}
	case Rate:
		ru.rate = 0
		if on {
			ru.rate = step.Bytes
		}
	case Trickle:
		ru.trickle = on
	case Pause:
		ru.pause = on
	case Drop:
		if ru.drop && !on {
			for _, l := range p.links { // a stream with a hole in it can't go on
				if l.holed[d].Load() {
					l.reset()
				}
			}
		}
		ru.drop = on
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// now is a direction's rules, and a channel that closes when they change.
func (p *Proxy) now(d int) (rules, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules[d], p.changed
}

// choose picks open connections.
func (p *Proxy) choose(w Which, r *rand.Rand) []*link {
	all := p.all()
	switch {
	case len(all) == 0 || w == All:
		return all
	case w == One:
		return []*link{all[r.IntN(len(all))]}
	}
	var out []*link
	for _, l := range all {
		if r.IntN(2) == 0 {
			out = append(out, l)
		}
	}
	return out
}
