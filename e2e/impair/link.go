// Package impair is a bad network on one machine: delay, loss, a bottleneck with a short queue, and a cut, between a
// program's UDP sockets and whatever they talk to. It wraps the sockets that pion opens (Net), so nothing in signaling
// has to be rewritten and every peer connection of the program shares the one line. The picture's benchmark and the
// journeys with a broken path use it.
package impair

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// overhead is what IPv4 and UDP add to a payload on the line, in bytes.
const overhead = 28

// Conditions are those of one direction of the line. The zero value passes everything on at once.
type Conditions struct {
	Delay time.Duration `json:"delay"` // from one end to the other
	Loss  float64       `json:"loss"`  // share of the packets that are lost on the way, 0 to 1; each by itself
	Rate  int64         `json:"rate"`  // bits a second, IP and UDP headers included; 0: no limit
	Queue time.Duration `json:"queue"` // the longest wait before a limited line; what would wait longer is dropped. 0: DefaultQueue
	Cut   bool          `json:"cut"`   // nothing arrives, neither what is on the way
}

// DefaultQueue is the queue before a line with a limited rate.
const DefaultQueue = 200 * time.Millisecond

// check reports what no line can do.
func (c Conditions) check() error {
	if c.Delay < 0 || c.Queue < 0 || c.Rate < 0 || !(c.Loss >= 0 && c.Loss <= 1) {
		return fmt.Errorf("impair: no line has delay %v, queue %v, %d bit/s and loss %v", c.Delay, c.Queue, c.Rate, c.Loss)
	}
	return nil
}

// Counts is what became of the packets of one direction. Bytes include IP and UDP headers.
type Counts struct {
	Packets  uint64 `json:"packets"`  // that were sent onto the line, the lost ones too
	Bytes    uint64 `json:"bytes"`    // of those
	Lost     uint64 `json:"lost"`     // by chance
	Overflow uint64 `json:"overflow"` // the queue was full: never on the line
	Cut      uint64 `json:"cut"`      // the line was cut
}

// link is one direction: first in, first out, whatever the conditions change to meanwhile. One goroutine hands on what
// is due, because a timer for each packet would let them overtake each other.
type link struct {
	wake  chan struct{}         // something is in the queue; one is enough
	sleep func(until time.Time) // precise; tests have a clock of their own

	mu     sync.Mutex
	cond   Conditions
	rand   *rand.Rand
	free   time.Time // when the bottleneck has sent all that waits before it
	last   time.Time // when the newest packet in the queue is due
	queue  []packet
	ended  bool // run has returned
	counts Counts
}

type packet struct {
	due     time.Time
	deliver func()
	control bool // no packet but a note in its place, never lost
}

func newLink(seed uint64, sleep func(time.Time)) *link {
	return &link{wake: make(chan struct{}, 1), sleep: sleep, rand: rand.New(rand.NewPCG(seed, 1))}
}

func (l *link) set(c Conditions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Queue == 0 {
		c.Queue = DefaultQueue
	}
	l.cond = c
	if c.Rate == 0 {
		l.free = time.Time{}
	}
}

func (l *link) count() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// send puts a packet with that payload onto the line; deliver is called when it arrives, in the order of the calls.
func (l *link) send(payload int, deliver func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if l.cond.Cut {
		l.counts.Cut++
		return
	}
	now := time.Now()
	size, due := payload+overhead, now
	if l.cond.Rate > 0 {
		start := l.free
		if start.Before(now) {
			start = now
		}
		if start.Sub(now) > l.cond.Queue {
			l.counts.Overflow++
			return
		}
		l.free = start.Add(time.Duration(int64(size) * 8 * int64(time.Second) / l.cond.Rate))
		due = l.free
	}
	l.counts.Packets++
	l.counts.Bytes += uint64(size)
	if l.rand.Float64() < l.cond.Loss { // after the bottleneck: a lost packet has used the line
		l.counts.Lost++
		return
	}
	l.put(packet{due: due.Add(l.cond.Delay), deliver: deliver})
}

// note calls fn after everything that was sent before it has arrived or is lost; at once when the line has ended.
func (l *link) note(fn func()) {
	l.mu.Lock()
	ended := l.ended
	if !ended {
		l.put(packet{due: time.Now(), deliver: fn, control: true})
	}
	l.mu.Unlock()
	if ended {
		fn()
	}
}

// put is called with the lock held.
func (l *link) put(p packet) {
	if p.due.Before(l.last) {
		p.due = l.last // the line has become shorter, but nothing overtakes
	}
	l.last = p.due
	l.queue = append(l.queue, p)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next is the oldest packet, and takes it from the queue when it is due; ok is false for an empty queue.
func (l *link) next(now time.Time) (p packet, due, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil // what was delivered can be freed
		return packet{}, false, false
	}
	p = l.queue[0]
	if p.due.After(now) {
		return p, false, true
	}
	l.queue[0] = packet{}
	l.queue = l.queue[1:]
	if l.cond.Cut && !p.control {
		l.counts.Cut++
		p.deliver = func() {}
	}
	return p, true, true
}

// run hands on what is due until done is closed; notes that wait are then called at once.
func (l *link) run(done <-chan struct{}) {
	for {
		p, due, ok := l.next(time.Now())
		switch {
		case due:
			p.deliver()
		case ok:
			l.sleep(p.due)
		default:
			select {
			case <-l.wake:
			case <-done:
			}
		}
		select {
		case <-done:
			l.drain()
			return
		default:
		}
	}
}

func (l *link) drain() {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.ended = nil, true
	l.mu.Unlock()
	for _, p := range queue {
		if p.control {
			p.deliver()
		}
	}
}
