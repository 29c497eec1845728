package cli

// Following a conversation: every message once and in order, whatever the network does.

import "github.com/lookalong/lookalong/protocol"

// follower applies messages by their dense sequence numbers. It belongs to one goroutine.
type follower struct {
	last   int64                          // highest number without a gap
	held   map[int64]protocol.ChatMessage // beyond a gap
	asking bool                           // an answer to ask is on its way
	ask    func(after int64)              // asks for chat.history{after}
	emit   func(protocol.ChatMessage)     // each message, once, in order
}

func newFollower(last int64, ask func(int64), emit func(protocol.ChatMessage)) *follower {
	return &follower{last: last, held: map[int64]protocol.ChatMessage{}, ask: ask, emit: emit}
}

// message takes a live message, or one's own with the number of its ack.
func (f *follower) message(m protocol.ChatMessage) {
	if m.Seq <= f.last {
		return
	}
	f.held[m.Seq] = m
	f.drain()
	if len(f.held) > 0 {
		f.catchUp()
	}
}

// page takes an answer to ask.
func (f *follower) page(p protocol.ChatPage) {
	f.asking = false
	for _, m := range p.Messages {
		if m.Seq > f.last {
			f.held[m.Seq] = m
		}
	}
	before := f.last
	f.drain()
	if f.last < p.LastSeq && f.last > before { // without progress the server has no more
		f.catchUp()
	}
}

// failed says that no answer will come.
func (f *follower) failed() { f.asking = false }

// catchUp asks for what follows the last message; after a reconnect, and at a gap.
func (f *follower) catchUp() {
	if !f.asking {
		f.asking = true
		f.ask(f.last)
	}
}

func (f *follower) drain() {
	for {
		m, ok := f.held[f.last+1]
		if !ok {
			return
		}
		delete(f.held, m.Seq)
		f.last = m.Seq
		f.emit(m)
	}
}
