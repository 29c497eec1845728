package server

// What an erasure means for what the hub holds in memory.

import (
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// erased drops conversations whose rows are gone: the last messages from memory, the claim, the session. Their members
// see them end; their customers' connections begin anew, because who they were may be gone too.
func (h *hub) erased(ids []string) {
	h.erasures++
	for _, id := range ids {
		v := h.convs[id]
		if v == nil {
			continue
		}
		v.tail, v.lastText, v.unsaved = tail{}, "", [2]bool{}
		row := v.Conversation
		row.State, row.ClosedAt = store.Closed, h.now()
		row.Missed, row.ClaimedBy, row.ClaimedAt, row.LapsesAt = false, "", time.Time{}, nil
		h.unclaimed(v, row)
		for c := range v.watchers {
			delete(c.watches, v)
		}
		h.unfile(v)
		delete(h.convs, id)
		delete(h.marked, v)
		if cu := h.customers[v.CustomerID]; cu != nil {
			if cu.conv == v {
				cu.conv, cu.looked = nil, false
			}
			for _, c := range cu.conns {
				c.close(protocol.CloseRestart, protocol.CodeNotFound)
			}
		}
	}
}
