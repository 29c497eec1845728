// The writer's connection: one transaction for a batch, a savepoint for each op.

package store

import (
	"context"
	"database/sql"
	"errors"
)

// writer holds the connection and its prepared statements; Run's goroutine only.
type writer struct {
	path       string
	db         *sql.DB
	conn       *sql.Conn
	guard      *guard
	checkpoint *checkpointer
	stmts      map[string]*statement
	live       map[string]*live    // by conversation id; see writer_live.go
	touched    []*live             // given a message in this transaction
	behind     map[string]struct{} // by conversation id: messages which its row does not count; see catchUp
	caught     []string            // taken from behind in this transaction
	acked      map[string]int64    // by conversation id: the last sequence number acknowledged; see writer_recover.go
	version    uint32              // dataVersion after the last batch
	rows       int64               // changed since the last batch was reported
	suspect    bool                // the connection met an error after which it must be opened anew
	lost       error               // what was acknowledged is gone: nothing is written any more
}

type statement struct {
	*sql.Stmt
	forgets bool // changes rows that may be remembered
	changes bool // changes rows
}

func newWriter(path string, db *sql.DB, g *guard) (*writer, error) {
	w := &writer{path: path, db: db, guard: g, stmts: map[string]*statement{}, live: map[string]*live{}, behind: map[string]struct{}{}, acked: map[string]int64{}}
	var err error
	if w.conn, err = db.Conn(context.Background()); err == nil {
		w.checkpoint, err = startCheckpointer(path)
	}
	if err != nil {
		_ = db.Close() // closes the connection too
		return nil, translate(err)
	}
	return w, nil
}

// close ends the checkpoints first: the last connection to close writes the WAL back.
func (w *writer) close() {
	w.checkpoint.close()
	w.disconnect()
}

func (w *writer) disconnect() {
	for _, stmt := range w.stmts {
		_ = stmt.Close() // nothing to save
	}
	clear(w.stmts)
	_ = w.conn.Close()
	_ = w.db.Close() // what was acknowledged is on disk already
}

// stmt prepares each text once.
func (w *writer) stmt(text string) (*statement, error) {
	stmt, ok := w.stmts[text]
	if !ok {
		prepared, err := w.conn.PrepareContext(context.Background(), text)
		if err != nil {
			return nil, translate(err)
		}
		stmt = &statement{prepared, changesConversations(text), changes(text)}
		w.stmts[text] = stmt
	}
	if stmt.forgets {
		if err := w.catchUp(); err != nil {
			return nil, err
		}
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
	if stmt.changes { // after others SQLite still has the number of the one before
		w.rows += n
	}
	return n, translate(err)
}

// transact runs the batch in one transaction. It returns one error for each op,
// and the one that lost the whole batch. Where an op meets a bad place of the disk,
// each gets a transaction of its own, so that it stops those only who need it.
func (w *writer) transact(batch []op) ([]error, error) {
	errs := make([]error, len(batch))
	in, err := w.try(batch, errs)
	if err == nil {
		return errs, nil
	}
	if in && len(batch) > 1 && (errors.Is(err, ErrDamaged) || errors.Is(err, ErrStorage)) {
		err = nil
		for i := range batch {
			if _, lost := w.try(batch[i:i+1], errs[i:i+1]); lost != nil {
				if errs[i] = lost; !errors.Is(lost, ErrDamaged) {
					err = lost
				}
			}
		}
		return errs, err
	}
	for i := range errs {
		errs[i] = err
	}
	return errs, err
}

// try is one transaction. errs is set where it returns nil; in says that an op failed.
func (w *writer) try(batch []op, errs []error) (in bool, err error) {
	if err := w.recover(); err != nil {
		return false, err
	}
	in, err = w.body(batch, errs)
	if err == nil {
		_, err = w.exec("COMMIT")
	}
	if err != nil {
		w.forget()
		w.suspect = !errors.Is(err, ErrFull) && !errors.Is(err, ErrBusy)
		_, _ = w.exec("ROLLBACK") // SQLite may have done it already
	}
	w.settle(err == nil)
	version, unknown := dataVersion(w.conn)
	if unknown != nil {
		w.forget()
	}
	w.version = version
	return in, err
}

// body runs the ops. An error means that the transaction can't go on; in, that it is an op's.
func (w *writer) body(batch []op, errs []error) (in bool, err error) {
	if _, err := w.exec(begin); err != nil {
		return false, err
	}
	if err := w.notice(); err != nil {
		return false, err
	}
	for i, o := range batch {
		t := tx{w: w, always: o.always, before: len(w.touched)}
		if errs[i] = t.finish(o.run(&t)); spoils(errs[i]) {
			return true, errs[i]
		}
	}
	return false, nil
}

// notice forgets what is remembered if another process has committed since the
// last batch. Nobody else can commit until this transaction ends.
func (w *writer) notice() error {
	version, err := dataVersion(w.conn)
	if err != nil || version != w.version {
		w.forget()
	}
	return err
}

// tx is what one op sees of the transaction.
type tx struct {
	w      *writer
	always bool // see op
	saved  bool // a savepoint is open: this op has written
	bare   bool // this op has written without one
	before int  // length of touched at its start
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
		t.w.undone()
		t.w.touched = t.w.touched[:min(t.before, len(t.w.touched))]
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
