// Conversations: one customer's thread with the team, from waiting to closed.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// State is where a conversation is: waiting → claimed → closed.
type State string

// The states of a conversation.
const (
	Waiting State = "waiting"
	Claimed State = "claimed"
	Closed  State = "closed"
)

// Conversation is one row; times are UTC with whole milliseconds.
type Conversation struct {
	ID           string
	CustomerID   string
	State        State
	Missed       bool // waiting, and nobody was on duty
	CreatedAt    time.Time
	WaitingSince time.Time // kept over a claim: a released conversation has its place again
	ClosedAt     time.Time // zero unless closed
	LastAt       time.Time // last message of a customer or an agent, else CreatedAt
	LastSeq      int64     // of the last message; 0: none yet
	ClaimedBy    string    // agent id; "" unless claimed
	ClaimedAt    time.Time // zero unless claimed
	// LapsesAt is when the claim ends by itself; nil: an open connection holds it
	// (or nobody claimed it).
	LapsesAt *time.Time
}

const conversationList = `id, customer_id, state, missed, created_at, waiting_since, closed_at,
	last_at, last_seq, claimed_by, claimed_at, lapses_at`

// lastSeq and lastAt are a conversation's, whatever its row says: the row may be
// behind its messages, see writer.catchUp.
const (
	lastSeq = `COALESCE((SELECT max(m.seq) FROM messages AS m
		WHERE m.conversation_num = conversations.num AND m.seq > conversations.last_seq), last_seq)`
	lastAt = `COALESCE((SELECT max(m.at) FROM messages AS m
		WHERE m.conversation_num = conversations.num AND m.seq > conversations.last_seq AND m.sender_kind <> 'system'), last_at)`
)

// conversationFields are those of conversationList, for a SELECT: a statement that
// changes the row brings it up to date first.
const conversationFields = `id, customer_id, state, missed, created_at, waiting_since, closed_at,
	` + lastAt + ", " + lastSeq + ", claimed_by, claimed_at, lapses_at"

const conversationColumns = "SELECT " + conversationFields + " FROM conversations "

func scanConversation(rows *sql.Rows) (Conversation, error) { return scanConversationAnd(rows) }

// scanConversationAnd scans further columns after those of conversationList.
func scanConversationAnd(rows *sql.Rows, more ...any) (c Conversation, err error) {
	var created, waiting, last int64
	var closed, claimed, lapses sql.NullInt64
	var by sql.NullString
	err = rows.Scan(append([]any{&c.ID, &c.CustomerID, &c.State, &c.Missed, &created, &waiting, &closed,
		&last, &c.LastSeq, &by, &claimed, &lapses}, more...)...)
	c.CreatedAt, c.WaitingSince, c.LastAt = fromMs(created), fromMs(waiting), fromMs(last)
	c.ClosedAt, c.ClaimedAt, c.ClaimedBy = fromNull(closed), fromNull(claimed), by.String
	if lapses.Valid {
		t := fromMs(lapses.Int64)
		c.LapsesAt = &t
	}
	return c, err
}

func conversation(q querier, id string) (Conversation, error) {
	return first(q, scanConversation, "conversation", conversationColumns+"WHERE id = ?", id)
}

// current finds what a customer comes back to: the open conversation, else the
// last one that a message would still reopen.
func current(q querier, customer string, now time.Time) ([]Conversation, error) {
	return list(q, scanConversation, conversationColumns+`WHERE customer_id = ?
		AND (state <> 'closed' OR closed_at >= ?)
		ORDER BY CASE WHEN state = 'closed' THEN 1 ELSE 0 END, closed_at DESC, created_at DESC LIMIT 1`,
		customer, now.Add(-ReopenFor).UnixMilli())
}

// Opened is the result of OpenConversation.
type Opened struct {
	Conversation
	Created bool // it is new and waiting
}

// OpenConversation returns the customer's open conversation; else the last one
// closed within ReopenFor, unchanged; else a new one that waits.
// Errors: ErrNotFound for an unknown customer; ErrLowSpace or ErrReadOnly where a
// new one would be needed.
func (s *Store) OpenConversation(customer string, done func(Opened, error)) error {
	return submit(s, func(t *tx) (Opened, error) {
		now := s.now()
		known, err := current(t.query, customer, now)
		if err != nil {
			return Opened{}, err
		}
		if len(known) > 0 {
			return Opened{Conversation: known[0]}, nil
		}
		if _, err := first(t.query, scanCustomer, "customer", customerColumns+"WHERE id = ?", customer); err != nil {
			return Opened{}, err
		}
		if err := s.guard.mayOpen(); err != nil {
			return Opened{}, err
		}
		c := Conversation{ID: newID(), CustomerID: customer, State: Waiting, CreatedAt: now, WaitingSince: now, LastAt: now}
		ms := now.UnixMilli()
		_, err = t.exec(`INSERT INTO conversations (num, id, customer_id, state, created_at, waiting_since, last_at)
			VALUES (`+nextConversation+`, ?, ?, 'waiting', ?, ?, ?)`, c.ID, customer, ms, ms, ms)
		return Opened{c, true}, err
	}, done)
}

// SetMissed flags a waiting conversation as missed, or takes the flag back. A
// claim takes it back too. Errors: ErrNotFound if it doesn't exist or wait.
func (s *Store) SetMissed(id string, missed bool, done func(struct{}, error)) error {
	return submit(s, func(t *tx) (struct{}, error) {
		return struct{}{}, t.must("waiting conversation",
			"UPDATE conversations SET missed = ? WHERE id = ? AND state = 'waiting'", flag(missed), id)
	}, done)
}

// flag is how a bool is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Conversation returns one. Errors: ErrNotFound.
func (s *Store) Conversation(ctx context.Context, id string) (Conversation, error) {
	return conversation(s.reader(ctx), id)
}

// CurrentConversation returns what OpenConversation would, but makes nothing.
// Errors: ErrNotFound.
func (s *Store) CurrentConversation(ctx context.Context, customer string) (Conversation, error) {
	known, err := current(s.reader(ctx), customer, s.now())
	if err != nil {
		return Conversation{}, err
	}
	if len(known) == 0 {
		return Conversation{}, fmt.Errorf("store: conversation: %w", ErrNotFound)
	}
	return known[0], nil
}

// Recent returns up to limit conversations in any state, the one with the latest
// message first, as it was at most a second ago.
func (s *Store) Recent(ctx context.Context, limit int) ([]Conversation, error) {
	return list(s.reader(ctx), scanConversation, conversationColumns+"ORDER BY last_at DESC, id LIMIT ?", limit)
}

// Kind is who acts: a side, or the server itself.
type Kind string

// The kinds of actors and senders.
const (
	KindCustomer Kind = "customer"
	KindAgent    Kind = "agent"
	KindSystem   Kind = "system"
)

// Actor is who does something.
type Actor struct {
	Kind Kind
	ID   string // customer id or agent id; "" for the system
}

// CloseConversation ends a conversation; a claim on it ends too. A customer may
// end their own, an agent one that waits or that they hold, the system any.
// Errors: ErrNotFound, ErrClosed, ErrNotOwner.
func (s *Store) CloseConversation(id string, by Actor, done func(Conversation, error)) error {
	return submitAlways(s, func(t *tx) (Conversation, error) {
		c, err := conversation(t.query, id)
		if err != nil {
			return Conversation{}, err
		}
		switch {
		case c.State == Closed:
			return Conversation{}, fmt.Errorf("store: conversation: %w", ErrClosed)
		case by.Kind == KindCustomer && c.CustomerID != by.ID:
			return Conversation{}, fmt.Errorf("store: conversation: %w", ErrNotOwner)
		case by.Kind == KindAgent && c.State == Claimed && c.ClaimedBy != by.ID:
			return Conversation{}, fmt.Errorf("store: conversation: %w", ErrNotOwner)
		}
		return first(t.returning, scanConversation, "conversation",
			closing+"WHERE id = ? AND state <> 'closed' RETURNING "+conversationList, s.now().UnixMilli(), id)
	}, done)
}

// closing is the one way into the closed state; its parameter is the time. A closed
// row is never behind: its messages may be removed, and its numbers must go on.
const closing = `UPDATE conversations SET state = 'closed', closed_at = ?, missed = 0, last_seq = ` + lastSeq + `,
	claimed_by = NULL, claimed_at = NULL, lapses_at = NULL `

// CloseSilent closes what is claimed and had no message, and no new claim, for
// SilentFor before now. It returns the rows as they are then.
func (s *Store) CloseSilent(now time.Time, done func([]Conversation, error)) error {
	return submitAlways(s, func(t *tx) ([]Conversation, error) {
		limit := now.Add(-SilentFor).UnixMilli()
		return list(t.returning, scanConversation, closing+silent+"RETURNING "+conversationList, now.UnixMilli(), limit, limit)
	}, done)
}

// silent goes through what is claimed: the sum keeps the index of last_at out, in
// which everything that is old would be met.
const silent = "WHERE state = 'claimed' AND last_at + 0 <= ? AND claimed_at <= ? "
