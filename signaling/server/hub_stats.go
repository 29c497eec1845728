package server

import (
	"context"
	"errors"
)

// errHubStuck says that the hub did not answer in time.
var errHubStuck = errors.New("server: the hub does not answer")

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
