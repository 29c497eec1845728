// Reading: the pool of read-only connections, and small helpers which the writer
// shares, so that a row is scanned in one place only.

package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// querier runs a SELECT and hands each row to each: tx.query inside a
// transaction, Store.reader outside.
type querier func(each func(*sql.Rows) error, text string, args ...any) error

// reader reads on the pool; ctx interrupts it.
func (s *Store) reader(ctx context.Context) querier {
	return func(each func(*sql.Rows) error, text string, args ...any) error {
		cached, ok := s.stmts.Load(text)
		if !ok {
			stmt, err := s.readDB.PrepareContext(ctx, text)
			if err != nil {
				return translate(err)
			}
			if cached, ok = s.stmts.LoadOrStore(text, stmt); ok {
				_ = stmt.Close() // another goroutine was first
			}
		}
		rows, err := cached.(*sql.Stmt).QueryContext(ctx, args...)
		err = scan(rows, err, each)
		s.noteDamage(err)
		return err
	}
}

func scan(rows *sql.Rows, err error, each func(*sql.Rows) error) error {
	if err != nil {
		return translate(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	for rows.Next() {
		if err := each(rows); err != nil {
			return translate(err)
		}
	}
	return translate(rows.Err())
}

// list scans every row into a T.
func list[T any](q querier, scan func(*sql.Rows) (T, error), text string, args ...any) ([]T, error) {
	var out []T
	err := q(func(rows *sql.Rows) error {
		v, err := scan(rows)
		out = append(out, v)
		return err
	}, text, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// first scans the first row; ErrNotFound, with the name of what was looked for, if there is none.
func first[T any](q querier, scan func(*sql.Rows) (T, error), what, text string, args ...any) (T, error) {
	all, err := list(q, scan, text, args...)
	if err != nil {
		return *new(T), err
	}
	if len(all) == 0 {
		return *new(T), fmt.Errorf("store: %s: %w", what, ErrNotFound)
	}
	return all[0], nil
}

// scanOne scans a row of one column.
func scanOne[T any](rows *sql.Rows) (v T, err error) { return v, rows.Scan(&v) }

// newID makes an unguessable id of 26 letters and digits (130 bits).
func newID() string { return strings.ToLower(rand.Text()) }

// now is the time as the database keeps it.
func (s *Store) now() time.Time { return fromMs(s.clock().UnixMilli()) }

func fromMs(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// fromNull gives the zero time for NULL.
func fromNull(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMs(ms.Int64)
}

// toNull gives NULL for nil.
func toNull(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: true}
}

// textOrNull gives NULL for nil, so that COALESCE keeps what is stored.
func textOrNull(s *string) sql.NullString {
	if s == nil {
		return sql.NullString{}
	}
	return sql.NullString{String: *s, Valid: true}
}
