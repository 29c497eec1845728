package server

import (
	"context"
	"errors"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

const (
	checkAfter = 30 * time.Second // the check of all data takes a core that those who come back need
	eraseSeen  = time.Second      // how soon the server notices that a command has erased something
	watchAgain = 10 * time.Second
)

// maintain does the store's chores until ctx ends, and tells the operator what they find.
func (s *Server) maintain(ctx context.Context) error {
	return s.store.Maintain(ctx, store.Maintenance{Retention: s.cfg.Retention, CheckAfter: checkAfter, Forgotten: s.ForgetIdentities, Report: func(err error) {
		switch {
		case err == nil:
			s.damage.Store(nil)
		case errors.Is(err, store.ErrDamaged):
			text := err.Error()
			s.damage.Store(&text)
			s.cfg.Log.Error("part of the data is damaged", "err", err)
		default:
			s.cfg.Log.Warn("a chore of the store failed, it is tried again", "err", err)
		}
	}})
}

// watchErased has the hub drop what was erased and forgets whose key is whose: a customer may be gone with their
// conversation, and comes back as a new one.
func (s *Server) watchErased(ctx context.Context) error {
	for {
		err := s.store.WatchErased(ctx, eraseSeen, func(ids []string) {
			s.ForgetIdentities()
			s.hub.post(func(h *hub) { h.erased(ids) })
		})
		if err == nil {
			return nil
		}
		s.cfg.Log.Warn("erasures can't be read, it is tried again", "err", err)
		s.ForgetIdentities() // what is erased meanwhile is not told later
		if !sleep(ctx, watchAgain) {
			return nil
		}
	}
}
