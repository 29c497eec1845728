// Canned replies: texts of the team that an agent writes by a short name, as in ;hello.

package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
)

const (
	// MaxShort is the longest short name. Unit: characters.
	MaxShort = 32
	// MaxCanned is the longest canned reply. Unit: characters. Source: security 4, chat text.
	MaxCanned = 4000
	// MaxReplies is how many canned replies a team keeps: clients hold them all.
	MaxReplies = 500
)

// Canned is a prepared reply.
type Canned struct {
	Short string // without the semicolon: lower case, no space
	Text  string // foreign text
	By    string // agent id: who wrote it last
	At    time.Time
}

// LogValue keeps the text out of logs.
func (c Canned) LogValue() slog.Value { return slog.StringValue("canned reply [redacted]") }

const cannedColumns = "SELECT short, text, agent_id, at FROM canned "

func scanCanned(rows *sql.Rows) (c Canned, err error) {
	var at int64
	err = rows.Scan(&c.Short, &c.Text, &c.By, &at)
	c.At = fromMs(at)
	return c, err
}

// shortName is a short name as it is stored.
func shortName(short string) (string, error) {
	short = strings.ToLower(strings.TrimPrefix(short, ";"))
	if err := checkText("short name", short, MaxShort); err != nil {
		return "", err
	}
	if strings.ContainsFunc(short, func(r rune) bool { return r == ';' || unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("store: a short name has no space and no semicolon: %w", ErrInvalid)
	}
	return short, nil
}

// SetCanned stores a reply, over an older one of this short name.
// Errors: ErrInvalid, ErrConflict (MaxReplies are there).
func (s *Store) SetCanned(c Canned, done func(Canned, error)) error {
	return submit(s, func(t *tx) (_ Canned, err error) {
		if c.Short, err = shortName(c.Short); err != nil {
			return Canned{}, err
		}
		if err := checkText("canned reply", c.Text, MaxCanned); err != nil {
			return Canned{}, err
		}
		others, err := first(t.query, scanOne[int64], "canned replies", "SELECT count(*) FROM canned WHERE short <> ?", c.Short)
		if err != nil {
			return Canned{}, err
		}
		if others >= MaxReplies {
			return Canned{}, fmt.Errorf("store: there are %d canned replies, no more are taken: %w", others, ErrConflict)
		}
		c.At = s.now()
		_, err = t.exec(`INSERT INTO canned (short, text, agent_id, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (short) DO UPDATE SET text = excluded.text, agent_id = excluded.agent_id, at = excluded.at`,
			c.Short, c.Text, c.By, c.At.UnixMilli())
		return c, err
	}, done)
}

// DeleteCanned removes a reply. Errors: ErrNotFound, ErrInvalid.
func (s *Store) DeleteCanned(short string, done func(struct{}, error)) error {
	return submitAlways(s, func(t *tx) (struct{}, error) {
		name, err := shortName(short)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, t.must("canned reply", "DELETE FROM canned WHERE short = ?", name)
	}, done)
}

// CannedReplies returns all, in order of their short names.
func (s *Store) CannedReplies(ctx context.Context) ([]Canned, error) {
	return list(s.reader(ctx), scanCanned, cannedColumns+"ORDER BY short")
}
