// Migrations: numbered, embedded, forward only, each applied once.

package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

type migration struct {
	number int
	name   string
	sql    string
}

// steps are the parts of migrations that SQL can't do; each runs after its file.
var steps = map[int]func(context.Context, *sql.Conn) error{
	2: moveMessages,
}

// migrations returns the embedded migrations; they are numbered 1, 2, 3 … without a hole.
func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("store: %w: %v", ErrStorage, err)
	}
	var list []migration
	for i, path := range names {
		name := strings.TrimPrefix(path, "migrations/")
		digits, _, _ := strings.Cut(name, "_")
		number, err := strconv.Atoi(digits)
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("store: %w: migration %s should have number %d", ErrStorage, name, i+1)
		}
		text, err := migrationFiles.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("store: %w: %v", ErrStorage, err)
		}
		list = append(list, migration{number, name, string(text)})
	}
	return list, nil
}

// schemaVersion reads the number of the last migration applied to db; 0 for an empty file.
func schemaVersion(ctx context.Context, db *sql.DB) (int, error) {
	ok, err := hasTable(ctx, db, "migrations")
	if err != nil || !ok {
		return 0, err
	}
	var version int
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM migrations").Scan(&version)
	return version, translate(err)
}

// migrate applies what is missing, in one transaction: all or nothing.
func migrate(ctx context.Context, db *sql.DB, list []migration, now time.Time) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = conn.Close() }() // back into the pool: nothing to report
	exec := func(stmt string, args ...any) error {
		_, err := conn.ExecContext(ctx, stmt, args...)
		return translate(err)
	}
	if err := exec(begin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // err says more
		}
	}()
	if err := exec(`CREATE TABLE IF NOT EXISTS migrations (
		number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`); err != nil {
		return err
	}
	var done int
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM migrations").Scan(&done); err != nil {
		return translate(err)
	}
	for _, m := range list {
		if m.number <= done {
			continue
		}
		for _, stmt := range append([]string{m.sql}, extras[m.number]...) {
			if err := exec(stmt); err != nil {
				return fmt.Errorf("store: migration %s: %w", m.name, err)
			}
		}
		if step := steps[m.number]; step != nil {
			if err := step(ctx, conn); err != nil {
				return fmt.Errorf("store: migration %s: %w", m.name, err)
			}
		}
		if err := exec("INSERT INTO migrations (number, name, applied_at) VALUES (?, ?, ?)",
			m.number, m.name, now.UnixMilli()); err != nil {
			return err
		}
	}
	return exec("COMMIT")
}
