package simulate

// The end of a customer: what it wrote is compared with what is stored, and its conversation is closed.

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// check runs beside the customer's goroutine and ends with ctx.
func (c *customer) check(ctx context.Context) {
	var conv protocol.ConversationID
	var written []own
	var base, lastAcked int64
	var unacked int
	var f faults
	if !c.do(func() {
		conv, base, f = c.conv.Conversation, c.base, c.reader.faults
		written, lastAcked, unacked = slices.Clone(c.written), c.lastAcked, c.unacked
	}) || conv == "" {
		return
	}
	stored, err := c.stored(ctx, conv, base)
	if err != nil {
		c.r.tally.count(func(n *Counts) { n.Unchecked++ })
	} else {
		f.add(auditLog(stored, base))
		f.add(auditOwn(written, stored))
		if len(stored) > 0 {
			f.lost += c.unseen(ctx, stored[len(stored)-1].seq)
		}
		if a := c.r.answer; a != nil {
			notes, g := a.notes(conv)
			f.add(g)
			f.add(auditOwn(notes, stored))
			if c.taken.Load() {
				f.lost += max(0, lastAcked-c.agentSeen.Load())
			}
		}
	}
	c.r.tally.count(func(n *Counts) {
		n.Lost += f.lost
		n.Doubled += f.doubled
		n.OutOfOrder += f.outOfOrder
		n.Unconfirmed += int64(unacked)
	})
	c.leave(ctx, conv)
}

// leave ends the session, and closes the conversation unless it is to stay.
func (c *customer) leave(ctx context.Context, conv protocol.ConversationID) {
	c.leaving.Store(true)
	c.do(func() { c.hangUp("left") })
	if !c.r.o.Leave {
		_, err := retry(ctx, c.client, protocol.ConversationClose{Conversation: conv})
		var user *protocol.UserError
		if err != nil && !(errors.As(err, &user) && (user.Code == protocol.CodeConvClosed || user.Code == protocol.CodeNotFound)) {
			c.r.tally.failed("conversation left open")
		}
	}
	c.do(func() { c.tell("left", "") })
}

// unseen is how many messages up to last never came to the customer, after a moment for what is on its way.
func (c *customer) unseen(ctx context.Context, last int64) int64 {
	for late := time.Now().Add(settleWithin / 3); ; {
		var seen int64
		if !c.do(func() { seen = c.reader.last }) {
			return 0
		}
		if seen >= last || time.Now().After(late) || ctx.Err() != nil {
			return max(0, last-seen)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stored reads the conversation back, from base on.
func (c *customer) stored(ctx context.Context, conv protocol.ConversationID, base int64) ([]entry, error) {
	var out []entry
	for after := base; ; {
		reply, err := retry(ctx, c.client, protocol.ChatHistory{Conversation: conv, After: after, Limit: 100})
		if err != nil {
			return nil, err
		}
		page, ok := reply.(protocol.ChatPage)
		if !ok {
			return nil, errors.New("simulate: the server's answer to chat.history is not a page")
		}
		for _, m := range page.Messages {
			out = append(out, entry{m.Seq, m.MessageID, sumOf(m.Text)})
			after = max(after, m.Seq)
		}
		if len(page.Messages) == 0 || after >= page.LastSeq {
			return out, nil
		}
	}
}

// retry asks until there is an answer, a refusal that stays, or ctx ends.
func retry(ctx context.Context, cl *client.Client, msg any) (any, error) {
	for {
		if err := cl.WaitOnline(ctx); err != nil {
			return nil, err
		}
		reply, err := cl.Request(ctx, msg)
		var user *protocol.UserError
		wait := 100 * time.Millisecond
		switch {
		case err == nil:
			return reply, nil
		case errors.Is(err, client.ErrOffline):
		case errors.As(err, &user) && (user.Code == protocol.CodeBusy || user.Code == protocol.CodeRetry || user.Code == protocol.CodeRate || user.Code == protocol.CodeReadOnly):
			wait = max(wait, time.Duration(user.RetryAfterMs)*time.Millisecond)
		default:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}
