package simulate

// The answering agent: a second connection of the signed-in agent, which takes the simulated customers, and no
// others, and answers them without a person.

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/agent/mailbox"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// The answering agent's own limits, below those that a server has for a connection (50 messages a second) and for an
// agent's chat (20).
const (
	agentPerSecond  = 45 // claims, marks and chat together
	agentChat       = 15 // replies a second, for all customers
	claimsUnderWay  = 16
	repliesUnderWay = 16
	pumpEvery       = 20 * time.Millisecond
)

// answerer is that agent. Everything belongs to the goroutine of live, but for the methods that say otherwise.
type answerer struct {
	r      *run
	client *client.Client
	box    *mailbox.Box[func()]
	work   sync.WaitGroup  // peers, and readers of pictures
	ctx    context.Context // of live, and of the peers

	desks   map[protocol.ConversationID]*desk
	claims  []*desk // to be claimed, oldest first
	echoes  []*desk // with something to answer, oldest first
	marks   []*desk // with something to mark
	asking  int     // claims without an answer
	unacked int     // replies without an ack
	all     *rate.Limiter
	chat    *rate.Limiter
	greeted bool
	met     chan error // how the first connection ended; capacity 1
}

// desk is one conversation of the answering agent.
type desk struct {
	c        *customer
	n        int // of the customer
	id       protocol.ConversationID
	mine     bool
	given    bool // up: a person has it, or it is closed
	reader   *reader
	catching int64
	asking   bool
	echo     string // what the next reply answers; the latest message wins
	queued   bool   // among claims
	marking  bool   // among marks
	marked   int64
	written  []own
	replies  int
	sess     *agentEnd
}

func newAnswerer(ctx context.Context, r *run, key ed25519.PrivateKey) (*answerer, error) {
	a := &answerer{
		r: r, box: mailbox.New[func()](), ctx: ctx, desks: map[protocol.ConversationID]*desk{},
		met: make(chan error, 1),
		all: rate.NewLimiter(agentPerSecond, agentPerSecond), chat: rate.NewLimiter(agentChat, agentChat),
	}
	var err error
	a.client, err = client.New(client.Config{
		URL: r.o.Server, Role: "agent", Key: key, Log: r.o.Log.With("customer", 0),
		OnMessage: func(m any) { a.post(func() { a.onMessage(m) }) },
		OnState:   func(s client.State, err error) { a.post(func() { a.onState(s, err) }) },
	})
	return a, err
}

func (a *answerer) post(f func()) { a.box.Post(f) }

// take is told of a conversation that a simulated customer has opened; from any goroutine.
func (a *answerer) take(c *customer, id protocol.ConversationID, base int64) {
	a.post(func() {
		d := &desk{c: c, n: c.n, id: id, reader: newReader(base)}
		a.desks[id] = d
		a.claim(d)
	})
}

// live is the answering agent's goroutine; it ends with a.ctx.
func (a *answerer) live() {
	ended := make(chan struct{})
	go func() { defer close(ended); _ = a.client.Run(a.ctx) }() // onState hears why
	pump := time.NewTicker(pumpEvery)
	defer pump.Stop()
	for a.ctx.Err() == nil {
		select {
		case <-a.ctx.Done():
		case <-a.box.Wake:
			items, lost := a.box.Take()
			if lost {
				a.r.tally.failed("overrun")
			}
			for _, f := range items {
				f()
			}
		case <-pump.C:
			a.pump()
		}
	}
	for _, d := range a.desks {
		a.hangUp(d, "agent_ended")
	}
	<-ended
	a.work.Wait()
}

func (a *answerer) onState(s client.State, err error) {
	switch {
	case s == client.Online && a.greeted:
		for _, d := range a.desks {
			d.asking = false
			d.reader.online()
			if !d.given {
				a.claim(d)
			}
			if d.sess != nil {
				a.rejoin(d)
			}
		}
	case s == client.Online:
		a.greeted = true
		a.met <- nil
	case (s == client.Waiting || s == client.Stopped) && a.ctx.Err() == nil:
		a.r.tally.failed("agent " + codeOf(err))
		if !a.greeted {
			select {
			case a.met <- err:
			default: // told already
			}
		}
	}
}

// claim plans to take a conversation, or to take it up again.
func (a *answerer) claim(d *desk) {
	if !d.queued {
		d.queued = true
		a.claims = append(a.claims, d)
	}
}

// pump sends what is due, as fast as the server's limits allow: claims, then replies, then marks.
func (a *answerer) pump() {
	for len(a.claims) > 0 && a.asking < claimsUnderWay && a.all.Allow() {
		d := a.claims[0]
		a.claims = a.claims[1:]
		d.queued = false
		a.asking++
		a.client.Ask(protocol.QueueClaim{Conversation: d.id, Hold: true}, func(reply any, err error) {
			a.post(func() { a.claimed(d, reply, err) })
		})
	}
	for len(a.echoes) > 0 && a.unacked < repliesUnderWay && a.chat.Tokens() >= 1 && a.all.Allow() {
		a.chat.Allow()
		d := a.echoes[0]
		a.echoes = a.echoes[1:]
		a.answer(d)
	}
	for len(a.marks) > 0 && a.all.Allow() {
		d := a.marks[0]
		a.marks = a.marks[1:]
		d.marking, d.marked = false, d.reader.last
		_ = a.client.Notify(protocol.ChatMark{Conversation: d.id, Received: d.marked, Read: d.marked}) // the next one says more
	}
}

func (a *answerer) claimed(d *desk, reply any, err error) {
	a.asking--
	var user *protocol.UserError
	if st, ok := reply.(protocol.ConversationState); ok {
		again := d.mine
		d.mine = true
		d.c.taken.Store(true)
		a.onConversation(d, st)
		if !again && d.n%2 == 1 && (a.r.o.Share || a.r.o.Direct) {
			a.ask(d, a.r.o.Share)
		}
		return
	}
	if !errors.As(err, &user) {
		return // offline: the next connection claims again
	}
	switch user.Code {
	case protocol.CodeBusy, protocol.CodeRetry, protocol.CodeRate, protocol.CodeReadOnly:
		a.r.tally.refused(user.Code)
		a.claim(d)
	default: // a person has it, or it is closed
		if !d.c.leaving.Load() {
			a.r.tally.refused(user.Code)
		}
		d.given = true
	}
}

func (a *answerer) onConversation(d *desk, st protocol.ConversationState) {
	if st.State == "closed" {
		d.mine, d.given = false, true
		return
	}
	if st.State == "waiting" && d.mine { // the claim lapsed
		d.mine = false
		a.claim(d)
		return
	}
	d.catching = max(d.catching, st.LastSeq)
	a.catchUp(d)
}

func (a *answerer) onMessage(msg any) {
	switch m := msg.(type) {
	case protocol.ChatMessage:
		if d := a.desks[m.Conversation]; d != nil && d.mine {
			a.heard(d, d.reader.push(m), true)
		}
	case protocol.ConversationState:
		if d := a.desks[m.Conversation]; d != nil && d.mine {
			a.onConversation(d, m)
		}
	case protocol.Error:
		a.r.tally.refused(m.Code)
	default:
		a.onSessionMessage(msg)
	}
}

// heard takes messages that are there without a gap now.
func (a *answerer) heard(d *desk, list []protocol.ChatMessage, live bool) {
	for _, m := range list {
		if m.From != "customer" {
			continue
		}
		d.c.delivered(m.MessageID, live)
		if d.echo == "" {
			a.echoes = append(a.echoes, d)
		}
		d.echo = m.Text
		if !d.marking {
			d.marking = true
			a.marks = append(a.marks, d)
		}
	}
	d.c.agentSeen.Store(d.reader.last)
	if d.reader.gap() {
		a.catchUp(d)
	}
}

// answer replies to the latest message of a customer.
func (a *answerer) answer(d *desk) {
	text := answers[d.replies%len(answers)]
	if d.c.story.language == "zh" {
		text = answersZH[d.replies%len(answersZH)]
	}
	text += " (" + cut(d.echo, 40) + ")"
	d.echo = ""
	if !d.mine || d.c.leaving.Load() {
		return
	}
	d.replies++
	a.unacked++
	i := len(d.written)
	id := a.client.Post(d.id, text, func(ack protocol.Ack, err error) {
		a.post(func() {
			a.unacked--
			var user *protocol.UserError
			if err == nil {
				d.written[i].seq = ack.Seq
				a.heard(d, d.reader.take(protocol.ChatMessage{Conversation: d.id, Seq: ack.Seq, MessageID: ack.ID, From: "agent"}), false)
			} else if errors.As(err, &user) && !d.c.leaving.Load() {
				a.r.tally.refused(user.Code)
			}
		})
	})
	d.written = append(d.written, own{id: id, sum: sumOf(text)})
}

// cut shortens a text to n characters.
func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n]) + "…"
	}
	return text
}

func (a *answerer) catchUp(d *desk) {
	if d.asking || d.reader.last >= d.catching && !d.reader.gap() {
		return
	}
	d.asking = true
	a.client.Ask(protocol.ChatHistory{Conversation: d.id, After: d.reader.last, Limit: 100}, func(reply any, err error) {
		a.post(func() {
			d.asking = false
			page, ok := reply.(protocol.ChatPage)
			if !ok {
				var user *protocol.UserError
				if errors.As(err, &user) {
					a.r.tally.refused(user.Code)
				}
				return // the next message or connection asks again
			}
			before := d.reader.last
			for _, m := range page.Messages {
				a.heard(d, d.reader.take(m), false)
			}
			if d.reader.last > before {
				a.catchUp(d)
			}
		})
	})
}

// notes are what the answering agent knows of a conversation, for the audit; from any goroutine. nil: nothing.
func (a *answerer) notes(id protocol.ConversationID) (written []own, f faults) {
	done := make(chan struct{})
	a.post(func() {
		defer close(done)
		if d := a.desks[id]; d != nil {
			written, f = append(written, d.written...), d.reader.faults
		}
	})
	select {
	case <-done:
	case <-a.ctx.Done():
	}
	return written, f
}

var answers = []string{
	"Thank you, I'm looking into it.", "I see. One moment, please.", "That helps, thanks.", "Could you try once more?", "It should be fine now.",
}

var answersZH = []string{"收到，我正在查看。", "明白了，请稍等。", "好的，谢谢您的说明。", "请再试一次。", "现在应该可以了。"}
