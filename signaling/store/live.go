// What a server reads at its start, in three statements however many
// conversations are open.

package store

import (
	"context"
	"database/sql"
)

// Overview is a conversation with what is shown about it in a list.
type Overview struct {
	Conversation
	Marks Marks
	Last  Message // the latest; its Seq is 0 if there is none
}

// Overviews returns every conversation that is not closed, in no order.
func (s *Store) Overviews(ctx context.Context) ([]Overview, error) {
	q := s.reader(ctx)
	rows, err := list(q, scanConversation, conversationColumns+"WHERE state <> 'closed'")
	if err != nil {
		return nil, err
	}
	out := make([]Overview, len(rows))
	at := make(map[string]*Overview, len(rows)) // what was opened since is not in it
	for i, row := range rows {
		out[i].Conversation = row
		at[row.ID] = &out[i]
	}
	err = q(func(rows *sql.Rows) error {
		var id string
		var m sidedMark
		err := rows.Scan(&id, &m.side, &m.Received, &m.Read)
		if c := at[id]; c != nil && m.side == KindCustomer {
			c.Marks.Customer = m.Mark
		} else if c != nil {
			c.Marks.Agent = m.Mark
		}
		return err
	}, `SELECT conversation, side, received, read FROM marks
		WHERE conversation IN (SELECT id FROM conversations WHERE state <> 'closed')`)
	if err != nil {
		return nil, err
	}
	err = q(func(rows *sql.Rows) error {
		var m Message
		var ms, sum int64
		err := rows.Scan(&m.Conversation, &m.Seq, &m.ID, &m.SenderKind, &m.SenderID, &m.SenderName, &m.Text, &ms, &sum)
		m.At = fromMs(ms)
		c := at[m.Conversation]
		switch {
		case c == nil:
		case err != nil || m.sum() != sum:
			c.Last = Message{Conversation: c.ID, Seq: c.LastSeq, At: c.LastAt, Damaged: true}
		default:
			c.Last = m
		}
		return nil // a damaged row must not keep the server from starting
	}, `SELECT c.id, m.seq, m.id, m.sender_kind, m.sender_id, m.sender_name, m.text, m.at, m.sum
		FROM conversations AS c JOIN messages AS m ON m.conversation_num = c.num
			AND m.seq = (SELECT max(seq) FROM messages WHERE conversation_num = c.num)
		WHERE c.state <> 'closed'`)
	return out, err
}
