package simulate

// One simulated customer: its connection, its conversation, and what it does when.

import (
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lookalong/lookalong/agent/mailbox"
	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// deed is something that a customer does at a moment of its own choice.
type deed int

const (
	dOpen    deed = iota // ask for the conversation again
	dSay                 // the line that was being typed
	dReply               // begin to answer the agent
	dWorry               // nobody comes
	dRead                // tell that the agent's messages were read
	dCut                 // cut the connection
	dHistory             // ask again for what is missing
	dAllow               // say yes to the agent's question
	dDecline             // say no
	dShare               // show without being asked
	dPicture             // draw the next picture
	dDirect              // say something past the server
	dLeave               // go
	dSettle              // look whether all is done
	deeds
)

// maxUnacked is how many messages of one customer may be on their way; beyond, it writes no more for the moment.
const maxUnacked = 50

// customer is one of them. Everything without a note belongs to the goroutine of live.
type customer struct {
	r     *run
	n     int // from 0
	story story
	rng   *rand.Rand
	box   *mailbox.Box[func()]
	ctx   context.Context // of live, and of the peers
	stop  context.CancelFunc
	work  sync.WaitGroup // peers
	wire  wire

	client *client.Client
	agenda [deeds]time.Time // zero: not planned

	met      chan error    // how the first connect ended; capacity 1
	finished chan struct{} // the story is over, or nothing more can come; closed by finish
	settled  chan struct{} // after quiet: nothing is under way any more; closed once
	over     sync.Once
	calm     sync.Once

	online     bool
	greeted    bool      // was online once
	lostAt     time.Time // when the last connection went
	ownCut     bool      // it was this side that cut it
	onlineAt   time.Time
	recovering bool  // a connection was lost, and what was missed is not there yet
	catching   int64 // the number to catch up to; 0: nothing is missed
	asking     bool  // a page of the history is on its way

	conv      protocol.ConversationState
	opened    time.Time
	base      int64 // the last number before this run
	reader    *reader
	written   []own
	unacked   int
	lastAcked int64
	quiet     bool // writes no more
	lines     []string
	next      int       // of the story's replies; in a load run of all its lines
	worried   int       // times
	asked     time.Time // the customer's message that the agent has not answered
	answered  bool
	owes      bool // the agent's last message has no reply yet
	thanked   bool

	sess   *session
	look   consent.View
	drawn  drawing
	yesAt  time.Time // of the picture that was not seen yet
	shown  bool      // has shown the screen, or offered it
	told   bool      // has said the direct line
	direct map[protocol.RequestID]time.Time

	mu     sync.Mutex
	posted map[protocol.RequestID]time.Time // written, not seen by the answering agent

	taken     atomic.Bool  // by the answering agent of this program
	agentSeen atomic.Int64 // the highest number that it has without a gap
	leaving   atomic.Bool  // what the answering agent still asks for may be refused
}

func newCustomer(r *run, n int, key ed25519.PrivateKey) (*customer, error) {
	list := storiesIn(r.o.Language)
	c := &customer{
		r: r, n: n, story: list[n%len(list)], rng: rand.New(rand.NewPCG(rand.Uint64(), uint64(n))),
		box: mailbox.New[func()](), reader: newReader(0), look: consent.View{State: consent.Off},
		met: make(chan error, 1), finished: make(chan struct{}), settled: make(chan struct{}),
		posted: map[protocol.RequestID]time.Time{}, direct: map[protocol.RequestID]time.Time{},
	}
	var err error
	c.client, err = client.New(client.Config{
		URL: r.o.Server, Role: "native", Key: key, Log: r.o.Log.With("customer", n+1), Dial: r.sources.dialer(n, &c.wire),
		OnMessage: func(m any) { c.post(func() { c.onMessage(m) }) },
		OnState: func(s client.State, err error) {
			at := time.Now()
			c.post(func() { c.onState(s, err, at) })
		},
	})
	return c, err
}

func (c *customer) post(f func()) { c.box.Post(f) }

// do runs f on the customer's goroutine and waits; false when it has ended.
func (c *customer) do(f func()) bool {
	done := make(chan struct{})
	c.post(func() { defer close(done); f() })
	select {
	case <-done:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// live is the customer's goroutine; it ends with c.ctx, when everything that it started has ended.
func (c *customer) live() {
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.client.Run(c.ctx) }() // onState hears why
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	if c.r.o.ReconnectEvery > 0 {
		c.in(dCut, c.jitter(c.r.o.ReconnectEvery))
	}
	for c.ctx.Err() == nil {
		timer.Reset(c.wait(time.Now()))
		select {
		case <-c.ctx.Done():
		case <-c.box.Wake:
			items, lost := c.box.Take()
			if lost {
				c.r.tally.failed("overrun")
				c.finish()
			}
			for _, f := range items {
				f()
			}
		case now := <-timer.C:
			c.due(now)
		}
	}
	if c.sess != nil {
		c.sess.Close("left")
	}
	<-ended
	c.work.Wait()
	if c.online {
		c.r.tally.online.Add(-1)
	}
}

// in plans a deed; a plan that is there already stays.
func (c *customer) in(d deed, after time.Duration) {
	if c.agenda[d].IsZero() {
		c.agenda[d] = time.Now().Add(after)
	}
}

func (c *customer) cancel(list ...deed) {
	for _, d := range list {
		c.agenda[d] = time.Time{}
	}
}

// wait is how long nothing is planned.
func (c *customer) wait(now time.Time) time.Duration {
	wait := time.Hour
	for _, at := range c.agenda {
		if !at.IsZero() {
			wait = min(wait, at.Sub(now))
		}
	}
	return max(wait, 0)
}

func (c *customer) due(now time.Time) {
	for d, at := range c.agenda {
		if at.IsZero() || at.After(now) {
			continue
		}
		c.agenda[d] = time.Time{}
		switch deed(d) {
		case dOpen:
			c.open()
		case dSay:
			c.sayNext()
		case dReply:
			c.reply()
		case dWorry:
			c.worry()
		case dRead:
			c.mark(c.reader.last)
		case dCut:
			c.cut()
		case dHistory:
			c.catchUp()
		case dAllow:
			c.sayYes()
		case dDecline:
			c.sayNo()
		case dShare:
			c.showUnasked()
		case dPicture:
			c.draw(now)
		case dDirect:
			c.sayDirect()
		case dLeave:
			c.finish()
		case dSettle:
			c.settle()
		}
	}
}

// jitter is a time around d: half of it to one and a half.
func (c *customer) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(c.rng.Int64N(int64(d)+1))
}

// human is a jittered time that a person takes, at the run's pace.
func (c *customer) human(d time.Duration) time.Duration {
	return time.Duration(float64(c.jitter(d)) / c.r.o.Pace)
}

// finish says that nothing more is to come from this customer.
func (c *customer) finish() { c.over.Do(func() { close(c.finished) }) }

func (c *customer) tell(what, text string) {
	if c.r.o.OnEvent != nil {
		c.r.o.OnEvent(Event{Customer: c.n + 1, What: what, Title: c.title(), Text: text})
	}
}

// title is visibly no real customer's.
func (c *customer) title() string { return "Rehearsal · " + c.story.title }
