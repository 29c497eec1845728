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
	watches    map[*conv]struct{}
	holds      map[*conv]struct{}
	sessions   map[*session]struct{} // bound to this socket
	refusals   int
	waitUntil  time.Time     // no chat message is taken before: order is kept over a refusal
	typing     *rate.Limiter // of chat.typing
}
