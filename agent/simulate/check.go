package simulate

import (
	"hash/maphash"

	"github.com/lookalong/lookalong/protocol"
)

// own is one message that a customer wrote.
type own struct {
	id  protocol.RequestID
	sum uint64 // of its text
	seq int64  // 0 while it is not acknowledged
}

// entry is one stored message.
type entry struct {
	seq int64
	id  protocol.RequestID
	sum uint64
}

var hashSeed = maphash.MakeSeed()

func sumOf(text string) uint64 { return maphash.String(hashSeed, text) }

// faults are broken promises.
type faults struct{ lost, doubled, outOfOrder int64 }

// add sums faults up.
func (f *faults) add(g faults) {
	f.lost += g.lost
	f.doubled += g.doubled
	f.outOfOrder += g.outOfOrder
}

// auditLog looks at what is stored after the number base: the numbers are dense, and each id is there once.
func auditLog(stored []entry, base int64) (f faults) {
	seen := map[protocol.RequestID]bool{}
	next := base + 1
	for _, e := range stored {
		switch {
		case e.seq > next:
			f.lost += e.seq - next
		case e.seq < next:
			f.outOfOrder++
		}
		next = max(next, e.seq+1)
		if seen[e.id] {
			f.doubled++
		}
		seen[e.id] = true
	}
	return f
}

// auditOwn compares what one side wrote, in the order of writing, with what is stored: each acknowledged message is
// there, under its number and with its text, and all are in their order.
func auditOwn(written []own, stored []entry) (f faults) {
	at := map[protocol.RequestID]int{}
	for i, e := range stored {
		if _, twice := at[e.id]; !twice {
			at[e.id] = i
		}
	}
	last := -1
	for _, w := range written {
		i, there := at[w.id]
		if w.seq > 0 && (!there || stored[i].seq != w.seq || stored[i].sum != w.sum) {
			f.lost++
		}
		if !there {
			continue
		}
		if i < last {
			f.outOfOrder++
		}
		last = max(last, i)
	}
	return f
}

// recentIDs is how many ids of a conversation are remembered while it goes on, to see one twice. The audit at the end
// sees them all.
const recentIDs = 1024

// reader follows one conversation from one side: every message once and in order, over cuts. Not safe for
// concurrent use.
type reader struct {
	last   int64                          // highest number without a gap
	held   map[int64]protocol.ChatMessage // beyond a gap
	pushed int64                          // highest number over the present connection
	ids    map[protocol.RequestID]int64
	order  []protocol.RequestID
	faults faults
}

func newReader(last int64) *reader {
	return &reader{last: last, held: map[int64]protocol.ChatMessage{}, ids: map[protocol.RequestID]int64{}}
}

// online says that a new connection has begun.
func (r *reader) online() { r.pushed = 0 }

// push takes a message that the server pushed over the present connection.
func (r *reader) push(m protocol.ChatMessage) []protocol.ChatMessage {
	switch {
	case m.Seq == r.pushed:
		r.faults.doubled++
	case m.Seq < r.pushed:
		r.faults.outOfOrder++
	}
	r.pushed = max(r.pushed, m.Seq)
	return r.take(m)
}

// take takes a message from wherever it came and returns those that are next in order.
func (r *reader) take(m protocol.ChatMessage) (ready []protocol.ChatMessage) {
	if seq, known := r.ids[m.MessageID]; known && seq != m.Seq {
		r.faults.doubled++
	} else if !known {
		r.ids[m.MessageID] = m.Seq
		if r.order = append(r.order, m.MessageID); len(r.order) > recentIDs {
			delete(r.ids, r.order[0])
			r.order = r.order[1:]
		}
	}
	if m.Seq <= r.last {
		return nil
	}
	r.held[m.Seq] = m
	for {
		next, ok := r.held[r.last+1]
		if !ok {
			return ready
		}
		r.last++
		delete(r.held, r.last)
		ready = append(ready, next)
	}
}

// gap reports whether something is missing before what has come.
func (r *reader) gap() bool { return len(r.held) > 0 }
