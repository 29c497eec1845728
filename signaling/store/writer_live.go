// What the writer remembers of the conversations in which people write at the
// moment, so that a message costs no SELECT.

package store

import (
	"database/sql"
	"errors"
	"strings"
)

// liveMax bounds what is remembered. About 500 bytes each.
const liveMax = 8192

// live is a conversation's row as this transaction sees it.
type live struct {
	Conversation
	num int64 // its number in messages
}

// live returns the row of a conversation, remembered or read. Only append changes
// what is remembered, and the row follows with catchUp. Whatever else may change a row makes the
// writer forget: see writer.exec (a statement), transact (another process, a
// rollback). Errors: ErrNotFound.
func (t *tx) live(id string) (*live, error) {
	if c := t.w.live[id]; c != nil {
		return c, nil
	}
	c, err := first(t.query, func(rows *sql.Rows) (*live, error) {
		var num int64
		c, err := scanConversationAnd(rows, &num)
		return &live{c, num}, err
	}, "conversation", "SELECT "+conversationFields+", num FROM conversations WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	if len(t.w.live) >= liveMax {
		t.w.forget()
	}
	t.w.live[id] = c
	return c, nil
}

func (w *writer) forget() { clear(w.live) }

// catchUp writes the last number and time of the conversations which got messages
// since the last time. A message changes no row of conversations: to write one
// costs a third of storing the message, and the number follows from the messages.
// So the row may be behind by a second, or for longer after a crash; whoever reads
// it takes what its messages say. It is caught up before any other change of it.
func (w *writer) catchUp() error {
	t := tx{w: w, always: true}
	for id := range w.behind {
		delete(w.behind, id)
		w.caught = append(w.caught, id)
		c, err := t.live(id)
		if errors.Is(err, ErrNotFound) {
			continue // erased
		}
		if err == nil {
			_, err = w.exec(advance, c.LastSeq, c.LastAt.UnixMilli(), c.num)
		}
		if err != nil {
			return lost(err)
		}
	}
	return nil
}

// undone takes back that rows were caught up, because their transaction, or a part
// of it, was rolled back.
func (w *writer) undone() {
	for _, id := range w.caught {
		w.behind[id] = struct{}{}
	}
	w.caught = w.caught[:0]
}

// catchUpNow is a write of the store's own.
func catchUpNow(w *writer) op {
	return op{always: true, run: func(*tx) error { return w.catchUp() }, done: func(error) {}}
}

// changes tells whether a statement changes rows of a table.
func changes(text string) bool {
	switch verb, _, _ := strings.Cut(text, " "); verb {
	case "INSERT", "UPDATE", "DELETE", "WITH":
		return true
	}
	return false
}

// changesConversations tells whether a statement may change a row that is
// remembered: any that names the table, except a pure INSERT and append's own.
func changesConversations(text string) bool {
	return strings.Contains(text, "conversations") && text != advance &&
		!strings.HasPrefix(text, "SELECT") &&
		(!strings.HasPrefix(text, "INSERT") || strings.Contains(text, "DO UPDATE"))
}
