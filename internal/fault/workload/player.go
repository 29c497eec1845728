package workload

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lookalong/lookalong/internal/follow"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// Sent is one message that a player has posted.
type Sent struct {
	Conversation protocol.ConversationID
	ID           protocol.RequestID
	Text         string
	Seq          int64 // of the ack; 0: none yet
	AckedAt      time.Time
	Refused      error // the server's no, for good
}

// Shown is one message that a player's user has seen.
type Shown struct {
	Seq  int64
	ID   protocol.RequestID
	Text string
}

// player is one customer or one agent: the real client, an outbox, and what was shown. mu guards what is below it; the
// client's callbacks only take it for moments.
type player struct {
	name   string
	client *client.Client
	agent  bool
	of     []*player // an agent's customers

	mu      sync.Mutex
	online  bool
	sent    []*Sent
	mine    map[protocol.ConversationID]bool // an agent's claims, wished for or had
	logs    map[protocol.ConversationID]*log
	wrong   []string                                   // breaches of the protocol's promises that only this player can see
	seen    map[protocol.ConversationID]map[int64]bool // pushed over the present socket
	refused map[protocol.Code]int
	stopped error
}

// newPlayer makes a player that is not connected.
func newPlayer(play Config, name, invite string, key ed25519.PrivateKey) (*player, error) {
	p := &player{name: name, agent: invite != "", mine: map[protocol.ConversationID]bool{}, logs: map[protocol.ConversationID]*log{}, refused: map[protocol.Code]int{}}
	cfg := client.Config{URL: play.URL, Dial: play.Dial, Role: "native", Key: key, OnMessage: p.pushed, OnState: p.state}
	if p.agent {
		cfg.Role, cfg.Invite, cfg.Device = "agent", invite, "workload"
	}
	var err error
	p.client, err = client.New(cfg)
	return p, err
}

// state follows the connection. At Online what is asked here leaves before chat is resent; it is asked without the
// lock, because Ask answers at once when the socket is gone.
func (p *player) state(s client.State, err error) {
	p.mu.Lock()
	p.online = s == client.Online
	if s == client.Stopped && !errors.Is(err, context.Canceled) {
		p.stopped = err
	}
	p.seen = map[protocol.ConversationID]map[int64]bool{}
	var back []protocol.ConversationID
	for _, l := range p.logs {
		l.Failed()
	}
	for conv := range p.mine {
		back = append(back, conv)
	}
	p.mu.Unlock()
	switch {
	case s != client.Online:
	case !p.agent:
		p.open()
	default:
		for _, conv := range back {
			p.claim(conv)
		}
	}
}

// open is a customer's way in and back.
func (p *player) open() {
	p.client.Ask(protocol.ConversationOpen{}, func(reply any, err error) { p.rejoin(reply, err, p.open) })
}

// claim is an agent's way in and back; offline, the next connect asks.
func (p *player) claim(conv protocol.ConversationID) {
	p.client.Ask(protocol.QueueClaim{Conversation: conv, Hold: true}, func(reply any, err error) {
		p.rejoin(reply, err, func() { p.claim(conv) })
	})
}

// later asks again after a refusal for now; p.mu is held.
func (p *player) later(err error, again func()) {
	if u, ok := errors.AsType[*protocol.UserError](err); ok {
		p.refused[u.Code]++
		time.AfterFunc(max(100*time.Millisecond, time.Duration(u.RetryAfterMs)*time.Millisecond), func() {
			p.mu.Lock()
			online := p.online
			p.mu.Unlock()
			if online { // else the next connect asks
				again()
			}
		})
	}
}

// follow is the log of a conversation; p.mu is held.
func (p *player) follow(conv protocol.ConversationID) *log {
	l := p.logs[conv]
	if l == nil {
		l = &log{}
		l.Follower = follow.New(0, func(after int64) { p.ask(l, conv, after) },
			func(m protocol.ChatMessage) { l.shown = append(l.shown, Shown{m.Seq, m.MessageID, m.Text}) })
		p.logs[conv] = l
	}
	return l
}

// pushed takes what the server sends unasked.
func (p *player) pushed(msg any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m := msg.(type) {
	case protocol.ChatMessage:
		seen := p.seen[m.Conversation]
		if seen == nil {
			seen = map[int64]bool{}
			p.seen[m.Conversation] = seen
		}
		if seen[m.Seq] {
			p.wrong = append(p.wrong, fmt.Sprintf("%s was sent message %d twice over one socket", p.name, m.Seq))
		}
		seen[m.Seq] = true
		p.follow(m.Conversation).Message(m)
	case protocol.ConversationState:
		if l := p.logs[m.Conversation]; l != nil && m.LastSeq > l.Last() {
			l.CatchUp()
		}
	}
}

// post sends a text and remembers it.
func (p *player) post(conv protocol.ConversationID, text string) {
	s := &Sent{Conversation: conv, Text: text}
	p.mu.Lock()
	p.sent = append(p.sent, s)
	p.mu.Unlock()
	id := p.client.Post(conv, text, func(ack protocol.Ack, err error) {
		now := time.Now()
		p.mu.Lock()
		defer p.mu.Unlock()
		if u, ok := errors.AsType[*protocol.UserError](err); ok {
			s.Refused = u
			p.refused[u.Code]++
		}
		if err != nil {
			return
		}
		if s.Seq != 0 {
			p.wrong = append(p.wrong, fmt.Sprintf("%s: %s was acknowledged twice", p.name, ack.ID))
		}
		s.ID, s.Seq, s.AckedAt = ack.ID, ack.Seq, now
		p.follow(conv).Message(protocol.ChatMessage{Seq: ack.Seq, MessageID: ack.ID, Text: text})
	})
	p.mu.Lock()
	s.ID = id
	p.mu.Unlock()
}

// unacked is how many messages are in the outbox.
func (p *player) unacked() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sent {
		if s.Seq == 0 && s.Refused == nil {
			n++
		}
	}
	return n
}

// conversations are those that this player takes part in.
func (p *player) conversations() (out []protocol.ConversationID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conv := range p.logs {
		out = append(out, conv)
	}
	return out
}

// log is what a player has seen of a conversation, as every client of ours follows it. The player's mu guards it.
type log struct {
	*follow.Follower
	shown []Shown
}

// ask asks for what follows in a conversation. The question leaves on a goroutine of its own: an answer for a dead
// socket comes at once, on the same goroutine.
func (p *player) ask(l *log, conv protocol.ConversationID, after int64) {
	go p.client.Ask(protocol.ChatHistory{Conversation: conv, After: after, Limit: 100}, func(reply any, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if page, ok := reply.(protocol.ChatPage); ok {
			l.Page(page)
			return
		}
		l.Failed()
		p.later(err, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			l.CatchUp()
		})
	})
}

// rejoin takes the answer to open or claim and catches up, or does the same again later.
func (p *player) rejoin(reply any, err error, again func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st, ok := reply.(protocol.ConversationState)
	if !ok {
		p.later(err, again)
		return
	}
	l := p.follow(st.Conversation)
	l.Failed() // what was asked over another connection is not answered
	l.CatchUp()
}
