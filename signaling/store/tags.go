// Tags: short words that agents put on a conversation, to find it again and to count.

package store

import (
	"context"
	"fmt"
	"strings"
	"unicode"
)

const (
	// MaxTag is the longest tag. Unit: characters.
	MaxTag = 40
	// MaxTags is how many tags a conversation takes.
	MaxTags = 20
)

// tagName is a tag as it is stored: lower case, so that "Refund" and "refund" are
// one; letters, digits, - and _ of any script.
func tagName(tag string) (string, error) {
	tag = strings.ToLower(strings.TrimSpace(tag))
	if err := checkText("tag", tag, MaxTag); err != nil {
		return "", err
	}
	for _, r := range tag {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N) && r != '-' && r != '_' {
			return "", fmt.Errorf("store: a tag has letters, digits, - and _ only: %w", ErrInvalid)
		}
	}
	return tag, nil
}

// Tag puts a tag on a conversation and returns it as it is stored; harmless if it
// is there. by is an agent's id.
// Errors: ErrNotFound, ErrInvalid, ErrConflict (MaxTags are there).
func (s *Store) Tag(conv, tag, by string, done func(string, error)) error {
	return submit(s, func(t *tx) (string, error) {
		name, err := tagName(tag)
		if err != nil {
			return "", err
		}
		if _, err := conversation(t.query, conv); err != nil {
			return "", err
		}
		there, err := list(t.query, scanOne[string], "SELECT tag FROM tags WHERE conversation = ?", conv)
		if err != nil {
			return "", err
		}
		for _, other := range there {
			if other == name {
				return name, nil
			}
		}
		if len(there) >= MaxTags {
			return "", fmt.Errorf("store: the conversation has %d tags, no more are taken: %w", len(there), ErrConflict)
		}
		_, err = t.exec("INSERT INTO tags (conversation, tag, agent_id, at) VALUES (?, ?, ?, ?)",
			conv, name, by, s.now().UnixMilli())
		return name, err
	}, done)
}

// Untag takes a tag off. Errors: ErrNotFound if it isn't there, ErrInvalid.
func (s *Store) Untag(conv, tag string, done func(struct{}, error)) error {
	return submitAlways(s, func(t *tx) (struct{}, error) {
		name, err := tagName(tag)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, t.must("tag", "DELETE FROM tags WHERE conversation = ? AND tag = ?", conv, name)
	}, done)
}

// Tags returns a conversation's tags, in order of the alphabet.
func (s *Store) Tags(ctx context.Context, conv string) ([]string, error) {
	return list(s.reader(ctx), scanOne[string], "SELECT tag FROM tags WHERE conversation = ? ORDER BY tag", conv)
}

// Tagged returns up to limit conversations with this tag, the one with the latest
// message first. Errors: ErrInvalid.
func (s *Store) Tagged(ctx context.Context, tag string, limit int) ([]Conversation, error) {
	name, err := tagName(tag)
	if err != nil {
		return nil, err
	}
	return list(s.reader(ctx), scanConversation, conversationColumns+
		"WHERE id IN (SELECT conversation FROM tags WHERE tag = ?) ORDER BY last_at DESC, id LIMIT ?", name, limit)
}
