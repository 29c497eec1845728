// Everything that is SQLite's own: how a connection is opened, its error codes,
// and the statements that PostgreSQL would write otherwise. The statements in
// the other files are meant to run on both (with the placeholders renumbered,
// and BLOB read as BYTEA).

package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// begin takes the write lock at once, so that a transaction which reads first
	// can't fail half-way with "busy".
	begin = "BEGIN IMMEDIATE"
	// nextConversation gives a conversation its number. There is one writer at a time;
	// PostgreSQL takes nextval of a sequence.
	nextConversation = "(SELECT COALESCE(max(num), 0) + 1 FROM conversations)"
	// checkpoint writes back what it can without waiting for anybody.
	checkpoint = "PRAGMA wal_checkpoint(PASSIVE)"
	// busyTimeout is how long a connection waits for another process's lock.
	// Unit: ms. Just under CommitDeadline, so that callers learn of it.
	busyTimeout = "4500"
	// walKeep is how much of the WAL's file stays when it starts over. Unit: bytes.
	// To overwrite costs less than to grow; a large migration must not keep the room.
	walKeep = "67108864"
	// writerCache is the writer's page cache. Unit: KiB.
	writerCache = "16384"
)

// extras are the statements which belong to a migration but can't be written portably.
var extras = map[int][]string{
	1: {
		`CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
		 BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END`,
		`CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
		 BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END`,
	},
}

// dsn names the file as a URI, so that any path works, with the pragmas of every connection.
func dsn(path string, query url.Values) string {
	query.Add("_pragma", "busy_timeout("+busyTimeout+")")
	query.Add("_pragma", "foreign_keys(ON)")
	query.Add("_pragma", "secure_delete(ON)")
	query.Add("_pragma", "temp_store(MEMORY)")      // no text goes to another folder
	if abs, err := filepath.Abs(path); err == nil { // file://data/… would name a host
		path = abs
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// Where the C library has it, SQLite commits with fdatasync, as it does in every
// Linux distribution: a commit doesn't wait for the file's time stamps.
var useFdatasync = sync.OnceFunc(func() { _, _ = sqlite.Fdatasync(true) }) // elsewhere it stays with fsync

// openWriter opens the one connection that writes.
func openWriter(path string) (*sql.DB, error) {
	useFdatasync()
	vfs, err := combineWrites()
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"vfs": {vfs},
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "recursive_triggers(ON)",
			"wal_autocheckpoint(0)", "journal_size_limit(" + walKeep + ")", "cache_size(-" + writerCache + ")"},
	}))
	if err != nil {
		return nil, translate(err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// dataVersion changes with each commit of this connection, and when a transaction
// begins after another connection has committed. It is what PRAGMA data_version
// reads, without a statement.
func dataVersion(conn *sql.Conn) (version uint32, err error) {
	err = conn.Raw(func(c any) error {
		version, err = c.(sqlite.FileControl).FileControlDataVersion("main")
		return err
	})
	return version, translate(err)
}

// openReaders opens a pool of n connections that can't write.
func openReaders(path string, n int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode":    {"ro"},
		"_pragma": {"query_only(ON)"},
	}))
	if err != nil {
		return nil, translate(err)
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// hasTable reports whether a table exists.
func hasTable(ctx context.Context, db *sql.DB, name string) (bool, error) {
	var n int
	err := db.QueryRowContext(ctx,
		"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", name).Scan(&n)
	return n > 0, translate(err)
}

// translateDriver maps SQLite's result codes (https://www.sqlite.org/rescode.html).
// Errors that are the statement's own fault spoil nothing; for all others SQLite
// may already have rolled the transaction back.
func translateDriver(err error) error {
	out := &dbError{kind: ErrStorage, text: err.Error(), spoils: true}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return out
	}
	switch e.Code() & 0xff { // the primary code; the rest is detail
	case sqlite3.SQLITE_CONSTRAINT:
		out.kind, out.spoils = ErrConflict, false
	case sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		out.kind, out.spoils = ErrInvalid, false
	case sqlite3.SQLITE_ERROR:
		out.spoils = false
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		out.kind = ErrBusy
	case sqlite3.SQLITE_FULL:
		out.kind = ErrFull
	case sqlite3.SQLITE_IOERR:
		// A write that finds no room is SQLITE_FULL; only the file with the WAL's index is grown in another way
		// (unixShmMap: one byte written for each page, so that touching the mapping can't fail later). The other
		// details of an I/O error don't say whether room was missing; see explain for what opening meets.
		if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
			out.kind = ErrFull
		}
	case sqlite3.SQLITE_READONLY:
		out.kind = ErrReadOnly
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		out.kind = ErrDamaged
	}
	return out
}
