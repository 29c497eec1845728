package server

// What the operator's log says of the store: each kind of trouble once, when it begins and when it is over. Clients are
// told at each write that meets it, and keep what they have.

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

const (
	lookAtStore = time.Second     // how often the store's health is looked at
	wellAfter   = 5 * time.Second // without trouble; a disk that fails now and then is one trouble
)

// troubles are the kinds of error that the disk, or whoever holds it, is behind.
var troubles = []error{store.ErrFull, store.ErrReadOnly, store.ErrLowSpace, store.ErrDamaged, store.ErrBusy, store.ErrStopped, store.ErrStorage}

// trouble is the kind of a store's error; nil when it is about the row that was to be changed.
func trouble(err error) error {
	for _, kind := range troubles {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// storeWatch keeps what was logged. Any goroutine.
type storeWatch struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	told    map[error]bool // kinds since the last good time; empty: all is well
	last    time.Time      // when one of them was met last
	damaged bool           // damage was told: it stays until a restart
}

func newStoreWatch(log *slog.Logger, now func() time.Time) *storeWatch {
	return &storeWatch{log: log, now: now, told: map[error]bool{}}
}

// committed is called by the store's writer after each commit.
func (w *storeWatch) committed(c store.Commit) {
	if c.Err != nil {
		w.met(c.Err)
	}
}

func (w *storeWatch) met(err error) {
	kind := trouble(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = w.now()
	if w.told[kind] {
		return
	}
	w.told[kind] = true
	w.log.Error("the store is in trouble", "err", err)
}

// look takes what the store says of itself.
func (w *storeWatch) look(h store.Health) {
	if h.Err != nil {
		w.met(h.Err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.Damage != nil && !w.damaged {
		w.damaged = true
		w.log.Error("part of the data is damaged", "err", h.Damage)
	}
	if h.Err == nil && len(w.told) > 0 && w.now().Sub(w.last) >= wellAfter {
		clear(w.told)
		w.log.Warn("the store works again") // as loud as its trouble: who saw that one waits for this
	}
}

// watchStore looks at the store until ctx ends.
func (s *Server) watchStore(ctx context.Context) {
	for {
		s.watched.look(s.store.Health())
		if !sleep(ctx, lookAtStore) {
			return
		}
	}
}

// notStored logs a write of the hub's own that failed. What the disk is behind is told once for all of them, above.
func (h *hub) notStored(what string, err error, args ...any) {
	level := slog.LevelWarn
	if trouble(err) != nil {
		level = slog.LevelDebug
	}
	h.log.Log(context.Background(), level, what, append(args, "err", err)...)
}
