package server

// The tail: the last messages of a conversation in use, so that a client that comes back is answered from memory and
// a reconnect storm does not touch the disk (design.md 5).

import (
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// tail holds messages without a gap, the last one at the end, at most tailLen and tailBytes of text. Empty: nothing is
// known.
type tail struct {
	rows  []store.Message
	bytes int // of their texts
}

// load takes over what was read from the store, if it still ends at the conversation's last message.
func (t *tail) load(rows []store.Message, lastSeq int64) {
	if n := len(rows); n > 0 && rows[n-1].Seq == lastSeq && rows[0].Seq == lastSeq-int64(n)+1 {
		t.rows, t.bytes = append([]store.Message(nil), rows...), 0
		for _, m := range rows {
			t.bytes += len(m.Text)
		}
		t.trim()
	}
}

// trim drops the oldest. What is left has room to grow in: an append moves it once in a while.
func (t *tail) trim() {
	for len(t.rows) > tailLen || t.bytes > tailBytes {
		t.bytes -= len(t.rows[0].Text)
		t.rows[0] = store.Message{} // keeps nothing alive
		t.rows = t.rows[1:]
	}
}

// add takes a message that was committed; one out of order means that others were missed.
func (t *tail) add(m store.Message) {
	if n := len(t.rows); n > 0 && m.Seq != t.rows[n-1].Seq+1 {
		if m.Seq <= t.rows[n-1].Seq {
			return // it was read from the store already
		}
		*t = tail{}
	}
	t.rows, t.bytes = append(t.rows, m), t.bytes+len(m.Text)
	t.trim()
}

// page answers a request for history if all of it is here; lastSeq is the conversation's.
func (t *tail) page(m protocol.ChatHistory, lastSeq int64) ([]store.Message, bool) {
	if lastSeq == 0 {
		return nil, true
	}
	n := int64(len(t.rows))
	if n == 0 || t.rows[n-1].Seq != lastSeq {
		return nil, false
	}
	first := t.rows[0].Seq
	limit := int64(m.Limit)
	if m.Before <= 0 {
		if m.After+1 < first {
			return nil, false
		}
		from := min(m.After+1-first, n)
		return t.rows[from:min(n, from+limit)], true
	}
	to := min(m.Before, lastSeq+1)
	from := max(to-limit, m.After+1, 1)
	if from >= to {
		return nil, true
	}
	if from < first {
		return nil, false
	}
	return t.rows[from-first : to-first], true
}
