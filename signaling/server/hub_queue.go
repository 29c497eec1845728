package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

func (h *hub) openConversation(c *conn, m protocol.ConversationOpen) {
	cu := h.customers[c.customer]
	opened := func(bool) {} // told whether a conversation began
	if cu.conv == nil || cu.conv.State == store.Closed {
		var refused error
		if opened, refused = h.mayOpen(c); refused != nil {
			c.fail(m.ID, refused)
			return
		}
	}
	err := h.store.OpenConversation(c.customer, func(out store.Opened, err error) {
		h.after(func(h *hub) {
			opened(out.Created)
			if errors.Is(err, store.ErrNotFound) { // the customer was erased while connected: they come back as a new one
				c.close(protocol.CloseRestart, protocol.CodeNotFound)
				return
			}
			if err != nil {
				c.fail(m.ID, storeError(err))
				return
			}
			if out.Created {
				v := h.addConv(out.Conversation, protocol.Marks{}, nil)
				cu.conv = v
				h.missedIfNobody(v)
				c.send(h.stateFor(c, v, m.ID))
				h.changedExcept(v, c)
				h.audit("conversation.open", v, c)
				return
			}
			h.withConv(protocol.ConversationID(out.ID), func(v *conv, err error) {
				if v == nil {
					c.fail(m.ID, notFound(err))
					return
				}
				cu.conv = v
				c.send(h.stateFor(c, v, m.ID))
				h.sendRequested(c, v)
			})
		})
	})
	if err != nil {
		opened(false)
		c.fail(m.ID, storeError(err))
	}
}

// queueFull says that too many people wait, those included who are being written into the queue.
func (h *hub) queueFull() bool { return len(h.queue)+h.opening >= h.limits.Queue }

// address is what is remembered of the new conversations that came from one address.
type address struct {
	limit *rate.Limiter
	under int // being written: counted already
}

// mayOpen takes a place in the queue and one of the address's new conversations, or says why there is none. done gives
// them back, unless a conversation began.
func (h *hub) mayOpen(c *conn) (done func(began bool), refused error) {
	if h.queueFull() {
		return nil, &protocol.UserError{Code: protocol.CodeQueueFull, Text: "Very many people are waiting. Please try again in a few minutes.", RetryAfterMs: 60_000}
	}
	a := h.opened[c.ip]
	if a == nil {
		a = &address{limit: rate.NewLimiter(rate.Every(time.Hour/time.Duration(h.limits.ConversationsPerHourIP)), h.limits.ConversationsPerHourIP)}
		h.opened[c.ip] = a
	}
	if left := a.limit.TokensAt(h.now()) - float64(a.under); left < 1 {
		wait := time.Duration((1 - left) / float64(a.limit.Limit()) * float64(time.Second))
		return nil, &protocol.UserError{Code: protocol.CodeConvLimit, Text: "Very many conversations were begun from your network in the last hour. Please try again in a few minutes.", RetryAfterMs: wait.Milliseconds() + 1}
	}
	a.under++
	h.opening++
	return func(began bool) {
		a.under--
		h.opening--
		if began {
			a.limit.AllowN(h.now(), 1)
		}
	}, nil
}

// forgetAddresses drops those that have their full allowance again.
func (h *hub) forgetAddresses(now time.Time) {
	for ip, a := range h.opened {
		if a.under == 0 && a.limit.TokensAt(now) >= float64(a.limit.Burst()) {
			delete(h.opened, ip)
		}
	}
}

// missedIfNobody flags a conversation that begins to wait while nobody is on duty.
func (h *hub) missedIfNobody(v *conv) {
	if h.available() > 0 {
		return
	}
	v.Missed = true
	err := h.store.SetMissed(v.ID, true, func(_ struct{}, err error) {
		if err != nil {
			h.notStored("missed flag not stored", err)
		}
	})
	if err != nil {
		h.notStored("missed flag not stored", err)
	}
}

func (h *hub) claimConversation(c *conn, m protocol.QueueClaim) {
	var lapses *time.Time
	if !m.Hold {
		hold := lapseOneShot
		if m.HoldMs > 0 {
			hold = time.Duration(m.HoldMs) * time.Millisecond
		}
		at := h.now().Add(hold)
		lapses = &at
	}
	err := h.store.Claim(string(m.Conversation), c.agent, lapses, func(row store.Conversation, err error) {
		h.after(func(h *hub) {
			h.claiming--
			if err != nil {
				c.fail(m.ID, storeError(err))
				return
			}
			h.withConv(protocol.ConversationID(row.ID), func(v *conv, err error) {
				if v == nil {
					c.fail(m.ID, notFound(err))
					return
				}
				h.setRow(v, row)
				if len(v.holders) > 0 && v.LapsesAt != nil {
					h.setLapse(v, nil) // held meanwhile by another connection
				}
				if _, joined := h.conns[c]; joined && m.Hold {
					h.hold(v, c)
				} else if m.Hold && len(v.holders) == 0 {
					h.lapse(v, lapseAfterHold) // the connection went while the claim was written
				}
				c.send(h.stateFor(c, v, m.ID))
				h.changedExcept(v, c)
				h.audit("conversation.claim", v, c)
			})
		})
	})
	if err != nil {
		c.fail(m.ID, storeError(err))
		return
	}
	h.claiming++
}

func (h *hub) release(c *conn, v *conv, id protocol.RequestID) {
	h.conversationStep(c, id, v, "conversation.release", func(done func(store.Conversation, error)) error {
		return h.store.Release(v.ID, c.agent, done)
	})
}

func (h *hub) closeConversation(c *conn, v *conv, id protocol.RequestID) {
	by := store.Actor{Kind: store.KindCustomer, ID: c.customer}
	if c.isAgent() {
		by = store.Actor{Kind: store.KindAgent, ID: c.agent}
	}
	h.conversationStep(c, id, v, "conversation.close", func(done func(store.Conversation, error)) error {
		return h.store.CloseConversation(v.ID, by, done)
	})
}

// conversationStep runs a store write that gives a conversation's claim up, acknowledges it and tells the members,
// those that lose it included.
func (h *hub) conversationStep(c *conn, id protocol.RequestID, v *conv, kind string, write func(func(store.Conversation, error)) error) {
	err := write(func(row store.Conversation, err error) {
		h.after(func(h *hub) {
			if err != nil {
				c.fail(id, storeError(err))
				return
			}
			c.send(protocol.Ack{ID: id})
			h.unclaimed(v, row)
			h.audit(kind, v, c)
		})
	})
	if err != nil {
		c.fail(id, storeError(err))
	}
}

// unclaimed takes over the row of a conversation that lost its claim; the agent's connections hear of it a last time.
func (h *hub) unclaimed(v *conv, row store.Conversation) {
	before := h.members(v)
	h.setRow(v, row)
	for c := range v.holders {
		delete(c.holds, v)
	}
	clear(v.holders)
	if v.session != nil {
		h.endSession(v.session, "closed", nil)
	}
	h.eachMember(v, func(c *conn) { before[c] = struct{}{} })
	for c := range before {
		c.send(h.stateFor(c, v, ""))
	}
}

// watch subscribes an agent's connection; with hold it takes its own claim up again.
func (h *hub) watch(c *conn, v *conv, m protocol.ConversationWatch) {
	mine := v.State == store.Claimed && v.ClaimedBy == c.agent
	if m.Hold && !mine {
		c.fail(m.ID, errNotOwner)
		return
	}
	v.watchers.add(c)
	c.watches.add(v)
	h.beHere(c)
	if m.Hold {
		h.hold(v, c)
	}
	if !mine {
		h.peeked(c, v)
	}
	c.send(h.stateFor(c, v, m.ID))
}

// peeked records that an agent read a conversation which is not theirs, once for each connection.
func (h *hub) peeked(c *conn, v *conv) {
	if v.State == store.Waiting {
		return // the queue is everybody's
	}
	h.audit("admin.read", v, c)
}

func (h *hub) listQueue(c *conn, m protocol.QueueList) {
	if m.Watch {
		c.queueWatch = true
		h.beHere(c)
	}
	state := h.queueState()
	state.ID = m.ID
	c.send(state)
}

func (h *hub) queueState() protocol.QueueState {
	out := protocol.QueueState{Total: len(h.queue), Items: []protocol.QueueItem{}}
	for _, v := range h.queue[:min(len(h.queue), queueShown)] {
		out.Items = append(out.Items, h.item(v))
	}
	return out
}

func (h *hub) pushQueue() {
	var data []byte
	for c := range h.conns {
		if c.queueWatch {
			if data == nil {
				data = protocol.Encode(h.queueState())
			}
			c.enqueue(data)
		}
	}
}

// pushPositions tells waiting customers their place when it changed.
func (h *hub) pushPositions() {
	for i, v := range h.queue {
		if v.position != i+1 {
			v.position = i + 1 // the only place that writes it: what the customer was told last by a push
			if cu := h.customers[v.CustomerID]; cu != nil {
				for _, c := range cu.conns {
					c.send(h.stateFor(c, v, ""))
				}
			}
		}
	}
}

// item is a conversation in a list.
func (h *hub) item(v *conv) protocol.QueueItem {
	presence, page := h.customerState(v.CustomerID)
	if page != nil {
		page = &protocol.Page{Title: cut(page.Title, 80), URL: cut(page.URL, 200), Active: page.Active} // many fit into one message
	}
	out := protocol.QueueItem{
		Conversation: protocol.ConversationID(v.ID), Customer: protocol.CustomerID(v.CustomerID), State: string(v.State), Missed: v.Missed,
		Since: v.LastAt, Presence: presence, Page: page, LastSeq: v.LastSeq, LastText: cut(v.lastText, queueTextShown),
		Unread: max(0, v.LastSeq-v.marks.AgentRead), Agent: h.agentInfo(v.ClaimedBy), LapsesAt: v.LapsesAt,
	}
	if v.State == store.Waiting {
		out.Since = v.WaitingSince
	}
	return out
}

func (h *hub) listConversations(c *conn, m protocol.ConversationList) {
	out := protocol.ConversationItems{ID: m.ID, Items: []protocol.QueueItem{}}
	switch m.Scope {
	case "waiting":
		out.Items = h.queueState().Items
	case "mine":
		for v := range h.agents[c.agent].claims {
			out.Items = append(out.Items, h.item(v))
		}
		slices.SortFunc(out.Items, func(a, b protocol.QueueItem) int { return a.Since.Compare(b.Since) })
	case "recent":
		h.listRecent(c, m.ID)
		return
	}
	c.send(out)
}

func (h *hub) listRecent(c *conn, id protocol.RequestID) {
	h.read(func(ctx context.Context) event {
		rows, err := h.store.Recent(ctx, queueShown)
		if err != nil {
			c.fail(id, storeError(err))
			return nil
		}
		seen := make([]*conv, len(rows))
		for i, row := range rows {
			marks, last, err := h.readConv(ctx, row, 1)
			if err != nil {
				c.fail(id, storeError(err))
				return nil
			}
			seen[i] = &conv{Conversation: row, marks: marks}
			if len(last) > 0 {
				seen[i].lastText = last[0].Text
			}
		}
		return func(h *hub) {
			out := protocol.ConversationItems{ID: id, Items: []protocol.QueueItem{}}
			for _, v := range seen {
				if live := h.convs[v.ID]; live != nil {
					v = live
				}
				out.Items = append(out.Items, h.item(v))
			}
			c.send(out)
		}
	})
}

// stateFor is a conversation as one connection may see it.
func (h *hub) stateFor(c *conn, v *conv, id protocol.RequestID) protocol.ConversationState {
	out := protocol.ConversationState{
		ID: id, Conversation: protocol.ConversationID(v.ID), State: string(v.State), Missed: v.Missed, LastSeq: v.LastSeq,
		Agent: h.agentInfo(v.ClaimedBy), Marks: v.marks,
	}
	if v.session != nil {
		out.Session = protocol.SessionID(v.session.row.ID)
	}
	if v.State == store.Waiting {
		since := v.WaitingSince
		out.WaitingSince = &since
		out.Position = h.positionOf(v)
	}
	if c.isAgent() {
		out.Customer = protocol.CustomerID(v.CustomerID)
		out.Presence, out.Page = h.customerState(v.CustomerID)
		out.LapsesAt = v.LapsesAt
	}
	return out
}

// changed tells every member the state of a conversation.
func (h *hub) changed(v *conv) { h.changedExcept(v, nil) }

func (h *hub) changedExcept(v *conv, except *conn) {
	h.touch(v)
	h.eachMember(v, func(c *conn) {
		if c != except {
			c.send(h.stateFor(c, v, ""))
		}
	})
}
