// Search: the question and its answer. index.go has how the index follows the texts.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// MaxHits is how many hits one search gives at most.
	MaxHits = 100
	// snippetBefore and snippetLen are how much of a text is shown. Unit: characters.
	snippetBefore = 40
	snippetLen    = 160
)

// SearchOptions narrow a search.
type SearchOptions struct {
	// Agent, if set, gives only hits in conversations that this agent holds. Empty: in all.
	Agent string
	// Limit is how many hits. Zero or above MaxHits: MaxHits.
	Limit int
	// Before is the ID of the last hit of the page before. Zero: from the newest.
	Before int64
}

// Hit is a text that was found: a message or a note.
type Hit struct {
	ID           int64 // for SearchOptions.Before
	Conversation string
	Seq          int64  // of the message; 0: it is a note
	Note         string // the note's id; "": it is a message
	At           time.Time
	Snippet      string // the text around the first match; foreign text
	Start, End   int    // where the first match is in Snippet. Unit: bytes
}

// LogValue keeps the text out of logs.
func (h Hit) LogValue() slog.Value {
	return slog.StringValue("hit in conversation " + h.Conversation + " [redacted]")
}

// Found is the answer to a search.
type Found struct {
	Hits []Hit // the newest first
	// Behind says that texts are not in the index yet, or not as they are looked for
	// today: asking again finds more. It stays while the disk lets nothing be indexed.
	Behind bool
}

// Search finds the texts that have all words of query. A word that ends in *
// stands for all that begin with it; in scripts without spaces any stretch is
// found, also within a word. Case, accents and widths don't matter, and signs mean
// nothing. Run must be running, else nothing new is found.
// Errors: ErrInvalid (no letter or digit, longer than MaxQuery, too many words).
func (s *Store) Search(ctx context.Context, query string, o SearchOptions) (Found, error) {
	terms, err := parseQuery(query)
	if err != nil {
		return Found{}, err
	}
	if o.Limit <= 0 || o.Limit > MaxHits {
		o.Limit = MaxHits
	}
	if o.Before <= 0 {
		o.Before = Newest
	}
	var found Found
	if found.Behind, err = s.indexUpTo(ctx, catchUp); err != nil {
		if !troubled(err) {
			return Found{}, err
		}
		found.Behind = true // what is indexed can be searched
	}
	hits, err := s.hits(ctx, searchExpression(terms), o)
	if err != nil {
		return Found{}, err
	}
	for _, h := range hits {
		text, at, err := s.textOf(ctx, h)
		if errors.Is(err, ErrNotFound) || unreadable(err) {
			continue // erased in this moment, or damaged: Health says so
		}
		if err != nil {
			return Found{}, err
		}
		h.At = at
		h.Snippet, h.Start, h.End = snippet(text, terms)
		found.Hits = append(found.Hits, h)
	}
	return found, nil
}

// troubled reports whether err is of the disk or of the load, so that what is there
// can still be read.
func troubled(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrBusy) || unreadable(err)
}

// unreadable reports whether err says that bytes can't be read as they were written.
func unreadable(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, ErrStorage) }

// hits finds entries, the newest first. Where what an entry stands for can't be read,
// it finds the others one by one.
func (s *Store) hits(ctx context.Context, expression string, o SearchOptions) ([]Hit, error) {
	hits, err := s.hitsBetween(ctx, expression, o, 0, o.Before, o.Limit)
	if !unreadable(err) {
		return hits, err
	}
	for hits = nil; ; {
		entries, err := list(s.reader(ctx), scanOne[int64], searchEntries, expression, o.Before, MaxHits)
		if err != nil || len(entries) == 0 {
			return hits, err
		}
		for _, e := range entries {
			one, err := s.hitsBetween(ctx, expression, o, e, e+1, 1)
			if err != nil && !unreadable(err) {
				return nil, err
			}
			if hits = append(hits, one...); len(hits) == o.Limit {
				return hits, nil
			}
			o.Before = e
		}
	}
}

// hitsBetween finds up to limit entries from from and below before.
func (s *Store) hitsBetween(ctx context.Context, expression string, o SearchOptions, from, before int64, limit int) ([]Hit, error) {
	return list(s.reader(ctx), func(rows *sql.Rows) (h Hit, err error) {
		return h, rows.Scan(&h.ID, &h.Conversation, &h.Seq, &h.Note)
	}, searchSelect, entriesEach, entriesEach, expression, from, before, o.Agent, o.Agent, limit)
}

// messagesAfter returns up to limit messages, the first ones after a number.
func messagesAfter(q querier, conv string, after int64, limit int) ([]Message, error) {
	return list(q, scanMessage(conv), messageColumns+inConversation+"AND seq > ? ORDER BY seq LIMIT ?", conv, after, limit)
}

// textOf reads what a hit stands for.
func (s *Store) textOf(ctx context.Context, h Hit) (string, time.Time, error) {
	if h.Note != "" {
		n, err := first(s.reader(ctx), scanNote, "note", noteColumns+"WHERE id = ?", h.Note)
		return n.Text, n.At, err
	}
	page, err := s.Messages(ctx, h.Conversation, Range{After: h.Seq - 1, Limit: 1})
	if err == nil && (len(page) == 0 || page[0].Seq != h.Seq || page[0].Damaged) {
		err = fmt.Errorf("store: message: %w", ErrNotFound)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	return page[0].Text, page[0].At, nil
}

// snippet cuts the text around the first match, at whole characters.
func snippet(text string, terms []term) (cut string, start, end int) {
	start, end = locate(text, terms)
	from := start
	for n := 0; from > 0 && n < snippetBefore; n++ {
		from--
		for from > 0 && text[from]&0xc0 == 0x80 {
			from--
		}
	}
	to := len(text)
	n := 0
	for i := range text[from:] {
		if n++; n > snippetLen && from+i >= end {
			to = from + i
			break
		}
	}
	return text[from:to], start - from, end - from
}
