// Erasure: a conversation is gone from every file of the data folder, whatever
// happens on the way. The order is what makes it complete after a crash:
//
//	erasures.log ─► row in erasures, conversation closed ─► rows deleted, a slice at
//	a time ─► gone (customers, agents see it no more) ─► words that find pages of the
//	search index replaced ─► gaps of pages wiped ─►
//	write-ahead log emptied ─► done
//
// The file comes first and outlives a restore: each start, and each restore,
// erases again what it lists and what isn't done. A start deletes the rows before it
// serves, and cleans while it serves.

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// eraseFor is how long one transaction wipes before it lets others write: under half
	// of what a slice may take (20 ms).
	eraseFor = 8 * time.Millisecond
	// sliceTokens is how many words of the search one transaction of an erasure deletes,
	// but always one text: the index overwrites each where it stands. Measured on two
	// cores with a load of 10, beside an index of 500,000 words: 10 ms in the middle, 37 ms
	// at worst (BenchmarkEraseSlice). A text of 1,500 words can't be cut: 120 ms.
	sliceTokens = 150
	// sliceRows is how many messages, notes and sessions it deletes.
	sliceRows = 64
	// scrubFor is how long Erase waits for readers that hold old pages.
	scrubFor = 10 * time.Second
)

// ErrRemains: the rows are deleted, but copies are left: in the write-ahead log, as
// long as a reader (a backup, a check) holds old pages, or where a restore works.
// The server goes on trying; so does calling again.
var ErrRemains = errors.New("erased, but copies are left")

// Erased is the outcome of an erasure.
type Erased struct {
	Conversation string
	Messages     int64 // deleted by this call
	Before       bool  // it had been erased before
	// Aside are the folders, beside the data, in which a restore with --force has put data
	// that still hold the conversation, or can't be read. Whoever wanted them kept removes them.
	Aside []string
}

// Erase deletes a conversation: messages, marks, notes, tags, sessions, its part
// of the search, and its customer if nothing else of theirs is left; then no copy
// remains in any file of the data folder. The audit log keeps its entries, which
// hold no text, and gets "conversation.erase". Whatever state the conversation is
// in, it is closed first; see WatchErased for what memory may hold. It may be
// called again at any time. Works beside a running server; Run must be running.
//
// Errors: ErrNotFound, ErrRemains, ErrFolder (the list can't be written; nothing
// was erased), and those of any write (then a later start, or another call, goes on).
func (s *Store) Erase(ctx context.Context, conv string, by Actor) (Erased, error) {
	known, err := s.erasure(ctx, conv)
	if err != nil {
		return Erased{}, err
	}
	if !known.begun {
		if _, err := s.Conversation(ctx, conv); err != nil {
			return Erased{}, err
		}
	}
	out := Erased{Conversation: conv, Before: known.gone}
	if !known.done {
		if err := s.listErasure(conv); err != nil {
			return Erased{}, err
		}
		if out.Messages, err = s.eraseRows(ctx, conv, by, true, 0); err != nil {
			return Erased{}, err
		}
	}
	dir := filepath.Dir(s.path)
	if out.Aside, err = asideWith(ctx, dir, conv); err != nil {
		return out, err
	}
	if !known.done {
		err = s.clean(ctx, conv)
	}
	return out, errors.Join(err, removeLeftWork(dir))
}

// erasure is how far one is.
type erasure struct {
	conversation      string
	begun, gone, done bool
}

func scanErasure(rows *sql.Rows) (e erasure, err error) {
	e.begun = true
	return e, rows.Scan(&e.conversation, &e.gone, &e.done)
}

const erasureColumns = "SELECT conversation, gone IS NOT NULL, done_at IS NOT NULL FROM erasures "

func (s *Store) erasure(ctx context.Context, conv string) (erasure, error) {
	all, err := list(s.reader(ctx), scanErasure, erasureColumns+"WHERE conversation = ?", conv)
	if err != nil || len(all) == 0 {
		return erasure{conversation: conv}, err
	}
	return all[0], nil
}

// FinishErasures deletes the rows of erasures that a crash interrupted, and of those
// that came back by a restore, so that nobody sees them again. The server calls it
// before it serves; it costs one query when there is nothing to do. The last copies
// go in Maintain: to look at every page would hold up a start. Run must be running.
// Errors as for Erase.
func (s *Store) FinishErasures(ctx context.Context) error {
	if s.lock != nil { // the server's own: no restore is under way
		if err := os.RemoveAll(filepath.Join(filepath.Dir(s.path), restoreDir)); err != nil {
			return folderError("what a restore left can't be removed (%v)", reason(err))
		}
	}
	_, err := s.finishRows(ctx)
	return err
}

// completeErasures is FinishErasures, and removes the last copies too.
func (s *Store) completeErasures(ctx context.Context) error {
	unclean, err := s.finishRows(ctx)
	if err != nil || len(unclean) == 0 {
		return err
	}
	return s.clean(ctx, unclean...)
}

// finishRows deletes the rows of every erasure that isn't done, and returns which
// are to be cleaned.
func (s *Store) finishRows(ctx context.Context) (unclean []string, err error) {
	begun, err := list(s.reader(ctx), scanErasure, erasureColumns)
	if err != nil {
		return nil, err
	}
	listed, err := s.listedErasures()
	if err != nil {
		return nil, err
	}
	at := map[string]erasure{}
	for _, id := range listed {
		at[id] = erasure{conversation: id}
	}
	for _, e := range begun {
		at[e.conversation] = e
	}
	for id, e := range at {
		if e.done {
			continue
		}
		if !e.gone {
			if _, err := s.eraseRows(ctx, id, Actor{Kind: KindSystem}, true, 0); err != nil {
				return nil, err
			}
		}
		unclean = append(unclean, id)
	}
	return unclean, nil
}

// clean removes the last copies of deleted rows: the words by which pages of the
// search index are found, the gaps of pages, then the write-ahead log. Then the
// erasures are done.
func (s *Store) clean(ctx context.Context, convs ...string) error {
	if err := s.wipeKeys(ctx); err != nil {
		return err
	}
	if err := s.wipeGaps(ctx); err != nil {
		return err
	}
	if err := s.scrub(ctx, scrubFor); err != nil {
		return err
	}
	for _, id := range convs {
		if err := s.finished(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// eraseRows closes the conversation and deletes its rows. It returns how many
// messages it deleted. After each transaction it rests as many times as long as that took.
func (s *Store) eraseRows(ctx context.Context, conv string, by Actor, listed bool, rest int) (int64, error) {
	if _, err := patiently(ctx, s, func(t *tx) (struct{}, error) { return struct{}{}, t.beginErasure(conv, listed, s.now()) }); err != nil {
		return 0, err
	}
	var total int64
	for {
		step, err := patiently(ctx, s, func(t *tx) (erasedSlice, error) { return t.eraseSlice(conv, by, s.now()) })
		if err != nil {
			return total, err
		}
		total += step.messages
		if step.last {
			return total, nil
		}
		if err := sleep(ctx, time.Duration(rest)*step.took); err != nil {
			return total, err
		}
	}
}

func (t *tx) beginErasure(conv string, listed bool, now time.Time) error {
	if _, err := t.exec(`INSERT INTO erasures (conversation, listed, begun_at) VALUES (?, ?, ?)
		ON CONFLICT (conversation) DO NOTHING`, conv, flag(listed), now.UnixMilli()); err != nil {
		return err
	}
	_, err := t.exec(closing+"WHERE id = ? AND state <> 'closed'", now.UnixMilli(), conv)
	return err
}

// erasedSlice is what one transaction did.
type erasedSlice struct {
	messages int64
	took     time.Duration
	last     bool
}

// allowance is what a transaction of an erasure may still delete.
type allowance struct{ tokens, rows int }

func (a *allowance) used() bool { return a.tokens <= 0 || a.rows <= 0 }

// take uses up what a text needs; false if that is more than is left of a slice begun.
func (a *allowance) take(text string) bool {
	n := 0
	if tokens := Tokens(text); tokens != "" {
		n = 1 + strings.Count(tokens, " ")
	}
	if n > a.tokens && a.rows < sliceRows || a.used() {
		a.tokens = 0
		return false
	}
	a.tokens, a.rows = a.tokens-n, a.rows-1
	return true
}

// eraseSlice deletes messages, then notes, then sessions, as many as one transaction
// may, and the rest once there are none.
func (t *tx) eraseSlice(conv string, by Actor, now time.Time) (out erasedSlice, err error) {
	start := time.Now() // of the work, not of the calendar
	defer func() { out.took = time.Since(start) }()
	left := allowance{sliceTokens, sliceRows}
	if out.messages, err = t.eraseMessages(conv, &left); err != nil || left.used() {
		return out, err
	}
	if err := t.eraseNotes(conv, &left); err != nil || left.used() {
		return out, err
	}
	n, err := t.exec("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE conversation = ? LIMIT ?)", conv, left.rows)
	if left.rows -= int(n); err != nil || left.used() {
		return out, err
	}
	out.last = true
	return out, t.eraseRest(conv, by, now)
}

// eraseRest deletes what else belongs to a conversation: a few rows.
func (t *tx) eraseRest(conv string, by Actor, now time.Time) error {
	for _, del := range []string{
		"DELETE FROM marks WHERE conversation = ?",
		"DELETE FROM tags WHERE conversation = ?",
	} {
		if _, err := t.exec(del, conv); err != nil {
			return err
		}
	}
	customers, err := list(t.returning, scanOne[string], "DELETE FROM conversations WHERE id = ? RETURNING customer_id", conv)
	if err != nil {
		return err
	}
	for _, c := range customers {
		if _, err := t.exec(`DELETE FROM customers WHERE id = ? AND NOT EXISTS
			(SELECT 1 FROM conversations WHERE customer_id = ?)`, c, c); err != nil {
			return err
		}
	}
	n, err := t.exec(`UPDATE erasures SET gone = (SELECT COALESCE(max(gone), 0) + 1 FROM erasures)
		WHERE conversation = ? AND gone IS NULL`, conv)
	if err != nil || n == 0 || len(customers) == 0 {
		return err
	}
	return t.auditErasure(conv, by, now)
}

func (t *tx) auditErasure(conv string, by Actor, now time.Time) error {
	last, err := first(t.query, scanOne[int64], "audit", "SELECT COALESCE(max(id), 0) FROM audit")
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]bool{"erased": true})
	if err != nil {
		return fmt.Errorf("store: %w: %v", ErrInvalid, err)
	}
	_, err = t.exec("INSERT INTO audit (id, at, conversation, kind, actor_kind, actor_id, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
		last+1, now.UnixMilli(), conv, "conversation.erase", by.Kind, by.ID, string(body))
	return err
}

// finished marks an erasure as complete on the disk.
func (s *Store) finished(ctx context.Context, conv string) error {
	_, err := patiently(ctx, s, func(t *tx) (struct{}, error) {
		_, err := t.exec("UPDATE erasures SET done_at = ? WHERE conversation = ? AND gone IS NOT NULL AND done_at IS NULL",
			s.now().UnixMilli(), conv)
		return struct{}{}, err
	})
	return err
}

// patiently waits for a write that is worth doing however busy the store is.
func patiently[R any](ctx context.Context, s *Store, run func(*tx) (R, error)) (R, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		r, err := Sync(ctx, func(done func(R, error)) error { return submitAlways(s, run, done) })
		if !errors.Is(err, ErrBusy) {
			return r, err
		}
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return r, err
		}
	}
}

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// WatchErased calls f with the ids of conversations whose rows are deleted, by this
// process or another, looking at once and then every so often, until ctx ends;
// then it returns nil. The first call of f gets all that were ever erased (retention's:
// for a day), so that none is missed between reading the store and watching it.
// Whoever keeps conversations in memory drops them then: f runs on the caller's
// goroutine and must not wait. Errors: those of reading; calling again misses nothing.
func (s *Store) WatchErased(ctx context.Context, every time.Duration, f func(conversations []string)) error {
	type goneAt struct {
		id string
		n  int64
	}
	for seen := int64(0); ; {
		news, err := list(s.reader(ctx), func(rows *sql.Rows) (g goneAt, err error) { return g, rows.Scan(&g.id, &g.n) },
			"SELECT conversation, gone FROM erasures WHERE gone > ? ORDER BY gone", seen)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var ids []string
		for _, g := range news {
			ids, seen = append(ids, g.id), g.n
		}
		if len(ids) > 0 {
			f(ids)
		}
		if err := sleep(ctx, every); err != nil {
			return nil
		}
	}
}
