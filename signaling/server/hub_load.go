package server

// How conversations come into the hub: all open ones at the start, others when somebody asks for them.

import (
	"context"
	"errors"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// load reads what must be known before the first connection: the team, open conversations and live sessions.
func (h *hub) load(ctx context.Context) error {
	now := h.now()
	if _, err := store.Sync(ctx, func(done func(int64, error)) error { return h.store.ServerStarted(now, done) }); err != nil {
		return err
	}
	agents, err := h.store.Agents(ctx)
	if err != nil {
		return err
	}
	for _, a := range agents {
		h.agentOf(a.ID, a.Name)
	}
	open, err := h.store.Overviews(ctx)
	if err != nil {
		return err
	}
	for _, o := range open {
		var last []store.Message
		if o.Last.Seq > 0 {
			last = []store.Message{o.Last}
		}
		h.addConv(o.Conversation, marksOf(o.Marks), last)
	}
	sessions, err := h.store.LiveSessions(ctx)
	if err != nil {
		return err
	}
	for _, row := range sessions {
		if v := h.convs[row.Conversation]; v != nil && v.ClaimedBy == row.AgentID {
			h.addSession(v, row)
		} else {
			h.storeEnd(row.ID, "lost") // its conversation lost the claim before its end was written
		}
	}
	return nil
}

// readConv reads what is shown about a conversation, and its last n messages. Any goroutine.
func (h *hub) readConv(ctx context.Context, row store.Conversation, n int) (protocol.Marks, []store.Message, error) {
	m, err := h.store.Marks(ctx, row.ID)
	if err != nil {
		return protocol.Marks{}, nil, err
	}
	last, err := h.store.Messages(ctx, row.ID, store.Range{Before: row.LastSeq + 1, Limit: n})
	return marksOf(m), last, err
}

func marksOf(m store.Marks) protocol.Marks {
	return protocol.Marks{CustomerReceived: m.Customer.Received, CustomerRead: m.Customer.Read, AgentReceived: m.Agent.Received, AgentRead: m.Agent.Read}
}

// withConv runs f with a conversation, or with nil and why; at once if it is in use, else after a read. Who asks for the
// same conversation one after the other is answered in that order.
func (h *hub) withConv(id protocol.ConversationID, f func(*conv, error)) {
	key := string(id)
	if h.loading[key] != nil {
		h.loading[key] = append(h.loading[key], f)
		return
	}
	if v := h.convs[key]; v != nil {
		f(v, nil)
		return
	}
	h.loading[key] = []func(*conv, error){f}
	h.loadOne(key)
}

func (h *hub) loadOne(key string) {
	erasures := h.erasures
	h.read(func(ctx context.Context) event {
		row, err := h.store.Conversation(ctx, key)
		var marks protocol.Marks
		var last []store.Message
		if err == nil {
			marks, last, err = h.readConv(ctx, row, tailLen)
		}
		return func(h *hub) {
			if err == nil && erasures != h.erasures {
				h.loadOne(key)
				return
			}
			var v *conv
			if err == nil {
				v = h.addConv(row, marks, last)
			}
			waiters := h.loading[key]
			delete(h.loading, key)
			for _, f := range waiters {
				f(v, err)
			}
		}
	})
}

// notFound is what is said when withConv gave no conversation: the disk's trouble is not the same as none.
func notFound(err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return errNoConv
	}
	return storeError(err)
}

// read runs a store read beside the loop, at most maxReads at once; what it returns comes back as an event.
func (h *hub) read(f func(context.Context) event) {
	h.work.Go(func() {
		select {
		case h.reads <- struct{}{}:
		case <-h.done:
			return
		}
		defer func() { <-h.reads }()
		ctx, cancel := context.WithTimeout(context.Background(), store.CommitDeadline)
		defer cancel()
		if ev := f(ctx); ev != nil {
			h.post(ev)
		}
	})
}
