// Copies of direct messages. SCTP repeats a lost packet when three later ones have shown the gap, or when its timer runs
// out, after 400 ms to 1 s; behind somebody's last message nothing comes. So a message that fits one packet also goes out
// on copies, an unordered channel without repair, a few times until there is a receipt, and whoever comes first is taken.

package peer

import (
	"slices"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

const (
	copyFirst         = 10 * time.Millisecond // after the message; the gap doubles: 10, 30, 70, 150 ms
	copiesEach        = 4
	maxCopiesBuffered = 16 << 10 // on a path that takes nothing no more are added
	maxUnconfirmed    = 256      // messages of which copies may still go out
)

// copies is owned by the loop.
type copies struct {
	able     bool        // the other end takes copies
	waiting  []toCopy    // messages of this end without a receipt, oldest first
	timer    *time.Timer // of the next copy
	had      recent      // receipts that came
	given    recent      // receipts that were sent
	taken    int64       // number of the last message taken
	original int64       // and of the last one on direct
	limit    limiter
	first    uint64 // messages and receipts that a copy brought first
}

// toCopy is a message on its way.
type toCopy struct {
	id   protocol.RequestID
	text string
	due  time.Time
	gap  time.Duration
	left int
}

// recent are the ids of the last messages; more than are on their way at once.
type recent struct {
	ids  [256]protocol.RequestID
	next int
}

func (r *recent) add(id protocol.RequestID) {
	r.ids[r.next] = id
	r.next = (r.next + 1) % len(r.ids)
}

func (r *recent) has(id protocol.RequestID) bool { return slices.Contains(r.ids[:], id) }

// verdict says what becomes of a direct message.
type verdict int

const (
	taken verdict = iota // it is the next
	again                // it was taken before
	early                // a copy of a later one: direct brings those between
	twice                // direct never repeats a number
)

// take judges a message by its number.
func (c *copies) take(n int64, copied bool) verdict {
	switch {
	case copied && n == c.taken+1:
		c.taken = n
		return taken
	case copied && n > c.taken:
		return early
	case copied:
		return again
	case n == 0: // of a program without copies
		return taken
	case n <= c.original:
		return twice
	}
	c.original = n
	if n <= c.taken {
		return again
	}
	c.taken = n
	return taken
}

// directSent and receiptSent come from the goroutine that sends, before the other end can answer.
type directSent struct {
	id   protocol.RequestID
	text string
	at   time.Time
}

func (e directSent) apply(p *Peer) {
	c := &p.copies
	if c.able && len(e.text) <= protocol.MaxCopyBytes && len(c.waiting) < maxUnconfirmed {
		c.waiting = append(c.waiting, toCopy{e.id, e.text, e.at.Add(copyFirst), copyFirst, copiesEach})
	}
}

type receiptSent struct{ id protocol.RequestID }

func (e receiptSent) apply(p *Peer) { p.copies.given.add(e.id) }

// sendCopies sends those that are due, and sets the clock for the next.
func (p *Peer) sendCopies(now time.Time) {
	c := &p.copies
	if p.ended || len(c.waiting) == 0 {
		return
	}
	var next time.Time
	for i := range c.waiting {
		w := &c.waiting[i]
		if !now.Before(w.due) {
			p.send.copy(w.text)
			w.gap *= 2
			w.due = now.Add(w.gap)
			w.left--
		}
		if w.left > 0 && (next.IsZero() || w.due.Before(next)) {
			next = w.due
		}
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(w toCopy) bool { return w.left == 0 })
	if !next.IsZero() {
		c.timer.Reset(next.Sub(now))
	}
}

// onCopy takes a message of channel copies.
func (p *Peer) onCopy(e received) {
	if !p.copies.limit.allow(e.at) { //guard:T21
		p.bad("too many copies")
		return
	}
	if len(e.data) > protocol.MaxCopyBytes { //guard:T21
		p.breach("a copy is too large")
		return
	}
	msg, err := protocol.Decode(e.data, protocol.Peer)
	if err != nil {
		p.breach(err.Error())
		return
	}
	switch m := msg.(type) {
	case protocol.DirectMessage:
		p.onDirectMessage(m, true, e.at)
	case protocol.DirectAck:
		p.onReceipt(m, true)
	case protocol.PeerPing: // of a silent path that is back: what was lost on control would hold it up
		p.heard(e.at)
		p.send.copy(string(protocol.Encode(pong(m, e.at))))
	case protocol.Unknown: // a newer program's
	default:
		p.breach("a copy of what is never copied")
	}
}

// onDirectMessage hands a message on, once and in its place. It counts against the limit when it is taken.
func (p *Peer) onDirectMessage(m protocol.DirectMessage, copied bool, at time.Time) {
	c := &p.copies
	switch c.take(m.N, copied) {
	case taken:
		if !p.channels.direct.allow(at) { //guard:T21
			p.bad("too many direct messages")
			return
		}
		if copied {
			c.first++
		}
		if p.cfg.OnDirect != nil {
			p.cfg.OnDirect(m)
		}
	case again:
		if copied && c.given.has(m.ID) {
			p.send.copy(string(protocol.Encode(protocol.DirectAck{ID: m.ID})))
		}
	case early:
	case twice:
		p.breach("the number of a direct message comes twice") //guard:T21
	}
}

// onReceipt hands a receipt on, once.
func (p *Peer) onReceipt(m protocol.DirectAck, copied bool) {
	c := &p.copies
	c.waiting = slices.DeleteFunc(c.waiting, func(w toCopy) bool { return w.id == m.ID })
	if c.had.has(m.ID) {
		return
	}
	c.had.add(m.ID)
	if copied {
		c.first++
	}
	if p.cfg.OnDirect != nil {
		p.cfg.OnDirect(m)
	}
}

// copy sends one copy; it may be lost.
func (s *sender) copy(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dc := s.dcs[protocol.ChannelCopies]
	if !s.live.Load() || dc == nil || dc.BufferedAmount() > maxCopiesBuffered || dc.SendText(text) != nil {
		return
	}
	s.bytes.Add(uint64(len(text)))
}
