// Notes: what agents write to each other about a conversation. The customer
// never sees them.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"
)

const (
	// MaxNote is the longest note. Unit: characters. Source: security 4, as a chat text.
	MaxNote = 4000
	// MaxNotes is how many notes a conversation takes: a page of them, not a second chat.
	MaxNotes = 200
)

// Note is an internal remark.
type Note struct {
	ID           string
	Conversation string
	AgentID      string // who wrote it
	AgentName    string // as it was then; foreign text
	Text         string // foreign text
	At           time.Time
}

// LogValue keeps text and names out of logs.
func (n Note) LogValue() slog.Value { return slog.StringValue("note " + n.ID + " [redacted]") }

const noteColumns = "SELECT id, conversation, agent_id, agent_name, text, at FROM notes "

func scanNote(rows *sql.Rows) (n Note, err error) {
	var at int64
	err = rows.Scan(&n.ID, &n.Conversation, &n.AgentID, &n.AgentName, &n.Text, &at)
	n.At = fromMs(at)
	return n, err
}

// AddNote stores a note; ID (made if empty) and At are filled in. A conversation
// in any state takes notes. The same ID with the same content again changes nothing.
// Errors: ErrNotFound (no such conversation), ErrInvalid (empty, too long, not
// UTF-8), ErrConflict (MaxNotes are there), ErrIDReused.
func (s *Store) AddNote(n Note, done func(Note, error)) error {
	return submit(s, func(t *tx) (Note, error) {
		if err := checkText("note", n.Text, MaxNote); err != nil {
			return Note{}, err
		}
		if n.AgentID == "" {
			return Note{}, fmt.Errorf("store: note without an agent: %w", ErrInvalid)
		}
		if n.ID == "" {
			n.ID = newID()
		}
		before, err := list(t.query, scanNote, noteColumns+"WHERE id = ?", n.ID)
		if err != nil {
			return Note{}, err
		}
		if len(before) > 0 {
			b := before[0]
			if b.Conversation != n.Conversation || b.AgentID != n.AgentID || b.Text != n.Text {
				return Note{}, fmt.Errorf("store: note: %w", ErrIDReused)
			}
			return b, nil
		}
		if _, err := conversation(t.query, n.Conversation); err != nil {
			return Note{}, err
		}
		count, err := first(t.query, scanOne[int64], "notes", "SELECT count(*) FROM notes WHERE conversation = ?", n.Conversation)
		if err != nil {
			return Note{}, err
		}
		if count >= MaxNotes {
			return Note{}, fmt.Errorf("store: the conversation has %d notes, no more are taken: %w", count, ErrConflict)
		}
		n.At = s.now()
		_, err = t.exec("INSERT INTO notes (id, conversation, agent_id, agent_name, text, at) VALUES (?, ?, ?, ?, ?, ?)",
			n.ID, n.Conversation, n.AgentID, n.AgentName, n.Text, n.At.UnixMilli())
		if err != nil {
			return Note{}, err
		}
		return n, t.indexNote(n)
	}, done)
}

// DeleteNote removes a note, from the search too. Errors: ErrNotFound.
func (s *Store) DeleteNote(id string, done func(struct{}, error)) error {
	return submitAlways(s, func(t *tx) (struct{}, error) {
		if err := t.unindexNote(id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, t.must("note", "DELETE FROM notes WHERE id = ?", id)
	}, done)
}

// Notes returns a conversation's notes, oldest first.
func (s *Store) Notes(ctx context.Context, conversation string) ([]Note, error) {
	return list(s.reader(ctx), scanNote, noteColumns+"WHERE conversation = ? ORDER BY at, id", conversation)
}

// checkText refuses what is empty, too long or not UTF-8.
func checkText(what, text string, longest int) error {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return fmt.Errorf("store: %s is not UTF-8: %w", what, ErrInvalid)
	case n == 0:
		return fmt.Errorf("store: empty %s: %w", what, ErrInvalid)
	case n > longest:
		return fmt.Errorf("store: %s of %d characters, at most %d: %w", what, n, longest, ErrInvalid)
	}
	return nil
}
