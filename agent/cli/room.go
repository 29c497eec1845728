package cli

// A room is one conversation held open: the loop under chat, tail, share and send --direct. Its goroutine (run)
// owns everything in it; the connection and the session controller only post to it.

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/lookalong/lookalong/agent/mailbox"
	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/internal/follow"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
	"github.com/lookalong/lookalong/web"
)

// room holds one conversation.
type room struct {
	app    *app
	link   *link
	box    *mailbox.Box[func()]
	joined atomic.Pointer[protocol.ConversationWatch] // what is asked again after a reconnect; nil before join

	id     protocol.ConversationID
	state  protocol.ConversationState
	follow *follow.Follower
	ctl    *support.Controller // nil: no sessions here
	rec    *recorded           // nil: nothing is recorded
	status support.Status
	online bool
	lost   time.Time // since when the connection is gone
	again  time.Time // when the history is asked again that a busy server refused
	over   bool
	result error // of run, once over

	stopCtl context.CancelFunc
	ctlDone chan struct{}

	// What the command does about it. All optional; they run on the room's goroutine.
	onMessage func(protocol.ChatMessage) // each, once, in order, one's own included
	onPush    func(msg any)              // anything else that the server pushed
	onStatus  func(support.Status)
	onLink    func(client.State, error)
	onState   func(before, now protocol.ConversationState)
	onDirect  func(protocol.DirectMessage)
	onAck     func(protocol.RequestID)
	onTick    func(now time.Time)
	onDelay   func(why *protocol.UserError) // what is written has to wait
}

// newRoom connects. The room is in no conversation yet.
func newRoom(ctx context.Context, a *app) (*room, error) {
	r := &room{app: a, box: mailbox.New[func()]()}
	set := make(chan struct{}) // r.link is set
	l, err := a.dial(ctx, client.Config{
		OnMessage: func(msg any) { r.post(func() { r.push(msg) }) },
		OnDelay: func(why *protocol.UserError) {
			r.post(func() {
				if r.onDelay != nil {
					r.onDelay(why)
				}
			})
		},
		OnState: func(s client.State, err error) {
			<-set
			switch watch := r.joined.Load(); {
			case s != client.Online || watch == nil:
			case watch.Hold: // a claim that lapsed is there again before the chat that waits is sent
				r.link.Ask(protocol.QueueClaim{Conversation: watch.Conversation, Hold: true}, func(reply any, err error) {
					r.post(func() { r.reclaimed(reply, err) })
				})
			default:
				r.link.Ask(*watch, func(reply any, err error) { r.post(func() { r.rejoined(reply, err) }) })
			}
			r.post(func() { r.linkState(s, err) })
		},
	})
	if err != nil {
		return nil, err
	}
	r.link = l
	close(set)
	return r, l.ready(ctx)
}

// oneOptions are those of every command about one conversation.
type oneOptions struct {
	app *app
	id  string // what the person typed: the beginning is enough
}

// room connects and finds the conversation. The room is not in it yet.
func (o *oneOptions) room(ctx context.Context) (*room, protocol.QueueItem, error) {
	r, err := newRoom(ctx, o.app)
	if err != nil {
		return nil, protocol.QueueItem{}, err
	}
	item, err := resolve(ctx, r.link, o.id)
	if err != nil {
		r.close()
		return nil, protocol.QueueItem{}, err
	}
	return r, item, nil
}

// claimed is room with the conversation taken, ready for a session; the viewer page gets that port, or any for 0.
func (o *oneOptions) claimed(ctx context.Context, viewerPort int) (*room, error) {
	r, item, err := o.room(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.claim(ctx, item.Conversation); err != nil {
		r.close()
		return nil, err
	}
	r.withSessions(ctx, viewerPort)
	return r, nil
}

func (r *room) post(fn func()) { r.box.Post(fn) }

// claim takes the conversation, or one's own again, and holds it while the room is open.
func (r *room) claim(ctx context.Context, id protocol.ConversationID) error {
	state, err := ask[protocol.ConversationState](ctx, r.link, protocol.QueueClaim{Conversation: id, Hold: true})
	if err != nil {
		return err
	}
	return r.join(ctx, state.Conversation, true)
}

// join subscribes to the conversation; with hold it keeps one's own claim.
func (r *room) join(ctx context.Context, id protocol.ConversationID, hold bool) error {
	watch := protocol.ConversationWatch{Conversation: id, Hold: hold}
	r.joined.Store(&watch)
	state, err := ask[protocol.ConversationState](ctx, r.link, watch)
	if err != nil {
		return err
	}
	r.id, r.state, r.online = id, state, true
	r.follow = follow.New(state.LastSeq, r.askHistory, func(m protocol.ChatMessage) {
		if r.onMessage != nil {
			r.onMessage(m)
		}
	})
	return nil
}

// withSessions starts the session controller of the room's conversation.
func (r *room) withSessions(ctx context.Context, viewerPort int) {
	r.ctl = support.New(support.Config{
		Conversation: r.id, Signaling: r.link, Log: r.app.log(), Files: web.Viewer(), ViewerPort: viewerPort, Net: r.app.net,
		OnStatus: func(s support.Status) {
			r.post(func() {
				r.status = s
				if r.onStatus != nil {
					r.onStatus(s)
				}
			})
		},
		OnDirect: func(m protocol.DirectMessage) {
			r.post(func() {
				if r.onDirect != nil {
					r.onDirect(m)
				}
			})
		},
		OnDirectAck: func(id protocol.RequestID) {
			r.post(func() {
				if r.onAck != nil {
					r.onAck(id)
				}
			})
		},
	})
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stopCtl, r.ctlDone = stop, make(chan struct{})
	go func() {
		defer close(r.ctlDone)
		_ = r.ctl.Run(run) // ends with the room
	}()
	r.ctl.Adopt(r.state.Session)
}

// close ends a live session with a goodbye, then the connection. The claim stays for another minute.
func (r *room) close() {
	if r.stopCtl != nil {
		r.stopCtl()
		<-r.ctlDone
		r.stopCtl = nil
		if r.rec != nil {
			r.rec.wait()
		}
	}
	r.link.close()
}

// finish ends run with a result.
func (r *room) finish(err error) {
	if !r.over {
		r.over, r.result = true, err
	}
}

// run is the loop. It returns what finish was given, or why the connection or ctx ended.
func (r *room) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !r.over {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.link.ended:
			return r.link.err
		case <-r.box.Wake:
			items, lost := r.box.Take()
			if lost {
				return errors.New("too much happened at once; open the conversation again")
			}
			for _, fn := range items {
				fn()
				if r.over {
					break
				}
			}
		case now := <-tick.C:
			if !r.again.IsZero() && now.After(r.again) {
				r.again = time.Time{}
				r.follow.Failed()
				r.follow.CatchUp()
			}
			if r.onTick != nil {
				r.onTick(now)
			}
		}
	}
	return r.result
}

// push takes what the server pushed.
func (r *room) push(msg any) {
	if r.ctl != nil {
		r.ctl.Deliver(msg)
	}
	switch m := msg.(type) {
	case protocol.ChatMessage:
		if m.Conversation == r.id && r.follow != nil {
			r.follow.Message(m)
		}
		return
	case protocol.ConversationState:
		if m.Conversation == r.id {
			r.setState(m)
		}
		return
	case protocol.ChatMarks:
		if m.Conversation == r.id {
			r.state.Marks = m.Marks
		}
	case protocol.PresenceCustomer:
		if m.Conversation != r.id {
			return
		}
	}
	if r.onPush != nil {
		r.onPush(msg)
	}
}

func (r *room) setState(now protocol.ConversationState) {
	before := r.state
	r.state = now
	if now.LastSeq > r.follow.Last() {
		r.follow.CatchUp()
	}
	if watch := r.joined.Load(); watch.Hold && !r.mine() {
		r.joined.Store(&protocol.ConversationWatch{Conversation: r.id}) // given up: a reconnect does not take it back
	}
	if r.onState != nil {
		r.onState(before, now)
	}
}

// mine reports whether the claim is this agent's.
func (r *room) mine() bool {
	me := r.link.Welcome().Agent
	return r.state.State == "claimed" && r.state.Agent != nil && me != nil && r.state.Agent.ID == me.ID
}

func (r *room) linkState(s client.State, err error) {
	switch s {
	case client.Online:
		r.online, r.lost = true, time.Time{}
		if r.ctl != nil {
			r.ctl.Online()
		}
	case client.Waiting:
		r.online = false
		if r.lost.IsZero() {
			r.lost = time.Now()
		}
		if r.follow != nil {
			r.follow.Failed()
		}
	}
	if r.onLink != nil {
		r.onLink(s, err)
	}
}

// rejoined takes the answer to claiming or watching again after a reconnect.
func (r *room) rejoined(reply any, err error) {
	var refused *protocol.UserError
	if state, ok := reply.(protocol.ConversationState); ok {
		r.setState(state)
		r.follow.CatchUp()
		if r.ctl != nil {
			r.ctl.Adopt(state.Session)
		}
	} else if errors.As(err, &refused) {
		r.finish(err)
	} // else offline again
}

// reclaimed takes the answer to claiming again. Unless somebody else has the conversation now, its state says why
// it can't be claimed; a server that is busy lets a claim that has not lapsed be held.
func (r *room) reclaimed(reply any, err error) {
	var refused *protocol.UserError
	if !errors.As(err, &refused) || refused.Code == protocol.CodeTaken {
		r.rejoined(reply, err)
		return
	}
	r.link.Ask(protocol.ConversationWatch{Conversation: r.id, Hold: busy(refused)}, func(reply any, err error) {
		r.post(func() { r.rejoined(reply, err) })
	})
}

// busy reports whether the same question may be answered a little later.
func busy(refused *protocol.UserError) bool {
	switch refused.Code {
	case protocol.CodeBusy, protocol.CodeRetry, protocol.CodeRate, protocol.CodeReadOnly:
		return true
	}
	return false
}

// delay is what a person is told whose message waits for the server.
func delay(why *protocol.UserError) string {
	if why.Code == protocol.CodeRetry {
		return "The server is slow to save. Your message is kept here until it has."
	}
	return why.Text
}

func (r *room) askHistory(after int64) {
	r.link.Ask(protocol.ChatHistory{Conversation: r.id, After: after, Limit: 100}, func(reply any, err error) {
		r.post(func() {
			var refused *protocol.UserError
			page, ok := reply.(protocol.ChatPage)
			switch {
			case ok && err == nil:
				r.follow.Page(page)
			case errors.As(err, &refused) && busy(refused):
				r.again = time.Now().Add(time.Duration(refused.RetryAfterMs) * time.Millisecond)
			default:
				r.follow.Failed()
			}
		})
	})
}

// say sends a chat text; done runs on the room's goroutine once it is stored, and shown, or refused.
func (r *room) say(text string, done func(protocol.Ack, error)) {
	r.link.Post(r.id, text, func(ack protocol.Ack, err error) {
		r.post(func() {
			if err == nil {
				m := protocol.ChatMessage{Conversation: r.id, Seq: ack.Seq, MessageID: ack.ID, From: "agent", Text: text, At: time.Now()}
				if me := r.link.Welcome().Agent; me != nil {
					m.Sender, m.Name = string(me.ID), me.Name
				}
				if ack.At != nil {
					m.At = *ack.At
				}
				r.follow.Message(m)
			}
			done(ack, err)
		})
	})
}

// mark tells that this side received and read everything up to seq.
func (r *room) mark(seq int64) {
	if r.mine() {
		_ = r.link.Notify(protocol.ChatMark{Conversation: r.id, Received: seq, Read: seq}) // the next mark says more
	}
}
