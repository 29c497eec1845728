// The one writer: a bounded queue, group commit, and callbacks after the commit.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// op is one piece of work: run inside the transaction, done after it.
type op struct {
	run    func(*tx) error
	done   func(error)
	always bool          // tried however little space is left
	queued time.Duration // age of the store at that moment
}

// submit queues run; see the package comment for when done is called. Its first
// change of a row is refused while the guard of the disk says read-only.
func submit[R any](s *Store, run func(*tx) (R, error), done func(R, error)) error {
	return submitOp(s, false, run, done)
}

// submitAlways is submit for what frees space or protects people: the end of a
// session, a release, an erasure, an audit entry. It is tried on a full disk too.
func submitAlways[R any](s *Store, run func(*tx) (R, error), done func(R, error)) error {
	return submitOp(s, true, run, done)
}

func submitOp[R any](s *Store, always bool, run func(*tx) (R, error), done func(R, error)) error {
	var result R
	return s.enqueue(op{
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
	defer s.release()

	w, err := newWriter(s.writeDB, s.guard)
	if err != nil {
		s.refuse()
		for len(s.queue) > 0 {
			(<-s.queue).done(err)
		}
		return err
	}
	defer w.close()

	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	batch := make([]op, 0, s.batch)
	for {
		select {
		case o := <-s.queue:
			batch = append(batch[:0], o)
		case <-tick.C:
			s.guard.look(s.now())
			if s.fault.Load().err != nil { // find out whether it works again, also when nobody writes
				batch = append(batch[:0], probe)
				break
			}
			continue
		case <-ctx.Done():
			return s.drain(w, batch)
		case <-s.stop:
			return s.drain(w, batch)
		}
		s.commit(w, s.fill(batch))
	}
}

// fill adds what is waiting, up to a full batch.
func (s *Store) fill(batch []op) []op {
	for len(batch) < s.batch {
		select {
		case o := <-s.queue:
			batch = append(batch, o)
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

func (s *Store) drain(w *writer, batch []op) error {
	s.refuse()
	for {
		if batch = s.fill(batch[:0]); len(batch) == 0 {
			return nil
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
		o.done(errs[i])
		batch[i] = op{} // keeps nothing alive
	}
	s.oldest.Store(0)
	if s.onCommit != nil {
		s.onCommit(Commit{size, took, err})
	}
}

// probe is a write of the store's own: it ends a fault that no write of others ends.
var probe = op{
	always: true,
	run: func(t *tx) error {
		_, err := t.exec("UPDATE settings SET value = value WHERE key = 'probe'")
		return err
	},
	done: func(error) {},
}

// writer holds the connection and its prepared statements; Run's goroutine only.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	guard *guard
	stmts map[string]*statement
	live  map[string]*live // by conversation id; see writer_live.go
	// version is what foreign gave at the last batch.
	version int64
	errs    []error
}

type statement struct {
	*sql.Stmt
	forgets bool // changes rows that may be remembered
}

func newWriter(db *sql.DB, g *guard) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, translate(err)
	}
	return &writer{db: db, conn: conn, guard: g, stmts: map[string]*statement{}, live: map[string]*live{}}, nil
}

func (w *writer) close() {
	for _, stmt := range w.stmts {
		_ = stmt.Close() // nothing to save
	}
	_ = w.conn.Close() // back into the pool, which is closed next
}

// stmt prepares each text once.
func (w *writer) stmt(text string) (*statement, error) {
	stmt, ok := w.stmts[text]
	if !ok {
		prepared, err := w.conn.PrepareContext(context.Background(), text)
		if err != nil {
			return nil, translate(err)
		}
		stmt = &statement{prepared, changesConversations(text)}
		w.stmts[text] = stmt
	}
	if stmt.forgets {
		w.forget()
	}
	return stmt, nil
}

// exec runs without a context: a commit is never interrupted half-way.
func (w *writer) exec(text string, args ...any) (int64, error) {
	stmt, err := w.stmt(text)
	if err != nil {
		return 0, err
	}
	result, err := stmt.Exec(args...)
	if err != nil {
		return 0, translate(err)
	}
	n, err := result.RowsAffected()
	return n, translate(err)
}

// transact runs the batch in one transaction. It returns one error for each op,
// and the one that lost the whole batch; the slice is valid until the next call.
func (w *writer) transact(batch []op) ([]error, error) {
	w.errs = append(w.errs[:0], make([]error, len(batch))...)
	fail := func(err error) ([]error, error) {
		for i := range w.errs {
			w.errs[i] = err
		}
		return w.errs, err
	}
	if _, err := w.exec(begin); err != nil {
		return fail(err)
	}
	if err := w.notice(); err != nil {
		w.rollback()
		return fail(err)
	}
	for i, o := range batch {
		t := tx{w: w, always: o.always}
		err := t.finish(o.run(&t))
		if spoils(err) {
			w.rollback()
			return fail(err)
		}
		w.errs[i] = err
	}
	if _, err := w.exec("COMMIT"); err != nil {
		w.rollback()
		return fail(err)
	}
	return w.errs, nil
}

func (w *writer) rollback() {
	w.forget()
	_, _ = w.exec("ROLLBACK") // may be rolled back already; the error that led here says more
}

// notice forgets what is remembered if another process has committed since the
// last batch. Nobody else can commit until this transaction ends.
func (w *writer) notice() error {
	stmt, err := w.stmt(foreign)
	if err != nil {
		return err
	}
	var version int64
	if err := stmt.QueryRow().Scan(&version); err != nil {
		return translate(err)
	}
	if version != w.version {
		w.forget()
		w.version = version
	}
	return nil
}

// tx is what one op sees of the transaction.
type tx struct {
	w      *writer
	always bool // see op
	saved  bool // a savepoint is open: this op has written
	bare   bool // this op has written without one
}

// save opens the savepoint before the op's first write, so that an op which only
// reads (a resend, a refusal) costs none.
func (t *tx) save() error {
	if t.saved {
		return nil
	}
	if !t.always {
		if err := t.w.guard.mayGrow(); err != nil {
			return err
		}
	}
	if _, err := t.w.exec("SAVEPOINT op"); err != nil {
		return lost(err)
	}
	t.saved = true
	return nil
}

// finish ends the savepoint: undone if the op failed.
func (t *tx) finish(failure error) error {
	if failure != nil && t.bare && !spoils(failure) {
		return lost(failure)
	}
	if !t.saved || spoils(failure) {
		return failure
	}
	if failure != nil {
		t.w.forget()
		if _, err := t.w.exec("ROLLBACK TO SAVEPOINT op"); err != nil {
			return lost(err)
		}
	}
	if _, err := t.w.exec("RELEASE SAVEPOINT op"); err != nil {
		return lost(err)
	}
	return failure
}

// lost says that the transaction is gone, whatever the statement's own error was.
func lost(err error) error { return &dbError{kind: ErrStorage, text: err.Error(), spoils: true} }

// exec changes rows and returns how many.
func (t *tx) exec(text string, args ...any) (int64, error) {
	if err := t.save(); err != nil {
		return 0, err
	}
	return t.w.exec(text, args...)
}

// query reads rows; each must not use t.
func (t *tx) query(each func(*sql.Rows) error, text string, args ...any) error {
	stmt, err := t.w.stmt(text)
	if err != nil {
		return err
	}
	rows, err := stmt.Query(args...)
	return scan(rows, err, each)
}

// returning is query for a statement that changes rows.
func (t *tx) returning(each func(*sql.Rows) error, text string, args ...any) error {
	if err := t.save(); err != nil {
		return err
	}
	return t.query(each, text, args...)
}
