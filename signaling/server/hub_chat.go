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

// chatSend hands a message to the store; the commit reports back. Nothing is acknowledged before.
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
		if c.refusals >= refusalsToClose {
			c.close(protocol.CloseRate, protocol.CodeRate)
		}
		return
	}
	c.refusals = 0
	in := store.Append{Conversation: v.ID, ID: string(m.ID), SenderKind: store.KindCustomer, SenderID: c.customer, Text: m.Text}
	if c.isAgent() {
		in.SenderKind, in.SenderID, in.SenderName = store.KindAgent, c.agent, c.name
	}
	err := h.store.Append(in, func(out store.Appended, err error) {
		h.post(func(h *hub) { h.appended(c, v, in, out, err) })
	})
	if err != nil {
		c.fail(m.ID, storeError(err))
	}
}

// chatLimit takes one token of the sender's rate; a positive answer is how long to wait.
func (h *hub) chatLimit(c *conn) time.Duration {
	var l *rate.Limiter
	if c.isAgent() {
		a := h.agents[c.agent]
		if l = a.chat[c.device]; l == nil {
			l = rate.NewLimiter(agentChat, agentBurst)
			a.chat[c.device] = l
		}
	} else {
		l = h.customers[c.customer].chat
	}
	r := l.ReserveN(h.now(), 1)
	wait := r.DelayFrom(h.now())
	if wait > 0 {
		r.CancelAt(h.now())
	}
	return wait
}

// appended is a commit's report: the ack to the sending connection, the message to every other member.
func (h *hub) appended(c *conn, v *conv, in store.Append, out store.Appended, err error) {
	id := protocol.RequestID(in.ID)
	if live := h.convs[v.ID]; live != nil {
		v = live
	} else if err == nil {
		h.convs[v.ID] = v // it was put away as closed while the message was written
	}
	if err != nil {
		if errors.Is(err, store.ErrClosed) && in.SenderKind == store.KindCustomer {
			err = protocol.Userf(protocol.CodeConvClosed, "This conversation was closed a while ago. A new one is opened.")
		}
		c.fail(id, storeError(err))
		return
	}
	if out.Reopened && v.State == store.Closed {
		v.State, v.ClosedAt = store.Waiting, time.Time{}
		v.ClaimedBy, v.LapsesAt = "", nil
		v.WaitingSince = out.At
		h.waiting++
		if cu := h.customers[v.CustomerID]; cu != nil {
			cu.conv = v
		}
		h.missedIfNobody(v)
	}
	at := out.At
	c.send(protocol.Ack{ID: id, Seq: out.Seq, At: &at})
	if out.Duplicate {
		return
	}
	v.LastSeq, v.LastAt, v.lastText = max(v.LastSeq, out.Seq), out.At, in.Text
	h.tell(v, protocol.ChatMessage{
		Conversation: protocol.ConversationID(v.ID), Seq: out.Seq, MessageID: id, From: string(in.SenderKind),
		Sender: in.SenderID, Name: in.SenderName, Text: in.Text, At: out.At,
	}, c)
	if out.Reopened {
		h.changed(v)
	}
	h.queueDirty = true
	if c.isAgent() && v.ClaimedBy == c.agent && len(v.holders) == 0 {
		if at := h.now().Add(lapseOneShot); v.LapsesAt != nil && at.After(*v.LapsesAt) {
			h.setLapse(v, &at) // a one-shot command's message keeps the claim for a while
		}
	}
}

// history reads a page beside the loop and answers from there.
func (h *hub) history(c *conn, v *conv, m protocol.ChatHistory) {
	last := v.LastSeq
	if c.isAgent() && v.ClaimedBy != c.agent {
		h.peeked(c, v)
	}
	h.read(func(ctx context.Context) event {
		rows, err := h.store.Messages(ctx, v.ID, store.Range{After: m.After, Before: m.Before, Limit: m.Limit})
		if err != nil {
			c.fail(m.ID, storeError(err))
			return nil
		}
		page := protocol.ChatPage{ID: m.ID, Conversation: m.Conversation, LastSeq: last, Messages: make([]protocol.ChatMessage, 0, len(rows))}
		bytes := 0
		for _, r := range rows {
			bytes += len(r.Text)
			page.LastSeq = max(page.LastSeq, r.Seq)
			page.Messages = append(page.Messages, protocol.ChatMessage{
				Type: "chat.message", Conversation: m.Conversation, Seq: r.Seq, MessageID: protocol.RequestID(r.ID),
				From: string(r.SenderKind), Sender: r.SenderID, Name: r.SenderName, Text: r.Text, At: r.At,
			})
		}
		for bytes > historyBytes && len(page.Messages) > 1 { // cut on the side that the client asks on from
			drop := len(page.Messages) - 1
			if m.Before > 0 {
				drop = 0
			}
			bytes -= len(page.Messages[drop].Text)
			page.Messages = append(page.Messages[:drop:drop], page.Messages[drop+1:]...)
		}
		c.send(page)
		return nil
	})
}

// mark moves a side's marks forward, in memory at once and in the store soon.
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
	err := h.store.Mark(v.ID, side, store.Mark{Received: *oldReceived, Read: *oldRead}, func(_ store.Mark, err error) {
		if err != nil {
			h.log.Warn("mark not stored", "err", err)
		}
	})
	if err != nil {
		h.log.Warn("mark not stored", "err", err)
	}
	h.tell(v, protocol.ChatMarks{Conversation: protocol.ConversationID(v.ID), Marks: v.marks}, c)
	h.queueDirty = true
}

func (h *hub) typing(c *conn, v *conv, m protocol.ChatTyping) {
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
