package server

// Claims as leases: who holds one, when it lapses, and what time brings.

import (
	"context"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

// hold keeps the claim alive while c is open.
func (h *hub) hold(v *conv, c *conn) {
	v.holders[c], c.holds[v] = struct{}{}, struct{}{}
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
	v.LapsesAt = at
	err := h.store.SetLapse(v.ID, v.ClaimedBy, at, func(_ store.Conversation, err error) {
		if err != nil {
			h.log.Warn("lease not stored", "err", err)
		}
	})
	if err != nil {
		h.log.Warn("lease not stored", "err", err)
	}
}

func (h *hub) expireClaims(now time.Time) {
	for _, v := range h.convs { // asked once; the store decides
		if v.LapsesAt != nil && !now.Before(*v.LapsesAt) {
			v.LapsesAt = nil
		}
	}
	h.storeSweep("expired claims", func(done func([]string, error)) error { return h.store.ExpireClaims(now, done) })
}

func (h *hub) closeSilent(now time.Time) {
	h.storeSweep("silent conversations", func(done func([]string, error)) error { return h.store.CloseSilent(now, done) })
}

// storeSweep runs a write that changes any number of conversations and reads their rows again.
func (h *hub) storeSweep(what string, write func(func([]string, error)) error) {
	err := write(func(ids []string, err error) {
		if err != nil {
			h.log.Warn("sweep failed", "what", what, "err", err)
			return
		}
		for _, id := range ids {
			h.post(func(h *hub) {
				h.read(func(ctx context.Context) event {
					row, err := h.store.Conversation(ctx, id)
					if err != nil {
						return nil
					}
					return func(h *hub) {
						if v := h.convs[id]; v != nil {
							h.unclaimed(v, row)
						}
					}
				})
			})
		}
	})
	if err != nil {
		h.log.Warn("sweep failed", "what", what, "err", err)
	}
}
