// What the writer tells about itself: each commit, and how the store is.

package store

import (
	"errors"
	"time"
)

// Commit is one finished batch.
type Commit struct {
	Size int           // pieces of work in it
	Took time.Duration // from BEGIN until COMMIT returned; the callbacks are not in it
	Err  error         // why none of it was stored; nil: committed
}

// OnCommit has f called after each batch, on the writer's goroutine, after the
// done callbacks of the batch. Like them it must not block. Call it before Run.
func (s *Store) OnCommit(f func(Commit)) { s.onCommit = f }

// Health is how the store is at this moment.
type Health struct {
	// Err is nil while everything may be written. Otherwise its text is one sentence
	// for the operator, and it wraps ErrLowSpace (no new conversations), ErrFull,
	// ErrReadOnly, ErrBusy, ErrStorage, or ErrDamaged: acknowledged messages are gone.
	Err     error
	Since   time.Time     // since when Err is of this kind, or since when it is nil
	Waiting int           // writes in the queue
	Oldest  time.Duration // age of the oldest write that is not yet reported; above CommitDeadline: the disk stalls
	Free    int64         // bytes that the data folder's file system has left; -1: unknown
	// Damage is the first row or page that was met and is not what was written; it
	// wraps ErrDamaged and stays until a restart. All that doesn't need it is served.
	Damage error
}

// Health may be called from any goroutine; it doesn't touch the disk.
func (s *Store) Health() Health {
	h := Health{Waiting: len(s.queue), Free: s.guard.free.Load()}
	l, f := s.guard.level.Load(), s.fault.Load()
	if damage := s.damage.Load(); damage != nil {
		h.Damage = damage.err
	}
	switch stuck := s.stuck.Load(); {
	case f.err != nil: // what stops writing comes first
		h.Err, h.Since = f.err, f.since
	case l.open != nil:
		h.Err, h.Since = l.open, l.since
	case stuck != nil:
		h.Err, h.Since = stuck.err, stuck.since
	case f.since.After(l.since):
		h.Since = f.since
	default:
		h.Since = l.since
	}
	if at := s.oldest.Load(); at != 0 {
		h.Oldest = max(0, s.age()-time.Duration(at))
	}
	return h
}

// noteStuck keeps how the last checkpoint ended: a WAL that can't be written back
// grows until it can.
func (s *Store) noteStuck(err error) {
	if err == nil {
		s.stuck.Store(nil)
	} else if s.stuck.Load() == nil {
		s.stuck.Store(&trouble{err, s.now()})
	}
}

// noteDamage keeps the first damage that was met, for ever: an operator has to act.
func (s *Store) noteDamage(err error) {
	if errors.Is(err, ErrDamaged) {
		s.damage.CompareAndSwap(nil, &trouble{err, s.now()})
	}
}

// trouble is the last batch's failure, and since when the batches fail (or don't).
type trouble struct {
	err   error
	since time.Time
}

// age is the time since Open on the monotonic clock.
func (s *Store) age() time.Duration { return time.Since(s.opened) }

// note keeps how a batch ended.
func (s *Store) note(err error) {
	if before := s.fault.Load(); (err != nil) != (before.err != nil) {
		s.fault.Store(&trouble{err, s.now()})
	} else if err != nil {
		s.fault.Store(&trouble{err, before.since})
	}
}
