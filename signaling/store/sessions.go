// Peer sessions: one connection between a customer and the agent who holds the
// claim. They are stored so that a restarted server still knows them.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// SessionState is where a session is. This package moves it only from a state
// that the caller named; which steps are legal is the caller's table.
type SessionState string

// The states of a session; all but Ended are live.
const (
	Requested    SessionState = "requested"
	Connecting   SessionState = "connecting"
	Connected    SessionState = "connected"
	Reconnecting SessionState = "reconnecting"
	Ended        SessionState = "ended"
)

// Session is one row.
type Session struct {
	ID             string
	Conversation   string
	CustomerID     string
	AgentID        string
	CustomerDevice string // key thumbprint; "" until known
	AgentDevice    string // device id; "" until known
	Picture        bool   // with a share; false: direct messages only
	RequestedBy    Kind   // KindCustomer or KindAgent
	State          SessionState
	Path           string // how the peers reach each other, such as "direct" or "relayed"
	Reason         string // why it ended
	CreatedAt      time.Time
	EndedAt        time.Time // zero while live
	RelayUser      string    // TURN credential; both are wiped at the end
	RelaySecret    string
}

// String keeps the relay's secret out of logs.
func (s Session) String() string {
	return fmt.Sprintf("session %s of conversation %s (%s)", s.ID, s.Conversation, s.State)
}

// LogValue keeps the relay's secret out of logs.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

const sessionList = `id, conversation, customer_id, agent_id, customer_device, agent_device, picture,
	requested_by, state, path, reason, created_at, ended_at, relay_user, relay_secret`

const sessionColumns = "SELECT " + sessionList + " FROM sessions "

func scanSession(rows *sql.Rows) (s Session, err error) {
	var created int64
	var ended sql.NullInt64
	var user, secret sql.NullString
	err = rows.Scan(&s.ID, &s.Conversation, &s.CustomerID, &s.AgentID, &s.CustomerDevice, &s.AgentDevice, &s.Picture,
		&s.RequestedBy, &s.State, &s.Path, &s.Reason, &created, &ended, &user, &secret)
	s.CreatedAt, s.EndedAt, s.RelayUser, s.RelaySecret = fromMs(created), fromNull(ended), user.String, secret.String
	return s, err
}

// CreateSession stores a new live session. Used are ID (made if empty),
// Conversation, AgentID, both devices, Picture, RequestedBy, State (Requested if
// empty) and the relay's credential; the rest is filled in.
// Errors: ErrNotFound, ErrNotOwner (AgentID does not hold the claim), ErrClosed,
// ErrConflict (the conversation has a live session, or the id or relay user is
// known), ErrInvalid.
func (s *Store) CreateSession(in Session, done func(Session, error)) error {
	return submit(s, func(t *tx) (Session, error) {
		c, err := conversation(t.query, in.Conversation)
		switch {
		case err != nil:
			return Session{}, err
		case c.State == Closed:
			return Session{}, fmt.Errorf("store: session: %w", ErrClosed)
		case c.State != Claimed || c.ClaimedBy != in.AgentID || in.CustomerID != "" && in.CustomerID != c.CustomerID:
			return Session{}, fmt.Errorf("store: session: %w", ErrNotOwner)
		}
		if in.ID == "" {
			in.ID = newID()
		}
		if in.State == "" {
			in.State = Requested
		}
		if in.State == Ended {
			return Session{}, fmt.Errorf("store: session: %w", ErrInvalid)
		}
		in.CustomerID, in.CreatedAt, in.EndedAt, in.Reason = c.CustomerID, s.now(), time.Time{}, ""
		_, err = t.exec("INSERT INTO sessions ("+sessionList+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, NULL, ?, ?)",
			in.ID, in.Conversation, in.CustomerID, in.AgentID, in.CustomerDevice, in.AgentDevice, flag(in.Picture),
			in.RequestedBy, in.State, in.Path, in.CreatedAt.UnixMilli(),
			sql.NullString{String: in.RelayUser, Valid: in.RelayUser != ""},
			sql.NullString{String: in.RelaySecret, Valid: in.RelaySecret != ""})
		return in, err
	}, done)
}

// SessionUpdate is a step: from one of From to To (which may be among From: the
// fields change then), with the fields that are not nil.
type SessionUpdate struct {
	From           []SessionState
	To             SessionState
	CustomerDevice *string
	AgentDevice    *string
	Picture        *bool
	Path           *string
	Reason         *string
	RelayUser      *string
	RelaySecret    *string
}

// UpdateSession makes the step if the session is in one of the From states: one
// conditional UPDATE. Ended is permanent, and wipes the relay's credential.
// Errors: ErrNotFound, ErrConflict (it is in another state), ErrInvalid.
func (s *Store) UpdateSession(id string, u SessionUpdate, done func(Session, error)) error {
	return submitAlways(s, func(t *tx) (Session, error) {
		if len(u.From) == 0 || u.To == "" || slices.Contains(u.From, Ended) {
			return Session{}, fmt.Errorf("store: session step: %w", ErrInvalid)
		}
		var picture sql.NullInt64
		if u.Picture != nil {
			picture = sql.NullInt64{Int64: flag(*u.Picture), Valid: true}
		}
		args := []any{u.To, textOrNull(u.CustomerDevice), textOrNull(u.AgentDevice), picture,
			textOrNull(u.Path), textOrNull(u.Reason)}
		var rest string
		if u.To == Ended {
			rest = "ended_at = ?, relay_user = NULL, relay_secret = NULL"
			args = append(args, s.now().UnixMilli())
		} else {
			rest = "relay_user = COALESCE(?, relay_user), relay_secret = COALESCE(?, relay_secret)"
			args = append(args, textOrNull(u.RelayUser), textOrNull(u.RelaySecret))
		}
		args = append(args, id)
		for _, from := range u.From {
			args = append(args, from)
		}
		changed, err := list(t.returning, scanSession, `UPDATE sessions SET state = ?,
			customer_device = COALESCE(?, customer_device), agent_device = COALESCE(?, agent_device),
			picture = COALESCE(?, picture), path = COALESCE(?, path), reason = COALESCE(?, reason), `+rest+`
			WHERE id = ? AND state IN (?`+strings.Repeat(", ?", len(u.From)-1)+") RETURNING "+sessionList, args...)
		if err != nil {
			return Session{}, err
		}
		if len(changed) > 0 {
			return changed[0], nil
		}
		is, err := first(t.query, scanSession, "session", sessionColumns+"WHERE id = ?", id)
		if err != nil {
			return Session{}, err
		}
		return Session{}, fmt.Errorf("store: session is %s: %w", is.State, ErrConflict)
	}, done)
}

// Session returns one, live or ended. Errors: ErrNotFound.
func (s *Store) Session(ctx context.Context, id string) (Session, error) {
	return first(s.reader(ctx), scanSession, "session", sessionColumns+"WHERE id = ?", id)
}

// LiveSession returns the conversation's live session. Errors: ErrNotFound.
func (s *Store) LiveSession(ctx context.Context, conversation string) (Session, error) {
	return first(s.reader(ctx), scanSession, "session",
		sessionColumns+"WHERE conversation = ? AND state <> 'ended'", conversation)
}

// LiveSessions returns all that have not ended, oldest first.
func (s *Store) LiveSessions(ctx context.Context) ([]Session, error) {
	return list(s.reader(ctx), scanSession, sessionColumns+"WHERE state <> 'ended' ORDER BY created_at, id")
}

// SessionByRelayUser returns the live session with this TURN user name; the
// relay asks at every authenticated request. Errors: ErrNotFound, also once the
// session has ended.
func (s *Store) SessionByRelayUser(ctx context.Context, user string) (Session, error) {
	return first(s.reader(ctx), scanSession, "session",
		sessionColumns+"WHERE relay_user = ? AND state <> 'ended'", user)
}
