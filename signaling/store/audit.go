// The audit log, which is only ever appended to (a trigger refuses the rest),
// and the settings of the service.

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Entry is one line of the audit log. Kinds and what a body may hold: security 8;
// never message text, names of files, screen content or addresses.
type Entry struct {
	ID           int64     // filled in: ascending
	At           time.Time // when it happened; zero: when it is written
	Conversation string    // "" if it concerns none
	Kind         string    // such as "conversation.claim"
	Actor        Actor
	Body         json.RawMessage // a JSON value; nil means {}
}

// Audit appends an entry; the ID, and At where it is zero, are filled in and returned. Errors: ErrInvalid.
func (s *Store) Audit(e Entry, done func(Entry, error)) error {
	if e.Body == nil {
		e.Body = json.RawMessage("{}")
	}
	e.Body = append(json.RawMessage(nil), e.Body...)
	return submitAlways(s, func(t *tx) (Entry, error) {
		if e.Kind == "" || e.Actor.Kind == "" || !json.Valid(e.Body) {
			return Entry{}, fmt.Errorf("store: audit entry: %w", ErrInvalid)
		}
		last, err := first(t.query, scanOne[int64], "audit", lastAudit)
		if err != nil {
			return Entry{}, err
		}
		if e.ID = last + 1; e.At.IsZero() {
			e.At = s.now()
		}
		_, err = t.exec("INSERT INTO audit (id, at, conversation, kind, actor_kind, actor_id, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
			e.ID, e.At.UnixMilli(), e.Conversation, e.Kind, e.Actor.Kind, e.Actor.ID, string(e.Body))
		return e, err
	}, done)
}

// AuditLog returns up to limit entries of a conversation ("" means of all) after
// the one with id after, ascending.
func (s *Store) AuditLog(ctx context.Context, conversation string, after int64, limit int) ([]Entry, error) {
	text, args := auditAll, []any{after, limit}
	if conversation != "" {
		text, args = auditOne, []any{conversation, after, limit}
	}
	return list(s.reader(ctx), func(rows *sql.Rows) (e Entry, err error) {
		var at int64
		var body string
		err = rows.Scan(&e.ID, &at, &e.Conversation, &e.Kind, &e.Actor.Kind, &e.Actor.ID, &body)
		e.At, e.Body = fromMs(at), json.RawMessage(body)
		return e, err
	}, text, args...)
}

const (
	lastAudit = "SELECT COALESCE(max(id), 0) FROM audit"
	auditAll  = "SELECT id, at, conversation, kind, actor_kind, actor_id, body FROM audit WHERE id > ? ORDER BY id LIMIT ?"
	auditOne  = "SELECT id, at, conversation, kind, actor_kind, actor_id, body FROM audit WHERE conversation = ? AND id > ? ORDER BY id LIMIT ?"
)

// Setting returns a value. Errors: ErrNotFound.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	return first(s.reader(ctx), scanOne[string], "setting "+key, "SELECT value FROM settings WHERE key = ?", key)
}

// SetSetting stores a value, over an older one.
func (s *Store) SetSetting(key, value string, done func(struct{}, error)) error {
	return submit(s, func(t *tx) (struct{}, error) {
		_, err := t.exec(`INSERT INTO settings (key, value) VALUES (?, ?)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return struct{}{}, err
	}, done)
}
