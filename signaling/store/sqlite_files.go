// What is SQLite's own about files: copying one while it is written to, emptying
// the write-ahead log, and looking for damage.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"time"
)

// copyInto writes a copy of the file from into an empty one. VACUUM INTO reads in one
// transaction, which holds up no writer, and writes no page that was deleted.
func copyInto(ctx context.Context, from, to string) error {
	db, err := sql.Open("sqlite", dsn(from, url.Values{"mode": {"ro"}}))
	if err != nil {
		return translate(err)
	}
	defer func() { _ = db.Close() }() // read only
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return translate(err)
}

// scrub empties the write-ahead log, so that no page from before is left in it.
// It tries for up to patience: a reader that holds such a page can't be hurried.
// The lock that keeps the writer out is held for one try only, which waits 50 ms
// at most. Errors: ErrRemains, and others of the disk.
func (s *Store) scrub(ctx context.Context, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; {
		err := emptyLog(ctx, s.path)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("store: %w in the write-ahead log: another program reads them (a backup, a check)", ErrRemains)
		}
		if err := sleep(ctx, 10*time.Millisecond+rand.N(40*time.Millisecond)); err != nil {
			return err
		}
	}
}

// emptyLog copies the write-ahead log into the file and cuts it to nothing.
// Errors: ErrBusy while others read or write.
func emptyLog(ctx context.Context, path string) error {
	db, err := openWriter(path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // wrote nothing of its own
	if _, err := db.ExecContext(ctx, "PRAGMA busy_timeout = 50"); err != nil {
		return translate(err)
	}
	var busy, log, copied int64
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &copied); err != nil {
		return translate(err)
	}
	if busy != 0 {
		return fmt.Errorf("store: write-ahead log: %w", ErrBusy)
	}
	return nil
}

// settle empties the log into the file and keeps everybody else out until release
// is called. SQLite lets only the one connection there is do so. It tries for up to
// patience. Errors: ErrBusy (others have it open), and those of the disk.
func settle(ctx context.Context, path string, patience time.Duration) (release func(), err error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode": {"rw"}, "_pragma": {"locking_mode(EXCLUSIVE)", "synchronous(FULL)", "wal_autocheckpoint(0)"},
	}))
	if err != nil {
		return nil, translate(err)
	}
	db.SetMaxOpenConns(1)               // which the lock is kept by
	release = func() { _ = db.Close() } // wrote nothing of its own
	try := func() error {
		var busy, log, copied int64
		err := translate(db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &copied))
		if err == nil && busy != 0 {
			err = fmt.Errorf("store: write-ahead log: %w", ErrBusy)
		}
		return err
	}
	if _, err = db.ExecContext(ctx, "PRAGMA busy_timeout = 50"); err != nil {
		err = translate(err)
	}
	for deadline := time.Now().Add(patience); err == nil; {
		if err = try(); !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
			break
		}
		err = sleep(ctx, 10*time.Millisecond)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// structure asks SQLite for damage: pages, indexes, constraints, and the search
// index against what it was made of. Its sentences name tables and rows, never
// contents. At most limit of them.
func structure(ctx context.Context, db *sql.DB, limit int) ([]string, error) {
	var found []string
	err := eachRow(ctx, db, func(rows *sql.Rows) error {
		text, err := scanOne[string](rows)
		if text != "ok" {
			found = append(found, text)
		}
		return err
	}, fmt.Sprintf("PRAGMA integrity_check(%d)", limit))
	if err != nil {
		return found, err
	}
	err = eachRow(ctx, db, func(rows *sql.Rows) error {
		var table, parent string
		var row, key sql.NullInt64
		err := rows.Scan(&table, &row, &parent, &key)
		if len(found) < limit {
			found = append(found, fmt.Sprintf("row %d of table %s has no row in %s", row.Int64, table, parent))
		}
		return err
	}, "PRAGMA foreign_key_check")
	return found, err
}

func eachRow(ctx context.Context, db *sql.DB, each func(*sql.Rows) error, text string, args ...any) error {
	rows, err := db.QueryContext(ctx, text, args...)
	return scan(rows, err, each)
}

// openCopy opens a file that nobody writes to, such as a backup, and never makes another beside it.
func openCopy(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, folderError("%s can't be read (%v)", path, reason(err))
	}
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode": {"ro"}, "immutable": {"1"}, "_pragma": {"query_only(ON)"},
	}))
	if err != nil {
		return nil, translate(err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}
