// What the writer tells about itself: each commit, and how the store is.

package store

import "time"

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
	// Err is nil while everything may be written. Otherwise it wraps ErrFull,
	// ErrReadOnly, ErrLowSpace (no new conversations, the rest works), ErrDamaged,
	// ErrBusy or ErrStorage; its text is one sentence for the operator.
	Err     error
	Since   time.Time     // since when Err is of this kind, or since when all is well
	Waiting int           // writes in the queue
	Oldest  time.Duration // age of the oldest write that is not yet reported; above CommitDeadline: the disk stalls
	Free    int64         // bytes that the data folder's file system has left; -1: unknown
}

// Health may be called from any goroutine; it doesn't touch the disk.
func (s *Store) Health() Health {
	h := Health{Waiting: len(s.queue), Free: s.guard.free.Load()}
	l, f := s.guard.level.Load(), s.fault.Load()
	if h.Err, h.Since = l.open, l.since; f.err != nil {
		h.Err, h.Since = f.err, f.since
	} else if h.Err == nil && f.since.After(h.Since) {
		h.Since = f.since
	}
	if at := s.oldest.Load(); at != 0 {
		h.Oldest = max(0, s.age()-time.Duration(at))
	}
	return h
}

// fault is the last batch's failure, and since when the batches fail (or don't).
type fault struct {
	err   error
	since time.Time
}

// age is the time since Open on the monotonic clock.
func (s *Store) age() time.Duration { return time.Since(s.opened) }

// note keeps how a batch ended.
func (s *Store) note(err error) {
	if before := s.fault.Load(); (err != nil) != (before.err != nil) {
		s.fault.Store(&fault{err, s.now()})
	} else if err != nil {
		s.fault.Store(&fault{err, before.since})
	}
}
