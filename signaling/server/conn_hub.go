package server

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
)

// hubState is what the hub keeps about a socket.
type hubState struct {
	page       *protocol.Page
	queueWatch bool
	present    bool // an agent's standing connection: it counts as presence
	watches    set[*conv]
	holds      set[*conv]
	sessions   set[*session] // bound to this socket
	sends      []*outgoing   // chat messages that are not answered yet; the first is with the store
	submitted  time.Time     // when the first of them went there
	reads      int           // of the store that wait for it
	refusals   int
	waitUntil  time.Time     // no chat message is taken before: order is kept over a refusal
	typing     *rate.Limiter // of chat.typing; nil before the first
}

// set is a set that costs nothing while it is empty: most sockets have none of these.
type set[T comparable] map[T]struct{}

func (s *set[T]) add(v T) {
	if *s == nil {
		*s = set[T]{}
	}
	(*s)[v] = struct{}{}
}
