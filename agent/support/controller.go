// Package support is the agent's end of a session: one Controller drives the peer connection and the viewer of one
// conversation. chat, share and send --direct use it.
package support

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v5"

	"github.com/lookalong/lookalong/agent/mailbox"
	"github.com/lookalong/lookalong/agent/viewer"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// Signaling is the part of the signaling client that a Controller needs.
type Signaling interface {
	Ask(msg any, done func(reply any, err error))
	Notify(msg any) error
}

// Config describes a Controller. Callbacks run on its goroutine, in order, and must not block.
type Config struct {
	Conversation protocol.ConversationID
	Signaling    Signaling
	Log          *slog.Logger

	Files      fs.FS // the viewer page; nil: no picture is ever shown
	ViewerPort int   // of 127.0.0.1; 0: any free one

	Net transport.Net // of the peers; nil: the machine's network

	OnStatus    func(Status)                 // at each change but the numbers
	OnDirect    func(protocol.DirectMessage) // a direct message arrived
	OnDirectAck func(protocol.RequestID)     // a direct message was received by the customer
}

// Errors of the Controller's requests; others are the server's *protocol.UserError.
var (
	ErrBusy    = errors.New("there is a session already; end it with /stop first")
	ErrNoPeer  = errors.New("there is no direct connection to the customer")
	ErrNothing = errors.New("there is no session to end")
)

// Controller is the agent's end of the sessions of one conversation. All methods are safe from any goroutine and
// do not wait, except OpenViewer.
type Controller struct {
	cfg Config
	box *mailbox.Box[func(*Controller)]

	// Owned by Run's goroutine.
	status Status
	told   Status // what OnStatus got last
	peer   *peer.Peer
	peers  sync.WaitGroup
	ctx    context.Context // of Run
	codecs []string        // what the viewer page decodes; nil before it told
	keys   [protocol.MaxStreams]keyWish
	flows  [protocol.MaxStreams]flow
	stills [protocol.MaxStreams]still

	recording recording
	noViewer  bool    // something else than a viewer page needs the picture
	offDue    bool    // screen.stopped came; the consent's state that tells the same follows
	bits      float64 // of all streams, over the last second
	fps       float64 // of the fastest
	loss      loss

	sink  atomic.Pointer[sink] // frames go there too; nil: nothing is recorded
	armed atomic.Pointer[sink] // what becomes it with the customer's yes

	mu     sync.Mutex
	viewer *viewer.Server // nil until OpenViewer
	closed bool
}

// keyWish is the last request for a key frame of a stream, and whether another one is due.
type keyWish struct {
	at  time.Time
	due bool
}

// keyGap is the least time between two requests for a key frame.
const keyGap = 500 * time.Millisecond

// New makes a controller. Nothing starts before Run.
func New(cfg Config) *Controller {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnStatus == nil {
		cfg.OnStatus = func(Status) {}
	}
	if cfg.OnDirect == nil {
		cfg.OnDirect = func(protocol.DirectMessage) {}
	}
	if cfg.OnDirectAck == nil {
		cfg.OnDirectAck = func(protocol.RequestID) {}
	}
	return &Controller{cfg: cfg, box: mailbox.New[func(*Controller)]()}
}

// Run owns the session until ctx ends; it then ends a live one with a goodbye and waits for everything it started.
func (c *Controller) Run(ctx context.Context) error {
	// The peers outlive ctx for as long as their goodbye takes.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c.ctx = inner
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.endRecord("lost", RecordRefused("ended"))
		if c.peer != nil {
			c.peer.Close("agent_ended")
		}
		cancel()
		c.peers.Wait() // the viewer too: it is told that the share has ended by the context
	}()
	for {
		select {
		case <-ctx.Done():
			c.end("agent_ended")
			cancel()
			return context.Cause(ctx)
		case <-c.box.Wake:
			items, lost := c.box.Take()
			if lost {
				return errors.New("support: too many events at once")
			}
			for _, fn := range items {
				fn(c)
			}
			c.tell()
		case <-tick.C:
			c.onTick(time.Now())
		}
	}
}

func (c *Controller) post(fn func(*Controller)) { c.box.Post(fn) }

// Deliver takes what the server pushed: session.*, consent.state; other messages and other conversations are ignored.
func (c *Controller) Deliver(msg any) {
	switch msg.(type) {
	case protocol.SessionState, protocol.ConsentState, protocol.SessionAnswer, protocol.SessionCandidate, protocol.SessionRestart:
		c.post(func(c *Controller) { c.handle(msg) })
	}
}

// Online says that the socket is back: a live session is bound to it again.
func (c *Controller) Online() {
	c.post(func(c *Controller) {
		if !c.status.Live() {
			return
		}
		if c.status.View == "asked" || c.status.View == "picking" {
			c.status.View = "off" // the answer may be lost; asking again must ask
		}
		id := c.status.Session
		c.cfg.Signaling.Ask(protocol.SessionRejoin{Session: id}, func(reply any, err error) {
			c.post(func(c *Controller) {
				var refused *protocol.UserError
				if st, ok := reply.(protocol.SessionState); ok {
					c.handle(st)
				} else if errors.As(err, &refused) && c.status.Session == id {
					c.ended("lost") // the server does not know it any more
				}
			})
		})
	})
}

// Adopt looks at a session that began without this controller, before it or while the socket was away: what the
// customer asked for meanwhile is accepted. A conversation has one live session: another one of ours is lost.
func (c *Controller) Adopt(id protocol.SessionID) {
	c.post(func(c *Controller) {
		if id == "" || c.status.Live() && c.status.Session == id {
			return
		}
		if c.status.Live() {
			c.ended("lost")
		}
		c.cfg.Signaling.Ask(protocol.SessionAccept{Session: id}, func(reply any, _ error) {
			c.post(func(c *Controller) {
				if st, ok := reply.(protocol.SessionState); ok {
					c.handle(st)
				} // else it is answered already, or another program's
			})
		})
	})
}

// Share asks to see the screen: with a new session, or within the live one. done gets nil once the customer was
// asked (or the picture is there already), ErrBusy, or the server's refusal.
func (c *Controller) Share(done func(error)) { c.post(func(c *Controller) { c.share(done) }) }

func (c *Controller) share(done func(error)) {
	switch {
	case !c.status.Live():
		c.request(true, done)
	case c.status.View == "on" || c.status.View == "picking" || c.status.View == "asked":
		done(nil)
	case c.status.State == "requested":
		done(ErrBusy)
	default:
		c.cfg.Signaling.Ask(protocol.ConsentAsk{Session: c.status.Session, Grant: "view"}, func(_ any, err error) {
			c.post(func(c *Controller) {
				if err == nil && c.status.View != "on" && c.status.View != "picking" {
					c.status.View, c.status.Cause = "asked", ""
				}
				done(err)
			})
		})
	}
}

// Connect asks for a session without a picture where there is none. done gets nil once the customer was asked or
// the session is there.
func (c *Controller) Connect(done func(error)) {
	c.post(func(c *Controller) {
		if c.status.Live() {
			done(nil)
			return
		}
		c.request(false, done)
	})
}

func (c *Controller) request(picture bool, done func(error)) {
	c.cfg.Signaling.Ask(protocol.SessionRequest{Conversation: c.cfg.Conversation, Picture: picture}, func(reply any, err error) {
		c.post(func(c *Controller) {
			if st, ok := reply.(protocol.SessionState); ok {
				c.handle(st)
			}
			done(err)
		})
	})
}

// Stop ends the live session. done gets ErrNothing when there is none.
func (c *Controller) Stop(done func(error)) {
	c.post(func(c *Controller) {
		if !c.status.Live() {
			done(ErrNothing)
			return
		}
		c.end("agent_ended")
		done(nil)
	})
}

// SendDirect sends a text to the customer, peer to peer. The id comes back in OnDirectAck. done gets ErrNoPeer or
// the peer's error.
func (c *Controller) SendDirect(id protocol.RequestID, text string, done func(error)) {
	c.post(func(c *Controller) {
		if err := protocol.CheckText(text); err != nil {
			done(err)
			return
		}
		if c.peer == nil || c.status.State != "connected" && c.status.State != "reconnecting" {
			done(ErrNoPeer)
			return
		}
		done(c.peer.SendDirect(protocol.DirectMessage{ID: id, Text: text, At: time.Now()}))
	})
}

// tell passes a changed status on.
func (c *Controller) tell() {
	now := c.status
	now.RTT, now.Offset = 0, 0
	if now == c.told {
		return
	}
	c.told = now
	c.tellViewer()
	c.cfg.OnStatus(c.status)
}
