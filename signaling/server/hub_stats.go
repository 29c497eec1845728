package server

import (
	"context"
	"errors"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

// errHubStuck says that the hub did not answer in time.
var errHubStuck = errors.New("server: the hub does not answer")

// hubStats are the hub's figures at one moment.
type hubStats struct {
	Conversations int           // in memory
	Waiting       int           // in the queue
	LongestWait   time.Duration // of those
	Sessions      map[sessionKind]int
	Mailbox       int           // events that wait for the hub
	Delay         time.Duration // how long this question waited for its turn
}

// sessionKind is what sessions are counted by.
type sessionKind struct{ State, Path string }

// snapshot asks the hub for its figures. It waits for the hub's turn, no longer than ctx.
func (h *hub) snapshot(ctx context.Context) (st hubStats, err error) {
	asked := time.Now()
	answer := make(chan hubStats, 1) // one answer, also when nobody waits for it any more
	err = h.ask(ctx, func(h *hub) {
		st := h.count()
		st.Delay = time.Since(asked)
		answer <- st
	})
	if err == nil {
		st = <-answer
	}
	return st, err
}

// ask runs f on the hub's goroutine and waits until it has run, no longer than ctx: then the error is errHubStuck, and
// f may run later or never.
func (h *hub) ask(ctx context.Context, f event) error {
	ran := make(chan struct{})
	select {
	case h.events <- func(h *hub) { f(h); close(ran) }:
	case <-h.done:
		return errHubStuck
	case <-ctx.Done():
		return errHubStuck
	}
	select {
	case <-ran:
		return nil
	case <-h.done:
		return errHubStuck
	case <-ctx.Done():
		return errHubStuck
	}
}

// count is on the hub's goroutine.
func (h *hub) count() hubStats {
	st := hubStats{Conversations: len(h.convs), Sessions: map[sessionKind]int{}, Mailbox: len(h.events)}
	now := h.now()
	for _, v := range h.convs {
		if v.State == store.Waiting {
			st.Waiting++
			st.LongestWait = max(st.LongestWait, now.Sub(v.WaitingSince))
		}
	}
	for _, s := range h.sessions {
		st.Sessions[sessionKind{string(s.row.State), s.row.Path}]++
	}
	return st
}
