package server

// The conversations in use, and the orders over them that would cost a walk over all: the queue, each agent's claims,
// each customer's open one, leases that run, and closed ones to be put away. file and unfile are the only code that writes those; whoever
// changes a row does it through change.

import (
	"slices"
	"strings"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// conv is a conversation in use: its row, its last messages, and who looks at it.
type conv struct {
	store.Conversation
	marks     protocol.Marks
	lastText  string
	tail      tail
	unsaved   [2]bool // marks of the customer's side, of the agents' side, that are not written yet
	watchers  set[*conn]
	holders   set[*conn]
	session   *session
	position  int       // that was last told to the customer
	expiring  bool      // its end is being written
	reopening int       // messages on their way to the store that would put it into the queue again
	lapses    time.Time // LapsesAt on the monotonic clock
}

// change changes v's row and keeps every order right.
func (h *hub) change(v *conv, f func()) {
	h.unfile(v)
	f()
	h.file(v)
}

func (h *hub) file(v *conv) {
	if v.State != store.Closed {
		h.open[v.CustomerID] = v
	}
	switch v.State {
	case store.Waiting:
		i, _ := slices.BinarySearchFunc(h.queue, v, byAge)
		h.queue = slices.Insert(h.queue, i, v)
		h.queueDirty = true
	case store.Claimed:
		if a := h.agents[v.ClaimedBy]; a != nil {
			a.claims.add(v)
		}
		if v.LapsesAt != nil {
			now := h.now()
			v.lapses = now.Add(v.LapsesAt.Round(0).Sub(now.Round(0)))
			h.leases[v] = struct{}{}
		}
	case store.Closed:
		h.closed[v] = struct{}{}
	}
}

func (h *hub) unfile(v *conv) {
	if h.open[v.CustomerID] == v {
		delete(h.open, v.CustomerID)
	}
	if i, found := slices.BinarySearchFunc(h.queue, v, byAge); found && v.State == store.Waiting {
		h.queue = slices.Delete(h.queue, i, i+1)
		h.queueDirty = true
	}
	if a := h.agents[v.ClaimedBy]; a != nil {
		delete(a.claims, v)
	}
	delete(h.leases, v)
	delete(h.closed, v)
}

// byAge is the order of the queue.
func byAge(a, b *conv) int {
	if d := a.WaitingSince.Compare(b.WaitingSince); d != 0 {
		return d
	}
	return strings.Compare(a.ID, b.ID)
}

// positionOf is a waiting conversation's place; 1 is next.
func (h *hub) positionOf(v *conv) int {
	i, _ := slices.BinarySearchFunc(h.queue, v, byAge)
	return i + 1
}

// lapsed reports whether a lease has run out on either clock: the monotonic one stands still while the machine sleeps,
// the wall clock may be set.
func (v *conv) lapsed(now time.Time) bool {
	return !now.Before(v.lapses) || !now.Round(0).Before(v.LapsesAt.Round(0))
}

func (h *hub) addConv(row store.Conversation, marks protocol.Marks, last []store.Message) *conv {
	if v := h.convs[row.ID]; v != nil {
		return v
	}
	v := &conv{Conversation: row, marks: marks}
	v.tail.load(last, row.LastSeq)
	if n := len(last); n > 0 {
		v.lastText = last[n-1].Text
	}
	h.convs[row.ID] = v
	h.file(v)
	if c := h.customers[row.CustomerID]; c != nil && row.State != store.Closed {
		c.conv = v
	}
	return v
}

// setRow takes over a row that a commit reported.
func (h *hub) setRow(v *conv, row store.Conversation) {
	row.LastSeq = max(row.LastSeq, v.LastSeq)
	h.change(v, func() { v.Conversation = row })
}

// putAway forgets closed conversations that nobody looks at.
func (h *hub) putAway() {
	for v := range h.closed {
		if h.seen(v) || v.unsaved != [2]bool{} {
			continue
		}
		delete(h.convs, v.ID)
		delete(h.closed, v)
		if cu := h.customers[v.CustomerID]; cu != nil && cu.conv == v {
			cu.conv, cu.looked = nil, false // a message may still reopen it
		}
	}
}

// eachMember calls f for the connections that see a conversation: the customer's, the claiming agent's and the
// watchers, each once.
func (h *hub) eachMember(v *conv, f func(*conn)) {
	if cu := h.customers[v.CustomerID]; cu != nil {
		for _, c := range cu.conns {
			f(c)
		}
	}
	var claimant *agent
	if v.State == store.Claimed {
		claimant = h.agents[v.ClaimedBy]
	}
	if claimant != nil {
		for c := range claimant.conns {
			f(c)
		}
	}
	for c := range v.watchers {
		if claimant == nil || c.agent != claimant.id {
			f(c)
		}
	}
}

// touch notes that what the queue shows of a conversation has changed.
func (h *hub) touch(v *conv) {
	h.queueDirty = h.queueDirty || v.State == store.Waiting
}

func (h *hub) seen(v *conv) bool {
	seen := false
	h.eachMember(v, func(*conn) { seen = true })
	return seen
}

// members are the connections that see a conversation at this moment.
func (h *hub) members(v *conv) map[*conn]struct{} {
	out := map[*conn]struct{}{}
	h.eachMember(v, func(c *conn) { out[c] = struct{}{} })
	return out
}

// tell sends a message to every member but one (who may be nil).
func (h *hub) tell(v *conv, msg any, except *conn) {
	var data []byte
	h.eachMember(v, func(c *conn) {
		if c != except {
			if data == nil {
				data = protocol.Encode(msg)
			}
			c.enqueue(data)
		}
	})
}
