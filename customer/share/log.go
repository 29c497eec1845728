// The customer's copy of the conversation: what was seen without a gap, and what came too early.

package share

import "github.com/lookalong/lookalong/protocol"

// chatLog orders messages by their dense sequence numbers.
type chatLog struct {
	last int64                          // highest number without a gap
	held map[int64]protocol.ChatMessage // beyond a gap
}

// add takes a message in whatever order it came and returns what may be shown now, in order. gap says that some
// are missing before others.
func (l *chatLog) add(m protocol.ChatMessage) (ready []protocol.ChatMessage, gap bool) {
	if m.Seq <= l.last {
		return nil, len(l.held) > 0
	}
	if l.held == nil {
		l.held = map[int64]protocol.ChatMessage{}
	}
	l.held[m.Seq] = m
	for {
		next, ok := l.held[l.last+1]
		if !ok {
			return ready, len(l.held) > 0
		}
		l.last++
		delete(l.held, l.last)
		ready = append(ready, next)
	}
}
