package client

// Requests and chat on top of the socket: answers are matched by id; chat is resent until it is stored.

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

const (
	minRetryAfter = 250 * time.Millisecond
	window        = 16 // chat messages under way at a time; well below outboxLen and the burst that a server allows
)

// post is one chat.send on its way.
type post struct {
	msg  protocol.ChatSend
	done func(protocol.Ack, error)
	sent bool // over the present socket; Client.mu
}

// Ask sends a request (a message of protocol.Table with an ID, which is set when empty). done is called exactly
// once: with the answer or the server's *protocol.UserError on the reading goroutine, in order with OnMessage; or
// with ErrOffline when the socket is not there or drops before the answer. done must not block.
func (c *Client) Ask(msg any, done func(reply any, err error)) {
	msg, id := withID(msg)
	c.mu.Lock()
	sent := c.ask(msg, id, done)
	c.mu.Unlock()
	if !sent {
		done(nil, ErrOffline)
	}
}

// ask enqueues a request and its waiter; c.mu is held, so requests leave in the order of their calls.
func (c *Client) ask(msg any, id protocol.RequestID, done func(any, error)) bool {
	if c.conn == nil || !c.conn.send(websocket.TextMessage, protocol.Encode(msg)) {
		return false
	}
	c.pending[id] = done
	return true
}

// Request is Ask that waits. Errors: *protocol.UserError (the server's refusal), ErrOffline, ctx's. Never call it
// from OnMessage or OnState: the answer could not arrive.
func (c *Client) Request(ctx context.Context, msg any) (any, error) {
	type result struct {
		reply any
		err   error
	}
	got := make(chan result, 1) // one result, nobody waits to give it
	c.Ask(msg, func(reply any, err error) { got <- result{reply, err} })
	select {
	case r := <-got:
		return r.reply, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Notify sends a message that is not answered. ErrOffline when it could not even be enqueued.
func (c *Client) Notify(msg any) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil || !conn.send(websocket.TextMessage, protocol.Encode(msg)) {
		return ErrOffline
	}
	return nil
}

// Post puts a chat text into the outbox and returns its id. It is sent now and again after each reconnect, in
// order and with the same id, until it is stored or refused for good; done is then called once, as Ask's.
func (c *Client) Post(conversation protocol.ConversationID, text string, done func(protocol.Ack, error)) protocol.RequestID {
	p := &post{msg: protocol.ChatSend{ID: NewID(), Conversation: conversation, Text: text}, done: done}
	c.mu.Lock()
	if err := c.stopped; err != nil {
		c.mu.Unlock()
		done(protocol.Ack{}, err)
		return p.msg.ID
	}
	c.outbox = append(c.outbox, p)
	c.mu.Unlock()
	c.pump()
	return p.msg.ID
}

// Send is Post that waits until the message is stored. When ctx ends first the message is given up.
func (c *Client) Send(ctx context.Context, conversation protocol.ConversationID, text string) (protocol.Ack, error) {
	type result struct {
		ack protocol.Ack
		err error
	}
	got := make(chan result, 1) // one result, nobody waits to give it
	id := c.Post(conversation, text, func(ack protocol.Ack, err error) { got <- result{ack, err} })
	select {
	case r := <-got:
		return r.ack, r.err
	case <-ctx.Done():
		c.remove(id)
		return protocol.Ack{}, ctx.Err()
	}
}

// pump sends what is in the outbox and not under way, oldest first, at most window at a time.
func (c *Client) pump() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || c.held || c.retry != nil {
		return
	}
	for i, p := range c.outbox {
		if i >= window {
			return
		}
		if p.sent {
			continue
		}
		if !c.ask(p.msg, p.msg.ID, func(reply any, err error) { c.posted(p, reply, err) }) {
			return
		}
		p.sent = true
	}
}

// resend makes everything in the outbox leave again. What was stored already is acknowledged again, not doubled.
func (c *Client) resend() {
	c.mu.Lock()
	for _, p := range c.outbox {
		p.sent = false
	}
	c.mu.Unlock()
	c.pump()
}

// posted takes the answer to a post.
func (c *Client) posted(p *post, reply any, err error) {
	var refused *protocol.UserError
	ack, ok := reply.(protocol.Ack)
	switch {
	case errors.Is(err, ErrOffline):
		return // it stays in the outbox
	case errors.As(err, &refused) && retryable(refused.Code):
		if c.retryAfter(time.Duration(refused.RetryAfterMs) * time.Millisecond) {
			c.cfg.OnDelay(refused) // those that follow in this pause are refused because of this one
		}
		return
	case err == nil && !ok:
		err = errors.New("client: the server's answer to a message is not an ack")
	}
	if c.remove(p.msg.ID) {
		p.done(ack, err)
	}
	c.pump()
}

func retryable(code protocol.Code) bool {
	switch code {
	case protocol.CodeRate, protocol.CodeBusy, protocol.CodeRetry, protocol.CodeReadOnly:
		return true
	}
	return false
}

// retryAfter sends the whole outbox again, in order, after a pause. Nothing of it is sent meanwhile: the server
// refuses what follows a refused message until the pause is over, and a later refusal can only prolong it. True when
// the pause begins.
func (c *Client) retryAfter(wait time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return false
	}
	until := time.Now().Add(max(wait, minRetryAfter))
	if c.retry != nil {
		if until.After(c.retryAt) && c.retry.Stop() {
			c.retryAt = until
			c.retry.Reset(time.Until(until))
		}
		return false
	}
	c.retryAt = until
	c.retry = time.AfterFunc(time.Until(until), func() {
		c.mu.Lock()
		c.retry = nil
		c.mu.Unlock()
		c.resend()
	})
	return true
}

// remove takes a post out of the outbox; false when it is not there (any more).
func (c *Client) remove(id protocol.RequestID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.outbox {
		if p.msg.ID == id {
			c.outbox = append(c.outbox[:i:i], c.outbox[i+1:]...)
			return true
		}
	}
	return false
}

// take removes the waiter of a request.
func (c *Client) take(id protocol.RequestID) func(any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.pending[id]
	delete(c.pending, id)
	return done
}

// deliver gives a message to the request that it answers, else to OnMessage.
func (c *Client) deliver(msg any) {
	if u, ok := msg.(protocol.Unknown); ok {
		c.unknown++ // only the reading goroutine
		c.cfg.Log.Debug("unknown message", "type", u.Type, "count", c.unknown)
		return
	}
	if id := idOf(msg); id != "" {
		if done := c.take(id); done != nil {
			if e, ok := msg.(protocol.Error); ok {
				done(nil, &protocol.UserError{Code: e.Code, Text: e.Text, RetryAfterMs: e.RetryAfterMs})
			} else {
				done(msg, nil)
			}
			return
		}
		if _, ok := msg.(protocol.Ack); ok {
			return // of a request that was given up, or was sent twice
		}
	}
	c.cfg.OnMessage(msg)
}

// drop forgets the socket and fails what waits for answers.
func (c *Client) drop() {
	c.mu.Lock()
	pending := c.pending
	c.pending = map[protocol.RequestID]func(any, error){}
	c.conn = nil
	c.signal()
	c.mu.Unlock()
	for _, done := range pending {
		done(nil, ErrOffline)
	}
}

// idOf reads the ID field of a message, "" where there is none.
func idOf(msg any) protocol.RequestID {
	f := reflect.ValueOf(msg).FieldByName("ID")
	if !f.IsValid() || f.Kind() != reflect.String {
		return ""
	}
	return protocol.RequestID(f.String())
}

// withID returns the message with an id, and the id.
func withID(msg any) (any, protocol.RequestID) {
	if id := idOf(msg); id != "" {
		return msg, id
	}
	v := reflect.New(reflect.TypeOf(msg)).Elem()
	v.Set(reflect.ValueOf(msg))
	id := NewID()
	v.FieldByName("ID").SetString(string(id))
	return v.Interface(), id
}
