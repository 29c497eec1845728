package server

import (
	"container/list"
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/relay"
)

// edge admits sockets: by address, by total, and with room for limits.Unproven that have not sent their proof. It owns
// its counts; its methods may be called from any goroutine.
type edge struct {
	now    func() time.Time
	max    int // sockets in total
	limits *Limits
	stats  *stats

	mu       sync.Mutex
	total    int
	unproven *list.List // of *ticket, oldest first
	byIP     map[string]*ipCount
	sweepAt  int // size of byIP at which addresses with nothing to remember are looked for
}

type ipCount struct {
	key         string // the same string for every socket of the address
	open        int
	started     []time.Time // of new sockets within ipNewWindow
	failed      []time.Time // of failed proofs within failedWindow
	pausedUntil time.Time
}

// ticket is one admitted socket.
type ticket struct {
	e       *edge
	ip      string
	drop    func()        // closes the socket when it must make room; nil once proven
	element *list.Element // nil once proven
	given   bool          // its place was given back
	since   time.Time
}

func newEdge(max int, limits *Limits, st *stats, now func() time.Time) *edge {
	return &edge{now: now, max: max, limits: limits, stats: st, unproven: list.New(), byIP: map[string]*ipCount{}, sweepAt: 1024}
}

// admit counts a new socket or says why not.
func (e *edge) admit(ip string, drop func()) (*ticket, *protocol.UserError) {
	t, silent, refused := e.take(ip, drop)
	for _, drop := range silent {
		drop() //guard:T10
		e.stats.refused(protocol.CodeHelloTime)
	}
	if refused != nil {
		e.stats.refused(refused.Code)
	}
	return t, refused
}

func (e *edge) take(ip string, drop func()) (t *ticket, silent []func(), refused *protocol.UserError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	c := e.byIP[ip]
	if c == nil {
		if len(e.byIP) >= e.sweepAt {
			e.forget(now)
			e.sweepAt = 1024 + 2*len(e.byIP) // so that each look at all costs a constant for each new address
		}
		c = &ipCount{key: ip}
		e.byIP[ip] = c
	}
	c.started = since(c.started, now.Add(-ipNewWindow))
	c.failed = since(c.failed, now.Add(-failedWindow))
	switch {
	case now.Before(c.pausedUntil):
		return nil, nil, &protocol.UserError{Code: protocol.CodeRate, Text: "Too many failed attempts from this address. Wait ten minutes.", RetryAfterMs: c.pausedUntil.Sub(now).Milliseconds()}
	case e.total >= e.max: //guard:F25
		return nil, nil, &protocol.UserError{Code: protocol.CodeBusy, Text: "The server is full. It is tried again.", RetryAfterMs: 5000}
	case c.open >= e.limits.IPSockets || len(c.started) >= e.limits.IPNew: //guard:T11
		return nil, nil, &protocol.UserError{Code: protocol.CodeIPLimit, Text: "Too many connections from this address. It is tried again.", RetryAfterMs: ipNewWindow.Milliseconds()}
	}
	for room := relay.Room(e.limits.Unproven); e.unproven.Len() > 0; {
		first := e.unproven.Front().Value.(*ticket)
		if !room.Full(e.unproven.Len(), now.Sub(first.since)) {
			break
		}
		silent = append(silent, first.drop)
		first.settle()
	}
	c.open++
	c.started = append(c.started, now)
	e.total++
	t = &ticket{e: e, ip: c.key, drop: drop, since: now}
	t.element = e.unproven.PushBack(t)
	return t, silent, nil
}

// forget drops addresses that have nothing to remember.
func (e *edge) forget(now time.Time) {
	for ip, c := range e.byIP {
		c.started = since(c.started, now.Add(-ipNewWindow))
		c.failed = since(c.failed, now.Add(-failedWindow))
		if c.open == 0 && len(c.started) == 0 && len(c.failed) == 0 && !now.Before(c.pausedUntil) {
			delete(e.byIP, ip)
		}
	}
}

// proof takes the socket off the list of those that may be dropped: it is not silent any more. What is wrong with its
// proof costs its address a failed one.
func (t *ticket) proof() {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	t.settle()
}

func (t *ticket) settle() {
	if t.element != nil {
		t.e.unproven.Remove(t.element)
		t.element, t.drop = nil, nil
	}
}

// failedProof counts a proof, an invite or a key that was not accepted.
func (t *ticket) failedProof() {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	c, now := t.e.byIP[t.ip], t.e.now()
	c.failed = append(since(c.failed, now.Add(-failedWindow)), now)
	if len(c.failed) >= t.e.limits.FailedProofs {
		c.pausedUntil = now.Add(t.e.limits.FailedPause) //guard:T05
	}
}

// done gives the socket's place back. Idempotent.
func (t *ticket) done() {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	if t.given {
		return
	}
	t.given = true
	t.settle()
	t.e.byIP[t.ip].open--
	t.e.total--
}

// open is how many sockets there are, and how many of them have not sent their proof.
func (e *edge) open() (total, unproven int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total, e.unproven.Len()
}

// dropSilent closes the sockets that have not sent their proof.
func (e *edge) dropSilent() {
	var drops []func()
	e.mu.Lock()
	for el := e.unproven.Front(); el != nil; el = el.Next() {
		drops = append(drops, el.Value.(*ticket).drop)
	}
	e.mu.Unlock()
	for _, drop := range drops {
		drop()
	}
}

// spread is the time over which clients should come back when all are cut at once.
func (e *edge) spread() time.Duration {
	total, _ := e.open()
	return time.Duration(total) * time.Second / spreadPerSec
}

func since(list []time.Time, from time.Time) []time.Time {
	for len(list) > 0 && list[0].Before(from) {
		list = list[1:]
	}
	return list
}
