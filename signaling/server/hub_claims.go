package server

// Claims as leases: who holds one, when it lapses, and what time brings.

import (
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

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
	err := h.store.SetLapse(v.ID, v.ClaimedBy, at, func(_ store.Conversation, err error) {
		if err != nil {
			h.log.Warn("lease not stored", "err", err)
		}
	})
	if err != nil {
		h.log.Warn("lease not stored", "err", err)
	}
}

// expireClaims puts lapsed claims back into the queue. The hub's verdict counts, whatever became of an earlier write of
// the lease; what could not be written is tried again at the next tick.
func (h *hub) expireClaims(now time.Time) {
	if h.claiming > 0 {
		return // one of them may be taken again: its commit is reported first
	}
	for v := range h.leases {
		if v.expiring || !v.lapsed(now) {
			continue
		}
		v.expiring = true
		err := h.store.Release(v.ID, v.ClaimedBy, func(row store.Conversation, err error) {
			h.after(func(h *hub) {
				v.expiring = false
				if err != nil {
					h.log.Warn("claim did not lapse", "err", err)
					return
				}
				h.unclaimed(v, row)
			})
		})
		if err != nil {
			v.expiring = false
			h.log.Warn("claim did not lapse", "err", err)
		}
	}
}

// closeSilent closes what has been claimed and silent for a day.
func (h *hub) closeSilent(now time.Time) {
	err := h.store.CloseSilent(now, func(rows []store.Conversation, err error) {
		if err != nil {
			h.log.Warn("silent conversations not closed", "err", err)
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
		h.log.Warn("silent conversations not closed", "err", err)
	}
}
