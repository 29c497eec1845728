// The part of migration 2 that SQL can't do: hashes and checksums of what is stored.

package store

import (
	"context"
	"database/sql"
	"fmt"
)

// moveMessages fills the new table from the one of migration 1, page by page, and
// drops the old one.
func moveMessages(ctx context.Context, conn *sql.Conn) error {
	insert, err := conn.PrepareContext(ctx, insertMessage)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = insert.Close() }() // nothing to save
	type row struct {
		Message
		num int64
	}
	const page = 1000
	q := func(each func(*sql.Rows) error, text string, args ...any) error {
		rows, err := conn.QueryContext(ctx, text, args...)
		return scan(rows, err, each)
	}
	var conv string
	var seq int64
	for {
		rows, err := list(q, func(rows *sql.Rows) (r row, err error) {
			var at int64
			err = rows.Scan(&r.num, &r.Conversation, &r.Seq, &r.ID, &r.SenderKind, &r.SenderID, &r.SenderName, &r.Text, &at)
			r.At = fromMs(at)
			return r, err
		}, `SELECT c.num, m.conversation, m.seq, m.id, m.sender_kind, m.sender_id, m.sender_name, m.text, m.at
			FROM messages_first m JOIN conversations c ON c.id = m.conversation
			WHERE (m.conversation, m.seq) > (?, ?) ORDER BY m.conversation, m.seq LIMIT ?`, conv, seq, page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			result, err := insert.ExecContext(ctx, r.args(r.num, once(r.SenderKind, r.SenderID, r.ID))...)
			if err != nil {
				return translate(err)
			}
			if n, err := result.RowsAffected(); err != nil || n != 1 {
				return fmt.Errorf("store: %w: message %d of conversation %s is there twice", ErrDamaged, r.Seq, r.Conversation)
			}
		}
		if len(rows) < page {
			break
		}
		last := rows[len(rows)-1]
		conv, seq = last.Conversation, last.Seq
	}
	_, err = conn.ExecContext(ctx, "DROP TABLE messages_first")
	return translate(err)
}
