// The one writer: a bounded queue, group commit, and callbacks after the commit.

package store

import (
	"context"
	"fmt"
	"time"
)

// op is one piece of work: run inside the transaction, done after it.
type op struct {
	run    func(*tx) error
	done   func(error)
	size   int           // about; unit: bytes
	always bool          // tried however little space is left
	queued time.Duration // age of the store at that moment
}

// submit queues run; see the package comment for when done is called. Its first
// change of a row is refused while the guard of the disk says read-only.
func submit[R any](s *Store, run func(*tx) (R, error), done func(R, error)) error {
	return submitOp(s, opSize, false, run, done)
}

// submitAlways is submit for what frees space or protects people: the end of a
// session, a release, an erasure, an audit entry. It is tried on a full disk too.
func submitAlways[R any](s *Store, run func(*tx) (R, error), done func(R, error)) error {
	return submitOp(s, opSize, true, run, done)
}

// opSize is what a piece of work writes, about. Unit: bytes.
const opSize = 256

func submitOp[R any](s *Store, size int, always bool, run func(*tx) (R, error), done func(R, error)) error {
	var result R
	return s.enqueue(op{
		size:   size,
		always: always,
		run:    func(t *tx) (err error) { result, err = run(t); return err },
		done: func(err error) {
			if err != nil {
				result = *new(R)
			}
			done(result, err)
		},
	})
}

func (s *Store) enqueue(o op) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.phase == stopping {
		return fmt.Errorf("store: %w", ErrStopped)
	}
	o.queued = s.age()
	select {
	case s.queue <- o:
		return nil
	default:
		return fmt.Errorf("store: %w: %d writes are waiting", ErrBusy, cap(s.queue))
	}
}

// Sync waits for one write: Sync(ctx, func(done func(AppendResult, error)) error
// { return s.Append(m, done) }). For tests and short commands; Run must be
// running. When ctx ends first, the outcome is unknown.
func Sync[R any](ctx context.Context, start func(done func(R, error)) error) (R, error) {
	type outcome struct {
		result R
		err    error
	}
	ch := make(chan outcome, 1) // one result: done never waits
	if err := start(func(r R, err error) { ch <- outcome{r, err} }); err != nil {
		return *new(R), err
	}
	select {
	case o := <-ch:
		return o.result, o.err
	case <-ctx.Done():
		return *new(R), context.Cause(ctx)
	}
}

// Stats are counters since Open, for metrics.
type Stats struct {
	Commits int64 // transactions committed
	Writes  int64 // pieces of work in them
	Largest int64 // most pieces in one
	Waiting int   // pieces in the queue now
}

// Stats returns the counters. Any goroutine.
func (s *Store) Stats() Stats {
	return Stats{s.commits.Load(), s.writes.Load(), s.largest.Load(), len(s.queue)}
}

// Run is the writer: it commits queued work until ctx ends or Close is called,
// then what is still queued, closes the files and returns nil. After Close it
// returns nil at once. Errors: the writing connection can't be opened (the store
// is closed then), or ErrConflict if it runs already.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	if before := s.phase; before != idle {
		s.mu.Unlock()
		if before == running {
			return fmt.Errorf("store: run twice: %w", ErrConflict)
		}
		return nil
	}
	s.phase = running
	s.mu.Unlock()

	w, err := newWriter(s.path, s.writeDB, s.guard)
	s.writeDB = nil // the writer closes it
	if err != nil {
		s.refuse()
		for len(s.queue) > 0 {
			(<-s.queue).done(err)
		}
		s.release()
		return err
	}
	s.work(ctx, w)
	// Nothing here is deferred: a panic inside SQLite holds locks that closing waits for, and it has to end the
	// process, so that a new one starts on what is on the disk.
	s.closeReaders()
	w.close()
	s.release()
	return nil
}

// work is the loop.
func (s *Store) work(ctx context.Context, w *writer) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	batch, commits := make([]op, 0, s.batch), int64(0)
	for {
		select {
		case o := <-s.queue:
			batch = append(batch[:0], o)
		case err := <-w.checkpoint.ready:
			w.checkpoint.finish(w, err)
			continue
		case <-tick.C:
			s.guard.look(s.now())
			s.noteStuck(w.checkpoint.failed)
			if now := s.commits.Load(); now == commits { // a quiet second
				w.checkpoint.start()
			} else {
				commits = now
			}
			if s.fault.Load().err != nil { // find out whether it works again, also when nobody writes
				batch = append(batch[:0], probe)
				break
			}
			if len(w.behind) > 0 {
				batch = append(batch[:0], catchUpNow(w))
				break
			}
			continue
		case <-ctx.Done():
			s.drain(w, batch)
			return
		case <-s.stop:
			s.drain(w, batch)
			return
		}
		s.commit(w, s.fill(batch))
	}
}

// fill adds what is waiting, up to a full batch.
func (s *Store) fill(batch []op) []op {
	size := 0
	for _, o := range batch {
		size += o.size
	}
	for len(batch) < s.batch && size < BatchBytes {
		select {
		case o := <-s.queue:
			batch, size = append(batch, o), size+o.size
		default:
			return batch
		}
	}
	return batch
}

// refuse ends admission; afterwards the queue only shrinks.
func (s *Store) refuse() {
	s.mu.Lock()
	s.phase = stopping
	s.mu.Unlock()
}

func (s *Store) drain(w *writer, batch []op) {
	s.refuse()
	for {
		if batch = s.fill(batch[:0]); len(batch) == 0 {
			if len(w.behind) > 0 {
				s.commit(w, append(batch, catchUpNow(w))) // others read the file too; should it fail, the next start does it
			}
			return
		}
		s.commit(w, batch)
	}
}

// commit runs one batch and reports each outcome, in order, after the commit.
func (s *Store) commit(w *writer, batch []op) {
	s.oldest.Store(int64(batch[0].queued))
	start := time.Now()
	errs, err := w.transact(batch)
	took := time.Since(start)
	s.note(err)
	if err == nil {
		s.commits.Add(1)
		s.writes.Add(int64(len(batch)))
		s.largest.Store(max(s.largest.Load(), int64(len(batch))))
	}
	size := len(batch)
	for i, o := range batch {
		s.noteDamage(errs[i])
		o.done(errs[i])
		batch[i] = op{} // keeps nothing alive
	}
	s.oldest.Store(0)
	if s.onCommit != nil {
		s.onCommit(Commit{size, took, err})
	}
	w.checkpoint.changed(w.rows)
	w.rows = 0
}

// probe is a write of the store's own: it ends a fault that no write of others ends.
var probe = op{
	always: true,
	run: func(t *tx) error {
		_, err := t.exec(`INSERT INTO settings (key, value) VALUES ('store.probe', '1')
			ON CONFLICT (key) DO UPDATE SET value = CASE WHEN settings.value = '1' THEN '2' ELSE '1' END`)
		return err
	},
	done: func(error) {},
}
