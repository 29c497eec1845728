// The search index follows the texts. Appending pays nothing for it: how far the
// index is stands in one row, and what came after it is indexed once a second in
// small transactions, while the writer has nothing else to do, and before a search.
// A text is cut into tokens outside the writer. What is damaged is passed over. An
// index that another version of the tokeniser made is made anew in the same way.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// indexChunk is how many messages one transaction indexes: about 10 ms.
	indexChunk = 64
	// catchUp is how many messages a search indexes first, if so many are missing.
	catchUp = 10 * indexChunk
	// sparse is how many places are tried one by one, around damage, for one transaction.
	sparse = 1024
	// entriesEach is how many entries of the index belong to a message: itself, and
	// behind it the notes that were written before the next one. So the entries are
	// in the order in which the texts came.
	entriesEach = 256
)

// pending is a text on its way into the index.
type pending struct {
	pos, entry int64
	note       string // the note's id; "": it is a message
	text       string // then its tokens
	void       bool   // damaged, or nothing is there: only the place counts
}

// scanPending reads a message and compares it with its checksum.
func (s *Store) scanPending(rows *sql.Rows) (pending, error) {
	var p pending
	var m Message
	var at, sum int64
	err := rows.Scan(&p.pos, &m.Conversation, &m.Seq, &m.ID, &m.SenderKind, &m.SenderID, &m.SenderName, &m.Text, &at, &sum)
	if m.At = fromMs(at); err == nil && m.sum() == sum {
		p.text = m.Text
		return p, nil
	}
	s.noteDamage(fmt.Errorf("store: %w: a message does not match its checksum; restore a backup", ErrDamaged))
	rest := make([]any, 9)
	for i := range rest {
		rest[i] = new(sql.RawBytes)
	}
	p.void = true
	return p, rows.Scan(append([]any{&p.pos}, rest...)...)
}

const pendingColumns = `SELECT m.pos, c.id, m.seq, m.id, m.sender_kind, m.sender_id, m.sender_name, m.text, m.at, m.sum
	FROM messages m LEFT JOIN conversations c ON c.num = m.conversation_num `

// pendingAfter returns up to limit messages after one place and up to another, in
// order, and whether there may be more. Around a damaged page it goes one by one.
func (s *Store) pendingAfter(ctx context.Context, after, last int64, limit int) (chunk []pending, more bool, err error) {
	chunk, err = list(s.reader(ctx), s.scanPending, pendingColumns+"WHERE m.pos > ? AND m.pos <= ? ORDER BY m.pos LIMIT ?", after, last, limit)
	if !errors.Is(err, ErrDamaged) {
		return chunk, len(chunk) == limit, err
	}
	newest, endUnknown := first(s.reader(ctx), scanOne[int64], "messages", "SELECT COALESCE(max(pos), 0) FROM messages")
	if endUnknown == nil {
		last = min(last, newest)
	}
	texts := 0
	for pos := after + 1; pos <= min(last, after+sparse) && texts < limit; pos++ {
		one, err := list(s.reader(ctx), s.scanPending, pendingColumns+"WHERE m.pos = ?", pos)
		switch {
		case errors.Is(err, ErrDamaged) && endUnknown == nil:
			one = []pending{{pos: pos, void: true}}
		case err != nil && len(chunk) > 0: // a disk that fails may work again: what can't be read now is tried again
			return chunk, true, nil
		case err != nil:
			return nil, false, err
		case len(one) == 0:
			one = []pending{{pos: pos, void: true}}
		default:
			texts++
		}
		chunk = append(chunk, one...)
	}
	return chunk, true, nil
}

// indexState is how far the index is; see migrations 0003 and 0004.
type indexState struct{ indexed, erasures, tokenizer, redone int64 }

func scanIndexState(rows *sql.Rows) (i indexState, err error) {
	return i, rows.Scan(&i.indexed, &i.erasures, &i.tokenizer, &i.redone)
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
	at, err := first(s.reader(ctx), scanIndexState, "search state", "SELECT indexed, erasures, tokenizer, redone FROM search_state WHERE id = 1")
	if err != nil {
		return false, err
	}
	chunk, more, err := s.pendingAfter(ctx, at.indexed, Newest, indexChunk)
	if err != nil {
		return false, err
	}
	if len(chunk) == 0 {
		if at.tokenizer == tokenizer {
			return false, nil
		}
		return s.redoSome(ctx, at)
	}
	for i := range chunk {
		chunk[i].text = Tokens(chunk[i].text)
	}
	_, err = Sync(ctx, func(done func(struct{}, error)) error {
		return submit(s, func(t *tx) (struct{}, error) { return struct{}{}, t.index(at, chunk) }, done)
	})
	return more || at.tokenizer != tokenizer, err
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

// redoSome brings one chunk of what another tokeniser indexed up to today's: most
// texts are the same in both, so that more is read than written.
func (s *Store) redoSome(ctx context.Context, at indexState) (more bool, err error) {
	chunk, more, err := s.pendingAfter(ctx, at.redone/entriesEach, at.indexed, indexChunk/2)
	if err != nil {
		return false, err
	}
	bound := Newest
	for i := range chunk {
		chunk[i].entry = chunk[i].pos * entriesEach
		if more {
			bound = chunk[i].entry
		}
	}
	notes, err := list(s.reader(ctx), func(rows *sql.Rows) (p pending, err error) { return p, rows.Scan(&p.entry, &p.note, &p.text) },
		"SELECT entry, id, text FROM notes WHERE entry > ? AND entry <= ? ORDER BY entry LIMIT ?", at.redone, bound, indexChunk/2)
	if err != nil {
		return false, err
	}
	if len(notes) == indexChunk/2 {
		bound = notes[len(notes)-1].entry
	}
	chunk = slices.DeleteFunc(append(chunk, notes...), func(p pending) bool { return p.entry > bound })
	next := at
	next.tokenizer, next.redone = tokenizer, 0
	var changed []pending
	if len(chunk) > 0 {
		slices.SortFunc(chunk, func(a, b pending) int { return int(a.entry - b.entry) })
		next.tokenizer, next.redone = at.tokenizer, chunk[len(chunk)-1].entry
		is := map[int64]string{}
		if err := s.reader(ctx)(func(rows *sql.Rows) error {
			var entry int64
			var tokens string
			err := rows.Scan(&entry, &tokens)
			is[entry] = tokens
			return err
		}, searchStored, at.redone, next.redone); err != nil {
			return false, err
		}
		for _, p := range chunk {
			if p.text = Tokens(p.text); !p.void && p.text != is[p.entry] {
				changed = append(changed, p)
			}
		}
	}
	_, err = Sync(ctx, func(done func(struct{}, error)) error {
		return submit(s, func(t *tx) (struct{}, error) { return struct{}{}, t.redo(at, next, changed) }, done)
	})
	return next.tokenizer != tokenizer, err
}

// redo stores what changed, as index does.
func (t *tx) redo(before, next indexState, changed []pending) error {
	n, err := t.exec("UPDATE search_state SET tokenizer = ?, redone = ? WHERE id = 1 AND tokenizer = ? AND redone = ? AND erasures = ?",
		next.tokenizer, next.redone, before.tokenizer, before.redone, before.erasures)
	if err != nil || n == 0 {
		return err
	}
	for _, p := range changed {
		if p.note != "" { // deleting one is not counted
			there, err := list(t.query, scanOne[int64], "SELECT entry FROM notes WHERE id = ? AND entry = ?", p.note, p.entry)
			if err != nil {
				return err
			}
			if len(there) == 0 {
				continue
			}
		}
		if _, err := t.exec(searchDelete, p.entry); err != nil {
			return err
		}
		if p.text == "" {
			continue
		}
		if _, err := t.exec(searchInsert, p.entry, p.text); err != nil {
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

// unindexNote takes a note out of the index.
func (t *tx) unindexNote(id string) error {
	entries, err := list(t.query, scanOne[int64], "SELECT entry FROM notes WHERE entry IS NOT NULL AND id = ?", id)
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

// scanText scans a row's key, a note's or a message's, and its text.
func scanText[K any](rows *sql.Rows) (t keyedText[K], err error) {
	return t, rows.Scan(&t.key, &t.text)
}

type keyedText[K any] struct {
	key  K
	text string
}

// eraseNotes deletes the first notes of a conversation with what is indexed of them.
func (t *tx) eraseNotes(conv string, left *allowance) error {
	found, err := list(t.query, scanText[string], "SELECT id, text FROM notes WHERE conversation = ? ORDER BY at LIMIT ?", conv, left.rows)
	if err != nil {
		return err
	}
	for _, n := range found {
		if !left.take(n.text) {
			return nil
		}
		if err := t.unindexNote(n.key); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM notes WHERE id = ?", n.key); err != nil {
			return err
		}
	}
	return nil
}

// eraseMessages deletes the first messages of a conversation with what is indexed of
// them, and returns how many.
func (t *tx) eraseMessages(conv string, left *allowance) (n int64, err error) {
	found, err := list(t.query, scanText[int64], "SELECT pos, text FROM messages "+inConversation+"ORDER BY seq LIMIT ?", conv, left.rows)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	for _, m := range found {
		if !left.take(m.text) {
			break
		}
		if _, err := t.exec(searchDelete, m.key*entriesEach); err != nil {
			return 0, err
		}
		if _, err := t.exec("DELETE FROM messages WHERE pos = ?", m.key); err != nil {
			return 0, err
		}
		n++
	}
	_, err = t.exec(`UPDATE search_state SET erasures = erasures + 1,
		indexed = CASE WHEN indexed > newest.pos THEN newest.pos ELSE indexed END
		FROM (SELECT COALESCE(max(pos), 0) AS pos FROM messages) AS newest WHERE id = 1`)
	return n, err
}
