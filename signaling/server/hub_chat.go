package server

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// outgoing is a chat message on its way into the store.
type outgoing struct {
	v       *conv
	m       protocol.ChatSend
	reopens bool // it holds a place in the queue while it is written
}

// chatSend takes a message for the store; the commit reports back. Nothing is acknowledged before. A connection has
// one message in the store's queue at a time: when one can't be stored, none that was sent after it may be.
func (h *hub) chatSend(c *conn, v *conv, m protocol.ChatSend) {
	if err := protocol.CheckText(m.Text); err != nil {
		c.fail(m.ID, err)
		return
	}
	wait := c.waitUntil.Sub(h.now())
	if wait <= 0 {
		wait = h.chatLimit(c)
		c.waitUntil = h.now().Add(wait)
	}
	if wait > 0 { // what comes before the wait is over is refused too, or it would overtake the refused one
		c.refusals++
		c.fail(m.ID, &protocol.UserError{Code: protocol.CodeRate, Text: "That was too fast. It is sent in a moment.", RetryAfterMs: wait.Milliseconds() + 1})
		if c.refusals >= h.limits.RefusalsToClose {
			c.close(protocol.CloseRate, protocol.CodeRate)
		}
		return
	}
	c.refusals = 0
	c.sends = append(c.sends, &outgoing{v: v, m: m})
	switch {
	case len(c.sends) > sendsWaiting:
		h.refuseSends(c, 1, storeError(store.ErrBusy))
	case len(c.sends) == 1:
		h.submit(c)
	}
}

// submit hands the first message of a connection to the store.
func (h *hub) submit(c *conn) {
	o := c.sends[0]
	if o.reopens = o.v.State == store.Closed && !c.isAgent(); o.reopens && !h.mayReopen(o.v) {
		h.refuseSends(c, 0, errNoRoom)
		return
	}
	in := store.Append{Conversation: o.v.ID, ID: string(o.m.ID), SenderKind: store.KindCustomer, SenderID: c.customer, Text: o.m.Text}
	if c.isAgent() {
		in.SenderKind, in.SenderID, in.SenderName = store.KindAgent, c.agent, c.name
	}
	c.submitted = h.now()
	h.sending.add(c)
	err := h.store.Append(in, func(out store.Appended, err error) {
		h.after(func(h *hub) { h.appended(c, o, in, out, err) })
	})
	if err != nil {
		h.reopened(o)
		h.refuseSends(c, 0, storeError(err))
	}
}

// errNoRoom refuses a message that would put its conversation into a queue that is full.
var errNoRoom = &protocol.UserError{Code: protocol.CodeBusy, Text: "Very many people are waiting. Your message is kept here and sent when there is room.", RetryAfterMs: 60_000}

// mayReopen takes a place in the queue for a closed conversation that a message is about to put there. Several messages
// on their way to one conversation, from several tabs, need one place.
func (h *hub) mayReopen(v *conv) bool {
	if v.reopening == 0 {
		if h.queueFull() {
			return false
		}
		h.opening++
	}
	v.reopening++
	return true
}

// reopened gives the place of a message back; from now on the queue itself counts.
func (h *hub) reopened(o *outgoing) {
	if !o.reopens {
		return
	}
	o.reopens = false
	if o.v.reopening--; o.v.reopening == 0 {
		h.opening--
	}
}

// refuseSends answers what a connection has under way, from the given one on, with an error; what comes before the
// wait is over is refused like them.
func (h *hub) refuseSends(c *conn, from int, err error) {
	for _, o := range c.sends[from:] {
		c.fail(o.m.ID, err)
	}
	c.sends = c.sends[:from]
	if from == 0 {
		delete(h.sending, c)
	}
	h.holdOff(c, err)
}

// holdOff refuses what a connection sends before the wait is over that it was told.
func (h *hub) holdOff(c *conn, err error) {
	if user, ok := errors.AsType[*protocol.UserError](err); ok && user.RetryAfterMs > 0 {
		c.waitUntil = h.now().Add(time.Duration(user.RetryAfterMs) * time.Millisecond)
	}
}

// lateSends tells those who have waited for the disk for too long: the outcome is unknown, the same id may be sent
// again (security.md F04).
func (h *hub) lateSends(now time.Time) {
	for c := range h.sending {
		if now.Sub(c.submitted) >= store.CommitDeadline {
			h.refuseSends(c, 0, storeError(context.DeadlineExceeded))
		}
	}
}

// chatLimit takes one token of each of the sender's rates; a positive answer is how long to wait.
func (h *hub) chatLimit(c *conn) time.Duration {
	if c.isAgent() {
		a := h.agents[c.agent]
		l := a.chat[c.device]
		if l == nil {
			l = rate.NewLimiter(rate.Limit(h.limits.AgentPerSecond), h.limits.AgentBurst)
			a.chat[c.device] = l
		}
		return take(h.now(), l, h.all)
	}
	cu := h.customers[c.customer]
	if cu.chat[0] == nil {
		cu.chat[0] = rate.NewLimiter(rate.Limit(h.limits.CustomerPerSecond), h.limits.CustomerBurst)
		cu.chat[1] = rate.NewLimiter(rate.Every(time.Hour/time.Duration(h.limits.CustomerPerHour)), h.limits.CustomerPerHour)
	}
	return take(h.now(), cu.chat[0], cu.chat[1], h.all)
}

// take takes a token of each limiter, or of none: then it answers how long to wait.
func take(now time.Time, limits ...*rate.Limiter) (wait time.Duration) {
	var taken [3]*rate.Reservation
	for i, l := range limits {
		taken[i] = l.ReserveN(now, 1)
		wait = max(wait, taken[i].DelayFrom(now))
	}
	if wait > 0 {
		for _, r := range taken[:len(limits)] {
			r.CancelAt(now)
		}
	}
	return wait
}

// appended is a commit's report: the ack to the sending connection, the message to every other member.
func (h *hub) appended(c *conn, o *outgoing, in store.Append, out store.Appended, err error) {
	v, id := o.v, o.m.ID
	h.reopened(o)
	waiting := len(c.sends) > 0 && c.sends[0] == o // otherwise it was answered: late, or the connection has gone
	if live := h.convs[v.ID]; live != nil {
		v = live
	} else if err == nil {
		h.convs[v.ID] = v // it was put away as closed while the message was written
		h.file(v)
	}
	if err != nil {
		if !waiting {
			return
		}
		if errors.Is(err, store.ErrClosed) && in.SenderKind == store.KindCustomer {
			err = protocol.Userf(protocol.CodeConvClosed, "This conversation was closed a while ago. A new one is opened.")
		}
		err = storeError(err)
		if user, ok := errors.AsType[*protocol.UserError](err); ok && user.RetryAfterMs > 0 {
			h.refuseSends(c, 0, err)
			return
		}
		c.fail(id, err)
		h.nextSend(c)
		return
	}
	if out.Reopened && v.State == store.Closed {
		h.change(v, func() {
			v.State, v.ClosedAt = store.Waiting, time.Time{}
			v.ClaimedBy, v.LapsesAt = "", nil
			v.WaitingSince = out.At
		})
		if cu := h.customers[v.CustomerID]; cu != nil {
			cu.conv = v
		}
		h.missedIfNobody(v)
	}
	if waiting {
		c.send(protocol.Ack{ID: id, Seq: out.Seq, At: &out.At})
		h.nextSend(c)
	}
	if out.Duplicate {
		return
	}
	v.LastSeq, v.LastAt, v.lastText = max(v.LastSeq, out.Seq), out.At, in.Text
	row := store.Message{
		Conversation: v.ID, Seq: out.Seq, ID: in.ID, SenderKind: in.SenderKind, SenderID: in.SenderID, SenderName: in.SenderName, Text: in.Text, At: out.At,
	}
	v.tail.add(row)
	h.tell(v, chatMessage(row), c)
	if out.Reopened {
		h.changed(v)
	}
	h.touch(v)
	if c.isAgent() && v.ClaimedBy == c.agent && len(v.holders) == 0 {
		if at := h.now().Add(lapseOneShot); v.LapsesAt != nil && at.After(*v.LapsesAt) {
			h.setLapse(v, &at) // a one-shot command's message keeps the claim for a while
		}
	}
}

// nextSend goes on with what a connection sent after the message that was just answered.
func (h *hub) nextSend(c *conn) {
	c.sends[0] = nil
	if c.sends = c.sends[1:]; len(c.sends) > 0 {
		h.submit(c)
		return
	}
	c.sends = nil
	delete(h.sending, c)
}

// damagedText stands for a message that is not what was stored (security.md F05).
const damagedText = "This part of the history is damaged on the server's disk."

func chatMessage(r store.Message) protocol.ChatMessage {
	out := protocol.ChatMessage{
		Type: "chat.message", Conversation: protocol.ConversationID(r.Conversation), Seq: r.Seq, MessageID: protocol.RequestID(r.ID),
		From: string(r.SenderKind), Sender: r.SenderID, Name: r.SenderName, Text: r.Text, At: r.At,
	}
	if r.Damaged {
		out.From, out.Sender, out.Name, out.Text = string(store.KindSystem), "", "", damagedText
	}
	return out
}

// history answers from the tail, else reads a page beside the loop and answers from there.
func (h *hub) history(c *conn, v *conv, m protocol.ChatHistory) {
	last := v.LastSeq
	if c.isAgent() && v.ClaimedBy != c.agent {
		h.peeked(c, v)
	}
	if rows, ok := v.tail.page(m, last); ok {
		c.send(chatPage(m, rows, last))
		return
	}
	if c.reads >= readsWaiting {
		c.fail(m.ID, storeError(store.ErrBusy))
		return
	}
	c.reads++
	id := v.ID // the row is the hub's
	erasures := h.erasures
	h.read(func(ctx context.Context) event {
		rows, err := h.store.Messages(ctx, id, store.Range{After: m.After, Before: m.Before, Limit: m.Limit})
		if err != nil {
			c.fail(m.ID, storeError(err))
			return func(*hub) { c.reads-- }
		}
		c.send(chatPage(m, rows, last))
		return func(*hub) {
			c.reads--
			if erasures == h.erasures && len(v.tail.rows) < len(rows) {
				v.tail.load(rows, v.LastSeq)
			}
		}
	})
}

// chatPage is one page of history, cut on the side that the client asks on from.
func chatPage(m protocol.ChatHistory, rows []store.Message, lastSeq int64) protocol.ChatPage {
	bytes := 0
	for _, r := range rows {
		bytes += len(r.Text)
	}
	for bytes > historyBytes && len(rows) > 1 {
		drop := len(rows) - 1
		if m.Before > 0 {
			drop = 0
		}
		bytes -= len(rows[drop].Text)
		rows = append(rows[:drop:drop], rows[drop+1:]...)
	}
	page := protocol.ChatPage{ID: m.ID, Conversation: m.Conversation, LastSeq: lastSeq, Messages: make([]protocol.ChatMessage, 0, len(rows))}
	for _, r := range rows {
		page.LastSeq = max(page.LastSeq, r.Seq)
		page.Messages = append(page.Messages, chatMessage(r))
	}
	return page
}

// mark moves a side's marks forward, in memory at once and in the store at the next tick: several are one write.
func (h *hub) mark(c *conn, v *conv, m protocol.ChatMark) {
	received, read := min(m.Received, v.LastSeq), min(m.Read, v.LastSeq)
	received = max(received, read)
	now, side := &v.marks, store.KindCustomer
	oldReceived, oldRead := &now.CustomerReceived, &now.CustomerRead
	if c.isAgent() {
		side, oldReceived, oldRead = store.KindAgent, &now.AgentReceived, &now.AgentRead
	}
	if received <= *oldReceived && read <= *oldRead {
		return
	}
	*oldReceived, *oldRead = max(received, *oldReceived), max(read, *oldRead)
	v.unsaved[sideOf(side)] = true
	h.marked.add(v)
	h.tell(v, protocol.ChatMarks{Conversation: protocol.ConversationID(v.ID), Marks: v.marks}, c)
	h.touch(v)
}

func sideOf(k store.Kind) int {
	if k == store.KindAgent {
		return 1
	}
	return 0
}

// saveMarks writes the marks that have changed; what the store can't take now is tried again.
func (h *hub) saveMarks() {
	for v := range h.marked {
		for side, m := range map[store.Kind]store.Mark{
			store.KindCustomer: {Received: v.marks.CustomerReceived, Read: v.marks.CustomerRead},
			store.KindAgent:    {Received: v.marks.AgentReceived, Read: v.marks.AgentRead},
		} {
			if !v.unsaved[sideOf(side)] {
				continue
			}
			id := v.ID
			err := h.store.Mark(id, side, m, func(_ store.Mark, err error) {
				if err == nil {
					return
				}
				h.notStored("mark not stored", err, "conversation", id)
				if trouble(err) != nil {
					h.later(func(h *hub) {
						if h.convs[id] == v {
							v.unsaved[sideOf(side)] = true
							h.marked.add(v)
						}
					})
				}
			})
			if err != nil {
				return
			}
			v.unsaved[sideOf(side)] = false
		}
		delete(h.marked, v)
	}
}

func (h *hub) typing(c *conn, v *conv, m protocol.ChatTyping) {
	if c.typing == nil {
		c.typing = rate.NewLimiter(rate.Limit(h.limits.TypingPerSecond), 2*h.limits.TypingPerSecond)
	}
	if !c.typing.AllowN(h.now(), 1) {
		return // it may be dropped
	}
	out := protocol.PresenceTyping{Conversation: m.Conversation, From: "customer", Typing: m.Typing}
	if c.isAgent() {
		out.From, out.Name = "agent", c.name
	}
	h.tell(v, out, c)
}

// cut shortens a text to n characters for a list.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
