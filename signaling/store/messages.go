// Messages: durable, ordered, each stored once however often it is sent; and how
// far each side has received and read.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"
)

// Message is one row.
type Message struct {
	Conversation string
	Seq          int64  // dense in the conversation, from 1
	ID           string // the client's own
	SenderKind   Kind
	SenderID     string // customer id or agent id; "" for the system
	SenderName   string // as it was when it was sent; foreign text
	Text         string // foreign text
	At           time.Time
	Damaged      bool // the row is not what was stored: Text and SenderName are empty, and the caller says so
}

// LogValue keeps text and names out of logs.
func (m Message) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("message %d of conversation %s [redacted]", m.Seq, m.Conversation))
}

// Append is a message to be stored.
type Append struct {
	Conversation string
	ID           string // required; unique for (conversation, sender)
	SenderKind   Kind
	SenderID     string
	SenderName   string
	Text         string
}

// LogValue keeps text and names out of logs.
func (m Append) LogValue() slog.Value {
	return slog.StringValue("message for conversation " + m.Conversation + " [redacted]")
}

// Appended is the acknowledgement.
type Appended struct {
	Seq       int64
	At        time.Time
	Duplicate bool // it was stored before; Seq and At are those of then
	Reopened  bool // the conversation was closed and waits again
}

// Append stores a message and gives it the next sequence number, in one
// transaction with every check:
//
//   - Sent before by this sender with this id and text: the first
//     acknowledgement again, for ever, whatever has become of the conversation.
//   - A customer writes into their own conversation only (ErrNotOwner). A closed
//     one is reopened within ReopenFor, unless another is open; else ErrClosed.
//   - An agent must hold the claim (ErrNotOwner); ErrClosed.
//   - The system writes anywhere, and doesn't count as a sign of life.
//
// Further errors: ErrNotFound, ErrIDReused, ErrInvalid.
func (s *Store) Append(m Append, done func(Appended, error)) error {
	return submitOp(s, opSize+len(m.Text), false, func(t *tx) (Appended, error) { return t.append(m, s.now()) }, done)
}

func (t *tx) append(m Append, now time.Time) (Appended, error) {
	if m.ID == "" {
		return Appended{}, fmt.Errorf("store: message without an id: %w", ErrInvalid)
	}
	c, err := t.live(m.Conversation)
	if err != nil {
		return Appended{}, err
	}
	key := once(m.SenderKind, m.SenderID, m.ID)
	reopen, refusal := t.mayAppend(c.Conversation, m, now)
	if refusal == nil && !t.always {
		refusal = t.w.guard.mayGrow()
	}
	if reopen || refusal != nil { // only what is new is refused, and only what is new reopens
		if before, stored, err := t.stored(c, m, key); stored || err != nil {
			return before, err
		}
		if refusal != nil {
			return Appended{}, refusal
		}
		if err := t.reopen(c, now); err != nil {
			return Appended{}, err
		}
	}
	t.bare = !t.saved
	row := Message{m.Conversation, c.LastSeq + 1, m.ID, m.SenderKind, m.SenderID, m.SenderName, m.Text, now, false}
	n, err := t.w.exec(insertMessage, row.args(c.num, key)...)
	if err != nil || n == 0 {
		t.bare = false // nothing is written
	}
	if err != nil {
		return Appended{}, err
	}
	if n == 0 { // the unique key is there
		before, stored, err := t.stored(c, m, key)
		if err == nil && !stored {
			err = &dbError{kind: ErrDamaged, text: "a message was refused as known but can't be found", spoils: true}
		}
		return before, err
	}
	last := now
	if m.SenderKind == KindSystem {
		last = c.LastAt
	}
	t.w.behind[c.ID] = struct{}{}
	c.LastSeq, c.LastAt = row.Seq, last
	t.w.touched = append(t.w.touched, c)
	return Appended{Seq: row.Seq, At: now, Reopened: reopen}, nil
}

// insertMessage stores a new message. A known one (conversation, sender, id)
// changes no row. It needs no savepoint: it is one statement.
const insertMessage = `INSERT INTO messages (conversation_num, seq, at, sum, once, id, sender_kind, sender_id, sender_name, text)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (conversation_num, once) DO NOTHING`

const advance = "UPDATE conversations SET last_seq = ?, last_at = ? WHERE num = ?"

func (m *Message) args(num int64, key []byte) []any {
	return []any{num, m.Seq, m.At.UnixMilli(), m.sum(), key, m.ID, string(m.SenderKind), m.SenderID, m.SenderName, m.Text}
}

// stored finds the message as it was stored before, and what it was answered then.
func (t *tx) stored(c *live, m Append, key []byte) (Appended, bool, error) {
	before, err := list(t.query, scanMessage(m.Conversation), messageColumns+"WHERE conversation_num = ? AND once = ?", c.num, key)
	if err != nil || len(before) == 0 {
		return Appended{}, false, err
	}
	if b := before[0]; !b.Damaged && (b.Text != m.Text || b.ID != m.ID) {
		return Appended{}, true, fmt.Errorf("store: message: %w", ErrIDReused)
	}
	return Appended{Seq: before[0].Seq, At: before[0].At, Duplicate: true}, true, nil
}

// reopen puts a closed conversation back into the queue.
func (t *tx) reopen(c *live, now time.Time) error {
	_, err := t.exec(`UPDATE conversations SET state = 'waiting', closed_at = NULL, waiting_since = ?
		WHERE id = ?`, now.UnixMilli(), c.ID)
	return err
}

// mayAppend checks the sender against the conversation as it is now.
func (t *tx) mayAppend(c Conversation, m Append, now time.Time) (reopen bool, err error) {
	switch m.SenderKind {
	case KindSystem:
		return false, nil
	case KindAgent:
		switch {
		case c.State == Closed:
			return false, fmt.Errorf("store: message: %w", ErrClosed)
		case c.ClaimedBy != m.SenderID:
			return false, fmt.Errorf("store: message: %w", ErrNotOwner)
		}
		return false, nil
	case KindCustomer:
		if c.CustomerID != m.SenderID {
			return false, fmt.Errorf("store: message: %w", ErrNotOwner)
		}
		if c.State != Closed {
			return false, nil
		}
		open, err := list(t.query, scanOne[string],
			"SELECT id FROM conversations WHERE customer_id = ? AND state <> 'closed'", c.CustomerID)
		if err != nil {
			return false, err
		}
		if len(open) > 0 || c.ClosedAt.Before(now.Add(-ReopenFor)) {
			return false, fmt.Errorf("store: message: %w", ErrClosed)
		}
		return true, nil
	}
	return false, fmt.Errorf("store: message of %q: %w", m.SenderKind, ErrInvalid)
}

const messageColumns = "SELECT seq, id, sender_kind, sender_id, sender_name, text, at, sum FROM messages "

// scanMessage reads a row of a conversation and compares it with its checksum.
func scanMessage(conversation string) func(*sql.Rows) (Message, error) {
	return func(rows *sql.Rows) (Message, error) {
		m := Message{Conversation: conversation}
		var at, sum int64
		err := rows.Scan(&m.Seq, &m.ID, &m.SenderKind, &m.SenderID, &m.SenderName, &m.Text, &at, &sum)
		m.At = fromMs(at)
		if err != nil || m.sum() != sum {
			return m.damaged(rows)
		}
		return m, nil
	}
}

// damaged leaves of a row only the place: what else it says may be wrong.
func (m Message) damaged(rows *sql.Rows) (Message, error) {
	var seq any
	rest := make([]sql.RawBytes, 7)
	err := rows.Scan(&seq, &rest[0], &rest[1], &rest[2], &rest[3], &rest[4], &rest[5], &rest[6])
	if n, ok := seq.(int64); ok {
		m.Seq = n
	}
	return Message{Conversation: m.Conversation, Seq: m.Seq, At: m.At, Damaged: true}, err
}

// Newest, as Range.Before, asks for the last messages.
const Newest int64 = math.MaxInt64

// MaxMessages is how many messages one read gives at most: a full one of short
// texts stays near 100 KiB.
const MaxMessages = 500

// Range says which messages. All bounds are exclusive.
type Range struct {
	After  int64 // sequence number; zero: from the first
	Before int64 // sequence number; zero: no bound, and the first Limit are given
	Limit  int   // zero or above MaxMessages: MaxMessages
}

const inConversation = "WHERE conversation_num = (SELECT num FROM conversations WHERE id = ?) "

// Messages returns messages in ascending order: the first Limit after After, or,
// with Before, the last Limit before it.
func (s *Store) Messages(ctx context.Context, conversation string, r Range) ([]Message, error) {
	if r.Limit <= 0 || r.Limit > MaxMessages {
		r.Limit = MaxMessages
	}
	text, args := messageColumns+inConversation+"AND seq > ? ORDER BY seq LIMIT ?", []any{conversation, r.After, r.Limit}
	if r.Before > 0 {
		text = messageColumns + inConversation + "AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?"
		args = []any{conversation, r.After, r.Before, r.Limit}
	}
	out, err := list(s.reader(ctx), scanMessage(conversation), text, args...)
	if r.Before > 0 {
		slices.Reverse(out)
	}
	for _, m := range out {
		if m.Damaged {
			s.noteDamage(fmt.Errorf("store: %w: message %d of conversation %s does not match its checksum; restore a backup", ErrDamaged, m.Seq, conversation))
		}
	}
	return out, err
}

// Mark is how far one side is, as sequence numbers; Read ≤ Received.
type Mark struct{ Received, Read int64 }

// Marks are both sides of a conversation.
type Marks struct{ Customer, Agent Mark }

func scanMark(rows *sql.Rows) (m sidedMark, err error) {
	return m, rows.Scan(&m.side, &m.Received, &m.Read)
}

type sidedMark struct {
	side Kind
	Mark
}

// Mark moves one side's marks forward, never back and never past the last
// message, and returns them as they are then. What was read was received.
// side is KindCustomer or KindAgent. Errors: ErrNotFound, ErrInvalid.
func (s *Store) Mark(conv string, side Kind, m Mark, done func(Mark, error)) error {
	return submit(s, func(t *tx) (Mark, error) {
		if side != KindCustomer && side != KindAgent {
			return Mark{}, fmt.Errorf("store: mark of %q: %w", side, ErrInvalid)
		}
		c, err := t.live(conv)
		if err != nil {
			return Mark{}, err
		}
		now, err := list(t.query, scanMark, markColumns+"AND side = ?", conv, side)
		if err != nil {
			return Mark{}, err
		}
		var old Mark
		if len(now) > 0 {
			old = now[0].Mark
		}
		next := Mark{Read: max(old.Read, min(m.Read, c.LastSeq))}
		next.Received = max(old.Received, next.Read, min(m.Received, c.LastSeq))
		if next == old {
			return old, nil
		}
		_, err = t.exec(`INSERT INTO marks (conversation, side, received, read) VALUES (?, ?, ?, ?)
			ON CONFLICT (conversation, side) DO UPDATE SET received = excluded.received, read = excluded.read`,
			conv, side, next.Received, next.Read)
		return next, err
	}, done)
}

const markColumns = "SELECT side, received, read FROM marks WHERE conversation = ? "

// Marks returns both sides' marks; zero where nothing was marked.
func (s *Store) Marks(ctx context.Context, conversation string) (out Marks, err error) {
	rows, err := list(s.reader(ctx), scanMark, markColumns, conversation)
	for _, m := range rows {
		if m.side == KindCustomer {
			out.Customer = m.Mark
		} else {
			out.Agent = m.Mark
		}
	}
	return out, err
}
