// Retention: what is older than the operator wants is erased, a little at a time.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How long things are kept unless the operator says otherwise. Source: security 9.
const (
	KeepChat  = 90 * 24 * time.Hour
	KeepAudit = 400 * 24 * time.Hour
)

// RetentionPolicy says how long things are kept. Unit: time since the last sign of
// life. Zero or less: for ever.
type RetentionPolicy struct {
	// Chat is for closed conversations with all that belongs to them, counted from
	// the last message or the end, whichever is later, and not less than ReopenFor.
	// A conversation that waits or is claimed stays, and so do its first messages.
	// It is for customers too who have no conversation and weren't seen for so long.
	Chat time.Duration
	// Audit is for entries of the audit log.
	Audit time.Duration
}

const (
	// retainBatch is how many conversations are looked up at once.
	retainBatch = 50
	// auditBatch is how many audit entries one transaction deletes: about 5 ms.
	auditBatch = 200
	// customerBatch is how many customers one transaction deletes: about 5 ms.
	customerBatch = 100
	// restTimes is how long retention rests after each transaction, as a multiple of
	// what that took: it never takes more than a quarter of the writer's time.
	restTimes = 3
)

// Retained is what one pass deleted.
type Retained struct {
	Conversations int64
	Messages      int64
	Customers     int64 // who had no conversation
	Audit         int64
}

// Retain makes one pass over what is too old. Each transaction takes about 10 ms,
// and others write in between. It may be interrupted at any point: the next pass
// goes on. Run must be running. Errors: those of any write, and ErrRemains.
func (s *Store) Retain(ctx context.Context, p RetentionPolicy) (out Retained, err error) {
	if p.Chat > 0 {
		if err := s.retainChat(ctx, max(p.Chat, ReopenFor), &out); err != nil {
			return out, err
		}
		if err := s.retainCustomers(ctx, max(p.Chat, ReopenFor), &out); err != nil {
			return out, err
		}
	}
	if p.Audit > 0 {
		if err := s.retainAudit(ctx, p.Audit, &out); err != nil {
			return out, err
		}
	}
	if out.Conversations == 0 {
		return out, nil
	}
	return out, s.completeErasures(ctx)
}

func (s *Store) retainChat(ctx context.Context, keep time.Duration, out *Retained) error {
	for {
		before := s.now().Add(-keep).UnixMilli()
		old, err := list(s.reader(ctx), scanOne[string], `SELECT id FROM conversations
			WHERE state = 'closed' AND last_at < ? AND closed_at < ? ORDER BY last_at LIMIT ?`, before, before, retainBatch)
		if err != nil || len(old) == 0 {
			return err
		}
		for _, id := range old {
			// Not on the erase list: the same rule removes it again after a restore.
			n, err := s.eraseRows(ctx, id, Actor{Kind: KindSystem}, false, restTimes)
			if err != nil {
				return err
			}
			out.Conversations++
			out.Messages += n
		}
	}
}

// lonely selects customers without a conversation, those seen longest ago first. Its
// parameters: the time before which they were seen last; time and id of the last one
// of the page before; limit.
const lonely = `SELECT id, seen_at FROM customers WHERE seen_at < ? AND (seen_at, id) > (?, ?)
	AND NOT EXISTS (SELECT 1 FROM conversations WHERE customer_id = customers.id) ORDER BY seen_at, id LIMIT ?`

// retainCustomers deletes those who never began a conversation. They hold no text, so
// that what their pages leave is wiped with the next erasure.
func (s *Store) retainCustomers(ctx context.Context, keep time.Duration, out *Retained) error {
	type customer struct {
		id   string
		seen int64
	}
	last, before := customer{seen: -1}, s.now().Add(-keep).UnixMilli()
	for {
		old, err := list(s.reader(ctx), func(rows *sql.Rows) (c customer, err error) { return c, rows.Scan(&c.id, &c.seen) },
			lonely, before, last.seen, last.id, customerBatch)
		if err != nil || len(old) == 0 {
			return err
		}
		last = old[len(old)-1]
		start := time.Now() // of the work, not of the calendar
		n, err := patiently(ctx, s, func(t *tx) (total int64, err error) {
			for _, c := range old { // who was seen or began one meanwhile stays
				n, err := t.exec(`DELETE FROM customers WHERE id = ? AND seen_at < ?
					AND NOT EXISTS (SELECT 1 FROM conversations WHERE customer_id = ?)`, c.id, before, c.id)
				if total += n; err != nil {
					return 0, err
				}
			}
			return total, nil
		})
		if err != nil {
			return err
		}
		out.Customers += n
		if err := sleep(ctx, restTimes*time.Since(start)); err != nil {
			return err
		}
	}
}

func (s *Store) retainAudit(ctx context.Context, keep time.Duration, out *Retained) error {
	for {
		start := time.Now() // of the work, not of the calendar
		n, err := patiently(ctx, s, func(t *tx) (int64, error) { return t.deleteAudit(s.now().Add(-keep), auditBatch) })
		if err != nil {
			return err
		}
		out.Audit += n
		if n < auditBatch {
			return nil
		}
		if err := sleep(ctx, restTimes*time.Since(start)); err != nil {
			return err
		}
	}
}

// forgetErasures drops the rows of what retention erased: nobody asks any more.
// The newest stays, so that numbers go on, and so does whatever is on the erase list.
func (s *Store) forgetErasures(ctx context.Context) error {
	_, err := patiently(ctx, s, func(t *tx) (int64, error) {
		return t.exec(`DELETE FROM erasures WHERE listed = 0 AND done_at < ? AND gone < (SELECT max(gone) FROM erasures)`,
			s.now().Add(-24*time.Hour).UnixMilli())
	})
	return err
}

// Maintenance says what Maintain does. The zero value keeps everything for ever.
type Maintenance struct {
	Retention RetentionPolicy
	// CheckAfter is how long the first check of all data waits: it takes a core for
	// some seconds a GiB, which a server has better use for while its clients come
	// back. Zero: not at all.
	CheckAfter time.Duration
	// Forgotten is called after retention deleted customers, and once a day: whoever keeps
	// in memory whose key is whose forgets it then, so that a customer who comes back is
	// looked up, and seen. Nil: nobody keeps it. It must not wait.
	Forgotten func()
	// Report gets what an operator should know: damage found or no longer found
	// (ErrDamaged), an erasure that left copies (ErrRemains), a failing disk. Nil error:
	// the check found everything whole. Called by one goroutine at a time.
	Report func(error)
}

// How often Maintain does what.
const (
	indexEvery  = time.Second      // the search index follows the messages
	eraseEvery  = time.Minute      // erasures that could not be completed
	retainEvery = time.Hour        // a pass of retention
	checkEvery  = 24 * time.Hour   // the check of every message
	retryAfter  = 10 * time.Second // after a failure of the disk
)

// Maintain does the store's chores until ctx ends: it keeps the search index up
// to date while nothing else is written, completes erasures, applies retention,
// and checks all data at the start and nightly. It returns nil once ctx has ended.
// One goroutine calls it, beside Run.
func (s *Store) Maintain(ctx context.Context, m Maintenance) error {
	var mu sync.Mutex
	report := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if m.Report != nil {
			m.Report(err)
		}
	}
	forgotten := m.Forgotten
	if forgotten == nil {
		forgotten = func() {}
	}
	var check sync.WaitGroup
	check.Go(func() {
		repeat(ctx, report, chore{
			every: checkEvery,
			do:    func(ctx context.Context) error { return s.checkAll(ctx, report) },
			next:  time.Now().Add(m.CheckAfter),
		})
	})
	defer check.Wait()
	repeat(ctx, report,
		chore{every: eraseEvery, do: s.completeErasures},
		chore{every: indexEvery, do: s.indexIdle},
		chore{every: retainEvery, do: s.retention(m.Retention, forgotten)},
		chore{every: seenEvery, do: func(context.Context) error { forgotten(); return nil }})
	return nil
}

// maxJump is how far the calendar may move away from the time that really went by,
// between two passes of retention: above what a correction of the clock does.
const maxJump = time.Hour

// ErrClock: the clock jumped, so that what looks old may not be. Nothing was deleted.
var ErrClock = errors.New("the clock jumped")

// pace compares the calendar with the monotonic clock.
type pace struct {
	wall time.Time
	mono time.Duration
}

// check returns ErrClock if the two moved apart since it was called last. The next
// pass believes the calendar again: by then somebody can have looked at it.
func (p *pace) check(wall time.Time, mono time.Duration) error {
	before := *p
	*p = pace{wall, mono}
	if before.wall.IsZero() {
		return nil
	}
	if off := wall.Round(0).Sub(before.wall.Round(0)) - (mono - before.mono); off > maxJump || off < -maxJump {
		return fmt.Errorf("store: %w by %v: retention waits for the next pass; set the clock right if it is wrong", ErrClock, off.Round(time.Second))
	}
	return nil
}

// retention is a pass that looks at the clock first.
func (s *Store) retention(policy RetentionPolicy, forgotten func()) func(context.Context) error {
	var p pace
	return func(ctx context.Context) error {
		if err := p.check(s.now(), s.age()); err != nil {
			return err
		}
		out, err := s.Retain(ctx, policy)
		if out.Customers > 0 {
			forgotten()
		}
		if err != nil {
			return err
		}
		return s.forgetErasures(ctx)
	}
}

// chore is what is done again and again.
type chore struct {
	every time.Duration
	do    func(context.Context) error
	next  time.Time
}

// repeat does each chore when its time has come, at first if it has none, until ctx ends.
func repeat(ctx context.Context, report func(error), chores ...chore) {
	for {
		next := time.Now().Add(checkEvery)
		for i := range chores {
			c := &chores[i]
			if !time.Now().Before(c.next) {
				err := c.do(ctx)
				c.next = time.Now().Add(c.every)
				if ctx.Err() != nil || errors.Is(err, ErrStopped) {
					return
				}
				if err != nil {
					report(err)
					if !errors.Is(err, ErrClock) { // that is not to be tried again soon
						c.next = time.Now().Add(max(retryAfter, c.every/10))
					}
				}
			}
			if c.next.Before(next) {
				next = c.next
			}
		}
		if sleep(ctx, time.Until(next)) != nil {
			return
		}
	}
}
