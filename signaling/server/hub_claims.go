package server

// Claims as leases: who holds one, when it lapses, and what time brings.

import (
	"context"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

// storeAgain is when the hub writes again what the store could not take.
const storeAgain = 5 * time.Second

// hold keeps the claim alive while c is open.
func (h *hub) hold(v *conv, c *conn) {
	v.holders.add(c)
	c.holds.add(v)
	h.beHere(c)
	if v.LapsesAt != nil {
		h.setLapse(v, nil)
	}
}

// unhold is hold's end: after the last holding connection the claim lives for another minute.
func (h *hub) unhold(v *conv, c *conn) {
	delete(v.holders, c)
	delete(c.holds, v)
	if len(v.holders) == 0 && v.State == store.Claimed && v.ClaimedBy == c.agent {
		h.lapse(v, lapseAfterHold)
	}
}

func (h *hub) lapse(v *conv, after time.Duration) {
	at := h.now().Add(after)
	h.setLapse(v, &at)
}

func (h *hub) setLapse(v *conv, at *time.Time) {
	h.change(v, func() { v.LapsesAt = at })
	h.storeLapse(v, v.ClaimedBy, at)
}

// storeLapse writes the lease, and again until it is stored or no longer what counts: a restart goes by what is
// stored, and an old end of a lease would let a claim that is held lapse at once.
func (h *hub) storeLapse(v *conv, agent string, at *time.Time) {
	failed := func(err error) {
		h.notStored("lease not stored", err, "conversation", v.ID)
		if trouble(err) == nil {
			return // the claim is another one by now
		}
		h.later(func(h *hub) {
			if h.convs[v.ID] == v && v.State == store.Claimed && v.ClaimedBy == agent && v.LapsesAt == at {
				h.storeLapse(v, agent, at)
			}
		})
	}
	err := h.store.SetLapse(v.ID, agent, at, func(_ store.Conversation, err error) {
		if err != nil {
			h.after(func(*hub) { failed(err) })
		}
	})
	if err != nil {
		failed(err)
	}
}

// later runs ev after a pause: what a disk in trouble did not take is not pressed on it at every tick.
func (h *hub) later(ev event) {
	time.AfterFunc(storeAgain, func() { h.post(ev) }) // in vain once the hub has ended
}

// expireClaims puts lapsed claims back into the queue. The hub's verdict counts, whatever became of an earlier write of
// the lease; what could not be written is tried again after a pause.
func (h *hub) expireClaims(now time.Time) {
	if h.claiming > 0 {
		return // one of them may be taken again: its commit is reported first
	}
	for v := range h.leases {
		if v.expiring || len(v.holders) > 0 || !v.lapsed(now) {
			continue
		}
		v.expiring = true
		failed := func(err error) {
			h.notStored("claim did not lapse", err, "conversation", v.ID)
			if trouble(err) == nil { // somebody else ended it
				h.reload(v)
				return
			}
			h.later(func(*hub) { v.expiring = false })
		}
		err := h.store.Release(v.ID, v.ClaimedBy, func(row store.Conversation, err error) {
			h.after(func(h *hub) {
				if err != nil {
					failed(err)
					return
				}
				v.expiring = false
				h.unclaimed(v, row)
			})
		})
		if err != nil {
			failed(err)
		}
	}
}

// reload takes over the row of a conversation whose claim the store knows better.
func (h *hub) reload(v *conv) {
	id := v.ID
	h.read(func(ctx context.Context) event {
		row, err := h.store.Conversation(ctx, id)
		return func(h *hub) {
			v.expiring = false
			if err == nil && h.convs[id] == v {
				h.unclaimed(v, row)
			}
		}
	})
}

// closeSilent closes what has been claimed and silent for a day.
func (h *hub) closeSilent(now time.Time) {
	err := h.store.CloseSilent(now, func(rows []store.Conversation, err error) {
		if err != nil {
			h.notStored("silent conversations not closed", err)
			return
		}
		for _, row := range rows {
			h.after(func(h *hub) {
				if v := h.convs[row.ID]; v != nil {
					h.unclaimed(v, row)
				}
			})
		}
	})
	if err != nil {
		h.notStored("silent conversations not closed", err)
	}
}
