// Search: an index that follows the messages. Appending pays nothing for it: how
// far the index is stands in one row, and what came after it is indexed once a
// second in small transactions, while the writer has nothing else to do, and
// before a search. A text is cut into tokens outside the writer.

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
	// indexChunk is how many messages one transaction indexes: about 10 ms.
	indexChunk = 64
	// catchUp is how many messages a search indexes first, if so many are missing.
	catchUp = 10 * indexChunk
	// entriesEach is how many entries of the index belong to a message: itself, and
	// behind it the notes that were written before the next one. So the entries are
	// in the order in which the texts came.
	entriesEach = 256
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
	// Behind says that newer messages are not in the index yet: asking again finds more.
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
	if found.Behind, err = s.indexUpTo(ctx, catchUp); errors.Is(err, ErrFull) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrBusy) {
		found.Behind = true // what is indexed can be searched on a full disk too
	} else if err != nil {
		return Found{}, err
	}
	hits, err := list(s.reader(ctx), func(rows *sql.Rows) (h Hit, err error) {
		return h, rows.Scan(&h.ID, &h.Conversation, &h.Seq, &h.Note)
	}, searchSelect, entriesEach, entriesEach, searchExpression(terms), o.Before, o.Agent, o.Agent, o.Limit)
	if err != nil {
		return Found{}, err
	}
	for _, h := range hits {
		text, at, err := s.textOf(ctx, h)
		if errors.Is(err, ErrNotFound) {
			continue // erased in this moment, or damaged
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

// pending is a message on its way into the index.
type pending struct {
	pos  int64
	text string // then its tokens
}

// indexState is how far the index is; see migration 0003.
type indexState struct{ indexed, erasures int64 }

func scanIndexState(rows *sql.Rows) (i indexState, err error) {
	return i, rows.Scan(&i.indexed, &i.erasures)
}

// indexIdle brings the index up to date as long as nobody else writes.
func (s *Store) indexIdle(ctx context.Context) error {
	for len(s.queue) == 0 {
		start := time.Now() // of the work, not of the calendar
		behind, err := s.indexUpTo(ctx, indexChunk)
		if errors.Is(err, ErrFull) || errors.Is(err, ErrReadOnly) {
			return nil // the store's health says so, and it goes on by itself
		}
		if err != nil || !behind {
			return err
		}
		if err := sleep(ctx, restTimes*time.Since(start)); err != nil {
			return err
		}
	}
	return nil
}

// indexUpTo indexes up to n messages, and says whether there may be more.
func (s *Store) indexUpTo(ctx context.Context, n int) (behind bool, err error) {
	for ; n > 0; n -= indexChunk {
		if behind, err = s.indexSome(ctx); err != nil || !behind {
			return false, err
		}
	}
	return true, nil
}

// indexSome indexes one chunk. The tokens are made here; the writer stores them
// only if nothing that was read is gone.
func (s *Store) indexSome(ctx context.Context) (more bool, err error) {
	at, err := first(s.reader(ctx), scanIndexState, "search state", "SELECT indexed, erasures FROM search_state WHERE id = 1")
	if err != nil {
		return false, err
	}
	chunk, err := list(s.reader(ctx), func(rows *sql.Rows) (p pending, err error) { return p, rows.Scan(&p.pos, &p.text) },
		"SELECT pos, text FROM messages WHERE pos > ? ORDER BY pos LIMIT ?", at.indexed, indexChunk)
	if err != nil || len(chunk) == 0 {
		return false, err
	}
	for i := range chunk {
		chunk[i].text = Tokens(chunk[i].text)
	}
	_, err = Sync(ctx, func(done func(struct{}, error)) error {
		return submit(s, func(t *tx) (struct{}, error) { return struct{}{}, t.index(at, chunk) }, done)
	})
	return len(chunk) == indexChunk, err
}

// index stores a chunk that was read when the index was at before; nothing if it
// is elsewhere now.
func (t *tx) index(before indexState, chunk []pending) error {
	n, err := t.exec("UPDATE search_state SET indexed = ? WHERE id = 1 AND indexed = ? AND erasures = ?",
		chunk[len(chunk)-1].pos, before.indexed, before.erasures)
	if err != nil || n == 0 {
		return err
	}
	for _, p := range chunk {
		if p.text == "" {
			continue
		}
		if _, err := t.exec(searchInsert, p.pos*entriesEach, p.text); err != nil {
			return err
		}
	}
	return nil
}

// indexNote gives a note the first free place behind the newest message. Where
// there is none, which takes hundreds of notes and no message, it isn't searched.
func (t *tx) indexNote(n Note) error {
	tokens := Tokens(n.Text)
	if tokens == "" {
		return nil
	}
	newest, err := first(t.query, scanOne[int64], "messages", "SELECT COALESCE(max(pos), 0) FROM messages")
	if err != nil {
		return err
	}
	entry, err := first(t.query, scanOne[int64], "notes", "SELECT COALESCE(max(entry), ?) + 1 FROM notes WHERE entry > ? AND entry < ?",
		newest*entriesEach, newest*entriesEach, (newest+1)*entriesEach)
	if err != nil || entry%entriesEach == 0 {
		return err
	}
	if _, err := t.exec("UPDATE notes SET entry = ? WHERE id = ?", entry, n.ID); err != nil {
		return err
	}
	_, err = t.exec(searchInsert, entry, tokens)
	return err
}

// unindex takes notes out of the index: those that where selects.
func (t *tx) unindexNotes(where string, arg string) error {
	entries, err := list(t.query, scanOne[int64], "SELECT entry FROM notes WHERE entry IS NOT NULL AND "+where, arg)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := t.exec(searchDelete, e); err != nil {
			return err
		}
	}
	return nil
}

// eraseMessages deletes up to limit messages, the first ones, with what is indexed
// of them, and returns how many.
func (t *tx) eraseMessages(conv string, limit int) (int64, error) {
	found, err := list(t.query, scanOne[int64], "SELECT pos FROM messages "+inConversation+"ORDER BY seq LIMIT ?", conv, limit)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	for _, pos := range found {
		if _, err := t.exec(searchDelete, pos*entriesEach); err != nil {
			return 0, err
		}
		if _, err := t.exec("DELETE FROM messages WHERE pos = ?", pos); err != nil {
			return 0, err
		}
	}
	_, err = t.exec(`UPDATE search_state SET erasures = erasures + 1,
		indexed = CASE WHEN indexed > newest.pos THEN newest.pos ELSE indexed END
		FROM (SELECT COALESCE(max(pos), 0) AS pos FROM messages) AS newest WHERE id = 1`)
	return int64(len(found)), err
}
