// Package follow applies the messages of a conversation by their dense sequence numbers: each once and in order,
// whatever the network does. Programs of agents and tests of the server use it.
package follow

import "github.com/lookalong/lookalong/protocol"

// Follower is one reader of one conversation. It belongs to one goroutine, or to one lock.
type Follower struct {
	last   int64                          // highest number without a gap
	held   map[int64]protocol.ChatMessage // beyond a gap
	asking bool                           // an answer to ask is on its way
	ask    func(after int64)
	emit   func(protocol.ChatMessage)
}

// New makes one that has seen everything up to the number last. ask is to ask the server for chat.history{after}, and
// to bring the answer to Page or Failed, later; emit gets each message.
func New(last int64, ask func(after int64), emit func(protocol.ChatMessage)) *Follower {
	return &Follower{last: last, held: map[int64]protocol.ChatMessage{}, ask: ask, emit: emit}
}

// Last is the highest number without a gap.
func (f *Follower) Last() int64 { return f.last }

// Seen says that everything up to the number was shown by another way.
func (f *Follower) Seen(last int64) { f.last = max(f.last, last) }

// Message takes a live message, or one's own with the number of its ack.
func (f *Follower) Message(m protocol.ChatMessage) {
	if m.Seq <= f.last {
		return
	}
	f.held[m.Seq] = m
	f.drain()
	if len(f.held) > 0 {
		f.CatchUp()
	}
}

// Page takes an answer to ask.
func (f *Follower) Page(p protocol.ChatPage) {
	f.asking = false
	for _, m := range p.Messages {
		if m.Seq > f.last {
			f.held[m.Seq] = m
		}
	}
	before := f.last
	f.drain()
	if f.last < p.LastSeq && f.last > before { // without progress the server has no more
		f.CatchUp()
	}
}

// Failed says that no answer will come.
func (f *Follower) Failed() { f.asking = false }

// CatchUp asks for what follows the last message; after a reconnect, and at a gap.
func (f *Follower) CatchUp() {
	if !f.asking {
		f.asking = true
		f.ask(f.last)
	}
}

func (f *Follower) drain() {
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
