// What the writer remembers of the conversations in which people write at the
// moment, so that a message costs no SELECT.

package store

import (
	"database/sql"
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
// what is remembered, beside the row. Whatever else may change a row makes the
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
	}, "conversation", "SELECT "+conversationList+", num FROM conversations WHERE id = ?", id)
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
