// Claims: leases on conversations. Each step is one conditional UPDATE, so that
// of any number of agents exactly one wins.

package store

import (
	"errors"
	"fmt"
	"time"
)

// unclaim is the one way from claimed back to waiting.
const unclaim = `UPDATE conversations SET state = 'waiting', claimed_by = NULL, claimed_at = NULL, lapses_at = NULL `

// Claim takes a waiting conversation for an agent; "" means the one that waits
// longest. lapsesAt nil: an open connection holds it. A claim of one's own again
// changes nothing but the lapse, to the later of both.
// Errors: *TakenError (ErrTaken), ErrNotFound, ErrClosed, ErrNoneWaiting,
// ErrRevoked or ErrNotFound for the agent.
func (s *Store) Claim(id, agent string, lapsesAt *time.Time, done func(Conversation, error)) error {
	return submit(s, func(t *tx) (Conversation, error) {
		a, err := first(t.query, scanAgent, "agent", agentColumns+"WHERE id = ?", agent)
		if err != nil {
			return Conversation{}, err
		}
		if !a.RevokedAt.IsZero() {
			return Conversation{}, fmt.Errorf("store: agent: %w", ErrRevoked)
		}
		which, args := "id = ?", []any{agent, s.now().UnixMilli(), toNull(lapsesAt), id}
		if id == "" {
			which = "id = (SELECT id FROM conversations WHERE state = 'waiting' ORDER BY waiting_since, id LIMIT 1)"
			args = args[:3]
		}
		won, err := list(t.returning, scanConversation, `UPDATE conversations
			SET state = 'claimed', missed = 0, claimed_by = ?, claimed_at = ?, lapses_at = ?
			WHERE state = 'waiting' AND `+which+" RETURNING "+conversationList, args...)
		if err != nil {
			return Conversation{}, err
		}
		if len(won) > 0 {
			return won[0], nil
		}
		if id == "" {
			return Conversation{}, fmt.Errorf("store: claim: %w", ErrNoneWaiting)
		}
		return t.claimAgain(id, agent, lapsesAt)
	}, done)
}

// claimAgain says why a claim did not win, or prolongs one's own.
func (t *tx) claimAgain(id, agent string, lapsesAt *time.Time) (Conversation, error) {
	c, err := conversation(t.query, id)
	switch {
	case err != nil:
		return Conversation{}, err
	case c.State == Closed:
		return Conversation{}, fmt.Errorf("store: claim: %w", ErrClosed)
	case c.ClaimedBy != agent:
		return Conversation{}, t.taken(c.ClaimedBy)
	case c.LapsesAt == nil || lapsesAt != nil && !lapsesAt.After(*c.LapsesAt):
		return c, nil // held at least that long already
	}
	return t.lapse(id, agent, lapsesAt)
}

// taken makes the error that names the agent who holds the claim.
func (t *tx) taken(agent string) error {
	a, err := first(t.query, scanAgent, "agent", agentColumns+"WHERE id = ?", agent)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("store: claim: %w", &TakenError{AgentID: agent, AgentName: a.Name})
}

func (t *tx) lapse(id, agent string, at *time.Time) (Conversation, error) {
	return t.owned(id, `UPDATE conversations SET lapses_at = ? WHERE id = ? AND state = 'claimed' AND claimed_by = ?`,
		toNull(at), id, agent)
}

// owned runs an UPDATE that only the holder's claim meets, and explains a miss:
// ErrNotFound, ErrClosed, or ErrNotOwner.
func (t *tx) owned(id, text string, args ...any) (Conversation, error) {
	changed, err := list(t.returning, scanConversation, text+" RETURNING "+conversationList, args...)
	if err != nil {
		return Conversation{}, err
	}
	if len(changed) > 0 {
		return changed[0], nil
	}
	c, err := conversation(t.query, id)
	switch {
	case err != nil:
		return Conversation{}, err
	case c.State == Closed:
		return Conversation{}, fmt.Errorf("store: claim: %w", ErrClosed)
	}
	return Conversation{}, fmt.Errorf("store: claim: %w", ErrNotOwner)
}

// Release puts an agent's claim back into the queue, at its old place.
// Errors: ErrNotFound, ErrClosed, ErrNotOwner.
func (s *Store) Release(id, agent string, done func(Conversation, error)) error {
	return submitAlways(s, func(t *tx) (Conversation, error) {
		return t.owned(id, unclaim+"WHERE id = ? AND state = 'claimed' AND claimed_by = ?", id, agent)
	}, done)
}

// SetLapse sets when an agent's claim ends by itself; nil: an open connection
// holds it. Errors as for Release.
func (s *Store) SetLapse(id, agent string, at *time.Time, done func(Conversation, error)) error {
	return submitAlways(s, func(t *tx) (Conversation, error) { return t.lapse(id, agent, at) }, done)
}

// caughtUp counts in open conversations the messages that the last run, if it was
// killed, did not.
const caughtUp = `UPDATE conversations SET last_at = ` + lastAt + `, last_seq = ` + lastSeq + `
	WHERE state <> 'closed' AND ` + lastSeq + ` > last_seq`

// ServerStarted gives the claims that connections of the server's last run held
// RestartLapse to be taken up again. It returns how many there were.
func (s *Store) ServerStarted(now time.Time, done func(int64, error)) error {
	return submitAlways(s, func(t *tx) (int64, error) {
		if _, err := t.exec(caughtUp); err != nil {
			return 0, err
		}
		return t.exec("UPDATE conversations SET lapses_at = ? WHERE state = 'claimed' AND lapses_at IS NULL",
			now.Add(RestartLapse).UnixMilli())
	}, done)
}
