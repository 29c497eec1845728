package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/lookalong/lookalong/e2e/loadgen/cast"
)

const (
	textBytes = 200
	ringLen   = 4096 // messages of one customer whose sending time is remembered
)

// What a frame begins with. Both servers write the type first.
var (
	ackStart      = []byte(`{"type":"ack","id":"`)
	messageStart  = []byte(`{"type":"chat.message"`)
	relayedStart  = []byte(`{"type":"chat.send","id":"`)
	errorStart    = []byte(`{"type":"error"`)
	messageBefore = []byte(`"messageId":"`)
)

// A message's id: the run, the customer, the message; fixed places, so that it is read without decoding.
const (
	idLen    = 8 + 1 + 6 + 1 + 10
	idWho    = 9
	idNumber = 16
)

// run is one chat run.
type run struct {
	options
	name      string // first part of each id
	rate      float64
	drain     time.Duration // for what is still under way at the end
	customers []*talker
	agents    []*listener

	from, to int64 // nanoseconds: messages that were due in this time are measured
	stop     atomic.Bool

	mu     sync.Mutex
	faults []string
}

// talker is a customer.
type talker struct {
	*socket
	frame  []byte // the next message; the number in its id is patched
	at     int    // where the number stands in frame
	sent   atomic.Int64
	due    [ringLen]atomic.Int64 // when message n was due
	acked  atomic.Int64
	ackNs  []int64
	inTime int // acks that came within the measured time
}

// listener is an agent's socket.
type listener struct {
	*socket
	conv   int
	got    atomic.Int64
	ns     []int64
	inTime int
}

func chat(args []string) (report, error) {
	f := flag.NewFlagSet("loadgen chat", flag.ContinueOnError)
	r := &run{name: strings.ToLower(rand.Text()[:8])}
	r.flags(f, 400)
	f.Float64Var(&r.rate, "rate", 0, "messages a second of all together, at random moments; 0: each customer sends when the last was acknowledged")
	f.DurationVar(&r.drain, "drain", 15*time.Second, "time for what is still under way at the end")
	warm := f.Duration("warm", time.Second, "time before the measured one")
	measure := f.Duration("for", 3*time.Second, "measured time")
	if err := f.Parse(args); err != nil {
		return report{}, err
	}
	if err := r.connect(); err != nil {
		return report{}, fmt.Errorf("connecting: %w", err)
	}
	var readers sync.WaitGroup
	for _, a := range r.agents {
		readers.Go(func() { r.listen(a) })
	}
	start := make(chan struct{})
	for i, c := range r.customers {
		readers.Go(func() {
			if <-start; r.rate == 0 {
				r.next(i, c, now())
			}
			r.talk(i, c)
		})
	}
	runtime.GC()
	begin := now()
	r.from = begin + warm.Nanoseconds()
	r.to = r.from + measure.Nanoseconds()
	close(start)
	var pacer sync.WaitGroup
	if r.rate > 0 {
		pacer.Go(func() { r.pace(begin) })
	}
	time.Sleep(*warm)
	server, load := cpuOf(r.pid), cpuOf(os.Getpid())
	time.Sleep(time.Duration(r.to - now()))
	server, load = cpuOf(r.pid)-server, cpuOf(os.Getpid())-load
	pacer.Wait()
	r.stop.Store(true)
	r.settle()
	for _, c := range r.customers {
		c.ws.Close()
	}
	for _, a := range r.agents {
		a.ws.Close()
	}
	readers.Wait()
	return r.report(server, load), nil
}

// connect opens a socket for each customer and one or two for the agent of each: 1,000 sockets for 400 customers.
func (r *run) connect() error {
	r.customers = make([]*talker, r.n)
	r.agents = make([]*listener, r.n+r.n/2)
	var g errgroup.Group
	g.SetLimit(32)
	for i := range r.customers {
		g.Go(func() error {
			s, conv, _, err := r.customer(i, cast.Customer(i, cast.Alg(r.keys)))
			if err != nil {
				return err
			}
			frame := fmt.Sprintf(`{"type":"chat.send","id":"%s.%06d.%010d","conversation":"%s","text":"%s"}`, r.name, i, 0, conv, strings.Repeat("x", textBytes))
			r.customers[i] = &talker{socket: s, frame: []byte(frame), at: len(relayedStart) + idNumber}
			return nil
		})
	}
	for i := range r.agents {
		g.Go(func() error {
			s, err := r.agent(i%r.n, r.n+i)
			r.agents[i] = &listener{socket: s, conv: i % r.n}
			return err
		})
	}
	return g.Wait()
}

// next sends a customer's next message, which was due at a moment that may have passed.
func (r *run) next(i int, c *talker, due int64) {
	n := c.sent.Add(1)
	c.due[n%ringLen].Store(due)
	for at, v := c.at+9, n; v > 0; at, v = at-1, v/10 {
		c.frame[at] = byte('0' + v%10)
	}
	if err := c.write(c.frame); err != nil {
		r.fault("customer %d can't send: %v", i, err)
	}
}

// pace sends at the moments of a Poisson process, the same ones in every run; a late message keeps its moment.
func (r *run) pace(begin int64) {
	runtime.LockOSThread() // precise sleep
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for due := begin; ; {
		due += int64(random.ExpFloat64() / r.rate * 1e9)
		i := random.IntN(r.n)
		if due >= r.to {
			return
		}
		sleepUntil(due)
		r.next(i, r.customers[i], due)
	}
}

// talk reads a customer's socket: acks, in the order of sending.
func (r *run) talk(i int, c *talker) {
	for {
		b, err := c.read()
		if err != nil {
			r.ended("customer", i, err)
			return
		}
		id, ok := bytes.CutPrefix(b, ackStart)
		if !ok {
			r.unexpected(b)
			continue
		}
		t := now()
		who, n := parse(id)
		if who != i || n != c.acked.Load()+1 {
			r.fault("customer %d: ack %d after %d: %s", i, n, c.acked.Load(), b)
			continue
		}
		if due := c.due[n%ringLen].Load(); due >= r.from && due < r.to {
			c.ackNs = append(c.ackNs, t-due)
		}
		if t >= r.from && t < r.to {
			c.inTime++
		}
		if c.acked.Store(n); r.rate == 0 && !r.stop.Load() {
			r.next(i, c, now())
		}
	}
}

// listen reads an agent's socket: every message of its conversation, in the order of sending.
func (r *run) listen(a *listener) {
	c := r.customers[a.conv]
	for {
		b, err := a.read()
		if err != nil {
			r.ended("agent", a.conv, err)
			return
		}
		id, ok := bytes.CutPrefix(b, relayedStart)
		if !ok && bytes.HasPrefix(b, messageStart) {
			_, id, ok = bytes.Cut(b, messageBefore)
		}
		if !ok {
			r.unexpected(b)
			continue
		}
		t := now()
		who, n := parse(id)
		if who != a.conv || n != a.got.Load()+1 {
			r.fault("agent of %d: message %d after %d: %.120s", a.conv, n, a.got.Load(), b)
			continue
		}
		if due := c.due[n%ringLen].Load(); due >= r.from && due < r.to {
			a.ns = append(a.ns, t-due)
		}
		if t >= r.from && t < r.to {
			a.inTime++
		}
		a.got.Store(n)
	}
}

// parse reads an id: whose it is, and the message's number. -1: not one of ours.
func parse(id []byte) (who int, n int64) {
	if len(id) < idLen {
		return -1, -1
	}
	for _, d := range id[idWho : idWho+6] {
		who = who*10 + int(d-'0')
	}
	for _, d := range id[idNumber : idNumber+10] {
		n = n*10 + int64(d-'0')
	}
	return who, n
}

// unexpected looks at a frame that is no ack and no message: the servers may tell more, but not refuse.
func (r *run) unexpected(b []byte) {
	if bytes.HasPrefix(b, errorStart) {
		r.fault("refused: %s", b)
	}
}

// ended is a socket's end; only ours is right.
func (r *run) ended(who string, i int, err error) {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok || !r.stop.Load() {
		r.fault("%s %d was cut: %v %v", who, i, err, closed)
	}
}

func (r *run) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) < 10 {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

// settle waits until everything that was sent has arrived, then a moment longer for what would come twice.
func (r *run) settle() {
	left := func() (sent, missing int64) {
		for _, c := range r.customers {
			sent += c.sent.Load()
			missing += c.sent.Load() - c.acked.Load()
		}
		for _, a := range r.agents {
			missing += r.customers[a.conv].sent.Load() - a.got.Load()
		}
		return sent, missing
	}
	for end := time.Now().Add(r.drain); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, missing := left(); missing == 0 {
			time.Sleep(100 * time.Millisecond)
			break
		}
	}
	if sent, missing := left(); missing != 0 || sent == 0 {
		r.fault("%d messages sent, %d acks and deliveries missing", sent, missing)
	}
}

func (r *run) report(server, load float64) report {
	out := report{Seconds: float64(r.to-r.from) / 1e9, ServerCPU: server, LoadCPU: load, RSS: rssOf(r.pid), Faults: r.faults}
	var acks, deliveries []int64
	for _, c := range r.customers {
		acks = append(acks, c.ackNs...)
		out.Acks += c.inTime
		out.Sent += c.sent.Load()
	}
	for _, a := range r.agents {
		deliveries = append(deliveries, a.ns...)
		out.Deliveries += a.inTime
	}
	out.AckMs, out.DeliverMs = quantiles(acks), quantiles(deliveries)
	if len(acks) == 0 || math.IsNaN(out.Seconds) {
		out.Faults = append(out.Faults, "nothing was measured")
	}
	return out
}
