package server

// The audit log: append-only rows that say who did what (security.md 8). What the store can't take at the moment is
// kept here and written later, with the time at which it happened.

import (
	"errors"

	"github.com/lookalong/lookalong/signaling/store"
)

const (
	auditsKept  = 1000 // rows that wait for a store in trouble: a busy team's actions of some minutes, about 200 bytes each
	auditsATick = 8    // of them are tried at each tick
)

// audits are the rows that the store did not take; the hub's alone.
type audits struct {
	waiting []store.Entry // oldest first
	lost    int           // that were too many
}

// audit writes a row about a conversation; c is who did it, nil the server itself.
func (h *hub) audit(kind string, v *conv, c *conn) {
	entry := store.Entry{At: h.now(), Kind: kind, Conversation: v.ID, Actor: store.Actor{Kind: store.KindSystem}}
	switch {
	case c != nil && c.isAgent():
		entry.Actor = store.Actor{Kind: store.KindAgent, ID: c.agent}
	case c != nil:
		entry.Actor = store.Actor{Kind: store.KindCustomer, ID: c.customer}
	}
	h.writeAudit(entry)
}

func (h *hub) writeAudit(entry store.Entry) {
	err := h.store.Audit(entry, func(_ store.Entry, err error) {
		if err != nil {
			h.post(func(h *hub) { h.keepAudit(entry, err) })
		}
	})
	if err != nil {
		h.keepAudit(entry, err)
	}
}

// keepAudit keeps a row that was not written for the next ticks.
func (h *hub) keepAudit(entry store.Entry, err error) {
	a := &h.audits
	switch {
	case errors.Is(err, store.ErrInvalid):
		h.log.Error("audit row refused", "kind", entry.Kind, "err", err)
	case len(a.waiting) < auditsKept:
		a.waiting = append(a.waiting, entry)
	default:
		if a.lost++; a.lost == 1 {
			h.log.Error("audit rows are lost: too many wait for the store", "kind", entry.Kind, "err", err)
		}
	}
}

// lateAudits tries again what the store did not take.
func (h *hub) lateAudits() {
	a := &h.audits
	n := min(auditsATick, len(a.waiting))
	if n == 0 {
		return
	}
	again := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	if len(a.waiting) == 0 && a.lost > 0 {
		h.log.Error("audit rows were lost while the store was in trouble", "rows", a.lost)
		a.lost = 0
	}
	for _, entry := range again {
		h.writeAudit(entry)
	}
}
