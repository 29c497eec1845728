// The two sides: customers known by their key, agents and their devices.

package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Customer is known by the public key that their browser or client holds.
type Customer struct {
	ID         string
	Thumbprint string // of the key, unique
	Kind       string // of the key, such as "p256" or "ed25519"
	Pub        []byte
	Generation int // grows when the identity is revoked
	CreatedAt  time.Time
	SeenAt     time.Time // looked up last, by up to seenEvery too early
}

// seenEvery is how long a customer's sight is not noted again: a write a day, and
// far less than retention's least.
const seenEvery = 24 * time.Hour

// Role is what an agent may do: agent ⊂ lead ⊂ admin.
type Role string

// The roles.
const (
	RoleAgent Role = "agent"
	RoleLead  Role = "lead"
	RoleAdmin Role = "admin"
)

func (r Role) valid() bool { return r == RoleAgent || r == RoleLead || r == RoleAdmin }

// Agent is a member of the team.
type Agent struct {
	ID         string
	Name       string
	Role       Role
	Generation int // grows when the agent is revoked
	CreatedAt  time.Time
	RevokedAt  time.Time // zero: not revoked
}

// Device is one key of an agent, on one machine.
type Device struct {
	ID        string
	AgentID   string
	Pub       []byte
	Label     string
	CreatedAt time.Time
	LastSeen  time.Time
	RevokedAt time.Time // zero: not revoked
}

const customerColumns = "SELECT id, thumbprint, kind, pub, generation, created_at, seen_at FROM customers "

func scanCustomer(rows *sql.Rows) (c Customer, err error) {
	var created, seen int64
	err = rows.Scan(&c.ID, &c.Thumbprint, &c.Kind, &c.Pub, &c.Generation, &created, &seen)
	c.CreatedAt, c.SeenAt = fromMs(created), fromMs(seen)
	return c, err
}

// EnsureCustomer returns the customer with this key, made at its first use.
// Errors: ErrConflict if the thumbprint is known with another key; ErrLowSpace or
// ErrReadOnly if it is unknown and there is no room.
func (s *Store) EnsureCustomer(thumbprint, kind string, pub []byte, done func(Customer, error)) error {
	pub = bytes.Clone(pub)
	return submit(s, func(t *tx) (Customer, error) {
		known, err := list(t.query, scanCustomer, customerColumns+"WHERE thumbprint = ?", thumbprint)
		if err != nil {
			return Customer{}, err
		}
		if len(known) > 0 {
			if known[0].Kind != kind || !bytes.Equal(known[0].Pub, pub) {
				return Customer{}, fmt.Errorf("store: customer key: %w", ErrConflict)
			}
			return known[0], nil
		}
		if thumbprint == "" || len(pub) == 0 {
			return Customer{}, fmt.Errorf("store: customer key: %w", ErrInvalid)
		}
		if err := s.guard.mayOpen(); err != nil {
			return Customer{}, err
		}
		c := Customer{newID(), thumbprint, kind, pub, 1, s.now(), s.now()}
		_, err = t.exec("INSERT INTO customers (id, thumbprint, kind, pub, generation, created_at, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			c.ID, c.Thumbprint, c.Kind, c.Pub, c.Generation, c.CreatedAt.UnixMilli(), c.SeenAt.UnixMilli())
		return c, err
	}, done)
}

// Customer returns one customer. Errors: ErrNotFound.
func (s *Store) Customer(ctx context.Context, id string) (Customer, error) {
	return first(s.reader(ctx), scanCustomer, "customer", customerColumns+"WHERE id = ?", id)
}

// CustomerByThumbprint returns the customer with this key, who is there: once a day
// that is noted, for retention, unless the writer has better to do.
// Errors: ErrNotFound.
func (s *Store) CustomerByThumbprint(ctx context.Context, thumbprint string) (Customer, error) {
	c, err := first(s.reader(ctx), scanCustomer, "customer", customerColumns+"WHERE thumbprint = ?", thumbprint)
	if now := s.now(); err == nil && now.Sub(c.SeenAt) >= seenEvery && len(s.queue) < cap(s.queue)/4 {
		_ = submit(s, func(t *tx) (int64, error) {
			return t.exec("UPDATE customers SET seen_at = ? WHERE id = ? AND seen_at < ?", now.UnixMilli(), c.ID, now.UnixMilli())
		}, func(int64, error) {}) // the next sight does as well
	}
	return c, err
}

const agentColumns = "SELECT id, name, role, generation, created_at, revoked_at FROM agents "

func scanAgent(rows *sql.Rows) (a Agent, err error) {
	var created int64
	var revoked sql.NullInt64
	err = rows.Scan(&a.ID, &a.Name, &a.Role, &a.Generation, &created, &revoked)
	a.CreatedAt, a.RevokedAt = fromMs(created), fromNull(revoked)
	return a, err
}

// Agent returns one agent, also a revoked one. Errors: ErrNotFound.
func (s *Store) Agent(ctx context.Context, id string) (Agent, error) {
	return first(s.reader(ctx), scanAgent, "agent", agentColumns+"WHERE id = ?", id)
}

// Agents returns all agents, revoked ones too, oldest first.
func (s *Store) Agents(ctx context.Context) ([]Agent, error) {
	return list(s.reader(ctx), scanAgent, agentColumns+"ORDER BY created_at, id")
}

// HasAgents reports whether anybody can sign in as an agent.
func (s *Store) HasAgents(ctx context.Context) (bool, error) {
	return s.exists(ctx, "SELECT 1 FROM agents WHERE revoked_at IS NULL LIMIT 1")
}

func (s *Store) exists(ctx context.Context, text string, args ...any) (bool, error) {
	rows, err := list(s.reader(ctx), scanOne[int64], text, args...)
	return len(rows) > 0, err
}

const deviceColumns = "SELECT id, agent_id, pub, label, created_at, last_seen, revoked_at FROM devices "

func scanDevice(rows *sql.Rows) (d Device, err error) {
	var created, seen int64
	var revoked sql.NullInt64
	err = rows.Scan(&d.ID, &d.AgentID, &d.Pub, &d.Label, &created, &seen, &revoked)
	d.CreatedAt, d.LastSeen, d.RevokedAt = fromMs(created), fromMs(seen), fromNull(revoked)
	return d, err
}

// DeviceByPub returns the device with this public key and its agent.
// Errors: ErrNotFound; ErrRevoked, with both values, if either was revoked.
func (s *Store) DeviceByPub(ctx context.Context, pub []byte) (Device, Agent, error) {
	d, err := first(s.reader(ctx), scanDevice, "device", deviceColumns+"WHERE pub = ?", pub)
	if err != nil {
		return Device{}, Agent{}, err
	}
	a, err := s.Agent(ctx, d.AgentID)
	if err != nil {
		return Device{}, Agent{}, err
	}
	if !d.RevokedAt.IsZero() || !a.RevokedAt.IsZero() {
		return d, a, fmt.Errorf("store: device: %w", ErrRevoked)
	}
	return d, a, nil
}

// Devices returns an agent's devices, oldest first.
func (s *Store) Devices(ctx context.Context, agent string) ([]Device, error) {
	return list(s.reader(ctx), scanDevice, deviceColumns+"WHERE agent_id = ? ORDER BY created_at, id", agent)
}

// TouchDevice notes that the device was seen now. Errors: ErrNotFound.
func (s *Store) TouchDevice(id string, done func(struct{}, error)) error {
	return submit(s, func(t *tx) (struct{}, error) {
		return struct{}{}, t.must("device", "UPDATE devices SET last_seen = ? WHERE id = ?", s.now().UnixMilli(), id)
	}, done)
}

// must is exec for a statement that has to change a row; ErrNotFound otherwise.
func (t *tx) must(what, text string, args ...any) error {
	n, err := t.exec(text, args...)
	if err == nil && n == 0 {
		err = fmt.Errorf("store: %s: %w", what, ErrNotFound)
	}
	return err
}

// RevokeDevice locks one device out for ever. Errors: ErrNotFound.
func (s *Store) RevokeDevice(id string, done func(struct{}, error)) error {
	return submitAlways(s, func(t *tx) (struct{}, error) {
		return struct{}{}, t.must("device",
			"UPDATE devices SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?", s.now().UnixMilli(), id)
	}, done)
}

// RevokeAgent locks an agent and all their devices out for ever and puts their
// claims back into the queue; the result is the ids of those conversations.
// Errors: ErrNotFound.
func (s *Store) RevokeAgent(id string, done func([]string, error)) error {
	return submitAlways(s, func(t *tx) ([]string, error) {
		now := s.now().UnixMilli()
		if err := t.must("agent", `UPDATE agents SET revoked_at = COALESCE(revoked_at, ?), generation = generation + 1
			WHERE id = ?`, now, id); err != nil {
			return nil, err
		}
		if _, err := t.exec("UPDATE devices SET revoked_at = COALESCE(revoked_at, ?) WHERE agent_id = ?", now, id); err != nil {
			return nil, err
		}
		return list(t.returning, scanOne[string], unclaim+"WHERE state = 'claimed' AND claimed_by = ? RETURNING id", id)
	}, done)
}
