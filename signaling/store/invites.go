// Invites: how an agent's first key becomes known. Single use, short-lived, and
// of the token only the hash is kept.

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Redeemed is what an invite gave.
type Redeemed struct {
	Agent  Agent
	Device Device
}

// hashToken accepts the token as a person may have typed it.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(token))))
	return sum[:]
}

// CreateInvite makes an invite for a new agent. done gets its token (26 letters
// and digits, base32, 130 bits), which is stored nowhere. A ttl of zero means
// InviteTTL, which is also the longest. Errors: ErrInvalid.
func (s *Store) CreateInvite(name string, role Role, ttl time.Duration, done func(token string, err error)) error {
	if ttl <= 0 || ttl > InviteTTL {
		ttl = InviteTTL
	}
	return submit(s, func(t *tx) (string, error) {
		if !role.valid() || strings.TrimSpace(name) == "" {
			return "", fmt.Errorf("store: invite needs a name and a role of admin, lead or agent: %w", ErrInvalid)
		}
		token, now := newID(), s.now()
		_, err := t.exec("INSERT INTO invites (token_hash, name, role, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
			hashToken(token), name, role, now.UnixMilli(), now.Add(ttl).UnixMilli())
		return token, err
	}, done)
}

type invite struct {
	name string
	role Role
	used bool
}

func scanInvite(rows *sql.Rows) (i invite, err error) {
	err = rows.Scan(&i.name, &i.role, &i.used)
	return i, err
}

// RedeemInvite turns an invite into an agent with a first device. Of any number
// of redeemers exactly one wins. A refused one changes nothing.
// Errors: ErrInviteUnknown, ErrInviteUsed, ErrInviteExpired; ErrConflict if the
// key belongs to a device already; ErrInvalid without a key.
func (s *Store) RedeemInvite(token string, pub []byte, label string, done func(Redeemed, error)) error {
	hash, pub := hashToken(token), bytes.Clone(pub)
	return submit(s, func(t *tx) (Redeemed, error) {
		if len(pub) == 0 {
			return Redeemed{}, fmt.Errorf("store: device key: %w", ErrInvalid)
		}
		now := s.now()
		in, err := first(t.query, scanInvite, "invite",
			"SELECT name, role, used_at IS NOT NULL FROM invites WHERE token_hash = ?", hash)
		if errors.Is(err, ErrNotFound) {
			return Redeemed{}, fmt.Errorf("store: %w", ErrInviteUnknown)
		}
		if err != nil {
			return Redeemed{}, err
		}
		if err := t.takeInvite(hash, in, now); err != nil { //guard:T05
			return Redeemed{}, err
		}
		r := Redeemed{
			Agent:  Agent{ID: newID(), Name: in.name, Role: in.role, Generation: 1, CreatedAt: now},
			Device: Device{ID: newID(), Pub: pub, Label: label, CreatedAt: now, LastSeen: now},
		}
		r.Device.AgentID = r.Agent.ID
		ms := now.UnixMilli()
		if _, err := t.exec("INSERT INTO agents (id, name, role, generation, created_at) VALUES (?, ?, ?, 1, ?)",
			r.Agent.ID, in.name, in.role, ms); err != nil {
			return Redeemed{}, err
		}
		if _, err := t.exec("INSERT INTO devices (id, agent_id, pub, label, created_at, last_seen) VALUES (?, ?, ?, ?, ?, ?)",
			r.Device.ID, r.Agent.ID, pub, label, ms, ms); err != nil {
			return Redeemed{}, err
		}
		_, err = t.exec("UPDATE invites SET used_by = ? WHERE token_hash = ?", r.Agent.ID, hash)
		return r, err
	}, done)
}

// takeInvite marks the invite as used, in one conditional statement: whoever
// changes the row has won. A later failure of the same op undoes it.
func (t *tx) takeInvite(hash []byte, in invite, now time.Time) error {
	n, err := t.exec("UPDATE invites SET used_at = ? WHERE token_hash = ? AND used_at IS NULL AND expires_at > ?",
		now.UnixMilli(), hash, now.UnixMilli())
	switch {
	case err != nil:
		return err
	case n == 1:
		return nil
	case in.used:
		return fmt.Errorf("store: %w", ErrInviteUsed)
	}
	return fmt.Errorf("store: %w", ErrInviteExpired)
}

// HasOpenInvite reports whether an invite exists that can still be redeemed.
func (s *Store) HasOpenInvite(ctx context.Context) (bool, error) {
	return s.exists(ctx, "SELECT 1 FROM invites WHERE used_at IS NULL AND expires_at > ? LIMIT 1", s.now().UnixMilli())
}
